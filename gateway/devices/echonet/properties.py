"""The properties of class 0x027E, EV charger and discharger (reference/modbus.md 3.4): contents ↔ values; pure.

A content that says "no value" (an overflow code, a missing answer) reads as None; one of another size or range raises
Malformed. Power and energy are ours in sign: the class counts charging as positive too.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum

from gateway.faults import Malformed

MOST = 999_999_999
"""The largest number of watts or watt-hours; what lies above are codes."""


class Epc(IntEnum):
    POWER = 0x80
    UID = 0x83
    FAULT = 0x88
    FAULT_CONTENT = 0x89
    MAKER = 0x8A
    MODEL = 0x8C
    SERIAL = 0x8D
    INFORMS = 0x9D
    SETTABLE = 0x9E
    GETTABLE = 0x9F
    RATED_CHARGE = 0xC5
    RATED_DISCHARGE = 0xC6
    CONNECTION = 0xC7
    CHARGE_RANGE = 0xC8
    DISCHARGE_RANGE = 0xC9
    CONFIRM = 0xCD
    CAPACITY = 0xD0
    MEASURED_POWER = 0xD3
    MEASURED_CURRENT = 0xD4
    MEASURED_VOLTAGE = 0xD5
    DISCHARGED = 0xD6
    CHARGED = 0xD8
    MODE = 0xDA
    GRID = 0xDB
    CHARGE_METHOD = 0xDC
    DISCHARGE_METHOD = 0xDD
    V2G_POWER = 0xE0
    ACTUAL_MODE = 0xE1
    STORED = 0xE2
    SOC = 0xE4
    CHARGE_BOUND = 0xE7
    DISCHARGE_BOUND = 0xEA
    CHARGE_POWER = 0xEB
    DISCHARGE_POWER = 0xEC


class Connection(IntEnum):
    NONE = 0x30
    NEITHER = 0x40
    CHARGEABLE = 0x41
    DISCHARGEABLE = 0x42
    BOTH = 0x43
    UNKNOWN = 0x44
    UNDEFINED = 0xFF


class Mode(IntEnum):
    OTHER = 0x40
    RAPID_CHARGE = 0x41
    CHARGE = 0x42
    DISCHARGE = 0x43
    STANDBY = 0x44
    TEST = 0x45
    BOTH = 0x46
    IDLE = 0x47
    PREPARATION = 0x48
    AUTOMATIC = 0x49


class Method(IntEnum):
    OTHER = 0
    MAXIMUM = 1
    SURPLUS = 2
    POWER = 3
    CURRENT = 4
    PURCHASE = 5
    V2G = 6


OFF, FAULTY, ISLANDED = 0x31, 0x41, 0x01
CHARGES = frozenset({Connection.CHARGEABLE, Connection.BOTH})
DISCHARGES = frozenset({Connection.DISCHARGEABLE, Connection.BOTH})
RUNNING = frozenset({Mode.RAPID_CHARGE, Mode.CHARGE, Mode.DISCHARGE, Mode.BOTH})

IDENTITY = (Epc.MAKER, Epc.MODEL, Epc.SERIAL, Epc.RATED_CHARGE, Epc.RATED_DISCHARGE)
FAST = (
    Epc.POWER, Epc.FAULT, Epc.CONNECTION, Epc.MEASURED_POWER, Epc.MEASURED_CURRENT, Epc.MEASURED_VOLTAGE, Epc.MODE,
    Epc.GRID, Epc.CHARGE_METHOD, Epc.DISCHARGE_METHOD, Epc.V2G_POWER, Epc.ACTUAL_MODE, Epc.SOC, Epc.CHARGE_BOUND,
    Epc.DISCHARGE_BOUND, Epc.CHARGE_POWER, Epc.DISCHARGE_POWER,
)  # fmt: skip
SLOW = (
    Epc.FAULT_CONTENT,
    Epc.CHARGE_RANGE,
    Epc.DISCHARGE_RANGE,
    Epc.CAPACITY,
    Epc.DISCHARGED,
    Epc.CHARGED,
    Epc.STORED,
)

MAKERS = {
    0x000006: "Mitsubishi Electric",
    0x00000B: "Panasonic",
    0x000064: "OMRON",
    0x00006C: "Nichicon",
    0x0000EB: "Nichicon",
}
"""Only for the name on the page; an unknown code is shown as it is."""

type Contents = Mapping[int, bytes]


@dataclass(frozen=True, slots=True)
class Reading:
    """One whole look at the unit; None where it does not tell."""

    contents: Contents
    connection: Connection
    mode: int
    actual_mode: int | None
    power_w: float | None
    voltage_v: float | None
    current_a: float | None
    soc_pct: float | None
    stored_wh: float | None
    capacity_wh: float | None
    charged_wh: float | None
    discharged_wh: float | None
    charge_range_w: tuple[float, float] | None
    discharge_range_w: tuple[float, float] | None
    switched_on: bool
    faulty: bool
    fault_code: int
    islanded: bool


def reading(contents: Contents) -> Reading:
    """Read one look. Raises Malformed for what cannot be, and where the two that every unit has are missing."""
    connection = small(contents, Epc.CONNECTION)
    mode = small(contents, Epc.MODE)
    if connection is None or mode is None:
        raise Malformed("told no connection (0xC7) or no mode (0xDA)")
    soc_pct = small(contents, Epc.SOC)
    current = signed(contents, Epc.MEASURED_CURRENT, 2, 32_766)
    return Reading(
        contents=contents,
        connection=Connection(connection) if connection in set(Connection) else Connection.UNDEFINED,
        mode=mode,
        actual_mode=small(contents, Epc.ACTUAL_MODE),
        power_w=signed(contents, Epc.MEASURED_POWER),
        voltage_v=signed(contents, Epc.MEASURED_VOLTAGE, 2, 32_766),
        current_a=None if current is None else current / 10,
        soc_pct=float(soc_pct) if soc_pct is not None and soc_pct <= 100 else None,
        stored_wh=unsigned(contents, Epc.STORED),
        capacity_wh=unsigned(contents, Epc.CAPACITY) or None,
        charged_wh=unsigned(contents, Epc.CHARGED),
        discharged_wh=unsigned(contents, Epc.DISCHARGED),
        charge_range_w=power_range(contents, Epc.CHARGE_RANGE),
        discharge_range_w=power_range(contents, Epc.DISCHARGE_RANGE),
        switched_on=small(contents, Epc.POWER) != OFF,
        faulty=small(contents, Epc.FAULT) == FAULTY,
        fault_code=int.from_bytes(contents.get(Epc.FAULT_CONTENT, b"")),
        islanded=small(contents, Epc.GRID) == ISLANDED,
    )


def small(contents: Contents, epc: Epc) -> int | None:
    """Return a one-byte state."""
    edt = _sized(contents, epc, 1)
    return None if edt is None else edt[0]


def unsigned(contents: Contents, epc: Epc) -> float | None:
    """Return watts or watt-hours of four bytes; None for the overflow codes."""
    edt = _sized(contents, epc, 4)
    value = None if edt is None else int.from_bytes(edt)
    return None if value is None or value > MOST else float(value)


def signed(contents: Contents, epc: Epc, size: int = 4, most: int = MOST) -> float | None:
    """Return a signed number; None for the overflow codes."""
    edt = _sized(contents, epc, size)
    value = None if edt is None else int.from_bytes(edt, signed=True)
    return None if value is None or abs(value) > most else float(value)


def power_range(contents: Contents, epc: Epc) -> tuple[float, float] | None:
    """Return the smallest and the largest power; None where it is empty or a code."""
    edt = _sized(contents, epc, 8)
    if edt is None:
        return None
    low, high = int.from_bytes(edt[:4]), int.from_bytes(edt[4:])
    return (float(low), float(high)) if low <= high <= MOST and high else None


def maker(contents: Contents) -> str:
    """Return the maker's name, or its code."""
    code = int.from_bytes(contents.get(Epc.MAKER, b""))
    return MAKERS.get(code, f"0x{code:06X}" if code else "")


def text(contents: Contents, epc: Epc) -> str:
    """Return ASCII without its padding; nothing for what is no ASCII."""
    edt = contents.get(epc, b"").split(b"\0")[0].strip()
    return edt.decode("ascii") if edt.isascii() else ""


def watts(value: float, *, sign: bool = False) -> bytes:
    """Return four bytes for watts or watt-hours."""
    return round(value).to_bytes(4, signed=sign)


def _sized(contents: Contents, epc: Epc, size: int) -> bytes | None:
    edt = contents.get(epc)
    if not edt:
        return None
    if len(edt) != size:
        raise Malformed(f"0x{epc:02X} has {len(edt)} bytes, not {size}")
    return edt
