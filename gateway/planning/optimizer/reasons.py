"""Why a store does what it does in each step."""

from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.site import Layout
from gateway.planning.optimizer.solver import Answer


def codes_of(facts: Facts, layout: Layout, answer: Answer) -> list[tuple[str, ...]]:
    """Return one code per step for each store."""
    return [("no_benefit",) * facts.steps for _ in facts.packs]
