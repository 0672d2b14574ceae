"""Recordings stay small, each file can be read alone, and the car's serial numbers are not in it."""

from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.recording import lines
from gateway.devices.recording.blanking import Blanker
from gateway.devices.recording.events import Exchange, Heard, Said, Wire
from gateway.devices.recording.loaders import load, parse
from gateway.devices.recording.rotation import SMALLEST_BYTES, RotatingFiles
from gateway.faults import Unreachable
from gateway.model import DeviceInfo, DeviceKind

HEADER = '# {"gateway": "0.1.0", "devices": {}}'
KNOWN = (
    "10.000000 mb0 is 127.0.0.1:502 unit 1",
    '10.000000 garage says DeviceInfo {"maker":"Nissan Energy"}',
    '10.000000 garage hears {"aux_voltage_v":12.4}',
    "10.000000 mb0 read 4 20 2 = 1 2 (0.5 ms)",
    "10.100000 mb0 read 4 20 2 = 1 3 (0.5 ms)",
    "10.200000 mb0 write 16 0 = 2 4100 150 (0.5 ms)",
    "10.300000 mb0 read 4 90 2 ! exception 2 (0.5 ms)",
)


def test_files_rotate_and_the_oldest_go(tmp_path):
    files = RotatingFiles(tmp_path, 8 * SMALLEST_BYTES)
    files.write(HEADER)
    for n in range(60_000):
        files.write(f"({n / 100:.6f}) can0 102#029A010000C93E00 R")
    files.close()
    kept = sorted(tmp_path.iterdir())
    assert kept == sorted(files.paths)
    assert len(kept) == 8
    assert sum(path.stat().st_size for path in kept) <= 9 * SMALLEST_BYTES
    assert load(kept[-1]).events[-1].data == bytes.fromhex("029A010000C93E00")
    assert not kept[0].name.endswith("-001.log")


def test_each_file_begins_with_what_a_reader_has_to_know(tmp_path):
    files = RotatingFiles(tmp_path, 0)
    files.write(HEADER)
    for line in KNOWN:
        files.write(line)
    n = 0
    while len(files.paths) < 2:
        files.write(f"({20 + n / 100:.6f}) can0 102#00 R")
        n += 1
    files.close()
    second = load(files.paths[1])
    assert second.header["gateway"] == "0.1.0"
    assert isinstance(second.events[0], Wire)
    assert isinstance(second.events[1], Said)
    assert isinstance(second.events[2], Heard)
    assert [e.values for e in second.events if isinstance(e, Exchange)] == [(1, 3), (2, 4100, 150)]
    assert max(event.at_s for event in second.events) < 0.1


def test_another_run_of_the_gateway_begins_another_file(tmp_path):
    files = RotatingFiles(tmp_path, 1 << 20)
    for _ in range(2):
        files.write(HEADER)
        files.write(KNOWN[0])
    files.close()
    assert len(files.paths) == 2


def test_a_recording_is_for_its_owner_alone_and_overwrites_nothing(tmp_path):
    files = RotatingFiles(tmp_path, 1 << 20)
    files.write(KNOWN[0])
    files.close()
    (path,) = files.paths
    assert path.stat().st_mode & 0o777 == 0o600
    again = RotatingFiles(tmp_path, 1 << 20)
    again._stem = files._stem
    with pytest.raises(Unreachable, match="exists"):
        again.write(KNOWN[0])


def test_a_disk_that_is_full_at_the_very_end_is_told(tmp_path):
    files = RotatingFiles(tmp_path, 1 << 20)
    files.write(KNOWN[0])
    files.close()
    full = Path("/dev/full")
    files._file = full.open("w", encoding="utf-8")
    files.write(KNOWN[0])
    with pytest.raises(Unreachable, match="No space"):
        files.close()
    files.close()


def blanked(*frames, can_id="7BB"):
    blanker = Blanker()
    return [blanker.line(f"(1.000000) can1 {can_id}#{frame} R").split("#")[1].split()[0] for frame in frames]


def test_the_packs_serial_number_is_blanked_over_all_its_frames():
    assert blanked("1012618432303133", "2130313233343536", "2237383930313200", "0621010203040506") == [
        "1012618458585858", "2158585858585858", "2258585858585858", "0621010203040506",
    ]  # fmt: skip


def test_the_vin_is_blanked_in_both_its_forms():
    assert blanked("1013618153314E41", "215A453150413132", can_id="79A")[0] == "1013618158585858"
    assert blanked("1014 62F19053314E".replace(" ", ""), can_id="79A") == ["101462F190585858"]


def test_the_vin_of_a_tester_that_speaks_obd_is_blanked_too():
    assert blanked("1014490201534A4E", "214641413132", can_id="7E8") == ["1014490258585858", "215858585858"]


def test_what_follows_an_unknown_beginning_counts_as_secret():
    assert blanked("2133313233343536", "035A01020304") == ["2158585858585858", "035A01020304"]
    blanker = Blanker()
    blanker.line("(1.0) can1 7BB#1035610100000102 R")
    blanker.line("2.0 - dropped 7")
    assert blanker.line("(3.000000) can1 7BB#2133313233343536 R").endswith("#2158585858585858 R")


def test_every_other_answer_stays_as_it_is():
    measured = ("1035610100000102", "2103040506070809", "2203040506070809")
    assert blanked(*measured) == list(measured)
    assert blanked("1012618432303133", "1035610100000102", "2103040506070809")[1:] == list(measured[:2])
    assert Blanker().line("(1.0) can1 1DB#1012618432303133 R").endswith("1012618432303133 R")


def test_a_sample_with_a_serial_number_is_blanked_too():
    line = '1.000000 leaf says EvSample {"awake":true,"pack_serial":"230EA1234","soh_pct":91.0}'
    assert Blanker().line(line).endswith('{"awake":true,"pack_serial":"","soh_pct":91.0}')


def test_an_identity_with_the_packs_serial_number_is_blanked_too():
    info = DeviceInfo(
        "leaf", DeviceKind.VEHICLE, "Leaf", "vehicle.leaf", serial='230"EA1234', version="295B0"
    )
    line = Blanker().line(lines.encode(Said(1.0, "leaf", "DeviceInfo", asdict(info))))
    assert "EA1234" not in line
    assert parse(line.encode()).events[0].sample["version"] == "295B0"


@given(st.lists(st.tuples(st.sampled_from(["7BB", "79A", "102"]), st.binary(max_size=8)), max_size=12))
def test_blanking_never_fails_and_keeps_lengths(frames):
    blanker = Blanker()
    for can_id, data in frames:
        line = f"(1.000000) can0 {can_id}#{data.hex().upper()} R"
        assert len(blanker.line(line)) == len(line)
