"""Pure: the prices of a horizon, and what those beyond the day-ahead market may be."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.model import PriceSlot
from gateway.planning.forecast.gaps import DAYS, filled
from gateway.planning.forecast.history import DAY, onto_steps, quarter_of, quarters_of
from gateway.planning.problem import Horizon, Series

UNKNOWN_IMPORT, UNKNOWN_EXPORT = 0.30, 0.05
"""What a kWh is taken to cost and to earn where no price at all is known."""


class PriceSeries(NamedTuple):
    """Prices per kWh of each step of a horizon; ``known`` is False where any of it is a guess."""

    import_per_kwh: Series
    export_per_kwh: Series
    known: NDArray[np.bool_]


def series(slots: Sequence[PriceSlot], horizon: Horizon, zone: tzinfo = UTC) -> PriceSeries:
    """Return the mean price of each step; what ``slots`` do not cover is guessed from what they say of other days.

    Slots of the last five weeks make the guess good. Where two overlap the later beginning holds. Without any slot the
    prices are ``UNKNOWN_IMPORT`` and ``UNKNOWN_EXPORT``.
    """
    now, ahead = quarter_of(horizon.starts_at), quarters_of(horizon.starts_at, horizon.hours)
    first = now - DAYS * DAY
    return completed(_quarterly(slots, first, now + ahead), horizon, zone)


def completed(quarterly: tuple[Series, Series], horizon: Horizon, zone: tzinfo = UTC) -> PriceSeries:
    """Return the same of import and export prices by the quarter, from ``DAYS`` before the horizon to its end, NaN where unknown."""
    past = DAYS * DAY
    first = quarter_of(horizon.starts_at) - past
    covered = ~np.isnan(quarterly[0][past:])
    unknown = (UNKNOWN_IMPORT, UNKNOWN_EXPORT)
    bought, sold = (
        onto_steps(filled(price, first, zone, without)[past:], horizon.starts_at, horizon.hours)
        for price, without in zip(quarterly, unknown, strict=True)
    )
    share = onto_steps(covered.astype(np.float64), horizon.starts_at, horizon.hours)
    return PriceSeries(bought, sold, share > 0.999)


def _quarterly(slots: Sequence[PriceSlot], first: int, end: int) -> tuple[Series, Series]:
    """Return the prices of each quarter hour; a slot begins with the quarter that it begins in."""
    bought, sold = np.full(end - first, np.nan), np.full(end - first, np.nan)
    for slot in sorted(slots, key=lambda s: s.starts_at):
        begin = quarter_of(slot.starts_at) - first
        until = max(begin + 1, quarter_of(slot.ends_at) - first)
        if until > 0:
            bought[max(begin, 0) : until] = slot.import_per_kwh
            sold[max(begin, 0) : until] = slot.export_per_kwh
    return bought, sold
