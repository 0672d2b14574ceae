"""A state of charge that lies, and one that has only moved fast."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model.soc import STABLE_S, HeldSoc

POWER_W, CAPACITY_WH = 6000.0, 40_000.0


def told(*readings: tuple[float, float], capacity_wh=CAPACITY_WH) -> HeldSoc:
    held = HeldSoc()
    for at, pct in readings:
        held = held.after(at, pct, POWER_W, capacity_wh)
    return held


def test_the_first_reading_is_believed_unless_it_is_zero():
    assert told((0, 73)).pct == 73
    assert told((0, 0)).pct is None
    assert told((0, 0)).doubt == "state of charge of 0 %, nothing is known"


@pytest.mark.parametrize("lie", [0.0, 1.0, 70.0, 100.0])
def test_what_physics_does_not_allow_is_held_and_told(lie):
    held = told((0, 55), (1, lie))
    assert (held.pct, held.doubt) == (55, f"state of charge of {lie:g} %, 55 % is held")
    back = held.after(2, 55, POWER_W, CAPACITY_WH)
    assert (back.pct, back.doubt) == (55, "")


def test_what_it_may_have_gained_meanwhile_is_believed():
    assert told((0, 55), (1, 57)).pct == 57
    assert told((0, 55), (600, 59)).pct == 59  # 6 kW for 10 min is 2.5 % of 40 kWh
    assert told((0, 55), (600, 61)).doubt
    assert told((0, 55), (600, 75), capacity_wh=None).pct == 75


def test_a_value_that_stays_for_a_minute_is_believed_and_one_that_wavers_is_not():
    steady = [(float(at), 20.0) for at in range(1, 62)]
    assert told((0, 55), *steady[:-1]).pct == 55
    assert told((0, 55), *steady).pct == 20
    wavering = [(float(at), 20.0 if at % 2 else 30.0) for at in range(1, 100)]
    assert told((0, 55), *wavering).pct == 55


def test_a_lie_that_is_told_twice_with_a_silence_between_is_not_steady():
    assert told((0, 55), (1, 1), (300, 1)).pct == 55
    assert told((0, 55), (1, 1), (300, 1), *((300.0 + at, 1.0) for at in range(1, 61))).pct == 1


def test_a_battery_that_is_really_empty_may_say_so():
    empty = told((0, 1), *((float(at), 0.0) for at in range(1, 63)))
    assert (empty.pct, empty.doubt) == (0, "")
    assert empty.after(63, 0, POWER_W, CAPACITY_WH).doubt == ""


@given(st.lists(st.tuples(st.floats(0.1, 30), st.floats(0, 100)), max_size=30))
def test_nothing_is_believed_that_was_not_told_and_no_leap_within_a_minute(steps):
    held, now, seen = HeldSoc(), 0.0, set()
    for elapsed_s, pct in steps:
        now += elapsed_s
        seen.add(pct)
        before, held = held, held.after(now, pct, POWER_W, CAPACITY_WH)
        assert held.pct is None or held.pct in seen
        if before.pct is not None and held.pct != before.pct and now - before.at < STABLE_S:
            assert abs(held.pct - before.pct) <= 2 + 100 * POWER_W / CAPACITY_WH / 3600 * (now - before.at)
