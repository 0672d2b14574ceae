"""The loop against meters that are late and devices that are slow: it settles, and it does not hunt."""

from datetime import timedelta

import pytest

from gateway.config import ControlTables, GridTable
from gateway.model import (
    DeviceKind,
    DeviceSettings,
    Interval,
    OwnerSettings,
    Plan,
    PlanSlot,
    Wishes,
)
from gateway.rehearsal import MeterModel, Plant, Rehearsal
from gateway.rehearsal.rehearsal import START

TABLES = ControlTables(GridTable(main_fuse_a=35.0))
OWNER = OwnerSettings(
    control_on=True,
    devices={"battery": DeviceSettings(10.0), "garage": DeviceSettings(20.0, 95.0)},
)


def battery(**changes):
    return Plant("battery", phases=(1, 2, 3), dead_time_s=0.3, **changes)


def car(dead_time_s=4.0, **changes):
    return Plant(
        "garage",
        DeviceKind.EVSE,
        rated=Interval(-6000.0, 6000.0),
        capacity_wh=38_000.0,
        dead_time_s=dead_time_s,
        ramp_w_per_s=3300.0,
        poll_s=1.0,
        **changes,
    )


def site(plants, load, period_s=1.0, lag_s=0.0, wishes=None):
    meter = MeterModel(period_s=period_s, lag_s=lag_s)
    return Rehearsal(TABLES, plants, load, meter=meter, wishes=wishes or Wishes(OWNER))


def between(rehearsal, column, begin_s, end_s):
    return [w for s, w in zip(rehearsal.trace.second, column, strict=True) if begin_s <= s < end_s]


@pytest.mark.parametrize("dead_time_s", [0.3, 4.0, 7.0])
@pytest.mark.parametrize(("period_s", "lag_s"), [(1, 0), (1, 5), (1, 10), (5, 2), (10, 2), (30, 5)])
def test_after_a_step_of_3_kw_the_grid_settles_within_five_periods_and_stays(period_s, lag_s, dead_time_s):
    response_s = period_s + lag_s + dead_time_s + 2.0
    step_at = 150.0
    settled_at = step_at + 5 * max(response_s, 2.0)
    rehearsal = site(
        [car(dead_time_s)], lambda second: 800.0 if second < step_at else 3800.0, period_s, lag_s
    )
    rehearsal.run(settled_at + 120.0)
    settled = between(rehearsal, rehearsal.trace.grid_w, settled_at, settled_at + 120.0)
    assert max(abs(w) for w in settled) < 150.0


def test_the_fast_device_covers_while_the_slow_one_is_on_its_way():
    rehearsal = site([battery(), car(4.0)], lambda s: 3800.0 if 150 < s < 400 or s > 600 else 800.0, 0.2)
    rehearsal.run(800.0)
    assert rehearsal.plants["garage"].power_w < -500.0
    for begin_s, most_w in ((153.0, 3000.0), (603.0, 1300.0)):  # not known yet, and known from its first step
        after = [abs(w) for w in between(rehearsal, rehearsal.trace.grid_w, begin_s, begin_s + 190.0)]
        assert max(after) < most_w
        assert sum(w > 150.0 for w in after) < 0.04 * len(after)


def test_the_sun_is_followed_by_its_own_meter_when_the_grids_is_late():
    def sun(second):
        return 3000.0 if second % 60 < 30 else 1000.0

    rehearsal = Rehearsal(
        TABLES,
        [battery()],
        lambda s: 500.0,
        pv=sun,
        meter=MeterModel(period_s=1.0, lag_s=10.0),
        wishes=Wishes(OWNER),
    )
    rehearsal.run(100.0)
    rehearsal.run(300.0)
    late = [abs(w) for w in between(rehearsal, rehearsal.trace.grid_w, 120.0, 400.0)]
    assert sum(w > 300.0 for w in late) < 0.05 * len(late)


@pytest.mark.parametrize("lag_s", [3.0, 5.0, 10.0])
def test_a_meter_that_is_later_than_it_says_makes_the_loop_hunt_but_for_a_short_while(lag_s):
    meter = MeterModel(period_s=1.0, lag_s=lag_s, declared=False)
    rehearsal = Rehearsal(
        TABLES,
        [battery()],
        lambda s: 500.0 + (2000.0 if s % 97 < 40 else 0.0),
        meter=meter,
        wishes=Wishes(OWNER),
    )
    rehearsal.run(600.0)
    assert rehearsal.loop._memory.house.lag_s == pytest.approx(lag_s, abs=1.0)
    settled = [abs(w) for w in between(rehearsal, rehearsal.trace.grid_w, 300.0, 600.0)]
    assert sum(w > 300.0 for w in settled) < 0.35 * len(settled)


def hob(second):
    """A plate that goes on and off each 30 s."""
    return 500.0 + (1800.0 if second % 30 < 12 else 0.0)


def test_a_load_that_comes_and_goes_evenly_is_not_taken_for_a_late_meter():
    rehearsal = site([battery()], hob, 1.0)
    rehearsal.run(900.0)
    assert rehearsal.loop._memory.house.lag_s == 0.0
    late = [abs(w) for w in between(rehearsal, rehearsal.trace.grid_w, 60.0, 900.0)]
    assert sum(w > 300.0 for w in late) < 0.12 * len(late)


def test_a_slow_car_is_not_sent_after_each_pan_on_the_stove():
    rehearsal = site([battery(), car(4.0)], hob, 1.0)
    rehearsal.run(120.0)
    orders = rehearsal.plants["garage"].orders
    rehearsal.run(300.0)
    assert rehearsal.plants["garage"].orders - orders < 40


def planned(grid_w, **powers_w):
    slot = PlanSlot(START, START + timedelta(hours=1), grid_w, powers_w, dict.fromkeys(powers_w, "plan"))
    return Plan("p", START, START + timedelta(hours=2), "test", (slot,))


def test_the_planned_exchange_is_followed_not_the_planned_powers():
    wishes = Wishes(OWNER, plan=planned(1000.0, battery=-500.0))
    rehearsal = site([battery()], lambda s: 2500.0, 0.2, wishes=wishes)
    rehearsal.run(30.0)
    assert rehearsal.grid_w == pytest.approx(1000.0, abs=60.0)


@pytest.mark.parametrize(("allowed", "battery_w"), [(False, -1000.0), (True, -3000.0)])
def test_the_battery_does_not_feed_the_car_unless_the_owner_allows_it(allowed, battery_w):
    owner = OwnerSettings(True, battery_may_charge_car=allowed, devices=OWNER.devices)
    wishes = Wishes(owner, plan=planned(None, battery=-3000.0, garage=4000.0))
    rehearsal = site([battery(), car(0.3)], lambda s: 1000.0, 0.2, wishes=wishes)
    rehearsal.run(60.0)
    assert rehearsal.plants["battery"].power_w == pytest.approx(battery_w, abs=100.0)
