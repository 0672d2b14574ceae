"""What was measured, on the clock that a forecast thinks in: whole quarter hours since 1970, and local days of 96 of them."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from math import ceil

import numpy as np
from numpy.typing import NDArray

from gateway.planning.problem import Series

QUARTER_S = 900
DAY = 96
"""Quarter hours of a day by the clock; the 23 h day has four without a value, the 25 h day four with two."""

type Quarters = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """Mean power of steps of ``step_s`` that follow each other from ``starts_at`` (UTC); NaN where nothing was measured."""

    starts_at: datetime
    step_s: int
    w: Series


@dataclass(frozen=True, slots=True, eq=False)
class Past:
    """The last quarter hours before ``now``: ``w[i]`` is the mean power of quarter ``first + i``, NaN where unknown."""

    first: int
    w: Series

    @property
    def now(self) -> int:
        """The first quarter that is to be forecast."""
        return self.first + len(self.w)


def quarter_of(at: datetime) -> int:
    """Return the quarter hour since 1970 that ``at`` is in."""
    return int(at.timestamp() // QUARTER_S)


def quarters_of(starts_at: datetime, hours: Series) -> int:
    """Return how many quarters cover steps of ``hours`` from ``starts_at``; at least one."""
    end_s = starts_at.timestamp() + float(hours.sum()) * 3600
    return max(1, ceil(end_s / QUARTER_S) - quarter_of(starts_at))


def past_of(history: History, now: datetime, days: int) -> Past:
    """Return the last ``days`` days before ``now``; what comes after is not looked at."""
    end = quarter_of(now)
    first = end - days * DAY
    w = np.full(days * DAY, np.nan)
    begins_s, step_s = history.starts_at.timestamp(), history.step_s
    skip = max(0, int((first * QUARTER_S - begins_s) // step_s))
    known = history.w[skip : max(skip, int((end * QUARTER_S - begins_s) // step_s))]
    if not len(known):
        return Past(first, w)
    begins_s += skip * step_s
    if step_s >= QUARTER_S:
        step = (((np.arange(end - first) + first + 0.5) * QUARTER_S - begins_s) // step_s).astype(np.int64)
        inside = (step >= 0) & (step < len(known))
        w[inside] = known[step[inside]]
        return Past(first, w)
    at = ((begins_s + (np.arange(len(known)) + 0.5) * step_s) // QUARTER_S).astype(np.int64) - first
    good = ~np.isnan(known) & (at >= 0) & (at < len(w))
    count = np.bincount(at[good], minlength=len(w))
    total = np.bincount(at[good], weights=known[good], minlength=len(w))
    w[count > 0] = total[count > 0] / count[count > 0]
    return Past(first, w)


def local(first: int, count: int, zone: tzinfo) -> tuple[Quarters, Quarters]:
    """Return, of ``count`` quarters, the local date (days since 1970) and the quarter of that day, by the clock on the wall."""
    days = range(first // DAY, (first + count - 1) // DAY + 1)
    ahead = np.concatenate([_ahead(zone, day) for day in days])
    begin = first - days[0] * DAY
    shown = np.arange(first, first + count) + ahead[begin : begin + count]
    return shown // DAY, shown % DAY


@lru_cache(maxsize=256)
def _ahead(zone: tzinfo, day: int) -> Quarters:
    """How many quarters the clock of ``zone`` is ahead of UTC at each quarter of a UTC day."""
    midnight = datetime.fromtimestamp(day * DAY * QUARTER_S, UTC)
    hours = [(midnight + timedelta(hours=h)).astimezone(zone).utcoffset() for h in range(24)]
    return np.repeat([round((o or timedelta()).total_seconds() / QUARTER_S) for o in hours], 4)


def onto_steps(quarterly: Series, starts_at: datetime, hours: Series) -> Series:
    """Return the mean of each step, of a series that begins with the quarter ``starts_at`` is in."""
    begins = starts_at.timestamp() / QUARTER_S - quarter_of(starts_at)
    if begins == 0.0 and (hours == 0.25).all():
        return quarterly[: len(hours)].copy()
    energy = np.concatenate(([0.0], np.cumsum(quarterly)))
    edges = begins + np.concatenate(([0.0], np.cumsum(hours))) * 4.0
    return np.diff(np.interp(edges, np.arange(len(energy)), energy)) / np.maximum(hours * 4.0, 1e-9)


def weighted_quantiles(values: Series, weights: Series, shares: tuple[float, ...]) -> tuple[Series, ...]:
    """Return per column of ``values`` the quantiles of its rows, weighted by ``weights`` (same shape); NaN weighs nothing."""
    order = np.argsort(values, axis=0)
    ordered = np.take_along_axis(values, order, 0)
    heavy = np.where(np.isnan(ordered), 0.0, np.take_along_axis(weights, order, 0))
    below = np.cumsum(heavy, axis=0)
    columns = np.arange(values.shape[1])
    return tuple(
        np.nan_to_num(ordered[np.minimum((below < s * below[-1]).sum(0), len(values) - 1), columns])
        for s in shares
    )
