"""Cars with bad manners against a scripted charger, on virtual time."""

from itertools import pairwise

import pytest

from gateway.simulator.converter import Command
from gateway.simulator.leaf_on_can import CURRENT_DEVIATION, OVER_VOLTAGE
from gateway.simulator.leaf_session import State
from gateway.simulator.leaf_sloppiness import Sloppiness, sloppiness, sloppiness_in_words
from gateway.simulator.pilot_lines import D1, D2


@pytest.fixture
def sloppy(charger):
    def be(**manners):
        charger.wired.car.behave(Sloppiness(**manners))
        return charger

    return be


def gaps_s(frames, can_id):
    at = [n for n, frame in enumerate(frames) if frame is not None and frame[0] == can_id]
    return [(b - a) / 100 for a, b in pairwise(at)]


def test_slow_frames_come_every_225_ms_each(sloppy):
    charger = sloppy(slow_frames=True)
    charger.coil(D1, True)
    slots = [charger.wired.tick() for _ in range(1000)]
    for can_id in charger.wired.car.model.burst:
        gaps = gaps_s(slots, can_id)
        assert max(gaps) <= 0.24
        assert sum(gaps) / len(gaps) == pytest.approx(0.225, abs=0.002)


def test_a_slow_car_asks_no_faster_than_others(sloppy):
    charger = sloppy(slow_frames=True)
    charger.to_contactor()
    charger.run(1.7)
    assert charger.request_a == 0
    charger.run(0.5)
    assert 0 < charger.request_a <= 10


def test_half_filled_frames_become_whole_after_a_second(sloppy):
    charger = sloppy(half_filled=True)
    charger.coil(D1, True)
    assert {data[4:] for _, data in charger.run(0.9)} == {bytes(4)}
    charger.run(0.5)
    assert charger.seen[0x100][4:6] == bytes((0xB3, 1))


def test_an_early_request_comes_before_d2(sloppy):
    charger = sloppy(early_request=True)
    charger.to_permission()
    charger.run(1.0)
    assert charger.request_a == 15
    assert not charger.wired.car.contactor_closed


def test_a_clinging_car_keeps_its_permission_until_the_current_is_zero(sloppy):
    charger = sloppy(clings_to_permission=True)
    charger.to_current(10.0)
    charger.wired.car.injected_faults = OVER_VOLTAGE
    charger.run(1.0)
    assert charger.flags & 1
    assert charger.wired.pilot.inputs[0]
    assert charger.seen[0x102][4] == OVER_VOLTAGE
    charger.order(Command.OFF)
    charger.run(1.0)
    assert not charger.flags & 1


def test_a_car_may_fall_silent_once_its_contactor_is_open(sloppy):
    charger = sloppy(silent_once_open=True)
    charger.to_current(0.0)
    charger.status = 0x24
    charger.order(Command.OFF)
    assert charger.run(1.0)
    charger.run(2.0)
    assert charger.run(0.5) == []
    assert not charger.wired.car.contactor_closed
    charger.coil(D2, False)
    charger.coil(D1, False)
    charger.run(1.0)
    charger.coil(D1, True)
    assert charger.run(0.5)


def test_a_refusal_reads_as_recorded_and_the_next_session_is_permitted(sloppy):
    charger = sloppy(refusals=1)
    charger.to_permission()
    assert charger.flags == 0x98
    assert not charger.wired.pilot.inputs[0]
    charger.coil(D1, False)
    charger.run(1.0)
    charger.to_permission()
    assert charger.flags == 0x89


def test_a_car_may_never_permit_close_or_request(sloppy):
    charger = sloppy(never_permits=True)
    charger.to_permission()
    charger.run(10.0)
    assert charger.flags == 0x88
    sloppy(never_closes=True)
    charger.to_contactor()
    charger.run(5.0)
    assert not charger.wired.car.contactor_closed
    sloppy(never_requests=True)
    charger.run(8.0)
    assert charger.wired.car.contactor_closed
    assert charger.request_a == 0


def test_an_incompatible_car_says_what_it_needs(sloppy):
    charger = sloppy(needs_700_v=True)
    charger.to_permission()
    assert charger.seen[0x102][1] | charger.seen[0x102][2] << 8 == 700


def test_an_impatient_car_leaves_when_no_charging_current_is_reported(sloppy):
    charger = sloppy(uncharged_patience_s=10.0)
    charger.to_current(0.0)
    charger.order(Command.CURRENT, volts=410.0, amperes=-10.0)
    charger.run(7.0)
    assert charger.wired.car.state is State.ENERGISED
    charger.run(4.0)
    assert charger.wired.car.state is not State.ENERGISED


def test_a_discharge_over_its_limit_is_a_deviation(charger):
    charger.to_current(0.0)
    charger.discharge_available_a = 0
    charger.run(1.0)
    charger.order(Command.CURRENT, volts=410.0, amperes=-15.0)
    charger.run(3.0)
    assert charger.seen[0x102][4] == CURRENT_DEVIATION


def test_a_contactor_welds_at_its_next_opening(charger):
    charger.to_current(0.0)
    charger.wired.car.weak_contactor = True
    assert not charger.wired.car.welded
    charger.order(Command.OFF)
    charger.coil(D2, False)
    charger.run(1.0)
    assert charger.wired.car.contactor_closed
    assert charger.wired.house.converter.voltage_v > 300.0


def test_manners_are_read_from_the_command_line():
    assert sloppiness_in_words("") == Sloppiness()
    assert sloppiness_in_words("slow_frames,refusals=2") == Sloppiness(slow_frames=True, refusals=2)


@pytest.mark.parametrize("text", ["rude", "refusals", "slow_frames=1", "refusals=-1", "refusals=x"])
def test_unknown_manners_are_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        sloppiness_in_words(text)


def test_what_is_not_named_is_good_manners():
    assert sloppiness({"never_closes": True}) == Sloppiness(never_closes=True)
