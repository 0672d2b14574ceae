"""One ECHONET Lite unit over UDP: questions that are repeated, orders that are not. Datagrams that do not fit are dropped.

Units answer to port 3610 whatever port asked (the standard's rule, older units keep it), so the gateway listens there.
"""

import asyncio
import contextlib
import ipaddress
import logging
import socket
from collections.abc import Callable, Iterable

from gateway.devices.clock import monotonic
from gateway.devices.echonet.ear import Ear, hear
from gateway.devices.echonet.frames import CHARGER_CLASS, CONTROLLER, Esv, Frame, Property, asked, decode
from gateway.devices.recording.events import Datagram, Turn
from gateway.devices.recording.wires import WIRES
from gateway.faults import Malformed, Refused, Unreachable

LOGGER = logging.getLogger(__name__)

PORT = 3610
TRIES = 3
ANSWER_S = 1.0
AT_ONCE = 8
"""Small units answer a short list of properties only."""
_ANSWERS = {Esv.GET: {Esv.GET_RES, Esv.GET_SNA}, Esv.SET: {Esv.SET_RES, Esv.SET_SNA}}


class Node:
    """The charger object of one unit. One question at a time; ``on_inform`` is called when the unit told something itself."""

    def __init__(
        self,
        host: str,
        port: int,
        instance: int,
        listen: tuple[str, int],
        on_inform: Callable[[], None],
        *,
        answer_s: float = ANSWER_S,
    ) -> None:
        self.name = f"{host}:{port} 0x{CHARGER_CLASS:04X}-{instance}"
        self._wires = WIRES.get()
        self._wire = self._wires.name("udp", self.name)
        self._at = (host, port)
        self._object = CHARGER_CLASS << 8 | instance
        self._listen = listen
        self._on_inform = on_inform
        self._answer_s = answer_s
        self._address = ""
        self._transport: asyncio.DatagramTransport | Ear | None = None
        self._tid = 0
        self._waiting: tuple[int, Esv, asyncio.Future[Frame]] | None = None

    async def connect(self) -> None:
        """Open the socket anew. Raises Unreachable when the name or the local port is not to be had."""
        self.close()
        played: asyncio.DatagramTransport | None = self._wires.udp(self._wire, self._receive)
        if played is not None:
            self._address, self._transport = self._at[0], played
            return
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(*self._at, family=socket.AF_INET, type=socket.SOCK_DGRAM)
            self._address = str(found[0][4][0])
            self._transport = ear = await hear(self._listen, self._receive)
        except OSError as error:
            raise Unreachable(
                f"no way from port {self._listen[1]} to {self._at[0]}: {error.strerror}"
            ) from None
        self._tell(Turn(monotonic(), self._wire, up=True))
        if not ipaddress.ip_address(self._address).is_loopback:
            self._join(ear)

    def close(self) -> None:
        """Leave the socket."""
        transport, self._transport = self._transport, None
        if isinstance(transport, Ear):
            transport.leave(self._receive)
        elif transport is not None:
            transport.close()

    async def get(self, epcs: Iterable[int]) -> dict[int, bytes]:
        """Ask for properties, three times at most; those the unit cannot tell now are missing. Raises Unreachable."""
        contents: dict[int, bytes] = {}
        for properties in asked(epcs, AT_ONCE):
            answer = await self._ask(Esv.GET, properties, TRIES)
            contents |= {p.epc: p.edt for p in answer.properties if p.edt}
        return contents

    async def set(self, epc: int, edt: bytes) -> None:
        """Order one property, once. Raises Refused on a no, Unreachable when nothing came back."""
        answer = await self._ask(Esv.SET, (Property(epc, edt),), 1)
        if answer.esv is Esv.SET_SNA:
            raise Refused(f"the unit says no to 0x{epc:02X} = {edt.hex()}")

    async def _ask(self, esv: Esv, properties: tuple[Property, ...], tries: int) -> Frame:
        if self._transport is None:
            raise Unreachable("not connected")
        self._tid = self._tid % 0xFFFF + 1
        frame = Frame(self._tid, CONTROLLER, self._object, esv, properties)
        answer = asyncio.get_running_loop().create_future()
        self._waiting = (self._tid, esv, answer)
        try:
            for _ in range(tries):
                self._send(frame)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._answer_s):
                        return await asyncio.shield(answer)
            raise Unreachable("no answer")
        finally:
            self._waiting = None
            answer.cancel()

    def _send(self, frame: Frame) -> None:
        if self._transport is not None:
            datagram = frame.encode()
            self._transport.sendto(datagram, (self._address, self._at[1]))
            self._tell(Datagram(monotonic(), self._wire, self._address, datagram, sent=True))

    def _tell(self, event: Datagram | Turn) -> None:
        if self._wires.remembering:
            self._wires.tell(event)

    def _receive(self, datagram: bytes, address: str) -> None:
        if address != self._address:
            return
        self._tell(Datagram(monotonic(), self._wire, address, datagram))
        try:
            frame = decode(datagram)
        except Malformed as error:
            LOGGER.debug("%s: %s", self.name, error)
            return
        if frame.source != self._object:
            return
        if frame.esv in {Esv.INF, Esv.INFC}:
            self._take_inform(frame)
        elif self._waiting is not None and not self._waiting[2].done():
            tid, asked_for, answer = self._waiting
            if frame.tid == tid and frame.esv in _ANSWERS[asked_for]:
                answer.set_result(frame)

    def _take_inform(self, frame: Frame) -> None:
        """An inform is a hint to look; one that wants an acknowledgement gets it."""
        if frame.esv is Esv.INFC:
            heard = tuple(Property(p.epc) for p in frame.properties)
            self._send(Frame(frame.tid, CONTROLLER, frame.source, Esv.INFC_RES, heard))
        self._on_inform()

    def _join(self, ear: Ear) -> None:
        """Listen to what units tell everybody; where that is not possible, polling must do."""
        try:
            ear.join()
        except OSError as error:
            LOGGER.info("%s: no informs, polling only: %s", self.name, error.strerror)
