"""Modbus TCP on the wire: questions and answers as bytes, and a connection that asks one question at a time.

Own code, since a home asks sixty questions a second and a library for every kind of Modbus takes most of their time
(MODBUS Messaging on TCP/IP V1.0b, reference/modbus.md 7).
"""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import override

from msgspec import Struct

LONGEST = 254
"""Unit and question or answer, in bytes."""
LAST_TRANSACTION = 0xFFFF
COIL_ON = 0xFF00
REFUSED = 0x80
"""In the function of an answer."""
NO_CODE = 0xFF
"""Of a refusal without a reason."""

_HEADER = struct.Struct(">HHHB")
_QUESTION = struct.Struct(">HHHBBHH")


class Function(IntEnum):
    """What is asked for, and what an answer answers."""

    READ_COILS = 1
    READ_DISCRETE = 2
    READ_HOLDING = 3
    READ_INPUT = 4
    WRITE_COIL = 5
    WRITE_REGISTER = 6
    WRITE_REGISTERS = 16


class Question(Struct, frozen=True):
    """What is asked of the unit; ``count`` of registers or bits, ``values`` of an order."""

    function: int
    address: int
    count: int
    values: tuple[int, ...] = ()


class Answer(Struct, frozen=True):
    """Registers, or bits up to whole bytes; an order has none. ``exception`` is the code of a refusal, else 0."""

    function: int
    values: tuple[int, ...] = ()
    exception: int = 0


def encode(question: Question, transaction: int, unit: int) -> bytes:
    """Return the frame of a question. Raises struct.error for what no frame can hold."""
    last, tail = question.count, b""
    match question.function:
        case Function.WRITE_COIL:
            last = COIL_ON if question.values[0] else 0
        case Function.WRITE_REGISTER:
            last = question.values[0]
        case Function.WRITE_REGISTERS:
            tail = struct.pack(f">B{last}H", 2 * last, *question.values)
    size = 6 + len(tail)
    return _QUESTION.pack(transaction, 0, size, unit, question.function, question.address, last) + tail


def decode(pdu: bytes) -> Answer:
    """Return what an answer says, at least its function; total: without values where they are cut short."""
    function, values = pdu[0], pdu[2:]
    if function & REFUSED:
        return Answer(function & ~REFUSED, exception=int.from_bytes(pdu[1:2]) or NO_CODE)
    if len(pdu) < 2 or len(values) < (size := pdu[1]):
        return Answer(function)
    match function:
        case Function.READ_HOLDING | Function.READ_INPUT:
            return Answer(function, struct.unpack(f">{size // 2}H", values[: size & ~1]))
        case Function.READ_COILS | Function.READ_DISCRETE:
            return Answer(function, tuple(byte >> bit & 1 for byte in values[:size] for bit in range(8)))
    return Answer(function)


class Connection(asyncio.Protocol):
    """``lost`` is called when the device ends the connection. Only the answer to the newest question is one."""

    def __init__(self, host: str, port: int, unit: int, lost: Callable[[], None]) -> None:
        self._host = host
        self._port = port
        self._unit = unit
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._transaction = 0
        self._waiting: asyncio.Future[Answer] | None = None
        self._rest = b""

    @property
    def connected(self) -> bool:
        """Tell whether the connection stands."""
        return self._transport is not None

    async def connect(self, within_s: float) -> None:
        """Open the connection. Raises OSError, TimeoutError among them."""
        async with asyncio.timeout(within_s):
            await asyncio.get_running_loop().create_connection(lambda: self, self._host, self._port)

    def close(self) -> None:
        """Close the connection."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    async def ask(self, question: Question) -> Answer:
        """Return the answer, however long that takes. Raises ConnectionError when there is no connection."""
        if self._transport is None:
            raise ConnectionError("not connected")
        self._transaction = self._transaction % LAST_TRANSACTION + 1
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(encode(question, self._transaction, self._unit))
        return await self._waiting

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        if self._transport is not None:
            self._transport = None
            self._lost()

    @override
    def data_received(self, data: bytes) -> None:
        """Take in whatever has come: parts of an answer, or several; what cannot be a frame takes all that came with it."""
        rest = self._rest + data
        while len(rest) >= _HEADER.size:
            transaction, protocol, length, unit = _HEADER.unpack_from(rest)
            if protocol or not 1 <= length <= LONGEST:
                rest = b""
                break
            end = 6 + length
            if (length, len(rest)) == (2, 9):  # some devices do not count the code of their refusal
                end = 9
            if len(rest) < end:
                break
            # Some devices answer each transaction as 0; asked as unit 0, they answer as what they are.
            if transaction in (self._transaction, 0) and self._unit in (unit, 0) and length > 1:
                self._answered(decode(rest[7:end]))
            rest = rest[end:]
        self._rest = rest

    def _answered(self, answer: Answer) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)
