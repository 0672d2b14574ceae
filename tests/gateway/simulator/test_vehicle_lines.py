"""The text of vehicle programs is read liberally, and nothing that is no line becomes one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.simulator.vehicle_lines import (
    CanLine,
    PilotLine,
    frame_text,
    pilot_text,
    read_datagram,
    read_line,
)

CAR = CanLine(0x102, bytes.fromhex("029A010000C83E00"))


@pytest.mark.parametrize(
    "text",
    [
        "102#029A010000C83E00",
        "102#029a010000c83e00",
        "  102 # 02 9A 01 00 00 C8 3E 00 ",
        "0x102#02.9A.01.00.00.C8.3E.00",
        "(1436509052.249713) can0 102#029A010000C83E00",
        "(12.5) vcan0  102#029A010000C83E00",
        "can0 102#029A010000C83E00",
        "(12.5) can0  102   [8]  02 9A 01 00 00 C8 3E 00",
    ],
)
def test_a_frame_is_understood_in_every_common_writing(text):
    assert read_line(text) == CAR


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("!k=1", PilotLine("k", True)),
        ("! K = 0", PilotLine("k", False)),
        ("!inserted=off", PilotLine("inserted", False)),
        ("!estop:true", PilotLine("estop", True)),
        ("!lock", PilotLine("lock", None)),
    ],
)
def test_a_pilot_line_is_understood(text, line):
    assert read_line(text) == line


@pytest.mark.parametrize(
    "text",
    ["102", "102#0", "102#0102030405060708FF", "00000800#00", "800#00", "102#R", "102##100", "can0", "!k=2", "!",
     "102 [8] 01", "#0102", "x" * 300, "102#zz", "{}"],
)  # fmt: skip
def test_what_is_no_line_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        read_line(text)


def test_a_datagram_may_hold_several_lines_and_one_bad_one_spoils_no_other():
    lines, complaints = read_datagram(b"102#029A010000C83E00\r\n\r\n; remark\nnonsense\n!k=1\0")
    assert lines == [CAR, PilotLine("k", True)]
    assert complaints == ["'nonsense': neither a frame ID#HEX nor a pilot line !name=0/1"]


@given(can_id=st.integers(0, 0x7FF), data=st.binary(max_size=8))
def test_frames_survive_the_text(can_id, data):
    assert read_line(frame_text(can_id, data)) == CanLine(can_id, data)


@given(name=st.sampled_from(["d1", "d2", "lock"]), on=st.booleans())
def test_pilot_lines_survive_the_text(name, on):
    assert read_line(pilot_text(name, on=on)) == PilotLine(name, on)


@given(st.binary(max_size=300))
def test_any_datagram_gives_lines_or_complaints(datagram):
    lines, _ = read_datagram(datagram)
    for line in lines:
        if isinstance(line, CanLine):
            assert line.can_id < 0x800
            assert len(line.data) <= 8
