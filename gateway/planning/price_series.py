"""Pure: the prices of a horizon, and what those beyond the day-ahead market may be."""

from collections.abc import Sequence
from datetime import UTC, tzinfo
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gateway.model import PriceSlot
from gateway.planning.forecast.history import DAY, Quarters, local, onto_steps, quarter_of, quarters_of
from gateway.planning.problem import Horizon, Series

UNKNOWN_IMPORT, UNKNOWN_EXPORT = 0.30, 0.05
"""What a kWh is taken to cost and to earn where no price at all is known."""
FADES_D = 7.0
OTHER_KIND = 0.3
SHRUNK = 0.5


class PriceSeries(NamedTuple):
    """Prices per kWh of each step of a horizon; ``known`` is False where they are a guess."""

    import_per_kwh: Series
    export_per_kwh: Series
    known: NDArray[np.bool_]


def series(slots: Sequence[PriceSlot], horizon: Horizon, zone: tzinfo = UTC) -> PriceSeries:
    """Return the mean price of each step; one that ``slots`` do not cover in full is guessed from what they say of other days.

    Slots of the last weeks make the guess good; of two that overlap, the one that begins later holds. Without any slot prices
    are ``UNKNOWN_IMPORT`` and ``UNKNOWN_EXPORT``.
    """
    known_at, bought, sold = _quarterly(slots)
    first, ahead = quarter_of(horizon.starts_at), quarters_of(horizon.starts_at, horizon.hours)
    wanted = np.arange(first, first + ahead)
    at = np.searchsorted(known_at, wanted)
    hit = (
        (at < len(known_at)) & (known_at[np.minimum(at, len(known_at) - 1)] == wanted)
        if len(known_at)
        else np.zeros(ahead, np.bool_)
    )
    filled = []
    for price, unknown in ((bought, UNKNOWN_IMPORT), (sold, UNKNOWN_EXPORT)):
        quarterly = (
            guessed(known_at, price, wanted, zone)
            if len(known_at) and not hit.all()
            else np.full(ahead, unknown)
        )
        quarterly[hit] = price[at[hit]]
        filled.append(onto_steps(quarterly, horizon.starts_at, horizon.hours))
    covered = onto_steps(hit.astype(np.float64), horizon.starts_at, horizon.hours)
    return PriceSeries(filled[0], filled[1], covered > 0.999)


def _quarterly(slots: Sequence[PriceSlot]) -> tuple[Quarters, Series, Series]:
    """Return the quarters that slots begin or lie in, in order, with their prices."""
    prices: dict[int, tuple[float, float]] = {}
    for slot in sorted(slots, key=lambda s: s.starts_at):
        begin = quarter_of(slot.starts_at)
        for quarter in range(begin, max(begin + 1, quarter_of(slot.ends_at))):
            prices[quarter] = (slot.import_per_kwh, slot.export_per_kwh)
    order = sorted(prices)
    table = np.array([prices[q] for q in order]).reshape(-1, 2)
    return np.array(order, np.int64), table[:, 0], table[:, 1]


def guessed(known_at: Quarters, price: Series, wanted: Quarters, zone: tzinfo) -> Series:
    """Guess the price of the quarters ``wanted`` from those known: by time of day, of days like it, the latest counting most."""
    dates, slots = local(np.arange(min(known_at[0], wanted[0]), max(known_at[-1], wanted[-1]) + 1), zone)
    begin = min(known_at[0], wanted[0])
    rows = dates - dates[0]
    table = np.full((int(rows[-1]) + 1, DAY), np.nan)
    table[rows[known_at - begin], slots[known_at - begin]] = price
    known = ~np.isnan(table)
    filled = np.where(known, table, 0.0)
    last = int(rows[known_at[-1] - begin])
    weekday = (np.arange(len(table)) + int(dates[0]) + 3) % 7
    fresh = np.exp(-np.abs(np.arange(len(table)) - last) / FADES_D)
    alike = np.where((weekday[:, None] >= 5) == (weekday >= 5), 1.0, OTHER_KIND) * fresh
    mean = float((filled * fresh[:, None]).sum() / (known * fresh[:, None]).sum())
    by_day = (alike @ filled + SHRUNK * mean) / (alike @ known + SHRUNK)
    at = wanted - begin
    result: Series = by_day[rows[at], slots[at]]
    return result
