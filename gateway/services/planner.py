"""When to plan: at each quarter of an hour, and soon after prices, wishes, calls, forecasts, cars or charges have changed.

The solving is done in a process of its own. Changes that come together make one plan, and a plan that was asked for under
older wishes is thrown away: the question is put again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from gateway.api.site import Handed, Outlook
from gateway.config import SiteConfig
from gateway.faults import FaultCode, Unreachable
from gateway.ledger.means import QUARTER_S, QuarterMean
from gateway.model import DeviceId, EnergyTotals, MeterRole, Plan, Snapshot, Trip, Wishes
from gateway.planning.question import Answer, Expected, Past, Question, SiteFacts
from gateway.services.fault_board import FaultBoard
from gateway.services.forecasts import Forecasts
from gateway.services.prices import Prices
from gateway.services.score import ForecastScores
from gateway.services.solver import IDLE_S, SolverProcess

LOGGER = logging.getLogger(__name__)

LOOK_S = 1.0
SETTLE_S = 2.0
"""Changes seldom come alone: so long is waited for the others."""
APART_S = 5.0
"""From one solve to the next, but for new wishes."""
RETRY_S = 60.0
"""After the optimiser has failed."""
SURPRISE_PCT = 5.0
"""A charge so far from the plan's calls for a new one."""
SURPRISE_W, SURPRISE_SHARE, WATCHED_S = 1000.0, 0.5, 240.0
"""So does a house that drew, for minutes, so much more or less than was expected."""
PAST = timedelta(days=45)
TRIPS = 200


class Remembered(Protocol):
    """What the planner needs of the journal."""

    def means(self, start: datetime, end: datetime) -> list[QuarterMean]:
        """Return the house's and the sun's means of past quarters."""

    def mean_now(self, least_s: float) -> QuarterMean | None:
        """Return the mean of the quarter under way."""

    def trips(self, charger: DeviceId | None, limit: int) -> list[Trip]:
        """Return the newest trips."""

    def used_since(self, device: DeviceId, start: datetime) -> EnergyTotals:
        """Return the energy since ``start``, as far back as it is known."""


class Solving(Protocol):
    """Who answers questions."""

    @property
    def running(self) -> bool:
        """Tell whether the process is up."""

    async def ask(self, question: Question) -> Answer:
        """Return the answer. Raises Unreachable."""

    async def close(self) -> None:
        """End the process."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What a plan rests on, each part comparable with what is now; the order is that in which a cause is named."""

    wishes: object
    calls: object
    cars: object
    prices: int
    forecasts: int
    quarter: int


CAUSES = {
    "wishes": "wishes changed",
    "calls": "the utility called",
    "cars": "a car came or left",
    "prices": "new prices",
    "forecasts": "a new forecast",
    "quarter": "quarter of an hour",
}


class Planner:
    """Keeps ``plan`` and what it ``expected``; ``changed`` is called when they are replaced."""

    def __init__(
        self,
        config: SiteConfig,
        prices: Prices,
        forecasts: Forecasts,
        past: Remembered,
        known: Callable[[], tuple[Snapshot | None, Wishes]],
        changed: Callable[[], None],
        clock: Callable[[], datetime],
        faults: FaultBoard | None = None,
        solver: Solving | None = None,
    ) -> None:
        self._facts = SiteFacts(
            config.grid,
            config.circuits,
            config.reserve,
            config.planning,
            config.tariff,
            config.site.time_zone,
        )
        self._prices = prices
        self._forecasts = forecasts
        self._past = past
        self._known = known
        self._changed = changed
        self._clock = clock
        self._faults = faults or FaultBoard(clock)
        self._solver: Solving = solver or SolverProcess()
        self._seen: Seen | None = None
        self._began: Mapping[DeviceId, float] = {}
        self._surprised: int = 0
        self._failed = self._gap = False
        self._scores = ForecastScores()
        self.plan: Plan | None = None
        self.expected = Expected()

    async def run(self) -> None:
        """Plan until cancelled; a mistake in planning must not take the owner's interface down."""
        loop = asyncio.get_running_loop()
        solved_at = -APART_S
        try:
            while True:
                pause_s = LOOK_S
                try:
                    if because := self.due():
                        await asyncio.sleep(max(SETTLE_S, solved_at + APART_S - loop.time()))
                        pause_s = LOOK_S if await self.replan(because) else RETRY_S
                        solved_at = loop.time()
                except Exception:
                    LOGGER.exception("planning failed; the last plan holds until it expires")
                    pause_s = RETRY_S
                if self._solver.running and loop.time() - solved_at > IDLE_S:
                    await self._solver.close()
                await asyncio.sleep(pause_s)
        finally:
            await self._solver.close()

    def outlook(self) -> Outlook:
        """Return what the plan rests on, for clients."""
        told, utc = self._forecasts.told, self._clock()
        coming = tuple(s for s in told.solar if s.ends_at > utc)
        return Outlook(
            self.expected.load_w,
            self.expected.pv_w,
            self._scores.scores(),
            Handed(coming, told.load, told.carbon, told.trips),
        )

    def due(self) -> str:
        """Return why a new plan is needed now, "" while the last one will do."""
        self._prices.refresh()
        seen = self._look()
        if seen is None:
            return ""
        if self._seen is None:
            return "start"
        for part, cause in CAUSES.items():
            if getattr(seen, part) != getattr(self._seen, part):
                return cause
        return self._surprise()

    async def replan(self, because: str) -> bool:
        """Ask for a plan until one answers the wishes of now; return False when the optimiser fails, which leaves the old one."""
        while True:
            asked, question = self._look(), self._question(because)
            if asked is None or question is None:
                return True
            try:
                answer = await self._solver.ask(question)
            except Unreachable as error:
                self._fail(str(error))
                return False
            now = self._look()
            if now is None or (now.wishes, now.calls) == (asked.wishes, asked.calls):
                break
            because = CAUSES["wishes"] if now.wishes != asked.wishes else CAUSES["calls"]
        self._seen = asked
        self._take(answer, question)
        return True

    def _take(self, answer: Answer, question: Question) -> None:
        if self._failed:
            self._failed = False
            LOGGER.info("the optimiser answers again")
        self._began = _charges(question.snapshot)
        self._tell_gaps(answer.plan)
        self.plan, self.expected = answer.plan, answer.expected
        if answer.plan is not None:
            self._scores.expected(answer.plan, answer.expected)
        self._changed()

    def _fail(self, problem: str) -> None:
        """The old plan holds until it expires; then cars are charged as they come, and the house lives of its own energy."""
        if not self._failed:
            LOGGER.warning("%s; keeping the old plan", problem)
        self._failed = True
        self._faults.fault(FaultCode.PLAN_STALE, problem)

    def _tell_gaps(self, plan: Plan | None) -> None:
        """Where prices are expected, tell that none is known for now, until one is."""
        gap = plan is not None and "price_unknown" in plan.notes and self._prices.wanted
        if gap and not self._gap:
            LOGGER.warning("no price is known for this hour")
        elif self._gap and not gap:
            LOGGER.info("a price is known again")
        self._gap = gap
        if gap:
            self._faults.fault(FaultCode.PLAN_STALE, "no price is known for this hour; it is guessed")
        else:
            self._faults.clear(FaultCode.PLAN_STALE)

    def _question(self, because: str) -> Question | None:
        snapshot, wishes = self._known()
        if snapshot is None:
            return None
        utc = self._clock()
        told = self._forecasts.told
        means = self._past.means(utc - PAST, utc)
        self._scores.came(means[-8:])
        return Question(
            snapshot,
            wishes,
            self._facts,
            because,
            self._prices.slots,
            imported_wh=self._imported_wh(snapshot, utc),
            solar=told.solar,
            load=told.load,
            carbon=told.carbon,
            trips=told.trips,
            past=_past(means, self._past.mean_now(WATCHED_S)),
            driven=tuple(self._past.trips(None, TRIPS)),
        )

    def _imported_wh(self, snapshot: Snapshot, utc: datetime) -> float:
        """Return what was imported this month by the clock on the wall, where the tariff has tiers that ask for it."""
        tariff = self._facts.tariff
        meter = next((d.id for d in snapshot.devices.values() if d.role is MeterRole.GRID), None)
        if tariff is None or not tariff.tiers or meter is None:
            return 0.0
        local = utc.astimezone(ZoneInfo(self._facts.time_zone))
        return self._past.used_since(
            meter, local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        ).in_wh

    def _look(self) -> Seen | None:
        snapshot, wishes = self._known()
        if snapshot is None:
            return None
        return Seen(
            (wishes.owner, wishes.needs, wishes.reserves, wishes.requests),
            frozenset((w.kind, w.value, w.event_id, w.ends_at) for w in wishes.windows),
            tuple((d, s is not None and s.plugged) for d, s in snapshot.evses.items()),
            self._prices.version,
            self._forecasts.version,
            int(self._clock().timestamp() // QUARTER_S),
        )

    def _surprise(self) -> str:
        """Return what has turned out otherwise than planned; a house that surprises does so once in a quarter of an hour."""
        snapshot, _ = self._known()
        plan, utc = self.plan, self._clock()
        index = (
            next((n for n, s in enumerate(plan.slots) if s.starts_at <= utc < s.ends_at), None)
            if plan
            else None
        )
        if plan is None or index is None or snapshot is None:
            return ""
        slot = plan.slots[index]
        begin = plan.slots[index - 1].soc_pct if index else self._began
        share = (utc - slot.starts_at) / (slot.ends_at - slot.starts_at)
        for device, soc_pct in _charges(snapshot).items():
            if device in slot.soc_pct and device in begin:
                planned_pct = begin[device] + share * (slot.soc_pct[device] - begin[device])
                if abs(soc_pct - planned_pct) > SURPRISE_PCT:
                    return "a charge is not as planned"
        mean, quarter = self._past.mean_now(WATCHED_S), int(utc.timestamp() // QUARTER_S)
        if mean is None or self._surprised == quarter or index >= len(self.expected.load_w):
            return ""
        expected_w = self.expected.load_w[index] - self.expected.pv_w[index]
        off_w = mean.load_w - (mean.pv_w or 0.0) - expected_w
        if abs(off_w) > max(SURPRISE_W, SURPRISE_SHARE * abs(expected_w)):
            self._surprised = quarter
            return "the house is not as expected"
        return ""


def _charges(snapshot: Snapshot) -> dict[DeviceId, float]:
    """Return every SoC that is known."""
    charges = {d: s.soc_pct for d, s in snapshot.storages.items() if s is not None}
    for device, sample in snapshot.evses.items():
        if sample is not None and sample.vehicle is not None and sample.vehicle.soc_pct is not None:
            charges[device] = sample.vehicle.soc_pct
    return charges


def _past(means: list[QuarterMean], now: QuarterMean | None) -> Past | None:
    """Return the quarters as one series, NaN in its gaps; the one under way counts as far as it went."""
    known = {m.utc: m for m in ([*means, now] if now else means)}
    if not known:
        return None
    first, last = min(known), max(known)
    count = round((last - first).total_seconds() / QUARTER_S) + 1
    quarters = [known.get(first + timedelta(seconds=QUARTER_S * n)) for n in range(count)]
    nan = float("nan")
    return Past(
        first,
        tuple(q.load_w if q else nan for q in quarters),
        tuple(nan if q is None or q.pv_w is None else q.pv_w for q in quarters),
    )
