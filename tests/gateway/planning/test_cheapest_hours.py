"""The cheapest time before the car leaves, both clock changes included."""

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import PriceSlot
from gateway.planning.cheapest_hours import CHARGE_EFFICIENCY, Trip, make_plan, next_departure

ZONE = ZoneInfo("Europe/Amsterdam")
NOW = datetime(2026, 11, 24, 18, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


def prices(values, start=NOW):
    return tuple(PriceSlot(start + i * HOUR, start + (i + 1) * HOUR, v, v / 2) for i, v in enumerate(values))


def charging(plan, device="car"):
    return [s.starts_at for s in plan.slots if s.device_power_w.get(device, 0.0) > 0]


def test_the_two_cheapest_hours_before_leaving_are_taken():
    trip = Trip("car", NOW + 12 * HOUR, 2 * 6000.0 * CHARGE_EFFICIENCY, 6000.0)
    plan = make_plan("p", "test", NOW, prices([9, 9, 1, 9, 9, 2, 9, 9, 9, 9, 9, 9, 0]), [trip])
    assert {s.replace(minute=0) for s in charging(plan)} == {NOW + 2 * HOUR, NOW + 5 * HOUR}
    assert len(charging(plan)) == 8


def test_without_prices_the_car_is_still_charged_as_late_as_it_may():
    trip = Trip("car", NOW + 4 * HOUR, 6000.0 * CHARGE_EFFICIENCY, 6000.0)
    assert charging(make_plan("p", "test", NOW, (), [trip]))[0] == NOW + 3 * HOUR


def test_shortly_before_leaving_the_car_no_longer_runs_the_house():
    plan = make_plan("p", "test", NOW, prices([1] * 14), [Trip("car", NOW + 12 * HOUR, 0.0, 6000.0)])
    held = [s.starts_at for s in plan.slots if s.device_power_w.get("car") == 0.0]
    assert held[0] == NOW + 6 * HOUR
    assert plan.slot(NOW).device_power_w == {}


def test_a_car_that_charges_slowly_is_held_as_long_as_refilling_it_from_its_floor_takes():
    trip = Trip("car", NOW + 20 * HOUR, 0.0, 2000.0, deepest_wh=18_000.0)
    plan = make_plan("p", "test", NOW, prices([1] * 24), [trip])
    held = [s.starts_at for s in plan.slots if s.device_power_w.get("car") == 0.0]
    assert held[0] == NOW + 10 * HOUR


def test_the_minutes_before_leaving_and_what_is_left_of_this_quarter_count():
    now = NOW + timedelta(minutes=14)
    soon = Trip("car", NOW + timedelta(minutes=20), 10_000.0, 6000.0)
    assert charging(make_plan("p", "test", now, (), [soon])) == [NOW, NOW + timedelta(minutes=15)]
    need_wh = 6000.0 * CHARGE_EFFICIENCY / 4
    later = Trip("car", NOW + timedelta(minutes=30), need_wh, 6000.0)
    cheap_now = (
        PriceSlot(NOW, NOW + timedelta(minutes=15), 1, 0),
        PriceSlot(NOW + timedelta(minutes=15), NOW + HOUR, 9, 0),
    )
    assert charging(make_plan("p", "test", now, cheap_now, [later])) == [NOW, NOW + timedelta(minutes=15)]


def test_no_trip_no_plan():
    assert make_plan("p", "test", NOW, prices([1]), []) is None


@pytest.mark.parametrize(
    ("utc", "leaves"),
    [
        (datetime(2026, 3, 28, 20, tzinfo=UTC), datetime(2026, 3, 29, 5, 30, tzinfo=UTC)),
        (datetime(2026, 10, 24, 20, tzinfo=UTC), datetime(2026, 10, 25, 6, 30, tzinfo=UTC)),
        (datetime(2026, 11, 24, 6, 30, tzinfo=UTC), datetime(2026, 11, 25, 6, 30, tzinfo=UTC)),
    ],
)
def test_half_past_seven_is_half_past_seven_on_the_wall(utc, leaves):
    assert next_departure(time(7, 30), utc, ZONE) == leaves


@given(
    st.lists(st.floats(-1, 1), max_size=48), st.floats(0, 60_000), st.integers(1, 47), st.floats(500, 11_000)
)
def test_what_can_be_charged_is_charged_and_never_after_leaving(values, need_wh, hours, power_w):
    trip = Trip("car", NOW + hours * HOUR, need_wh, power_w)
    plan = make_plan("p", "test", NOW, prices(values), [trip])
    slots = charging(plan)
    assert all(s < trip.leaves_at for s in slots)
    step_wh = power_w * CHARGE_EFFICIENCY / 4
    assert len(slots) * step_wh >= min(need_wh, hours * 4 * step_wh) - 1e-6
