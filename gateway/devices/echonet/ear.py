"""One UDP socket for all units that answer to the same port of this machine: they answer to 3610, whoever asked."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from weakref import WeakKeyDictionary

type Receive = Callable[[bytes, str], None]
type Address = tuple[str, int]

GROUP = "224.0.23.0"
"""Where units tell everybody what has changed."""


class Ear(asyncio.DatagramProtocol):
    """The socket. Every datagram goes to everyone who hears by it; each knows its own unit."""

    def __init__(self, at: Address) -> None:
        self._at = at
        self.receivers: list[Receive] = []
        self._transport: asyncio.DatagramTransport
        self._joined = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Pass it on."""
        for receive in tuple(self.receivers):
            receive(data, addr[0])

    def sendto(self, datagram: bytes, to: Address) -> None:
        """Send."""
        self._transport.sendto(datagram, to)

    @property
    def closed(self) -> bool:
        """Whether the socket is gone."""
        return self._transport.is_closing()

    def join(self) -> None:
        """Listen to what units tell everybody. Raises OSError where that is not possible."""
        if not self._joined:
            membership = struct.pack("=4s4s", socket.inet_aton(GROUP), socket.inet_aton(self._at[0]))
            own = self._transport.get_extra_info("socket")
            own.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, membership)
            self._joined = True

    def leave(self, receive: Receive) -> None:
        """Hear no more; who leaves last closes the socket."""
        with contextlib.suppress(ValueError):
            self.receivers.remove(receive)
        if not self.receivers:
            self._transport.close()
            ears = _EARS[asyncio.get_running_loop()]
            if ears.get(self._at) is self:
                del ears[self._at]


_EARS: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Address, Ear]] = WeakKeyDictionary()


async def hear(at: Address, receive: Receive) -> Ear:
    """Let ``receive`` hear what comes to ``at``; port 0 is a port of its own. Raises OSError when it is not to be had."""
    loop = asyncio.get_running_loop()
    ears = _EARS.setdefault(loop, {})
    ear = ears.get(at)
    if ear is None or ear.closed:
        _, ear = await loop.create_datagram_endpoint(lambda: Ear(at), local_addr=at, family=socket.AF_INET)
        if at[1]:
            ears[at] = ear
    ear.receivers.append(receive)
    return ear
