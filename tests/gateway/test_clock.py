"""A clock that somebody moves."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from gateway.clock import HOLD_S, Clock

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


class Machine:
    def __init__(self, utc=NOON):
        self.utc, self.at = utc, 5000.0
        self.clock = Clock(lambda: self.utc, lambda: self.at)

    def wait(self, seconds):
        self.utc += timedelta(seconds=seconds)
        self.at += seconds
        return self.clock()

    def move(self, **by):
        self.utc += timedelta(**by)
        return self.clock()


def test_time_goes_on():
    machine = Machine()
    assert machine.wait(0.1) == NOON + timedelta(seconds=0.1)
    assert not machine.clock.stepped


@pytest.mark.parametrize("by_s", [-59, 0.4, 59])
def test_a_small_correction_is_taken_at_once(by_s):
    machine = Machine()
    assert machine.move(seconds=by_s) == machine.utc
    assert not machine.clock.stepped


@pytest.mark.parametrize("by", [timedelta(hours=-2), timedelta(days=1), timedelta(days=-20_000)])
def test_a_step_is_not_taken_until_it_has_stood_for_a_quarter_of_an_hour(by):
    machine = Machine()
    machine.move(seconds=by.total_seconds())
    assert machine.wait(60.0) == NOON + timedelta(seconds=60)
    assert machine.clock.stepped == by
    assert machine.wait(HOLD_S - 61.0) == machine.utc - by
    assert machine.wait(2.0) == machine.utc
    assert not machine.clock.stepped


def test_a_step_that_is_taken_back_was_none():
    machine = Machine()
    machine.move(days=1)
    machine.wait(30.0)
    machine.move(days=-1)
    assert machine.clock() == NOON + timedelta(seconds=30)
    assert not machine.clock.stepped
    machine.move(hours=-2)
    machine.wait(HOLD_S - 1.0)
    assert machine.clock.stepped, "its quarter of an hour begins anew"


def test_a_machine_that_slept_has_not_been_moved():
    machine = Machine()
    assert machine.wait(8 * 3600.0) == machine.utc
    assert not machine.clock.stepped


@pytest.mark.parametrize(
    "change", [datetime(2026, 3, 29, 1, 0, tzinfo=UTC), datetime(2026, 10, 25, 1, 0, tzinfo=UTC)]
)
def test_summer_time_is_no_event(change):
    zone = ZoneInfo("Europe/Amsterdam")
    machine = Machine(change - timedelta(minutes=1))
    before = machine.utc.astimezone(zone).utcoffset()
    for _ in range(120):
        machine.wait(1.0)
        assert not machine.clock.stepped
    assert machine.clock() == change + timedelta(minutes=1)
    assert machine.utc.astimezone(zone).utcoffset() != before
