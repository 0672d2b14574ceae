"""The tick against a plant with dead times, ramps and a meter that is late, on a virtual clock."""

import random
import statistics
from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from gateway.config import ControlTables, GridTable
from gateway.control.loop import Loop
from gateway.faults import FaultCode
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Request,
    RequestMode,
    Setpoint,
    StorageSample,
    StorageState,
    VehicleSample,
    Wishes,
)
from gateway.state import SiteState

STEP_S = 0.02
START = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


@dataclass
class Machine:
    """A device that follows its setpoint after a dead time, on a ramp, and reports late."""

    dead_time_s: float
    ramp_w_per_s: float
    power_w: float = 0.0
    setpoint: Setpoint | None = None
    orders: deque = field(default_factory=deque)
    applied: list[Setpoint] = field(default_factory=list)
    goal_w: float = 0.0

    def apply(self, setpoint: Setpoint) -> None:
        if self.setpoint is None or setpoint.power_w != self.setpoint.power_w:
            self.orders.append(setpoint)
        self.setpoint = setpoint
        self.applied.append(setpoint)

    def step(self, now: float, clock: float) -> None:
        while self.orders and clock >= self.orders[0].expires_at - 10.0 + self.dead_time_s:
            self.goal_w = self.orders.popleft().power_w
        if self.setpoint and now > self.setpoint.expires_at:
            self.goal_w = 0.0
        room = self.ramp_w_per_s * STEP_S
        self.power_w += max(-room, min(room, self.goal_w - self.power_w))


class Plant:
    """A site on a virtual clock: ``load`` is a function of time, the meter refreshes every ``meter_s``."""

    def __init__(self, load, meter_s=0.2, control_on=True, noise_w=4.0):
        infos = [
            DeviceInfo("grid", DeviceKind.METER, "Grid", "m", MeterRole.GRID),
            DeviceInfo(
                "battery",
                DeviceKind.STORAGE,
                "B",
                "s",
                phases=(2,),
                rated=Interval(-5000, 5000),
                capacity_wh=1e4,
            ),
            DeviceInfo(
                "garage",
                DeviceKind.EVSE,
                "L",
                "e",
                phases=(1,),
                rated=Interval(-6000, 6000),
                capacity_wh=3.6e4,
            ),
        ]
        self.now = 1000.0
        self.state = SiteState(infos, lambda: START + timedelta(seconds=self.now))
        self.battery, self.car = Machine(0.15, 5000.0), Machine(0.2, 7500.0)
        self.grid_table = GridTable(main_fuse_a=25.0, import_limit_w=9000.0, export_limit_w=4000.0)
        self.loop = Loop(
            self.state,
            ControlTables(self.grid_table),
            {"battery": self.battery, "garage": self.car},
            monotonic=lambda: self.now,
        )
        owner = OwnerSettings(control_on=control_on, devices={"battery": DeviceSettings(floor_soc_pct=10.0)})
        self.state.wishes = Wishes(owner)
        self.load, self.meter_s, self.noise_w = load, meter_s, noise_w
        self.random = random.Random(7)
        self.grid_w: list[float] = []
        self.silent: set[str] = set()

    def run(self, seconds: float) -> list[float]:
        self.grid_w = []
        for _ in range(round(seconds / STEP_S)):
            self.now = round(self.now + STEP_S, 6)
            self.battery.step(self.now, self.now)
            self.car.step(self.now, self.now)
            total = self.load(self.now) + self.battery.power_w + self.car.power_w
            self.grid_w.append(total)
            self.publish(total)
            if self.due(0.1) or self.state.fresh_grid.is_set():
                self.state.fresh_grid.clear()
                self.loop.tick(self.now)
        return self.grid_w

    def due(self, period_s: float, phase_s: float = 0.0) -> bool:
        return (round(self.now / STEP_S) - round(phase_s / STEP_S)) % round(period_s / STEP_S) == 0

    def publish(self, total: float) -> None:
        if self.due(self.meter_s, 0.06) and "grid" not in self.silent:
            seen = total + self.random.gauss(0, self.noise_w)
            phases = (seen / 3,) * 3
            self.state.put(
                "grid", MeterSample(self.now, seen, phases, (230.0,) * 3, (abs(seen) / 690,) * 3, 50.0)
            )
        if self.due(0.2, 0.14) and "battery" not in self.silent:
            now_w = self.battery.power_w
            self.state.put("battery", StorageSample(self.now, now_w, 60.0, StorageState.RUNNING, 5000, 5000))
        if self.due(0.1, 0.04) and "garage" not in self.silent:
            vehicle = VehicleSample(60.0, 36_000.0)
            car_w = self.car.power_w
            self.state.put(
                "garage", EvseSample(self.now, EvseState.READY, True, car_w, 6000, 6000, vehicle=vehicle)
            )

    def decision(self, device: str):
        return self.state.snapshot(self.now).decisions[device]


def test_grid_power_settles_near_zero_and_does_not_hunt():
    plant = Plant(lambda now: 2600.0)
    plant.run(10.0)
    settled = plant.run(60.0)
    assert max(abs(w) for w in settled) < 60.0
    assert statistics.pstdev(settled) < 25.0


@pytest.mark.parametrize("meter_s", [0.2, 1.0, 2.0])
def test_a_step_of_load_is_followed_without_a_limit_cycle(meter_s):
    plant = Plant(lambda now: 800.0 if now < 1030.0 else 3800.0, meter_s)
    plant.run(25.0)
    after = plant.run(40.0)
    settled = after[round((5.0 + 3 * meter_s) / STEP_S) + 250 :]
    assert max(abs(w) for w in settled) < 120.0
    crossings = sum(1 for a, b in pairwise(settled) if a * b < 0 and abs(a - b) > 100.0)
    assert crossings == 0


def test_until_control_is_on_nothing_is_commanded_but_the_wish_is_shown():
    plant = Plant(lambda now: 2600.0, control_on=False)
    plant.run(5.0)
    assert not plant.battery.applied
    assert plant.decision("battery").reason.code == "observing"
    assert plant.decision("battery").wanted_w < -500.0


def test_turning_control_off_ends_the_leases_at_once():
    plant = Plant(lambda now: 2600.0)
    plant.run(5.0)
    plant.state.wishes = Wishes(OwnerSettings(control_on=False))
    plant.run(0.2)
    assert plant.battery.applied[-1].power_w == 0.0
    assert not plant.car.applied[-1].engage
    count = len(plant.battery.applied)
    plant.run(2.0)
    assert len(plant.battery.applied) == count


def test_every_setpoint_is_a_lease_that_is_renewed_each_tick():
    plant = Plant(lambda now: 2600.0)
    plant.run(5.0)
    assert 9.0 < plant.battery.applied[-1].expires_at - plant.now <= 10.0
    assert len(plant.battery.applied) > 40


def test_a_silent_meter_ends_discharge_and_raises_one_fault_and_comes_back():
    plant = Plant(lambda now: 2600.0)
    plant.run(10.0)
    assert plant.battery.power_w < -500.0
    plant.silent.add("grid")
    plant.run(8.0)
    assert (plant.battery.power_w, plant.car.power_w) == (0.0, 0.0)
    assert plant.state.raised(FaultCode.GRID_METER_STALE)
    plant.silent.clear()
    plant.run(10.0)
    assert not plant.state.raised(FaultCode.GRID_METER_STALE)
    assert plant.battery.power_w < -500.0


def test_the_fuse_holds_while_the_house_takes_more():
    # On L1: a third of the load and the whole car.
    plant = Plant(lambda now: 3000.0 if now < 1040.0 else 9000.0)
    plant.grid_table = replace(plant.grid_table)
    expires = START + timedelta(days=9)
    requests = (
        Request("r", "garage", RequestMode.CHARGE, expires),
        Request("b", "battery", RequestMode.PAUSE, expires),
    )
    plant.state.wishes = replace(plant.state.wishes, requests=requests)
    plant.run(30.0)
    assert plant.car.power_w > 4000.0
    plant.run(14.0)
    over = [w for w in plant.run(30.0) if w > 9000.0 + 50.0]
    assert not over
    assert plant.decision("garage").limited_by is not None


def test_a_driver_that_cannot_take_a_setpoint_does_not_stop_the_others():
    plant = Plant(lambda now: 2600.0)
    plant.run(3.0)

    def broken(setpoint):
        raise ZeroDivisionError("no voltage")

    plant.battery.apply, before = broken, len(plant.car.applied)
    plant.run(6.0)
    assert len(plant.car.applied) > before + 50
    assert plant.state.raised(FaultCode.RULE_FAILED)


def test_a_decision_that_fails_takes_the_site_to_zero_and_says_so(monkeypatch):
    plant = Plant(lambda now: 2600.0)
    plant.run(10.0)
    assert plant.battery.power_w < -500.0

    def broken(*_):
        raise KeyError("phase")

    monkeypatch.setattr("gateway.control.loop.dispatch", broken)
    plant.run(3.0)
    assert (plant.battery.power_w, plant.car.power_w) == (0.0, 0.0)
    assert plant.decision("battery").limited_by.code == "rule_failed"
    assert plant.state.raised(FaultCode.RULE_FAILED)
    monkeypatch.undo()
    plant.run(10.0)
    assert plant.battery.power_w < -500.0
    assert not plant.state.raised(FaultCode.RULE_FAILED)


def test_a_missed_period_is_a_fault_for_a_minute():
    plant = Plant(lambda now: 0.0)
    plant.loop._watch(2000.0, 3)
    assert plant.state.raised(FaultCode.TICK_OVERRUN)
    plant.loop._watch(2030.0, 1)
    assert plant.state.raised(FaultCode.TICK_OVERRUN)
    plant.loop._watch(2061.0, 1)
    assert not plant.state.raised(FaultCode.TICK_OVERRUN)
