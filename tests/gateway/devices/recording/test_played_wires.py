"""The virtual clock jumps and never waits; buses come, go and hear as it was recorded."""

import asyncio

import pytest

from gateway.devices.can_bus import CanBus
from gateway.devices.chademo.cadence import beats
from gateway.devices.clock import monotonic
from gateway.devices.modbus_bus import ModbusBus
from gateway.devices.recording.events import Datagram, Exchange, Frame, Turn
from gateway.devices.recording.played_wires import PlayedWires
from gateway.devices.recording.properties import PropertyImage, orders_of
from gateway.devices.recording.virtual_time import run_at_once
from gateway.devices.recording.wires import WIRES
from gateway.faults import Misuse, Refused, Unreachable


def test_an_hour_passes_at_once_and_in_order():
    async def main():
        began, order = monotonic(), []

        async def after(seconds):
            await asyncio.sleep(seconds)
            order.append((seconds, round(monotonic() - began, 6)))

        async with asyncio.TaskGroup() as tasks:
            for seconds in (3600, 0.5, 60):
                tasks.create_task(after(seconds))
        return order

    assert run_at_once(main()) == [(0.5, 0.5), (60, 60), (3600, 3600)]


def test_the_charger_keeps_its_rhythm_in_virtual_time():
    async def main():
        began, found = monotonic(), []
        async for _ in beats(0.1):
            found.append(round(monotonic() - began, 6))
            if len(found) == 5:
                break
        return found

    assert run_at_once(main()) == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5], abs=0.1)


def test_waiting_for_what_never_comes_is_an_error_and_not_for_ever():
    with pytest.raises(Misuse):
        run_at_once(asyncio.Event().wait())


def played(events, story):
    """Run ``story(wires, bus-independent tools)`` on wires that play ``events`` by hand."""

    async def main():
        told = []
        wires = PlayedWires(tuple(events), {}, told.append)
        wires.zero = monotonic()
        WIRES.set(wires)
        await story(wires, told)

    run_at_once(main())


def test_a_bus_hears_what_was_recorded_and_is_lost_and_back_when_it_was():
    async def story(wires, told):
        heard = []
        bus = CanBus("slcan", "can0")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(bus.run(lambda can_id, data: heard.append((can_id, data))))
            await asyncio.sleep(0.1)
            wires.play(frame)
            await asyncio.sleep(0.1)
            bus.publish([(0x109, b"\x01")], 0.1)
            wires.play(Turn(1.0, "can0", False, "pulled"))
            await asyncio.sleep(0.1)
            assert not bus.up
            assert bus.problem == "pulled"
            wires.play(Turn(2.0, "can0", True))
            await asyncio.sleep(20)
            assert bus.up
            wires.play(frame)
            await asyncio.sleep(0.1)
            running.cancel()
        assert heard == [(0x102, b"\x0a")] * 2
        assert [event.data for event in told if isinstance(event, Frame) and event.sent] == [b"\x01"]

    frame = Frame(0.1, "can0", 0x102, b"\x0a")
    played([frame], story)


def test_a_question_is_answered_at_the_moment_it_was_answered_then():
    async def story(wires, told):
        bus = ModbusBus("unit", 502, 1)
        await bus.connect()
        asking = asyncio.ensure_future(bus.read_input(0, 1))  # noqa: TID251 - one story, one question
        await asyncio.sleep(0.06)
        assert not asking.done()
        wires.play(later)
        assert await asking == (2,)
        assert wires.now_s() == pytest.approx(0.062, abs=0.005)
        with pytest.raises(Refused):
            await bus.read_input(7, 1)
        wires.play(Turn(0.2, "unit:502 unit 1", False, "closed"))
        with pytest.raises(Unreachable):
            await bus.read_input(0, 1)
        with pytest.raises(Unreachable):
            await bus.connect()

    later = Exchange(0.06, "unit:502 unit 1", 4, 0, 1, (2,))
    played([later], story)


GET, GET_RES, SET, SET_RES, SET_SNA, INF = 0x62, 0x72, 0x61, 0x71, 0x51, 0x73


def datagram(service, epc, content=b"", *, tid=1, sent=False):
    objects = bytes.fromhex("05FF01027E01" if sent else "027E0105FF01")
    head = bytes.fromhex("1081") + tid.to_bytes(2) + objects
    return Datagram(0.0, "udp0", "192.0.2.9", head + bytes((service, 1, epc, len(content))) + content, sent)


def test_an_echonet_unit_answers_what_it_said_then_and_keeps_what_is_set():
    image = PropertyImage([datagram(GET_RES, 0xDA, b"\x44"), datagram(INF, 0xC7, b"\x30")])
    ask = datagram(GET, 0xDA, tid=7, sent=True).data
    assert image.answer(ask) == datagram(GET_RES, 0xDA, b"\x44", tid=7).data
    assert (
        image.answer(datagram(SET, 0xDA, b"\x42", tid=8, sent=True).data)
        == datagram(SET_RES, 0xDA, tid=8).data
    )
    assert image.answer(ask) == datagram(GET_RES, 0xDA, b"\x42", tid=7).data
    assert image.heard(datagram(GET_RES, 0xDA, b"\x47")) is None
    assert image.answer(ask) == datagram(GET_RES, 0xDA, b"\x47", tid=7).data
    assert image.heard(inform := datagram(INF, 0xC7, b"\x43")) == inform.data
    image.heard(datagram(SET_SNA, 0xDA, b"\x42"))
    assert (
        image.answer(datagram(SET, 0xDA, b"\x42", tid=9, sent=True).data)
        == datagram(SET_SNA, 0xDA, b"\x42", tid=9).data
    )
    assert image.answer(b"nonsense") is None


def test_what_is_set_over_echonet_counts_as_an_order():
    assert list(orders_of(datagram(SET, 0xDA, b"\x42", sent=True))) == [("udp0 0xDA", "42")]
    assert not list(orders_of(datagram(GET, 0xDA, sent=True)))
