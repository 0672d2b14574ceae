"""Frames of the Leaf: integrity, tables, and what is never believed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.leaf.frames import CAR_CAN, EV_CAN
from gateway.devices.leaf.integrity import Integrity, crc8, intact, nibble_sum
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.traffic import Traffic
from tests.gateway.devices.leaf.talker import sealed

LAYOUTS = [*EV_CAN.values(), *CAR_CAN.values()]
CHECKED = [layout for layout in EV_CAN.values() if layout.integrity is not Integrity.NONE]
CARS = [*Car, None]


def values(can_id, data, car=Car.ZE1_62, layouts=EV_CAN):
    return dict(layouts[can_id].values(bytes.fromhex(data), car))


def test_the_check_value():
    assert crc8(bytes.fromhex("EE C0 C3 EA 00 F7 61")) == 0x9B


@pytest.mark.parametrize(
    "frame", ["1F2 1064008000 1E038F", "390 0400000000803C07", "393 0010000020000002", "380 0204102100000000"]
)
def test_the_nibble_sum_takes_in_the_id(frame):
    can_id, _, digits = frame.partition(" ")
    data = bytes.fromhex(digits)
    right = nibble_sum(int(can_id, 16), data)
    assert intact(Integrity.NIBBLES, int(can_id, 16), data[:-1] + bytes((data[-1] & 0xF0 | right,)))
    assert frame.startswith("380") or right == data[-1] & 0xF


@pytest.mark.parametrize("layout", CHECKED, ids=lambda layout: f"{layout.can_id:03X}")
@given(data=st.data())
def test_any_one_flipped_bit_is_noticed(layout, data):
    raw = data.draw(st.binary(min_size=layout.length, max_size=layout.length))
    bit = data.draw(st.integers(0, 8 * layout.length - 1))
    frame = sealed(layout, raw)
    assert intact(layout.integrity, layout.can_id, frame)
    flipped = (int.from_bytes(frame) ^ 1 << bit).to_bytes(layout.length)
    assert not intact(layout.integrity, layout.can_id, flipped)


@given(st.sampled_from(LAYOUTS), st.binary(min_size=8, max_size=8), st.sampled_from(CARS))
def test_every_value_is_possible_or_none(layout, data, car):
    for quantity, value in layout.values(data[: max(layout.length, 1)].ljust(layout.length, b"\0"), car):
        assert value is None or quantity.low <= value <= quantity.high


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: f"{layout.can_id:03X}")
def test_no_signal_reaches_beyond_its_frame(layout):
    fields = [signal.bits for signal in layout.signals]
    fields += [signal.case.bits for signal in layout.signals if signal.case]
    fields += [bits for bits in (layout.counter, layout.selector) if bits]
    for bits in fields:
        assert 8 * bits.byte + 7 - bits.bit + bits.width <= 8 * layout.length


@given(
    st.booleans(),
    st.lists(
        st.tuples(
            st.one_of(st.sampled_from([layout.can_id for layout in LAYOUTS]), st.integers(0, 0x7FF)),
            st.binary(max_size=8),
            st.floats(0, 2),
            st.booleans(),
        ),
        max_size=60,
    ),
)
def test_whatever_is_heard_never_raises_and_every_value_stays_possible(on_ev_can, frames):
    layouts = EV_CAN if on_ev_can else CAR_CAN
    traffic, now = Traffic(layouts, recognises=on_ev_can), 0.0
    for can_id, data, pause, seal in frames:
        now += pause
        layout = layouts.get(can_id)
        traffic.heard(can_id, sealed(layout, data) if seal and layout and data else data, now)
    for quantity, value in traffic.values(now).items():
        assert quantity.low <= value <= quantity.high
    traffic.sample(now)


def test_current_into_the_pack_is_positive():
    assert values(0x1DB, "0880BC00 00000000")[Quantity.PACK_CURRENT_A] == 34.0
    assert values(0x1DB, "FFE0B76A 00FFF025")[Quantity.PACK_CURRENT_A] == -0.5


@pytest.mark.parametrize(
    ("can_id", "data", "missing"),
    [
        (0x1DB, "7FE0FFC07F7FF000", {Quantity.PACK_CURRENT_A, Quantity.PACK_VOLTAGE_V, Quantity.PACK_CURRENT_COPY_A}),
        (0x1DC, "FFFFFFFFFFFFFF00", {Quantity.DISCHARGE_LIMIT_W, Quantity.REGEN_LIMIT_W, Quantity.CHARGER_LIMIT_W}),
        (0x1ED, "FFE000", {Quantity.CHARGER_LIMIT_WIDE_W}),
        (0x55B, "FFC00000FFC00000", {Quantity.LBC_SOC_PCT, Quantity.INSULATION_MV}),
        (0x5BC, "FFC00000000FFFFF", {Quantity.GIDS, Quantity.SOH_PCT}),
        (0x59E, "00003FFFFF0000FF", {Quantity.CAPACITY_WH, Quantity.REMAINING_WH, Quantity.DASH_SOC_PCT}),
        (0x54C, "FFFF000000F8FF00", {Quantity.OUTSIDE_C}),
        (0x5B9, "07FF07FF2F", {Quantity.MINUTES_TO_FULL}),
    ],
)  # fmt: skip
def test_what_a_controller_has_not_made_up_its_mind_about_is_none(can_id, data, missing):
    told = values(can_id, data)
    assert {quantity for quantity in missing if told[quantity] is not None} == set()
    if can_id == 0x1DC:
        assert Quantity.CHARGE_STATUS not in told


def test_the_dash_value_is_where_each_generation_has_it():
    pack, energy = "0000BC2A35000000", "0000248C38000084"
    told = {
        car: values(0x1DB, pack, car).get(
            Quantity.DASH_SOC_PCT, values(0x59E, energy, car).get(Quantity.DASH_SOC_PCT)
        )
        for car in Car
    }
    assert told == {Car.ZE0: None, Car.AZE0: 53, Car.ZE1_40: 66, Car.ZE1_62: 66}


def test_energy_that_has_saturated_is_no_energy():
    half = "0000248C38000084"
    assert values(0x59E, half)[Quantity.REMAINING_WH] == 39_100
    saturated = bytes.fromhex(half)[:3] + bytes((0x80 | 500 >> 5, (500 & 31) << 3, 0, 0, 0))
    assert values(0x59E, saturated.hex())[Quantity.REMAINING_WH] is None
    assert values(0x59E, saturated.hex(), Car.AZE0)[Quantity.REMAINING_WH] == 50_000


def test_maximum_and_remaining_energy_are_told_apart_but_on_the_oldest_car():
    assert values(0x5BC, "7D00F064BD10BFFF", Car.AZE0).get(Quantity.GIDS) is None
    assert values(0x5BC, "7D00F064BD10BFFF", Car.AZE0)[Quantity.FULL_GIDS] == 500
    assert values(0x5BC, "7D00F064BD10BFFF", Car.ZE0)[Quantity.GIDS] == 500


def test_an_unknown_car_tells_only_what_all_cars_agree_on():
    told = values(0x5BC, "7D00F064BD10BFFF", None)
    assert told == {Quantity.SOH_PCT: 94, Quantity.POWER_LIMIT_REASON: 0}
