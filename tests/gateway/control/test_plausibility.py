"""A grid meter that lies is not believed before it does harm; an honest one always is, however slow or noisy."""

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import ControlTables, GridTable
from gateway.control.plausibility import HOLD_S, Trust, Watch, believed, follow, impossible
from gateway.faults import FaultCode
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    Interval,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Request,
    RequestMode,
    Snapshot,
    StorageSample,
    StorageState,
    Wishes,
)
from gateway.rehearsal import MeterModel, Plant, Rehearsal

GRID = GridTable(main_fuse_a=25.0, import_limit_w=9000.0, export_limit_w=4000.0)
LYING = (FaultCode.METER_SIGN_FLIPPED, FaultCode.METER_IMPLAUSIBLE, FaultCode.METER_FROZEN)
STEP_S = 0.1


def household(seed, seconds=400.0):
    """A load that jumps every half minute or so."""
    chance, at, steps = random.Random(seed), 0.0, [(0.0, 1500.0)]
    while at < seconds:
        at += chance.expovariate(1 / 30)
        steps.append((at, chance.choice([300.0, 800.0, 1500.0, 2500.0, 3500.0, 4500.0])))
    return lambda second: next(w for since, w in reversed(steps) if since <= second)


def site(seed, meter, *, pv=None, car=True):
    plants = [Plant("battery", phases=(2,))]
    if car:
        rated = Interval(-6000.0, 6000.0)
        plants.append(Plant("garage", DeviceKind.EVSE, (1,), rated, 36_000.0, 60.0, 0.3, 7500.0, poll_s=0.1))
    floors = {d: DeviceSettings(floor_soc_pct=10.0) for d in ("battery", "garage")}
    wishes = Wishes(OwnerSettings(control_on=True, devices=floors))
    tables = ControlTables(GRID)
    return Rehearsal(
        tables, plants, household(seed), pv=pv, meter=meter, wishes=wishes, seed=seed, step_s=STEP_S
    )


def lies_told(rehearsal, seconds):
    """Let time pass; return which of the meter's faults were ever raised."""
    told = set()
    for _ in range(round(seconds / 0.5)):
        rehearsal.run(0.5)
        told |= {code for code in LYING if rehearsal.state.raised(code)}
    return told


def breached_s(rehearsal, since):
    """The longest time in one piece beyond a limit, 2 % allowed."""
    trace, longest, lasting = rehearsal.trace, 0.0, 0.0
    for index, second in enumerate(trace.second):
        grid_w = trace.grid_w[index]
        over = grid_w > 1.02 * 9000.0 or grid_w < -1.02 * 4000.0
        lasting = lasting + STEP_S if over and second > since else 0.0
        longest = max(longest, lasting)
    return longest


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("period_s", [0.2, 0.5, 1.0])
def test_a_meter_turned_round_is_found_before_a_limit_is_broken_for_long(period_s, seed):
    rehearsal = site(seed, MeterModel(period_s=period_s))
    assert lies_told(rehearsal, 60.0) == set()
    rehearsal.meter.factor = -1.0
    assert FaultCode.METER_SIGN_FLIPPED in lies_told(rehearsal, 60.0)
    assert breached_s(rehearsal, 60.0) <= 6.0


@pytest.mark.parametrize("moved_before_s", [4.0, 7.0, 20.0])
def test_a_meter_turned_round_is_found_though_all_devices_are_at_their_limits_a_second_later(moved_before_s):
    rehearsal = site(1, MeterModel())
    later = rehearsal.utc + timedelta(hours=2)
    wish = Request("r", "garage", RequestMode.DISCHARGE, later, power_w=6000.0)
    rehearsal.state.wishes = replace(rehearsal.state.wishes, requests=(wish,))
    rehearsal.load = lambda second: 8000.0
    rehearsal.meter.silent = True
    rehearsal.run(6.0)
    rehearsal.meter.silent = False
    rehearsal.run(moved_before_s)
    since, rehearsal.load, rehearsal.meter.factor = rehearsal.second, lambda second: 6500.0, -1.0
    assert FaultCode.METER_SIGN_FLIPPED in lies_told(rehearsal, 30.0)
    assert breached_s(rehearsal, since) <= 6.0


def test_a_meter_that_was_turned_back_is_believed_again_once():
    rehearsal = site(1, MeterModel())
    rehearsal.run(30.0)
    rehearsal.meter.factor = -1.0
    lies_told(rehearsal, 30.0)
    rehearsal.meter.factor = 1.0
    lies_told(rehearsal, 2 * HOLD_S)
    assert lies_told(rehearsal, 60.0) == set()


@pytest.mark.parametrize("seed", [1, 2])
def test_a_frozen_meter_is_found_while_devices_move(seed):
    rehearsal = site(seed, MeterModel())
    rehearsal.run(60.0)
    rehearsal.load = lambda second: 4000.0
    rehearsal.run(0.25)
    rehearsal.meter.frozen = True
    assert FaultCode.METER_FROZEN in lies_told(rehearsal, 60.0)
    assert breached_s(rehearsal, 60.0) <= 6.0
    rehearsal.meter.frozen = False
    rehearsal.run(10.0)
    assert not rehearsal.state.raised(FaultCode.METER_FROZEN)


def test_a_thousandfold_meter_is_found_at_once():
    rehearsal = site(1, MeterModel(noise_w=10.0))
    rehearsal.run(60.0)
    rehearsal.meter.factor = 1000.0
    assert FaultCode.METER_IMPLAUSIBLE in lies_told(rehearsal, 10.0)
    assert breached_s(rehearsal, 60.0) <= 6.0


HONEST = {
    "fast": MeterModel(0.2),
    "noisy": MeterModel(0.2, noise_w=60.0),
    "late": MeterModel(0.2, lag_s=1.0),
    "slow": MeterModel(2.0, lag_s=0.5),
    "slower": MeterModel(5.0, max_age_s=12.0),
    "very late": MeterModel(1.0, lag_s=5.0),
    "late beyond use": MeterModel(1.0, lag_s=10.0),
    "late without a word": MeterModel(1.0, lag_s=5.0, declared=False),
    "very late without a word": MeterModel(1.0, lag_s=10.0, declared=False),
    "coarse": MeterModel(1.0, noise_w=0.0, resolution_w=100.0),
    "exact": MeterModel(0.2, noise_w=0.0),
}


@pytest.mark.parametrize("name", HONEST)
def test_an_honest_meter_is_never_called_a_liar(name):
    rehearsal = site(5, replace(HONEST[name]))
    assert lies_told(rehearsal, 120.0) == set()


def test_clouds_that_drive_the_devices_to_and_fro_make_no_liar_of_a_meter():
    sun = random.Random(3)
    levels = [sun.uniform(500.0, 8000.0) for _ in range(100)]

    def pv(second):
        place = second / 8.0
        share = place - int(place)
        return levels[int(place)] * (1 - share) + levels[int(place) + 1] * share

    rehearsal = site(6, MeterModel(), pv=pv)
    assert lies_told(rehearsal, 120.0) == set()


# ── the guard alone ──────────────────────────────────────────────────────────────────────────────────────────────────

INFOS = {
    "grid": DeviceInfo("grid", DeviceKind.METER, "Grid", "meter", MeterRole.GRID),
    "battery": DeviceInfo("battery", DeviceKind.STORAGE, "B", "s", phases=(2,)),
}
UTC_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def seen(at, grid_w, battery_w, *, noise=0.0, islanded=False):
    meter = None
    if grid_w is not None:
        phases, amps = (grid_w / 3,) * 3, (abs(grid_w) / 690.0,) * 3
        meter = MeterSample(at, grid_w, phases, (230.0 + noise,) * 3, amps)
    battery = StorageSample(at, battery_w, 50.0, StorageState.RUNNING, 5000.0, 5000.0, islanded=islanded)
    return Snapshot(at, UTC_NOW, INFOS, {"grid": meter}, {"battery": battery}, {}, Wishes(), {})


def through(points, watch=None):
    watch = watch or Watch()
    for number, (grid_w, battery_w) in enumerate(points):
        noise = number % 2 * 0.1
        watch = follow(watch, seen(100.0 + 0.25 * number, grid_w, battery_w, noise=noise), GRID)
    return watch


def test_a_noise_free_meter_of_a_house_at_rest_is_believed():
    watch = Watch()
    for number in range(2000):
        watch = follow(watch, seen(100.0 + 0.1 * number, 300.0, 0.0), GRID)
    assert watch.believed


def test_a_meter_that_repeats_itself_on_an_island_is_believed():
    watch = through([(10.0 * n, 0.0) for n in range(10)])
    for number in range(200):
        watch = follow(watch, seen(200.0 + 0.1 * number, 0.0, -50.0 * number, islanded=True), GRID)
    assert watch.believed


def test_what_cannot_be_believed_is_silent_for_control():
    snapshot = seen(100.0, 500.0, 0.0)
    assert believed(snapshot, Watch()) is snapshot
    for trust in (Trust.DOUBTED, Trust.DISBELIEVED):
        assert believed(snapshot, Watch(trust)).grid() is None


@pytest.mark.parametrize("grid_w", [80_000.0, -80_000.0])
def test_what_no_fuse_carries_is_impossible_and_forgiven_after_a_while(grid_w):
    assert impossible(seen(0.0, grid_w, 0.0).grid(), GRID)
    watch = through([(300.0, 0.0)] * 8 + [(grid_w, 0.0)])
    assert (watch.trust, watch.code) == (Trust.DISBELIEVED, FaultCode.METER_IMPLAUSIBLE)
    assert through([(300.0, 0.0)] * 40, watch).believed


def test_a_silent_meter_says_nothing_for_or_against_it():
    watch = follow(through([(300.0, 0.0)] * 8), seen(110.0, None, 0.0), GRID)
    assert watch.believed
    assert watch.known == ()


@settings(max_examples=60, deadline=None)
@given(
    steps=st.lists(
        st.tuples(st.floats(-3000, 3000), st.floats(-5000, 5000), st.integers(2, 12)), min_size=3, max_size=25
    )
)
def test_whatever_house_and_battery_do_an_honest_meter_is_never_disbelieved(steps):
    """They do it at different times, as the battery only answers what the meter has shown."""
    points, load_w, battery_w = [], 500.0, 0.0
    for more_w, battery_w_next, pause in steps:
        load_w = min(max(load_w + more_w, -8000.0), 12_000.0)
        points += [(load_w + battery_w, battery_w)] * pause
        battery_w = battery_w_next
        points += [(load_w + battery_w, battery_w)] * pause
    watch = Watch()
    for number, (grid_w, own_w) in enumerate(points):
        watch = follow(watch, seen(100.0 + 0.25 * number, grid_w, own_w, noise=number % 2 * 0.1), GRID)
        assert watch.trust is not Trust.DISBELIEVED
