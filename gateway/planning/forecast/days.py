"""A table of local dates by quarter hours, and what is usual on a date: the mean of the others, those like it counting most."""

from dataclasses import dataclass
from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.planning.forecast.history import DAY, Quarters, local
from gateway.planning.problem import Series

UNKNOWN_KIND = 0.3
"""What a day of the other kind counts until there are some of both."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """What the days of another weekday count, of the same one being 1: of its kind (work or weekend), and of the other."""

    working_day: float
    weekend_day: float
    other_kind: float


@dataclass(frozen=True, slots=True, eq=False)
class Days:
    """``table`` has a row per local date from ``first_date`` (days since 1970), NaN where unknown.

    ``rows`` and ``slots`` are where each quarter in turn stands in it.
    """

    first_date: int
    table: Series
    rows: Quarters
    slots: Quarters

    @classmethod
    def of(cls, values: Series, first: int, zone: tzinfo) -> Days:
        """Return the table of one value per quarter hour from ``first`` on."""
        dates, slots = local(first, len(values), zone)
        rows = dates - dates[0]
        table = np.full((int(rows[-1]) + 1, DAY), np.nan)
        good = ~np.isnan(values)
        table[rows[good], slots[good]] = values[good]
        return cls(int(dates[0]), table, rows, slots)

    def along(self, table: Series) -> Series:
        """Return the values of another such table in the order of time."""
        return table[self.rows, self.slots]

    def other_kind(self, fresh: Series) -> float:
        """Return what a day of the other kind should count: less, the more the two kinds differ beyond what chance does."""
        known = ~np.isnan(self.table)
        values = np.where(known, self.table, 0.0)
        noise, differ, chance, counts = 0.0, np.zeros(DAY), 0.0, []
        for kind, sign in ((self._free(), 1.0), (~self._free(), -1.0)):
            weights = fresh * kind
            total = np.maximum(weights @ known, 1e-9)
            mean = (weights @ values) / total
            spread = float(((weights @ np.square(values)) / total - np.square(mean)).mean())
            days = float(weights.sum() ** 2 / max(np.square(weights).sum(), 1e-9))
            noise, chance = noise + spread / 2, chance + spread / max(days, 1.0)
            differ += sign * mean
            counts.append(days)
        if min(counts) < 2.0:
            return UNKNOWN_KIND
        contrast = max(0.0, float(np.square(smoothed(differ, 2)).mean()) - chance / 5.0)
        return noise / (noise + max(counts) * contrast) if contrast > 0.0 else 1.0

    def usual(self, fresh: Series, likeness: Likeness, standard: Series, standard_counts: float) -> Series:
        """Return per date the mean of the other dates, weighted by ``fresh`` and likeness, and of a ``standard`` day.

        The standard counts as much as so many days; above 0 it leaves no cell without a value.
        """
        return self.mean(self.weights(fresh, likeness), standard, standard_counts)

    def mean(self, weights: Series, standard: Series, standard_counts: float) -> Series:
        """Return the mean of the dates by each row of ``weights``, and of a ``standard`` day that counts as much as so many."""
        known = ~np.isnan(self.table)
        total: Series = weights @ np.where(known, self.table, 0.0) + standard_counts * standard
        return total / (weights @ known + standard_counts)

    def weights(self, fresh: Series, likeness: Likeness) -> Series:
        """Return what each date (column) counts for each (row), itself 0."""
        weights = self._alike(likeness) * fresh
        np.fill_diagonal(weights, 0.0)
        return weights

    def _weekday(self) -> Quarters:
        weekday: Quarters = (np.arange(len(self.table)) + self.first_date + 3) % 7
        return weekday

    def _free(self) -> NDArray[np.bool_]:
        return self._weekday() >= 5

    def _alike(self, likeness: Likeness) -> Series:
        weekday, free = self._weekday(), self._free()
        alike = np.where(free[:, None] & free, likeness.weekend_day, likeness.working_day)
        alike = np.where(free[:, None] == free, alike, likeness.other_kind)
        alike[weekday[:, None] == weekday] = 1.0
        return alike


def smoothed(table: Series, reach: int = 1) -> Series:
    """Return the mean of each quarter of the day and its ``reach`` neighbours to each side; a day closes to a ring."""
    ring = np.concatenate((table[..., -reach:], table, table[..., :reach]), axis=-1)
    total = ring[..., : table.shape[-1]].copy()
    for shift in range(1, 2 * reach + 1):
        total += ring[..., shift : shift + table.shape[-1]]
    return total / (2 * reach + 1)
