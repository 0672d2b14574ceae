"""What one device gives makes room for another only once it flows."""

from types import SimpleNamespace

from hypothesis import given
from hypothesis import strategies as st

from gateway.control.relief import until_it_flows
from gateway.control.site_limits import Fitted, GroupLimit
from gateway.model import Interval, Reason, Rung

WIDE = {"battery": Interval(-5000.0, 5000.0), "garage": Interval(-6000.0, 6000.0)}
FUSE = Reason(Rung.GRID_CONNECTION, "fuse_l1")
watts = st.floats(-5000, 5000)


def held(ordered, now, least_w=-4000.0, most_w=4000.0, grace_w=100.0, intervals=WIDE):
    limit = GroupLimit(FUSE, dict.fromkeys(WIDE, 1.0), Interval(least_w, most_w), grace_w=grace_w)
    samples = {d: SimpleNamespace(power_w=p) for d, p in now.items()}
    snapshot = SimpleNamespace(storages={"battery": samples["battery"]}, evses={"garage": samples["garage"]})
    return until_it_flows(Fitted(ordered, {}, (limit,), (sum(ordered.values()),)), intervals, snapshot)


def test_a_battery_does_not_charge_on_what_a_slow_charger_is_still_to_give():
    fitted = held({"battery": 5000.0, "garage": -1500.0}, {"battery": 0.0, "garage": 0.0})
    assert fitted.powers_w == {"battery": 4100.0, "garage": -1500.0}
    assert fitted.limited_by == {"battery": FUSE}
    fitted = held({"battery": 5000.0, "garage": -1500.0}, {"battery": 4100.0, "garage": -1500.0})
    assert fitted.powers_w["battery"] == 5000.0


def test_a_battery_lets_go_no_sooner_than_the_car_that_it_carries():
    fitted = held({"battery": 0.0, "garage": 3000.0}, {"battery": -2000.0, "garage": 6000.0})
    assert fitted.powers_w == {"battery": -1900.0, "garage": 3000.0}
    assert (
        held({"battery": 0.0, "garage": 3000.0}, {"battery": -2000.0, "garage": 3000.0}).powers_w["battery"]
        == 0.0
    )


def test_what_may_not_be_discharged_is_let_go_all_the_same():
    empty = WIDE | {"battery": Interval(0.0, 5000.0)}
    fitted = held({"battery": 0.0, "garage": 3000.0}, {"battery": -2000.0, "garage": 6000.0}, intervals=empty)
    assert fitted.powers_w["battery"] == 0.0


def test_a_limit_that_is_no_fuse_is_kept_by_the_orders_alone():
    ordered = {"battery": 5000.0, "garage": -1500.0}
    assert held(ordered, {"battery": 0.0, "garage": 0.0}, grace_w=0.0).powers_w == ordered


@given(st.tuples(watts, watts), st.tuples(watts, watts))
def test_no_step_begins_that_the_fuse_does_not_carry_while_the_other_is_yet_to_come(ordered, now):
    ordered_w, now_w = dict(zip(WIDE, ordered, strict=True)), dict(zip(WIDE, now, strict=True))
    powers_w = held(ordered_w, now_w).powers_w
    flowing_w = sum(now)
    highest_w = sum(max(powers_w[d], now_w[d]) for d in WIDE)
    lowest_w = sum(min(powers_w[d], now_w[d]) for d in WIDE)
    assert highest_w <= max(4100.0, flowing_w) + 1.01
    assert lowest_w >= min(-4100.0, flowing_w) - 1.01
    for device, power_w in powers_w.items():
        between = sorted((ordered_w[device], now_w[device]))
        assert between[0] - 1e-6 <= power_w <= between[1] + 1e-6
