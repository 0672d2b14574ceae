"""A Modbus unit that answers from a recording or from a stand-in, behind a client in the shape of pymodbus."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from gateway.devices.recording.events import Exchange
from gateway.devices.recording.registers import RegisterImage

SILENT = "silent"
LATENCY_S = 0.002
SOON_S = 0.12
"""A question that was recorded this soon after ours gets its answer then: a unit whose reaction was recorded may not seem to
react before we have ordered anything, only because we look at another moment."""

type Asked = tuple[int, int, int]


class Registers(Protocol):
    """What answers in the place of a Modbus unit."""

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        """Return the values, or "silent" or "exception N"."""

    def write(self, function: int, address: int, values: tuple[int, ...]) -> str:
        """Take an order; return the error or ""."""


class PlayedUnit:
    """``now_s`` tells the time since the first recorded event."""

    def __init__(self, registers: Registers, now_s: Callable[[], float]) -> None:
        self.registers = registers
        self.latency_s = LATENCY_S
        self.reachable = True
        self.clients: list[_Client] = []
        self._now_s = now_s
        self._image: RegisterImage | None = None
        self._due: dict[Asked, deque[float]] = {}
        self._waiting: dict[Asked, list[asyncio.Future[None]]] = {}

    @classmethod
    def recorded(cls, exchanges: Iterable[Exchange], now_s: Callable[[], float]) -> PlayedUnit:
        """Return a unit that answers from the whole of its recording."""
        told = tuple(exchanges)
        unit = cls(image := RegisterImage(told), now_s)
        unit._image = image
        for exchange in told:
            unit._due.setdefault(_asked(exchange), deque()).append(exchange.at_s)
        return unit

    def client(self, changed: Callable[[bool], None]) -> _Client:
        """Return a client of this unit; ``changed`` is told when its connection is lost."""
        return _Client(self, changed)

    def hear(self, exchange: Exchange) -> None:
        """Let the unit answer as it was recorded."""
        if self._image is not None:
            self._image.heard(exchange)
            self._due[_asked(exchange)].popleft()
        if not exchange.error:
            self.latency_s = exchange.latency_s
        for answered in self._waiting.pop(_asked(exchange), ()):
            if not answered.done():
                answered.set_result(None)

    def turn(self, *, up: bool) -> None:
        """Let the unit be reached, or lose its connections."""
        self.reachable = up
        for client in tuple(self.clients) if not up else ():
            client.lose()

    async def moment(self, function: int, address: int, count: int) -> None:
        """Wait for the moment at which this question was answered."""
        due = self._due.get(asked := (function, address, count))
        ours = self._image is not None and self._image.holds_ours(*asked)
        if due and due[0] - self._now_s() <= SOON_S and not ours:
            answered = asyncio.get_running_loop().create_future()
            self._waiting.setdefault(asked, []).append(answered)
            await answered
        else:
            await asyncio.sleep(self.latency_s)


def _asked(exchange: Exchange) -> Asked:
    return exchange.function, exchange.address, exchange.count


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a Modbus client returns, in the shape of pymodbus."""

    function_code: int
    registers: list[int] = field(default_factory=list)
    bits: list[bool] = field(default_factory=list)
    exception_code: int = 0

    def isError(self) -> bool:  # noqa: N802 - pymodbus calls it so
        """Tell whether this is an exception."""
        return self.exception_code != 0


class _Client:
    """A Modbus client, in the shape of pymodbus, that asks a played unit."""

    def __init__(self, unit: PlayedUnit, changed: Callable[[bool], None]) -> None:
        self.connected = False
        self._unit = unit
        self._changed = changed

    async def connect(self) -> bool:
        """Return whether the unit can be reached."""
        await asyncio.sleep(self._unit.latency_s)
        self.connected = self._unit.reachable
        if self.connected:
            self._unit.clients.append(self)
        return self.connected

    def close(self) -> None:
        """Leave."""
        self.connected = False
        if self in self._unit.clients:
            self._unit.clients.remove(self)

    def lose(self) -> None:
        """Lose the connection as it was recorded."""
        self.close()
        self._changed(False)

    def read_coils(self, address: int, *, count: int, device_id: int) -> Awaitable[_Answer]:
        """Function 1."""
        return self._bits(1, address, count)

    def read_discrete_inputs(self, address: int, *, count: int, device_id: int) -> Awaitable[_Answer]:
        """Function 2."""
        return self._bits(2, address, count)

    async def read_holding_registers(self, address: int, *, count: int, device_id: int) -> _Answer:
        """Function 3."""
        return await self._read(3, address, count)

    async def read_input_registers(self, address: int, *, count: int, device_id: int) -> _Answer:
        """Function 4."""
        return await self._read(4, address, count)

    async def write_coil(self, address: int, value: bool, *, device_id: int) -> _Answer:
        """Function 5."""
        return await self._write(5, address, (int(value),))

    async def write_register(self, address: int, value: int, *, device_id: int) -> _Answer:
        """Function 6."""
        return await self._write(6, address, (value,))

    async def write_registers(self, address: int, values: list[int], *, device_id: int) -> _Answer:
        """Function 16."""
        return await self._write(16, address, tuple(values))

    async def _bits(self, function: int, address: int, count: int) -> _Answer:
        answer = await self._read(function, address, count)
        padding = [False] * (-count % 8)
        return _Answer(
            function, bits=[*map(bool, answer.registers), *padding], exception_code=answer.exception_code
        )

    async def _read(self, function: int, address: int, count: int) -> _Answer:
        await self._unit.moment(function, address, count)
        found = self._unit.registers.read(function, address, count)
        return await _failed(function, found) if isinstance(found, str) else _Answer(function, list(found))

    async def _write(self, function: int, address: int, values: tuple[int, ...]) -> _Answer:
        await asyncio.sleep(self._unit.latency_s)
        error = self._unit.registers.write(function, address, values)
        return await _failed(function, error) if error else _Answer(function)


async def _failed(function: int, error: str) -> _Answer:
    """Answer with a recorded exception, or never."""
    if error == SILENT:
        await asyncio.Event().wait()
    return _Answer(function | 0x80, exception_code=int(error.rsplit(maxsplit=1)[-1]))
