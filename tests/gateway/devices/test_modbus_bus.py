"""The bus against devices that behave badly, each in its own way."""

import asyncio
import struct

import pytest

from gateway.devices.modbus_bus import ModbusBus, NoSuchAddress, keep_connected
from gateway.faults import FaultCode, Malformed, Refused, Unreachable
from tests.gateway.devices.modbus_device import ModbusDevice, frame

TIMEOUT_S = 0.1


@pytest.fixture
async def device():
    async with ModbusDevice(
        holding=dict(enumerate(range(300))),
        inputs=dict(enumerate(range(1000, 1130))),
        coils=dict.fromkeys(range(20), 0) | {3: 1, 9: 1},
        discrete=dict.fromkeys(range(8), 0) | {1: 1},
    ) as device:
        yield device


@pytest.fixture
async def bus(device):
    bus = ModbusBus("127.0.0.1", device.port, 1, timeout_s=TIMEOUT_S)
    await bus.connect()
    yield bus
    bus.close()


def exception(code):
    def spoil(transaction, unit, answer):
        return [frame(transaction, unit, bytes([answer[0] | 0x80, code]))]

    return spoil


async def test_each_space_is_read_by_its_own_function(bus, device):
    assert await bus.read_holding(5, 3) == (5, 6, 7)
    assert await bus.read_input(0, 2) == (1000, 1001)
    assert await bus.read_coils(2, 9) == (False, True, False, False, False, False, False, True, False)
    assert await bus.read_discrete(0, 3) == (False, True, False)
    assert [function for function, _ in device.asked] == [3, 4, 1, 2]


async def test_a_write_is_sent_once_and_read_back(bus, device):
    await bus.write_and_verify(10, (7, 8))
    assert device.written == [(10, (7, 8))]
    assert await bus.read_holding(10, 2) == (7, 8)


async def test_a_single_register_is_written_by_its_own_function(bus, device):
    await bus.write_register(10, 0xFFFE)
    assert device.asked == [(6, 10)]
    assert await bus.read_holding(10, 1) == (0xFFFE,)


async def test_an_address_that_is_not_there_is_told_apart(bus):
    with pytest.raises(NoSuchAddress, match="illegal address"):
        await bus.read_holding(299, 2)


async def test_a_coil_is_written(bus, device):
    await bus.write_coil(4, True)
    assert await bus.read_coils(4, 1) == (True,)
    await bus.write_coil(4, False)
    assert await bus.read_coils(4, 1) == (False,)


async def test_a_write_that_is_acknowledged_and_ignored_is_refused(bus, device):
    device.ignored = {11}
    with pytest.raises(Refused, match="kept"):
        await bus.write_and_verify(10, (7, 8))
    assert len(device.written) == 1


async def test_an_answer_in_single_bytes_is_one_answer(bus, device):
    device.spoil = lambda t, u, pdu: [bytes([b]) for b in frame(t, u, pdu)]
    assert await bus.read_holding(5, 3) == (5, 6, 7)


async def test_the_late_answer_to_an_older_request_is_not_taken_for_this_one(bus, device):
    device.spoil = lambda t, u, pdu: [
        frame(t - 1, u, bytes([3, 6]) + struct.pack(">3H", 9, 9, 9)),
        frame(t, u, pdu),
    ]
    await bus.read_holding(0, 3)
    assert await bus.read_holding(5, 3) == (5, 6, 7)


@pytest.mark.parametrize(
    "pdu",
    [bytes([3, 2, 0, 5]), bytes([3, 0]), bytes([3, 8]) + bytes(8), bytes([4, 6, 0, 5, 0, 6, 0, 7])],
    ids=["short", "empty", "long", "another function"],
)
async def test_an_answer_that_does_not_fit_the_question_is_malformed(bus, device, pdu):
    device.spoil = lambda t, u, _: [frame(t, u, pdu)]
    with pytest.raises(Malformed):
        await bus.read_holding(5, 3)
    assert bus.connected


@pytest.mark.parametrize(
    "spoil",
    [
        lambda t, u, pdu: [],
        lambda t, u, pdu: [frame(t + 1, u, pdu)],
        lambda t, u, pdu: [frame(t, u + 1, pdu)],
        lambda t, u, pdu: [b"\xff" * 300],
        lambda t, u, pdu: [frame(t, u, b"")],
    ],
    ids=["silence", "another transaction", "another unit", "noise", "no function"],
)
async def test_no_answer_is_asked_for_once_more_and_then_given_up_in_bounded_time(bus, device, spoil):
    device.spoil = spoil
    async with asyncio.timeout(10 * TIMEOUT_S):
        with pytest.raises(Unreachable):
            await bus.read_holding(5, 3)
    assert len(device.asked) == 2
    assert not bus.connected


async def test_one_lost_answer_is_no_loss(bus, device):
    answers = iter([[], None])
    device.spoil = lambda t, u, pdu: [] if next(answers) == [] else [frame(t, u, pdu)]
    assert await bus.read_holding(5, 3) == (5, 6, 7)


async def test_a_write_is_never_repeated(bus, device):
    device.spoil = lambda t, u, pdu: []
    with pytest.raises(Unreachable):
        await bus.write_registers(10, (7,))
    assert device.written == [(10, (7,))]


async def test_a_connection_that_is_cut_during_a_call_ends_it_at_once():
    async with ModbusDevice(holding={0: 0}, spoil=lambda t, u, pdu: None) as device:
        bus = ModbusBus("127.0.0.1", device.port, 1, timeout_s=30)
        await bus.connect()
        async with asyncio.timeout(5):
            with pytest.raises(Unreachable):
                await bus.read_holding(0, 1)
        bus.close()


async def test_closing_ends_the_call_under_way():
    async with ModbusDevice(holding={0: 0}, spoil=lambda t, u, pdu: []) as device:
        bus = ModbusBus("127.0.0.1", device.port, 1, timeout_s=30)
        await bus.connect()

        async def close_when_asked():
            while not device.asked:
                await asyncio.sleep(0.001)
            bus.close()

        async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
            tasks.create_task(close_when_asked())
            with pytest.raises(Unreachable):
                await bus.read_holding(0, 1)


@pytest.mark.parametrize("code", [1, 2, 3, 4, 99])
async def test_an_exception_is_a_refusal_and_is_not_repeated(bus, device, code):
    device.spoil = exception(code)
    with pytest.raises(Refused, match=str(code)):
        await bus.read_holding(5, 3)
    assert len(device.asked) == 1


@pytest.mark.parametrize("code", [5, 6])
async def test_a_busy_device_is_asked_again(bus, device, code):
    device.spoil = exception(code)
    with pytest.raises(Refused):
        await bus.read_holding(5, 3)
    assert len(device.asked) == 2
    with pytest.raises(Refused):
        await bus.write_registers(10, (7,))
    assert len(device.written) == 1


@pytest.mark.parametrize("code", [10, 11])
async def test_nobody_behind_a_modbus_gateway_is_unreachable(bus, device, code):
    device.spoil = exception(code)
    with pytest.raises(Unreachable):
        await bus.read_holding(5, 3)


async def test_a_closed_port_and_an_unopened_bus_are_unreachable(device):
    port = device.port
    await device.vanish()
    bus = ModbusBus("127.0.0.1", port, 1, timeout_s=TIMEOUT_S)
    with pytest.raises(Unreachable):
        await bus.read_holding(0, 1)
    with pytest.raises(Unreachable):
        await bus.connect()


async def test_a_cancelled_call_leaves_the_bus_usable(bus, device):
    silent = True
    device.spoil = lambda t, u, pdu: [] if silent else [frame(t, u, pdu)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(TIMEOUT_S / 5):
            await bus.read_holding(0, 1)
    silent = False
    assert await bus.read_holding(5, 3) == (5, 6, 7)


async def test_calls_of_two_tasks_do_not_mix(bus):
    async with asyncio.TaskGroup() as tasks:
        reads = [tasks.create_task(bus.read_holding(i, 2)) for i in range(50)]
    assert [r.result() for r in reads] == [(i, i + 1) for i in range(50)]


class Log:
    """A sink that keeps what was raised and cleared."""

    def __init__(self):
        self.told = []

    def fault(self, code, detail):
        self.told.append((code, "raised"))

    def clear(self, code):
        self.told.append((code, "cleared"))


async def test_loss_and_return_are_told_and_logged_once_each(bus, device, caplog):
    caplog.set_level("INFO", "gateway")
    sink, served = Log(), asyncio.Event()

    async def begin():
        await bus.read_holding(0, 1)

    async def serve():
        served.set()
        while True:
            await bus.read_holding(0, 1)
            await asyncio.sleep(0.001)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keep_connected(bus, sink, begin, serve, first_pause_s=0.01))
        await served.wait()
        port = device.port
        await device.vanish()
        while sum(1 for _, what in sink.told if what == "raised") < 3:
            await asyncio.sleep(0.01)
        served.clear()
        await device.listen(port)
        await served.wait()
        running.cancel()
    assert not bus.connected
    assert sink.told[0] == sink.told[-1] == (FaultCode.DEVICE_UNREACHABLE, "cleared")
    assert [r.levelname for r in caplog.records] == ["WARNING", "INFO"]


async def test_a_device_that_connects_but_says_nothing_is_lost_only_once(bus, device, caplog):
    device.spoil = lambda t, u, pdu: []
    sink = Log()

    async def begin():
        await bus.read_holding(0, 1)

    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(keep_connected(bus, sink, begin, begin, first_pause_s=0.01))
        while len(sink.told) < 2:
            await asyncio.sleep(0.01)
        running.cancel()
    assert {what for _, what in sink.told} == {"raised"}
    assert len(caplog.records) == 1
