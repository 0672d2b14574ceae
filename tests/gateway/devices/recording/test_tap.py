"""The fast path tells a recorder what happens, never waits for it, and says what it had to drop."""

import asyncio
import socket
from contextlib import asynccontextmanager

import pytest

from gateway.devices.recording import lines
from gateway.devices.recording.events import (
    Datagram,
    Dropped,
    Exchange,
    Fault,
    Frame,
    Said,
    Turn,
    Wanted,
    Wire,
)
from gateway.devices.recording.loaders import parse
from gateway.devices.recording.tap import MOST_REMEMBERED, SOCKET, Tap
from gateway.faults import FaultCode
from gateway.model import EvseSample, EvseState, Reason, Rung, Setpoint
from tests.gateway.devices.slot import Slot

QUIET_S = 0.3
SAMPLE = EvseSample(1.0, EvseState.READY, True, 3000.0, 6000.0, 0.0)


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr("gateway.devices.recording.tap.LOOK_S", 0.01)
    monkeypatch.setattr("gateway.devices.recording.tap.FLUSH_S", 0.01)


@asynccontextmanager
async def recorder(tmp_path, tap):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        listening.bind(str(tmp_path / SOCKET))
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(tap.run())
            while not tap.observed:
                await asyncio.sleep(0.01)
            yield listening
            running.cancel()


def heard(listening):
    """Return the lines that have come."""
    found: list[str] = []
    try:
        while True:
            found += listening.recv(100_000).decode().splitlines()
    except BlockingIOError:
        return found


async def test_nobody_listens_and_nothing_is_kept(tmp_path):
    tap = Tap(tmp_path / SOCKET, {})
    tap.tell(Frame(1.0, "can0", 0x102, b"\x01"))
    assert not tap.observed
    assert not tap._lines


async def test_what_is_remembered_is_bounded_whatever_comes_over_the_network(tmp_path):
    tap = Tap(tmp_path / SOCKET, {})
    for n in range(2 * MOST_REMEMBERED):
        tap.tell(Datagram(1.0, "udp0", "10.0.0.9", n.to_bytes(13)))
    tap.tell(Datagram(2.0, "udp0", "10.0.0.9", (0).to_bytes(13)))
    known = list(tap._known.values())
    assert len(known) == MOST_REMEMBERED
    assert known[0].at_s == 2.0, "what is known is renewed"


async def test_a_recorder_learns_first_who_there_is_and_what_is_known(tmp_path, quick):
    tap = Tap(tmp_path / SOCKET, {"garage": {"driver": "evse.chademo", "table": {"name": "Charger"}}})
    assert tap.name("can", "slcan /dev/x") == "can0"
    assert [tap.name("mb", full) for full in ("a:502 unit 1", "b:502 unit 1", "a:502 unit 1")] == [
        "mb0",
        "mb1",
        "mb0",
    ]
    tap.tell(Exchange(0.5, "mb0", 4, 0, 2, (7, 8)))
    tap.tell(Exchange(0.6, "mb0", 4, 0, 2, (7, 9)))
    tap.tell(Exchange(0.7, "mb0", 4, 9, 2, error="silent"))
    async with recorder(tmp_path, tap) as listening:
        await asyncio.sleep(0.05)
        told = heard(listening)
    recording = parse("\n".join(told).encode())
    assert recording.header["devices"]["garage"]["driver"] == "evse.chademo"
    assert [(e.wire, e.name) for e in recording.events if isinstance(e, Wire)] == [
        ("can0", "slcan /dev/x"), ("mb0", "a:502 unit 1"), ("mb1", "b:502 unit 1"),
    ]  # fmt: skip
    assert [e.values for e in recording.events if isinstance(e, Exchange)] == [(7, 9)]


async def test_what_happens_is_told_in_its_order(tmp_path, quick):
    tap, slot, applied = Tap(tmp_path / SOCKET, {}), Slot(), []

    class Charger:
        def apply(self, setpoint):
            applied.append(setpoint)

    sink, actuators = tap.sink("garage", slot), tap.actuators({"garage": Charger()})
    async with recorder(tmp_path, tap) as listening:
        now = asyncio.get_running_loop().time()
        actuators["garage"].apply(Setpoint("garage", 3000.0, now + 2, Reason(Rung.PLAN, "cheap")))
        tap.tell(Frame(now, "can0", 0x109, bytes(8), sent=True))
        tap.tell(Turn(now, "can0", False, "pulled"))
        sink.sample(SAMPLE)
        sink.fault(FaultCode.INSULATION, "low")
        sink.clear(FaultCode.INSULATION)
        await asyncio.sleep(0.05)
        events = parse("\n".join(heard(listening)).encode()).events
    assert [type(event) for event in events] == [Wanted, Frame, Turn, Said, Fault, Fault]
    assert events[0].setpoint == {"power_w": 3000.0, "engage": True, "lasts_s": 2.0, "reason": "plan: cheap"}
    assert (events[3].kind, events[3].sample["state"], events[3].sample["power_w"]) == (
        "EvseSample",
        "ready",
        3000,
    )
    assert len(applied) == 1


async def test_a_recorder_that_does_not_keep_up_is_told_how_much_it_missed(tmp_path, quick):
    tap = Tap(tmp_path / SOCKET, {})
    async with recorder(tmp_path, tap) as listening:
        frames, dropped = 0, 0
        for _ in range(200):
            for _ in range(1000):
                tap.tell(Frame(1.0, "can0", 0x102, bytes(8)))
            frames += 1000
            tap._flush()
            if tap._dropped:
                break
        got = len([line for line in heard(listening) if line.startswith("(")])
        tap.tell(Frame(1.0, "can0", 0x102, bytes(8)))
        frames += 1
        await asyncio.sleep(0.05)
        told = heard(listening)
        got += len([line for line in told if line.startswith("(")])
        dropped = next(e.lines for e in map(lines.decode, told) if isinstance(e, Dropped))
    assert dropped > 0
    assert got + dropped == frames


async def test_when_the_recorder_goes_the_tap_falls_silent_and_waits_for_the_next(tmp_path, quick):
    tap = Tap(tmp_path / SOCKET, {})
    async with recorder(tmp_path, tap) as listening:
        listening.close()
        (tmp_path / SOCKET).unlink()
        tap.tell(Frame(1.0, "can0", 0x102, bytes(8)))
        await asyncio.sleep(0.05)
        assert not tap.observed
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as another:
            another.bind(str(tmp_path / SOCKET))
            while not tap.observed:
                await asyncio.sleep(0.01)
            assert heard(another)[0].startswith("# {")
