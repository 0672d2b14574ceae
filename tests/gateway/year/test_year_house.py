"""The physics of a site: nothing is made of nothing, no limit is broken, and what the fast path follows."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.planning.problem import Converter
from gateway.year.house import Connection, Follow, Order, Pack, flow

BATTERY = Pack("battery", 10_000, 5000, 5000, Converter(0.95, 0.95, idle_w=20))
CAR = Pack("car", 36_000, 6000, 6000, Converter(0.94, 0.94, idle_w=60), floor_wh=7200, is_car=True)
LINE = Connection(9000, 4000)
HALF = {"battery": 5000.0, "car": 18_000.0}
powers = st.floats(-20_000, 20_000)


@given(
    st.floats(0, 10_000),
    st.floats(0, 36_000),
    st.floats(-8000, 9000),
    powers,
    powers,
    powers,
    st.sampled_from(Follow),
)
def test_energy_is_kept_and_no_limit_is_broken(battery_wh, car_wh, base_w, battery_w, car_w, grid_w, follow):
    before = {"battery": battery_wh, "car": car_wh}
    order = Order({"battery": battery_w, "car": car_w}, grid_w, follow)
    done = flow((BATTERY, CAR), before, base_w, order, LINE, 1 / 12)
    assert done.grid_w == pytest.approx(base_w + sum(done.power_w.values()) + done.curtailed_w, abs=1e-6)
    assert done.grid_w <= LINE.import_max_w + 1e-6
    assert done.grid_w >= -LINE.export_max_w - 1e-6
    for pack in (BATTERY, CAR):
        stored_w = (done.energy_wh[pack.id] - before[pack.id]) * 12
        assert -1e-6 <= done.energy_wh[pack.id] <= pack.capacity_wh + 1e-6
        assert abs(done.power_w[pack.id]) <= 6000 + 1e-6
        assert stored_w <= max(done.power_w[pack.id], 0) + 1e-6
        assert stored_w <= done.power_w[pack.id] + 1e-6


def test_a_car_below_its_floor_gives_nothing():
    done = flow((CAR,), {"car": 7000.0}, 500.0, Order({"car": -3000.0}), LINE, 0.25)
    assert done.power_w["car"] == 0.0


def test_following_the_power_leaves_the_forecasts_error_to_the_grid():
    done = flow((BATTERY,), HALF, 800.0, Order({"battery": -500.0}, 0.0, Follow.POWER), LINE, 0.25)
    assert done.grid_w == pytest.approx(300.0)


def test_following_the_exchange_lets_the_battery_take_the_error():
    done = flow((BATTERY,), HALF, 800.0, Order({"battery": -500.0}, 0.0, Follow.EXCHANGE), LINE, 0.25)
    assert done.grid_w == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("planned_grid_w", "base_w", "grid_w"),
    [(2000.0, 4000.0, 5000.0), (2000.0, -3000.0, 0.0), (0.0, 700.0, 0.0), (-2000.0, -700.0, 0.0)],
)
def test_following_the_side_holds_powers_until_the_meter_would_turn(planned_grid_w, base_w, grid_w):
    """A battery planned to charge 1 kW keeps to it, but for the sake of the side of the meter that was planned."""
    done = flow((BATTERY,), HALF, base_w, Order({"battery": 1000.0}, planned_grid_w, Follow.SIDE), LINE, 0.25)
    assert done.grid_w == pytest.approx(grid_w)


def test_the_connection_comes_before_the_plan():
    done = flow((BATTERY, CAR), HALF, 3000.0, Order({"battery": 5000.0, "car": 6000.0}), LINE, 0.25)
    assert done.grid_w == pytest.approx(9000.0)
