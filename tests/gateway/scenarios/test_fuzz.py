"""A short run of the fuzzer over every parser; `scripts/bench fuzz` goes on for as long as one likes."""

import pytest

from gateway.devices.chademo.moment import Moment
from gateway.devices.recording import lines
from tests.bench.fuzz.can_targets import chademo_seeds, record
from tests.bench.fuzz.checksums import crc, sound
from tests.bench.fuzz.engine import Breach, fuzz
from tests.bench.fuzz.run import TARGETS, WHAT, line, page

SEED = 1


@pytest.mark.parametrize("name", TARGETS)
def test_no_broken_input_gets_past_a_parser(name):
    result = fuzz(TARGETS[name], SEED, seconds=5.0, most_inputs=30)
    assert result.inputs >= 1
    assert not result.findings, line(result)


def test_a_parser_that_skips_its_checksum_is_found_out(monkeypatch):
    monkeypatch.setattr("gateway.devices.leaf.traffic.intact", lambda *_: True)
    with pytest.raises(Breach, match="check does not hold"):
        TARGETS["leaf"].begin()(record(0x1DB, bytes.fromhex("EEC0C3EA00F7619A")))


def test_a_charger_that_gives_more_than_the_car_asks_for_is_found_out(monkeypatch):
    monkeypatch.setattr(Moment, "charge_limit_a", 15.0)
    asks_30_a, asks_4_a = (bytes((2, 0x9A, 1, amps, 0, 0x81, 60, 0)) for amps in (30, 4))
    session = chademo_seeds()[0].replace(asks_30_a, asks_4_a)
    with pytest.raises(Breach, match="the car asks 4 A"):
        TARGETS["chademo"].begin()(session + b"odd")


def test_a_long_row_of_digits_in_a_recording_is_refused_at_once():
    digits = "9" * 60
    assert lines.decode(f"1764039600.126000 mb0 write 16 0 = 2 {digits} 150 ! exception 2 (3.1 ms)") is None


def test_every_parser_is_described_and_the_page_can_be_written():
    assert WHAT.keys() == TARGETS.keys()
    result = fuzz(TARGETS["slcan"], SEED, seconds=5.0, most_inputs=5)
    assert "| `slcan` |" in page([result], "scripts/bench fuzz", SEED)


def test_the_second_checksum_knows_the_reference_values():
    assert crc(bytes.fromhex("EEC0C3EA00F761")) == 0x9B
    assert sound(0x1DB, bytes.fromhex("EEC0C3EA00F7619B")) is True
    assert sound(0x1DB, bytes.fromhex("EEC0C3EA00F7619A")) is False
    assert sound(0x5BC, bytes(8)) is None
