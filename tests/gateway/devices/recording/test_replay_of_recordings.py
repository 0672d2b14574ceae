"""A recording of our own is played to the devices it names; what is damaged in it is said and not stumbled over."""

import contextlib

import pytest

from gateway.devices.recording.loaders import parse
from gateway.devices.recording.replay import cast_of, replay
from gateway.devices.recording.story import retell
from gateway.faults import GatewayError, Malformed, Misuse

HEADER = (
    '# {"devices":{"grid":{"driver":"meter.eastron_sdm630","table":'
    '{"name":"Grid","role":"grid","host":"192.0.2.1","port":502,"unit":1,"poll_s":0.2}}}}\n'
    "10.000000 mb0 is 192.0.2.1:502 unit 1\n"
)
VOLTS, WATTS = (17254, 7931), (17530, 0)  # 230.1 V, 1000 W as two registers


def block(power):
    words = [0] * 76
    for phase in range(3):
        words[2 * phase : 2 * phase + 2] = VOLTS
    words[12:14] = power
    words[52:54] = power
    words[70:72] = (16968, 0)
    return " ".join(map(str, words))


def told(text, current_a=0.0):
    said: list[str] = []
    recording = parse(text.encode())
    outcome = replay(recording, cast_of(recording), current_a, said.append)
    return "\n".join(said), outcome


def meter(*answers):
    return HEADER + "".join(f"{10 + n / 5:.6f} mb0 {answer}\n" for n, answer in enumerate(answers))


def test_a_meter_says_what_it_said_then():
    story, outcome = told(meter(*[f"read 4 0 76 = {block(WATTS)} (1.0 ms)"] * 5))
    assert "grid  power 1000 W" in story
    assert outcome.lasts_s == pytest.approx(0.8)


def test_a_unit_that_fell_silent_falls_silent_again_and_comes_back():
    good, silent = f"read 4 0 76 = {block(WATTS)} (1.0 ms)", "read 4 0 76 ! silent (1000.0 ms)"
    story, _ = told(
        meter(*[good] * 10, *[silent] * 20, "down closed", *["down no connection"] * 5, "up", *[good] * 30)
    )
    assert "FAULT device_unreachable" in story
    assert "fault device_unreachable is over" in story


def test_a_replay_takes_no_time():
    _, outcome = told(meter(*[f"read 4 0 76 = {block(WATTS)} (1.0 ms)"] * 2, *["up"] * 3_000))
    assert outcome.lasts_s > 600
    assert outcome.took_s < outcome.lasts_s / 10


@pytest.mark.parametrize(
    "line",
    [
        'grid wants {"power_w":"much"}',
        'grid wants {"power_w":1.0,"lasts_s":2.0,"engage":true}',
        'grid hears {"nothing":1}',
        'grid says MeterSample {"power_w":"x","state":null}',
        "mb9 read 4 0 2 = 1 2 (0.1 ms)",
        "mb0 read 77 0 2 = 1 2 (0.1 ms)",
        "udp0 from 192.0.2.9 FFFF",
        "can7 down gone",
        "nobody raises what",
    ],
)
def test_odd_lines_do_not_end_a_replay_but_by_an_error_of_ours(line):
    with contextlib.suppress(GatewayError):
        told(meter(f"read 4 0 76 = {block(WATTS)} (1.0 ms)") + f"11.000000 {line}\n")


def test_what_was_decided_then_can_be_told_without_the_drivers():
    told: list[str] = []
    text = (
        '10.5 garage says EvseSample {"state":"ready","current_a":3.0}\n(10.600000) can0 109#0200000001050000 T\n'
        "10.7 garage raises insulation low\n10.8 mb0 read 4 0 76 ! silent (400.0 ms)\n10.9 mb0 down closed\n11.0 - dropped 7\n"
    )
    retell(parse((HEADER + text).encode()).events, told.append)
    assert [line.split(" s  ")[1] for line in told] == [
        "garage  state ready, current 3 A",
        "can0  status 109 02 00 00 00 01 05 00 00",
        "garage  FAULT insulation: low",
        "mb0  function 4 @ 0: silent",
        "mb0  down: closed",
        "recording  7 lines are missing here",
    ]


def test_a_header_without_devices_asks_for_a_site():
    recording = parse(b'# {"devices":[]}\n10.000000 mb0 up\n')
    with pytest.raises(Malformed, match="--site"):
        cast_of(recording)


def test_frames_that_nobody_understands_are_said():
    with pytest.raises(Misuse, match="--site"):
        cast_of(parse(b"(1.0) can0 7FF#00\n"))
