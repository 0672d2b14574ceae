"""The energy behind a reserve, and the zero point of a device: pure, on numbers."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.frequency.products import PRODUCTS
from gateway.control.frequency.reservoir import (
    Recharge,
    Reservoir,
    begun,
    exhausted,
    followed,
    sustained_w,
)
from gateway.control.frequency.zero_point import MOST_W, ZeroPoint
from gateway.control.frequency.zero_point import followed as corrected
from gateway.model import ReserveProduct

FCR, UP, DOWN = (
    PRODUCTS[p] for p in (ReserveProduct.FCR, ReserveProduct.FCR_D_UP, ReserveProduct.FCR_D_DOWN)
)
QUARTER = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
STORE = Reservoir(stored_wh=20_000, floor_wh=10_000, ceiling_wh=34_000, capacity_wh=36_000)


def test_a_symmetric_product_is_as_good_as_its_worse_side():
    assert sustained_w(STORE, UP, 30) == pytest.approx(18_800)
    assert sustained_w(STORE, DOWN, 30) == pytest.approx(14_000 / 0.94 * 2)
    assert sustained_w(STORE, FCR, 30) == sustained_w(STORE, UP, 30)
    assert sustained_w(STORE, FCR, 15) == pytest.approx(2 * sustained_w(STORE, FCR, 30))


@given(stored=st.floats(0, 36_000), minutes=st.floats(1, 240))
def test_beyond_the_owners_floor_and_the_ceiling_there_is_nothing_to_sell(stored, minutes):
    store = Reservoir(stored, 10_000, 34_000, 36_000)
    sold_w = sustained_w(store, FCR, minutes)
    assert sold_w >= 0
    assert stored - sold_w / 0.94 * minutes / 60 >= 10_000 - 1e-6 or sold_w == 0
    assert stored + sold_w * 0.94 * minutes / 60 <= 34_000 + 1e-6 or sold_w == 0
    assert exhausted(store, FCR) == (stored <= 10_000 or stored >= 34_000)


def run(recharge, store, delivered_w, quarters, allowed=1.0):
    offsets = []
    for second in range(quarters * 900):
        at, utc = recharge.at + 1, QUARTER + timedelta(seconds=second)
        recharge = followed(recharge, store, delivered_w, 800.0, at, utc, allowed)
        offsets.append(recharge.offset_w)
    return recharge, offsets


def test_the_charge_that_was_found_is_kept_where_the_reservoir_allows():
    assert begun(STORE, FCR, 8000, 30, 0.0).target_wh == 20_000
    low = Reservoir(14_300, 10_000, 34_000, 36_000)
    assert begun(low, FCR, 8000, 30, 0.0).target_wh == pytest.approx(10_000 + 4000 / 0.94 + 2000)


def test_an_offset_is_decided_a_quarter_ahead_bounded_and_ramped():
    behind = Recharge(stored_wh=18_000, target_wh=20_000, tolerated_wh=400, at=0.0)
    told = Reservoir(18_000, 10_000, 34_000, 36_000)
    _, offsets = run(behind, told, 0.0, 3)
    assert max(offsets[:900]) == 0.0
    assert offsets[930] == pytest.approx(413, abs=30)
    assert max(offsets) == pytest.approx(800.0)


def test_a_small_wandering_is_left_alone_and_an_event_holds_the_recharge():
    near = Recharge(stored_wh=19_700, target_wh=20_000, tolerated_wh=400, at=0.0)
    _, offsets = run(near, Reservoir(19_700, 10_000, 34_000, 36_000), 0.0, 3)
    assert set(offsets) == {0.0}
    behind = Recharge(stored_wh=18_000, target_wh=20_000, tolerated_wh=400, at=0.0)
    _, offsets = run(behind, Reservoir(18_000, 10_000, 34_000, 36_000), 0.0, 3, allowed=0.0)
    assert set(offsets) == {0.0}


def test_between_the_steps_of_the_cars_percent_the_energy_is_counted():
    found = Recharge(20_000, 20_000, 400, 0.0)
    recharge, _ = run(found, STORE, 300.0, 1)
    assert recharge.stored_wh == pytest.approx(20_000 + 75 * 0.94, abs=1)
    recharge, _ = run(found, STORE, 8000.0, 1)
    assert recharge.stored_wh == 20_360  # but never further from what the car says than its step


def lived(offset_w, seconds=200, dead_time_s=0.0, *, free=True, asked=lambda t: 3000.0):
    zero, at = ZeroPoint(), 100.0
    history = {}
    for n in range(seconds * 10):
        at = 100.0 + n / 10
        want_w = asked(at)
        history[round(at, 1)] = want_w + zero.correction_w
        then = history.get(round(at - dead_time_s, 1), want_w)
        zero = corrected(zero, want_w, (at, then + offset_w), dead_time_s, free=free, at=at)
    return zero.correction_w


@pytest.mark.parametrize("offset_w", [740.0, -420.0])
@pytest.mark.parametrize("dead_time_s", [0.0, 4.0])
def test_an_offset_is_learned(offset_w, dead_time_s):
    assert lived(offset_w, dead_time_s=dead_time_s) == pytest.approx(-offset_w, abs=15.0)


def test_it_is_bounded_and_unlearned_by_nothing_that_is_no_offset():
    assert lived(5000.0, 400) == -MOST_W
    assert lived(740.0, free=False) == 0.0
    assert abs(lived(0.0, asked=lambda t: 3000.0 if int(t) % 4 < 2 else -3000.0)) < 1.0
