"""An ECHONET Lite unit that answers from a recording, behind a datagram transport in the shape of asyncio."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable

from gateway.devices.recording.events import Datagram
from gateway.devices.recording.properties import PropertyImage, Question, answered_by, question_of

LATENCY_S = 0.002
SOON_S = 0.9
"""As in played_modbus.py; units are polled about once a second, and waited for as long."""


class PlayedNode:
    """``datagrams`` is the whole recording of the unit; ``now_s`` tells the time since the first recorded event."""

    def __init__(self, datagrams: Iterable[Datagram], now_s: Callable[[], float]) -> None:
        told = tuple(datagrams)
        self.reachable = True
        self.transports: list[_Transport] = []
        self._image = PropertyImage(told)
        self._now_s = now_s
        self._due: dict[Question, deque[float]] = {}
        self._waiting: dict[Question, list[Callable[[], None]]] = {}
        for datagram in told:
            if (question := answered_by(datagram)) is not None:
                self._due.setdefault(question, deque()).append(datagram.at_s)

    def hear(self, datagram: Datagram) -> None:
        """Let the unit answer as it was recorded, and tell what it told unasked."""
        told = self._image.heard(datagram)
        if (question := answered_by(datagram)) is not None:
            self._due[question].popleft()
            for answer in self._waiting.pop(question, ()):
                answer()
        if told is not None:
            for transport in tuple(self.transports):
                transport.receive(told, transport.address)

    def ask(self, data: bytes, answer: Callable[[bytes], None]) -> None:
        """Answer a datagram: at the moment at which this question was answered, where that is soon."""

        def now() -> None:
            if (told := self._image.answer(data)) is not None:
                answer(told)

        question = question_of(data)
        due = self._due.get(question) if question is not None else None
        if question and due and due[0] - self._now_s() <= SOON_S and not self._image.holds_ours(question):
            self._waiting.setdefault(question, []).append(now)
        elif self.reachable:
            asyncio.get_running_loop().call_later(LATENCY_S, now)

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
        """Ask the unit."""
        self.address = address[0]
        self._node.ask(data, self._answered)

    def _answered(self, answer: bytes) -> None:
        if self in self._node.transports:
            self.receive(answer, self.address)

    def close(self) -> None:
        """Leave."""
        if self in self._node.transports:
            self._node.transports.remove(self)
