"""What the bench believes of a foreign car, and how it finds its port."""

import socket

import pytest

from gateway.simulator.converter import Command
from gateway.simulator.pilot_lines import D1, D2, LOCK
from gateway.simulator.vehicle_inlet import BenchBattery, VehicleInlet
from gateway.simulator.vehicle_lines import CanLine, PilotLine
from gateway.simulator.vehicle_udp import Place, open_socket, read_place

STEP_S = 0.02
OPEN, ENABLED = 0x88, 0x89
CLOSED, CLOSED_NOT_ENABLED = 0x81, 0x80


@pytest.fixture
def inlet():
    return VehicleInlet(BenchBattery(380.0))


def status(byte):
    return CanLine(0x102, bytes((2, 0x9A, 1, 0, 0, byte, 62, 0)))


def run(inlet, seconds, *lines):
    """Step for a while; the car repeats ``lines`` all the time."""
    for _ in range(round(seconds / STEP_S)):
        for line in lines:
            assert not inlet.hear(line)
        inlet.step(STEP_S)


def connected(inlet):
    inlet.pilot.coils[:] = [True, True, True]
    run(inlet, 1.0, PilotLine("k", True), status(CLOSED))
    assert inlet.linked


def test_nothing_is_plugged_in_before_somebody_speaks(inlet):
    run(inlet, 1.0)
    assert not inlet.pilot.plugged
    run(inlet, 0.1, PilotLine("k", False))
    assert inlet.pilot.plugged


def test_the_battery_is_there_only_under_d2_and_k_and_with_a_closed_contactor(inlet):
    run(inlet, 0.1, PilotLine("k", True), status(CLOSED))
    assert not inlet.linked
    inlet.pilot.coils[D2] = True
    run(inlet, 0.1, PilotLine("k", False), status(CLOSED))
    assert not inlet.linked
    run(inlet, 0.1, PilotLine("k", True), status(ENABLED))
    assert not inlet.linked
    run(inlet, 2.0, PilotLine("k", True), status(CLOSED))
    assert inlet.linked
    assert inlet.converter.voltage_v == pytest.approx(380.0, abs=1.0)


def test_d2_off_takes_the_battery_away(inlet):
    connected(inlet)
    inlet.pilot.coils[D2] = False
    run(inlet, 1.5, PilotLine("k", True), status(CLOSED))
    assert not inlet.linked
    assert inlet.converter.voltage_v < 10.0


def test_a_car_that_lets_k_go_opens_within_two_and_a_half_seconds(inlet):
    connected(inlet)
    run(inlet, 2.0, PilotLine("k", False), status(CLOSED_NOT_ENABLED))
    assert inlet.linked
    run(inlet, 0.6, PilotLine("k", False), status(CLOSED_NOT_ENABLED))
    assert not inlet.linked


def test_a_hasty_car_does_not_cut_the_current(inlet):
    connected(inlet)
    inlet.converter.orders.command, inlet.converter.orders.current_a = Command.CURRENT, 10.0
    run(inlet, 1.0, PilotLine("k", True), status(CLOSED))
    assert inlet.converter.current_a > 9.0
    run(inlet, 0.1, PilotLine("k", False), status(OPEN))
    assert inlet.linked
    inlet.converter.orders.current_a = 0.0
    run(inlet, 0.5, PilotLine("k", False), status(OPEN))
    assert not inlet.linked
    assert not inlet.converter.faults


def test_a_welded_contactor_stays_closed(inlet):
    connected(inlet)
    inlet.hear(PilotLine("weld", True))
    inlet.pilot.coils[D2] = False
    run(inlet, 1.0, status(OPEN))
    assert inlet.linked


def test_a_car_without_a_word_of_k_pulls_it_while_it_enables(inlet):
    run(inlet, 0.1, status(OPEN))
    assert not inlet.pilot.inputs[0]
    run(inlet, 0.1, status(ENABLED))
    assert inlet.pilot.inputs[0]


def test_k_of_a_car_that_is_gone_falls_off(inlet):
    run(inlet, 0.1, PilotLine("k", True))
    run(inlet, 4.0)
    assert inlet.pilot.inputs[0]
    run(inlet, 1.5)
    assert not inlet.pilot.inputs[0]


def test_a_car_that_comes_back_at_rest_was_plugged_in_anew(inlet):
    run(inlet, 0.1, status(OPEN))
    run(inlet, 2.0)
    inlet.hear(status(OPEN))
    run(inlet, 0.1)
    assert not inlet.pilot.plugged
    run(inlet, 0.6)
    assert inlet.pilot.plugged


def test_a_car_that_comes_back_during_a_session_is_plugged_in_anew_when_d1_is_off(inlet):
    inlet.pilot.coils[D1] = True
    run(inlet, 0.1, status(OPEN))
    run(inlet, 2.0)
    run(inlet, 0.5, status(OPEN))
    assert inlet.pilot.plugged
    inlet.pilot.coils[D1] = False
    run(inlet, 0.1, status(OPEN))
    assert not inlet.pilot.plugged


def test_a_car_that_wakes_slowly_under_d1_was_not_away(inlet):
    run(inlet, 0.1, PilotLine("k", False))
    inlet.pilot.coils[D1] = True
    run(inlet, 3.0)
    run(inlet, 0.5, status(OPEN))
    inlet.pilot.coils[D1] = False
    run(inlet, 0.1, status(OPEN))
    assert inlet.pilot.plugged


def test_a_test_pulls_the_connector_presses_the_emergency_stop_and_breaks_the_lock(inlet):
    inlet.pilot.coils[LOCK] = True
    run(inlet, 1.0, status(OPEN))
    assert inlet.lines["lock"]
    run(inlet, 0.1, PilotLine("lock", False))
    assert not inlet.lines["lock"]
    run(inlet, 0.1, PilotLine("estop", True), PilotLine("inserted", False))
    assert inlet.pilot.inputs == [False, False, False, True]
    assert "not known" in inlet.hear(PilotLine("d1", True))


def test_a_free_port_is_taken_and_a_taken_one_spoken_to():
    first, awaits = open_socket(Place("127.0.0.1", 0))
    with first:
        assert awaits
        second, awaits = open_socket(Place("127.0.0.1", first.getsockname()[1]))
        with second:
            assert not awaits
            assert second.getsockname() != first.getsockname()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "[::1]", "localhost"])
def test_every_loopback_address_will_do(host):
    assert read_place(f"udp://{host}:5100?from=5101").own_port == 5101


@pytest.mark.parametrize(
    "url",
    ["udp://10.0.0.1:5100", "udp://example.org:5100", "udp://127.0.0.1", "udp://127.0.0.1:99999", "127.0.0.1:5100",
     "udp://127.0.0.1:5100?to=1", "udp://127.0.0.1:5100?from=x", "udp://0.0.0.0:5100"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(url):
    with pytest.raises(ValueError, match="udp://127"):
        read_place(url)


def test_the_own_port_can_be_fixed():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    opened, awaits = open_socket(Place("127.0.0.1", 5100, own_port=free))
    with opened:
        assert (opened.getsockname()[1], awaits) == (free, False)
