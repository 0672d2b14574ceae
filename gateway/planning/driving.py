"""Pure: when a car will be away and what it will need, as learnt from the journeys that it made (planning/journeys.py has those said).

Away means unplugged: a car that stands at home without its cable is of no use to a plan either.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo

import numpy as np
from numpy.typing import NDArray

from gateway.model import Trip
from gateway.planning.forecast.days import Days, Likeness
from gateway.planning.forecast.history import DAY, QUARTER_S, quarter_of, weighted_quantiles
from gateway.planning.journeys import Journey
from gateway.planning.problem import Series

DAYS = 84
FADES_D = 35.0
LIKENESS = Likeness(working_day=0.2, weekend_day=0.25, other_kind=0.03)
STANDARD_AWAY = np.repeat([0.05] * 7 + [0.25] + [0.35] * 9 + [0.25] * 2 + [0.1] * 5, 4)
"""How likely a car whose habits nobody knows is away; it counts as much as ``STANDARD_COUNTS`` of its days."""
STANDARD_COUNTS = 0.5
LIKELY, POSSIBLE = 0.5, 0.15
"""From ``LIKELY`` on a plan does without the car; from ``POSSIBLE`` on it is kept ready for the journey, so far as it is likely."""
SAME = 0.4
"""A past trip is such a journey if both together last no longer than what they share divided by this."""
SHORTEST = timedelta(minutes=5)
LONGEST = timedelta(days=10)
"""Longer is a holiday: nobody's habit."""
SOON = 6.0
"""A car that did not leave when it does is less likely to: after so many quarters its habits count for two thirds."""
APART = 4
"""A journey that is merely possible is no other than a likely one so few quarters away."""
STANDARD_TRIPS_WH = np.array([2_000.0, 4_000.0, 6_000.0, 8_000.0, 10_000.0, 12_000.0, 16_000.0])
"""What journeys of a car take whose SoC never told; all together they count as half a journey of its own."""
EARLY, LATE = 0.15, 0.6
"""It should be ready before all but so many of such departures, and is taken to be back when so many were."""


@dataclass(frozen=True, slots=True, eq=False)
class Habits:
    """What past trips say: per local date to come and quarter hour how likely the car is away, and the trips themselves.

    ``now`` is the first quarter to come, ``first`` that of the table. ``weights`` tells per pair of dates how alike they are.
    """

    days: Days
    first: int
    now: int
    away: Series
    weights: Series
    trips: tuple[Trip, ...]

    def away_share(self) -> Series:
        """Return how likely the car is away in each quarter hour from now on, whatever it does now."""
        return self.days.along(self.away)[self.now - self.first :]


def habits(trips: Sequence[Trip], since: datetime, now: datetime, until: datetime, zone: tzinfo) -> Habits:
    """Learn from the trips of one car, watched ``since`` then; they will be asked for what comes ``until`` then.

    A trip that has not ended and one longer than ``LONGEST`` say nothing of any habit.
    """
    present = quarter_of(now)
    first = present - DAYS * DAY
    away = np.full(quarter_of(until) + 1 - first, np.nan)
    watched = min(max(0, quarter_of(since) - first), DAYS * DAY)
    away[watched : DAYS * DAY] = 0.0
    usual = []
    recent = (t for t in trips if t.left_at > now - timedelta(days=DAYS))
    for trip in sorted(recent, key=lambda t: t.left_at):
        ended_at = trip.returned_at or now
        begin, end = (
            min(max(quarter_of(at) - first, watched), DAYS * DAY) for at in (trip.left_at, ended_at)
        )
        habitual = trip.returned_at is not None and SHORTEST <= ended_at - trip.left_at <= LONGEST
        away[begin:end] = 1.0 if habitual else np.nan
        if habitual and end > begin:
            usual.append(trip)
    days = Days.of(away, first, zone)
    fresh = np.exp((np.arange(len(days.table)) - days.rows[DAYS * DAY]) / FADES_D)
    weights = days.weights(fresh, LIKENESS)
    likely = np.full(days.table.shape, np.nan)
    coming = int(days.rows[DAYS * DAY])
    likely[coming:] = days.mean(weights[coming:], STANDARD_AWAY, STANDARD_COUNTS)
    return Habits(days, first, present, likely, weights, tuple(usual))


def expected(habits: Habits, plugged: bool, capacity_wh: float, keep_wh: float) -> tuple[Journey, ...]:
    """Return the journeys to come in order, none over another, each with its probability; less than ``POSSIBLE`` are left out.

    ``target_wh`` is what nine of ten such journeys take, and ``keep_wh`` beside it. A car that is ``plugged`` at a time at which
    it is usually away is taken to leave later, if at all.
    """
    usually = share = habits.away_share()
    if plugged and share[0] >= LIKELY:
        share = share * (1.0 - np.exp(-np.arange(len(share)) / SOON))
    likely = list(_runs(share >= LIKELY))
    taken = np.zeros(len(share), np.bool_)
    for begin, end in likely:
        taken[max(0, begin - APART) : end + APART] = True
    possible = [(b, e) for b, e in _runs(share >= POSSIBLE) if not taken[b:e].any()]
    found: list[Journey] = []
    for begin, end in sorted(likely + possible):
        overdue = plugged and bool((usually[: begin + 1] >= LIKELY).all())
        chance = float(share[begin:end].max())
        journey = _journey(habits, begin, end, begin if overdue else 0, chance, capacity_wh, keep_wh)
        if journey and (not found or journey.leaves_at >= found[-1].returns_at):
            found.append(journey)
    return tuple(found)


def _runs(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True)


def _journey(
    habits: Habits,
    begin: int,
    end: int,
    earliest: int,
    probability: float,
    capacity_wh: float,
    keep_wh: float,
) -> Journey | None:
    """Return what the past trips at about the time of the run say of it; None where there is none."""
    at = habits.now - habits.first
    row, slot = int(habits.days.rows[at + begin]), int(habits.days.slots[at + begin])
    matches = []
    for trip in habits.trips:
        left = max(0, quarter_of(trip.left_at) - habits.first)
        lasts = quarter_of(trip.returned_at or trip.left_at) + 1 - habits.first - left
        leaves = int(habits.days.slots[left])
        common = min(leaves + lasts, slot + end - begin) - max(leaves, slot)
        weight = float(habits.weights[row, habits.days.rows[left]])
        if common >= SAME * (lasts + end - begin - common) and weight > 0.0:
            matches.append((leaves - slot, leaves - slot + lasts, trip.energy_wh, weight))
    if not matches:
        return None
    weights = np.array([m[3] for m in matches])
    leaves_q = _quantile(np.array([m[0] for m in matches], np.float64), weights, EARLY)
    returns_q = _quantile(np.array([m[1] for m in matches], np.float64), weights, LATE)
    used = [(max(0.0, m[2]), m[3]) for m in matches if m[2] is not None]
    typical = len(STANDARD_TRIPS_WH)
    energy = np.concatenate(([u[0] for u in used], STANDARD_TRIPS_WH))
    energy_weights = np.concatenate(([u[1] for u in used], np.full(typical, weights.max() / 2 / typical)))
    leaves = max(earliest, begin + int(leaves_q))
    return Journey(
        _at(habits.now + leaves),
        _at(habits.now + max(leaves + 1, begin + int(returns_q))),
        min(capacity_wh, keep_wh + _quantile(energy, energy_weights, 0.9)),
        _quantile(energy, energy_weights, 0.5),
        probability,
    )


def _quantile(values: Series, weights: Series, share: float) -> float:
    return float(weighted_quantiles(values[:, None], weights[:, None], (share,))[0][0])


def _at(quarter: int) -> datetime:
    return datetime.fromtimestamp(quarter * QUARTER_S, UTC)
