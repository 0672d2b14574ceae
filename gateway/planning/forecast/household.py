"""Pure: what the house will draw, from what it drew at this time on days like this one, and from how today differs.

Thinks in the square root of power: a kettle in a quiet night and a peak in the evening are then alike.
"""

from datetime import datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.planning.forecast.history import (
    DAY,
    History,
    local,
    onto_steps,
    past_of,
    quarters_of,
    weighted_quantiles,
)
from gateway.planning.problem import Band, Series

DAYS = 42
FADES_D = 14.0
"""After so many days a day counts a third."""
SAME_KIND, OTHER_WEEKEND_DAY, OTHER_KIND = 0.8, 0.6, 0.3
"""What another working day, the other day of the weekend, and a day of the other kind count; the same weekday counts 1."""
SHORT_FADES, SHORT_SHARE = 6.0, 0.75
"""The last half hour's residual fades over so many quarters, and so much of it is carried on."""
DAY_FADES, DAY_SHARE = 144.0, 0.6
STANDARD_W = 400.0
STANDARD_SHAPE = np.repeat(
    [0.6, 0.5, 0.5, 0.5, 0.5, 0.6, 0.8, 1.0, 1.1, 1.0, 1.0, 1.1, 1.2, 1.1, 1.0, 1.0, 1.2, 1.5, 1.8, 1.8, 1.6, 1.4, 1.1, 0.8],
    4,
)  # fmt: skip
"""A household's day, of which half a day's worth is believed until its own days outweigh it."""
STANDARD_COUNTS = 0.3
STANDARD_SPREAD = 0.35


def load(history: History, starts_at: datetime, hours: Series, zone: tzinfo) -> Band:
    """Return the load in W of steps of ``hours`` from ``starts_at``; ``p50`` has no bias: its energy is what comes on average.

    Never fails: without any history it is a standard household's day, with a wide band.
    """
    past = past_of(history, starts_at, DAYS)
    ahead = quarters_of(starts_at, hours)
    known = len(past.w)
    dates, slots = local(np.arange(past.first, past.now + ahead), zone)
    rows = dates - dates[0]
    table = np.full((int(rows[-1]) + 1, DAY), np.nan)
    table[rows[:known], slots[:known]] = np.sqrt(np.maximum(past.w, 0.0))
    fresh = np.exp((np.arange(len(table)) - rows[known]) / FADES_D)
    usual = _usual(table, fresh, int(dates[0]))
    low, high, variance = _spread(table - usual, fresh)
    seen = table[rows, slots] - usual[rows, slots]
    short, of_day = _carried(seen[known - DAY : known])
    lead = np.arange(1, ahead + 1)
    share = SHORT_SHARE * np.exp(-lead / SHORT_FADES)
    expected = (
        usual[rows, slots][known:] + share * (short - of_day) + DAY_SHARE * np.exp(-lead / DAY_FADES) * of_day
    )
    unsure = np.sqrt(1.0 - share**2)
    at = slots[known:]
    p50, p10, p90 = (
        onto_steps(watts, starts_at, hours)
        for watts in (
            np.square(np.maximum(expected, 0.0)) + np.square(unsure) * variance[at],
            np.square(np.maximum(expected + unsure * low[at], 0.0)),
            np.square(np.maximum(expected + unsure * high[at], 0.0)),
        )
    )
    return Band(p50, np.minimum(p10, p50), np.maximum(p90, p50))


def _usual(table: Series, fresh: Series, first_date: int) -> Series:
    """Return per date the mean of the other dates, those like it and the latest counting most; no cell is without a value."""
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    weekday = (np.arange(len(table)) + first_date + 3) % 7
    free = weekday >= 5
    alike = np.where(free[:, None] & free, OTHER_WEEKEND_DAY, SAME_KIND)
    alike = np.where(free[:, None] == free, alike, OTHER_KIND)
    alike[weekday[:, None] == weekday] = 1.0
    weights = alike * fresh
    np.fill_diagonal(weights, 0.0)
    standard = np.sqrt(STANDARD_SHAPE * _level_w(filled, known))
    usual = (weights @ filled + STANDARD_COUNTS * standard) / (weights @ known + STANDARD_COUNTS)
    ends = np.concatenate((usual[:, -1:], usual, usual[:, :1]), axis=1)
    smooth: Series = (ends[:, :-2] + ends[:, 1:-1] + ends[:, 2:]) / 3.0
    return smooth


def _level_w(filled: Series, known: NDArray[np.bool_]) -> float:
    """Return the mean power that a standard day is scaled to: the standard's own until half a day is known."""
    shape = np.broadcast_to(STANDARD_SHAPE, known.shape)[known]
    return float((np.square(filled).sum() + DAY / 2 * STANDARD_W) / (shape.sum() + DAY / 2))


def _spread(residuals: Series, fresh: Series) -> tuple[Series, Series, Series]:
    """Return per quarter of the day the residuals' P10, P90 and variance, of it and its neighbours."""
    near = np.concatenate([np.roll(residuals, shift, axis=1) for shift in (-1, 0, 1)])
    weights = np.broadcast_to(np.tile(fresh, 3)[:, None], near.shape)
    low, high = weighted_quantiles(near, weights, (0.1, 0.9))
    heavy = np.where(np.isnan(near), 0.0, weights)
    total = heavy.sum(0)
    variance = (heavy * np.square(np.nan_to_num(near))).sum(0)
    unknown = STANDARD_COUNTS * 3
    guess = STANDARD_SPREAD * np.sqrt(STANDARD_SHAPE * STANDARD_W)
    sure = total / (total + unknown)
    return (
        sure * low - (1 - sure) * guess,
        sure * high + (1 - sure) * guess,
        (variance + unknown * np.square(guess) / 2) / (total + unknown),
    )


def _carried(residuals: Series) -> tuple[float, float]:
    """Return the mean residual of the last half hour and of the last day; what is not known counts as usual."""
    known = ~np.isnan(residuals)
    if not known.any():
        return 0.0, 0.0
    filled = np.where(known, residuals, 0.0)
    of_day = float(filled.sum() / (known.sum() + DAY / 8))
    weights = known * np.exp(-np.arange(len(residuals))[::-1] / 1.5)
    return float((weights * filled).sum() / (weights.sum() + 0.3)), of_day
