"""A Modbus TCP device of registers and bits on a loopback port, written without any Modbus library.

``spoil`` turns a right answer into what a bad device sends: it gets transaction, unit and answer, and returns the
segments to send, None to hang up.
"""

import asyncio
import contextlib
import json
import struct
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

DUMPS = Path(__file__).parents[3] / "../shared/data/modbus"
SUNSPEC = (0x5375, 0x6E53)

type Spoil = Callable[[int, int, bytes], Iterable[bytes] | None]


def load_dump(name: str) -> dict:
    """Return a recorded device; skip the test where the recordings are absent."""
    file = DUMPS / name
    if not file.is_file():
        pytest.skip(f"recorded device {name} is not here")
    return json.loads(file.read_text())


def registers_of(dump: dict, space: str = "holding") -> dict[int, int]:
    return {int(address): value for address, value in dump[space].items()}


def chained(*models, base=40000, end=True):
    """Build an image from (model, body) pairs."""
    words = [*SUNSPEC]
    for model, body in models:
        words += [model, len(body), *body]
    return dict(enumerate(words + ([0xFFFF, 0] if end else []), base))


def frame(transaction: int, unit: int, pdu: bytes) -> bytes:
    return struct.pack(">HHHB", transaction, 0, len(pdu) + 1, unit) + pdu


class ModbusDevice:
    def __init__(self, *, holding=None, inputs=None, coils=None, discrete=None, spoil: Spoil | None = None):
        self.holding: dict[int, int] = {} if holding is None else holding
        self.inputs: dict[int, int] = {} if inputs is None else inputs
        self.coils: dict[int, int] = {} if coils is None else coils
        self.discrete: dict[int, int] = {} if discrete is None else discrete
        self.spoil = spoil
        self.ignored: set[int] = set()
        self.asked: list[tuple[int, int]] = []
        self.written: list[tuple[int, tuple[int, ...]]] = []
        self.on_write: Callable[[int, tuple[int, ...]], None] = lambda address, values: None
        self._connections: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        return self._server.sockets[0].getsockname()[1]

    async def __aenter__(self):
        await self.listen()
        return self

    async def __aexit__(self, *_):
        await self.vanish()

    async def listen(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)

    async def vanish(self) -> None:
        """Close the port and cut every connection."""
        self._server.close()
        for connection in tuple(self._connections):
            connection.transport.abort()
        await self._server.wait_closed()

    async def _serve(self, reader, writer) -> None:
        self._connections.add(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                transaction, _, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                answer = self._answer(await reader.readexactly(length - 1))
                segments = (
                    self.spoil(transaction, unit, answer)
                    if self.spoil
                    else [frame(transaction, unit, answer)]
                )
                if segments is None:
                    break
                for segment in segments:
                    writer.write(segment)
                    await writer.drain()
                    await asyncio.sleep(0)
        self._connections.discard(writer)
        writer.transport.abort()

    def _answer(self, pdu: bytes) -> bytes:
        function, address, count = struct.unpack(">BHH", pdu[:5])
        self.asked.append((function, address))
        try:
            match function:
                case 1 | 2:
                    return self._bits(
                        function, self.coils if function == 1 else self.discrete, address, count
                    )
                case 3 | 4:
                    space = self.holding if function == 3 else self.inputs
                    words = [space[a] for a in range(address, address + count)]
                    return struct.pack(f">BB{count}H", function, 2 * count, *words)
                case 5:
                    self.coils[address] = int(count == 0xFF00)
                    self.written.append((address, (self.coils[address],)))
                    return pdu[:5]
                case 6:
                    self._write(address, (count,))
                    return pdu
                case 16:
                    values = struct.unpack(f">{count}H", pdu[6:])
                    self._write(address, values)
                    return pdu[:5]
        except KeyError:
            return bytes([function | 0x80, 2])
        return bytes([function | 0x80, 1])

    def _bits(self, function: int, space: dict[int, int], address: int, count: int) -> bytes:
        bits = sum(space[address + i] << i for i in range(count))
        size = (count + 7) // 8
        return bytes([function, size]) + bits.to_bytes(size, "little")

    def _write(self, address: int, values: tuple[int, ...]) -> None:
        self.written.append((address, values))
        for offset, value in enumerate(values):
            _ = self.holding[address + offset]
            if address + offset not in self.ignored:
                self.holding[address + offset] = value
        self.on_write(address, values)
