"""When to plan: every quarter of an hour, and at once when prices, wishes or a car's presence change."""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.config import PricesTable
from gateway.faults import FaultCode, Theirs
from gateway.model import DeviceId, OwnerSettings, Plan, PriceSlot, Snapshot
from gateway.planning.cheapest_hours import make_plan, trips_of
from gateway.planning.prices import read_prices
from gateway.services.fault_board import FaultBoard

LOGGER = logging.getLogger(__name__)

REPLAN_S = 900.0
LOOK_S = 10.0


class Prices:
    """The price series of the site, read again when its file changes."""

    def __init__(self, table: PricesTable | None) -> None:
        self._table = table
        self._read_at = 0.0
        self._lost = False
        self.slots: tuple[PriceSlot, ...] = ()

    def refresh(self) -> bool:
        """Read the file if it is newer; return whether the series changed. A bad file leaves the old series."""
        if self._table is None:
            return False
        try:
            changed_at = self._table.file.stat().st_mtime
            if changed_at == self._read_at:
                return False
            self.slots = read_prices(self._table.file)
            self._read_at = changed_at
        except (OSError, Theirs) as error:
            if not self._lost:
                LOGGER.warning("prices: %s; keeping the old ones", error)
            self._lost = True
            return False
        if self._lost:
            LOGGER.info("prices: readable again")
        self._lost = False
        return True

    def window(self, start: datetime, end: datetime) -> tuple[PriceSlot, ...]:
        """Return the slots that overlap ``[start, end)``."""
        return tuple(s for s in self.slots if s.starts_at < end and s.ends_at > start)


class Planner:
    """Keeps ``plan``; ``changed`` is called when it is replaced."""

    def __init__(
        self,
        prices: Prices,
        zone: ZoneInfo,
        known: Callable[[], tuple[Snapshot | None, OwnerSettings]],
        changed: Callable[[], None],
        clock: Callable[[], datetime],
        faults: FaultBoard | None = None,
    ) -> None:
        self._prices = prices
        self._zone = zone
        self._known = known
        self._changed = changed
        self._clock = clock
        self._faults = faults or FaultBoard(clock)
        self._seen: object = None
        self._made_at: datetime | None = None
        self._gap = False
        self.plan: Plan | None = None

    async def run(self) -> None:
        """Look every 10 s until cancelled; a mistake in planning must not take the owner's interface down."""
        while True:
            try:
                self.look()
            except Exception:
                LOGGER.exception("planning failed; the last plan holds until it expires")
            await asyncio.sleep(LOOK_S)

    def look(self) -> None:
        """Plan again if something that the plan rests on has changed, or the plan is old."""
        utc = self._clock()
        fresh_prices = self._prices.refresh()
        snapshot, owner = self._known()
        if snapshot is None:
            return
        cars = _cars(snapshot)
        departures: dict[DeviceId, tuple[time, float, float]] = {
            d: (s.departure, s.target_soc_pct, s.floor_soc_pct)
            for d in cars
            if (s := owner.of(d)).departure is not None
        }
        self._tell_gaps(bool(departures), utc)
        seen = (tuple(cars), tuple(departures.items()), owner.control_on)
        age_s = (utc - self._made_at).total_seconds() if self._made_at else REPLAN_S
        old = not 0 <= age_s < REPLAN_S
        if not (fresh_prices or old or seen != self._seen):
            return
        because = (
            "new prices" if fresh_prices else "wishes changed" if seen != self._seen else "quarter of an hour"
        )
        self._seen, self._made_at = seen, utc
        trips = trips_of(cars, departures, utc, self._zone)
        self.plan = make_plan(f"{utc:%Y%m%dT%H%M%SZ}", because, utc, self._prices.slots, trips)
        self._changed()

    def _tell_gaps(self, wanted: bool, utc: datetime) -> None:
        """A car is to leave and no price is known for now: it is charged as late as it may, and its owner told."""
        gap = wanted and not self._prices.window(utc, utc + timedelta(minutes=1))
        if gap:
            text = "no price is known for this hour; cars are charged as late as they may"
            self._faults.fault(FaultCode.PLAN_STALE, text)
            if not self._gap:
                LOGGER.warning("%s", text)
        elif self._gap:
            self._faults.clear(FaultCode.PLAN_STALE)
            LOGGER.info("a price is known again")
        self._gap = gap


def _cars(snapshot: Snapshot) -> dict[DeviceId, tuple[float, float, float]]:
    """Plugged cars whose SoC is known: (SoC %, capacity Wh, charge power W)."""
    cars: dict[DeviceId, tuple[float, float, float]] = {}
    for device, sample in snapshot.evses.items():
        if sample is None or sample.vehicle is None or sample.vehicle.soc_pct is None:
            continue
        rated_w = snapshot.devices[device].rated.max_w
        cars[device] = (
            sample.vehicle.soc_pct,
            sample.vehicle.capacity_wh or 36_000.0,
            sample.charge_max_w or rated_w,
        )
    return cars
