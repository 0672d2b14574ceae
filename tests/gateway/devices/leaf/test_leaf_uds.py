"""Answers of the control units: the reference samples of reference/can.md 2.2, and what is no answer."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.leaf import uds
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.uds import CLUSTER, LBC, QUERIES, STATE, VCM
from gateway.faults import Malformed, Refused
from tests.gateway.devices.leaf.control_units import large, small


def query(unit, request):
    return next(q for q in QUERIES if q.unit == unit and q.request == bytes.fromhex(request))


def told(unit, request, data):
    asked = query(unit, request)
    return asked.answer(bytes((asked.request[0] + 0x40,)) + asked.request[1:] + data)


@pytest.mark.parametrize(
    ("data", "volts", "aux_v", "insulation", "hx", "soc", "ah"),
    [
        (small(39, 380.92, 13.31, 901, 66.78, 60.15, 50.12), 380.92, 13.31, 901, 66.78, 60.15, 50.12),
        (small(41, 368.13, 12.72, 1000, 79.97, 56.29, 73.38), 368.13, 12.72, 1000, 79.97, 56.29, 73.38),
        (large(371.78, 12.63, 906, 86.20, 93.4407, 162.1998), 371.78, 12.63, 906, 86.20, 93.4407, 162.1998),
    ],
    ids=["24 kWh", "30 kWh", "62 kWh"],
)
def test_group_01_of_every_pack(data, volts, aux_v, insulation, hx, soc, ah):
    values = STATE.answer(b"\x61\x01" + data).values
    assert values == {
        Quantity.LBC_CURRENT_A: -0.5,
        Quantity.LBC_VOLTAGE_V: volts,
        Quantity.AUX_VOLTAGE_V: pytest.approx(aux_v, abs=1e-3),
        Quantity.INSULATION_RAW: insulation,
        Quantity.HX_PCT: pytest.approx(hx, abs=0.01),
        Quantity.LBC_SOC_PCT: soc,
        Quantity.CAPACITY_AH: ah,
    }


def test_the_length_just_after_waking_is_asked_for_again():
    with pytest.raises(Malformed):
        STATE.answer(b"\x61\x01" + bytes(42))


def test_cells_are_believed_all_or_none():
    cells = [3868] * 95 + [3870]
    pack = struct.pack(">HH", sum(cells) // 10, sum(cells) // 10)
    good = told(LBC, "2102", struct.pack(">96H", *cells) + pack)
    assert good.values == {Quantity.CELL_MIN_V: 3.868, Quantity.CELL_MAX_V: 3.870}
    nothing = {Quantity.CELL_MIN_V: None, Quantity.CELL_MAX_V: None}
    one_is_mad = [60_001, *cells[1:]]
    assert told(LBC, "2102", struct.pack(">96H", *one_is_mad) + pack).values == nothing
    assert told(LBC, "2102", struct.pack(">96H", *([3000] * 96)) + pack).values == nothing


def test_temperatures_leave_out_the_sensor_that_is_not_there():
    def sensor(raw, celsius):
        return struct.pack(">Hb", raw, celsius)

    three = sensor(500, 17) + sensor(490, 21) + sensor(0xFFFF, -1) + sensor(495, -1) + b"\x12\0"
    values = told(LBC, "2104", three).values
    assert values == {
        Quantity.COLDEST_C: -1,
        Quantity.WARMEST_C: 21,
        Quantity.AVERAGE_C: pytest.approx(37 / 3),
    }
    assert told(LBC, "2104", (sensor(0xFFFF, -1) * 4).ljust(29, b"\xff")).values == {}


def test_shunts_are_counted():
    assert told(LBC, "2106", b"\x80\x01" + bytes(10) + b"\xff" * 12).values == {Quantity.SHUNTS_ACTIVE: 2}


def test_the_other_items():
    assert told(LBC, "2161", bytes(2) + (9123).to_bytes(2) + bytes(325)).values == {Quantity.SOH_PCT: 91.23}
    assert told(LBC, "2162", b"\x01\x00\x00\x20").values == {
        Quantity.LBC_AC_CHARGES: 256,
        Quantity.LBC_QUICK_CHARGES: 32,
    }
    assert told(LBC, "2184", b"230VH 3NK1000\x00\xff").pack_serial == "230VH3NK1000"
    assert told(VCM, "221203", b"\xff\xff").values == {Quantity.QUICK_CHARGES: None}
    assert told(VCM, "221205", b"\x04\xd2").values == {Quantity.AC_CHARGES: 1234}
    assert told(VCM, "221234", b"\x02").values == {Quantity.PLUG: 2}
    assert told(CLUSTER, "220e01", b"\x00\xfd\x0b").values == {Quantity.ODOMETER_KM: 64_779}


def test_a_refusal_a_request_for_patience_and_another_answer():
    with pytest.raises(Refused, match="battery controller"):
        STATE.answer(b"\x7f\x21\x12")
    assert STATE.answer(b"\x7f\x21\x78") is None
    for other in (b"\x61\x02" + bytes(196), b"\x7f\x22\x12", b"\x61", b""):
        with pytest.raises(Malformed):
            STATE.answer(other)


def test_what_moves_is_forgotten_sooner_than_what_ages():
    answer = STATE.answer(b"\x61\x01" + small(39, 380, 13, 900, 66, 60, 50))
    assert answer.keep_s(Quantity.AUX_VOLTAGE_V) == 90
    assert answer.keep_s(Quantity.CAPACITY_AH) > 86_400
    odometer = query(CLUSTER, "220e01").answer(b"\x62\x0e\x01\x00\xc3\x50")
    assert odometer.keep_s(Quantity.ODOMETER_KM) == 900, "a trip must not find the one before it"


@given(st.sampled_from(QUERIES), st.binary(max_size=400), st.booleans())
def test_any_payload_is_an_answer_or_one_of_two_errors(asked, data, matches):
    payload = (bytes((asked.request[0] + 0x40,)) + asked.request[1:] + data) if matches else data
    try:
        answer = asked.answer(payload)
    except Malformed, Refused:
        return
    for quantity, value in (answer.values if answer else {}).items():
        assert value is None or quantity.low <= value <= quantity.high


def test_only_cars_that_have_an_answer_are_asked():
    cars = {q.request.hex(): {car for car in Car if q.suits(car)} for q in QUERIES if q.unit == CLUSTER}
    assert cars == {"220e01": {Car.ZE1_40, Car.ZE1_62}, "2101": {Car.AZE0}}
    assert not query(LBC, "2161").suits(None)
    assert STATE.suits(None)


def test_nothing_is_ever_written_to_the_car():
    assert {q.request[0] for q in QUERIES} == {0x21, 0x22}
    assert len({(q.unit, q.request) for q in QUERIES}) == len(QUERIES)
    assert {q.unit.request_id for q in QUERIES} <= uds.REQUEST_IDS
