"""One master per site, and a place where the two processes can meet."""

import asyncio
from datetime import UTC, datetime

import pytest

from gateway import fastpath
from gateway.config import parse
from gateway.faults import ConfigError, FaultCode
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    Excursions,
    Provenance,
    Remembered,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSource,
    VehicleState,
    Wishes,
)
from gateway.nonvolatile import Nonvolatile

SITE = {
    "site": {"name": "House", "serial": "NE-1", "time_zone": "UTC"},
    "grid": {"main_fuse_a": 25.0},
    "devices": {},
}


async def test_a_second_gateway_on_the_same_site_is_refused_and_a_successor_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(fastpath, "HANDOVER_S", 0.2)
    config = parse(SITE, tmp_path / "site.toml")
    async with fastpath.sole_master(config):
        with pytest.raises(ConfigError, match="another gateway"):
            async with fastpath.sole_master(config):
                pass
    async with asyncio.timeout(5), fastpath.sole_master(config):
        pass


def test_a_folder_too_deep_for_a_socket_is_told_before_anything_starts(tmp_path):
    config = parse(SITE, tmp_path / ("deep" * 30) / "site.toml")
    with pytest.raises(ConfigError, match="at most 97 letters"):
        fastpath.FastPath(config, {})


async def test_a_fast_path_without_devices_starts_and_stops(tmp_path):
    stop = asyncio.Event()
    fast_path = fastpath.FastPath(parse(SITE, tmp_path / "site.toml"), {})
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fast_path.run(stop))
        await asyncio.sleep(0.2)
        assert not running.done()
        stop.set()


async def test_what_control_remembers_is_there_again_after_a_restart(tmp_path):
    config = parse(SITE, tmp_path / "site.toml")
    utc = datetime.now(UTC)
    kept = Remembered(excursions=Excursions((utc,)), as_of=utc)
    config.state_dir.mkdir()
    Nonvolatile(config.state_dir).save(kept, 0.0)
    stop = asyncio.Event()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(fastpath.FastPath(config, {}).run(stop))
        await asyncio.sleep(0.3)
        stop.set()
    again = Nonvolatile(config.state_dir).load()
    assert len(again.excursions.began) == 1
    assert again.as_of > utc


METER = {"driver": "meter.eastron_sdm630", "role": "grid", "host": "127.0.0.1"}
BATTERY = {"driver": "storage.sunspec", "host": "127.0.0.1"}


def wired(phases, **devices):
    return parse({**SITE, "grid": {"main_fuse_a": 25.0, "phases": phases}, "devices": devices})


def test_a_device_on_phases_that_the_site_does_not_have_is_refused():
    with pytest.raises(ConfigError, match=r"devices\.battery\.phases.*write \[1\]"):
        fastpath.open_devices(wired(1, battery=BATTERY))
    assert fastpath.open_devices(wired(1, grid=METER, battery={**BATTERY, "phases": [1]}))


def test_a_grid_meter_that_does_not_see_every_phase_is_refused():
    with pytest.raises(ConfigError, match=r"devices\.grid\.phases.*write \[1, 2, 3\]"):
        fastpath.open_devices(wired(3, grid={**METER, "phases": [1]}))


def test_a_grid_meter_that_could_be_silent_for_long_unnoticed_is_refused():
    with pytest.raises(ConfigError, match=r"devices\.grid\.poll_s.*write 4 or less"):
        fastpath.open_devices(wired(3, grid={**METER, "poll_s": 30.0}))


def test_a_charger_that_drops_its_own_fuse_guard_wants_a_meter_that_tells_every_five_seconds():
    quasar = {"driver": "evse.quasar", "host": "127.0.0.1", "phases": [1]}
    with pytest.raises(ConfigError, match=r"devices\.grid\.poll_s: .*devices\.car.*write 1\.6 or less"):
        fastpath.open_devices(wired(3, grid={**METER, "poll_s": 2.0}, car=quasar))
    assert fastpath.open_devices(wired(3, grid={**METER, "poll_s": 1.6}, car=quasar))
    assert fastpath.open_devices(
        wired(3, grid={**METER, "poll_s": 2.0}, car={**quasar, "max_discharge_w": 0})
    )


def test_a_second_grid_meter_is_refused():
    with pytest.raises(ConfigError, match=r"devices\.cellar\.role.*grid"):
        fastpath.open_devices(wired(3, grid=METER, cellar=METER))


LEAF = {"driver": "vehicle.leaf", "name": "Leaf", "can_interface": "slcan", "can_channel": "/dev/x"}


def test_a_car_that_belongs_to_no_charger_of_the_site_is_refused():
    with pytest.raises(ConfigError, match=r"devices\.leaf\.charger: no charger 'garge'"):
        fastpath.open_devices(wired(1, leaf={**LEAF, "charger": "garge"}))
    with pytest.raises(ConfigError, match=r"devices\.leaf\.charger: no charger 'battery'"):
        fastpath.open_devices(
            wired(1, leaf={**LEAF, "charger": "battery"}, battery={**BATTERY, "phases": [1]})
        )
    assert fastpath.open_devices(wired(1, leaf=LEAF))


class Failing:
    """A driver that fails by mistake on its first run."""

    card = fastpath.open_devices(wired(1, b={**BATTERY, "phases": [1]}))["b"].card
    info = DeviceInfo("battery", DeviceKind.STORAGE, "B", "s")

    def __init__(self, fails):
        self.fails, self.released, self.applied = fails, False, []

    async def run(self, sink):
        if self.fails:
            raise ZeroDivisionError("no cells")
        while True:
            at = asyncio.get_running_loop().time()
            sink.sample(StorageSample(at, 0.0, 50.0, StorageState.RUNNING, 5000.0, 5000.0))
            await asyncio.sleep(0.02)

    def apply(self, setpoint):
        self.applied.append(setpoint)

    async def release(self):
        self.released = True


async def test_a_driver_that_fails_is_built_anew_while_the_others_go_on(tmp_path, monkeypatch):
    config = parse({**SITE, "devices": {"battery": BATTERY}}, tmp_path / "site.toml")
    successor, stop = Failing(False), asyncio.Event()
    monkeypatch.setattr(fastpath, "DRIVER_PAUSE_S", 0.3)
    monkeypatch.setattr(fastpath, "open_device", lambda *_: successor)
    fast_path = fastpath.FastPath(config, {"battery": Failing(True)})
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fast_path.run(stop))
        await asyncio.sleep(0.1)
        assert fast_path._state.raised(FaultCode.RULE_FAILED, "battery")
        while fast_path._state.raised(FaultCode.RULE_FAILED, "battery"):
            assert not running.done()
            await asyncio.sleep(0.02)
        stop.set()
    assert successor.released


class Charger:
    """A charger that wants to know of its car."""

    card = Failing.card
    info = DeviceInfo("garage", DeviceKind.EVSE, "G", "evse.chademo")

    def __init__(self):
        self.told = []

    def vehicle_says(self, aux_voltage_v):
        self.told.append(aux_voltage_v)


def test_a_charger_hears_of_the_cars_12_v_only_while_that_is_fresh(tmp_path):
    charger = Charger()
    fast_path = fastpath.FastPath(parse(SITE, tmp_path / "site.toml"), {"garage": charger})
    told = {"aux_voltage_v": Provenance(VehicleSource.EV_CAN, 1000.0)}
    car = VehicleState("garage", aux_voltage_v=11.5, provenance=told)
    for at in (1000.5, 1600.0, 1600.5):
        fast_path._tell_chargers(
            Snapshot(at, datetime.now(UTC), {}, {}, {}, {}, Wishes(), {}, vehicles={"garage": car})
        )
    assert charger.told == [11.5, 11.5, None]
