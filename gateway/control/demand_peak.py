"""Pure: the mean import of each demand interval, the month's highest, and the import that keeps this interval at its target.

A month whose peak is lost already is not made worse: the target is the higher of the site's and of the month's peak so far.
What was imported unseen (before a start, or while the meter was silent) is taken as the target's, and is in no month's peak.
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from math import inf
from zoneinfo import ZoneInfo

from gateway.config import GridTable
from gateway.model import DemandPeak, Snapshot

LONGEST_GAP_S = 30.0
"""Between two grid samples; over a longer silence the import was not seen."""
SHORTEST_REST_S = 60.0
MOST_OF_TARGET = 1.1
"""What was saved in an interval buys no spike at its end: at the next one's begin cars would have to stop, and rest."""


@dataclass(frozen=True, slots=True)
class Demand:
    """``at`` and ``import_w`` are of the last grid sample; ``energy_wh`` is imported since ``starts_at``, ``unseen_s`` of it
    not measured."""

    peak: DemandPeak = field(default_factory=DemandPeak)
    starts_at: datetime | None = None
    energy_wh: float = 0.0
    unseen_s: float = 0.0
    at: float | None = None
    import_w: float = 0.0


def follow(before: Demand, snapshot: Snapshot, grid: GridTable, time_zone: str) -> Demand:
    """Return the demand after ``snapshot``; intervals are aligned to the clock, in UTC."""
    length_s = grid.peak_interval_s
    starts_at = datetime.fromtimestamp(snapshot.utc.timestamp() // length_s * length_s, UTC)
    into_s = (snapshot.utc - starts_at).total_seconds()
    energy_wh, unseen_s, peak_w = before.energy_wh, before.unseen_s, before.peak.peak_w
    month = _month(snapshot.utc, time_zone)
    if before.peak.month is not None and month > before.peak.month:
        peak_w = 0.0
    if starts_at != before.starts_at:
        if before.starts_at is not None and _month(before.starts_at, time_zone) == month:
            peak_w = max(peak_w, energy_wh * 3600 / length_s)
        energy_wh = unseen_s = 0.0
    at, import_w = before.at, before.import_w
    sample = snapshot.grid()
    if sample is not None and (at is None or sample.at > at):
        now_w = max(0.0, sample.power_w)
        gap_s = inf if at is None else sample.at - at
        if gap_s <= LONGEST_GAP_S:
            energy_wh += (import_w + now_w) / 2 * gap_s / 3600
        else:
            unseen_s = min(unseen_s + gap_s, into_s)
        at, import_w = sample.at, now_w
    mean_w = energy_wh * 3600 / length_s
    cap_w = None
    if grid.peak_target_w is not None:
        target_w = max(grid.peak_target_w, peak_w)
        saved_wh = target_w * (into_s - unseen_s) / 3600 - energy_wh
        even_w = target_w + saved_wh * 3600 / max(length_s - into_s, SHORTEST_REST_S)
        cap_w = min(max(0.0, even_w), MOST_OF_TARGET * target_w)
    return Demand(DemandPeak(month, peak_w, mean_w, cap_w), starts_at, energy_wh, unseen_s, at, import_w)


_zone = cache(ZoneInfo)


def _month(utc: datetime, time_zone: str) -> datetime:
    return utc.astimezone(_zone(time_zone)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
