"""Journeys: the habit with its spread, by the local clock, and what a planner that knows the habit expects of them."""

from dataclasses import replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.year.driving import Habit, driven
from gateway.year.record import DAY, Record
from gateway.year.what_if import plugged_in

HABIT = Habit(caution=2, spread=1.5)


def record(days=28, starts_at=datetime(2024, 3, 10, 23, tzinfo=UTC)):
    zeros = np.zeros(days * DAY)
    return Record(starts_at, ZoneInfo("Europe/Amsterdam"), zeros, zeros, zeros, zeros, begin=0)


def test_it_leaves_at_the_same_local_time_before_and_after_the_clock_changes():
    year = record()
    driving = driven(year, replace(HABIT, spread=0.0))
    assert {year.slot_of_day(j.leaves) for j in driving.journeys} == {HABIT.leaves}
    assert len(driving.journeys) == 28


def test_the_same_seed_drives_the_same_and_another_one_another_way():
    year = record()
    assert driven(year, HABIT, 1).journeys == driven(year, HABIT, 1).journeys
    assert driven(year, HABIT, 1).journeys != driven(year, HABIT, 2).journeys


def test_the_planner_expects_the_usual_times_with_caution():
    driving = driven(record(), HABIT)
    (first, back), *_ = driving.expected(0, 192)
    assert (first, back) == (28, 70)


def test_an_overdue_car_may_be_back_at_any_moment():
    driving = driven(record(), HABIT, 3)
    late = next(
        j for j, (_, usual) in zip(driving.journeys, driving.usual, strict=True) if j.returns > usual + 1
    )
    now = late.returns - 1
    assert next(driving.expected(now, 192)) == (0, 1)


@pytest.mark.parametrize("share", [28, 50, 75])
def test_it_is_plugged_in_about_as_much_as_asked_and_drives_as_far(share):
    year, habit = record(7 * 52), plugged_in(HABIT, share)
    driving = driven(year, habit)
    assert driving.plugged_pct == pytest.approx(share, abs=5)
    assert habit.trip_wh * len(habit.days) == pytest.approx(HABIT.trip_wh * len(HABIT.days))


def test_days_at_home_have_no_journey():
    year = record()
    assert len(driven(year, replace(HABIT, days=(5, 6))).journeys) == 8
