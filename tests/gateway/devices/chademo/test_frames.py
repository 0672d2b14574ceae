"""Golden bytes from recorded sessions (reference/can.md 3) and properties of the codec."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.frames import (
    CarDischarge,
    CarExtension,
    CarFault,
    CarFunctions,
    CarLimits,
    CarMaker,
    CarRequest,
    CarSequence,
    CarStatus,
    CarTimes,
    CarVoltage,
    EvseCapability,
    EvseDischarge,
    EvseFunctions,
    EvseSequence,
    EvseState,
    EvseStatus,
    Function,
    decode_car,
)
from gateway.faults import Malformed

CHARGING = EvseStatus.CHARGING | EvseStatus.LOCKED

EVSE_ON_THE_WIRE = [
    (EvseCapability(500, 15, 435), "01 F4 01 0F B3 01 00 00"),
    (EvseCapability(500, 0, 435), "01 F4 01 00 B3 01 00 00"),
    (EvseState(505, 0, EvseStatus.STOP | EvseStatus.LOCKED, 0, True), "02 F9 01 00 01 24 00 00"),
    (EvseState(376.4, 14.2, CHARGING, 60, True), "02 78 01 0E 01 05 FF 3C"),
    (EvseState(376, 9, CHARGING | EvseStatus.STOP, 60, True), "02 78 01 09 01 25 FF 3C"),
    (EvseFunctions(Function.DYNAMIC_CONTROL), "01 00 00 00 00 00 00 00"),
    (EvseDischarge(0, 500, 15, 250), "FF F4 01 F0 00 00 FA 00"),
    (EvseDischarge(12, 500, 15, 250), "F3 F4 01 F0 00 00 FA 00"),
    (EvseSequence(2, 5), "02 05 00 00 00 00 00 00"),
]

CAR_ON_THE_WIRE = [
    (0x100, "06 00 00 00 B3 01 64 00", CarLimits(6, 0, 0, 435, 100)),
    (0x101, "00 FF 3C 00 00 DE 00 00", CarTimes(3600, 0, 22200)),
    (0x101, "00 12 3C 00 00 62 01 00", CarTimes(180, 0, 35400)),
    (
        0x102,
        "02 9A 01 0A 00 C1 49 00",
        CarRequest(2, 410, 10, CarFault(0), CarStatus(0xC1), 0x49),
    ),
    (0x110, "03 00 00 00 00 00 00 00", CarFunctions(Function.DYNAMIC_CONTROL | Function.HIGH_CURRENT)),
    (0x200, "F0 00 00 00 FA 00 43 B2", CarDischarge(15, 250, 0x43, 0xB2)),
    (0x201, "02 00 00 00 00 00 00 00", CarSequence(2, 0, 0)),
    (0x201, "02 2D 00 7B 00 00 00 00", CarSequence(2, 45, 12_300)),
    (0x103, "78 01 00 00 00 00 00 00", CarVoltage(376)),
    (0x202, "01 01 01 00 00 00 00 00", CarExtension(bytes.fromhex("0101010000000000"))),
    (0x700, "01 02 00 00 06 00 00 00", CarMaker(1, bytes.fromhex("02000006000000"))),
]


@pytest.mark.parametrize(("frame", "wire"), EVSE_ON_THE_WIRE)
def test_evse_frames_are_the_recorded_bytes(frame, wire):
    assert frame.encode() == bytes.fromhex(wire)


@pytest.mark.parametrize(("can_id", "wire", "frame"), CAR_ON_THE_WIRE)
def test_vehicle_frames_read_as_their_meaning(can_id, wire, frame):
    assert decode_car(can_id, bytes.fromhex(wire)) == frame


def test_ids_that_no_car_sends_are_passed_over():
    assert decode_car(0x108, bytes(8)) is None
    assert decode_car(0x7BB, b"") is None


@pytest.mark.parametrize("byte", range(256))
def test_no_bit_of_a_status_byte_is_lost(byte):
    request = decode_car(0x102, bytes([2, 0, 0, 0, byte, byte, 0, 0]))
    assert (int(request.faults), int(request.status)) == (byte, byte)
    assert EvseState(0, 0, EvseStatus(byte), 0, True).encode()[5] == byte
    assert int(decode_car(0x110, bytes([byte]) + bytes(7)).functions) == byte


def test_an_old_car_that_ever_said_its_contactor_is_open_is_taken_at_its_word():
    mute, honest = Car(), Car()
    for status in ("01", "00"):
        mute = mute.heard(decode_car(0x102, bytes.fromhex(f"019A010000{status}3200")), 0.0)
    for status in ("08", "01"):
        honest = honest.heard(decode_car(0x102, bytes.fromhex(f"019A010000{status}3200")), 0.0)
    assert not mute.reports_contactor
    assert honest.reports_contactor
    assert honest.contactor_closed


def test_a_makers_frame_that_goes_on_outside_a_session_proves_no_life():
    car = Car().heard(decode_car(0x102, bytes(8)), 10.0).heard(decode_car(0x700, bytes(8)), 12.0)
    assert car.silent(12.0)
    assert not car.heard(decode_car(0x202, bytes(8)), 12.0).silent(12.0)


@given(can_id=st.integers(0, 0x7FF), data=st.binary(max_size=12))
def test_whatever_comes_is_a_frame_or_malformed(can_id, data):
    try:
        frame = decode_car(can_id, data)
    except Malformed:
        assert len(data) != 8
    else:
        assert frame is None or len(data) == 8


def encode_car(frame) -> tuple[int, bytes]:
    """The vehicle half of the codec, written anew from the table."""
    match frame:
        case CarLimits():
            values = (
                frame.min_current_a,
                frame.max_current_a,
                frame.min_voltage_v,
                frame.max_voltage_v,
                frame.soc_reference,
            )
            return 0x100, struct.pack("<BBHHBx", *values)
        case CarTimes():
            capacity = frame.capacity_wh // 100
            return 0x101, struct.pack("<xBBBxHx", 0xFF, frame.max_time_s // 60, frame.estimated_min, capacity)
        case CarRequest():
            values = (
                frame.protocol,
                frame.target_voltage_v,
                frame.current_a,
                frame.faults,
                frame.status,
                frame.soc_raw,
            )
            return 0x102, struct.pack("<BHBBBBx", *values)
        case CarDischarge():
            values = (
                255 - frame.max_current_a,
                frame.min_voltage_v,
                frame.min_level_raw,
                frame.max_level_raw,
            )
            return 0x200, struct.pack("<BxxxHBB", *values)
    raise AssertionError(frame)


byte = st.integers(0, 255)
word = st.integers(0, 0xFFFF)


@given(
    st.one_of(
        st.builds(CarLimits, byte, byte, word, word, byte),
        st.builds(CarTimes, byte.map(lambda m: 60 * m), byte, word.map(lambda c: 100 * c)),
        st.builds(CarRequest, byte, word, byte, byte.map(CarFault), byte.map(CarStatus), byte),
        st.builds(CarDischarge, byte, word, byte, byte),
    )
)
def test_vehicle_frames_survive_the_wire(frame):
    assert decode_car(*encode_car(frame)) == frame


@given(
    volts=st.floats(-1e6, 1e6),
    amperes=st.floats(-1e6, 1e6),
    minutes=st.integers(-10, 100_000),
    status=st.integers(0, 63).map(EvseStatus),
)
def test_any_measurement_fits_into_eight_bytes(volts, amperes, minutes, status):
    frames = (
        EvseCapability(volts, amperes, volts),
        EvseState(volts, amperes, status, minutes, True),
        EvseDischarge(amperes, volts, amperes, volts),
        EvseSequence(2, minutes),
    )
    assert all(len(frame.encode()) == 8 for frame in frames)


def car_of(*wires: tuple[int, str]) -> Car:
    car = Car()
    for can_id, wire in wires:
        frame = decode_car(can_id, bytes.fromhex(wire))
        car = car if frame is None else car.heard(frame, 0.0)
    return car


LEVELS = [
    ("24 kWh", "000000 00B301 6400", "0000000000DE0000", "FF000000FA0043B2", None, 30, 80),
    ("30 kWh", "000000 00B301 6400", "0000000000B20000", "FF000000FA00358E", None, 30, 80),
    (
        "ZE1 with percent",
        "06000000B3016400",
        "0000000000620100",
        "FF000000FA000A64",
        "0200000000000000",
        10,
        100,
    ),
    ("ZE1 with 255", "06000000B301FF00", "0000000000620100", "FF000000FA001AFF", "0200000000000000", 10, 100),
]


@pytest.mark.parametrize(("car", "limits", "times", "discharge", "sequence", "low", "high"), LEVELS)
def test_discharge_levels_of_known_cars(car, limits, times, discharge, sequence, low, high):
    wires = [(0x100, limits), (0x101, times), (0x200, discharge)] + ([(0x201, sequence)] if sequence else [])
    known = car_of(*wires)
    assert known.min_discharge_soc_pct == pytest.approx(low, abs=0.5)
    assert known.max_charge_soc_pct == pytest.approx(high, abs=0.5)


def test_levels_and_soc_are_unknown_before_the_car_has_made_up_its_mind():
    car = car_of((0x100, "00000000B301F000"), (0x102, "029A010000C80300"), (0x200, "FF000000FA00FFFF"))
    assert car.soc_pct is None
    assert car.min_discharge_soc_pct is None
    assert car.max_discharge_current_a == 0
