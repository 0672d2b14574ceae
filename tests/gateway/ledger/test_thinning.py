"""Few rows, and none that matters is missing."""

from copy import replace
from datetime import UTC, datetime, timedelta

from gateway.ledger.thinning import decision_worth, sample_worth
from gateway.model import Decision, Interval, Reason, Rung

START = datetime(2026, 11, 1, tzinfo=UTC)


def after(seconds):
    return START + timedelta(seconds=seconds)


def rows(points):
    kept = []
    for point in points:
        if sample_worth(kept[-1] if kept else None, point):
            kept.append(point)
    return kept


def test_a_moving_power_gets_a_row_each_ten_seconds():
    assert len(rows([(after(i / 10), 100.0 * (i % 5), None) for i in range(600)])) == 6


def test_a_steady_power_gets_a_row_each_minute():
    assert len(rows([(after(i), 5.0 * (i % 2), 50.0) for i in range(180)])) == 3


def test_a_leap_gets_a_row_but_not_more_than_one_a_second():
    assert len(rows([(START, 0.0, None), (after(1.5), 3000.0, None)])) == 2
    assert len(rows([(after(i / 10), 3000.0 * (i % 2), None) for i in range(100)])) == 10


def test_a_clock_that_is_set_back_does_not_stop_the_rows():
    assert sample_worth((START, 0.0, None), (after(-3600), 0.0, None))


DECISION = Decision("garage", 0.0, START, 0.0, 0.0, Interval(-6000, 6000), Reason(Rung.PLAN, "cheap"))


def test_a_new_reason_or_limiter_gets_a_row_and_small_power_changes_get_none():
    later = replace(DECISION, utc=after(2))
    assert decision_worth(DECISION, replace(later, reason=Reason(Rung.IDLE, "idle")))
    assert decision_worth(DECISION, replace(later, limited_by=Reason(Rung.GRID_CONNECTION, "fuse")))
    assert not decision_worth(DECISION, replace(later, power_w=3000.0))
    assert decision_worth(DECISION, replace(DECISION, utc=after(60), power_w=3000.0))
    assert not decision_worth(DECISION, replace(DECISION, utc=after(6000), power_w=50.0))
