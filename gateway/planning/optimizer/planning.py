"""From the problem to the schedule: a linear programme first, decisions where it cheats, a rule where all else fails."""

import logging
from dataclasses import dataclass, replace

import numpy as np

from gateway.planning.optimizer.deciding import Quest, decide, open_questions, repair
from gateway.planning.optimizer.dynamic import Extra, Seeker
from gateway.planning.optimizer.facts import Facts, facts_of
from gateway.planning.optimizer.imposed import Decisions, Undecided
from gateway.planning.optimizer.program import Index, Matrix
from gateway.planning.optimizer.reading import LEAST_KWH, gives_way, paid, schedule_of
from gateway.planning.optimizer.reasons import codes_of
from gateway.planning.optimizer.rule_plan import rule_plan
from gateway.planning.optimizer.site import Layout
from gateway.planning.optimizer.solver import Answer, Engine
from gateway.planning.problem import Lack, Made, Problem, Schedule

LOGGER = logging.getLogger(__name__)

EXACT = 1e-4
"""An answer that is no more than this share above what nothing undercuts is good enough."""
REPAIRS = 8
DUE, GIVES_WAY = frozenset({Lack.DEPARTURE}), frozenset({Lack.RESERVE, Lack.FLOOR, Lack.BAND})
NEXT_TO_NOTHING = 1e-4


@dataclass(frozen=True, slots=True, eq=False)
class Solved:
    """One programme and its answer."""

    layout: Layout
    matrix: Matrix
    decisions: Decisions
    answer: Answer

    @property
    def objective(self) -> float:
        """What the programme minimised."""
        return float(self.matrix.cost @ self.answer.values)

    def columns(self, lacks: frozenset[Lack]) -> Index:
        """Return the columns that say how much of ``lacks`` there is."""
        slacks = [s for store in self.layout.stores for s in store.slacks if s.lack in lacks]
        return np.concatenate([s.columns for s in slacks]) if slacks else np.zeros(0, np.int32)


class Solver:
    """Solves problems one after the other; one of the same shape as the last starts from its answer."""

    def __init__(self) -> None:
        self._engine = Engine()
        self._within_s = 0.0

    def solve(self, problem: Problem, *, within_s: float = 5.0) -> Schedule:
        """Return the best schedule found within ``within_s`` seconds of solving. Never raises."""
        facts = facts_of(problem)
        self._engine.seconds, self._within_s = 0.0, within_s
        try:
            schedule = self._optimum(facts) if facts.steps else None
        except Exception:  # a plan by rule is better than none, whatever went wrong
            LOGGER.exception("The optimizer failed; the plan is made by rule")
            self._engine, schedule = Engine(), None
        return replace(schedule or rule_plan(facts), seconds=self._engine.seconds)

    @property
    def _left_s(self) -> float:
        return self._within_s - self._engine.seconds

    def _optimum(self, facts: Facts) -> Schedule | None:
        undecided = Undecided.of(facts)
        first = self._run(undecided, Decisions.none(facts))
        if first is None:
            return None
        best: Solved | None = first
        if open_questions(facts, first.layout, first.answer.values):
            best = self._decided(undecided, first)
        if best is None:
            return None
        best = self._in_order(best)
        bound = None
        if first.answer.complete and not gives_way(first.layout, first.answer.values):
            bound = float(paid(facts, first.layout, first.matrix.cost) @ first.answer.values)
        schedule = schedule_of(
            facts, best.layout, best.answer.values, codes_of(facts, best.layout, best.answer)
        )
        return replace(
            schedule,
            made=Made.OPTIMAL if first.answer.complete and best.answer.complete else Made.IN_TIME,
            cost=float(paid(facts, best.layout, best.matrix.cost) @ best.answer.values),
            bound=bound,
            binaries=best.decisions.count,
        )

    def _run(self, undecided: Undecided, decisions: Decisions) -> Solved | None:
        matrix = undecided.decided(decisions)
        answer = self._engine.run(matrix, self._left_s)
        return Solved(undecided.layout, matrix, decisions, answer) if answer else None

    def _decided(self, undecided: Undecided, first: Solved) -> Solved | None:
        """Return the best answer that can be done: by rounding, by what each store would best do, then beside the best so far."""
        facts, extra = undecided.facts, _extra_cost(undecided.facts, first)
        best: Solved | None = None
        tried: list[Decisions] = []
        seekers: dict[int, Seeker] = {}
        for sought, beside_best in ((False, False), (True, False), (True, True)):
            beside_kw = first.layout.our_kw(best.answer.values) if best and beside_best else None
            quest = Quest(seekers, extra, beside_kw) if sought else None
            decisions = decide(facts, first.layout, first.answer.values, quest)
            if decisions is None or any(decisions.same(other) for other in tried):
                continue
            tried.append(decisions)
            solved = self._repaired(undecided, decisions)
            if solved and (best is None or solved.objective < best.objective):
                best = solved
            if best and best.objective - first.objective <= EXACT * abs(first.objective):
                break
        return best

    def _in_order(self, solved: Solved) -> Solved:
        """Let reserves, floors and bands give way where a departure falls short of what it could have had.

        A departure costs what the road charges, which may be less than what keeping them through the night does.
        """
        due, kept = (solved.columns(lacks) for lacks in (DUE, GIVES_WAY))
        values, matrix = solved.answer.values, solved.matrix
        if not len(kept) or not len(due) or values[due].max() < LEAST_KWH:
            return solved
        cost = matrix.cost.copy()
        cost[kept] *= NEXT_TO_NOTHING
        able = self._engine.run(replace(matrix, cost=cost), self._left_s)
        if able is None or able.values[due].sum() > values[due].sum() - LEAST_KWH:
            return solved
        upper = matrix.upper.copy()
        upper[due] = able.values[due] + LEAST_KWH / 10
        answer = self._engine.run(replace(matrix, upper=upper), self._left_s)
        return replace(solved, answer=answer) if answer else solved

    def _repaired(self, undecided: Undecided, decisions: Decisions) -> Solved | None:
        """Return an answer to ``decisions``, with more of them made until it can be done."""
        for attempt in range(REPAIRS):
            solved = self._run(undecided, decisions)
            if solved is None:
                if not decisions.firm.any():
                    return None
                off = np.where(decisions.firm, 0, decisions.modes).astype(np.int8)
                decisions = replace(decisions, modes=off, firm=np.zeros_like(decisions.firm))
                continue
            further = repair(
                undecided.facts,
                solved.layout,
                solved.answer.values,
                decisions,
                last=attempt >= REPAIRS // 2,
            )
            if further is None:
                return solved
            decisions = further
        return None


def _extra_cost(facts: Facts, solved: Solved) -> Extra:
    """Return what import costs beyond its price, as the answer has it: the tiers by their duals, the peak as it is."""
    per_kwh, layout = np.zeros(facts.steps), solved.layout
    for row in layout.tiers:
        per_kwh -= solved.answer.duals[row]
    peak_kw = float(solved.answer.values[layout.peak].min(initial=np.inf))
    return Extra(per_kwh, peak_kw, facts.peak_per_kw if len(layout.peak) else 0.0)


def solve(problem: Problem, *, within_s: float = 5.0, warm: object | None = None) -> Schedule:
    """Return the best schedule for ``problem`` found within ``within_s`` seconds of solving. Never raises.

    ``warm`` is a ``Solver``, whose last answer then is the start of this one.
    """
    return (warm if isinstance(warm, Solver) else Solver()).solve(problem, within_s=within_s)
