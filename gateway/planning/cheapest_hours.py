"""Pure: charge each car in the cheapest time before it leaves; everything else is left to self-consumption."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.model import DeviceId, Plan, PlanSlot, PriceSlot

STEP = timedelta(minutes=15)
VALID_FOR = timedelta(hours=2)
"""A plan is remade every quarter of an hour; one that is not remade is not trusted longer than this."""
CHARGE_EFFICIENCY = 0.9
HOLD = timedelta(hours=6)
"""So long before it leaves a car no longer runs the house; longer where refilling it from its floor takes longer."""


@dataclass(frozen=True, slots=True)
class Trip:
    """A car that must hold ``need_wh`` more in its battery at ``leaves_at``, and the AC power that it can charge with.

    ``deepest_wh`` is what it would need if it had run the house down to its floor.
    """

    device: DeviceId
    leaves_at: datetime
    need_wh: float
    power_w: float
    deepest_wh: float = 0.0

    @property
    def hold(self) -> timedelta:
        """How long before leaving the car must no longer be discharged."""
        if self.power_w <= 0:
            return HOLD
        return max(HOLD, timedelta(hours=self.deepest_wh / (self.power_w * CHARGE_EFFICIENCY)))


def next_departure(departure: time, utc: datetime, zone: ZoneInfo) -> datetime:
    """Return the next instant, in UTC, at which the clock of ``zone`` shows ``departure``."""
    local = utc.astimezone(zone)
    today = datetime.combine(local.date(), departure, zone)
    if today.astimezone(utc.tzinfo) <= utc:
        today = datetime.combine(local.date() + timedelta(days=1), departure, zone)
    return today.astimezone(utc.tzinfo)


def make_plan(
    plan_id: str, because: str, utc: datetime, prices: Sequence[PriceSlot], trips: Sequence[Trip]
) -> Plan | None:
    """Return the plan of all trips, None when there is nothing to plan.

    Where no price is known a slot counts as dearer than any that is: charging is then late, never missing.
    """
    orders = {t.device: _charge_times(t, utc, prices) for t in trips}
    if not orders:
        return None
    start = utc.replace(minute=utc.minute // 15 * 15, second=0, microsecond=0)
    slots = []
    for index in range(int((max(t.leaves_at for t in trips) - start) / STEP) + 1):
        starts_at = start + index * STEP
        powers_w: dict[DeviceId, float] = {}
        reasons: dict[DeviceId, str] = {}
        for trip in trips:
            chosen = orders[trip.device]
            if starts_at >= trip.leaves_at:
                continue
            if starts_at in chosen:
                powers_w[trip.device], reasons[trip.device] = trip.power_w, "cheap_hours"
            elif starts_at + STEP > trip.leaves_at - trip.hold:
                powers_w[trip.device], reasons[trip.device] = 0.0, "ready_for_departure"
        slots.append(PlanSlot(starts_at, starts_at + STEP, None, powers_w, reasons))
    return Plan(plan_id, utc, utc + VALID_FOR, because, tuple(slots))


def _charge_times(trip: Trip, utc: datetime, prices: Sequence[PriceSlot]) -> frozenset[datetime]:
    if trip.need_wh <= 0 or trip.power_w <= 0:
        return frozenset()
    start = utc.replace(minute=utc.minute // 15 * 15, second=0, microsecond=0)
    steps = [start + i * STEP for i in range(max(0, -((start - trip.leaves_at) // STEP)))]
    dearest = max((p.import_per_kwh for p in prices), default=0.0) + 1.0
    cost = {
        s: next((p.import_per_kwh for p in prices if p.starts_at <= s < p.ends_at), dearest) for s in steps
    }
    chosen, left_wh = set[datetime](), trip.need_wh
    for step in sorted(steps, key=lambda s: (cost[s], -s.timestamp())):
        if left_wh <= 0:
            break
        usable = min(step + STEP, trip.leaves_at) - max(step, utc)
        left_wh -= trip.power_w * CHARGE_EFFICIENCY * usable.total_seconds() / 3600
        chosen.add(step)
    return frozenset(chosen)


def trips_of(
    cars: Mapping[DeviceId, tuple[float, float, float]],
    departures: Mapping[DeviceId, tuple[time, float, float]],
    utc: datetime,
    zone: ZoneInfo,
) -> tuple[Trip, ...]:
    """Return the trips of plugged cars.

    ``cars``: id → (SoC %, capacity Wh, charge W); ``departures``: id → (time, target %, floor %).
    """
    return tuple(
        Trip(
            d,
            next_departure(departures[d][0], utc, zone),
            max(0.0, departures[d][1] - soc) / 100 * wh,
            power_w,
            max(0.0, departures[d][1] - departures[d][2]) / 100 * wh,
        )
        for d, (soc, wh, power_w) in cars.items()
        if d in departures
    )
