"""Pure: what the sun will bring, from the days on which the sky was like now.

The clear sky of a site is the most that its own panels gave at each time of day of late; the share of it that comes through is
what is forecast: as on those past days whose last hour, last hours and last day were like ours.
"""

from datetime import datetime

import numpy as np

from gateway.planning.forecast.history import (
    DAY,
    History,
    onto_steps,
    past_of,
    quarters_of,
    weighted_quantiles,
)
from gateway.planning.problem import Band, Series

DAYS = 45
CLEAR_DAYS = 20
FADES_D = 20.0
WINDOWS = ((4, 0.15), (16, 0.2), (96, 0.3))
"""Of so many quarters before now the share of clear sky is compared; shares so far apart count as different."""
SHORT_FADES = 10.0
STANDARD_SHARES = (0.15, 0.5, 0.9)
STANDARD_COUNTS = 0.3
MOST_SHARE = 1.1


def pv(
    history: History,
    starts_at: datetime,
    hours: Series,
    latitude: float | None = None,  # noqa: ARG001
    longitude: float | None = None,  # noqa: ARG001
    handed: History | None = None,  # noqa: ARG001
) -> Band:
    """Return the generation in W, as a magnitude, of steps of ``hours`` from ``starts_at``; ``p50`` has no bias.

    Goes by the sun, so no clock change is seen. Never fails: nothing is expected of panels that gave nothing yet.
    """
    past = past_of(history, starts_at, DAYS)
    ahead = quarters_of(starts_at, hours)
    turns = -(-ahead // DAY)
    rows = np.maximum(past.w, 0.0).reshape(DAYS, DAY)
    clear = _clear(rows)
    share = np.full((DAYS + turns) * DAY, np.nan)
    bright = np.tile(clear, DAYS) > 0.02 * clear.max()
    share[: DAYS * DAY][bright] = np.minimum(past.w[bright] / np.tile(clear, DAYS)[bright], MOST_SHARE)
    futures = np.stack([share[d * DAY : d * DAY + ahead] for d in range(1, DAYS)])
    weights, short = _analogues(rows, clear)
    lead = np.arange(1, ahead + 1)
    futures = np.clip(futures + short[:, None] * np.exp(-lead / SHORT_FADES), 0.0, MOST_SHARE)
    futures = np.concatenate((futures, np.repeat([STANDARD_SHARES], ahead, axis=0).T))
    weighed = np.broadcast_to(np.concatenate((weights, [STANDARD_COUNTS / 3] * 3))[:, None], futures.shape)
    heavy = np.where(np.isnan(futures), 0.0, weighed)
    mean = (np.nan_to_num(futures) * heavy).sum(0) / heavy.sum(0)
    low, high = weighted_quantiles(futures, weighed, (0.1, 0.9))
    sky = np.tile(clear, turns)[:ahead]
    p50, p10, p90 = (onto_steps(s * sky, starts_at, hours) for s in (mean, low, high))
    return Band(p50, np.minimum(p10, p50), np.maximum(p90, p50))


def _clear(rows: Series) -> Series:
    """Return per quarter of the day the most power of late, smoothed over its neighbours."""
    most = np.nan_to_num(rows[-CLEAR_DAYS:]).max(0)
    smooth: Series = (np.roll(most, 1) + most + np.roll(most, -1)) / 3.0
    return smooth


def _analogues(rows: Series, clear: Series) -> tuple[Series, Series]:
    """Return how much each past day counts, the oldest first, and how much clearer than it the last hour was."""
    energy = np.nan_to_num(rows).ravel()
    could = np.where(np.isnan(rows), 0.0, clear).ravel()
    dims = float(clear.sum())
    distance = np.zeros(DAYS - 1)
    short = np.zeros(DAYS - 1)
    for quarters, apart in WINDOWS:
        ends = np.arange(1, DAYS + 1) * DAY
        sums = [np.concatenate(([0.0], np.cumsum(s))) for s in (energy, could)]
        came, clear_sky = (s[ends] - s[ends - quarters] for s in sums)
        known = clear_sky > 0.001 * dims
        shares = np.divide(came, clear_sky, out=np.full(DAYS, np.nan), where=known)
        apart_now = shares[-1] - shares[:-1]
        trust = np.minimum(1.0, clear_sky[-1] / (dims * quarters / DAY + 1e-9))
        distance += trust * np.square(np.nan_to_num(apart_now, nan=2 * apart) / apart) if known[-1] else 0.0
        if quarters == WINDOWS[0][0]:
            short = np.nan_to_num(apart_now)
    fresh = np.exp((np.arange(DAYS - 1) - DAYS + 1) / FADES_D)
    return fresh * (np.exp(-distance / 2) + 0.01), short
