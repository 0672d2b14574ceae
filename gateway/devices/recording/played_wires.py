"""A recording in the place of the wires: CAN buses that hear it, Modbus units that answer from it."""

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, override

import can

from gateway.devices.clock import monotonic
from gateway.devices.recording.events import Event, Exchange, Frame, Turn, Wire
from gateway.devices.recording.registers import RegisterImage
from gateway.devices.recording.wires import Wires

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


@dataclass
class _Unit:
    """A Modbus unit: what it answers, how fast, and whether it can be reached."""

    registers: Registers
    latency_s: float = LATENCY_S
    reachable: bool = True
    clients: list[_Client] = field(default_factory=list)
    due: dict[Asked, deque[float]] = field(default_factory=dict)
    waiting: dict[Asked, list[asyncio.Future[None]]] = field(default_factory=dict)

    async def moment(self, function: int, address: int, count: int, now_s: float) -> None:
        """Wait for the moment at which this question was answered."""
        due = self.due.get((function, address, count))
        own = isinstance(self.registers, RegisterImage) and self.registers.holds_ours(
            function, address, count
        )
        if due and due[0] - now_s <= SOON_S and not own:
            answered = asyncio.get_running_loop().create_future()
            self.waiting.setdefault((function, address, count), []).append(answered)
            await answered
        else:
            await asyncio.sleep(self.latency_s)

    def hear(self, exchange: Exchange) -> None:
        """Let the unit answer as it was recorded."""
        asked = exchange.function, exchange.address, exchange.count
        if isinstance(self.registers, RegisterImage):
            self.registers.heard(exchange)
            self.due[asked].popleft()
        for answered in self.waiting.pop(asked, ()):
            if not answered.done():
                answered.set_result(None)


class PlayedWires(Wires):
    """``stand_ins`` answer as Modbus units of that name; every other one answers from the ``events``.

    ``on_told`` hears what our buses tell; ``zero`` is the loop's time of the first event.
    """

    observed = remembering = True
    zero = 0.0

    def __init__(
        self,
        events: tuple[Event, ...],
        stand_ins: Mapping[str, Registers],
        on_told: Callable[[Event], None],
    ) -> None:
        self._short = {event.name: event.wire for event in events if isinstance(event, Wire)}
        self._buses: dict[str, list[PlayedCan]] = {}
        self._down: dict[str, str] = {}
        self._units = {name: _Unit(registers) for name, registers in stand_ins.items()}
        exchanges: dict[str, list[Exchange]] = {}
        for event in events:
            if isinstance(event, Exchange):
                exchanges.setdefault(event.wire, []).append(event)
        for wire, told in exchanges.items():
            unit = self._units[wire] = _Unit(RegisterImage(told))
            for exchange in told:
                asked = exchange.function, exchange.address, exchange.count
                unit.due.setdefault(asked, deque()).append(exchange.at_s)
        self._heard = sorted({event.bus for event in events if isinstance(event, Frame)})
        self._on_told = on_told

    @override
    def name(self, kind: str, full: str) -> str:
        if full in self._short:
            return self._short[full]
        channel = full.partition(" ")[2]
        if kind == "can" and channel in self._heard:
            return channel
        return self._heard[0] if kind == "can" and len(self._heard) == 1 else full

    @override
    def tell(self, event: Event) -> None:
        self._on_told(event)

    @override
    def can(self, wire: str) -> PlayedCan:
        if why := self._down.get(wire):
            raise can.CanInitializationError(why)
        bus = PlayedCan(wire)
        self._buses.setdefault(wire, []).append(bus)
        return bus

    @override
    def modbus(self, wire: str, changed: Callable[[bool], None]) -> Any:
        return _Client(self, self._units.setdefault(wire, _Unit(RegisterImage())), changed)

    def play(self, event: Event) -> None:
        """Let the wires do what was recorded."""
        match event:
            case Frame(_, bus):
                for played in self._buses.get(bus, ()):
                    played.put(event)
            case Exchange(_, wire):
                self._units[wire].hear(event)
            case Turn(_, wire, up, why) if wire in self._units:
                self._units[wire].reachable = up
                for client in tuple(self._units[wire].clients) if not up else ():
                    client.lose()
            case Turn(_, wire, up, why):
                self._down.update({wire: "" if up else why or "lost"})
                for played in self._buses.get(wire, ()) if not up else ():
                    played.fail(why or "lost")
            case _:
                pass


class PlayedCan(can.BusABC):
    """A bus that hears what is put on it; what is sent on it goes nowhere."""

    def __init__(self, wire: str) -> None:
        super().__init__(wire)
        self._frames: deque[can.Message] = deque()
        self._why = ""
        self._ready = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    def put(self, frame: Frame) -> None:
        """Let the bus hear a frame."""
        if self._ready >= 0:
            self._frames.append(
                can.Message(arbitration_id=frame.can_id, data=frame.data, is_extended_id=False, check=False)
            )
            os.eventfd_write(self._ready, 1)

    def fail(self, why: str) -> None:
        """Let the next look at the bus fail."""
        if self._ready >= 0:
            self._why = why
            os.eventfd_write(self._ready, 1)

    @override
    def fileno(self) -> int:
        return self._ready

    @override
    def recv(self, timeout: float | None = None) -> can.Message | None:
        if self._why:
            raise can.CanOperationError(self._why)
        if self._frames:
            return self._frames.popleft()
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._ready)
        return None

    @override
    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        """Nobody listens."""

    @override
    def send_periodic(self, *arguments: Any, **more: Any) -> Any:
        """Begin nothing: the caller tells each frame by itself."""
        return _Periodic()

    @override
    def shutdown(self) -> None:
        super().shutdown()
        if self._ready >= 0:
            os.close(self._ready)
            self._ready = -1


class _Periodic:
    def modify_data(self, message: can.Message) -> None:
        """Nobody listens."""

    def stop(self) -> None:
        """Nothing was begun."""


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

    def __init__(self, wires: PlayedWires, unit: _Unit, changed: Callable[[bool], None]) -> None:
        self.connected = False
        self._wires = wires
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
        await self._unit.moment(function, address, count, monotonic() - self._wires.zero)
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
