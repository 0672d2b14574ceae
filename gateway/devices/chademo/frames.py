"""CHAdeMO frames: bytes ↔ frozen values (reference/can.md 3.2-3.4). u16 little-endian, 1 V and 1 A per bit.

Bits that no source explains are kept where they stand; reserved bytes are sent as 0.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntFlag
from functools import lru_cache
from typing import ClassVar

from gateway.faults import Malformed

FRAME_BYTES = 8
MAX_U8 = 0xFF
MAX_U16 = 0xFFFF


class CarFault(IntFlag):
    """Faults in 102.4; a reserved bit is a fault too."""

    OVER_VOLTAGE = 1
    UNDER_VOLTAGE = 2
    CURRENT_DEVIATION = 4
    BATTERY_HOT = 8
    VOLTAGE_DEVIATION = 16
    RESERVED_5 = 32
    RESERVED_6 = 64
    RESERVED_7 = 128


class CarStatus(IntFlag):
    """Status in 102.5. CONTACTOR_OPEN is not to be trusted before the car has pulled k: a ZE1's first frame has it wrong."""

    ENABLED = 1
    NOT_PARKED = 2
    SYSTEM_FAULT = 4
    CONTACTOR_OPEN = 8
    STOP_BEFORE_CHARGING = 16
    RESERVED = 32
    DYNAMIC_CONTROL = 64
    DISCHARGE_COMPATIBLE = 128


class Function(IntFlag):
    """Abilities in 110.0 of the car and 118.0 of the charger."""

    DYNAMIC_CONTROL = 1
    HIGH_CURRENT = 2
    HIGH_VOLTAGE = 4


class EvseStatus(IntFlag):
    """Status in 109.5."""

    CHARGING = 1
    CHARGER_FAULT = 2
    LOCKED = 4
    INCOMPATIBLE = 8
    SYSTEM_FAULT = 16
    STOP = 32
    RESERVED_6 = 64
    RESERVED_7 = 128


@dataclass(frozen=True, slots=True)
class CarLimits:
    """What 0x100 tells. ``soc_reference`` is what 102.6 counts as full; 0xF0 means not yet."""

    min_current_a: int
    max_current_a: int
    min_voltage_v: int
    max_voltage_v: int
    soc_reference: int


@dataclass(frozen=True, slots=True)
class CarTimes:
    """What 0x101 tells. ``max_time_s`` is 0 until the car has made up its mind."""

    max_time_s: int
    estimated_min: int
    capacity_wh: int


@dataclass(frozen=True, slots=True)
class CarRequest:
    """What 0x102 tells: wish, faults, status."""

    protocol: int
    target_voltage_v: int
    current_a: int
    faults: CarFault
    status: CarStatus
    soc_raw: int


@dataclass(frozen=True, slots=True)
class CarVoltage:
    """What 0x103 tells; no Leaf sends it."""

    battery_v: int


@dataclass(frozen=True, slots=True)
class CarFunctions:
    """What 0x110 tells."""

    functions: Function


@dataclass(frozen=True, slots=True)
class CarDischarge:
    """What 0x200 tells. The levels are percent or 0.1 kWh, depending on the car (reference/can.md 3.6)."""

    max_current_a: int
    min_voltage_v: int
    min_level_raw: int
    max_level_raw: int


@dataclass(frozen=True, slots=True)
class CarSequence:
    """What 0x201 tells; only newer cars send it."""

    sequence: int
    completion_min: int
    available_wh: int


@dataclass(frozen=True, slots=True)
class CarExtension:
    """What 0x202 tells; a ZE1 sends 01 01 01, and nobody knows why."""

    raw: bytes


@dataclass(frozen=True, slots=True)
class CarMaker:
    """What 0x700 tells, before and after the session too. 1 is Nissan."""

    code: int
    raw: bytes


type CarFrame = (
    CarLimits
    | CarTimes
    | CarRequest
    | CarVoltage
    | CarFunctions
    | CarDischarge
    | CarSequence
    | CarExtension
    | CarMaker
)


def _limits(data: bytes) -> CarLimits:
    low, high, min_v, max_v, reference, _ = struct.unpack("<BBHHBB", data)
    return CarLimits(low, high, min_v, max_v, reference)


def _times(data: bytes) -> CarTimes:
    _, tens_s, minutes, estimated_min, _, capacity, _ = struct.unpack("<BBBBBHB", data)
    return CarTimes(minutes * 60 if tens_s == MAX_U8 else tens_s * 10, estimated_min, capacity * 100)


def _request(data: bytes) -> CarRequest:
    protocol, target_v, current_a, faults, status, soc, _ = struct.unpack("<BHBBBBB", data)
    return CarRequest(protocol, target_v, current_a, CarFault(faults), CarStatus(status), soc)


def _voltage(data: bytes) -> CarVoltage:
    return CarVoltage(int.from_bytes(data[:2], "little"))


def _functions(data: bytes) -> CarFunctions:
    return CarFunctions(Function(data[0]))


def _discharge(data: bytes) -> CarDischarge:
    inverted_a, _, _, _, min_v, min_level, max_level = struct.unpack("<BBBBHBB", data)
    return CarDischarge(MAX_U8 - inverted_a, min_v, min_level, max_level)


def _sequence(data: bytes) -> CarSequence:
    sequence, minutes, energy, _ = struct.unpack("<BHH3s", data)
    return CarSequence(sequence, minutes, energy * 100)


def _extension(data: bytes) -> CarExtension:
    return CarExtension(data)


def _maker(data: bytes) -> CarMaker:
    return CarMaker(data[0], data[1:])


_CAR_FRAMES: dict[int, Callable[[bytes], CarFrame]] = {
    0x100: _limits,
    0x101: _times,
    0x102: _request,
    0x103: _voltage,
    0x110: _functions,
    0x200: _discharge,
    0x201: _sequence,
    0x202: _extension,
    0x700: _maker,
}
CAR_IDS = frozenset(_CAR_FRAMES)


@lru_cache(64)  # a car repeats itself
def decode_car(can_id: int, data: bytes) -> CarFrame | None:
    """Return the vehicle frame, None for an id that no car sends. Raises Malformed on a wrong length."""
    decode = _CAR_FRAMES.get(can_id)
    if decode is None:
        return None
    if len(data) != FRAME_BYTES:
        message = f"CHAdeMO frame {can_id:03X} has {len(data)} bytes instead of {FRAME_BYTES}"
        raise Malformed(message)
    return decode(data)


def _whole(value: float, top: int) -> int:
    return min(max(round(value), 0), top)


@dataclass(frozen=True, slots=True)
class EvseCapability:
    """Our 0x108. The car follows ``current_a`` within one cycle."""

    CAN_ID: ClassVar[int] = 0x108
    voltage_v: float
    current_a: float
    threshold_v: float
    detects_welding: bool = True

    def encode(self) -> bytes:
        """Return the eight bytes on the wire."""
        volts, amperes = _whole(self.voltage_v, MAX_U16), _whole(self.current_a, MAX_U8)
        return struct.pack(
            "<BHBHH", self.detects_welding, volts, amperes, _whole(self.threshold_v, MAX_U16), 0
        )


@dataclass(frozen=True, slots=True)
class EvseState:
    """Our 0x109. Voltage and current are measured values; ``current_a`` is 0 while discharging."""

    CAN_ID: ClassVar[int] = 0x109
    voltage_v: float
    current_a: float
    status: EvseStatus
    remaining_min: int
    discharge_compatible: bool
    protocol: int = 2

    def encode(self) -> bytes:
        """Return the eight bytes on the wire; the remaining time always in minutes."""
        minutes = _whole(self.remaining_min, MAX_U8)
        return struct.pack(
            "<BHBBBBB",
            self.protocol,
            _whole(self.voltage_v, MAX_U16),
            _whole(self.current_a, MAX_U8),
            self.discharge_compatible,
            self.status,
            MAX_U8 if minutes else 0,
            minutes,
        )


@dataclass(frozen=True, slots=True)
class EvseFunctions:
    """Our 0x118, the answer to 110; no recorded charger sends it."""

    CAN_ID: ClassVar[int] = 0x118
    functions: Function

    def encode(self) -> bytes:
        """Return the eight bytes on the wire."""
        return struct.pack("<B7x", self.functions)


@dataclass(frozen=True, slots=True)
class EvseDischarge:
    """Our 0x208. Currents are positive magnitudes."""

    CAN_ID: ClassVar[int] = 0x208
    current_a: float
    input_voltage_v: float
    max_current_a: float
    threshold_v: float

    def encode(self) -> bytes:
        """Return the eight bytes on the wire; currents go inverted, 255 - A."""
        return struct.pack(
            "<BHBHH",
            MAX_U8 - _whole(self.current_a, MAX_U8),
            _whole(self.input_voltage_v, MAX_U16),
            MAX_U8 - _whole(self.max_current_a, MAX_U8),
            0,
            _whole(self.threshold_v, MAX_U16),
        )


@dataclass(frozen=True, slots=True)
class EvseSequence:
    """Our 0x209: V2H sequence number and remaining discharge time."""

    CAN_ID: ClassVar[int] = 0x209
    sequence: int
    remaining_min: int

    def encode(self) -> bytes:
        """Return the eight bytes on the wire."""
        return struct.pack("<BH5x", self.sequence, _whole(self.remaining_min, MAX_U16))


type EvseFrame = EvseCapability | EvseState | EvseFunctions | EvseDischarge | EvseSequence
