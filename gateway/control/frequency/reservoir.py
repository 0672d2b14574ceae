"""Pure: the energy behind a reserve: what may be used of it, what is in it, and the recharge that keeps it there.

Recharge is an offset to the response, decided a quarter of an hour ahead and at most a share of the sold power; no limit above
0.1 kW/kW does better (reference/optimize.md 5). It leaves small wanderings alone, and the dead band helps: on real frequency the
charge then stays within 0.18 kWh per kW sold, for half the energy that chasing every watt-hour moves.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import floor
from zoneinfo import ZoneInfo

from gateway.control.frequency.products import Product
from gateway.model import DeviceId, DeviceKind, EvseSample, ReserveWindow, Snapshot, StorageSample

EFFICIENCY = 0.94
"""One way; 88 % there and back (reference/optimize.md 5)."""
LOWEST_SOC_PCT, HIGHEST_SOC_PCT = 10.0, 95.0
"""Near empty and full no battery keeps its power."""
MARGIN_PCT = 1.0
"""What one step of a car's state of charge may hide."""
QUARTER_S = 900.0
AHEAD = 1
"""Quarters of an hour between the decision for an offset and its beginning."""
TOLERATED_WH_PER_W = 0.05
"""Of what was sold: so far the charge may wander before it is put right."""
SWING_WH_PER_W = 0.25
RAMP_S = 60.0
"""From no offset to the largest."""


@dataclass(frozen=True, slots=True)
class Reservoir:
    """Energy in one device, in Wh; what lies outside ``floor_wh`` to ``ceiling_wh`` is the owner's."""

    stored_wh: float
    floor_wh: float
    ceiling_wh: float
    capacity_wh: float


def reservoir_of(snapshot: Snapshot, device: DeviceId, ends_at: datetime) -> Reservoir | None:
    """Return the energy that a device may use until a window ends; None while its charge or its size is unknown."""
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    soc, capacity_wh, low, high = _charge(snapshot, device, sample)
    if soc is None or not capacity_wh:
        return None
    settings = snapshot.wishes.owner.of(device)
    stored_wh = capacity_wh * soc / 100
    floor_wh = capacity_wh * max(low, settings.floor_soc_pct + MARGIN_PCT) / 100
    if (still := _still_needed(snapshot, device)) is not None:
        # What the time between the window's end and the departure cannot bring must be in the car already.
        need_wh, departs_at = still
        hours = max(0.0, (departs_at - ends_at).total_seconds() / 3600)
        late_wh = EFFICIENCY * (need_wh - hours * (sample.charge_max_w if sample else 0.0))
        floor_wh = max(floor_wh, stored_wh + late_wh)
    return Reservoir(stored_wh, floor_wh, capacity_wh * high / 100, capacity_wh)


def _still_needed(snapshot: Snapshot, device: DeviceId) -> tuple[float, datetime] | None:
    """Return the AC energy that a car still has to take, and when it leaves."""
    if (urgency := snapshot.control.urgencies.get(device)) is not None:
        return urgency.need_wh, urgency.departs_at
    told = (n for n in snapshot.wishes.needs if n.device == device and snapshot.utc < n.departs_at)
    return next(((n.energy_wh, n.departs_at) for n in told), None)


def _charge(
    snapshot: Snapshot, device: DeviceId, sample: StorageSample | EvseSample | None
) -> tuple[float | None, float | None, float, float]:
    """SoC, capacity, and the lowest and highest SoC that the device itself has."""
    rated_wh = snapshot.devices[device].capacity_wh
    if isinstance(sample, StorageSample):
        return sample.soc_pct, sample.capacity_wh or rated_wh, LOWEST_SOC_PCT, HIGHEST_SOC_PCT
    if sample is None or sample.vehicle is None:
        return None, None, LOWEST_SOC_PCT, HIGHEST_SOC_PCT
    car, known = sample.vehicle, snapshot.vehicles.get(device)
    capacity_wh = (known.capacity_wh if known else None) or car.capacity_wh or rated_wh
    low = max(LOWEST_SOC_PCT, car.min_discharge_soc_pct or 0.0)
    return car.soc_pct, capacity_wh, low, min(HIGHEST_SOC_PCT, car.max_charge_soc_pct or HIGHEST_SOC_PCT)


def leaves_inside(snapshot: Snapshot, device: DeviceId, window: ReserveWindow, time_zone: str) -> bool:
    """Tell whether the car leaves before the window has ended."""
    if snapshot.devices[device].kind is not DeviceKind.EVSE:
        return False
    if any(
        n.device == device and snapshot.utc <= n.departs_at < window.ends_at for n in snapshot.wishes.needs
    ):
        return True
    departure = snapshot.wishes.owner.of(device).departure
    if departure is None:
        return False
    here = snapshot.utc.astimezone(ZoneInfo(time_zone))
    leaves = here.replace(
        hour=departure.hour, minute=departure.minute, second=departure.second, microsecond=0
    )
    if leaves < here:
        leaves += timedelta(days=1)
    return leaves < window.ends_at


def sustained_w(reservoir: Reservoir, product: Product, minutes: float) -> float:
    """Return the power that the reservoir can sustain for so long in the product's directions."""
    hours = minutes / 60
    out_w = EFFICIENCY * (reservoir.stored_wh - reservoir.floor_wh) / hours
    in_w = (reservoir.ceiling_wh - reservoir.stored_wh) / EFFICIENCY / hours
    return max(0.0, min(out_w if product.up else in_w, in_w if product.down else out_w))


def exhausted(reservoir: Reservoir, product: Product) -> bool:
    """Tell whether nothing is left in a direction that was sold."""
    return (product.up and reservoir.stored_wh <= reservoir.floor_wh) or (
        product.down and reservoir.stored_wh >= reservoir.ceiling_wh
    )


@dataclass(frozen=True, slots=True)
class Recharge:
    """``stored_wh`` of all devices together, counted between the steps in which they tell it; ``planned`` are the offsets of
    the coming quarters of an hour, by their number."""

    stored_wh: float
    target_wh: float
    tolerated_wh: float
    at: float
    offset_w: float = 0.0
    planned: tuple[tuple[int, float], ...] = ()


def begun(reservoir: Reservoir, product: Product, sold_w: float, minutes: float, at: float) -> Recharge:
    """Return the recharge of a reserve that is armed now: it keeps the charge found, as far as the reservoir allows."""
    needed_wh = sold_w * minutes / 60
    low_wh = reservoir.floor_wh + (needed_wh / EFFICIENCY if product.up else 0.0)
    high_wh = reservoir.ceiling_wh - (needed_wh * EFFICIENCY if product.down else 0.0)
    swing_wh = min(SWING_WH_PER_W * sold_w, max(0.0, (high_wh - low_wh) / 2))
    target_wh = min(max(reservoir.stored_wh, low_wh + swing_wh), high_wh - swing_wh)
    return Recharge(reservoir.stored_wh, target_wh, TOLERATED_WH_PER_W * sold_w, at)


def followed(
    recharge: Recharge,
    reservoir: Reservoir,
    delivered_w: float,
    most_w: float,
    at: float,
    utc: datetime,
    allowed: float = 1.0,
) -> Recharge:
    """Count what was delivered, decide when a quarter of an hour begins, and move the offset.

    ``most_w`` bounds it, and of that the share ``allowed`` while an event is recovered from.
    """
    elapsed_s = min(max(0.0, at - recharge.at), 10.0)
    moved_wh = delivered_w * elapsed_s / 3600
    counted_wh = recharge.stored_wh + (moved_wh * EFFICIENCY if moved_wh > 0 else moved_wh / EFFICIENCY)
    slack_wh = reservoir.capacity_wh * MARGIN_PCT / 100
    stored_wh = min(max(counted_wh, reservoir.stored_wh - slack_wh), reservoir.stored_wh + slack_wh)
    now = floor(utc.timestamp() / QUARTER_S)
    planned = tuple(p for p in recharge.planned if now <= p[0] <= now + AHEAD)
    if all(number != now + AHEAD for number, _ in planned):
        coming_wh = sum(power_w for _, power_w in planned) * QUARTER_S / 3600
        missing_wh = recharge.target_wh - stored_wh - coming_wh
        wanted_w = missing_wh / (QUARTER_S / 3600) if abs(missing_wh) > recharge.tolerated_wh else 0.0
        planned = (*planned, (now + AHEAD, min(max(wanted_w, -most_w), most_w)))
    due_w = next((power_w for number, power_w in planned if number == now), 0.0)
    due_w = min(max(due_w, -allowed * most_w), allowed * most_w)
    step_w = most_w * elapsed_s / RAMP_S
    offset_w = min(max(due_w, recharge.offset_w - step_w), recharge.offset_w + step_w)
    return replace(recharge, stored_wh=stored_wh, at=at, offset_w=offset_w, planned=planned)
