"""ECHONET Lite frames, bytes ↔ frozen values; pure. Format 1 only: EHD 10 81, TID, SEOJ, DEOJ, ESV, OPC, properties."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from itertools import batched
from struct import Struct

from gateway.faults import Malformed, Misuse

HEADER = bytes((0x10, 0x81))
CONTROLLER = 0x05FF01
CHARGER_CLASS = 0x027E
_HEAD = Struct(">2sH3s3sBB")
_BITMAP_FROM = 16
"""A property map of this many properties and more is a bitmap."""

type Eoj = int
"""Class group, class and instance in 24 bits."""


class Esv(IntEnum):
    """The services that a controller sends or hears; ``*_SNA`` is "not possible" for at least one property."""

    SET_SNA = 0x51
    GET_SNA = 0x52
    SET = 0x61
    GET = 0x62
    SET_RES = 0x71
    GET_RES = 0x72
    INF = 0x73
    INFC = 0x74
    INFC_RES = 0x7A


@dataclass(frozen=True, slots=True)
class Property:
    """One property (EPC, 0x80 to 0xFF) with its content; empty in a question, an acknowledgement or a refusal."""

    epc: int
    edt: bytes = b""


@dataclass(frozen=True, slots=True)
class Frame:
    """One datagram."""

    tid: int
    source: Eoj
    destination: Eoj
    esv: Esv
    properties: tuple[Property, ...]

    def encode(self) -> bytes:
        """Return the datagram. Raises Misuse for what no frame can hold."""
        if not 0 < len(self.properties) <= 0xFF or any(len(p.edt) > 0xFF for p in self.properties):
            raise Misuse("1 to 255 properties of at most 255 bytes fit into a frame")
        head = _HEAD.pack(
            HEADER,
            self.tid,
            self.source.to_bytes(3),
            self.destination.to_bytes(3),
            self.esv,
            len(self.properties),
        )
        return head + b"".join(bytes((p.epc, len(p.edt))) + p.edt for p in self.properties)


def decode(datagram: bytes) -> Frame:
    """Read a datagram. Raises Malformed for all but a whole frame of format 1 with a known service."""
    if len(datagram) < _HEAD.size:
        raise Malformed(f"{len(datagram)} bytes are no ECHONET Lite frame")
    header, tid, source, destination, service, count = _HEAD.unpack_from(datagram)
    if header != HEADER:
        raise Malformed(f"header {header.hex()}")
    try:
        esv = Esv(service)
    except ValueError:
        raise Malformed(f"service 0x{service:02x}") from None
    properties: list[Property] = []
    at = _HEAD.size
    for _ in range(count):
        if at + 2 > len(datagram):
            raise Malformed("cut off before a property")
        epc, size = datagram[at], datagram[at + 1]
        at += 2
        if epc < 0x80 or at + size > len(datagram):
            raise Malformed(f"property 0x{epc:02x} of {size} bytes")
        properties.append(Property(epc, datagram[at : at + size]))
        at += size
    if not properties or at != len(datagram):
        raise Malformed("no property, or bytes after the last one")
    return Frame(tid, int.from_bytes(source), int.from_bytes(destination), esv, tuple(properties))


def property_map(edt: bytes) -> frozenset[int]:
    """Read a property map (0x9D, 0x9E, 0x9F): a list of up to 15, else 16 bytes whose bit ``n`` of byte ``i`` is
    EPC ``0x80 + 0x10 n + i``. Raises Malformed when count and content disagree."""
    if not edt:
        raise Malformed("empty property map")
    count, body = edt[0], edt[1:]
    if count < _BITMAP_FROM:
        found = frozenset(body)
    else:
        found = frozenset(
            0x80 + 0x10 * n + i for i, bits in enumerate(body) for n in range(8) if bits >> n & 1
        )
        if len(body) != 16:
            raise Malformed(f"property map of {len(body)} bytes")
    if len(found) != count or any(epc < 0x80 for epc in found):
        raise Malformed(f"property map says {count} properties and has {len(found)}")
    return found


def asked(epcs: Iterable[int], at_most: int) -> list[tuple[Property, ...]]:
    """Split a question about many properties into questions about ``at_most`` each."""
    return [tuple(Property(epc) for epc in some) for some in batched(sorted(epcs), at_most, strict=False)]
