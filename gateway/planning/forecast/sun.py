"""Pure: what the sun will bring, from the days on which the sky was like now.

The clear sky of a site is the most that its own panels gave at each time of day of late; the share of it that comes through is
what is forecast: as on those past days whose last hour, last hours and last day were like ours.
"""

from datetime import datetime, timedelta

import numpy as np

from gateway.planning.forecast.days import smoothed
from gateway.planning.forecast.history import (
    DAY,
    History,
    Past,
    onto_steps,
    past_of,
    quarters_of,
    weighted_quantiles,
)
from gateway.planning.forecast.sky import height
from gateway.planning.problem import Band, Series

DAYS = 45
CLEAR_DAYS = 15
FADES_D = 20.0
WINDOWS = ((4, 0.25), (16, 0.3), (96, 0.4))
"""Of so many quarters before now the share of clear sky is compared; shares so far apart count as different."""
UNLIKE = 0.1
"""What a day counts whose sky was nothing like ours."""
SHORT_FADES = 13.0
"""The difference of the last hour from its analogue's fades over so many quarters."""
STANDARD_SHARES = (0.15, 0.5, 0.9)
STANDARD_COUNTS = 0.05
MOST_SHARE = 1.1
DARK = 0.02
"""Below this share of the brightest quarter of the day a share of clear sky says nothing."""
TOLD_FADES = 8.0
TOLD_SPREAD = 0.7
"""How wide a forecast that was handed in is, of the width of our own."""
TOLD_DAYS = 3.0
"""So many days must have been told and come before the told is corrected by half of what it was wrong."""


def pv(
    history: History,
    starts_at: datetime,
    hours: Series,
    latitude: float | None = None,
    longitude: float | None = None,
    handed: History | None = None,
) -> Band:
    """Return the generation in W, as a magnitude, of steps of ``hours`` from ``starts_at``; ``p50`` has no bias.

    Goes by the sun, so no clock change is seen; with the site's place also by the season. ``handed`` is a forecast from
    elsewhere, in its past to be judged by, NaN where it tells nothing. Never fails: nothing is expected of panels that
    gave nothing yet.
    """
    past = past_of(history, starts_at, DAYS)
    ahead = quarters_of(starts_at, hours)
    rows = np.maximum(past.w, 0.0).reshape(DAYS, DAY)
    if latitude is not None and longitude is not None:
        rows *= _season(past, latitude, longitude)
    clear = _clear(rows)
    mean, low, high = (np.tile(clear, -(-ahead // DAY))[:ahead] * s for s in _shares(rows, clear, ahead))
    if handed is not None:
        mean, low, high = _told(handed, past, starts_at, (mean, low, high))
    p50, p10, p90 = (onto_steps(watts, starts_at, hours) for watts in (mean, low, high))
    return Band(p50, np.minimum(p10, p50), np.maximum(p90, p50))


def _season(past: Past, latitude: float, longitude: float) -> Series:
    """Return how much more the sun can give in the coming day than at the same time of each past one."""
    heights = height(np.arange(past.first, past.now + DAY), latitude, longitude).reshape(DAYS + 1, DAY)
    then, now = heights[:-1], heights[-1]
    more: Series = np.divide(now, then, out=np.ones_like(then), where=then > 0.05)
    return more.clip(0.5, 2.0)


def _clear(rows: Series) -> Series:
    """Return per quarter of the day the most power of late, smoothed over its neighbours."""
    most = np.nan_to_num(rows[-CLEAR_DAYS:]).max(0)
    return smoothed(most)


def _shares(rows: Series, clear: Series, ahead: int) -> tuple[Series, Series, Series]:
    """Return mean, P10 and P90 of the share of clear sky in the coming quarters, 0 where it is dark."""
    bright = clear > DARK * clear.max()
    lit = np.flatnonzero(np.tile(bright, -(-ahead // DAY))[:ahead])
    share = np.full((DAYS, DAY), np.nan)
    share[:, bright] = np.minimum(rows[:, bright] / clear[bright], MOST_SHARE)
    shares = np.concatenate((share.ravel(), np.full(ahead, np.nan)))
    futures = shares[np.arange(1, DAYS)[:, None] * DAY + lit]
    weights, short = _analogues(rows, clear)
    futures = np.clip(futures + short[:, None] * np.exp(-(lit + 1) / SHORT_FADES), 0.0, MOST_SHARE)
    futures = np.concatenate((futures, np.repeat([STANDARD_SHARES], len(lit), axis=0).T))
    weighed = np.concatenate((weights, [STANDARD_COUNTS / len(STANDARD_SHARES)] * len(STANDARD_SHARES)))
    heavy = np.where(np.isnan(futures), 0.0, weighed[:, None])
    found = np.zeros((3, ahead))
    found[0, lit] = (np.nan_to_num(futures) * heavy).sum(0) / heavy.sum(0)
    found[1:, lit] = weighted_quantiles(futures, heavy, (0.1, 0.9))
    return found[0], found[1], found[2]


def _analogues(rows: Series, clear: Series) -> tuple[Series, Series]:
    """Return how much each past day counts, the oldest first, and how much clearer than then the last hour was."""
    ends = np.arange(1, DAYS + 1) * DAY
    sums = [
        np.concatenate(([0.0], np.cumsum(s)))
        for s in (np.nan_to_num(rows).ravel(), np.where(np.isnan(rows), 0.0, clear).ravel())
    ]
    of_day = float(clear.sum())
    distance, short = np.zeros(DAYS - 1), np.zeros(DAYS - 1)
    for quarters, apart in WINDOWS:
        came, could = (s[ends] - s[ends - quarters] for s in sums)
        known = could > 0.001 * of_day
        if not known[-1]:
            continue
        share = np.divide(came, could, out=np.full(DAYS, np.nan), where=known)
        clearer = share[-1] - share[:-1]
        trust = min(1.0, float(could[-1]) / (of_day * quarters / DAY))
        distance += trust * np.square(np.nan_to_num(clearer, nan=2 * apart) / apart)
        if quarters == WINDOWS[0][0]:
            short = np.nan_to_num(clearer)
    fresh = np.exp((np.arange(DAYS - 1) - DAYS + 1) / FADES_D)
    return fresh * (np.exp(-distance / 2) + UNLIKE), short


def _told(
    handed: History, past: Past, starts_at: datetime, own: tuple[Series, Series, Series]
) -> tuple[Series, Series, Series]:
    """Return what was told, corrected by how it did so far and by the last hour, with a width of our own; ours where it ends."""
    mean, low, high = own
    ends_at = starts_at + timedelta(minutes=15 * len(mean))
    told = past_of(handed, ends_at, DAYS).w
    before, coming = told[: len(told) - len(mean)], told[len(told) - len(mean) :]
    came = past.w[len(past.w) - len(before) :]
    both = ~np.isnan(before) & ~np.isnan(came)
    before, came = np.where(both, before, 0.0), np.where(both, came, 0.0)
    doubt = TOLD_DAYS * DAY * float(np.nanmean(told)) if not np.isnan(told).all() else 0.0
    right = (came.sum() + doubt) / max(float(before.sum()) + doubt, 1e-9)
    hour = (came[-4:].sum() + 0.02 * doubt) / max(right * float(before[-4:].sum()) + 0.02 * doubt, 1e-9)
    fade = np.exp(-np.arange(1, len(mean) + 1) / TOLD_FADES)
    corrected = coming * min(max(right, 0.3), 3.0) * (1.0 + (min(hour, 2.0) - 1.0) * fade)
    unknown = np.isnan(coming)
    return (
        np.where(unknown, mean, corrected),
        np.where(unknown, low, np.maximum(0.0, corrected - TOLD_SPREAD * (mean - low))),
        np.where(unknown, high, corrected + TOLD_SPREAD * (high - mean)),
    )
