"""One Modbus TCP connection: whole answers or an error of ours, in bounded time (reference/modbus.md 7).

A read is asked twice at most; a write is sent once, because nobody knows what an
unanswered write did. Addresses are the 0-based numbers on the wire.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from gateway.devices import Sink
from gateway.devices.clock import monotonic
from gateway.devices.modbus_tcp import Answer, Connection, Function, Question
from gateway.devices.recording import events
from gateway.devices.recording.wires import WIRES
from gateway.faults import FaultCode, Malformed, Refused, Theirs, Unreachable

LOGGER = logging.getLogger(__name__)

READ_TRIES = 2
BUSY_PAUSE_S = 0.1
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 30.0

BUSY = frozenset({5, 6})
NO_SUCH_ADDRESS = 2
NOBODY_BEHIND = frozenset({10, 11})
EXCEPTIONS = {
    1: "illegal function",
    2: "illegal address",
    3: "illegal value",
    4: "device failure",
    5: "acknowledged, still working",
    6: "busy",
    10: "no path behind the Modbus gateway",
    11: "no answer behind the Modbus gateway",
}


class _Busy(Refused):
    """The device asks to come again later."""


class NoSuchAddress(Refused):
    """The device does not have one of the addresses that were asked for."""


class Client(Protocol):
    """What asks the unit."""

    @property
    def connected(self) -> bool:
        """Tell whether the connection stands."""

    async def connect(self, within_s: float) -> None:
        """Open the connection. Raises OSError."""

    def close(self) -> None:
        """Close the connection."""

    async def ask(self, question: Question) -> Answer:
        """Return the answer, however long that takes. Raises OSError."""


class ModbusBus:
    """One connection to one unit. Every call raises Unreachable, Refused or Malformed; after Unreachable, connect anew."""

    def __init__(self, host: str, port: int, unit: int, *, timeout_s: float = 1.0) -> None:
        self.name = f"{host}:{port} unit {unit}"
        self._wires = WIRES.get()
        self._wire = self._wires.name("mb", self.name)
        self._host = host
        self._port = port
        self._unit = unit
        self._timeout_s = timeout_s
        self._client: Client | None = None
        self._asking: asyncio.Timeout | None = None
        self._turn = asyncio.Lock()

    @property
    def connected(self) -> bool:
        """Tell whether the TCP connection stands."""
        return self._client is not None and self._client.connected

    async def connect(self) -> None:
        """Open the connection, replacing an old one. Raises Unreachable."""
        self.close()
        client: Client = self._wires.modbus(self._wire, self._connection_lost) or Connection(
            self._host, self._port, self._unit, self._connection_lost
        )
        try:
            await client.connect(self._timeout_s)
        except OSError:
            self._tell_turn(up=False, why="no connection")
            raise Unreachable("no connection") from None
        self._client = client
        self._tell_turn(up=True)

    def close(self) -> None:
        """Close the connection; a call under way ends with Unreachable at once."""
        client, self._client = self._client, None
        if client is not None:
            client.close()
            self._connection_lost()

    async def read_holding(self, address: int, count: int) -> tuple[int, ...]:
        """Read ``count`` (1..125) holding registers (function 3)."""
        return await self._read(Question(Function.READ_HOLDING, address, count))

    async def read_input(self, address: int, count: int) -> tuple[int, ...]:
        """Read ``count`` (1..125) input registers (function 4)."""
        return await self._read(Question(Function.READ_INPUT, address, count))

    async def read_coils(self, address: int, count: int) -> tuple[bool, ...]:
        """Read ``count`` (1..2000) coils (function 1)."""
        return await self._read_bits(Question(Function.READ_COILS, address, count))

    async def read_discrete(self, address: int, count: int) -> tuple[bool, ...]:
        """Read ``count`` (1..2000) discrete inputs (function 2)."""
        return await self._read_bits(Question(Function.READ_DISCRETE, address, count))

    async def write_registers(self, address: int, values: Sequence[int]) -> None:
        """Write 1..123 holding registers (function 16), once."""
        await self._ask(Question(Function.WRITE_REGISTERS, address, len(values), tuple(values)))

    async def write_register(self, address: int, value: int) -> None:
        """Write one holding register (function 6), once."""
        await self._ask(Question(Function.WRITE_REGISTER, address, 1, (value,)))

    async def write_coil(self, address: int, on: bool) -> None:
        """Write one coil (function 5), once."""
        await self._ask(Question(Function.WRITE_COIL, address, 1, (int(on),)))

    async def write_and_verify(self, address: int, values: Sequence[int]) -> None:
        """Write holding registers once and read them back. Raises Refused when the device kept something else."""
        await self.write_registers(address, values)
        kept = await self.read_holding(address, len(values))
        if kept != tuple(values):
            raise Refused(f"wrote {list(values)} at {address}, the device kept {list(kept)}")

    async def _read(self, question: Question) -> tuple[int, ...]:
        answer = await self._ask_again(question)
        if len(answer.values) != question.count:
            raise Malformed(f"asked for {question.count} registers, got {len(answer.values)}")
        return answer.values

    async def _read_bits(self, question: Question) -> tuple[bool, ...]:
        """Read bits, without the padding to whole bytes."""
        answer = await self._ask_again(question)
        if len(answer.values) != (question.count + 7) // 8 * 8:
            raise Malformed(f"asked for {question.count} bits, got {len(answer.values)}")
        return tuple(map(bool, answer.values[: question.count]))

    async def _ask_again(self, question: Question) -> Answer:
        """Ask; where the answer is missing or "busy", ask once more."""
        for _ in range(READ_TRIES - 1):
            try:
                return await self._ask(question, last=False)
            except _Busy:
                await asyncio.sleep(BUSY_PAUSE_S)
            except Unreachable:
                if not self.connected:
                    raise
        return await self._ask(question)

    async def _ask(self, question: Question, *, last: bool = True) -> Answer:
        """Send one question, one at a time; an unanswered ``last`` one closes the connection."""
        async with self._turn:
            client = self._client
            if client is None or not client.connected:
                raise Unreachable("not connected")
            asked_at = monotonic()
            try:
                async with asyncio.timeout(self._timeout_s) as self._asking:
                    answer = await client.ask(question)
            except OSError:  # a timeout is one
                self._tell(question, asked_at, None)
                if last or not client.connected:
                    self.close()
                raise Unreachable("no answer") from None
            finally:
                self._asking = None
        self._tell(question, asked_at, answer)
        _judge(question, answer)
        return answer

    def _tell(self, question: Question, asked_at: float, answer: Answer | None) -> None:
        """Tell whoever records; None is no answer."""
        if not self._wires.remembering:
            return
        now = monotonic()
        values, error = question.values, ""
        if answer is None:
            error = "silent"
        elif answer.exception:
            error = f"exception {answer.exception}"
        elif not values:
            values = answer.values[: question.count]
        told = (question.function, question.address, question.count, values, error, now - asked_at)
        self._wires.tell(events.Exchange(now, self._wire, *told))

    def _tell_turn(self, *, up: bool, why: str = "") -> None:
        self._wires.tell(events.Turn(monotonic(), self._wire, up, why))

    def _connection_lost(self) -> None:
        """End the call under way as soon as its connection is lost, instead of at its timeout."""
        self._tell_turn(up=False, why="closed")
        if self._asking is not None and not self._asking.expired():
            self._asking.reschedule(asyncio.get_running_loop().time())


def _judge(question: Question, answer: Answer) -> None:
    """Raise what an exception answer means, or one that answers something else."""
    if answer.exception:
        said = f"{EXCEPTIONS.get(answer.exception, 'exception')} ({answer.exception})"
        if answer.exception in BUSY:
            raise _Busy(said)
        if answer.exception in NOBODY_BEHIND:
            raise Unreachable(said)
        raise (NoSuchAddress if answer.exception == NO_SUCH_ADDRESS else Refused)(said)
    if answer.function != question.function:
        raise Malformed(f"asked by function {question.function}, answered by {answer.function}")


class Connected(Protocol):
    """What can be kept connected; ``name`` is for the log."""

    @property
    def name(self) -> str:
        """Where the device answers."""

    async def connect(self) -> None:
        """Open it, replacing an old one. Raises Theirs."""

    def close(self) -> None:
        """Close it."""


async def keep_connected(
    bus: Connected,
    sink: Sink,
    begin: Callable[[], Awaitable[None]],
    serve: Callable[[], Awaitable[None]],
    *,
    first_pause_s: float = FIRST_PAUSE_S,
) -> None:
    """Run a device's connection until cancelled: connect, ``begin``, ``serve``, and again with growing pauses.

    ``begin`` proves that the device answers (it reads its identity); ``serve`` polls until it raises. Whatever of
    Theirs they raise counts as loss: DEVICE_UNREACHABLE is raised and logged once, cleared and logged once.
    """
    lost, pause_s = False, first_pause_s
    clock = asyncio.get_running_loop().time
    try:
        while True:
            answered_at = None
            try:
                await bus.connect()
                await begin()
                answered_at = clock()
                sink.clear(FaultCode.DEVICE_UNREACHABLE)
                if lost:
                    LOGGER.info("%s answers again", bus.name)
                lost = False
                await serve()
            except* Theirs as group:
                reason = _first(group)
                sink.fault(FaultCode.DEVICE_UNREACHABLE, str(reason))
                if not lost:
                    LOGGER.warning("lost %s: %s", bus.name, reason)
                lost = True
            bus.close()
            held = answered_at is not None and clock() - answered_at > pause_s
            pause_s = first_pause_s if held else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
    finally:
        bus.close()


def _first(group: BaseExceptionGroup[Theirs]) -> BaseException:
    first: BaseException = group
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
