"""Prices and carbon of a horizon: what is known stays, what is not is guessed from days alike and said to be a guess."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import PriceSlot
from gateway.planning.carbon import carbon_series
from gateway.planning.price_series import UNKNOWN_EXPORT, UNKNOWN_IMPORT, series
from gateway.planning.problem import Horizon

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NOON = datetime(2026, 6, 10, 10, tzinfo=UTC)
HOUR = timedelta(hours=1)


def horizon(starts_at=NOON, hours=48, step_h=0.25):
    return Horizon(starts_at, np.full(round(hours / step_h), step_h))


def hourly(starts_at, hours, price):
    at = [starts_at + i * HOUR for i in range(hours)]
    return [PriceSlot(t, t + HOUR, price(t), price(t) - 0.1) for t in at]


def by_the_clock(at):
    return 0.1 if at.astimezone(AMSTERDAM).hour < 6 else 0.3


def test_known_prices_come_as_they_are_at_any_step():
    slots = [PriceSlot(NOON + i * HOUR / 4, NOON + (i + 1) * HOUR / 4, i / 10, i / 20) for i in range(8)]
    assert series(slots, horizon(hours=2)).import_per_kwh == pytest.approx(np.arange(8) / 10)
    assert series(slots, horizon(hours=2, step_h=1.0)).export_per_kwh == pytest.approx([0.075, 0.275])
    assert series(slots, horizon(hours=2, step_h=1 / 12)).known.all()


def test_a_gap_is_said_and_a_step_that_is_partly_covered_is_not_known():
    slots = [s for s in hourly(NOON, 4, lambda _: 0.2) if s.starts_at != NOON + HOUR]
    found = series(slots, horizon(hours=4))
    assert list(np.flatnonzero(~found.known)) == [4, 5, 6, 7]
    assert found.import_per_kwh == pytest.approx(np.full(16, 0.2))
    assert list(series(slots, horizon(hours=4, step_h=2.0)).known) == [False, True]


def test_without_any_price_there_is_a_sane_one_and_nothing_is_known():
    found = series((), horizon())
    assert not found.known.any()
    assert set(found.import_per_kwh) == {UNKNOWN_IMPORT}
    assert set(found.export_per_kwh) == {UNKNOWN_EXPORT}


@pytest.mark.parametrize(
    "changes_at", [datetime(2026, 3, 29, 11, tzinfo=UTC), datetime(2026, 10, 25, 11, tzinfo=UTC)]
)
def test_the_guess_keeps_to_the_clock_over_the_days_on_which_it_changes(changes_at):
    slots = hourly(changes_at - timedelta(days=21), 20 * 24, by_the_clock)
    ahead = horizon(changes_at - timedelta(days=1), step_h=1.0)
    found = series(slots, ahead, AMSTERDAM)
    truth = [by_the_clock(ahead.at(step)) for step in range(ahead.steps)]
    assert not found.known.any()
    assert found.import_per_kwh == pytest.approx(truth, abs=0.02)


def test_a_day_that_was_dearer_makes_the_next_guess_dearer_and_less_so_the_one_after():
    usual = hourly(NOON - timedelta(days=15), 14 * 24, lambda _: 0.2)
    today = hourly(NOON - timedelta(days=1), 24, lambda _: 0.4)
    guess = series([*usual, *today], horizon()).import_per_kwh
    assert 0.4 > guess[:96].mean() > guess[96:].mean() > 0.2


@given(
    st.lists(
        st.tuples(st.integers(-3000, 300), st.integers(1, 200), st.floats(-1, 5), st.floats(-1, 5)),
        max_size=30,
    ),
    st.sampled_from([0.25, 1 / 12, 0.5, 1.0]),
    st.integers(0, 59),
)
def test_every_step_has_a_price_between_those_that_are_known(rows, step_h, minute):
    slots = [
        PriceSlot(
            NOON + timedelta(minutes=15 * at), NOON + timedelta(minutes=15 * (at + length)), bought, sold
        )
        for at, length, bought, sold in rows
    ]
    found = series(slots, horizon(NOON + timedelta(minutes=minute), 48, step_h), AMSTERDAM)
    assert np.isfinite(found.import_per_kwh).all()
    assert np.isfinite(found.export_per_kwh).all()
    assert len(found.known) == len(found.import_per_kwh) == round(48 / step_h)


def test_carbon_gaps_are_what_is_usual_at_that_hour():
    sunny = {NOON + i * HOUR: 100.0 if 8 <= (NOON + i * HOUR).hour < 16 else 400.0 for i in range(-240, 6)}
    found = carbon_series(sunny, horizon(step_h=1.0), AMSTERDAM)
    assert list(found[:6]) == [100.0] * 6
    assert found[6:14] == pytest.approx(np.full(8, 400.0), rel=0.1)
    assert found[24:30] == pytest.approx(np.full(6, 100.0), rel=0.2)
    assert carbon_series({}, horizon(), AMSTERDAM) is None


PRICES = Path(__file__).parents[3] / "../shared/data/energy/nl_dayahead_hourly.parquet"


@pytest.mark.skipif(not PRICES.exists(), reason="recorded prices of ../shared/data are not here")
def test_the_guess_of_real_prices_is_clearly_better_than_yesterday():
    parquet = pytest.importorskip("pyarrow.parquet")
    table = parquet.read_table(PRICES).to_pydict()
    begin = datetime(2024, 2, 1, tzinfo=UTC)
    price = {
        t.replace(tzinfo=UTC): p / 1000
        for t, p in zip(table["time_utc"], table["eur_per_mwh"], strict=True)
        if t.year == 2024
    }
    ours, yesterday = [], []
    for day in range(0, 56, 5):
        now = begin + timedelta(days=day, hours=11)
        known = [PriceSlot(t, t + HOUR, p, p) for t, p in price.items() if t < now + 12 * HOUR]
        ahead = [now + (12 + i) * HOUR for i in range(36)]
        guess = series(known, horizon(now, step_h=1.0), AMSTERDAM).import_per_kwh[12:]
        truth = np.array([price[t] for t in ahead])
        ours.append(np.abs(guess - truth).mean())
        yesterday.append(
            np.abs(
                np.array([price[t - (1 + i // 24) * 24 * HOUR] for i, t in enumerate(ahead)]) - truth
            ).mean()
        )
    assert np.mean(ours) < 0.9 * np.mean(yesterday)
