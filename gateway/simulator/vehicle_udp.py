"""The UDP port of the vehicle bench: an address on loopback, taken if it is free, else spoken to; and who speaks there."""

import asyncio
import contextlib
import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

EXAMPLE = "udp://127.0.0.1:5100"
MOST_PEERS = 32

type Address = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where the vehicle program is, or will be; ``own_port`` 0 leaves ours to circumstances."""

    host: str
    port: int
    own_port: int = 0


def read_place(url: str) -> Place:
    """Read ``udp://HOST:PORT[?from=PORT]``. Raises ValueError that says what to write."""
    parts = urlsplit(url)
    try:
        port = parts.port
    except ValueError:
        port = None
    if parts.scheme != "udp" or not parts.hostname or not port:
        raise ValueError(f"{url}: write for example {EXAMPLE}")
    host = "127.0.0.1" if parts.hostname == "localhost" else parts.hostname
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ValueError(
            f"{url}: only loopback is allowed, for example {EXAMPLE}; a car is no business of a network"
        )
    asked = parse_qs(parts.query, keep_blank_values=True)
    own = asked.pop("from", ["0"])[-1]
    if asked or not own.isdecimal() or int(own) > 65535:
        raise ValueError(f"{url}: after ? only from=PORT is known, for example {EXAMPLE}?from=5101")
    return Place(host, port, int(own))


def open_socket(place: Place) -> tuple[socket.socket, bool]:
    """Return a bound socket, and whether the vehicle program has to come to us. Raises OSError."""
    six = ":" in place.host
    opened = socket.socket(socket.AF_INET6 if six else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        if six:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVERR, 1)
        else:
            opened.setsockopt(socket.IPPROTO_IP, socket.IP_RECVERR, 1)
        return opened, _bind(opened, place)
    except OSError:
        opened.close()
        raise


def _bind(opened: socket.socket, place: Place) -> bool:
    if place.own_port:
        opened.bind((place.host, place.own_port))
        return False
    try:
        opened.bind((place.host, place.port))
    except OSError:
        opened.bind((place.host, 0))
        return False
    return True


class VehiclePort(asyncio.DatagramProtocol):
    """Sends each text to all peers, one a datagram. A peer is who has sent anything, and who is known beforehand.

    Each is answered in its own fashion: with a line end, if it sends such.
    """

    def __init__(
        self,
        opened: socket.socket,
        on_datagram: Callable[[bytes], None],
        on_peer: Callable[[Address], None],
    ) -> None:
        self.refused = False
        self._socket = opened
        self._on_datagram = on_datagram
        self._on_peer = on_peer
        self._ends: dict[Address, bytes] = {}

    def know(self, place: Place) -> None:
        """Speak to ``place`` from now on, though it has not spoken yet."""
        self._ends[(place.host, place.port, 0, 0) if ":" in place.host else (place.host, place.port)] = b""

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Note who speaks, and how; pass it on."""
        known = self._ends.pop(addr, None)
        self._ends[addr] = next((end for end in (b"\r\n", b"\n") if data.endswith(end)), b"")
        if len(self._ends) > MOST_PEERS:
            del self._ends[next(iter(self._ends))]
        if known is None:
            self._on_peer(addr)
        self._on_datagram(data)

    def error_received(self, exc: Exception) -> None:
        """Nobody is there at the moment. The queue of such errors has to be emptied, else it wakes us for ever."""
        self.refused = True
        with contextlib.suppress(OSError):
            while True:
                self._socket.recvmsg(1, 512, socket.MSG_ERRQUEUE)

    def tell(self, text: str, address: Address | None = None) -> None:
        """Send ``text`` to one peer, or to all; what a full socket does not take is lost, as on a full bus."""
        for peer, end in self._ends.items() if address is None else ((address, self._ends[address]),):
            self._send(text.encode() + end, peer)

    def _send(self, datagram: bytes, peer: Address) -> None:
        """Send past the error that an earlier peer, now gone, has left on the socket."""
        with contextlib.suppress(BlockingIOError):
            try:
                self._socket.sendto(datagram, peer)
            except ConnectionRefusedError as error:
                self.error_received(error)
                with contextlib.suppress(ConnectionRefusedError):
                    self._socket.sendto(datagram, peer)
