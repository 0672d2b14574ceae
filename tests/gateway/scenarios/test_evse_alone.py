"""`gateway evse` in front of a vehicle program that knows nothing of it but the bytes."""

import asyncio
import contextlib
import json
import socket
import sys
from itertools import pairwise

import pytest

from tests.gateway.scenarios.hardware import undisturbed
from tests.gateway.scenarios.vehicle_program import Vehicle

pytestmark = pytest.mark.slow

NEVER_S = 60.0


class Charger:
    """The command as a process. ``told`` are its JSON lines."""

    def __init__(self, process):
        self.process = process
        self.told = []

    async def read(self):
        """Read to the end; once it is up it is hardware to its car, which is never short of CPU."""
        async with contextlib.AsyncExitStack() as stack:
            async for line in self.process.stdout:
                if not self.told:
                    stack.enter_context(undisturbed(self.process.pid))
                self.told.append(json.loads(line))

    @property
    def ended(self):
        return self.process.returncode is not None

    @property
    def summary(self):
        return self.told[-1]["summary"]

    @property
    def steps(self):
        states = [line["state"] for line in self.told if "state" in line]
        return [state for n, state in enumerate(states) if n == 0 or state != states[n - 1]]

    def reached(self, state):
        return any(line.get("state") == state for line in self.told)


@pytest.fixture
async def start():
    """Start the command and read what it tells."""
    async with asyncio.TaskGroup() as tasks:
        started = []

        async def begin(url, *options):
            command = ("-m", "gateway", "evse", "--json", "--seconds", str(NEVER_S), "--can", url, *options)
            process = await asyncio.create_subprocess_exec(
                sys.executable, *command, stdout=asyncio.subprocess.PIPE
            )
            charger = Charger(process)
            started.append(process)
            tasks.create_task(charger.read())
            return charger

        with undisturbed():
            yield begin
        for process in started:
            if process.returncode is None:
                process.terminate()
            await process.wait()


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def url(port):
    return f"udp://127.0.0.1:{port}"


async def session(start, car, *options):
    """The car is first and takes the port; both run until the charger has ended."""
    charger = await start(url(car.listen()), *options)
    async with asyncio.timeout(NEVER_S):
        await car.live(lambda: charger.ended)
        await charger.process.wait()
        while not (charger.told and "summary" in charger.told[-1]):
            await asyncio.sleep(0.01)
    car.hang_up()
    return charger


def assert_kept_the_rules(car, *, longest_gap_s=0.2):
    """What no session may break, whatever else happened; a busy machine may be late now and then, as a charger may."""
    ids = [can_id for _, can_id, _ in car.seen]
    assert all(before == 0x108 for before, after in pairwise(ids) if after == 0x109)
    bursts = [at for at, can_id, _ in car.seen if can_id == 0x109]
    gaps = sorted(later - earlier for earlier, later in pairwise(bursts))
    assert gaps[int(0.95 * len(gaps))] <= longest_gap_s
    d2_on = next((at for at, name, on in car.lines if name == "d2" and on), None)
    lock_on = next((at for at, name, on in car.lines if name == "lock" and on), None)
    assert d2_on is None or (lock_on is not None and lock_on < d2_on)
    for at, can_id, data in car.seen:
        if can_id == 0x109 and data[3]:
            assert data[3] <= max(a for asked_at, a in car.asked if at - 1.5 <= asked_at <= at)
    assert car.pilot == {"d1": False, "d2": False, "lock": False}


async def test_a_session_charges_discharges_and_ends_in_order(start):
    car = Vehicle()
    charger = await session(start, car, "--power-w=3000:2.5,-3000:3", "--stop-after", "5")
    assert charger.process.returncode == 0
    assert charger.summary["cause"] == "owner_stop"
    assert car.statuses == [0x20, 0x24, 0x05, 0x25, 0x24, 0x20]
    assert car.most(0x109, lambda d: d[3]) in range(6, 9)
    assert car.most(0x208, lambda d: 255 - d[0]) in range(7, 10)
    assert car.most(0x109, lambda d: d[1] | d[2] << 8) in range(450, 506)
    assert {tuple(d[4:6]) for _, i, d in car.seen[-4:] if i == 0x108} == {(435 & 255, 435 >> 8)}
    assert all(d[4] & 1 for _, i, d in car.seen if i == 0x109)
    assert {0x208, 0x209} <= {i for _, i, _ in car.seen}
    assert [(name, on) for _, name, on in car.lines if on][:3].count(("d1", True)) >= 1
    assert_kept_the_rules(car)


async def test_a_car_that_has_enough_ends_the_session(start):
    car = Vehicle()
    car.stop_after_s = 1.5
    charger = await session(start, car)
    assert (charger.process.returncode, charger.summary["cause"]) == (0, "vehicle_stop")
    assert car.statuses == [0x20, 0x24, 0x05, 0x25, 0x24, 0x20]
    assert_kept_the_rules(car)


async def test_a_hasty_car_that_stops_with_all_its_words_at_once_ends_the_session_in_order(start):
    car = Vehicle()
    car.stop_after_s, car.is_hasty = 1.5, True
    charger = await session(start, car, "--power-w", "6000")
    assert (charger.process.returncode, charger.summary["cause"]) == (0, "vehicle_stop")
    assert_kept_the_rules(car)


async def test_a_fault_bit_ends_the_session_though_the_car_keeps_its_permission(start):
    car = Vehicle()
    car.fault_bits, car.fault_after_s = 0x08, 1.5
    charger = await session(start, car)
    assert (charger.process.returncode, charger.summary["cause"]) == (1, "vehicle_fault")
    assert 0x25 in car.statuses
    assert_kept_the_rules(car)


async def test_a_car_that_falls_silent_is_left_with_d2_and_d1_off(start):
    car = Vehicle()
    car.silent_after_s = 1.5
    charger = await session(start, car)
    assert (charger.process.returncode, charger.summary["cause"]) == (1, "vehicle_silent")
    assert any(status & 0x10 for status in car.statuses)
    assert "isolating" in charger.steps
    assert car.pilot == {"d1": False, "d2": False, "lock": False}


async def test_a_700_v_car_is_told_that_it_does_not_fit(start):
    car = Vehicle()
    car.target_v, car.maximum_v = 700, 750
    charger = await session(start, car)
    assert (charger.process.returncode, charger.summary["cause"]) == (1, "incompatible")
    assert any(status & 0x08 and status & 0x20 for status in car.statuses)
    assert not any(name == "d2" and on for _, name, on in car.lines)
    assert charger.summary["most_charge_a"] == 0.0


async def test_a_car_that_asks_for_200_a_never_gets_more_than_was_offered(start):
    car = Vehicle()
    car.wants_a, car.follows_offer = 200, False
    charger = await session(start, car, "--power-w", "6000", "--max-charge-a", "12", "--stop-after", "4")
    assert charger.process.returncode == 0
    assert max(a for _, a in car.asked) > 50
    assert car.most(0x108, lambda d: d[3]) == 12
    assert car.most(0x109, lambda d: d[3]) == 12
    assert charger.summary["most_charge_a"] <= 12.05


async def test_a_car_that_measures_a_current_deviation_ends_the_session(start):
    car = Vehicle()
    car.fault_bits, car.fault_after_s = 0x04, 1.0
    charger = await session(start, car, "--power-w", "6000")
    assert (charger.process.returncode, charger.summary["cause"]) == (1, "vehicle_fault")
    assert_kept_the_rules(car)


async def test_a_charger_that_is_first_takes_the_port_and_greets_whoever_comes(start):
    port = free_port()
    charger = await start(url(port), "--stop-after", "1")
    async with asyncio.timeout(NEVER_S):
        while not any("waits for a car" in line.get("note", "") for line in charger.told):
            await asyncio.sleep(0.02)
        assert charger.steps in ([], ["idle"])
        car = Vehicle()
        car.line_end = b"\r\n"
        car.call(port)
        await car.live(lambda: charger.ended)
    car.hang_up()
    assert charger.process.returncode == 0
    assert [(name, on) for _, name, on in car.lines[:3]] == [("d1", False), ("d2", False), ("lock", False)]
    assert 0x05 in car.statuses
    assert_kept_the_rules(car)


async def test_a_vehicle_program_that_is_started_again_gets_another_session(start):
    port = free_port()
    charger = await start(url(port), "--keep")
    async with asyncio.timeout(NEVER_S):
        while not charger.told:
            await asyncio.sleep(0.02)
        first = Vehicle()
        first.call(port)
        await first.live(lambda: charger.reached("energised"))
        first.hang_up()
        await asyncio.sleep(2.0)
        second = Vehicle()
        second.call(port)
        await second.live(lambda: 0x05 in second.statuses)
        charger.process.terminate()
        await second.live(lambda: charger.ended)
    second.hang_up()
    assert charger.process.returncode == 0
    assert any(line.get("cause") == "vehicle_silent" for line in charger.told)
    assert second.statuses[-5:] == [0x24, 0x05, 0x25, 0x24, 0x20]


async def test_an_emergency_stop_ends_it_at_once(start):
    car = Vehicle()
    charger = await start(url(car.listen()))
    async with asyncio.timeout(NEVER_S):
        await car.live(lambda: charger.reached("energised"))
        car.say(b"!estop=1")
        await car.live(lambda: charger.ended)
    car.hang_up()
    assert charger.process.returncode == 1
    assert any(status & 0x10 for status in car.statuses)
    assert not car.pilot["d2"]


async def test_k_alone_that_falls_is_an_emergency(start):
    car = Vehicle()
    charger = await start(url(car.listen()))
    async with asyncio.timeout(NEVER_S):
        await car.live(lambda: charger.reached("energised"))
        car.say(b"!k=0")
        await car.live(lambda: charger.ended)
    car.hang_up()
    assert (charger.process.returncode, charger.summary["cause"]) == (1, "permission_withdrawn")
    assert not car.pilot["d2"]


async def test_a_start_that_the_car_refuses_is_tried_again_and_may_then_succeed(start):
    car = Vehicle()
    car.refuses_starts = 1
    charger = await session(start, car, "--stop-after", "1")
    assert (charger.process.returncode, charger.summary["sessions"]) == (0, 1)
    assert any(line.get("cause") == "vehicle_refused" for line in charger.told)
    assert 0x05 in car.statuses


async def test_a_cheap_car_with_a_frame_every_75_ms_and_without_a_word_of_k_is_charged(start):
    car = Vehicle()
    car.is_cheap = True
    charger = await session(start, car, "--stop-after", "1")
    assert charger.process.returncode == 0
    assert 0x05 in car.statuses
    assert {i for _, i, _ in car.seen} >= {0x108, 0x109}


async def test_cars_of_other_habits_at_once(start):
    old, greedy, opener = Vehicle(), Vehicle(), Vehicle()
    old.is_old = old.is_cheap = True
    greedy.is_old, greedy.wants_a, greedy.follows_offer = True, 200, False
    opener.opens_after_s = 1.0
    async with asyncio.TaskGroup() as tasks:
        stories = [
            tasks.create_task(session(start, car, "--power-w", "6000", *options))
            for car, options in (
                (old, ("--stop-after", "1")),
                (greedy, ("--max-charge-a", "12", "--stop-after", "5")),
                (opener, ()),
            )
        ]
    ends = [
        (charger.process.returncode, charger.summary["cause"]) for charger in (s.result() for s in stories)
    ]
    assert ends == [(0, "owner_stop"), (0, "owner_stop"), (1, "permission_withdrawn")]
    assert old.statuses == greedy.statuses == [0x20, 0x24, 0x05, 0x25, 0x24, 0x20]
    assert greedy.most(0x109, lambda d: d[3]) == 12
    assert not opener.pilot["d2"]


async def test_a_reader_that_goes_away_ends_it_in_order_and_without_a_word():
    command = ("-m", "gateway", "evse", "--seconds", str(NEVER_S), "--can", url(free_port()))
    pipe = asyncio.subprocess.PIPE
    charger = await asyncio.create_subprocess_exec(sys.executable, *command, stdout=pipe, stderr=pipe)
    async with asyncio.timeout(NEVER_S / 2):
        await charger.stdout.readline()
        charger.stdout._transport.close()
        car = Vehicle()
        car.call(int(command[-1].rpartition(":")[2]))
        await car.live(lambda: charger.returncode is not None)
    car.hang_up()
    assert await charger.stderr.read() == b""
    assert not car.pilot.get("d1")


@pytest.mark.parametrize("place", ["udp://192.168.1.5:5100", "udp://127.0.0.1", "tcp://127.0.0.1:1", "can0"])
async def test_only_a_loopback_port_is_taken(place):
    command = ("-m", "gateway", "evse", "--can", place)
    refused = await asyncio.create_subprocess_exec(sys.executable, *command, stderr=asyncio.subprocess.PIPE)
    _, said = await refused.communicate()
    assert refused.returncode == 1
    assert b"udp://127.0.0.1:5100" in said
    assert b"Traceback" not in said
