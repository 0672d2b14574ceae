"""Pure: when the car of a charger is expected to be away, and what it must hold when it leaves."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, time, timedelta
from statistics import median
from zoneinfo import ZoneInfo

from gateway.model import DeviceId, DeviceSettings, Need, ToldTrip, Trip

ABSENCE = timedelta(hours=10)
"""Where no trip tells how long the car stays away."""
LEAST_TRIPS = 3
APART = timedelta(hours=3)
"""Two announcements this near to each other mean the same departure."""


@dataclass(frozen=True, slots=True)
class Journey:
    """One absence. ``target_wh`` is what the pack should hold at ``leaves_at``, ``energy_wh`` what the journey takes out of it."""

    leaves_at: datetime
    returns_at: datetime
    target_wh: float
    energy_wh: float = 0.0
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Habit:
    """What the car's trips were like; the defaults hold while too few are known."""

    absence: timedelta = ABSENCE
    energy_wh: float = 0.0


def habit(driven: Iterable[Trip], charger: DeviceId) -> Habit:
    """Return the middle of the car's ended trips."""
    ended = [t for t in driven if t.charger == charger and t.returned_at is not None]
    if len(ended) < LEAST_TRIPS:
        return Habit()
    seconds = median((t.returned_at - t.left_at).total_seconds() for t in ended if t.returned_at)
    used_wh = [max(0.0, t.energy_wh) for t in ended if t.energy_wh is not None]
    return Habit(timedelta(seconds=seconds), median(used_wh) if used_wh else 0.0)


def next_departure(departure: time, utc: datetime, zone: ZoneInfo) -> datetime:
    """Return the next instant, in UTC, at which the clock of ``zone`` shows ``departure``."""
    local = utc.astimezone(zone)
    today = datetime.combine(local.date(), departure, zone)
    if today.astimezone(utc.tzinfo) <= utc:
        today = datetime.combine(local.date() + timedelta(days=1), departure, zone)
    return today.astimezone(utc.tzinfo)


def journeys(
    capacity_wh: float,
    settings: DeviceSettings,
    need: tuple[Need, float] | None,
    told: Sequence[ToldTrip],
    usual: Habit,
    span: tuple[datetime, datetime],
    zone: ZoneInfo,
) -> tuple[Journey, ...]:
    """Return the absences in ``span``, none overlapping: announced ones first, then the owner's daily departure.

    ``need`` comes with what the pack should hold for it.
    """
    starts_at, ends_at = span
    target_wh = settings.target_soc_pct / 100 * capacity_wh
    found = [_announced(t, capacity_wh, target_wh, usual) for t in told if starts_at < t.leaves_at < ends_at]
    if need is not None and starts_at < need[0].departs_at < ends_at:
        leaves_at = need[0].departs_at
        found.append(Journey(leaves_at, leaves_at + usual.absence, need[1], usual.energy_wh))
    at = starts_at
    while settings.departure is not None:
        at = next_departure(settings.departure, at, zone)
        if at >= ends_at:
            break
        if all(abs(at - j.leaves_at) > APART for j in found):
            found.append(Journey(at, at + usual.absence, target_wh, usual.energy_wh))
    return _apart(found)


def together(known: Sequence[Journey], learned: Iterable[Journey], target_wh: float) -> tuple[Journey, ...]:
    """Return the known journeys and those learned ones that lie apart from them, for which the owner's target is enough."""
    more = (
        replace(j, target_wh=min(j.target_wh, target_wh))
        for j in learned
        if all(
            abs(j.leaves_at - k.leaves_at) > APART
            and (j.returns_at <= k.leaves_at or j.leaves_at >= k.returns_at)
            for k in known
        )
    )
    return tuple(sorted((*known, *more), key=lambda j: j.leaves_at))


def _announced(trip: ToldTrip, capacity_wh: float, target_wh: float, usual: Habit) -> Journey:
    wanted_wh = target_wh if trip.target_soc_pct is None else trip.target_soc_pct / 100 * capacity_wh
    energy_wh = usual.energy_wh if trip.energy_wh is None else trip.energy_wh
    returns_at = trip.returns_at or trip.leaves_at + usual.absence
    return Journey(trip.leaves_at, returns_at, min(capacity_wh, wanted_wh), energy_wh)


def _apart(found: list[Journey]) -> tuple[Journey, ...]:
    """Order the journeys and drop those that would begin before the car is back."""
    kept: list[Journey] = []
    for journey in sorted(found, key=lambda j: j.leaves_at):
        if not kept or journey.leaves_at >= kept[-1].returns_at:
            kept.append(journey)
    return tuple(kept)
