"""Modbus TCP devices: function codes 1 to 6, 15 and 16, exceptions 1 to 4, any number of requests per segment.

Modbus Application Protocol 1.1b3, chapter 6; Messaging on TCP/IP 1.0b, chapter 3.
"""

import asyncio
import struct
from collections.abc import Sequence
from enum import IntEnum
from typing import Protocol


class Table(IntEnum):
    COIL = 0
    DISCRETE = 1
    INPUT = 3
    HOLDING = 4


class Illegal(Exception):
    """The device refuses: 1 function, 2 address, 3 value."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Unit(Protocol):
    """One device. All four raise Illegal; ``silent`` takes requests and answers none, ``refuses`` says no to every write.

    Without ``writes_many`` it knows no function 16.
    """

    unit_id: int
    writes_many: bool
    silent: bool
    refuses: bool

    def read_bits(self, table: Table, address: int, count: int) -> Sequence[bool]:
        """Return ``count`` bits."""

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return ``count`` unsigned words."""

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Write coils."""

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Write holding registers."""


class Registers:
    """A unit without bits and without anything to write; devices replace what they have."""

    unit_id = 1
    writes_many = True

    def __init__(self) -> None:
        self.silent = False
        self.refuses = False

    def read_bits(self, table: Table, address: int, count: int) -> Sequence[bool]:
        """Refuse the function."""
        raise Illegal(1)

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Refuse the function."""
        raise Illegal(1)

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Refuse the function."""
        raise Illegal(1)

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Refuse the function."""
        raise Illegal(1)


def window[T](image: Sequence[T], start: int, address: int, count: int) -> Sequence[T]:
    """Return ``count`` items of an image that begins at address ``start``. Raises Illegal outside of it."""
    first = address - start
    if first < 0 or first + count > len(image):
        raise Illegal(2)
    return image[first : first + count]


_WRITES = frozenset({5, 6, 15, 16})
_READ_BITS = {1: Table.COIL, 2: Table.DISCRETE}
_READ_WORDS = {3: Table.HOLDING, 4: Table.INPUT}


def answer(unit: Unit, request: bytes) -> bytes:
    """Return the answer of ``unit`` to a request, both without the TCP header."""
    function = request[0]
    if unit.refuses and function in _WRITES:
        return bytes((function | 0x80, 4))
    try:
        return bytes((function,)) + _served(unit, function, request[1:])
    except Illegal as refusal:
        return bytes((function | 0x80, refusal.code))
    except struct.error, IndexError:
        return bytes((function | 0x80, 3))


def _served(unit: Unit, function: int, body: bytes) -> bytes:
    if function in _READ_BITS:
        address, count = struct.unpack(">HH", body)
        _check(1 <= count <= 2000)
        packed = _pack(unit.read_bits(_READ_BITS[function], address, count))
        return bytes((len(packed),)) + packed
    if function in _READ_WORDS:
        address, count = struct.unpack(">HH", body)
        _check(1 <= count <= 125)
        words = unit.read_registers(_READ_WORDS[function], address, count)
        return struct.pack(f">B{count}H", 2 * count, *words)
    match function:
        case 5:
            address, value = struct.unpack(">HH", body)
            _check(value in {0, 0xFF00})
            unit.write_bits(address, [bool(value)])
            return body
        case 6:
            address, value = struct.unpack(">HH", body)
            unit.write_registers(address, [value])
            return body
        case 15:
            address, count, size = struct.unpack(">HHB", body[:5])
            _check(1 <= count <= 1968 and size == len(body) - 5 == (count + 7) // 8)
            unit.write_bits(address, [bool(body[5 + n // 8] >> n % 8 & 1) for n in range(count)])
            return body[:4]
        case 16 if unit.writes_many:
            address, count, size = struct.unpack(">HHB", body[:5])
            _check(1 <= count <= 123 and size == len(body) - 5 == 2 * count)
            unit.write_registers(address, struct.unpack(f">{count}H", body[5:]))
            return body[:4]
    raise Illegal(1)


def _check(possible: bool) -> None:
    if not possible:
        raise Illegal(3)


def _pack(bits: Sequence[bool]) -> bytes:
    packed = bytearray((len(bits) + 7) // 8)
    for n, bit in enumerate(bits):
        packed[n // 8] |= bit << n % 8
    return bytes(packed)


class ModbusConnection(asyncio.Protocol):
    """One client of one unit. Requests to other unit ids are answered with exception 11, as a gateway does."""

    def __init__(self, unit: Unit) -> None:
        self._unit = unit
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer every whole request; a wrong header ends the connection."""
        self._buffer += data
        while len(self._buffer) >= 7 and self._transport is not None:
            transaction, protocol, length, unit_id = struct.unpack(">HHHB", self._buffer[:7])
            if protocol != 0 or not 2 <= length <= 254:
                self._transport.close()
                return
            if len(self._buffer) < 6 + length:
                return
            request = bytes(self._buffer[7 : 6 + length])
            del self._buffer[: 6 + length]
            if self._unit.silent:
                continue
            known = unit_id == self._unit.unit_id
            reply = answer(self._unit, request) if known else bytes((request[0] | 0x80, 11))
            self._transport.write(struct.pack(">HHHB", transaction, 0, len(reply) + 1, unit_id) + reply)
