"""AC power to DC current and back, and the trim that learns the losses."""

from copy import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.chademo.demand import Demand
from gateway.devices.chademo.power import MOST_TRIM_W, Trim, ac_power_w, dc_power_w
from gateway.model import Reason, Rung, Setpoint

watts = st.floats(-7000, 7000)


@given(watts, st.floats(-100, 100))
def test_the_way_back_is_the_way_there(power_w, trim_w):
    dc_w = dc_power_w(power_w, trim_w)
    if dc_w * power_w > 0 and (dc_w - trim_w) * power_w > 0:
        assert ac_power_w(dc_w, trim_w) == pytest.approx(power_w)


@given(watts)
def test_losses_are_paid_in_both_directions(power_w):
    assert dc_power_w(power_w) <= power_w


@pytest.mark.parametrize("wanted_w", [2000.0, -2000.0])
def test_the_trim_brings_the_measured_power_to_the_setpoint(wanted_w):
    trim, measured_w = Trim(), 0.0
    for tick in range(200):
        measured_w = dc_power_w(wanted_w, trim.offset_w) + 140.0
        trim = trim.follow(tick / 10, wanted_w, measured_w, free=True)
    assert measured_w == pytest.approx(wanted_w, abs=25)


def test_the_trim_learns_nothing_while_something_else_holds_the_current_back():
    trim = Trim()
    for tick in range(100):
        trim = trim.follow(tick / 10, 3000.0, 0.0, free=False)
    assert trim.offset_w == 0


@given(st.lists(st.tuples(st.floats(0, 2), watts, watts, st.booleans()), max_size=50))
def test_the_trim_is_bounded(events):
    trim, now = Trim(), 0.0
    for elapsed_s, wanted_w, measured_w, free in events:
        now += elapsed_s
        trim = trim.follow(now, wanted_w, measured_w, free=free)
        assert abs(trim.offset_w) <= MOST_TRIM_W


def test_a_setpoint_is_renewed_by_one_that_asks_for_the_same_while_it_holds():
    asked = Setpoint("garage", 1500.0, 103.0, Reason(Rung.OWNER_REQUEST, "boost"))
    demand = Demand(asked)
    assert demand.renewed_by(replace(asked, expires_at=104.0, reason=Reason(Rung.PLAN, "price")), 102.9)
    assert not demand.renewed_by(replace(asked, expires_at=104.0), 103.0)
    for other in ({"power_w": 1501.0}, {"engage": False}, {"owner_asked": True}, {"wanted_w": 10.0}):
        assert not demand.renewed_by(replace(asked, **other), 102.9)
    assert not Demand().renewed_by(asked, 102.9)
