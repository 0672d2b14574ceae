"""What the owner is told of the loop, from simulated seconds."""

import math

import pytest

from gateway.control.balance import House
from gateway.control.quality import Point, _running, _seen_lag_s, judged
from gateway.model import Decision, Interval, QualityVerdict, Reason, Rung
from tests.gateway.control.conftest import UTC_NOW

LIMIT = Reason(Rung.GRID_CONNECTION, "import_limit")


def seconds(grid, own, running=True, limit=None):
    return tuple(
        Point(1000.0 + n, 1000.0 + n, grid(n), grid(n), own(n), running, limit(n) if limit else None)
        for n in range(300)
    )


def hob(n):
    return 1800.0 if n % 30 < 14 else 0.0


@pytest.fixture
def judge(house):
    return lambda points: judged(points, House(), house().snapshot())


def test_a_grid_near_its_target_is_stable(judge):
    told = judge(seconds(lambda n: 20.0 * math.sin(n), lambda n: -1500.0))
    assert told.verdict is QualityVerdict.STABLE
    assert told.rms_w < 20.0
    assert told.reversals_per_h == 0.0


@pytest.mark.parametrize("delay", [2, 6, 10])
def test_a_loop_that_swings_by_itself_is_hunting(judge, delay):
    def own(n):
        return 1000.0 * math.sin(n * math.tau / (4 * delay)) - 2000.0

    told = judge(seconds(lambda n: own(n - delay) + 2000.0 + 30.0 * math.sin(n * 1.7), own))
    assert told.verdict is QualityVerdict.HUNTING
    assert told.by is not None


@pytest.mark.parametrize("late", [1, 3])
def test_a_restless_load_that_is_followed_is_not_hunting(judge, late):
    told = judge(seconds(lambda n: hob(n) - hob(n - late), lambda n: -hob(n - late)))
    assert told.verdict is QualityVerdict.STABLE


def test_a_late_answer_is_sluggish_and_says_by_what(judge):
    told = judge(seconds(lambda n: hob(n) - hob(n - 12), lambda n: -hob(n - 12)))
    assert told.verdict is QualityVerdict.SLUGGISH
    assert told.by.code in {"meter_lag", "device_slow"}


def test_a_limit_that_holds_the_devices_back_is_named(judge):
    told = judge(seconds(lambda n: 2500.0, lambda n: -3000.0, limit=lambda n: LIMIT))
    assert told.verdict is QualityVerdict.LIMITED
    assert told.by == LIMIT


def test_a_minute_of_what_the_owner_asked_for_is_no_sluggishness(judge):
    def asked(n):
        return 120 <= n < 180

    charge = Reason(Rung.OWNER_REQUEST, "charge_now")
    told = judge(
        seconds(lambda n: 6000.0 * asked(n), lambda n: 0.0, limit=lambda n: charge if asked(n) else None)
    )
    assert (told.verdict, told.by) == (QualityVerdict.LIMITED, charge)


def test_power_that_is_asked_of_a_device_is_named_for_what_the_grid_shows(house):
    charge = Reason(Rung.OWNER_REQUEST, "charge_now")
    decision = Decision("garage", 100.0, UTC_NOW, 6000.0, 6000.0, Interval(-6000, 6000), charge)
    assert _running(house(decisions={"garage": decision}).snapshot()) == (True, charge)


def test_while_nothing_runs_there_is_nothing_to_judge(judge):
    told = judge(seconds(lambda n: 400.0, lambda n: 0.0, running=False))
    assert told.verdict is QualityVerdict.IDLE
    assert told.rms_w is None


def test_a_short_time_is_not_judged(judge):
    told = judge(seconds(lambda n: 2500.0, lambda n: -3000.0)[:10])
    assert told.verdict is QualityVerdict.IDLE


def watched(grid, own, every_s=1.0):
    """Points of a meter that is heard ``every_s``."""
    return tuple(
        Point(1000.0 + every_s * n, 1000.0 + every_s * n, grid(n), 0.0, own(n), True, None)
        for n in range(150)
    )


def restless(n):
    """Moves without a beat."""
    return 2000.0 * math.sin(n * n / 40.0) if n >= 0 else 0.0


@pytest.mark.parametrize("every_s", [1.0, 2.0])
@pytest.mark.parametrize("late", [2, 5])
def test_a_meters_lag_is_told_in_seconds_however_often_it_is_heard(late, every_s):
    points = watched(lambda n: restless(n - late) + 30.0 * math.sin(n * 1.7), restless, every_s)
    assert _seen_lag_s(points) == pytest.approx(late * every_s)


def test_a_swing_with_a_beat_proves_no_delay_for_it_fits_several():
    def own(n):
        return 1000.0 * math.sin(n * math.tau / 3.5)

    points = watched(lambda n: own(n - 9) + 400.0 * math.sin(n * 2.9), own)
    assert _seen_lag_s(points) is None


def test_a_single_jump_proves_no_delay_for_it_may_be_a_device_that_came_back():
    points = watched(
        lambda n: -1200.0 if n >= 145 else 0.0, lambda n: 1200.0 * (20 <= n < 141) + 300.0 * (n > 147)
    )
    assert _seen_lag_s(points) is None
