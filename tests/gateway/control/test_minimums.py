"""A charger that cannot charge with a little: throttled, held for a while, stopped, and not started again too soon."""

from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.config import ControlTables, GridTable
from gateway.control.balance import House, follow
from gateway.control.dispatch import dispatch
from gateway.control.minimums import PATIENCE_S, REST_S, SHORT_REST_S
from gateway.control.minimums import follow as remember
from gateway.model import ControlStatus, Decision, Request, RequestMode, Urgency

LEAST_W = 1400.0
FUSE_W = 25.0 * 230.0


class Days:
    """A house with an asking car whose charger has a minimum, tick by tick; only phase 1 of the fuse binds."""

    def __init__(self, house, request):
        self.house, self.at = house(grid=GridTable(main_fuse_a=25.0), stale=frozenset()), 100.0
        request(self.house)
        self.minimums, self.before, self.urgencies = {}, {}, {}

    def tick(self, room_w: float, after_s: float = 0.1) -> Decision:
        """Decide with so much room on the car's phase."""
        self.at += after_s
        self.house.at = self.at
        self.house.load_w = (FUSE_W * 0.97 - room_w, 0.0, 0.0)
        self.house.car_w = 0.0
        told = self.house.snapshot()
        devices = {**told.devices, "garage": replace(told.devices["garage"], min_charge_w=LEAST_W)}
        told = replace(told, devices=devices, decisions=self.before)
        self.minimums = remember(self.minimums, told)
        status = ControlStatus(minimums=self.minimums, urgencies=self.urgencies)
        outcome = dispatch(
            replace(told, control=status), ControlTables(self.house.grid), follow(House(), told).balance
        )
        self.before = {d.device: d for d in outcome.decisions}
        return self.before["garage"]


@pytest.fixture
def days(house):
    def asking(site):
        utc = site.snapshot().utc
        wish = Request("r1", "garage", RequestMode.CHARGE, utc + timedelta(days=2))
        site.wishes = replace(site.wishes, requests=(wish,))
        site.settings("battery", discharge_allowed=False)

    return Days(house, asking)


def test_a_charger_is_throttled_while_the_minimum_fits(days):
    assert days.tick(4000.0).power_w == pytest.approx(4000.0, abs=1)
    assert days.tick(1500.0).power_w == pytest.approx(1500.0, abs=1)


def test_it_is_held_at_the_minimum_within_the_fuses_rating_and_stopped_after_half_a_minute(days):
    days.tick(4000.0)
    held = days.tick(1300.0)
    assert (held.power_w, held.limited_by.code) == (LEAST_W, "held_at_minimum")
    assert held.limited_by.source == "fuse_l1"
    assert days.tick(1300.0).power_w == LEAST_W
    assert days.tick(1300.0, PATIENCE_S / 2).power_w == LEAST_W
    stopped = days.tick(1300.0, PATIENCE_S / 2 + 0.1)
    assert (stopped.power_w, stopped.limited_by.code) == (0.0, "below_minimum")


def test_it_is_stopped_at_once_where_the_minimum_would_pass_the_rating(days):
    days.tick(4000.0)
    assert days.tick(800.0).power_w == 0.0


def test_a_dip_that_is_over_in_time_starts_the_patience_anew(days):
    days.tick(4000.0)
    for _ in range(5):
        assert days.tick(1300.0, 20.0).power_w == LEAST_W
        assert days.tick(3000.0, 20.0).power_w == pytest.approx(3000.0, abs=1)
        days.tick(3000.0)


def test_one_that_was_stopped_rests_and_then_needs_room_to_spare(days):
    days.tick(4000.0)
    days.tick(0.0)
    assert days.tick(4000.0, 60.0).power_w == 0.0
    days.tick(4000.0, REST_S - 100.0)
    assert days.before["garage"].power_w == 0.0
    assert days.tick(1.1 * LEAST_W, 200.0).power_w == 0.0
    assert days.tick(1.3 * LEAST_W).power_w == pytest.approx(1.3 * LEAST_W, abs=1)
    assert days.tick(1.0 * LEAST_W + 5).power_w == pytest.approx(LEAST_W, abs=10)


def test_a_car_without_time_left_rests_less(days):
    days.tick(4000.0)
    days.tick(0.0)
    days.tick(0.0)
    utc = days.house.snapshot().utc
    days.urgencies = {"garage": Urgency(6000.0, 1.0, 9000.0, utc)}
    assert days.tick(4000.0, SHORT_REST_S + 1).power_w == pytest.approx(4000.0, abs=1)


def test_at_a_limit_it_starts_and_stops_at_most_twice_an_hour_and_never_charges_below_its_minimum(days):
    starts, before_w = 0, 0.0
    for minute in range(240):
        power_w = days.tick(1300.0 if minute % 2 else 2500.0, 60.0).power_w
        assert power_w == 0.0 or power_w >= LEAST_W
        starts += before_w == 0.0 < power_w
        before_w = power_w
    assert 1 <= starts <= 8


def test_a_car_that_is_gone_is_forgotten(days):
    days.tick(4000.0)
    days.tick(0.0)
    days.house.plugged = False
    days.tick(4000.0)
    days.house.plugged = True
    days.tick(4000.0)
    assert days.tick(4000.0).power_w == pytest.approx(4000.0, abs=1)
