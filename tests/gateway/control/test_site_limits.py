"""What holds for every set of devices and limits, judged by a linear program where it can tell more than we can."""

from copy import replace
from datetime import UTC, datetime

import highspy
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from gateway.config import GridTable
from gateway.control.balance import Balance
from gateway.control.site_limits import MARGIN_W, GroupLimit, dimmed_w, fit, group_limits
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    GridWindow,
    Interval,
    Reason,
    Rung,
    Urgency,
    WindowKind,
)

UTC_NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
DEPARTS = datetime(2026, 11, 25, 18, 0, tzinfo=UTC)
FAR = 1e9
WIRED = ((1,), (2,), (3,), (1, 2, 3))
PAIRS = ((1, 2), (2, 3), (3, 1))


def limit(code, weights, low_w, high_w):
    return GroupLimit(Reason(Rung.GRID_CONNECTION, code), weights, Interval(low_w, high_w))


@st.composite
def sites(draw, imbalance=True):
    """Draw devices with what they wish and may, and the limits of a connection with three phases and a circuit."""
    names = [f"d{n}" for n in range(draw(st.integers(1, 6)))]
    wired = {d: draw(st.sampled_from(WIRED)) for d in names}
    intervals = {
        d: Interval(
            -draw(st.sampled_from([0.0, 5000.0, 6000.0])),
            draw(st.sampled_from([0.0, 3700.0, 7400.0, 22000.0])),
        )
        for d in names
    }
    wishes_w = {d: intervals[d].clamp(draw(st.integers(-8000, 23000))) for d in names}
    limits = []
    for phase in (1, 2, 3):
        base_w, weights = draw(st.integers(-7000, 7000)), {
            d: 1 / len(wired[d]) for d in names if phase in wired[d]
        }  # fmt: skip
        limits.append(limit(f"fuse_l{phase}", weights, -5600.0 - base_w, 5600.0 - base_w))
    base_w = draw(st.integers(-8000, 12000))
    everyone = dict.fromkeys(names, 1.0)
    limits.append(limit("import_limit", everyone, -FAR, 9000.0 - base_w))
    limits.append(limit("export_limit", everyone, -4000.0 - base_w, FAR))
    for one, other in PAIRS if imbalance else ():
        weights = {d: ((one in w) - (other in w)) / len(w) for d, w in wired.items()}
        if weights := {d: w for d, w in weights.items() if w}:
            limits.append(limit(f"imbalance_l{one}_l{other}", weights, -4600.0, 4600.0))
    return wishes_w, intervals, limits


def possible(limits, intervals, spare_w):
    """Tell whether some powers hold all ``limits`` with ``spare_w`` to spare, by a linear program."""
    if any(x.interval.max_w - x.interval.min_w < 2 * spare_w for x in limits):
        return False
    model, names = highspy.Highs(), list(intervals)
    model.setOptionValue("output_flag", False)
    for interval in intervals.values():
        model.addVar(interval.min_w, interval.max_w)
    for x in limits:
        columns = np.array([names.index(d) for d in x.weights], dtype=np.int32)
        low_w, high_w = x.interval.min_w + spare_w, x.interval.max_w - spare_w
        model.addRow(low_w, high_w, len(columns), columns, np.array(list(x.weights.values())))
    model.run()
    return model.getModelStatus() == highspy.HighsModelStatus.kOptimal


anything = settings(max_examples=200, deadline=None)


@anything
@given(site=sites())
def test_no_power_leaves_the_interval_of_its_device(site):
    wishes_w, intervals, limits = site
    for device, power_w in fit(wishes_w, intervals, limits).powers_w.items():
        assert intervals[device].min_w - 1e-6 <= power_w <= intervals[device].max_w + 1e-6


@anything
@given(site=sites())
def test_all_limits_hold_where_the_devices_can_hold_them(site):
    wishes_w, intervals, limits = site
    assume(possible(limits, intervals, 200.0))
    fitted = fit(wishes_w, intervals, limits)
    assert fitted.unmet == ()
    assert all(x.excess_w(x.sum_w(fitted.powers_w)) <= 1.0 for x in limits)


@anything
@given(site=sites(imbalance=False))
def test_where_not_all_can_hold_the_higher_ones_do(site):
    wishes_w, intervals, limits = site
    able = next(n for n in range(len(limits), -1, -1) if possible(limits[:n], intervals, 200.0))
    fitted = fit(wishes_w, intervals, limits)
    assert all(x.excess_w(x.sum_w(fitted.powers_w)) <= 1.0 for x in limits[:able])


@anything
@given(site=sites())
def test_what_holds_already_is_left_alone(site):
    wishes_w, intervals, limits = site
    fitted = fit(wishes_w, intervals, limits)
    assume(not fitted.unmet)
    again = fit(fitted.powers_w, intervals, limits)
    assert again.powers_w == pytest.approx(fitted.powers_w, abs=0.1)


@anything
@given(site=sites())
def test_the_order_in_which_devices_are_named_does_not_matter(site):
    wishes_w, intervals, limits = site
    turned = [replace(x, weights=dict(reversed(x.weights.items()))) for x in limits]
    there = fit(wishes_w, intervals, limits).powers_w
    back = fit(dict(reversed(wishes_w.items())), intervals, turned).powers_w
    assert back == pytest.approx(there, abs=1.0)


wishes = st.lists(st.integers(0, 22000), min_size=2, max_size=8)


@anything
@given(wished_w=wishes, cap_w=st.integers(0, 60000), tighter_w=st.integers(0, 60000))
def test_a_tighter_limit_admits_no_more_to_the_group_nor_to_anyone_in_it(wished_w, cap_w, tighter_w):
    wishes_w = {f"d{n}": float(p) for n, p in enumerate(wished_w)}
    intervals = dict.fromkeys(wishes_w, Interval(0.0, 22000.0))
    high_w, low_w = max(cap_w, tighter_w), min(cap_w, tighter_w)
    loose, tight = (
        fit(wishes_w, intervals, [limit("cap", dict.fromkeys(wishes_w, 1.0), -FAR, w)]).powers_w
        for w in (high_w, low_w)
    )
    assert sum(tight.values()) <= low_w + 1.0
    assert all(tight[d] <= loose[d] + 0.1 for d in wishes_w)


@anything
@given(wished_w=wishes, cap_w=st.integers(0, 60000), step_w=st.floats(-50, 50))
def test_a_small_change_of_a_wish_is_a_small_change_of_every_share(wished_w, cap_w, step_w):
    wishes_w = {f"d{n}": float(p) for n, p in enumerate(wished_w)}
    moved_w = {**wishes_w, "d0": min(max(wishes_w["d0"] + step_w, 0.0), 22000.0)}
    intervals = dict.fromkeys(wishes_w, Interval(0.0, 22000.0))
    limits = [limit("cap", dict.fromkeys(wishes_w, 1.0), -FAR, cap_w)]
    before, after = fit(wishes_w, intervals, limits).powers_w, fit(moved_w, intervals, limits).powers_w
    assert all(abs(after[d] - before[d]) <= abs(step_w) + 0.1 for d in wishes_w)


@anything
@given(
    wished_w=st.integers(100, 22000), ranks=st.tuples(st.floats(0, 1), st.floats(0, 1)), cap=st.floats(0, 2)
)
def test_of_two_equal_cars_the_one_with_less_time_gets_no_less(wished_w, ranks, cap):
    wishes_w = {"early": float(wished_w), "late": float(wished_w)}
    needs = {
        d: Urgency(0.0, rank, 9000.0, DEPARTS)
        for d, rank in zip(wishes_w, sorted(ranks, reverse=True), strict=True)
    }
    everyone = limit("cap", dict.fromkeys(wishes_w, 1.0), -FAR, cap * wished_w)
    shares_w = fit(wishes_w, dict.fromkeys(wishes_w, Interval(0.0, 22000.0)), [everyone], needs).powers_w
    assert shares_w["early"] >= shares_w["late"] - 0.1


def test_a_car_without_time_keeps_what_it_must_have_until_the_others_have_nothing():
    wishes_w, interval = {"now": 7000.0, "later": 7000.0}, Interval(0.0, 7000.0)
    needs = {"now": Urgency(7000.0, 1.0, 9000.0, DEPARTS)}
    for cap_w, now_w, later_w in ((9000.0, 7000.0, 2000.0), (7000.0, 7000.0, 0.0), (5000.0, 5000.0, 0.0)):
        limits = [limit("cap", dict.fromkeys(wishes_w, 1.0), -FAR, cap_w)]
        shares_w = fit(wishes_w, dict.fromkeys(wishes_w, interval), limits, needs).powers_w
        assert shares_w == pytest.approx({"now": now_w, "later": later_w}, abs=0.1)


def test_an_aim_takes_nothing_from_a_car_without_time_and_discharges_none_that_soon_has_none():
    wishes_w, interval = {"now": 7000.0, "soon": 3000.0, "free": 3000.0}, Interval(-7000.0, 7000.0)
    needs = {"now": Urgency(7000.0, 1.0, 9e3, DEPARTS), "soon": Urgency(0.0, 0.8, 9e3, DEPARTS)}
    aim = replace(limit("peak_target", dict.fromkeys(wishes_w, 1.0), -FAR, -2000.0), soft=True)
    fitted = fit(wishes_w, dict.fromkeys(wishes_w, interval), [aim], needs)
    assert (fitted.powers_w["now"], fitted.powers_w["soon"]) == (7000.0, 0.0)
    assert fitted.powers_w["free"] == -7000.0
    assert fitted.unmet == ()


def test_a_grid_operator_that_dims_leaves_what_the_law_leaves():
    """§14a EnWG, with the factors of simultaneity of reference/needs.md 2.9."""
    one = DeviceInfo("e", DeviceKind.EVSE, "e", "evse", rated=Interval(0.0, 11000.0))
    for count, least_w in ((1, 4200.0), (2, 7560.0), (3, 10500.0), (9, 19320.0), (12, 24990.0)):
        assert dimmed_w(4200.0, {str(n): one for n in range(count)}) == pytest.approx(least_w)


def test_a_dimmed_site_may_still_use_its_own_sun():
    sun_w = 3000.0
    balance = Balance(0.0, -sun_w, (-1000.0,) * 3, -sun_w, -sun_w, (-1000.0,) * 3, (-1000.0,) * 3)
    evse = DeviceInfo("e", DeviceKind.EVSE, "e", "evse", rated=Interval(0.0, 11000.0))
    window = GridWindow(WindowKind.IMPORT_LIMIT, 0.0, UTC_NOW, DEPARTS, "dim", "dso")
    grid = GridTable(main_fuse_a=35.0, dimmed_w=4200.0)
    allowed = group_limits(grid, balance, {"e": evse}, (window,))[-1].interval
    assert allowed.max_w == pytest.approx(4200.0 + sun_w - MARGIN_W)
