"""Pure: what the car at each EVSE still has to take before it leaves, and how little time it has left for that.

A need is told (``Wishes.needs``), or follows from the owner's departure and target where the car's SoC is known. A told one
counts down by the energy that the EVSE took since it was told; met, it stays until the car leaves, so that it is kept met.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from datetime import time as clock
from functools import cache
from zoneinfo import ZoneInfo

from msgspec import Struct

from gateway.model import DeviceId, DeviceSettings, EvseSample, Need, Snapshot, Urgency

EFFICIENCY = 0.9
"""AC to pack, on the cautious side."""
SLACK = timedelta(minutes=10)
"""A car is ready this long before it leaves: clocks, tapering, a walk to the car."""
PRESSING, RELAXED = 1.0, 0.9
"""Rank from which on charging cannot wait, and below which it may wait again."""
LONGEST_STEP_S = 10.0
MODEST_W = 3_700.0
"""Stands in for a power that nobody tells."""


class Count(Struct, frozen=True, gc=False):
    """A told need and what was taken since; ``at`` and ``power_w`` are of the last sample counted."""

    need: Need
    taken_wh: float
    at: float
    power_w: float


@dataclass(frozen=True, slots=True)
class Needs:
    """What is remembered from tick to tick, and what follows from it now."""

    told: Mapping[DeviceId, Count] = field(default_factory=dict)
    urgencies: Mapping[DeviceId, Urgency] = field(default_factory=dict)


def follow(before: Needs, snapshot: Snapshot, time_zone: str) -> Needs:
    """Return the needs after ``snapshot``: a new one starts with nothing taken, one whose car should have left is forgotten."""
    told = _counted(before.told, snapshot)
    pressing = {d for d, u in before.urgencies.items() if u.must_w > 0}
    return Needs(told, _urgencies(snapshot, told, pressing, time_zone))


def _counted(before: Mapping[DeviceId, Count], snapshot: Snapshot) -> dict[DeviceId, Count]:
    counts: dict[DeviceId, Count] = {}
    for need in snapshot.wishes.needs:
        if need.departs_at <= snapshot.utc:
            continue
        was, sample = before.get(need.device), snapshot.evses.get(need.device)
        if was is None or (was.need is not need and was.need != need):
            at, power_w = (sample.at, sample.power_w) if sample else (snapshot.at, 0.0)
            counts[need.device] = Count(need, 0.0, at, power_w)
        elif sample is None or sample.at <= was.at:
            counts[need.device] = was
        else:
            elapsed_s = min(sample.at - was.at, LONGEST_STEP_S)
            moved_wh = (was.power_w + sample.power_w) / 2 * elapsed_s / 3600
            counts[need.device] = Count(need, was.taken_wh + moved_wh, sample.at, sample.power_w)
    return counts


def _urgencies(
    snapshot: Snapshot, told: Mapping[DeviceId, Count], pressing: AbstractSet[DeviceId], time_zone: str
) -> dict[DeviceId, Urgency]:
    found: dict[DeviceId, Urgency] = {}
    ready_by = snapshot.utc + SLACK
    for device, sample in snapshot.evses.items():
        if sample is None or not sample.plugged:
            continue
        if (count := told.get(device)) is not None:
            need_wh, departs_at = count.need.energy_wh - count.taken_wh, count.need.departs_at
        else:
            settings = snapshot.wishes.owner.of(device)
            if settings.departure is None:
                continue
            need_wh = _lacking_wh(sample, settings)
            departs_at = _next(settings.departure, snapshot.utc, time_zone)
        left_h = (departs_at - ready_by).total_seconds() / 3600
        if need_wh > 0:
            most_w = sample.charge_max_w or snapshot.devices[device].rated.max_w or MODEST_W
            rank = min(1.0, need_wh / most_w / left_h) if left_h > 0 else 1.0
            # While the car could still be filled at full power later, nothing has to flow now.
            must = rank >= (RELAXED if device in pressing else PRESSING)
            found[device] = Urgency(most_w if must else 0.0, rank, need_wh, departs_at)
        elif count is not None:
            found[device] = Urgency(0.0, 0.0 if left_h > 0 else 1.0, 0.0, departs_at)
    return found


def _lacking_wh(sample: EvseSample, settings: DeviceSettings) -> float:
    car = sample.vehicle
    if car is None or car.soc_pct is None or not car.capacity_wh:
        return 0.0
    return max(0.0, settings.target_soc_pct - car.soc_pct) / 100 * car.capacity_wh / EFFICIENCY


_zone = cache(ZoneInfo)


def _next(departure: clock, utc: datetime, time_zone: str) -> datetime:
    """Return the next instant at which the clock on the wall shows ``departure``."""
    local = utc.astimezone(_zone(time_zone))
    today = datetime.combine(local.date(), departure, local.tzinfo)
    return (
        today
        if today > local
        else datetime.combine(today.date() + timedelta(days=1), departure, local.tzinfo)
    )
