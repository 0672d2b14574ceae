"""What every driver promises, asked of every name in DRIVERS."""

import asyncio
import socket
from collections import defaultdict
from dataclasses import fields
from time import monotonic

import pytest

from gateway.devices import DRIVERS, driver_class, open_device
from gateway.faults import ConfigError, FaultCode
from gateway.model import DeviceKind, FailSafeCard, Reason, Rung, Setpoint
from tests.gateway.devices.echonet.unit_on_wire import UnitOnWire
from tests.gateway.devices.inverter import Inverter
from tests.gateway.devices.modbus_device import ModbusDevice
from tests.gateway.devices.slot import Slot

PROMPT_S = 6.0
ACTUATORS = [name for name in DRIVERS if DeviceKind(name.partition(".")[0]).acts]


def table_of(driver, port, folder):
    """Return the smallest table of ``driver`` with everything on one port of this machine."""
    here = {"host": "127.0.0.1", "port": port}
    match driver.split("."):
        case ["meter", "frequency"]:
            return {"name": "Meter", **here, "register": 19050}
        case ["meter", _]:
            return {"name": "Meter", "role": "grid", **here}
        case ["storage", _]:
            return {"name": "Battery", **here}
        case ["evse", "chademo"]:
            can = {"can_interface": "slcan", "can_channel": str(folder / "no-such-can")}
            return {"name": "Charger", **can, "converter": here, "pilot": here | {"unit": 2}}
        case ["evse", "quasar"]:
            return {"name": "Charger", **here}
        case ["evse", "bidipro"]:
            return {"name": "Charger", **here, "connector": 1}
        case ["evse", "echonet"]:
            return {"name": "Charger", **here, "listen": "127.0.0.1", "listen_port": 0}
        case ["load", _]:
            return {"name": "Boiler", **here, "power_w": 2000, "coil": 0}
        case ["vehicle", _]:
            return {"name": "Leaf", "can_interface": "slcan", "can_channel": str(folder / "no-such-can")}
    raise AssertionError(f"say here which table {driver} needs")


@pytest.fixture
def dead_port():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        yield unused.getsockname()[1]


@pytest.fixture(params=DRIVERS)
def driver(request):
    return request.param


@pytest.fixture
def table(driver, dead_port, tmp_path):
    return table_of(driver, dead_port, tmp_path)


@pytest.fixture
def device(driver, table):
    return open_device("it", driver, table)


def setpoint(expires_at):
    return Setpoint("it", 2000.0, expires_at, Reason(Rung.PLAN, "test"))


def test_its_table_is_strict(driver, table):
    with pytest.raises(ConfigError, match=r"^devices\.it\.colour: unknown key"):
        driver_class(driver, "devices.it").from_table("it", driver, table | {"colour": "red"})


@pytest.mark.parametrize("change", ["missing", "wrong"])
def test_a_missing_or_wrong_value_says_where(driver, table, change):
    key = next(k for k in table if k != "name")
    broken = {k: v for k, v in table.items() if k != key} if change == "missing" else table | {key: 7}
    with pytest.raises(ConfigError, match=rf"^devices\.it\.{key}: "):
        open_device("it", driver, broken)


def test_it_knows_who_it_is_before_it_is_reached(driver, table, device):
    assert (device.info.id, device.info.driver, device.info.name) == ("it", driver, table["name"])
    assert device.info.kind is DeviceKind(driver.split(".")[0])
    assert (device.info.role is not None) == (device.info.kind is DeviceKind.METER)
    assert 0 < device.info.max_age_s <= 15


def test_its_fail_safe_card_is_filled_in(device):
    for field in fields(FailSafeCard):
        if field.name not in ("lease_s", "discharging_at_most_s"):
            assert getattr(device.card, field.name), field.name
    assert device.card.lease_s is None or device.card.lease_s <= 30
    assert device.card.discharging_at_most_s is None or device.card.discharging_at_most_s <= 60


async def test_a_dead_endpoint_is_told_once_and_survived(device, caplog):
    slot = Slot()
    async with asyncio.timeout(PROMPT_S + 10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(device.run(slot))
        await slot.until(lambda: FaultCode.DEVICE_UNREACHABLE in slot.faults)
        await asyncio.sleep(1.2)  # a second attempt
        assert not running.done()
        assert slot.raised.count(FaultCode.DEVICE_UNREACHABLE) == 1
        running.cancel()
    lines = [r.getMessage() for r in caplog.records if r.levelname in ("WARNING", "ERROR")]
    assert len(lines) == len(set(lines)), "each loss is logged once"
    assert slot.samples == []


async def test_cancellation_ends_it_promptly(device):
    async with asyncio.timeout(PROMPT_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(device.run(Slot()))
        await asyncio.sleep(0.05)
        running.cancel()
    assert running.cancelled()


@pytest.mark.parametrize("driver", ACTUATORS, indirect=True)
async def test_apply_returns_at_once_with_and_without_a_connection(device):
    assert device.apply(setpoint(monotonic() + 10)) is None
    async with asyncio.timeout(PROMPT_S), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(device.run(Slot()))
        await asyncio.sleep(0)
        assert device.apply(setpoint(monotonic() + 10)) is None
        running.cancel()


@pytest.mark.parametrize("driver", ACTUATORS, indirect=True)
async def test_release_ends_within_five_seconds_even_when_nobody_answers(device):
    async with asyncio.timeout(5 + 1), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(device.run(Slot()))
        await asyncio.sleep(0.05)
        await device.release()
        running.cancel()


@pytest.mark.parametrize("driver", ACTUATORS)
async def test_an_expired_setpoint_is_never_written(driver, tmp_path):
    zeros = defaultdict(int)
    if driver == "storage.sunspec":
        wire = Inverter()
    elif driver == "evse.echonet":
        wire = UnitOnWire()
    else:
        wire = ModbusDevice(holding=zeros, inputs=zeros, discrete=zeros, coils=zeros)
    async with wire:
        device = open_device("it", driver, table_of(driver, wire.port, tmp_path))
        slot = Slot()
        async with asyncio.timeout(PROMPT_S + 10), asyncio.TaskGroup() as tasks:
            running = tasks.create_task(device.run(slot))
            await slot.until(lambda: slot.infos)
            before = set(wire.written)
            for _ in range(5):
                device.apply(setpoint(monotonic() - 0.001))
                await asyncio.sleep(0.05)
            ordered = {(address, values) for address, values in set(wire.written) - before if any(values)}
            running.cancel()
    assert ordered == set()
