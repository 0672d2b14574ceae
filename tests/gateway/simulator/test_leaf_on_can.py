"""The car against a scripted charger, on virtual time; steps and times of reference/can.md 3.7."""

from pathlib import Path

import pytest

from gateway.simulator.converter import Command
from gateway.simulator.leaf_frames import CarFace, encode
from gateway.simulator.leaf_models import ZE1_40
from gateway.simulator.leaf_on_can import CURRENT_DEVIATION, OVER_VOLTAGE, VOLTAGE_DEVIATION, Leaf
from gateway.simulator.leaf_session import State
from gateway.simulator.pilot_lines import D1, D2, LOCK
from gateway.simulator.wired_house import WiredHouse

LOG = Path(__file__).parents[4] / "shared/data/can/chademo-ze1-start-annotated.candump"


def test_a_sleeping_car_says_nothing(charger):
    assert charger.run(1.0) == []


def test_d1_wakes_the_car_and_it_bursts_in_the_recorded_order(charger):
    charger.coil(D1, True)
    frames = charger.run(1.0)
    assert [can_id for can_id, _ in frames[:16]] == list(ZE1_40.burst) * 2
    assert len(frames) == 80


def test_the_first_request_frame_lies_about_the_contactor(charger):
    charger.coil(D1, True)
    flags = [data[5] for can_id, data in charger.run(0.6) if can_id == 0x102]
    assert flags[0] == 0x80
    assert flags[-1] == 0x88


def test_car_never_permits_while_the_charger_is_mute(charger):
    charger.talks = False
    charger.coil(D1, True)
    charger.run(10.0)
    assert charger.wired.car.state is State.WAKING
    assert not charger.wired.pilot.inputs[0]


def test_car_permits_in_time_and_only_then_is_its_soc_true(charger):
    charger.coil(D1, True)
    charger.run(1.5)
    assert charger.seen[0x102][6] == 1
    charger.run(2.5)
    assert charger.flags == 0x89
    assert charger.wired.pilot.inputs[0]
    assert charger.seen[0x102][6] == 62
    assert charger.seen[0x101] == bytes.fromhex("00FF500000620100")
    assert charger.seen[0x200][6:] == bytes((10, 100))


def test_contactor_closes_after_d2_and_not_before(charger):
    charger.to_permission()
    charger.run(5.0)
    assert not charger.wired.car.contactor_closed
    charger.coil(D2, True)
    charger.run(1.5)
    assert charger.flags == 0x81
    assert charger.wired.car.contactor_closed


def test_request_and_discharge_limit_rise_two_amperes_per_burst(charger):
    charger.to_contactor()
    charger.order(Command.VOLTAGE, volts=charger.wired.house.pack.open_circuit_v)
    frames = charger.run(1.5)
    assert {data[3] for can_id, data in frames if can_id == 0x102} == {0}
    frames = charger.run(0.9)
    requests = [data[3] for can_id, data in frames if can_id == 0x102 and data[3]]
    assert requests[:3] == [2, 4, 6]
    limits = [255 - data[0] for can_id, data in frames if can_id == 0x200 and data[0] != 0xFF]
    assert limits[:3] == [2, 4, 6]


def test_current_flows_both_ways_in_one_session(charger):
    charger.to_current(10.0)
    house = charger.wired.house
    assert house.converter.current_a == pytest.approx(10.0)
    assert (charger.request_a, charger.discharge_limit_a) == (15, 15)
    charger.order(Command.CURRENT, volts=410.0, amperes=-15.0)
    charger.run(60.0)
    assert house.converter.current_a == pytest.approx(-15.0)
    assert house.converter.ac_w < -5000.0
    assert charger.wired.car.state is State.ENERGISED


def test_session_survives_a_pause_by_the_available_current(charger):
    charger.to_current(0.0)
    charger.available_a = 0
    charger.run(0.2)
    assert charger.request_a == 0
    charger.run(4.0)
    charger.available_a = 15
    charger.run(0.4)
    assert 0 < charger.request_a < 15
    charger.run(1.0)
    assert charger.request_a == 15


def test_chargers_stop_ends_as_recorded(charger):
    charger.to_current(10.0)
    charger.status = 0x25
    charger.order(Command.CURRENT, volts=410.0)
    charger.run(0.5)
    assert charger.flags == 0x80
    charger.status = 0x24
    charger.order(Command.OFF)
    charger.run(1.5)
    assert charger.wired.car.contactor_closed
    charger.run(1.5)
    assert charger.flags == 0x88
    assert charger.wired.house.converter.voltage_v < 10.0
    charger.coil(D2, False)
    charger.coil(D1, False)
    charger.run(1.0)
    assert charger.wired.car.state is State.ASLEEP
    assert charger.hot_openings == 0
    charger.coil(D1, True)
    charger.status = 0x20
    charger.run(4.0)
    assert charger.flags == 0x89


def test_cars_stop_withdraws_permission_and_opens_only_without_current(charger):
    charger.to_current(10.0)
    charger.wired.car.wants_stop = True
    charger.run(0.2)
    assert charger.flags == 0x80
    assert charger.request_a == 0
    charger.order(Command.OFF)
    charger.run(3.5)
    assert charger.flags == 0x88
    assert charger.hot_openings == 0


def test_cars_stop_before_charging_says_so(charger):
    charger.to_permission()
    charger.wired.car.wants_stop = True
    charger.run(0.2)
    assert charger.flags == 0x98


def test_silent_charger_loses_the_car_after_1_1_s(charger):
    charger.to_current(10.0)
    charger.talks = False
    charger.run(0.9)
    assert charger.flags & 1
    charger.run(0.4)
    assert not charger.flags & 1
    charger.run(2.6)
    assert not charger.wired.car.contactor_closed


def test_d2_off_opens_at_once_even_under_current_and_it_is_counted(charger):
    charger.to_current(10.0)
    charger.coil(D2, False)
    charger.run(0.1)
    assert not charger.wired.car.contactor_closed
    assert charger.wired.house.converter.current_a == 0.0
    assert charger.hot_openings == 1


def test_emergency_stop_opens_without_current(charger):
    charger.to_current(10.0)
    charger.wired.pilot.emergency_stop = True
    charger.run(0.2)
    assert not charger.wired.car.contactor_closed
    assert charger.hot_openings == 0
    assert charger.wired.pilot.inputs[3]


def test_unplugging_ends_everything(charger):
    charger.to_current(10.0)
    charger.wired.pilot.plugged = False
    assert charger.run(1.0) == []
    assert charger.wired.car.state is State.ASLEEP
    assert not any(charger.wired.pilot.inputs)


def test_charger_fault_is_answered_by_stopping(charger):
    charger.to_current(10.0)
    charger.status = 0x27
    charger.order(Command.OFF)
    charger.run(0.2)
    assert charger.flags == 0x80
    assert charger.wired.car.state is State.STOPPING


def test_injected_fault_shows_its_bit_and_ends_the_session(charger):
    charger.to_current(10.0)
    charger.wired.car.injected_faults = OVER_VOLTAGE
    charger.run(0.2)
    assert charger.seen[0x102][4] == OVER_VOLTAGE
    assert charger.flags == 0x80


def test_more_current_than_requested_is_a_deviation(charger):
    charger.to_current(0.0)
    charger.available_a = 2
    charger.order(Command.CURRENT, volts=410.0, amperes=15.0)
    charger.run(1.5)
    assert not charger.seen[0x102][4]
    charger.run(2.0)
    assert charger.seen[0x102][4] == CURRENT_DEVIATION


def test_a_charger_that_lies_about_the_voltage_is_found_out_after_5_s(charger):
    charger.to_current(5.0)
    charger.lies_v = 20
    charger.run(4.5)
    assert charger.wired.car.state is State.ENERGISED
    charger.run(1.0)
    assert charger.seen[0x102][4] == VOLTAGE_DEVIATION


def test_a_charger_that_never_energises_is_a_system_fault(charger):
    charger.to_contactor()
    charger.run(4.0)
    assert charger.flags & 0x04


def test_discharge_flag_without_discharge_frames_is_a_fault(charger):
    charger.to_permission()
    charger.wired.car.heard.discharge_age_s = 1e9
    real_hear = charger.wired.car.hear
    charger.wired.car.hear = lambda can_id, data: None if can_id == 0x208 else real_hear(can_id, data)
    charger.run(1.5)
    assert charger.flags & 0x04
    assert not charger.flags & 0x01


def test_car_ends_a_discharge_at_its_minimum_level(charger):
    charger.to_current(0.0)
    charger.wired.house.pack.soc_pct = 10.0
    charger.order(Command.CURRENT, volts=410.0, amperes=-10.0)
    charger.run(1.0)
    assert charger.discharge_limit_a == 0
    charger.run(2.0)
    assert not charger.flags & 1


def test_car_stops_when_the_remaining_time_is_over(charger):
    charger.to_current(5.0)
    charger.minutes = 0
    charger.run(2.5)
    assert not charger.flags & 1


def test_refusing_car_takes_discharge_back_within_a_burst(charger):
    charger.to_current(0.0)
    charger.wired.car.refuses_discharge = True
    charger.run(0.2)
    assert not charger.flags & 0x80
    assert charger.discharge_limit_a == 0


def test_silent_car_keeps_its_contactor_until_d2_falls(charger):
    charger.to_current(5.0)
    charger.wired.car.silent = True
    assert charger.run(2.0) == []
    assert charger.wired.car.contactor_closed
    charger.order(Command.OFF)
    charger.run(1.0)
    charger.coil(D2, False)
    charger.run(0.1)
    assert not charger.wired.car.contactor_closed


def test_version_1_charger_is_told_the_charge_on_its_scale():
    face = CarFace(heard_version=1, awake_s=5.0, soc_pct=60.0)
    assert encode(0x100, face)[6] == 255
    assert encode(0x102, face)[6] == 153


def test_foreign_and_short_frames_are_ignored(wired: WiredHouse):
    car = Leaf(wired.house.pack)
    car.heard.read(0x108, b"\x01")
    car.heard.read(0x7FF, bytes(8))
    assert car.heard.age_s > 1e6


def test_pilot_watchdog_drops_every_coil(charger):
    charger.wired.pilot_io.write_registers(0, [2])
    charger.to_permission()
    charger.coil(LOCK, True)
    charger.run(1.0)
    assert charger.wired.pilot.locked
    charger.run(1.5)
    assert charger.wired.pilot.coils == [False, False, False]
    charger.run(0.5)
    assert charger.wired.car.state is State.ASLEEP
    assert not charger.wired.pilot.locked


def recorded_frames() -> list[tuple[float, int, bytes]]:
    frames = []
    for line in LOG.read_text(encoding="utf-8").splitlines():
        words = line.split()
        if len(words) < 12 or words[4] != "[8]":
            continue
        clock = words[1].rstrip(")")
        hours, minutes, seconds = clock.split(":")
        at = int(hours) * 3600 + int(minutes) * 60 + float(seconds)
        frames.append((at, int(words[3], 16), bytes.fromhex("".join(words[5:13]))))
    return [(at - frames[0][0], can_id, data) for at, can_id, data in frames]


@pytest.mark.skipif(not LOG.exists(), reason="the recorded session (shared/data/can) is not here")
def test_car_says_what_the_recorded_car_said_to_the_recorded_charger(wired: WiredHouse):
    recorded = recorded_frames()
    wired.house.pack.soc_pct = 72.0
    wired.car.refuses_discharge = False
    wired.pilot_io.write_bits(D1, [True])
    said: list[tuple[float, int, bytes]] = []
    charger_frames = [frame for frame in recorded if frame[1] in {0x108, 0x109}]
    for slot in range(560):
        at = slot * 0.01
        while charger_frames and charger_frames[0][0] <= at:
            _, can_id, data = charger_frames.pop(0)
            wired.car.hear(can_id, data)
        frame = wired.tick()
        if frame is not None:
            said.append((at, *frame))

    def changes(frames: list[tuple[float, int, bytes]], can_id: int) -> list[tuple[float, bytes]]:
        kept: list[tuple[float, bytes]] = []
        for at, seen_id, data in frames:
            if seen_id == can_id and (not kept or kept[-1][1] != data):
                kept.append((at, data))
        return kept

    for can_id in ZE1_40.burst:
        ours, theirs = changes(said, can_id), changes(recorded, can_id)
        assert [data for _, data in ours] == [data for _, data in theirs], f"{can_id:03X}"
        for (our_at, _), (their_at, _) in zip(ours, theirs, strict=True):
            assert our_at == pytest.approx(their_at, abs=0.21)
