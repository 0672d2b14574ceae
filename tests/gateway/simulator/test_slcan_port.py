"""The adapter as python-can's slcan interface sees it."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import can
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.can_mishaps import CanMishaps, Noise
from gateway.simulator.slcan_port import SlcanPort, decode_frame, encode_frame


class Bus:
    def __init__(self, link: Path) -> None:
        self.received: list[tuple[int, bytes]] = []
        self.mishaps = CanMishaps()
        self.port = SlcanPort(link, lambda can_id, data: self.received.append((can_id, data)), self.mishaps)
        self.port.start()


@pytest.fixture
async def bus(tmp_path) -> Iterator[Bus]:
    made = Bus(tmp_path / "can0")
    yield made
    made.port.close()


def client(bus: Bus) -> can.BusABC:
    return can.Bus(interface="slcan", channel=str(bus.port.link), bitrate=500_000, sleep_after_open=0.0)


async def until(condition) -> None:
    async with asyncio.timeout(5.0):
        while not condition():
            await asyncio.sleep(0.005)


async def frame_at(foreign: can.BusABC) -> can.Message:
    message = await asyncio.to_thread(foreign.recv, 3.0)
    assert message is not None
    return message


@given(can_id=st.integers(0, 0x7FF), data=st.binary(max_size=8))
def test_frames_survive_the_line(can_id, data):
    assert decode_frame(encode_frame(can_id, data).decode().strip()) == (can_id, data)


@given(st.text(max_size=20))
def test_nonsense_is_a_value_error_or_a_frame(line):
    try:
        can_id, data = decode_frame(line)
    except ValueError:
        return
    assert can_id >= 0
    assert len(data) <= 8


async def test_python_can_sends_and_receives(bus):
    foreign = await asyncio.to_thread(client, bus)
    try:
        await until(lambda: bus.port.is_open)
        await asyncio.to_thread(
            foreign.send, can.Message(arbitration_id=0x108, data=b"\1\2", is_extended_id=False)
        )
        await until(lambda: bus.received)
        assert bus.received == [(0x108, b"\1\2")]
        await asyncio.sleep(0.05)
        bus.port.send(0x102, bytes(range(8)))
        message = await frame_at(foreign)
        assert (message.arbitration_id, bytes(message.data)) == (0x102, bytes(range(8)))
    finally:
        await asyncio.to_thread(foreign.shutdown)
    await until(lambda: not bus.port.is_open)


async def test_clients_may_die_and_return_without_old_frames(bus):
    line = os.open(bus.port.link, os.O_RDWR | os.O_NOCTTY)
    os.write(line, b"S6\rO\r")
    await until(lambda: bus.port.is_open)
    for n in range(2000):
        bus.port.send(0x100, n.to_bytes(8, "little"))
    os.close(line)
    foreign = await asyncio.to_thread(client, bus)
    try:
        await asyncio.sleep(0.1)
        bus.port.send(0x7AB, b"new")
        assert (await frame_at(foreign)).arbitration_id == 0x7AB
    finally:
        await asyncio.to_thread(foreign.shutdown)


async def test_commands_are_answered_as_an_adapter_does(bus):
    line = os.open(bus.port.link, os.O_RDWR | os.O_NOCTTY)
    os.set_blocking(line, False)

    async def ask(command: bytes) -> bytes:
        os.write(line, command)
        answer = b""
        async with asyncio.timeout(5.0):
            while not answer.endswith((b"\r", b"\a")):
                await asyncio.sleep(0.005)
                try:
                    answer += os.read(line, 100)
                except BlockingIOError:
                    continue
        return answer

    try:
        assert await ask(b"t1080\r") == b"\a"
        assert await ask(b"S4\r") == b"\a"
        assert await ask(b"S6\r") == b"\r"
        assert await ask(b"V\r") == b"V1013\r"
        assert await ask(b"N\r") == b"NSIM1\r"
        assert await ask(b"L\r") == b"\r"
        assert await ask(b"t1080\r") == b"\a"
        assert await ask(b"C\r") == b"\r"
        assert await ask(b"O\r") == b"\r"
        assert await ask(b"t108201FF\r") == b"z\r"
        assert await ask(b"T18FF000521A\r") == b"\a"
        assert await ask(b"T0000010810A\r") == b"Z\r"
        assert await ask(b"t10892\r") == b"\a"
        assert await ask(b"?\r") == b"\a"
        assert bus.received == [(0x108, b"\x01\xff"), (0x108, b"\x0a")]
    finally:
        os.close(line)


async def test_an_adapter_off_the_bus_refuses_to_transmit_and_reports_nothing(bus):
    foreign = await asyncio.to_thread(client, bus)
    try:
        await until(lambda: bus.port.is_open)
        bus.mishaps.bus_off_s = 1.0
        bus.port.send(0x100, b"lost")
        await asyncio.to_thread(foreign.send, can.Message(arbitration_id=0x108, is_extended_id=False))
        await asyncio.sleep(0.05)
        bus.mishaps.step(1.0)
        bus.port.send(0x102, b"here")
        assert (await frame_at(foreign)).arbitration_id == 0x102
        assert bus.received == []
    finally:
        await asyncio.to_thread(foreign.shutdown)


async def test_a_pulled_adapter_is_gone_and_may_come_back(bus):
    line = os.open(bus.port.link, os.O_RDWR | os.O_NOCTTY)
    try:
        bus.mishaps.pulled = True
        bus.port.follow()
        bus.port.follow()
        bus.port.send(0x100, b"")
        assert not bus.port.link.exists()
        with pytest.raises(OSError, match="Input/output"):
            os.write(line, b"O\r")
    finally:
        os.close(line)
    bus.mishaps.pulled = False
    bus.port.follow()
    foreign = await asyncio.to_thread(client, bus)
    await asyncio.to_thread(foreign.shutdown)


async def test_garbled_lines_do_not_end_the_port(bus):
    bus.mishaps.strike(Noise(garbling=1.0))
    line = os.open(bus.port.link, os.O_RDWR | os.O_NOCTTY)
    for _ in range(300):
        os.write(line, b"S6\rO\rt1088F4010F00000000F4\r")
        bus.port.send(0x100, bytes(8))
        await asyncio.sleep(0)
    os.close(line)
    bus.mishaps.strike(Noise())
    foreign = await asyncio.to_thread(client, bus)
    await asyncio.to_thread(foreign.shutdown)
