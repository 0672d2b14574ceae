"""An ECHONET Lite unit that answers from a recording: the newest recorded content of each property. Pure.

What we set is kept as a real unit would keep it, until the recording shows that the unit changed it by itself.
"""

from collections.abc import Iterable, Iterator

from gateway.devices.echonet.frames import Esv, Frame, Property, decode
from gateway.devices.recording.events import Datagram
from gateway.faults import Malformed

_TELLING = frozenset({Esv.GET_RES, Esv.GET_SNA, Esv.INF, Esv.INFC})
_INFORMING = frozenset({Esv.INF, Esv.INFC})


type Question = tuple[int, ...]
"""The properties that are asked for together."""


class PropertyImage:
    """``datagrams`` is the whole recording of the unit: the first known content stands in until one is heard."""

    def __init__(self, datagrams: Iterable[Datagram]) -> None:
        self._recorded: dict[int, bytes] = {}
        self._ours: dict[int, bytes] = {}
        self._refused: set[int] = set()
        for datagram in datagrams:
            for held in _contents(datagram):
                self._recorded.setdefault(held.epc, held.edt)

    def heard(self, datagram: Datagram) -> bytes | None:
        """Take in what was recorded next; return it where the unit told it unasked."""
        for held in _contents(datagram):
            if self._recorded.get(held.epc) != held.edt:
                self._ours.pop(held.epc, None)
            self._recorded[held.epc] = held.edt
        frame = _frame(datagram)
        if frame is None or datagram.sent:
            return None
        if frame.esv is Esv.SET_SNA:
            self._refused |= {p.epc for p in frame.properties if p.edt}
        elif frame.esv is Esv.SET_RES:
            self._refused -= {p.epc for p in frame.properties}
        return datagram.data if frame.esv in _INFORMING else None

    def answer(self, datagram: bytes) -> bytes | None:
        """Return what the unit answers to us, None where it says nothing."""
        frame = _frame(Datagram(0.0, "", "", datagram))
        if frame is None or frame.esv not in {Esv.GET, Esv.SET}:
            return None
        if frame.esv is Esv.GET:
            told = tuple(Property(p.epc, self._content(p.epc)) for p in frame.properties)
            esv = Esv.GET_RES if all(p.edt for p in told) else Esv.GET_SNA
        else:
            told = tuple(Property(p.epc, p.edt if p.epc in self._refused else b"") for p in frame.properties)
            esv = Esv.SET_SNA if any(p.edt for p in told) else Esv.SET_RES
            self._ours |= {p.epc: p.edt for p in frame.properties if p.epc not in self._refused}
        return Frame(frame.tid, frame.destination, frame.source, esv, told).encode()

    def holds_ours(self, question: Question) -> bool:
        """Tell whether some of these properties are as we set them."""
        return any(epc in self._ours for epc in question)

    def _content(self, epc: int) -> bytes:
        return self._ours.get(epc, self._recorded.get(epc, b""))


def question_of(datagram: bytes) -> Question | None:
    """Return what is asked in a datagram to a unit, None where nothing is."""
    frame = _frame(Datagram(0.0, "", "", datagram))
    return tuple(p.epc for p in frame.properties) if frame is not None and frame.esv is Esv.GET else None


def answered_by(datagram: Datagram) -> Question | None:
    """Return the question that a unit's datagram answers, None where it answers none."""
    frame = None if datagram.sent else _frame(datagram)
    if frame is None or frame.esv not in {Esv.GET_RES, Esv.GET_SNA}:
        return None
    return tuple(p.epc for p in frame.properties)


def orders_of(datagram: Datagram) -> Iterator[tuple[str, str]]:
    """Yield what is ordered, and how, of a datagram to a unit."""
    frame = _frame(datagram)
    if frame is not None and frame.esv is Esv.SET:
        for held in frame.properties:
            yield f"{datagram.wire} 0x{held.epc:02X}", held.edt.hex(" ").upper()


def _contents(datagram: Datagram) -> tuple[Property, ...]:
    frame = None if datagram.sent else _frame(datagram)
    return tuple(p for p in frame.properties if p.edt) if frame and frame.esv in _TELLING else ()


def _frame(datagram: Datagram) -> Frame | None:
    try:
        return decode(datagram.data)
    except Malformed:
        return None
