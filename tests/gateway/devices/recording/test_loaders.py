"""Every form of recording gives the same frames; remarks are counted; no bytes raise anything but our own errors."""

import contextlib
import gzip
from io import StringIO
from pathlib import Path

import pytest
from can.io.canutils import CanutilsLogReader
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.recording import lines
from gateway.devices.recording.events import (
    Datagram,
    Dropped,
    Exchange,
    Fault,
    Frame,
    Heard,
    Said,
    Turn,
    Wanted,
    Wire,
)
from gateway.devices.recording.loaders import Form, joined, load, parse
from gateway.faults import GatewayError, Malformed, Unreachable

CAN = Path(__file__).parents[4] / "../shared/data/can"
recorded = pytest.mark.skipif(not CAN.exists(), reason="recorded data of ../shared/data is not here")

FORMS = {
    Form.CANDUMP_LOG: b"(14.471000) can0 100#0AFF\n",
    Form.CANDUMP: b" (2022-06-02 22:49:58.125771)  can1  100   [2]  0A FF\n",
    Form.CANDUMP_UNTIMED: b"  can0  100   [2]  0A FF\n",
    Form.SAVVYCAN: b"Time Stamp,ID,Extended,Dir,Bus,LEN,D1,D2,D3,D4,D5,D6,D7,D8\n1000000,00000100,false,Rx,0,2,0A,FF,,,,,,,\n",
    Form.CRTD: b"1632426775.935928 CXX OVMS CRTD\n1632426782.045940 1R11 100 0a ff\n",
    Form.TABS: b"ParserFlags\tCh\tCounter\tT/R\tTime\tFlags\tCAN ID\tLen\tData\t\n1\t0\t1\tRX\t565214935\t\t0x00000100\t2\t0x0a ff \t\n",
    Form.OWN: b'# {"gateway": "0"}\n(14.471000) can0 100#0AFF R\n',
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_same_frame(form):
    recording = parse(FORMS[form])
    (frame,) = recording.frames
    assert recording.form is form
    assert (frame.at_s, frame.can_id, frame.data, frame.sent) == (0.0, 0x100, b"\x0a\xff", False)
    assert recording.not_understood == 0


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        (b"(1.0) can0 100#0A T", True),
        (b" (1.0)  can0  RX - -  100   [1]  0A   '.'", False),
        (b" (1.0)  can0  TX - -  100   [1]  0A", True),
        (b"1000,00000100,false,Tx,0,1,0A,,,,,,,,", True),
        (b"1000,100,false,0,1,0A", False),
        (b"1.5 2T11 100 0a", True),
    ],
)
def test_the_variants_of_a_form_are_understood(text, sent):
    (frame,) = parse(text).frames
    assert (frame.data, frame.sent) == (b"\x0a", sent)


def test_remarks_are_passed_over_and_counted():
    recording = parse(b"a remark\n\n(1.0) can0 100#0A\nwhat is this\n(1.1) can0 100#0\n(1.2) can0 100#0B\r\n")
    assert [frame.data for frame in recording.frames] == [b"\x0a", b"\x0b"]
    assert recording.not_understood == 3


def test_frames_that_no_bus_of_ours_carries_are_left_out():
    recording = parse(b"(1.0) can0 00000100#0A\n(1.1) can0 100#R\n(1.2) can0 100##10A\n(1.3) can0 100#0B\n")
    assert [frame.data for frame in recording.frames] == [b"\x0b"]
    assert (recording.left_out, recording.not_understood) == (3, 0)


def test_buses_are_kept_apart():
    recording = parse(b"1.0 1R11 100 01\n1.1 2R11 100 02\n1.2 1R11 101 03\n")
    assert recording.buses == ("1", "2")
    assert [frame.can_id for frame in recording.bus("1")] == [0x100, 0x101]


def test_without_times_the_most_frequent_id_comes_every_10_ms():
    recording = parse(b" can0 1DB [1] 00\n can0 55B [1] 00\n" + b" can0 1DB [1] 00\n" * 2)
    assert [frame.at_s for frame in recording.frames] == pytest.approx([0, 0.0075, 0.015, 0.0225])


def test_several_files_of_one_run_follow_each_other():
    late, early = parse(b"(12.0) can0 100#02"), parse(b"(10.0) can0 100#00\n(11.0) can0 100#01\n")
    assert [(f.at_s, f.data) for f in joined((late, early)).frames] == [
        (0, b"\x00"),
        (1, b"\x01"),
        (2, b"\x02"),
    ]


def test_a_file_without_frames_says_what_is_understood(tmp_path):
    file = tmp_path / "log"
    file.write_text("nothing\n")
    with pytest.raises(Malformed, match="candump"):
        load(file)
    with pytest.raises(Unreachable):
        load(tmp_path / "none")


def test_a_packed_recording_is_read_as_it_is(tmp_path):
    file = tmp_path / "log.gz"
    file.write_bytes(packed := gzip.compress(FORMS[Form.CANDUMP_LOG]))
    assert load(file) == parse(FORMS[Form.CANDUMP_LOG])
    for damaged in (packed[:-4], packed[:12] + b"\xff" * 20, b"no gzip"):
        file.write_bytes(damaged)
        with pytest.raises(Malformed):
            load(file)


@recorded
@pytest.mark.parametrize(
    ("file", "form", "frames", "not_understood"),
    [
        ("chademo-24kwh-v2h-start-stop.csv", Form.SAVVYCAN, 4072, 0),
        ("chademo-aze0-30kwh-excerpt.candump", Form.CANDUMP_LOG, 18, 0),
        ("chademo-ze1-start-annotated.candump", Form.CANDUMP, 548, 6),
        ("evcan-carcan-env200-40kwh-ac-charge-first9000.crtd", Form.CRTD, 8990, 0),
        ("evcan-ze0-24kwh-stock-first6000.tsv", Form.TABS, 5999, 0),
        ("evcan-ze1-62kwh-quick-charge.txt", Form.CANDUMP_UNTIMED, 22641, 45),
    ],
)
def test_every_recorded_line_that_is_a_frame_is_read(file, form, frames, not_understood):
    recording = load(CAN / file)
    assert (recording.form, len(recording.frames), recording.not_understood, recording.left_out) == (
        form,
        frames,
        not_understood,
        0,
    )


@given(st.one_of(st.binary(), st.text().map(str.encode)))
def test_no_bytes_raise_anything_but_our_own_errors(content):
    with contextlib.suppress(GatewayError):
        parse(content)


@given(st.sampled_from(list(FORMS.values())), st.integers(0, 120), st.binary(max_size=6))
def test_no_damage_to_a_file_raises_anything_but_our_own_errors(content, at, damage):
    try:
        recording = parse(content + content[:at] + damage + content[at + len(damage) :])
    except GatewayError:
        return
    assert all(len(frame.data) <= 8 and frame.can_id < 0x800 for frame in recording.frames)


MOMENTS = st.integers(0, 2_000_000_000_000_000).map(lambda us: us / 1e6)
NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,14}", fullmatch=True)
WORDS = st.text("abc xyz0:/", max_size=20).map(lambda text: " ".join(text.split()))
FIELDS = st.dictionaries(NAMES, st.one_of(st.none(), st.booleans(), st.integers(-9, 9), WORDS), max_size=3)
EVENTS = st.one_of(
    st.builds(Frame, MOMENTS, NAMES, st.integers(0, 0x7FF), st.binary(max_size=8), st.booleans()),
    st.builds(Datagram, MOMENTS, NAMES, st.just("192.0.2.1:3610"), st.binary(max_size=40), st.booleans()),
    st.builds(Turn, MOMENTS, NAMES, st.booleans(), WORDS),
    st.builds(Wire, MOMENTS, NAMES, WORDS),
    st.builds(Wanted, MOMENTS, NAMES, FIELDS),
    st.builds(Heard, MOMENTS, NAMES, FIELDS),
    st.builds(Said, MOMENTS, NAMES, st.just("EvseSample"), FIELDS),
    st.builds(Fault, MOMENTS, NAMES, NAMES, WORDS, st.booleans()),
    st.builds(Dropped, MOMENTS, st.integers(1, 10**6)),
)
VALUES = st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=125).map(tuple)


def same(event):
    return (
        lines.decode(lines.encode(event))
        if not isinstance(event, Frame)
        else parse(b"# {}\n" + lines.encode(event).encode()).events[0]
    )


@given(EVENTS)
def test_our_own_lines_come_back_as_they_were(event):
    told = same(event)
    assert type(told) is type(event)
    if not isinstance(event, Frame):
        assert told.at_s == pytest.approx(event.at_s, abs=1e-6)
    fields = [name for name in event.__slots__ if name != "at_s"]
    assert [getattr(told, name) for name in fields] == [getattr(event, name) for name in fields]


@given(
    st.sampled_from([1, 2, 3, 4, 5, 15, 16]),
    st.integers(0, 65535),
    VALUES,
    st.sampled_from(["", "silent", "exception 11"]),
)
def test_exchanges_come_back_as_they_were(function, address, values, error):
    kept = () if error and function < 5 else values
    event = Exchange(1.5, "mb0", function, address, len(values), kept, error, 0.004)
    assert lines.decode(lines.encode(event)) == event


@given(
    st.lists(st.builds(Frame, MOMENTS, NAMES, st.integers(0, 0x7FF), st.binary(max_size=8), st.booleans()))
)
def test_another_program_reads_our_frames(frames):
    text = "".join(f"{lines.encode(frame)}\n" for frame in frames)
    read = list(CanutilsLogReader(StringIO(text)))
    assert [(m.channel, m.arbitration_id, bytes(m.data), not m.is_rx) for m in read] == [
        (frame.bus, frame.can_id, frame.data, frame.sent) for frame in frames
    ]
