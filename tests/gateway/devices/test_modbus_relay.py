"""A load behind a relay on an I/O module: on at rest, off while it is told so, on again when nobody says anything."""

import asyncio
import contextlib
from time import monotonic

import pytest

from gateway.devices import open_device
from gateway.devices.load import modbus_relay
from gateway.faults import ConfigError, FaultCode
from gateway.model import Reason, Rung, Setpoint
from tests.gateway.devices.modbus_device import ModbusDevice
from tests.gateway.devices.slot import Slot

WATCHDOG = 7


def told(*, engage, lasts_s=10.0):
    return Setpoint("boiler", 0.0, monotonic() + lasts_s, Reason(Rung.IDLE, "test"), engage=engage)


def module(energized=False):
    return ModbusDevice(coils={2: int(energized)}, holding={WATCHDOG: 0}, inputs={40: 1950})


def table(wire, **more):
    return {"name": "Boiler", "host": "127.0.0.1", "port": wire.port, "power_w": 2000, "coil": 2, **more}


@contextlib.asynccontextmanager
async def running(wire, **more):
    device, slot = open_device("boiler", "load.modbus_relay", table(wire, poll_s=0.05, **more)), Slot()
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        task = tasks.create_task(device.run(slot))
        await slot.until(lambda: slot.infos)
        yield device, slot
        task.cancel()


async def test_it_tells_whether_it_is_on_and_what_it_draws():
    async with module() as wire, running(wire, meter_register=40) as (device, slot):
        await slot.until(lambda: slot.samples)
        assert (slot.samples[-1].on, slot.samples[-1].power_w) == (True, 1950.0)
        assert device.info.rated.max_w == 2000


async def test_nothing_is_written_before_the_first_word_and_nothing_while_it_is_as_wanted():
    async with module() as wire, running(wire) as (device, _):
        await asyncio.sleep(0.2)
        device.apply(told(engage=True))
        await asyncio.sleep(0.2)
        assert wire.written == []


async def test_it_is_held_off_and_given_back_with_one_write_each():
    async with module() as wire, running(wire) as (device, slot):
        device.apply(told(engage=False))
        await slot.until(lambda: slot.samples and not slot.samples[-1].on)
        for _ in range(5):
            device.apply(told(engage=False))
            await asyncio.sleep(0.03)
        assert wire.written == [(2, (1,))]
        device.apply(told(engage=True))
        await slot.until(lambda: slot.samples[-1].on)
        assert wire.written == [(2, (1,)), (2, (0,))]


async def test_on_a_normally_open_contact_the_coil_is_the_other_way_round():
    async with module(energized=True) as wire, running(wire, on_when_energized=True) as (device, slot):
        await slot.until(lambda: slot.samples and slot.samples[-1].on)
        device.apply(told(engage=False))
        await slot.until(lambda: not slot.samples[-1].on)
        assert wire.coils[2] == 0


@pytest.mark.parametrize("engage", [True, False])
async def test_a_word_that_ran_out_holds_nothing_off(engage):
    async with module(energized=True) as wire, running(wire) as (device, slot):
        device.apply(told(engage=engage, lasts_s=-0.001))
        await slot.until(lambda: slot.samples and slot.samples[-1].on)
        assert wire.coils[2] == 0


async def test_at_the_end_the_load_is_on():
    async with module() as wire, running(wire) as (device, slot):
        device.apply(told(engage=False))
        await slot.until(lambda: slot.samples and not slot.samples[-1].on)
        await device.release()
        assert wire.coils[2] == 0
        device.apply(told(engage=False))
        await asyncio.sleep(0.2)
        assert wire.coils[2] == 0


async def test_a_driver_that_is_ended_without_a_word_leaves_the_load_on():
    async with module() as wire:
        async with running(wire) as (device, slot):
            device.apply(told(engage=False))
            await slot.until(lambda: slot.samples and not slot.samples[-1].on)
        assert wire.coils[2] == 0


async def test_a_load_that_a_dead_predecessor_left_off_comes_on_where_nobody_decides(monkeypatch):
    monkeypatch.setattr(modbus_relay, "ORPHANED_S", 0.3)
    async with module(energized=True) as wire, running(wire) as (_, slot):
        await slot.until(lambda: slot.samples and not slot.samples[-1].on)
        assert wire.written == []
        await slot.until(lambda: slot.samples[-1].on)
        assert wire.written == [(2, (0,))]


async def test_its_watchdog_is_armed_and_fed():
    async with module() as wire, running(wire, watchdog_register=WATCHDOG, watchdog_s=5) as (device, slot):
        await slot.until(lambda: slot.samples)
        assert wire.holding[WATCHDOG] == 5
        device.apply(told(engage=False))
        await slot.until(lambda: wire.written.count((2, (1,))) >= 2)
        assert device.card.lease_s == 5
        assert FaultCode.WRITE_BUDGET not in slot.faults


async def test_a_relay_that_does_not_move_is_told():
    async with module() as wire, running(wire) as (device, slot):
        wire._bits, was = (lambda function, space, address, count: b"\x01\x01\x00"), wire._bits
        device.apply(told(engage=False))
        await slot.until(lambda: FaultCode.DEVICE_REFUSED in slot.faults)
        wire._bits = was


def test_an_impossible_coil_is_named():
    with pytest.raises(ConfigError, match=r"^devices\.it\.coil: "):
        open_device(
            "it", "load.modbus_relay", {"name": "B", "host": "h", "port": 502, "power_w": 1, "coil": 70_000}
        )
