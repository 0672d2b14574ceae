"""Pure: the steps of a plan, and what a stretch of time means on them."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta

import numpy as np

from gateway.model import ToldSlot
from gateway.planning.forecast import History
from gateway.planning.problem import Horizon, Series

SHORTEST_S = 60.0
QUARTER_S = 900

type Stretch = tuple[datetime, datetime, float]


def horizon_of(utc: datetime, step_min: float, horizon_h: float) -> Horizon:
    """Return steps on the clock's own marks; the first one begins now, and takes in what is left when that is under a minute."""
    step = timedelta(minutes=step_min)
    midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    begun = (utc - midnight) % step
    first = step - begun
    if first.total_seconds() < SHORTEST_S:
        first += step
    steps = max(1, round(horizon_h * 60 / step_min))
    hours = np.full(steps, step.total_seconds() / 3600)
    hours[0] = first.total_seconds() / 3600
    return Horizon(utc, hours)


def edges_s(horizon: Horizon) -> Series:
    """Return the steps' borders in seconds after the start."""
    return np.concatenate(([0.0], np.cumsum(horizon.hours))) * 3600


def mean(horizon: Horizon, stretches: Iterable[Stretch]) -> Series:
    """Return the time-weighted mean of each step, NaN where less than half of it is covered."""
    edges = edges_s(horizon)
    total, covered = np.zeros(horizon.steps), np.zeros(horizon.steps)
    for overlap, value in _overlaps(horizon, edges, stretches):
        total += overlap * value
        covered += overlap
    known = covered >= 0.5 * np.diff(edges)
    return np.where(known, total / np.maximum(covered, 1e-9), np.nan)


def least(horizon: Horizon, stretches: Iterable[Stretch]) -> Series:
    """Return the smallest value that touches each step, infinity where none does."""
    values = np.full(horizon.steps, np.inf)
    for overlap, value in _overlaps(horizon, edges_s(horizon), stretches):
        values = np.where(overlap > 0, np.minimum(values, value), values)
    return values


def largest(horizon: Horizon, stretches: Iterable[Stretch]) -> Series:
    """Return the largest value that touches each step, 0 where none does."""
    return np.maximum(0.0, -least(horizon, ((a, b, -v) for a, b, v in stretches)))


def step_at(horizon: Horizon, moment: datetime) -> int:
    """Return the step that holds ``moment``; ``steps`` for one at or after the end, 0 for one before the start."""
    second = (moment - horizon.starts_at).total_seconds()
    return int(np.clip(np.searchsorted(edges_s(horizon), second, "right") - 1, 0, horizon.steps))


def quarters_told(slots: Sequence[ToldSlot]) -> History:
    """Return what was told, of the past as well, as means of the quarters of an hour; NaN where less than half of one was told."""
    ordered = sorted(slots, key=lambda s: s.starts_at)
    borders = np.array([(s.starts_at.timestamp(), s.ends_at.timestamp()) for s in ordered])
    borders = np.maximum.accumulate(borders.ravel())
    values = np.repeat([s.value for s in ordered], 2)[:-1]
    within = np.diff(borders)
    within[1::2] = 0.0
    first = int(borders[0] // QUARTER_S)
    edges = np.arange(first, -(-borders[-1] // QUARTER_S) + 1) * QUARTER_S
    told_s, told_ws = (
        np.diff(np.interp(edges, borders, np.append(0.0, np.cumsum(sums))))
        for sums in (within, within * values)
    )
    means = np.where(told_s >= QUARTER_S / 2, told_ws / np.maximum(told_s, 1e-9), np.nan)
    return History(datetime.fromtimestamp(first * QUARTER_S, UTC), QUARTER_S, means)


def repeated(horizon: Horizon, values: Series) -> Series:
    """Fill gaps with the value of the day before at that time, else of a day after, else the mean of what is known."""
    known = ~np.isnan(values)
    if known.all() or not known.any():
        return values
    filled = values.copy()
    middle = edges_s(horizon)[:-1] + np.diff(edges_s(horizon)) / 2
    for step in np.flatnonzero(~known):
        for days in (-1, -2, 1, 2):
            near = int(np.argmin(np.abs(middle - middle[step] - days * 86400)))
            if known[near] and abs(middle[near] - middle[step] - days * 86400) < 3600:
                filled[step] = values[near]
                break
    return np.where(np.isnan(filled), np.nanmean(values), filled)


def _overlaps(
    horizon: Horizon, edges: Series, stretches: Iterable[Stretch]
) -> Iterable[tuple[Series, float]]:
    for starts_at, ends_at, value in stretches:
        begin = (starts_at - horizon.starts_at).total_seconds()
        end = (ends_at - horizon.starts_at).total_seconds()
        yield np.clip(np.minimum(edges[1:], end) - np.maximum(edges[:-1], begin), 0.0, None), value
