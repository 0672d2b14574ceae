"""Load and sun from their own past: better than yesterday, honest about doubt, and never without an answer."""

from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.planning.forecast import History, load, pv
from gateway.planning.forecast.history import QUARTER_S, local, past_of, quarter_of
from gateway.planning.forecast.sky import height

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
BEGIN = datetime(2026, 2, 2, tzinfo=UTC)
PROFILES = Path(__file__).parents[3] / "../shared/data/energy/simbench_profiles_15min_2016.parquet"
TWO_DAYS = np.full(192, 0.25)


def clock_house(at):
    """A house that draws 2 kW from 18 to 21 by the clock on the wall, on working days alone, and 200 W else."""
    shown = at.astimezone(AMSTERDAM)
    return 2000.0 if 18 <= shown.hour < 21 and shown.weekday() < 5 else 200.0


def history(starts_at, days, power, step_s=900):
    times = [starts_at + timedelta(seconds=i * step_s) for i in range(round(days * 86_400 / step_s))]
    return History(starts_at, step_s, np.array([power(t) for t in times]))


def sunny(at):
    """Panels at 10 degrees east near the equator's seasons: light from 5:20 to 17:20 UTC."""
    return (
        max(0.0, 4000.0 * np.sin((at.hour + at.minute / 60 - 5.33) / 12 * np.pi))
        if 5 <= at.hour < 18
        else 0.0
    )


def test_a_household_that_nobody_knows_yet_has_a_standard_day_and_a_wide_band():
    band = load(History(BEGIN, 900, np.zeros(0)), BEGIN, TWO_DAYS, AMSTERDAM)
    assert 200 < band.p50.mean() < 800
    assert np.all(band.p10 < band.p50)
    assert np.all(band.p90 > 1.2 * band.p50)


def test_a_first_day_sets_the_level():
    one = history(BEGIN, 1, lambda _: 1500.0)
    band = load(one, BEGIN + timedelta(days=1), TWO_DAYS, AMSTERDAM)
    assert 1000 < band.p50.mean() < 1800


@pytest.mark.parametrize(
    "changes_on", [datetime(2026, 3, 29, tzinfo=UTC), datetime(2026, 10, 25, tzinfo=UTC)]
)
def test_habits_keep_to_the_clock_on_the_wall_when_it_changes(changes_on):
    starts_at = changes_on - timedelta(hours=3)
    past = history(starts_at - timedelta(days=42), 42, clock_house)
    band = load(past, starts_at, np.full(72, 1.0), AMSTERDAM)
    truth = np.array([clock_house(starts_at + timedelta(hours=i)) for i in range(72)])
    assert np.corrcoef(band.p50, truth)[0, 1] > 0.94


def test_week_ends_are_known_apart_where_they_differ():
    friday_night = datetime(2026, 3, 20, 23, tzinfo=UTC)
    past = history(friday_night - timedelta(days=40), 40, clock_house)
    band = load(past, friday_night, np.full(96, 1.0), AMSTERDAM)
    evening = [band.p50[day * 24 + 20] for day in range(4)]
    assert max(evening[0], evening[1]) < 500 < 1500 < min(evening[2], evening[3])


def test_a_house_that_runs_high_now_is_expected_high_for_the_next_hour_and_usual_tomorrow():
    past = history(BEGIN, 30, lambda _: 400.0)
    past.w[-4:] = 3000.0
    band = load(past, BEGIN + timedelta(days=30), TWO_DAYS, AMSTERDAM)
    assert band.p50[0] > 1500 > 600 > band.p50[96:].mean()


def test_gaps_are_no_zeros():
    whole = history(BEGIN, 30, clock_house)
    holed = History(BEGIN, 900, whole.w.copy())
    holed.w[np.random.default_rng(1).random(len(whole.w)) < 0.4] = np.nan
    holed.w[-20:] = np.nan
    at = BEGIN + timedelta(days=30)
    whole_band, holed_band = (load(h, at, TWO_DAYS, AMSTERDAM) for h in (whole, holed))
    assert holed_band.p50 == pytest.approx(whole_band.p50, rel=0.15, abs=60)


def test_what_came_later_is_not_looked_at():
    past = history(BEGIN, 20, clock_house)
    longer = History(BEGIN, 900, np.concatenate((past.w, np.full(200, 9000.0))))
    at = BEGIN + timedelta(days=20)
    assert np.array_equal(load(past, at, TWO_DAYS, AMSTERDAM).p50, load(longer, at, TWO_DAYS, AMSTERDAM).p50)
    assert np.array_equal(pv(past, at, TWO_DAYS).p50, pv(longer, at, TWO_DAYS).p50)


@pytest.mark.parametrize("step_s", [300, 900, 1800, 3600])
def test_a_history_of_any_step_is_read_on_quarters(step_s):
    past = past_of(history(BEGIN, 3, clock_house, step_s), BEGIN + timedelta(days=3), 5)
    assert np.isnan(past.w[:192]).all()
    truth = [clock_house(BEGIN + timedelta(minutes=15 * i)) for i in range(288)]
    assert list(past.w[192:]) == truth


def test_the_days_on_which_the_clocks_change_have_92_and_100_quarters():
    for day, quarters in ((datetime(2026, 3, 29), 92), (datetime(2026, 10, 25), 100)):
        begin = quarter_of(day.replace(tzinfo=AMSTERDAM).astimezone(UTC))
        dates, slots = local(begin - 8, 118, AMSTERDAM)
        assert (dates == dates[8]).sum() == quarters
        assert list(slots[[7, 8, 8 + quarters]]) == [95, 0, 0]
        for index in (20, 60, 108):
            shown = datetime.fromtimestamp((begin - 8 + index) * QUARTER_S, AMSTERDAM)
            assert slots[index] == shown.hour * 4 + shown.minute // 15


def test_of_panels_that_gave_nothing_yet_nothing_is_expected():
    band = pv(History(BEGIN, 900, np.zeros(0)), BEGIN, TWO_DAYS)
    assert not band.p90.any()


def test_clear_days_are_followed_by_a_clear_day_without_regard_to_the_clock():
    changes_on = datetime(2026, 3, 29, tzinfo=UTC)
    past = history(changes_on - timedelta(days=20), 20, sunny)
    band = pv(past, changes_on, TWO_DAYS)
    truth = np.array([sunny(changes_on + timedelta(minutes=15 * i)) for i in range(192)])
    assert band.p50 == pytest.approx(truth, rel=0.06, abs=120)


def test_a_cloud_now_dims_the_next_hour():
    past = history(BEGIN, 20.5, sunny)
    clear = pv(past, BEGIN + timedelta(days=20.5), TWO_DAYS).p50[:4].mean()
    past.w[-4:] *= 0.2
    assert pv(past, BEGIN + timedelta(days=20.5), TWO_DAYS).p50[:4].mean() < 0.6 * clear


def test_the_season_is_known_where_the_place_is():
    quarters = np.arange(
        quarter_of(datetime(2026, 2, 1, tzinfo=UTC)), quarter_of(datetime(2026, 3, 20, tzinfo=UTC))
    )
    power = 5000.0 * height(quarters, 52.0, 5.0)
    past = History(datetime(2026, 2, 1, tzinfo=UTC), 900, power[: -2 * 96])
    starts_at = datetime(2026, 3, 18, tzinfo=UTC)
    truth = power[-2 * 96 :]
    placed, unplaced = (
        np.abs(pv(past, starts_at, TWO_DAYS, *where).p50 - truth).mean() for where in ((52.0, 5.0), ())
    )
    assert placed < 0.5 * unplaced


def test_the_sun_is_where_an_almanac_has_it():
    noon = quarter_of(datetime(2026, 6, 21, 11, 37, tzinfo=UTC))
    high, night = height(np.array([noon, noon + 48]), 52.0, 5.0)
    assert np.degrees(np.arcsin(high)) == pytest.approx(90 - 52 + 23.44, abs=0.1)
    assert night == 0.0


def test_a_forecast_handed_in_is_followed_corrected_and_left_where_it_ends():
    past = history(BEGIN, 20, sunny)
    at = BEGIN + timedelta(days=20)
    told = history(BEGIN, 21, lambda t: 1.5 * sunny(t))
    dim = History(BEGIN, 900, told.w.copy())
    dim.w[-96:] *= 0.3
    band = pv(past, at, TWO_DAYS, handed=dim)
    truth = np.array([sunny(at + timedelta(minutes=15 * i)) for i in range(96)])
    assert band.p50[:96].sum() == pytest.approx(0.3 * truth.sum(), rel=0.15)
    assert band.p50[96:].sum() == pytest.approx(truth.sum(), rel=0.1)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 50 * 96),
    st.sampled_from([300, 900, 3600]),
    st.integers(0, 86_400),
    st.lists(st.sampled_from([1 / 12, 0.25, 0.5, 1.0]), min_size=1, max_size=90),
    st.sampled_from([0.0, 0.3, 1.0]),
    st.integers(0, 2**32 - 1),
)
def test_any_history_gives_a_band_in_order(count, step_s, second, hours, gaps, seed):
    random = np.random.default_rng(seed)
    w = random.gamma(0.5, 800.0, count) - 50.0
    w[random.random(count) < gaps] = np.nan
    starts_at = datetime(2026, 3, 27, tzinfo=UTC) + timedelta(seconds=second)
    past = History(starts_at - timedelta(seconds=count * step_s), step_s, w)
    told = History(starts_at, 3600, random.gamma(0.5, 500.0, 20))
    for band in (
        load(past, starts_at, np.array(hours), AMSTERDAM),
        pv(past, starts_at, np.array(hours)),
        pv(past, starts_at, np.array(hours), 52.0, 5.0, told),
    ):
        assert len(band.p50) == len(hours)
        assert np.isfinite(band.p90).all()
        assert np.all((band.p10 >= 0) & (band.p10 <= band.p50) & (band.p50 <= band.p90))


@cache
def profile(name):
    column = pytest.importorskip("pyarrow.parquet").read_table(PROFILES, columns=[name])[name]
    values = np.array(column, np.float64)
    return 500.0 * values / values.mean()


def errors(name, forecast):
    """Return mean |error| of the forecast, of yesterday and of last week, the bias, and how often it came inside the band."""
    w, begin = profile(name), datetime(2016, 1, 1, tzinfo=UTC)
    ours, yesterday, week, bias, inside = [], [], [], [], []
    for now in range(70 * 96 + 30, 360 * 96, 7 * 96 + 41):
        truth = w[now : now + 192]
        band = forecast(History(begin, 900, w[:now]), begin + timedelta(minutes=15 * now))
        ours.append(np.abs(band.p50 - truth).mean())
        yesterday.append(np.abs(np.tile(w[now - 96 : now], 2) - truth).mean())
        week.append(np.abs(w[now - 672 : now - 480] - truth).mean())
        bias.append((band.p50 - truth).mean())
        inside.append(
            ((truth >= band.p10) & (truth <= band.p90) & (band.p90 > 0)).sum() / (band.p90 > 0).sum()
        )
    return tuple(float(np.mean(x)) for x in (ours, yesterday, week, bias, inside))


needs_profiles = pytest.mark.skipif(
    not PROFILES.exists(), reason="recorded loads of ../shared/data are not here"
)


@needs_profiles
@pytest.mark.parametrize("name", ["H0-A", "H0-G", "G0-A"])
def test_real_loads_are_foretold_better_than_by_yesterday_and_by_last_week(name):
    ours, yesterday, week, bias, inside = errors(name, lambda h, t: load(h, t, TWO_DAYS, ZoneInfo("UTC")))
    assert ours < 0.9 * min(yesterday, week) if name == "H0-A" else ours < 0.85 * yesterday
    assert abs(bias) < 50.0
    assert 0.7 < inside < 0.9


@needs_profiles
def test_real_sun_is_foretold_better_than_by_yesterday():
    ours, yesterday, week, bias, inside = errors("PV1", lambda h, t: pv(h, t, TWO_DAYS))
    assert ours < 0.95 * min(yesterday, week)
    assert abs(bias) < 60.0
    assert 0.65 < inside < 0.92
