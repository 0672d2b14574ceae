"""Pure: what a series of prices or of carbon says of the times that it does not cover."""

from datetime import tzinfo

import numpy as np

from gateway.planning.forecast.days import Days, Likeness
from gateway.planning.forecast.history import DAY
from gateway.planning.problem import Series

DAYS = 35
"""So many days of past are of use."""
FADES_D = 10.0
LIKENESS = Likeness(working_day=0.6, weekend_day=0.6, other_kind=0.05)
STANDARD_COUNTS = 0.1
LEVEL_SHARE, LEVEL_FADES = 0.75, 190.0
"""What the last known day differs from the usual one fades over so many quarters; so much of it is carried on."""
SHAPE_KEPT = 0.95
"""A guessed day's prices are drawn so far towards their mean: a guess must not promise a spread."""


def filled(quarterly: Series, first: int, zone: tzinfo, without: float) -> Series:
    """Fill the gaps of a series of quarters from ``first`` on by what is usual at that time on days like it.

    The difference of the last day before a gap from the usual fades into it. ``without`` any value all are that.
    """
    known = ~np.isnan(quarterly)
    if known.all() or not known.any():
        return np.where(known, quarterly, without)
    days = Days.of(quarterly, first, zone)
    last = int(np.flatnonzero(known)[-1])
    fresh = np.exp(-np.abs(np.arange(len(days.table)) - days.rows[last]) / FADES_D)
    standard = np.full(DAY, np.average(quarterly[known], weights=fresh[days.rows[known]]))
    by_date = days.usual(fresh, LIKENESS, standard, STANDARD_COUNTS)
    of_day = by_date.mean(axis=1, keepdims=True)
    usually = days.along(of_day + SHAPE_KEPT * (by_date - of_day))
    differs = np.where(known, quarterly - usually, 0.0)
    sums, counts = (np.concatenate((np.zeros(DAY + 1), np.cumsum(s))) for s in (differs, known))
    level = (sums[DAY:] - sums[:-DAY]) / np.maximum(counts[DAY:] - counts[:-DAY], 1)
    since = np.maximum.accumulate(np.where(known, np.arange(len(known)), -1))
    lead = np.arange(len(known)) - since
    carried = np.where(since >= 0, level[since + 1] * LEVEL_SHARE * np.exp(-lead / LEVEL_FADES), 0.0)
    return np.where(known, quarterly, usually + carried)
