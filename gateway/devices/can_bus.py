"""One CAN bus over python-can: receive, send in a rhythm, come back after loss."""

import asyncio
import contextlib
import errno
import logging
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, override

import can
from can.typechecking import CanFilter

from gateway.devices.recording import events
from gateway.devices.recording.wires import WIRES
from gateway.devices.slcan import EVERY_ID, SlcanBus
from gateway.faults import Misuse, Unreachable

LOGGER = logging.getLogger(__name__)
logging.getLogger("can").setLevel(logging.CRITICAL)

BITRATE = 500_000
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 10.0
KERNEL_CYCLIC = frozenset({"socketcan"})
"""Interfaces on which the kernel keeps the rhythm, whatever Python is doing; it ends with our process.

Each frame is handed over whole in one call, so that no half-changed one goes out, and a change keeps the rhythm.
"""
NET_CLASS = Path("/sys/class/net")
BUS_OFF_BIT = 0x40
"""In the id of an error frame of the kernel. python-can can tell of a bus-off and cannot end it."""
BUS_OFF = (
    "bus-off: check wiring and bit rate; with `ip link set {} type can restart-ms 100` it recovers by itself"
)

GATHER_S = 0.02
"""What comes within this is taken in one go, for to wake up is dear."""

type Frame = tuple[int, bytes]
type Receiver = Callable[[int, bytes], None]


class CanBus:
    """``run`` keeps the bus open; while it is down, ``up`` is False and what is published is lost.

    ``listen_only``: nothing can be sent, and an slcan adapter does not acknowledge either. On SocketCAN that last is a
    setting of the interface (``ip link set can0 type can listen-only on``), which is not ours to make.
    Other frames than ``ids`` need not be received, and are not where that saves work, unless somebody records.
    ``gather_s``: how late a frame may be heard, on a bus that is so busy that each waking counts.
    """

    def __init__(
        self,
        interface: str,
        channel: str,
        *,
        bitrate: int = BITRATE,
        listen_only: bool = False,
        ids: frozenset[int] = EVERY_ID,
        gather_s: float = GATHER_S,
    ) -> None:
        self.name = f"{interface} {channel}"
        self.problem = ""
        self._wires = WIRES.get()
        self._wire = self._wires.name("can", self.name)
        self._interface = interface
        self._channel = channel
        self._bitrate = bitrate
        self._listen_only = listen_only
        self._wanted, self._received = ids, EVERY_ID
        self._gather_s = gather_s
        self._played = False
        self._bus: can.BusABC | None = None
        self._lost: asyncio.Future[str] | None = None
        self._cyclic: dict[int, tuple[bytes, Any]] = {}

    @property
    def up(self) -> bool:
        """The bus is open and has not failed."""
        return self._bus is not None and self._lost is not None and not self._lost.done()

    async def run(self, receive: Receiver) -> None:
        """Open, pass on what comes as ``receive(id, data)``, reopen with pauses of 1 to 10 s; until cancelled."""
        loop = asyncio.get_running_loop()
        pause_s, lost = FIRST_PAUSE_S, False
        while True:
            self._lost = loop.create_future()
            opened_at = loop.time()
            try:
                with self._opened(partial(self._hear, receive)):
                    self.problem = ""
                    self._wires.tell(events.Turn(loop.time(), self._wire, True))
                    if lost:
                        LOGGER.info("CAN bus %s is back", self.name)
                    lost = False
                    self.problem = await self._lost
            except Unreachable as error:
                self.problem = str(error)
            self._wires.tell(events.Turn(loop.time(), self._wire, False, self.problem))
            if not lost:
                LOGGER.warning("CAN bus %s is lost: %s", self.name, self.problem)
            lost = True
            pause_s = FIRST_PAUSE_S if loop.time() - opened_at > pause_s else pause_s
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)

    def publish(self, frames: Sequence[Frame], period_s: float) -> None:
        """Keep ``frames``, and no others, going every ``period_s``; the caller calls again in that rhythm.

        Where the kernel keeps the rhythm only changes are handed to it; elsewhere the frames are sent now, in order.
        """
        with self._sending() as bus:
            if bus is not None and self._interface in KERNEL_CYCLIC:
                self._hand_over(bus, frames, period_s)
            elif bus is not None:
                for can_id, data in frames:
                    bus.send(_message(can_id, data), timeout=0)
            if bus is not None:
                self._note(frames, sent=True)

    def send(self, can_id: int, data: bytes) -> None:
        """Send one frame now, once; lost while the bus is down. Raises Misuse on a bus that only listens."""
        with self._sending() as bus:
            if bus is not None:
                bus.send(_message(can_id, data), timeout=0)
                self._note(((can_id, data),), sent=True)

    @contextlib.contextmanager
    def _sending(self) -> Iterator[can.BusABC | None]:
        """Give the bus, None while it is down, and take what goes wrong for its loss."""
        if self._listen_only:
            raise Misuse(f"{self.name} only listens")
        try:
            yield self._bus if self.up else None
        except can.CanError as error:
            # Nobody acknowledges while the car sleeps; the queue of the interface fills up, and that is no loss.
            if error.error_code != errno.ENOBUFS:
                self._fail(str(error))
        except OSError as error:
            self._fail(str(error))

    def _hear(self, receive: Receiver, can_id: int, data: bytes) -> None:
        if self._wires.observed:
            self._note(((can_id, data),), sent=False)
        receive(can_id, data)

    def _note(self, frames: Sequence[Frame], *, sent: bool) -> None:
        """Tell whoever records."""
        if self._wires.observed:
            now = asyncio.get_running_loop().time()
            for can_id, data in frames:
                self._wires.tell(events.Frame(now, self._wire, can_id, data, sent))

    def _hand_over(self, bus: can.BusABC, frames: Sequence[Frame], period_s: float) -> None:
        wanted = dict(frames)
        for can_id in self._cyclic.keys() - wanted.keys():
            self._cyclic.pop(can_id)[1].stop()
        for can_id, data in frames:
            going, task = self._cyclic.get(can_id, (b"", None))
            if task is None:
                task = bus.send_periodic(_message(can_id, data), period_s)
            elif going != data:
                task.modify_data(_message(can_id, data))
            self._cyclic[can_id] = (data, task)

    @contextlib.contextmanager
    def _opened(self, receive: Receiver) -> Any:
        """Hold the bus open and its frames flowing. Raises Unreachable."""
        if self._interface in KERNEL_CYCLIC and not _has_carrier(self._channel):
            raise Unreachable(BUS_OFF.format(self._channel))
        try:
            bus = self._open()
        except (can.CanError, OSError, ValueError) as error:
            raise Unreachable(f"{self.name}: {error}") from error
        self._bus, self._received = bus, EVERY_ID
        stop_listening = self._listen(bus, receive)
        try:
            yield
        finally:
            stop_listening()
            self._bus = None
            self._cyclic.clear()
            with contextlib.suppress(can.CanError, OSError):
                bus.shutdown()

    def _open(self) -> can.BusABC:
        played: can.BusABC | None = self._wires.can(self._wire)
        self._played = played is not None
        if played is not None:
            return played
        if self._interface == "slcan":
            return SlcanBus(self._channel, self._bitrate, listen_only=self._listen_only)
        return can.Bus(interface=self._interface, channel=self._channel)

    def _look_at_what_is_wanted(self, bus: can.BusABC) -> None:
        """Leave to adapter or kernel what nobody wants; a recording wants everything."""
        ids = EVERY_ID if self._wires.observed else self._wanted
        if ids is self._received:
            return
        self._received = ids
        if isinstance(bus, SlcanBus):
            bus.look_at(ids)
        elif self._interface in KERNEL_CYCLIC:
            each = [CanFilter(can_id=can_id, can_mask=0x7FF, extended=False) for can_id in sorted(ids)]
            bus.set_filters(None if ids is EVERY_ID else each)

    def _listen(self, bus: can.BusABC, receive: Receiver) -> Callable[[], None]:
        """Read on the loop where the bus has a file descriptor, else in a thread of python-can; return what ends it."""
        loop = asyncio.get_running_loop()
        try:
            descriptor = bus.fileno()
        except NotImplementedError, can.CanError:
            ear = _Ear(partial(self._take, receive), self._fail)
            notifier = can.Notifier(bus, [ear], timeout=0.1, loop=loop)
            return notifier.stop
        gathering = _Gathering(loop, descriptor, partial(self._drain, bus, receive))
        return gathering.stop

    def _drain(self, bus: can.BusABC, receive: Receiver) -> float | None:
        """Pass on what has come; return for how long to let more gather, 0 where nothing came, None when the bus is lost."""
        came = False
        try:
            self._look_at_what_is_wanted(bus)
            if isinstance(bus, SlcanBus):
                frames = bus.frames()
                came = frames is not None
                for can_id, data in frames or ():
                    receive(can_id, data)
            else:
                while (message := bus.recv(0)) is not None:
                    came = True
                    self._take(receive, message)
        except (can.CanError, OSError) as error:
            self._fail(str(error))
            return None
        hasty = self._wires.observed or self._played
        return self._gather_s if came and not hasty else 0.0

    def _take(self, receive: Receiver, message: can.Message) -> None:
        """Pass a data frame of 11 bits on; a bus-off is the loss of the bus, other errors heal by themselves."""
        if message.is_error_frame:
            if message.arbitration_id & BUS_OFF_BIT:
                self._fail(BUS_OFF.format(self._channel))
        elif not (message.is_remote_frame or message.is_extended_id):
            receive(message.arbitration_id, bytes(message.data))

    def _fail(self, why: str) -> None:
        if self._lost is not None and not self._lost.done():
            self._lost.set_result(why)


class _Gathering:
    """Calls ``take`` when there is something to read, and then as often as it returns until that is 0; None ends it."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, descriptor: int, take: Callable[[], float | None]
    ) -> None:
        self._loop = loop
        self._descriptor = descriptor
        self._take = take
        self._waiting = False
        self._pause: asyncio.TimerHandle | None = None
        self._wait()

    def _wait(self) -> None:
        if not self._waiting:
            self._loop.add_reader(self._descriptor, self._look)
        self._waiting = True

    def _look(self) -> None:
        pause_s: float | None = GATHER_S
        try:
            pause_s = self._take()
        finally:  # a receiver's mistake is told by the loop, and must not leave us deaf
            if pause_s == 0.0:
                self._wait()
            else:
                self._wait_no_more()
            if pause_s:
                self._pause = self._loop.call_later(pause_s, self._look)

    def _wait_no_more(self) -> None:
        if self._waiting:
            self._loop.remove_reader(self._descriptor)
        self._waiting = False

    def stop(self) -> None:
        """Read no more."""
        self._wait_no_more()
        if self._pause is not None:
            self._pause.cancel()


class _Ear(can.Listener):
    """The thread's way to us; python-can calls it on our loop."""

    def __init__(self, take: Callable[[can.Message], None], fail: Callable[[str], None]) -> None:
        self._take = take
        self._fail = fail

    @override
    def on_message_received(self, msg: can.Message) -> None:
        self._take(msg)

    @override
    def on_error(self, exc: Exception) -> None:
        self._fail(str(exc))


def _has_carrier(channel: str) -> bool:
    """Tell whether the kernel's interface is not bus-off; an interface that cannot be asked tells when it is opened."""
    try:
        return (NET_CLASS / channel / "carrier").read_text().strip() != "0"
    except OSError:
        return True


def _message(can_id: int, data: bytes) -> can.Message:
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=False)
