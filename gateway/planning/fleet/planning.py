"""From many stores to their schedule: small fleets as one programme, large ones by prices; then whole powers, and exact repairs."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice
from time import perf_counter

import numpy as np

from gateway.planning.fleet.answers import Asker
from gateway.planning.fleet.block import Block, Range, as_switched, plan_block
from gateway.planning.fleet.boards import Boards
from gateway.planning.fleet.cars import Places, Table, cars_of
from gateway.planning.fleet.least_power import lift
from gateway.planning.fleet.prices import Coordination, Duals, coordinate, groups_of, whole_answers
from gateway.planning.fleet.reading import Course, course_of, schedule_of
from gateway.planning.fleet.site import kept_apart, share_of, with_one_store
from gateway.planning.optimizer import solve
from gateway.planning.optimizer.facts import Facts, facts_of
from gateway.planning.optimizer.soft import sooner
from gateway.planning.problem import Made, Problem, Schedule, Series

LOGGER = logging.getLogger(__name__)

FEW, WHOLE = 8, 200
"""Up to so many stores the optimizer plans them, and up to so many one programme."""
SAMPLE, LARGE_SAMPLE, GROUPS, ROUNDS = 60, 150, 80, 40
BLOCK = 80
NEAR, NEAR_ENOUGH = 5e-4, 7e-4
"""The gaps at which price coordination, and then the repairs, end."""
FEW_SWITCHES, SWITCHING_S = 20, 8.0
"""Up to so many stores whole powers are found by a mixed-integer programme, where the rounded ones are not near enough."""
PROVED = 1e-3
"""The gap up to which a schedule is called the optimum."""


@dataclass(frozen=True, slots=True, eq=False)
class Draft:
    """A first course of all stores, the prices it answers, and what no schedule undercuts."""

    net_kw: Table
    per_kwh: Series
    bound: float | None


def solve_fleet(problem: Problem, *, within_s: float = 10.0) -> Schedule:
    """Return the best schedule found for the many stores of ``problem`` within about ``within_s``. Never raises."""
    began = perf_counter()
    if len(problem.stores) <= FEW:
        return solve(problem, within_s=within_s)
    try:
        schedule = _planned(kept_apart(facts_of(problem)), began, within_s)
    except Exception:  # the optimizer's plan, or its rule, is better than none
        LOGGER.exception("The fleet's planning failed")
        schedule = None
    return schedule or solve(problem, within_s=within_s)


def _planned(facts: Facts, began: float, within_s: float) -> Schedule | None:
    if not facts.steps or not _plain(facts):
        return None
    found = _Fleet(facts, began + within_s).plan()
    if found is None:
        return None
    course, bound = found
    made = Made.OPTIMAL if bound is not None and course.gap(bound) <= PROVED else Made.IN_TIME
    return schedule_of(facts, course, made, bound, perf_counter() - began)


def _plain(facts: Facts) -> bool:
    """Tell whether all that the problem asks for is known here; the rest is for the optimizer, unless there are too many.

    The price of resting alone, a cent a day for a kWh, is not worth the optimizer's time.
    """
    return len(facts.packs) > WHOLE or not (facts.sold or any(p.converter.idle_w for p in facts.packs))


class _Fleet:
    """One problem on its way to a schedule."""

    def __init__(self, facts: Facts, until: float) -> None:
        self.facts, self.site, self.until = facts, with_one_store(facts), until
        self.cars = cars_of(facts)
        self.boards = Boards.of(facts, self.cars)

    @property
    def left_s(self) -> float:
        return max(self.until - perf_counter(), 0.01)

    def plan(self) -> tuple[Course, float | None] | None:
        """Return the best course and its bound."""
        draft = self._as_one() if self.cars.count <= WHOLE else self._by_prices()
        if draft is None or (best := self._repaired(draft)) is None:
            return None
        return best, None if draft.bound is None else draft.bound - self._tie_breaks()

    def _tie_breaks(self) -> float:
        """Return what the optimizer's preference for the earlier of two equal hours can make of a cost at most."""
        most = np.maximum(self.cars.charge_kw.sum(0), self.cars.discharge_kw.sum(0)) + 1
        return float(sooner(self.facts.hours) @ most)

    def _block(
        self,
        chosen: Places,
        net_kw: Table,
        allowed: tuple[Range, Range] | None = None,
    ) -> Block | None:
        """Plan the ``chosen`` again, and exactly, within ``allowed`` powers beside what the others do."""
        cars, own = self.cars.some(chosen), net_kw[chosen]
        return plan_block(
            self.site,
            cars,
            net_kw.sum(0) - own.sum(0),
            self.left_s,
            allowed,
            self.boards.around(chosen, net_kw),
        )

    def _as_one(self) -> Draft | None:
        block = self._block(np.arange(self.cars.count), np.zeros_like(self.cars.charge_kw))
        return None if block is None else Draft(block.net_kw, block.per_kwh, block.cost)

    def _by_prices(self) -> Draft | None:
        groups = groups_of(self.cars, GROUPS)
        start = self._first_prices(np.concatenate(groups))
        found: Coordination = coordinate(
            self.site, Asker(self.cars), groups, start, ROUNDS, NEAR, lambda: self.left_s
        )
        return Draft(
            whole_answers(found).astype(np.float64),
            found.per_kwh,
            found.bound if np.isfinite(found.bound) else None,
        )

    def _first_prices(self, order: Places) -> Duals:
        """Return the prices of a sample of the fleet on a site as much smaller."""
        size = min(LARGE_SAMPLE if self.cars.count > 2000 else SAMPLE, self.cars.count)
        share = size / self.cars.count
        sample = self.cars.some(order[((np.arange(size) + 0.5) / share).astype(np.int64)])
        block = plan_block(share_of(self.site, share), sample, np.zeros(self.facts.steps), self.left_s)
        if block is None:
            return Duals(self.facts.buy, -np.inf)
        alone = block.cost - float(Asker(sample).ask(block.per_kwh).cost.sum())
        return Duals(block.per_kwh, alone / share)

    def _repaired(self, draft: Draft) -> Course | None:
        """Return the draft in whole powers, block after block planned exactly until it is near its bound or time is up."""
        net, per_kwh = draft.net_kw.copy(), draft.per_kwh
        best: Course | None = None
        for turn, chosen in enumerate(self._blocks(net)):
            free = self._block(chosen, net) if turn or self.boards.bind else None
            if free is not None:
                net[chosen], per_kwh = free.net_kw, free.per_kwh
            if (turn + 1) % self.boards.turns:
                continue
            course = self._whole(net, per_kwh, chosen)
            if course is not None and (best is None or course.objective < best.objective):
                best = course
            if best is not None and (
                draft.bound is None or best.gap(draft.bound) <= NEAR_ENOUGH or self.left_s < 0.1
            ):
                break
        return self._switched(draft, best) or best

    def _switched(self, draft: Draft, best: Course | None) -> Course | None:
        """Return a better course of a few stores than ``best``, if there is one."""
        near = best is not None and draft.bound is not None and best.gap(draft.bound) <= NEAR_ENOUGH
        if near or self.boards.bind or self.cars.count > FEW_SWITCHES:
            return None
        zero, within_s = np.zeros(self.facts.steps), min(self.left_s, SWITCHING_S)
        block = plan_block(self.site, self.cars, zero, within_s, gap=NEAR)
        if block is None:
            return None
        course = self._whole(block.net_kw, draft.per_kwh, np.arange(self.cars.count))
        return course if course and (best is None or course.objective < best.objective) else None

    def _blocks(self, net_kw: Table) -> Iterator[Places]:
        """Yield the stores to be planned together next: boards where they bind, else those with most to move."""
        if self.boards.bind:
            yield from islice(cycle(self.boards.blocks(BLOCK)), 3 * self.boards.turns)
            return
        if self.cars.count <= WHOLE:
            yield from [np.arange(self.cars.count)] * 2
            return
        busy = np.argsort(-(np.abs(net_kw) > self.cars.charge_min_kw[:, None]).sum(1), kind="stable")
        blocks = [busy[first : first + BLOCK] for first in range(0, self.cars.count, BLOCK)]
        yield from [*blocks, blocks[0]]

    def _whole(self, net_kw: Table, per_kwh: Series, chosen: Places) -> Course | None:
        """Return the course of whole powers next to ``net_kw``; what that costs the site, ``chosen`` balance."""
        lifted = lift(self.cars, net_kw, per_kwh)
        for part in self.boards.blocks(BLOCK) if self.boards.bind else [chosen]:
            block = self._block(part, lifted, as_switched(self.cars.some(part), lifted[part]))
            if block is not None:
                lifted[part] = block.net_kw
        return course_of(self.facts, self.site, self.cars, lifted, per_kwh)
