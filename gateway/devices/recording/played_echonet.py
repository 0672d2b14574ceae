"""An ECHONET Lite unit that answers from a recording, behind a datagram transport in the shape of asyncio."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from gateway.devices.recording.events import Datagram
from gateway.devices.recording.properties import PropertyImage

LATENCY_S = 0.002


@dataclass
class PlayedNode:
    """An ECHONET unit."""

    image: PropertyImage
    reachable: bool = True
    transports: list[_Transport] = field(default_factory=list)

    def hear(self, datagram: Datagram) -> None:
        """Let the unit tell what it told unasked."""
        if (told := self.image.heard(datagram)) is not None:
            for transport in tuple(self.transports):
                transport.receive(told, transport.address)

    def transport(self, receive: Callable[[bytes, str], None]) -> _Transport:
        """Return a transport to this unit."""
        return _Transport(self, receive)


class _Transport:
    """A datagram transport to a played unit."""

    def __init__(self, node: PlayedNode, receive: Callable[[bytes, str], None]) -> None:
        self.receive = receive
        self.address = ""
        self._node = node
        node.transports.append(self)

    def sendto(self, data: bytes, address: tuple[str, int]) -> None:
        """Let the unit answer a little later."""
        self.address = address[0]
        if self._node.reachable and (answer := self._node.image.answer(data)) is not None:
            asyncio.get_running_loop().call_later(LATENCY_S, self.receive, answer, address[0])

    def close(self) -> None:
        """Leave."""
        if self in self._node.transports:
            self._node.transports.remove(self)
