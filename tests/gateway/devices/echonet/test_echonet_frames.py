"""ECHONET Lite frames: what goes in comes out, and no datagram does harm."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.devices.echonet.frames import CONTROLLER, Esv, Frame, Property, asked, decode, property_map
from gateway.devices.echonet.properties import Epc, reading
from gateway.faults import Malformed, Misuse

CHARGER = 0x027E01
PROPERTIES = st.builds(Property, st.integers(0x80, 0xFF), st.binary(max_size=255))
FRAMES = st.builds(
    Frame,
    st.integers(0, 0xFFFF),
    st.integers(0, 0xFFFFFF),
    st.integers(0, 0xFFFFFF),
    st.sampled_from(Esv),
    st.lists(PROPERTIES, min_size=1, max_size=20).map(tuple),
)

# Recorded by a user of another program (echonetlite_homeassistant, discussion 148): a storage battery tells ten properties.
RECORDED = bytes.fromhex(
    "1081 0046 027d02 05ff01 72 0a"
    "800130 a00400002710 a10400002710 a20400000000 a30400000000 d30400000000"
    "a40400000000 e40109 a50400000000 e60104"
)


@given(FRAMES)
def test_a_frame_comes_back_as_it_went(frame):
    assert decode(frame.encode()) == frame


@given(st.binary(max_size=300))
@example(bytes.fromhex("1081000102 7e0105ff017201e4"))
@example(bytes.fromhex("10810001027e0105ff01720a"))
def test_any_datagram_is_a_frame_or_malformed(datagram):
    try:
        frame = decode(datagram)
    except Malformed:
        return
    assert frame.encode() == datagram


@given(FRAMES, st.data())
def test_a_frame_cut_short_is_malformed(frame, data):
    whole = frame.encode()
    with pytest.raises(Malformed):
        decode(whole[: data.draw(st.integers(0, len(whole) - 1))])


def test_a_question_is_the_one_that_every_unit_understands():
    frame = Frame(1, CONTROLLER, CHARGER, Esv.GET, (Property(Epc.CONNECTION),))
    assert frame.encode() == bytes.fromhex("1081 0001 05ff01 027e01 62 01 c700")


def test_a_recorded_answer_reads_as_its_owner_saw_it():
    frame = decode(RECORDED)
    told = {p.epc: p.edt for p in frame.properties}
    assert (frame.tid, frame.esv, frame.source) == (0x46, Esv.GET_RES, 0x027D02)
    assert (told[0xE4], told[0xA0]) == (b"\x09", (10_000).to_bytes(4))


@pytest.mark.peer
def test_a_foreign_codec_reads_ours_and_we_read_its():
    foreign = pytest.importorskip("pychonet.lib.functions", reason="pychonet is not installed")
    question = Frame(7, CONTROLLER, CHARGER, Esv.SET, (Property(Epc.MODE, b"\x43"),))
    seen = foreign.decodeEchonetMsg(question.encode())
    assert (seen["TID"], seen["ESV"], seen["OPC"]) == (7, 0x61, [{"EPC": 0xDA, "PDC": 1, "EDT": b"\x43"}])
    order = {"TID": 7, "DEOJGC": 2, "DEOJCC": 0x7E, "DEOJCI": 1, "ESV": 0x61}
    assert (
        decode(bytes(foreign.buildEchonetMsg(order | {"OPC": [{"EPC": 0xDA, "PDC": 1, "EDT": 0x43}]})))
        == question
    )


@pytest.mark.parametrize("properties", [(), (Property(0x80),) * 256, (Property(0x80, bytes(256)),)])
def test_what_no_frame_can_hold_is_our_mistake(properties):
    with pytest.raises(Misuse):
        Frame(1, CONTROLLER, CHARGER, Esv.GET, properties).encode()


@given(st.frozensets(st.integers(0x80, 0xFF)))
def test_a_property_map_reads_in_both_forms(epcs):
    rows = [sum(1 << n for n in range(8) if 0x80 + 0x10 * n + i in epcs) for i in range(16)]
    bitmap, short = bytes((len(epcs), *rows)), bytes((len(epcs), *sorted(epcs)))
    assert property_map(bitmap if len(epcs) >= 16 else short) == epcs


def test_a_map_of_22_properties_reads_by_rows_and_columns():
    told = bytes.fromhex("16 0b 01 01 09 00 00 01 01 01 03 03 03 03 03 00 03".replace(" ", ""))
    found = property_map(told)
    assert len(found) == 22
    assert {0x80, 0x90, 0xB0, 0x83, 0xB3, 0x8F, 0x9F} <= found


@pytest.mark.parametrize(
    "told", ["", "02 80", "01 7f", "03 80 80 81", "10 80", "16" + "00" * 16, "11" + "01" * 17]
)
def test_a_map_that_contradicts_itself_is_malformed(told):
    with pytest.raises(Malformed):
        property_map(bytes.fromhex(told))


@given(st.dictionaries(st.sampled_from([int(e) for e in Epc]), st.binary(max_size=9)))
def test_any_contents_are_a_reading_or_malformed(contents):
    try:
        look = reading(contents)
    except Malformed:
        return
    assert look.soc_pct is None or 0 <= look.soc_pct <= 100
    assert look.power_w is None or abs(look.power_w) <= 999_999_999


def test_codes_for_no_value_are_no_value_and_charging_is_positive():
    at_least = {0xC7: b"\x43", 0xDA: b"\x42"}
    assert reading(at_least | {0xD3: b"\x7f\xff\xff\xff"}).power_w is None
    assert reading(at_least | {0xD3: b"\x80\x00\x00\x00"}).power_w is None
    assert reading(at_least | {0xD3: (3000).to_bytes(4)}).power_w == 3000
    assert reading(at_least | {0xD3: (-3000).to_bytes(4, signed=True)}).power_w == -3000
    assert reading(at_least | {0xE4: b"\xff"}).soc_pct is None


@given(st.sets(st.integers(0x80, 0xFF), min_size=1))
def test_a_long_question_is_asked_in_short_ones(epcs):
    parts = asked(epcs, 8)
    assert all(len(part) <= 8 for part in parts)
    assert [p.epc for part in parts for p in part] == sorted(epcs)
