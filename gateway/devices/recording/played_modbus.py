"""A Modbus unit that answers from a recording or from a stand-in, and a client that asks it."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from typing import Protocol

from gateway.devices.modbus_tcp import Answer, Function, Question
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

    def client(self, lost: Callable[[], None]) -> _Client:
        """Return a client of this unit; ``lost`` is called when its connection is."""
        return _Client(self, lost)

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


class _Client:
    """A Modbus client, in the shape of modbus_tcp.Connection, that asks a played unit."""

    def __init__(self, unit: PlayedUnit, lost: Callable[[], None]) -> None:
        self.connected = False
        self._unit = unit
        self._lost = lost

    async def connect(self, within_s: float) -> None:
        """Reach the unit. Raises ConnectionError."""
        await asyncio.sleep(self._unit.latency_s)
        if not self._unit.reachable:
            raise ConnectionError("not reachable")
        self.connected = True
        self._unit.clients.append(self)

    def close(self) -> None:
        """Leave."""
        self.connected = False
        if self in self._unit.clients:
            self._unit.clients.remove(self)

    def lose(self) -> None:
        """Lose the connection as it was recorded."""
        self.close()
        self._lost()

    async def ask(self, question: Question) -> Answer:
        """Answer as the unit does, or never."""
        asked, registers = (question.function, question.address, question.count), self._unit.registers
        found: tuple[int, ...] | str
        if question.values:
            await asyncio.sleep(self._unit.latency_s)
            found = registers.write(question.function, question.address, question.values) or ()
        else:
            await self._unit.moment(*asked)
            found = registers.read(*asked)
        if found == SILENT:
            await asyncio.Event().wait()
        if isinstance(found, str):
            return Answer(question.function, exception=int(found.rsplit(maxsplit=1)[-1]))
        if question.function in {Function.READ_COILS, Function.READ_DISCRETE}:
            found = (*found, *(0,) * (-len(found) % 8))
        return Answer(question.function, found)
