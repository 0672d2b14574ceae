"""Totals never fall, and say what passed."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from gateway.ledger.energy import Account, advance
from gateway.model import MeterSample

START = datetime(2026, 11, 1, tzinfo=UTC)


def meter(at, power_w=0.0, import_wh=None, export_wh=None):
    return MeterSample(at, power_w, (0, 0, 0), (0, 0, 0), (0, 0, 0), None, import_wh, export_wh)


def run(samples, account=None):
    account = account or Account()
    for sample in samples:
        account = advance(account, sample, START + timedelta(seconds=sample.at))
    return account


def imports(*readings, start=0.0):
    return [meter(start + i, import_wh=r) for i, r in enumerate(readings)]


def test_begins_at_what_the_counter_reads():
    assert run(imports(5000.0)).totals().in_wh == 5000.0


def test_follows_a_rising_counter():
    assert run(imports(5000.0, 5001.0, 5002.5)).totals().in_wh == 5002.5


def test_waits_out_a_dip():
    assert run(imports(100.0, 0.0, 0.0, 101.0)).totals().in_wh == 101.0


def test_a_reset_counter_becomes_the_new_base_and_the_step_is_not_counted():
    assert run(imports(100.0, 0.0, 0.0, 0.0, 3.0)).totals().in_wh == 103.0


def test_a_leap_is_not_counted_even_when_it_stays():
    assert run(imports(100.0, 4e9, 4e9, 4e9, 4e9 + 2)).totals().in_wh == 102.0


def test_a_single_glitch_upwards_leaves_no_trace():
    assert run(imports(100.0, 4e9, 101.0)).totals().in_wh == 101.0


def test_what_passed_while_we_were_away_is_counted():
    before = run(imports(100.0))
    later = advance(before, meter(3600.0, import_wh=5100.0), START + timedelta(hours=1))
    assert later.totals().in_wh == 5100.0


def test_a_counter_that_appears_late_makes_no_leap():
    assert run([meter(0.0), meter(1.0, import_wh=9e6), meter(2.0, import_wh=9e6 + 1)]).totals().in_wh == 1.0


def test_a_counter_that_is_missing_for_a_moment_catches_up():
    samples = [
        meter(0, 3600, import_wh=100.0),
        meter(1, 3600),
        meter(2, 3600),
        meter(3, 3600, import_wh=103.0),
    ]
    assert run(samples).totals().in_wh == 103.0


def test_power_is_integrated_without_a_counter():
    totals = run([meter(float(i), 3600.0 if i <= 10 else -3600.0) for i in range(22)]).totals()
    assert totals.in_wh == 10.5
    assert totals.out_wh == 10.5


def test_a_gap_of_more_than_ten_seconds_is_not_integrated():
    assert run([meter(0.0, 3600.0), meter(10.1, 3600.0)]).totals().in_wh == 0.0


def test_the_same_sample_twice_counts_once():
    samples = [meter(0.0, 3600.0), meter(1.0, 3600.0)]
    assert run([*samples, samples[1], samples[1]]).totals().in_wh == 1.0


readings = st.none() | st.floats(allow_nan=True, allow_infinity=True) | st.floats(0, 1e5)


@given(
    st.lists(
        st.tuples(
            st.floats(-5, 20),
            st.floats(-1e4, 1e4) | st.sampled_from([float("nan"), float("inf")]),
            readings,
            readings,
            st.floats(-100, 100),
        )
    )
)
def test_totals_never_fall_whatever_the_device_and_the_clock_say(steps):
    account, at = Account(), 0.0
    for step_s, power_w, import_wh, export_wh, clock_error_s in steps:
        at += step_s
        before = account.totals()
        utc = START + timedelta(seconds=at + clock_error_s)
        account = advance(account, meter(at, power_w, import_wh, export_wh), utc)
        assert account.totals().in_wh >= before.in_wh
        assert account.totals().out_wh >= before.out_wh
