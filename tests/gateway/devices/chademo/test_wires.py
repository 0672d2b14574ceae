"""Converter, pilot lines, their link, the beat and the options: the driver's thin parts, over real Modbus TCP."""

import asyncio
import time
from copy import replace

import pytest

from gateway.devices import HearsOfVehicle, Inspectable
from gateway.devices.chademo import report
from gateway.devices.chademo.cadence import beats
from gateway.devices.chademo.causes import Cause
from gateway.devices.chademo.converter import PROFILES, Converter, Point, Reading
from gateway.devices.chademo.evse import ChademoEvse
from gateway.devices.chademo.link import Link
from gateway.devices.chademo.moment import Charger, Inputs, Mode, Moment, Output, PilotLines, Progress, State
from gateway.devices.chademo.options import CONVERTER_LEASE_S
from gateway.devices.chademo.orders import Coils, ConverterOrder, orders
from gateway.devices.chademo.pilot import PilotModule
from gateway.devices.modbus_bus import ModbusBus
from gateway.faults import ConfigError, FaultCode, Refused
from gateway.model import EvseSample, EvseState, Reason, Rung, Setpoint
from tests.gateway.devices.modbus_device import ModbusDevice
from tests.gateway.devices.slot import Slot

PROFILE = PROFILES["ne_dc_v1"]
STATE = [3, 0, 3720, 0xFFFF - 99, 0xFFFF, 0xFFFF - 3799, 0xFFFB, 3, 0, 700, 1, 0, 2000, 6000, 200, 500, 50]


def words(text: str, size: int) -> list[int]:
    raw = text.encode().ljust(size, b"\0")
    return [int.from_bytes(raw[i : i + 2]) for i in range(0, size, 2)]


def converter_device() -> ModbusDevice:
    texts = words("Maker", 16) + words("Model 6", 16) + words("S-1", 16) + words("1.0", 8)
    inputs = dict(enumerate(STATE)) | dict(enumerate(texts, start=20))
    return ModbusDevice(holding=dict.fromkeys(range(6), 9), inputs=inputs)


async def test_a_predecessors_order_is_replaced_before_anything_else_is_written():
    async with converter_device() as device:
        bus = ModbusBus("127.0.0.1", device.port, 1)
        await bus.connect()
        plate = await Converter(bus, PROFILE).begin(ConverterOrder(), 3)
        bus.close()
    assert device.written[0] == (0, (0, 0, 0))
    assert device.holding == {0: 0, 1: 0, 2: 0, 3: 9, 4: 3, 5: 500}
    assert (plate.maker, plate.model, plate.serial, plate.version) == ("Maker", "Model 6", "S-1", "1.0")
    assert (plate.rated_power_w, plate.rated_current_a, plate.max_voltage_v) == (6000, 20, 500)


async def test_a_discharging_converter_reads_negative_everywhere():
    async with converter_device() as device:
        bus = ModbusBus("127.0.0.1", device.port, 1)
        await bus.connect()
        reading = await Converter(bus, PROFILE).read()
        bus.close()
    assert reading.output == Output(Mode.CURRENT, 372.0, -10.0, 2e6, 0)
    assert reading.ac_power_w == -3800
    assert (reading.charged_wh, reading.discharged_wh) == (700, 65536)


async def test_an_order_that_the_converter_does_not_keep_is_refused():
    async with converter_device() as device:
        device.ignored = {0, 1, 2}
        bus = ModbusBus("127.0.0.1", device.port, 1)
        await bus.connect()
        with pytest.raises(Refused):
            await Converter(bus, PROFILE).order(ConverterOrder(Mode.CURRENT, 410.0, -5.3))
        bus.close()


async def test_an_order_goes_out_in_the_units_of_the_profile():
    async with converter_device() as device:
        bus = ModbusBus("127.0.0.1", device.port, 1)
        await bus.connect()
        await Converter(bus, PROFILE).order(ConverterOrder(Mode.CURRENT, 410.0, -5.3))
        bus.close()
    assert (device.holding[0], device.holding[1], device.holding[2]) == (2, 4100, 0x10000 - 53)


def test_a_profile_may_turn_signs_and_join_words():
    assert Point(0, -1.0, words=2, signed=True).read([0xFFFF, 0xFFFE]) == 2
    assert Point(1, 0.1).word(12.34) == 123


async def test_pilot_coils_are_reported_as_found_and_written_with_read_back():
    async with ModbusDevice(
        holding={0: 0}, coils={0: 1, 1: 1, 2: 0}, discrete={0: 1, 1: 1, 2: 0, 3: 0}
    ) as device:
        bus = ModbusBus("127.0.0.1", device.port, 1)
        await bus.connect()
        module = PilotModule(bus)
        assert await module.begin(5) == Coils(d1=True, d2=True)
        assert device.holding[0] == 5
        assert await module.lines() == PilotLines(permitted=True, inserted=True)
        await module.order(Coils(d1=True, lock=True))
        assert await module.coils() == Coils(d1=True, lock=True)
        bus.close()


def under_way(pilot_port: int, converter_port: int) -> ChademoEvse:
    """A driver that is charging when the connection of one of its devices has just been lost."""
    here = {"host": "127.0.0.1"}
    ports = {"pilot": here | {"port": pilot_port}, "converter": here | {"port": converter_port}}
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE | ports)
    evse._progress = Progress(State.ENERGISED, insulated=True, current_a=10.0)
    evse._orders = orders(evse._progress, Inputs(0.0), Charger())
    return evse


@pytest.mark.parametrize("fallen", [{1}, {0, 1, 2}])
async def test_coils_that_fell_off_under_a_session_end_it_and_d2_stays_off(fallen):
    async with ModbusDevice(holding={0: 0}, coils={i: int(i not in fallen) for i in range(3)}) as device:
        evse = under_way(device.port, 1)
        await evse._pilot.bus.connect()
        await evse._begin_pilot()
        assert (evse._progress.state, evse._progress.cause) == (State.ABORTING, Cause.PILOT_LOST)
        assert not evse._orders.coils.d2
        evse._pilot.bus.close()


async def test_a_converter_that_started_anew_under_a_session_is_switched_off():
    async with converter_device() as device:
        device.holding[4] = 0
        evse = under_way(1, device.port)
        await evse._converter.bus.connect()
        await evse._begin_converter()
        assert (evse._progress.state, evse._progress.cause) == (State.ABORTING, Cause.CONVERTER_LOST)
        assert device.written[0] == (0, (0, 0, 0))
        evse._converter.bus.close()


async def test_a_mere_break_of_a_connection_does_not_end_a_session():
    pilot = ModbusDevice(holding={0: 0}, coils=dict.fromkeys(range(3), 1))
    async with pilot, converter_device() as converter:
        converter.holding[4] = CONVERTER_LEASE_S
        evse = under_way(pilot.port, converter.port)
        for bus, begin in (
            (evse._pilot.bus, evse._begin_pilot),
            (evse._converter.bus, evse._begin_converter),
        ):
            await bus.connect()
            await begin()
            bus.close()
        assert evse._progress.state is State.ENERGISED


async def test_a_release_that_the_car_holds_up_leaves_no_d2_behind(monkeypatch):
    monkeypatch.setattr("gateway.devices.chademo.evse.RELEASE_S", 0.05)
    evse = under_way(1, 1)
    evse._sink = Slot()
    evse._progress = Progress(State.OPENING, since=asyncio.get_running_loop().time(), insulated=True)
    await evse.release()
    assert not evse._orders.coils.d2
    assert evse._orders.coils.lock
    assert evse._orders.converter.mode is Mode.OFF


async def test_a_link_writes_a_change_at_once_and_an_unchanged_order_before_its_lease_ends():
    written, reads = [], []

    async def write(order):
        written.append(order)

    async def read():
        reads.append(len(written))

    link = Link("off", 0.25, write, read)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(link.serve())
        await asyncio.sleep(0.02)
        assert link.carried_out
        link.order("on")
        assert not link.carried_out
        await asyncio.sleep(0.02)
        assert written == ["off", "on"]
        await asyncio.sleep(0.6)
        task.cancel()
    assert written[2:] == ["on"] * len(written[2:])
    assert 1 <= len(written[2:]) <= 3
    assert len(reads) >= 4


async def test_a_refused_order_is_told_and_tried_again_without_a_rush():
    tries = []

    async def write(order):
        tries.append(order)
        raise Refused("no")

    async def read():
        return

    link = Link("on", 10, write, read)
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(link.serve())
        await asyncio.sleep(0.35)
        task.cancel()
    assert link.refused == "no"
    assert not link.carried_out
    assert 2 <= len(tries) <= 5


async def test_missed_beats_are_left_out_and_never_made_up_for():
    period_s, count = 0.02, 0
    started_at = time.monotonic()
    async for _ in beats(period_s):
        count += 1
        if count == 3:
            time.sleep(4 * period_s)  # the loop is blocked
        if count == 8:
            break
    assert count <= (time.monotonic() - started_at) / period_s + 0.5 - 2


TABLE = {
    "name": "Garage",
    "can_interface": "slcan",
    "can_channel": "/dev/ttyACM0",
    "converter": {"host": "10.0.0.5"},
    "pilot": {"host": "10.0.0.6", "port": 1502},
}


def test_a_charger_is_built_from_its_table_without_touching_a_wire():
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    assert evse.info.name == "Garage"
    assert evse.card.lease_s <= 3
    assert evse.card.discharging_at_most_s <= 60


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"max_charge_amps": 10}, "devices.garage.max_charge_amps"),
        ({"max_discharge_a": -1}, "devices.garage.max_discharge_a"),
        ({"phases": [4]}, "devices.garage.phases"),
        ({"converter": {"host": "x", "profile": "acme"}}, "devices.garage.converter.profile"),
        ({"pilot": {"host": "x", "port": 0}}, "devices.garage.pilot.port"),
    ],
)
def test_nonsense_in_the_table_is_one_line_that_says_where(change, where):
    with pytest.raises(ConfigError, match=where) as error:
        ChademoEvse.from_table("garage", "evse.chademo", TABLE | change)
    assert "\n" not in str(error.value)


def charging(at: float, power_w: float, applied_w: float | None) -> EvseSample:
    return EvseSample(at, EvseState.READY, True, power_w, 6000.0, 6000.0, applied_w=applied_w)


@pytest.mark.parametrize(
    ("power_w", "applied_w", "told"),
    [
        (0.0, -5000.0, True),
        (-4200.0, -5000.0, True),
        (400.0, 0.0, True),
        (-4300.0, -5000.0, False),
        (250.0, 0.0, False),
        (3000.0, None, False),
    ],
)
def test_a_converter_that_does_something_else_for_half_a_minute_is_told(power_w, applied_w, told):
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    for at in range(31):
        evse._watch(charging(float(at), power_w, applied_w))
    assert FaultCode.SETPOINT_NOT_FOLLOWED not in evse._own_faults()
    evse._watch(charging(31.0, power_w, applied_w))
    assert (FaultCode.SETPOINT_NOT_FOLLOWED in evse._own_faults()) is told
    evse._watch(charging(32.0, applied_w or 0.0, applied_w))
    assert FaultCode.SETPOINT_NOT_FOLLOWED not in evse._own_faults()


async def test_a_wish_that_nobody_renewed_is_no_stop_of_the_owner():
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    now = asyncio.get_running_loop().time()
    because = Reason(Rung.PLAN, "test")
    for expired_s, engage, expected in [
        (29, True, (True, False)),
        (31, True, (False, True)),
        (31, False, (False, False)),
    ]:
        evse.apply(Setpoint("garage", 1000.0, now - expired_s, because, engage=engage))
        inputs = evse._moment().inputs
        assert (inputs.engage, inputs.lapsed) == expected
        assert inputs.wanted_a == 0


async def test_the_owners_own_wish_is_his_only_while_his_setpoint_stands():
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    now = asyncio.get_running_loop().time()
    for expires_in_s, asked, expected in [(3, True, True), (3, False, False), (-1, True, False)]:
        because = Reason(Rung.OWNER_REQUEST, "charge")
        evse.apply(Setpoint("garage", 1000.0, now + expires_in_s, because, owner_asked=asked))
        assert evse._moment().inputs.owner_asked is expected


async def test_the_cars_12_v_is_what_was_told_last():
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    for told in (12.4, None):
        evse.vehicle_says(told)
        assert evse._moment().inputs.aux_voltage_v == told


async def test_an_inspection_lifts_nothing_but_a_weld_and_that_only_without_voltage():
    evse = ChademoEvse.from_table("garage", "evse.chademo", TABLE)
    now = asyncio.get_running_loop().time()
    assert isinstance(evse, Inspectable)
    assert isinstance(evse, HearsOfVehicle)
    evse._progress = Progress(State.WELDED, since=now - 60, cause=Cause.WELDED)
    assert "only a suspected weld" in evse.acknowledge(FaultCode.INSULATION)
    assert "not known" in evse.acknowledge(FaultCode.CONTACTOR_WELDED)
    evse._reading = (now, Reading(Output(voltage_v=3.0), 0.0, 0.0, 0.0))
    assert "without voltage" in evse.acknowledge(FaultCode.CONTACTOR_WELDED)
    evse._progress = replace(evse._progress, isolated_since=now - 11)
    assert evse.acknowledge(FaultCode.CONTACTOR_WELDED) == ""
    assert evse._progress.cause is Cause.INSPECTED
    assert report.faults(evse._moment()) == {}
    assert not evse._orders.coils.lock


@pytest.mark.parametrize(
    ("lines", "output", "told"),
    [
        (PilotLines(inserted=True, emergency_stop=True), Output(), "the emergency stop is pressed"),
        (PilotLines(inserted=True), Output(fault_bits=8), "converter fault bits 0x0008"),
        (PilotLines(inserted=True), Output(), None),
    ],
)
def test_what_keeps_a_session_from_starting_is_told_before_one_is_wanted(lines, output, told):
    resting = Moment(Progress(), Inputs(10.0, pilot=lines, output=output), Charger())
    assert report.faults(resting).get(FaultCode.DEVICE_FAULT) == told
