"""The frames of EV-CAN and CAR-CAN as tables (reference/can.md 1.2-1.9). Big-endian, but for the copied DC session. Pure."""

from gateway.devices.leaf.integrity import Integrity
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.signals import ALL, Bits, Case, Layout, Signal

Q = Quantity

ZE0, AZE0 = frozenset({Car.ZE0}), frozenset({Car.AZE0})
ZE1, ZE1_62 = frozenset({Car.ZE1_40, Car.ZE1_62}), frozenset({Car.ZE1_62})
OLD, NEW = ZE0 | AZE0, AZE0 | ZE1

FAST_S, TENTH_S, SLOW_S, ROUND_S = 0.5, 1.0, 3.0, 5.0
"""How old a value may be: of 10 to 40 ms frames, of 100 ms frames, of 500 ms frames, of those that take turns."""

COUNTER_B6 = Bits(6, 1, 2)
COUNTER_B7 = Bits(7, 5, 2)


def _no(*raw: int) -> frozenset[int]:
    return frozenset(raw)


def _is(bits: Bits, *values: int) -> Case:
    return Case(bits, frozenset(values))


def _bit(what: Q, byte: int, bit: int, cars: frozenset[Car] = ALL) -> Signal:
    return Signal(what, Bits(byte, bit, 1), cars=cars)


PACK = (
    Layout(
        0x1DB, 8, integrity=Integrity.CRC8, counter=COUNTER_B6, max_age_s=FAST_S, signals=(
            Signal(Q.PACK_CURRENT_A, Bits(0, 7, 11), 0.5, signed=True, invalid=_no(0x3FF)),
            Signal(Q.RELAY_CUT_REQUEST, Bits(1, 4, 2)),
            Signal(Q.LBC_STATUS, Bits(1, 2, 3)),
            Signal(Q.PACK_VOLTAGE_V, Bits(2, 7, 10), 0.5, invalid=_no(0x3FF)),
            _bit(Q.RELAY_PERMITTED, 3, 5),
            _bit(Q.FULLY_CHARGED, 3, 4),
            _bit(Q.INTERLOCK_CLOSED, 3, 3),
            Signal(Q.DISCHARGE_STATUS, Bits(3, 2, 2)),
            Signal(Q.DASH_SOC_PCT, Bits(4, 6, 7), invalid=_no(0x7F), cars=AZE0),
            Signal(Q.PACK_CURRENT_COPY_A, Bits(5, 7, 12), 0.5, signed=True, invalid=_no(0x7FF), cars=ZE1_62),
        ),
    ),
    Layout(
        0x1DC, 8, integrity=Integrity.CRC8, counter=COUNTER_B6, max_age_s=FAST_S, signals=(
            Signal(Q.DISCHARGE_LIMIT_W, Bits(0, 7, 10), 250, invalid=_no(0x3FF)),
            Signal(Q.REGEN_LIMIT_W, Bits(1, 5, 10), 250, invalid=_no(0x3FF)),
            Signal(Q.CHARGER_LIMIT_W, Bits(2, 3, 10), 100, -10_000, invalid=_no(0x3FF)),
            Signal(Q.CHARGE_STATUS, Bits(3, 1, 2), case=Case(Bits(0, 7, 10), _no(0x3FF), other=True)),
            Signal(Q.CHARGER_RAMP, Bits(4, 7, 3), case=Case(Bits(0, 7, 10), _no(0x3FF), other=True)),
        ),
    ),
    Layout(
        0x1ED, 3, integrity=Integrity.CRC8, counter=Bits(1, 1, 2), max_age_s=FAST_S, cars=ZE1_62, signals=(
            Signal(Q.CHARGER_LIMIT_WIDE_W, Bits(0, 7, 11), 100, -10_000, invalid=_no(0x7FF), cars=ZE1_62),
        ),
    ),
    Layout(
        0x55B, 8, integrity=Integrity.CRC8, counter=COUNTER_B6, max_age_s=TENTH_S, signals=(
            Signal(Q.LBC_SOC_PCT, Bits(0, 7, 10), 0.1, invalid=_no(0x3FF)),
            Signal(Q.VCM_ANSWER, Bits(2, 7, 8)),
            Signal(Q.INSULATION_MV, Bits(4, 7, 10), 5000 / 1024, invalid=_no(0x3FF)),
            _bit(Q.INSULATION_FAULT, 5, 0),
            Signal(Q.LBC_SLEEP, Bits(6, 5, 2)),
            _bit(Q.BATTERY_EMPTY, 6, 7),
        ),
    ),
)  # fmt: skip

IS_FULL = Bits(5, 4, 1)
BARS_ARE = Bits(4, 0, 1)
TIME_KIND = Bits(5, 1, 5)


def _minutes(what: Q, kind: int, cars: frozenset[Car]) -> Signal:
    return Signal(what, Bits(6, 4, 13), invalid=_no(0x1FFF), cars=cars, case=_is(TIME_KIND, kind))


ENERGY = Layout(
    0x5BC, 8, selector=Bits(5, 4, 8), max_age_s=SLOW_S, signals=(
        Signal(Q.GIDS, Bits(0, 7, 10), invalid=_no(0x3FF), cars=ZE0),
        Signal(Q.GIDS, Bits(0, 7, 10), invalid=_no(0x3FF), cars=NEW, case=_is(IS_FULL, 0)),
        Signal(Q.FULL_GIDS, Bits(0, 7, 10), invalid=_no(0x3FF), cars=NEW, case=_is(IS_FULL, 1)),
        Signal(Q.NOMINAL_CAPACITY_WH, Bits(1, 5, 10), 80, 250 * 80, invalid=_no(0x3FF), cars=ZE0),
        Signal(Q.CHARGE_BARS, Bits(2, 3, 4), cars=ZE0, case=_is(BARS_ARE, 0)),
        Signal(Q.CAPACITY_BARS, Bits(2, 3, 4), cars=ZE0, case=_is(BARS_ARE, 1)),
        Signal(Q.CHARGE_BARS, Bits(2, 7, 4), cars=NEW, case=_is(BARS_ARE, 0)),
        Signal(Q.CAPACITY_BARS, Bits(2, 7, 4), cars=NEW, case=_is(BARS_ARE, 1)),
        Signal(Q.AVERAGE_C, Bits(3, 7, 8), 1, -40, invalid=_no(0xFF), cars=ZE0),
        Signal(Q.TEMPERATURE_GAUGE_PCT, Bits(3, 7, 8), 0.4167, invalid=_no(0xFF), cars=NEW),
        Signal(Q.SOH_PCT, Bits(4, 7, 7), invalid=_no(0)),
        Signal(Q.POWER_LIMIT_REASON, Bits(5, 7, 3)),
        _bit(Q.BALANCED, 5, 2, ZE0),
        _minutes(Q.QUICK_CHARGE_MIN, 0, OLD),
        _minutes(Q.FULL_3KW_MIN, 9, ZE0),
        _minutes(Q.FULL_100V_MIN, 17, ZE0),
        _minutes(Q.FULL_6KW_MIN, 5, AZE0),
        _minutes(Q.FULL_3KW_MIN, 8, AZE0),
        _minutes(Q.FULL_100V_MIN, 11, AZE0),
        _minutes(Q.QUICK_CHARGE_MIN, 4, ZE1_62),
        _minutes(Q.FULL_6KW_MIN, 8, ZE1_62),
        _minutes(Q.FULL_3KW_MIN, 12, ZE1_62),
        _minutes(Q.FULL_100V_MIN, 16, ZE1_62),
    ),
)  # fmt: skip

CAPACITY = Layout(
    0x59E, 8, max_age_s=SLOW_S, cars=NEW, signals=(
        Signal(Q.CAPACITY_WH, Bits(2, 4, 9), 100, invalid=_no(0x1FF), cars=NEW - ZE1_62),
        Signal(Q.CAPACITY_WH, Bits(2, 5, 10), 100, invalid=_no(0x3FF), cars=ZE1_62),
        Signal(Q.REMAINING_WH, Bits(3, 3, 9), 100, invalid=_no(0x1FF), cars=NEW - ZE1_62),
        # On the 62 kWh pack it stops at 50.0 kWh.
        Signal(Q.REMAINING_WH, Bits(3, 3, 9), 100, invalid=frozenset(range(500, 512)), cars=ZE1_62),
        Signal(Q.DASH_SOC_PCT, Bits(7, 7, 8), 0.5, cars=ZE1),
    ),
)  # fmt: skip

WHICH_TEMPERATURE = Bits(0, 7, 2)
TEMPERATURES = Layout(
    0x5C0, 8, selector=WHICH_TEMPERATURE, max_age_s=ROUND_S, cars=OLD, signals=(
        Signal(Q.WARMEST_C, Bits(2, 7, 8), 0.5, -40, cars=OLD, case=_is(WHICH_TEMPERATURE, 1)),
        Signal(Q.AVERAGE_C, Bits(2, 7, 8), 0.5, -40, cars=AZE0, case=_is(WHICH_TEMPERATURE, 2)),
        Signal(Q.COLDEST_C, Bits(2, 7, 8), 0.5, -40, cars=OLD, case=_is(WHICH_TEMPERATURE, 3)),
        Signal(Q.AT_WAKE_C, Bits(1, 7, 8), 0.5, -40, cars=OLD, case=_is(WHICH_TEMPERATURE, 2)),
        _bit(Q.HEATER_FITTED, 4, 0, OLD),
        _bit(Q.HEATER_START, 0, 5, OLD),
        _bit(Q.HEATER_STOP, 0, 4, OLD),
        Signal(Q.LBC_TROUBLE, Bits(7, 7, 8), cars=OLD),
    ),
)  # fmt: skip

# The e-NV200's range takes turns as its GIDs do: 565 and 1090 beside 255 and 500 GIDs.
WHICH_RANGE = Bits(0, 4, 2)
RANGE = Layout(
    0x5A9, 7, selector=WHICH_RANGE, max_age_s=SLOW_S, cars=OLD, signals=(
        Signal(Q.RANGE_KM, Bits(1, 7, 12), 0.2, invalid=_no(0xFFF), cars=ZE0),
        Signal(Q.RANGE_KM, Bits(1, 7, 12), 0.2, invalid=_no(0xFFF), cars=AZE0, case=Case(WHICH_RANGE, _no(2), other=True)),
        Signal(Q.FULL_RANGE_KM, Bits(1, 7, 12), 0.2, invalid=_no(0xFFF), cars=AZE0, case=_is(WHICH_RANGE, 2)),
    ),
)  # fmt: skip

CHARGERS = (
    Layout(
        0x1F2, 8, integrity=Integrity.NIBBLES, counter=COUNTER_B6, max_age_s=FAST_S, signals=(
            Signal(Q.CHARGEABLE_W, Bits(0, 1, 10), 100, -10_000),
            _bit(Q.TARGET_80_PCT, 0, 7),
            _bit(Q.V2H_CONNECTOR, 2, 1),
            _bit(Q.KEEP_SOC, 2, 4),
            Signal(Q.LBC_REQUEST, Bits(2, 6, 2)),
        ),
    ),
    Layout(
        0x390, 8, integrity=Integrity.NIBBLES, counter=COUNTER_B7, max_age_s=TENTH_S, cars=NEW, signals=(
            Signal(Q.OBC_MODE, Bits(0, 7, 4), cars=NEW),
            Signal(Q.OBC_POWER_W, Bits(0, 0, 9), 100, cars=NEW),
            Signal(Q.OBC_POWER_MAX_W, Bits(5, 0, 9), 100, cars=NEW),
            Signal(Q.AC_LINE, Bits(3, 4, 2), cars=NEW),
            _bit(Q.QUICK_RELAY, 4, 6, NEW),
            Signal(Q.OBC_STATE, Bits(5, 6, 6), cars=NEW),
        ),
    ),
    Layout(0x393, 8, integrity=Integrity.NIBBLES, counter=COUNTER_B7, max_age_s=TENTH_S, cars=NEW),
    Layout(
        0x380, 8, integrity=Integrity.NIBBLES, counter=COUNTER_B7, max_age_s=TENTH_S, cars=ZE0, signals=(
            Signal(Q.OBC_POWER_ZE0_W, Bits(2, 0, 9), 100, cars=ZE0),
            _bit(Q.QUICK_RELAY, 4, 5, ZE0),
            _bit(Q.AC_RELAY, 4, 6, ZE0),
            Signal(Q.AC_VOLTAGE_V, Bits(5, 2, 9), 0.5, 70, invalid=_no(0), cars=ZE0),
        ),
    ),
    Layout(
        0x5BF, 8, integrity=Integrity.NIBBLES, counter=COUNTER_B7, max_age_s=TENTH_S, cars=ZE0, signals=(
            Signal(Q.PILOT_LIMIT_A, Bits(2, 7, 8), 0.5, cars=ZE0),
            Signal(Q.QUICK_VOLTAGE_V, Bits(3, 7, 8), 1, 257, invalid=_no(0), cars=ZE0),
            Signal(Q.OBC_STATE_ZE0, Bits(4, 7, 8), cars=ZE0),
        ),
    ),
)  # fmt: skip

VEHICLE = (
    Layout(
        0x50B, 4, max_age_s=TENTH_S, signals=(
            Signal(Q.WAKE_COMMAND, Bits(3, 7, 2)),
            Signal(Q.READY_STATE, Bits(2, 1, 2)),
            _bit(Q.DIAGNOSIS_ENABLED, 2, 2),
        ),
    ),
    Layout(
        0x50C, 6, integrity=Integrity.CRC8, counter=Bits(3, 1, 2), max_age_s=TENTH_S,
        signals=(Signal(Q.VCM_QUESTION, Bits(4, 7, 8)),),
    ),
    Layout(
        0x1D4, 8, integrity=Integrity.CRC8, counter=Bits(4, 7, 2), max_age_s=FAST_S, signals=(
            _bit(Q.HV_SUPPLIED, 4, 2),
            _bit(Q.MAIN_RELAY, 5, 6),
            Signal(Q.CHARGE_COMMAND, Bits(6, 7, 8)),
        ),
    ),
    Layout(0x1DA, 8, integrity=Integrity.CRC8, counter=COUNTER_B6, max_age_s=FAST_S),
    Layout(
        0x11A, 8, integrity=Integrity.CRC8, counter=COUNTER_B6, max_age_s=FAST_S, signals=(
            Signal(Q.GEAR, Bits(0, 7, 4)),
            Signal(Q.POWER_STATE, Bits(1, 7, 2)),
        ),
    ),
    Layout(
        0x284, 8, counter=COUNTER_B6, max_age_s=FAST_S,
        signals=(Signal(Q.SPEED_KMH, Bits(4, 7, 16), 0.01, invalid=_no(0xFFFF)),),
    ),
    Layout(
        0x5B9, 2, max_age_s=SLOW_S, signals=(
            Signal(Q.FUEL_BARS, Bits(0, 7, 5), case=Case(Bits(0, 7, 13), _no(0x07FF), other=True)),
            Signal(Q.MINUTES_TO_FULL, Bits(0, 2, 11), invalid=_no(0x7FF)),
        ),
    ),
    Layout(
        0x54C, 7, max_age_s=TENTH_S, signals=(Signal(Q.OUTSIDE_C, Bits(6, 7, 8), 0.5, -40, invalid=_no(0xFF)),)
    ),
    *(Layout(can_id, n, integrity=Integrity.CRC8, cars=ZE1) for can_id, n in ((0x108, 3), (0x120, 4), (0x1CB, 7))),
)  # fmt: skip

ODOMETER = (
    Layout(
        0x5C5, 4, max_age_s=TENTH_S, signals=(Signal(Q.ODOMETER_RAW, Bits(1, 7, 24), invalid=_no(0xFFFFFF)),)
    ),
    Layout(0x355, 7, max_age_s=FAST_S, signals=(Signal(Q.ODOMETER_UNIT, Bits(6, 7, 8)),)),
)


def _copied(can_id: int, *signals: Signal, length: int = 8) -> Layout:
    return Layout(can_id, length, signals, max_age_s=TENTH_S, cars=ZE1)


def _u8(what: Q, byte: int, scale: float = 1, offset: float = 0) -> Signal:
    return Signal(what, Bits(byte, 7, 8), scale, offset, cars=ZE1)


def _u16(what: Q, byte: int, scale: float = 1) -> Signal:
    return Signal(what, Bits(byte, 7, 16, little=True), scale, cars=ZE1)


DC_SESSION = (
    _copied(0x3B9, _u16(Q.DC_MAX_VOLTAGE_V, 4), _u8(Q.DC_SOC_REFERENCE, 6)),
    _copied(0x3BB, _u16(Q.DC_CAPACITY_WH, 5, 100)),
    _copied(
        0x3BC,
        _u16(Q.DC_TARGET_V, 1),
        _u8(Q.DC_REQUEST_A, 3),
        _u8(Q.DC_CAR_FAULTS, 4),
        _u8(Q.DC_CAR_STATUS, 5),
        _u8(Q.DC_SOC_RAW, 6),
    ),
    _copied(
        0x3BE,
        _u8(Q.DC_DISCHARGE_LIMIT_A, 0, -1, 255),
        _u16(Q.DC_DISCHARGE_MIN_V, 4),
        _u8(Q.DC_LEAST_LEVEL_RAW, 6),
        _u8(Q.DC_MOST_LEVEL_RAW, 7),
    ),
    _copied(0x3C8, _u16(Q.DC_AVAILABLE_V, 1), _u8(Q.DC_AVAILABLE_A, 3), _u16(Q.DC_THRESHOLD_V, 4)),
    _copied(
        0x3C9,
        _u16(Q.DC_VOLTAGE_V, 1),
        _u8(Q.DC_CURRENT_A, 3),
        _u8(Q.DC_EVSE_STATUS, 5),
        _u8(Q.DC_REMAINING_MIN, 7),
    ),
    _copied(0x4BA, _u8(Q.DC_CAR_FUNCTIONS, 0), length=1),
    _copied(0x4BB, _u8(Q.DC_SEQUENCE, 0), length=1),
    _copied(0x4BC, _u8(Q.DC_MAKER, 0), length=1),
    _copied(0x4C0, length=3),
)
"""The frames 100, 101, 102, 200, 108, 109, 110, 201, 700 and 202 of the other bus."""

EV_CAN = {
    layout.can_id: layout
    for layout in (*PACK, ENERGY, CAPACITY, TEMPERATURES, RANGE, *CHARGERS, *VEHICLE, *ODOMETER, *DC_SESSION)
}

CAR_CAN = {
    layout.can_id: layout
    for layout in (
        *ODOMETER,
        Layout(
            0x5B3,
            6,
            max_age_s=TENTH_S,
            signals=(
                Signal(Q.SOH_PCT, Bits(1, 7, 7), invalid=_no(0)),
                Signal(Q.CAR_CAN_GIDS, Bits(4, 1, 10), invalid=_no(0x3FF)),
            ),
        ),
        Layout(0x60D, 2, max_age_s=TENTH_S, signals=(Signal(Q.KEY_STATE, Bits(1, 2, 2)),)),
        Layout(0x421, 1, max_age_s=TENTH_S, signals=(Signal(Q.SHIFTER, Bits(0, 5, 3)),)),
    )
}
"""IDs mean other things here than on EV-CAN: an AZE0 has 1CB and 5EB on this bus."""
