"""Our Modbus servers as foreign clients see them: pymodbus, mbpoll, pysunspec2."""

import asyncio
import contextlib
import shutil
import struct

import pytest
import sunspec2.modbus.client
from hypothesis import given
from hypothesis import strategies as st
from pymodbus.client import AsyncModbusTcpClient

from gateway.simulator.battery_registers import BatteryRegisters
from gateway.simulator.converter import Command
from gateway.simulator.modbus_servers import Illegal, Registers, Table, answer, window
from gateway.simulator.sunspec_image import BASE, SunSpecImage

MBPOLL = shutil.which("mbpoll")


class Plain(Registers):
    def __init__(self) -> None:
        super().__init__()
        self.words = list(range(200))
        self.bits = [False] * 20

    def read_registers(self, table, address, count):
        return window(self.words, 0, address, count)

    def read_bits(self, table, address, count):
        return window(self.bits, 0, address, count)

    def write_registers(self, address, words):
        window(self.words, 0, address, len(words))
        self.words[address : address + len(words)] = words

    def write_bits(self, address, bits):
        window(self.bits, 0, address, len(bits))
        self.bits[address : address + len(bits)] = bits


@contextlib.asynccontextmanager
async def connected(port: int):
    client = AsyncModbusTcpClient("127.0.0.1", port=port, timeout=2, retries=0)
    assert await client.connect()
    try:
        yield client
    finally:
        client.close()


def floats(words: list[int]) -> list[float]:
    return list(struct.unpack(f">{len(words) // 2}f", struct.pack(f">{len(words)}H", *words)))


def as_i16(word: int) -> int:
    return struct.unpack(">h", struct.pack(">H", word))[0]


@pytest.mark.parametrize(
    ("request_hex", "answer_hex"),
    [
        ("03 0001 0002", "03 04 0001 0002"),
        ("04 00C7 0001", "04 02 00C7"),
        ("04 00C7 0002", "84 02"),
        ("03 0000 0000", "83 03"),
        ("03 0000 007E", "83 03"),
        ("03 0000", "83 03"),
        ("05 0003 FF00", "05 0003 FF00"),
        ("05 0003 1234", "85 03"),
        ("06 0000 BEEF", "06 0000 BEEF"),
        ("0F 0000 000A 02 CD01", "0F 0000 000A"),
        ("0F 0000 000A 01 CD", "8F 03"),
        ("10 0001 0002 04 000A 0102", "10 0001 0002"),
        ("10 0001 0002 02 000A", "90 03"),
        ("2B 0E 01 00", "AB 01"),
    ],
)
def test_answers_are_those_of_the_specification(request_hex, answer_hex):
    assert answer(Plain(), bytes.fromhex(request_hex)) == bytes.fromhex(answer_hex)


@given(st.binary(min_size=1, max_size=253))
def test_no_request_breaks_a_device(request_bytes):
    reply = answer(Plain(), request_bytes)
    assert reply[0] & 0x7F == request_bytes[0] & 0x7F
    assert len(reply) <= 253


@given(st.lists(st.booleans(), min_size=1, max_size=20))
def test_bits_come_back_as_they_were_written(bits):
    unit = Plain()
    packed = sum(bit << n for n, bit in enumerate(bits)).to_bytes((len(bits) + 7) // 8, "little")
    answer(unit, struct.pack(">BHHB", 15, 0, len(bits), len(packed)) + packed)
    assert answer(unit, struct.pack(">BHH", 1, 0, len(bits)))[2:] == packed


async def test_pipelined_and_split_requests_are_all_answered_in_order(listening):
    async with listening(Plain()) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        ask = b"".join(struct.pack(">HHHBBHH", n, 0, 6, 1, 3, n, 1) for n in range(5))
        writer.write(ask[:17])
        await writer.drain()
        writer.write(ask[17:])
        for n in range(5):
            assert await reader.readexactly(11) == struct.pack(">HHHBBBH", n, 0, 5, 1, 3, 2, n)
        writer.write(struct.pack(">HHHBBHH", 9, 0, 6, 7, 3, 0, 1))
        assert (await reader.readexactly(9))[7:] == bytes((0x83, 11))
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        assert await reader.read() == b""
        writer.close()


async def test_a_silent_unit_takes_the_connection_and_answers_nothing(listening):
    unit = Plain()
    unit.silent = True
    async with listening(unit) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(struct.pack(">HHHBBHH", 1, 0, 6, 1, 3, 0, 1))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        unit.silent = False
        writer.write(struct.pack(">HHHBBHH", 2, 0, 6, 1, 3, 0, 1))
        assert (await reader.readexactly(11))[:2] == b"\0\2"
        writer.close()


async def test_pymodbus_reads_the_grid_meter(wired, live, listening):
    wired.house.overrides.load_w, wired.house.overrides.pv_w = 3000.0, 1200.0
    live(1.0)
    async with listening(wired.grid_meter) as port, connected(port) as client:
        reply = await client.read_input_registers(0, count=80, device_id=1)
        values = floats(reply.registers)
        assert values[26] == pytest.approx(wired.house.grid_w, abs=30.0)
        assert sum(values[6:9]) == pytest.approx(values[26], abs=0.5)
        assert values[6:9] == pytest.approx(list(wired.house.phase_w), abs=20.0)
        assert values[0:3] == pytest.approx(list(wired.house.phase_v), abs=0.1)
        assert values[35] == pytest.approx(50.0, abs=0.2)
        assert values[36] * 1000.0 == pytest.approx(wired.house.import_wh, rel=0.3)
        assert (await client.read_input_registers(0, count=82, device_id=1)).exception_code == 3
        assert (await client.read_input_registers(1, count=2, device_id=1)).exception_code == 2
        assert (await client.read_holding_registers(0, count=2, device_id=1)).exception_code == 2


def test_meter_measures_every_200_ms_and_can_freeze_or_read_wrong(wired, live):
    wired.house.overrides.load_w, wired.house.overrides.pv_w = 3000.0, 0.0
    live(0.2)

    def total_w() -> float:
        return floats(list(wired.grid_meter.read_registers(Table.INPUT, 52, 2)))[0]

    first_w = total_w()
    live(0.18)
    assert total_w() == first_w
    live(0.02)
    assert total_w() != first_w
    wired.grid_meter.frozen = True
    frozen_w = total_w()
    wired.house.overrides.load_w = 100.0
    live(1.0)
    assert total_w() == frozen_w
    wired.grid_meter.frozen, wired.grid_meter.scale = False, 2.0
    live(0.2)
    assert total_w() == pytest.approx(2.0 * wired.house.grid_w, abs=40.0)


@pytest.mark.peer
@pytest.mark.skipif(MBPOLL is None, reason="mbpoll is not installed (apt-get install mbpoll)")
async def test_mbpoll_reads_the_grid_meter(wired, live, listening):
    live(1.0)
    async with listening(wired.grid_meter) as port:
        poll = await asyncio.create_subprocess_exec(
            *(MBPOLL, "-m", "tcp", "-p", str(port), "-a", "1", "-0", "-r", "52", "-c", "1"),
            *("-t", "3:float", "-B", "-1", "-q", "127.0.0.1"),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await asyncio.wait_for(poll.communicate(), 10.0)
    line = next(line for line in out.decode().splitlines() if line.startswith("[52]"))
    assert float(line.split()[1]) == pytest.approx(wired.house.grid_w, abs=30.0)


def scan(port: int) -> sunspec2.modbus.client.SunSpecModbusClientDeviceTCP:
    device = sunspec2.modbus.client.SunSpecModbusClientDeviceTCP(
        slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=3.0
    )
    device.scan()
    return device


async def test_pysunspec2_scans_the_pv_meter(wired, live, listening):
    wired.house.overrides.pv_w = 3210.0
    live(1.0)
    async with listening(wired.pv_meter) as port:
        device = await asyncio.to_thread(scan, port)
    try:
        meter = device.models[203][0]
        assert [number for number in device.models if isinstance(number, int)] == [1, 203]
        assert device.common[0].SN.value == "SIM-PV-0001"
        assert meter.W.cvalue == 3210.0
        assert meter.WphA.cvalue == pytest.approx(1070.0)
        assert meter.Hz.cvalue == pytest.approx(50.0, abs=0.2)
        assert meter.PhVphB.cvalue == pytest.approx(wired.house.phase_v[1], abs=0.1)
        assert meter.TotWhExp.cvalue == pytest.approx(wired.house.generated_wh, abs=1.0)
        assert meter.PPV.value is None
    finally:
        device.close()


def written_by_pysunspec2(port: int) -> dict[str, float]:
    device = scan(port)
    try:
        controls = device.models[704][0]
        controls.WSetMod.value, controls.WSet.value = 1, 3000
        controls.WSetRvrtTms.value, controls.WSetEna.value = 5, 1
        controls.write()
        device.models[714][0].read()
        return {
            "model": device.common[0].Md.value,
            "vendor": device.models[64204][0].model_id if 64204 in device.models else 0,
            "rated": device.models[702][0].WChaRteMaxRtg.cvalue,
            "soc": device.models[713][0].SoC.cvalue,
            "capacity": device.models[713][0].WHRtg.cvalue,
            "hz": device.models[701][0].Hz.cvalue,
            "ports": device.models[714][0].NPrt.value,
            "dc_v": device.models[714][0].Prt[0].DCV.cvalue,
        }
    finally:
        device.close()


async def test_pysunspec2_scans_and_commands_the_battery_with_the_inverters_sign(wired, live, listening):
    live(0.5)
    async with listening(wired.battery) as port:
        seen = await asyncio.to_thread(written_by_pysunspec2, port)
        assert seen["model"] == "xStorage simulator"
        assert seen["vendor"] == 64204
        assert (seen["rated"], seen["capacity"], seen["ports"]) == (5000.0, 10_000.0, 1)
        assert seen["soc"] == pytest.approx(45.0)
        assert seen["hz"] == pytest.approx(50.0, abs=0.2)
        assert seen["dc_v"] == pytest.approx(wired.house.battery.cell_v, abs=0.1)
        assert wired.battery.target_w == -3000.0
        live(2.0)
        assert wired.house.battery.power_w == pytest.approx(-3000.0)
        device = await asyncio.to_thread(scan, port)
        try:
            assert device.models[701][0].W.cvalue == 3000.0
            assert device.models[701][0].WL1.cvalue == pytest.approx(3000.0)
            assert device.models[704][0].WSetRvrtRem.value == 3
        finally:
            device.close()


def test_models_have_the_length_of_the_standard():
    lengths = {1: 68, 203: 107, 701: 155, 702: 52, 703: 19, 704: 67, 713: 9, 714: 20 + 25}
    for model, length in lengths.items():
        assert len(SunSpecImage([(model, {})]).words) == 2 + length + 2


def test_a_point_that_a_model_does_not_have_is_refused():
    with pytest.raises(ValueError, match="Wx"):
        SunSpecImage([(203, {"Wx": 0})])


def wset(image: BatteryRegisters, watts: int, *, reversion_s: int) -> None:
    block = BASE + image._block[0]
    words = struct.unpack(">10H", struct.pack(">HiihhHI", 1, watts, 0, 0, 0, 0, reversion_s))
    image.write_registers(block + 1, words)
    image.write_registers(block, (1,))


def test_wset_reverts_after_its_time_and_a_new_write_starts_it_again(wired, live):
    wset(wired.battery, 2000, reversion_s=3)
    live(2.0)
    wset(wired.battery, 2500, reversion_s=3)
    live(2.5)
    assert wired.house.battery.power_w == pytest.approx(-2500.0)
    live(2.0)
    assert wired.battery.target_w == 0.0
    assert abs(wired.house.battery.power_w) < 20.0


def test_a_broken_reversion_timer_goes_on_for_ever(wired, live):
    wired.battery.reverts = False
    wset(wired.battery, 2000, reversion_s=1)
    live(5.0)
    assert wired.house.battery.power_w == pytest.approx(-2000.0)


def test_battery_refuses_what_cannot_be_written(wired):
    block = BASE + wired.battery._block[0]
    for address, words, code in [
        (block, (2,), 3),
        (block + 11, (0,), 2),
        (BASE, (0,), 2),
        (BASE + 4000, (0,), 2),
    ]:
        with pytest.raises(Illegal) as refused:
            wired.battery.write_registers(address, words)
        assert refused.value.code == code
    assert wired.battery.target_w == 0.0


@given(st.floats(-1e9, 1e9))
def test_a_value_too_big_for_its_register_is_saturated_not_a_sentinel(watts):
    image = SunSpecImage([(203, {"W_SF": 0})])
    image.put(203, {"W": watts})
    assert image.get(203, "W") == min(max(round(watts), -32767), 32767)


async def test_converter_profile_over_the_wire(wired, live, listening):
    async with listening(wired.converter) as port, connected(port) as client:
        await client.write_registers(0, [1, 4000, 0, 0, 10, 2500], device_id=1)
        live(1.0)
        state = (await client.read_input_registers(0, count=48, device_id=1)).registers
        assert (state[0], state[2], state[7]) == (2, 4000, 9)
        assert (state[12], state[13], state[14], state[15]) == (2000, 6000, 200, 500)
        name = struct.pack(">8H", *state[20:28]).rstrip(b"\0")
        assert name == b"Nissan Energy"
        held = (await client.read_holding_registers(0, count=6, device_id=1)).registers
        assert held == [1, 4000, 0, 0, 10, 2500]
        assert (await client.write_register(0, 3, device_id=1)).exception_code == 3
        assert (await client.write_register(2, 201, device_id=1)).exception_code == 3
        assert (await client.write_register(6, 0, device_id=1)).exception_code == 2
        await client.write_register(2, -150 & 0xFFFF, device_id=1)
        assert wired.house.converter.orders.current_a == -15.0
        assert wired.house.converter.orders.command is Command.VOLTAGE


async def test_converter_tells_discharge_as_negative(wired, live, listening):
    wired.car.welded = True
    wired.converter.write_registers(0, [2, 4000, -100 & 0xFFFF, 0, 0, 0])
    live(2.0)
    async with listening(wired.converter) as port, connected(port) as client:
        state = (await client.read_input_registers(0, count=12, device_id=1)).registers
    assert as_i16(state[3]) == -100
    ac_w = struct.unpack(">i", struct.pack(">2H", *state[4:6]))[0]
    assert ac_w == pytest.approx(wired.house.converter.ac_w, abs=1.0)
    assert ac_w < -3000


async def test_pilot_module_over_the_wire(wired, live, listening):
    async with listening(wired.pilot_io) as port, connected(port) as client:
        await client.write_coil(2, True, device_id=1)
        live(0.5)
        assert (await client.read_discrete_inputs(0, count=4, device_id=1)).bits[:4] == [
            False,
            True,
            True,
            False,
        ]
        await client.write_coils(0, [True, True, False], device_id=1)
        assert (await client.read_coils(0, count=3, device_id=1)).bits[:3] == [True, True, False]
        await client.write_register(0, 5, device_id=1)
        assert (await client.read_holding_registers(0, count=1, device_id=1)).registers == [5]
        assert (await client.read_coils(0, count=4, device_id=1)).exception_code == 2
        assert (await client.read_input_registers(0, count=1, device_id=1)).exception_code == 1
