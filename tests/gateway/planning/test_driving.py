"""What a car's past journeys say of those to come: when it leaves, when it is back, what it takes, and how sure that is."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.model import Trip
from gateway.planning.driving import LIKELY, POSSIBLE, expected, habits

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
HOUR = timedelta(hours=1)
MONDAY = datetime(2026, 6, 1, tzinfo=AMSTERDAM)


def at(day, hour, minute=0):
    return datetime.combine(day.date(), time(hour, minute), AMSTERDAM).astimezone(UTC)


def trip(left_at, returned_at, energy_wh=6000.0):
    return Trip("garage", left_at, 80.0, returned_at, 60.0, energy_wh)


def commuter(until=MONDAY, weeks=8, energy_wh=6000.0, seed=1):
    """To work on Monday to Thursday at about 7:30, back at about 17:30; on Saturdays out from 10 to 13."""
    random = np.random.default_rng(seed)
    trips = []
    for n in range(weeks * 7, 0, -1):
        day = until - timedelta(days=n)
        late = timedelta(minutes=float(random.normal(0, 10)))
        if day.weekday() < 4:
            trips.append(
                trip(at(day, 7, 30) + late, at(day, 17, 30) + 2 * late, energy_wh + random.normal(0, 500))
            )
        elif day.weekday() == 5:
            trips.append(trip(at(day, 10) + late, at(day, 13) + late, 3000.0))
    return trips


def learnt(trips, now, hours=48, watched=timedelta(days=56)):
    return habits(trips, now - watched, now, now + timedelta(hours=hours), AMSTERDAM)


def local(journey):
    return journey.leaves_at.astimezone(AMSTERDAM), journey.returns_at.astimezone(AMSTERDAM)


def test_a_commuter_leaves_again_and_is_ready_early():
    now = at(MONDAY, 0)
    first, second = expected(learnt(commuter(), now), plugged=True, capacity_wh=36_000.0, keep_wh=4000.0)
    leaves, returns = local(first)
    assert leaves.date() == MONDAY.date()
    assert time(7, 0) <= leaves.time() <= time(7, 30)
    assert time(17, 15) <= returns.time() <= time(18, 0)
    assert first.probability > 0.8
    assert first.energy_wh == pytest.approx(6000, abs=500)
    assert 6000 + 4000 < first.target_wh < 9000 + 4000
    assert local(second)[0].date() == MONDAY.date() + timedelta(days=1)


def test_a_free_friday_and_the_week_end_are_known():
    friday = MONDAY + timedelta(days=4)
    now = at(friday, 0)
    journeys = expected(learnt(commuter(friday), now, 72), plugged=True, capacity_wh=36_000.0, keep_wh=0.0)
    likely = [j for j in journeys if j.probability >= LIKELY]
    assert [(local(j)[0].strftime("%a"), local(j)[0].hour) for j in likely] == [("Sat", 9)]
    assert likely[0].energy_wh == pytest.approx(3000, abs=1100)


def test_a_car_still_there_in_the_forenoon_is_not_expected_to_leave_at_once():
    now = at(MONDAY, 9, 30)
    soonest = expected(learnt(commuter(), now), plugged=True, capacity_wh=36_000.0, keep_wh=0.0)[0]
    assert soonest.leaves_at >= now + HOUR


def test_nothing_is_expected_of_a_car_that_nobody_knows():
    now = at(MONDAY, 0)
    unknown = learnt([], now, watched=timedelta(0))
    assert all(j.probability < LIKELY for j in expected(unknown, True, 36_000.0, 0.0))
    assert np.all(unknown.away_share() < LIKELY)


def test_a_holiday_is_no_habit_and_neither_is_a_trip_under_way():
    gone = Trip(
        "garage", at(MONDAY, 0) - timedelta(days=12), 80.0, at(MONDAY, 0) - timedelta(days=1), 20.0, 9e3
    )
    kept = [t for t in commuter() if t.left_at < gone.left_at]
    now = at(MONDAY, 0)
    first = expected(learnt([*kept, gone], now), True, 36_000.0, 0.0)[0]
    assert local(first)[0].hour == 7
    away = Trip("garage", now - HOUR, 80.0)
    assert learnt([*commuter(), away], now).away_share()[0] < POSSIBLE


@pytest.mark.parametrize(
    "changes_on", [datetime(2026, 3, 29, tzinfo=AMSTERDAM), datetime(2026, 10, 25, tzinfo=AMSTERDAM)]
)
def test_the_habit_keeps_to_the_clock_on_the_wall(changes_on):
    monday = changes_on + timedelta(days=1)
    now = at(changes_on, 0)
    journeys = expected(learnt(commuter(changes_on), now), plugged=True, capacity_wh=36_000.0, keep_wh=0.0)
    (to_work,) = [j for j in journeys if j.probability >= LIKELY]
    leaves, returns = local(to_work)
    assert leaves.date() == monday.date()
    assert leaves.hour == 7
    assert time(17, 15) <= returns.time() <= time(18, 15)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 90 * 96), st.integers(1, 900), st.none() | st.floats(-5e4, 5e4)), max_size=60
    ),
    st.booleans(),
    st.integers(0, 100),
    st.sampled_from([1, 24, 72]),
)
def test_any_history_gives_journeys_in_order_within_reach(rows, plugged, watched_days, hours):
    now = at(MONDAY, 6)
    trips = [
        trip(now - timedelta(minutes=15 * ago), now - timedelta(minutes=15 * ago - 14 * lasts), energy)
        for ago, lasts, energy in rows
    ]
    journeys = expected(learnt(trips, now, hours, timedelta(days=watched_days)), plugged, 36_000.0, 2000.0)
    assert all(now - HOUR <= j.leaves_at < j.returns_at for j in journeys)
    assert all(a.returns_at <= b.leaves_at for a, b in pairwise(journeys))
    assert all(
        j.energy_wh >= 0 and 2000 <= j.target_wh <= 36_000 and 0 < j.probability <= 1 for j in journeys
    )
