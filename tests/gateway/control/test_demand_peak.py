"""The mean import of each quarter of an hour, the month's highest, and what keeps the next one below it."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.config import GridTable
from gateway.control.demand_peak import Demand, follow
from gateway.model import DemandPeak, DeviceInfo, DeviceKind, MeterRole, MeterSample, Snapshot, Wishes

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GRID = DeviceInfo("grid", DeviceKind.METER, "Grid", "meter", MeterRole.GRID)
TABLE = GridTable(main_fuse_a=63.0, peak_target_w=20_000.0)


def at(second, power_w, start=NOON):
    third = power_w / 3
    sample = MeterSample(float(second), power_w, (third,) * 3, (230.0,) * 3, (third / 230.0,) * 3)
    utc = start + timedelta(seconds=second)
    return Snapshot(float(second), utc, {"grid": GRID}, {"grid": sample}, {}, {}, Wishes(), {})


def run(power_w, seconds, demand=None, start=NOON, first=0, step=5):
    demand = demand or Demand()
    for second in range(first, first + seconds + 1, step):
        demand = follow(demand, at(second, power_w, start), TABLE, "Europe/Amsterdam")
    return demand


def test_an_interval_that_is_over_sets_the_months_peak():
    demand = run(24_000.0, 900)
    assert demand.peak.peak_w == pytest.approx(24_000.0, rel=0.01)
    assert demand.peak.mean_w < 300.0
    assert demand.peak.month == datetime(2026, 11, 1, tzinfo=ZoneInfo("Europe/Amsterdam"))


def test_what_was_drawn_lets_less_be_drawn():
    fresh = follow(Demand(), at(0, 0.0), TABLE, "UTC")
    assert fresh.peak.cap_w == pytest.approx(20_000.0)
    half = run(30_000.0, 450)
    assert half.peak.cap_w == pytest.approx(10_000.0, rel=0.01)
    frugal = run(19_000.0, 450)
    assert frugal.peak.cap_w == pytest.approx(21_000.0, rel=0.01)


def test_what_was_saved_buys_no_spike():
    assert run(0.0, 895).peak.cap_w == pytest.approx(22_000.0)


def test_who_imports_the_target_may_go_on_until_the_end():
    assert run(20_000.0, 895).peak.cap_w == pytest.approx(20_000.0, rel=0.02)


def test_too_much_already_leaves_nothing():
    assert run(60_000.0, 450).peak.cap_w == 0.0


def test_a_peak_that_is_lost_is_the_new_target():
    demand = run(30_000.0, 900)
    assert demand.peak.cap_w == pytest.approx(demand.peak.peak_w, rel=0.01)


def test_exported_energy_is_no_import():
    assert run(-50_000.0, 450).peak.mean_w == 0.0


def test_a_new_month_begins_at_midnight_on_the_wall():
    start = datetime(2026, 11, 30, 22, 45, tzinfo=UTC)
    before = run(40_000.0, 895, start=start)
    assert before.peak.peak_w == 0.0
    after = follow(before, at(900, 1000.0, start), TABLE, "Europe/Amsterdam")
    assert (after.peak.month.month, after.peak.peak_w) == (12, 0.0)


def test_a_silent_meter_counts_nothing_and_an_unset_target_caps_nothing():
    demand = run(10_000.0, 60)
    late = follow(demand, at(200, 10_000.0), TABLE, "UTC")
    assert late.energy_wh == demand.energy_wh
    assert follow(Demand(), at(0, 1.0), GridTable(main_fuse_a=25.0), "UTC").peak.cap_w is None


def test_what_was_drawn_unseen_lets_no_more_be_drawn_than_the_target():
    started = follow(Demand(), at(600, 0.0), TABLE, "UTC")
    assert started.peak.cap_w == pytest.approx(20_000.0)
    assert run(19_000.0, 145, started, first=605).peak.cap_w == pytest.approx(21_000.0, rel=0.02)
    late = follow(run(20_000.0, 300), at(600, 20_000.0), TABLE, "UTC")
    assert late.peak.cap_w == pytest.approx(20_000.0, rel=0.01)


def test_a_silence_longer_than_an_interval_is_unseen_only_as_far_as_the_interval_goes():
    demand = follow(run(1_000.0, 60), at(2000, 0.0), TABLE, "UTC")
    assert demand.unseen_s == pytest.approx(200.0)


def test_the_months_peak_survives_a_restart():
    remembered = DemandPeak(datetime(2026, 11, 1, tzinfo=UTC), 31_000.0)
    assert follow(Demand(remembered), at(0, 0.0), TABLE, "UTC").peak.peak_w == 31_000.0
