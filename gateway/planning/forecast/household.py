"""Pure: what the house will draw, from what it drew at this time on days like this one, and from how today differs.

Thinks in the square root of power: a kettle in a quiet night and a peak in the evening are then alike.
"""

from datetime import datetime, tzinfo

import numpy as np

from gateway.planning.forecast.days import Days, Likeness, smoothed
from gateway.planning.forecast.history import (
    DAY,
    History,
    onto_steps,
    past_of,
    quarters_of,
    weighted_quantiles,
)
from gateway.planning.problem import Band, Series

DAYS = 42
FADES_D = 14.0
"""After so many days a day counts a third."""
WORKING_DAY, WEEKEND_DAY = 1.0, 0.6
"""What another day of the same kind counts; of the other kind as much as the house's own past says."""
SHORT_FADES, SHORT_SHARE = 12.0, 0.8
"""What the last half hour differs from the last day's difference fades over so many quarters; so much of it is carried on."""
DAY_FADES, DAY_SHARE = 144.0, 0.6
"""The same of what the last day differs from the usual."""
STANDARD_W = 400.0
STANDARD_SHAPE = np.repeat(
    [0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 1.0, 1.1, 1.0, 1.0, 1.1, 1.2, 1.1, 1.0, 1.0, 1.2, 1.5, 1.8, 1.8, 1.6, 1.4, 1.1, 0.8],
    4,
)  # fmt: skip
"""A household's day, which counts as much as ``STANDARD_COUNTS`` of its own days."""
STANDARD_COUNTS = 0.15
STANDARD_SPREAD = 0.35


def load(history: History, starts_at: datetime, hours: Series, zone: tzinfo) -> Band:
    """Return the load in W of steps of ``hours`` from ``starts_at``; ``p50`` has no bias: its energy is what comes on average.

    Never fails: without any history it is a standard household's day, with a wide band.
    """
    past = past_of(history, starts_at, DAYS)
    known, ahead = len(past.w), quarters_of(starts_at, hours)
    roots = np.concatenate((np.sqrt(np.maximum(past.w, 0.0)), np.full(ahead, np.nan)))
    days = Days.of(roots, past.first, zone)
    fresh = np.exp((np.arange(len(days.table)) - days.rows[known]) / FADES_D)
    standard = np.sqrt(STANDARD_SHAPE * _level_w(days.table))
    likeness = Likeness(WORKING_DAY, WEEKEND_DAY, days.other_kind(fresh))
    usual = smoothed(days.usual(fresh, likeness, standard, STANDARD_COUNTS))
    low, high, variance = (s[days.slots[known:]] for s in _spread(days.table - usual, fresh, standard))
    usually = days.along(usual)
    short, of_day = _carried((roots - usually)[known - DAY : known])
    lead = np.arange(1, ahead + 1)
    share = SHORT_SHARE * np.exp(-lead / SHORT_FADES)
    expected = usually[known:] + share * (short - of_day) + DAY_SHARE * np.exp(-lead / DAY_FADES) * of_day
    unsure = np.sqrt(1.0 - share**2)
    p50, p10, p90 = (
        onto_steps(watts, starts_at, hours)
        for watts in (
            np.square(np.maximum(expected, 0.0)) + np.square(unsure) * variance,
            np.square(np.maximum(expected + unsure * low, 0.0)),
            np.square(np.maximum(expected + unsure * high, 0.0)),
        )
    )
    return Band(p50, np.minimum(p10, p50), np.maximum(p90, p50))


def _level_w(roots: Series) -> float:
    """Return the mean power that a standard day is scaled to: its own until half a day is known."""
    known = ~np.isnan(roots)
    shape = np.broadcast_to(STANDARD_SHAPE, roots.shape)[known].sum()
    return float((np.square(roots[known]).sum() + DAY / 2 * STANDARD_W) / (shape + DAY / 2))


def _spread(residuals: Series, fresh: Series, standard: Series) -> tuple[Series, Series, Series]:
    """Return per quarter of the day the P10, P90 and variance of ``residuals``, near to it; a standard's where few are known."""
    weights = np.where(np.isnan(residuals), 0.0, fresh[:, None])
    low, high = weighted_quantiles(residuals, weights, (0.1, 0.9))
    total = weights.sum(0)
    variance = (weights * np.square(np.nan_to_num(residuals))).sum(0)
    guess = STANDARD_SPREAD * standard
    sure = total / (total + STANDARD_COUNTS)
    return (
        smoothed(sure * low - (1 - sure) * guess, 2),
        smoothed(sure * high + (1 - sure) * guess, 2),
        smoothed((variance + STANDARD_COUNTS * np.square(guess)) / (total + STANDARD_COUNTS)),
    )


def _carried(residuals: Series) -> tuple[float, float]:
    """Return the mean residual of the last half hour and of the last day; what is not known counts as usual."""
    known = ~np.isnan(residuals)
    filled = np.where(known, residuals, 0.0)
    of_day = float(filled.sum() / (known.sum() + DAY / 8))
    weights = known * np.exp(-np.arange(len(residuals))[::-1] / 1.5)
    return float((weights * filled).sum() / (weights.sum() + 0.3)), of_day
