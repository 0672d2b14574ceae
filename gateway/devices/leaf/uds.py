"""What can be asked of the car's control units, how often, and what the answers mean (reference/can.md 2). Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.signals import ALL, Bits, Signal
from gateway.faults import Malformed, Refused

POSITIVE = 0x40
NEGATIVE, PENDING = 0x7F, 0x78
LIVE_FOR, LIVE_AT_MOST_S = 3, 900.0
"""A value that moves is kept for three intervals of its question under current; what ages in weeks for two days."""
SETTLED_S = 2 * 86_400.0
SETTLED = frozenset({
    Quantity.SOH_PCT, Quantity.HX_PCT, Quantity.CAPACITY_AH, Quantity.QUICK_CHARGES, Quantity.AC_CHARGES,
    Quantity.LBC_QUICK_CHARGES, Quantity.LBC_AC_CHARGES,
})  # fmt: skip

CELLS = 96
MOST_CELL_MV = 5000
SUM_TOLERANCE = 0.02
NO_SENSOR = 0xFFFF
SENSORS = 4
SHUNT_BYTES = 12


@dataclass(frozen=True, slots=True)
class Unit:
    """A control unit and the IDs under which it is asked and answers."""

    name: str
    request_id: int
    response_id: int


LBC = Unit("battery controller", 0x79B, 0x7BB)
VCM = Unit("vehicle controller", 0x797, 0x79A)
CLUSTER = Unit("instrument cluster", 0x743, 0x763)
REQUEST_IDS = frozenset({0x79B, 0x797, 0x743, 0x784, 0x744, 0x792, 0x79D, 0x7DF})
"""Under these somebody asks."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What an answer tells; ``live_s`` is how long what moves may be believed."""

    values: Mapping[Quantity, float | None] = field(default_factory=dict)
    group_01_bytes: int = 0
    pack_serial: str = ""
    pack_part: str = ""
    live_s: float = 60.0

    def keep_s(self, quantity: Quantity) -> float:
        """Return how long the value may be believed."""
        return SETTLED_S if quantity in SETTLED else self.live_s


def _fields(data: bytes, *signals: Signal) -> dict[Quantity, float | None]:
    needed = max(signal.bits.byte + signal.bits.width // 8 for signal in signals)
    if len(data) < needed:
        raise Malformed(f"an answer of {len(data)} bytes, {needed} expected")
    return {signal.what: signal.value(data) for signal in signals}


def _number(
    what: Quantity, byte: int, size: int, scale: float = 1, offset: float = 0, *, signed: bool = False
) -> Signal:
    return Signal(what, Bits(byte, 7, 8 * size), scale, offset, signed)


def _count(what: Quantity, byte: int = 0) -> Signal:
    return Signal(what, Bits(byte, 7, 16), invalid=frozenset({0xFFFF}))


HEAD = (
    _number(Quantity.LBC_CURRENT_A, 6, 4, 1 / 1024, signed=True),
    _number(Quantity.LBC_VOLTAGE_V, 18, 2, 0.01),
    _number(Quantity.AUX_VOLTAGE_V, 20, 2, 1 / 1024),
    _number(Quantity.INSULATION_RAW, 22, 2),
)
SMALL = (
    _number(Quantity.HX_PCT, 26, 2, 0.01),
    _number(Quantity.LBC_SOC_PCT, 28, 4, 1e-4),
    _number(Quantity.CAPACITY_AH, 32, 4, 1e-4),
)
LARGE = (
    _number(Quantity.HX_PCT, 28, 2, 1 / 102.4),
    _number(Quantity.LBC_SOC_PCT, 31, 3, 1e-4),
    _number(Quantity.CAPACITY_AH, 35, 3, 1e-4),
)
GROUP_01 = {39: HEAD + SMALL, 41: HEAD + SMALL, 51: HEAD + LARGE}


def group_01(data: bytes) -> Answer:
    """State of charge, capacity, voltages. Raises Malformed for a length that no pack has, as just after a wake-up."""
    if len(data) not in GROUP_01:
        raise Malformed(f"group 01 of {len(data)} bytes")
    return Answer(_fields(data, *GROUP_01[len(data)]), group_01_bytes=len(data))


def group_02(data: bytes) -> Answer:
    """Voltages of the 96 cells; all of them or, when one is impossible or their sum is not the pack's voltage, none."""
    if len(data) < 2 * CELLS + 2:
        raise Malformed(f"group 02 of {len(data)} bytes")
    cells_mv = [int.from_bytes(data[at : at + 2]) for at in range(0, 2 * CELLS, 2)]
    pack_mv = 10 * int.from_bytes(data[2 * CELLS : 2 * CELLS + 2])
    if max(cells_mv) > MOST_CELL_MV or abs(sum(cells_mv) - pack_mv) > SUM_TOLERANCE * pack_mv:
        return Answer({Quantity.CELL_MIN_V: None, Quantity.CELL_MAX_V: None})
    least, most = min(cells_mv) / 1000, max(cells_mv) / 1000
    return Answer({
        Quantity.CELL_MIN_V: Quantity.CELL_MIN_V.judged(least),
        Quantity.CELL_MAX_V: Quantity.CELL_MAX_V.judged(most),
    })  # fmt: skip


def group_04(data: bytes) -> Answer:
    """Temperatures of up to four sensors; the newer small packs have three."""
    if len(data) < 3 * SENSORS:
        raise Malformed(f"group 04 of {len(data)} bytes")
    sensors = [data[at : at + 3] for at in range(0, 3 * SENSORS, 3)]
    told_c = [
        float(int.from_bytes(sensor[2:], signed=True))
        for sensor in sensors
        if int.from_bytes(sensor[:2]) != NO_SENSOR
    ]
    if not told_c:
        return Answer()
    found = {
        Quantity.COLDEST_C: min(told_c),
        Quantity.WARMEST_C: max(told_c),
        Quantity.AVERAGE_C: sum(told_c) / len(told_c),
    }
    return Answer({what: what.judged(value) for what, value in found.items()})


def group_06(data: bytes) -> Answer:
    """Count the balancing shunts that are on; which cell each belongs to is not agreed on."""
    if len(data) < SHUNT_BYTES:
        raise Malformed(f"group 06 of {len(data)} bytes")
    return Answer({Quantity.SHUNTS_ACTIVE: float(int.from_bytes(data[:SHUNT_BYTES]).bit_count())})


def _text(data: bytes) -> str:
    return "".join(chr(byte) for byte in data if chr(byte).isascii() and chr(byte).isalnum())


def _of(*signals: Signal) -> Callable[[bytes], Answer]:
    return lambda data: Answer(_fields(data, *signals))


@dataclass(frozen=True, slots=True)
class Query:
    """One question. ``charging_s`` is its interval while current flows, ``resting_s`` otherwise: our asking must not
    keep a car from falling asleep."""

    unit: Unit
    request: bytes
    decode: Callable[[bytes], Answer]
    charging_s: float
    resting_s: float
    cars: frozenset[Car] = ALL

    def suits(self, car: Car | None) -> bool:
        """Tell whether this car has an answer."""
        return self.cars == ALL or car in self.cars

    def interval_s(self, *, charging: bool) -> float:
        """Return the time between two of these questions."""
        return self.charging_s if charging else self.resting_s

    def answer(self, payload: bytes) -> Answer | None:
        """Return what the payload tells, None while the unit asks for patience.

        Raises Refused when the unit has no such item, Malformed when this is no answer to this question.
        """
        if payload[:2] == bytes((NEGATIVE, self.request[0])):
            if payload[2:3] == bytes((PENDING,)):
                return None
            raise Refused(f"the {self.unit.name} refuses {self.request.hex(' ')}: {payload[2:].hex()}")
        expected = bytes((self.request[0] + POSITIVE,)) + self.request[1:]
        if not payload.startswith(expected):
            raise Malformed(f"{payload[:4].hex(' ')} is no answer to {self.request.hex(' ')}")
        told = self.decode(payload[len(expected) :])
        live_s = min(LIVE_FOR * self.charging_s, LIVE_AT_MOST_S)
        return replace(told, live_s=live_s)


MINUTE, HOUR, DAY = 60.0, 3600.0, 86_400.0
ZE1 = frozenset({Car.ZE1_40, Car.ZE1_62})
AZE0 = frozenset({Car.AZE0})
STATE = Query(LBC, b"\x21\x01", group_01, 30.0, HOUR)
QUERIES = (
    STATE,
    Query(LBC, b"\x21\x04", group_04, 5 * MINUTE, HOUR),
    Query(LBC, b"\x21\x02", group_02, 5 * MINUTE, HOUR),
    Query(LBC, b"\x21\x06", group_06, 10 * MINUTE, HOUR),
    Query(LBC, b"\x21\x61", _of(_number(Quantity.SOH_PCT, 2, 2, 0.01)), HOUR, DAY, ZE1),
    Query(
        LBC,
        b"\x21\x62",
        _of(_count(Quantity.LBC_AC_CHARGES, 0), _count(Quantity.LBC_QUICK_CHARGES, 2)),
        DAY,
        DAY,
    ),
    Query(LBC, b"\x21\x83", lambda data: Answer(pack_part=_text(data)), DAY, DAY),
    Query(LBC, b"\x21\x84", lambda data: Answer(pack_serial=_text(data)), DAY, DAY),
    Query(VCM, b"\x22\x12\x34", _of(_number(Quantity.PLUG, 0, 1)), MINUTE, HOUR),
    Query(VCM, b"\x22\x11\x4e", _of(_number(Quantity.CHARGE_MODE, 0, 1)), MINUTE, HOUR),
    Query(VCM, b"\x22\x11\x5d", _of(_number(Quantity.OUTSIDE_C, 0, 1, 0.5, -40)), HOUR, HOUR),
    Query(VCM, b"\x22\x12\x03", _of(_count(Quantity.QUICK_CHARGES)), DAY, DAY),
    Query(VCM, b"\x22\x12\x05", _of(_count(Quantity.AC_CHARGES)), DAY, DAY),
    Query(CLUSTER, b"\x22\x0e\x01", _of(_number(Quantity.ODOMETER_KM, 0, 3)), DAY, DAY, ZE1),
    Query(CLUSTER, b"\x21\x01", _of(_number(Quantity.ODOMETER_KM, 0, 3)), DAY, DAY, AZE0),
)
"""The most telling first. Pack, diagnosis session and trouble codes are never written to, nor cleared."""
