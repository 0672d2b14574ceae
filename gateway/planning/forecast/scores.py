"""Pure: how good the forecasts were, told by what came; running figures per lead time, recent weeks counting most."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from gateway.planning.forecast.history import QUARTER_S, History, past_of
from gateway.planning.problem import Band, Series

LEADS_H = (1.0, 6.0, 24.0, 48.0)
FADES = 28.0 * 96.0
"""After so many scored values an old one counts a third."""


@dataclass(frozen=True, slots=True, eq=False)
class Issued:
    """A forecast as it was issued: a band of steps of ``hours``."""

    starts_at: datetime
    hours: Series
    band: Band


@dataclass(frozen=True, slots=True)
class Score:
    """Running means over ``count`` values: of |error|, of error (a forecast above what came is positive), of what came, and of
    the pinball loss at P10, P50 and P90, all in W. ``coverage`` is how often it came between P10 and P90, of the ``doubtful``
    values whose band was open.
    """

    count: float = 0.0
    mae: float = 0.0
    bias: float = 0.0
    mean: float = 0.0
    pinball: float = 0.0
    doubtful: float = 0.0
    coverage: float = 0.0

    @property
    def error_pct(self) -> float | None:
        """Return the mean absolute error as a share of what came on average; None where nothing did."""
        return 100.0 * self.mae / self.mean if self.mean > 0 else None

    def after(self, other: Score, fades: float = FADES) -> Score:
        """Return the running score with ``other`` newly come."""
        kept = math.exp(-other.count / fades)

        def mean(name: str, weight: str) -> float:
            old, new = kept * getattr(self, weight), getattr(other, weight)
            return float(old * getattr(self, name) + new * getattr(other, name)) / ((old + new) or 1.0)

        return Score(
            count=kept * self.count + other.count,
            mae=mean("mae", "count"),
            bias=mean("bias", "count"),
            mean=mean("mean", "count"),
            pinball=mean("pinball", "count"),
            doubtful=kept * self.doubtful + other.doubtful,
            coverage=mean("coverage", "doubtful"),
        )


@dataclass(frozen=True, slots=True)
class Scores:
    """The running score of one kind of forecast for each lead time of ``LEADS_H``."""

    by_lead_h: Mapping[float, Score] = field(default_factory=dict)

    def after(self, issued: Issued, came: History) -> Scores:
        """Return the scores with one more forecast judged; what has not come yet is left out."""
        found = scored(issued, came)
        return Scores({h: self.by_lead_h.get(h, Score()).after(found[h]) for h in LEADS_H})


def scored(issued: Issued, came: History) -> Mapping[float, Score]:
    """Judge a forecast per lead time: 1 h is its steps up to 1 h after it began, 6 h those from there up to 6 h, and so on.

    A step whose band has no width, as a night's sun, says nothing of how good the bands are.
    """
    begins_h = np.concatenate(([0.0], np.cumsum(issued.hours)[:-1]))
    truth = _came(issued, came)
    known = ~np.isnan(truth)
    found, begin = {}, 0.0
    for lead_h in LEADS_H:
        at = known & (begins_h >= begin) & (begins_h < lead_h)
        found[lead_h] = _score(issued.band, truth, at)
        begin = lead_h
    return found


def _came(issued: Issued, came: History) -> Series:
    """Return the mean of each step, NaN where part of it is not known."""
    edges = np.concatenate(([0.0], np.cumsum(issued.hours))) * 3600.0
    days = int(edges[-1] // 86_400) + 2
    past = past_of(came, issued.starts_at + timedelta(seconds=float(edges[-1]) + QUARTER_S), days)
    at = (issued.starts_at.timestamp() + edges) / QUARTER_S - past.first
    unknown = np.isnan(past.w)
    energy = np.concatenate(([0.0], np.cumsum(np.where(unknown, 0.0, past.w))))
    gaps = np.concatenate(([0.0], np.cumsum(unknown)))
    ticks = np.arange(len(energy))
    missing = np.diff(np.interp(at, ticks, gaps))
    return np.where(
        missing > 1e-6, np.nan, np.diff(np.interp(at, ticks, energy)) / np.maximum(np.diff(at), 1e-9)
    )


def _score(band: Band, truth: Series, at: NDArray[np.bool_]) -> Score:
    if not at.any():
        return Score()
    real = truth[at]
    low, middle, high = band.p10[at], band.p50[at], band.p90[at]
    losses = [pinball(q, f, real) for q, f in ((0.1, low), (0.5, middle), (0.9, high))]
    doubtful = high > low
    inside = doubtful & (low <= real) & (real <= high)
    return Score(
        float(len(real)),
        float(np.abs(middle - real).mean()),
        float((middle - real).mean()),
        float(real.mean()),
        float(np.mean(losses)),
        float(doubtful.sum()),
        float(inside.sum()) / max(1.0, float(doubtful.sum())),
    )


def pinball(share: float, forecast: Series, came: Series) -> float:
    """Return the mean pinball loss of a forecast of the quantile ``share``."""
    over = forecast - came
    return float(np.maximum((1.0 - share) * over, -share * over).mean())
