"""What a frequency asks for, product by product."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.frequency.products import PRODUCTS, Trigger, in_dead_band, share_of, triggered
from gateway.model import ReserveProduct

FCR, FCR_N = ReserveProduct.FCR, ReserveProduct.FCR_N
UP, DOWN, FFR = ReserveProduct.FCR_D_UP, ReserveProduct.FCR_D_DOWN, ReserveProduct.FFR


@pytest.mark.parametrize(
    ("product", "hz", "share"),
    [
        (FCR, 50.0, 0.0),
        (FCR, 49.98, -0.1),
        (FCR, 50.1, 0.5),
        (FCR, 49.8, -1.0),
        (FCR, 49.0, -1.0),
        (FCR, 50.3, 1.0),
        (FCR_N, 49.95, -0.5),
        (FCR_N, 50.1, 1.0),
        (UP, 49.9, 0.0),
        (UP, 49.7, -0.5),
        (UP, 49.5, -1.0),
        (UP, 50.4, 0.0),
        (DOWN, 50.1, 0.0),
        (DOWN, 50.3, 0.5),
        (DOWN, 50.5, 1.0),
        (DOWN, 49.5, 0.0),
    ],
)
def test_the_share_of_the_sold_power(product, hz, share):
    assert share_of(PRODUCTS[product], hz) == pytest.approx(share, abs=1e-6)


@given(product=st.sampled_from([FCR, FCR_N, UP, DOWN]), one=st.floats(45, 55), two=st.floats(45, 55))
def test_a_higher_frequency_never_asks_for_less_and_never_for_more_than_was_sold(product, one, two):
    low, high = sorted((share_of(PRODUCTS[product], one), share_of(PRODUCTS[product], two)))
    assert -1.0 <= low <= high <= 1.0
    if one < two:
        assert share_of(PRODUCTS[product], one) <= share_of(PRODUCTS[product], two)


def test_the_dead_band_is_10_mhz_and_only_of_symmetric_products():
    assert in_dead_band(PRODUCTS[FCR], 49.99)
    assert in_dead_band(PRODUCTS[FCR_N], 50.01)
    assert not in_dead_band(PRODUCTS[FCR], 49.989)
    assert not in_dead_band(PRODUCTS[UP], 50.0)


def test_a_trigger_holds_for_30_s_and_is_then_taken_back_within_5_s():
    product, trigger = PRODUCTS[FFR], Trigger()
    shares = {}
    for tenth in range(500):
        at = tenth / 10
        trigger = triggered(product, 49.7, trigger, 49.68 if 1.0 <= at < 1.5 else 49.9, at)
        shares[at] = trigger.share
    assert shares[0.9] == 0.0
    assert shares[1.0] == shares[30.0] == -1.0
    assert shares[33.0] == pytest.approx(-0.7, abs=0.05)
    assert shares[37.0] == 0.0
    steepest = max(abs(shares[(t + 1) / 10] - shares[t / 10]) for t in range(20, 499))
    assert steepest <= 0.2 * 0.1 + 1e-6
