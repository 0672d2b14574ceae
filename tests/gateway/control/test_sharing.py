"""How free devices share one power."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.sharing import share
from gateway.model import Interval

BOTH = {"battery": Interval(-5000.0, 5000.0), "car": Interval(-6000.0, 6000.0)}
ENERGY = {"battery": 5000.0, "car": 10_000.0}
CARS = frozenset({"car"})


def test_large_power_is_shared_by_energy():
    assert share(-3000.0, BOTH, ENERGY, {}, CARS) == pytest.approx({"battery": -1000.0, "car": -2000.0})


def test_small_power_is_carried_alone_and_the_choice_does_not_flutter():
    assert share(-900.0, BOTH, ENERGY, {}, CARS)["car"] == 0.0
    running = {"battery": -400.0, "car": -500.0}
    assert share(-900.0, BOTH, ENERGY, running, CARS)["car"] == pytest.approx(-600.0)


def test_when_one_is_full_the_other_takes_the_rest():
    full = {**BOTH, "battery": Interval(-5000.0, 500.0)}
    assert share(4000.0, full, ENERGY, {}, CARS) == pytest.approx({"battery": 500.0, "car": 3500.0})


def test_a_device_that_is_all_but_empty_does_not_make_the_sum_too_large():
    edges = {"battery": Interval(0.0, 1.0), "car": Interval(0.0, 999.25)}
    shares = share(1000.0, edges, {"battery": 5e-324, "car": 1.0}, {}, CARS)
    assert sum(shares.values()) == pytest.approx(1000.0)


@given(
    st.floats(-20_000, 20_000),
    st.tuples(*[st.floats(0, 6000)] * 4),
    st.tuples(*[st.floats(0, 40_000)] * 2),
)
def test_shares_stay_inside_and_never_work_against_each_other(need_w, edges, energies):
    intervals = {"battery": Interval(-edges[0], edges[1]), "car": Interval(-edges[2], edges[3])}
    energy = dict(zip(intervals, energies, strict=True))
    shares = share(need_w, intervals, energy, {}, CARS)
    for device, power_w in shares.items():
        assert intervals[device].min_w <= power_w <= intervals[device].max_w
        assert power_w * need_w >= 0
    assert abs(sum(shares.values())) <= abs(need_w) + 1e-6
    reach = sum((i.max_w if need_w > 0 else -i.min_w) for d, i in intervals.items() if energy[d] > 0)
    assert abs(sum(shares.values())) >= min(abs(need_w), reach) - 1.0
