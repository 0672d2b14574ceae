"""Our own text form: one event a line, CAN frames as ``candump -L`` writes them, so that other tools read those. Pure.

::

    # {"gateway": "0.1.0", "devices": {...}}
    (1764039600.123456) can0 102#029A010000C93E00 R
    1764039600.125000 mb0 read 4 0 3 = 3 0 3751 (4.2 ms)
    1764039600.126000 mb0 write 16 0 = 2 4100 150 ! exception 2 (3.1 ms)
    1764039600.127000 garage wants {"power_w": 3000.0, ...}
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec

from gateway.devices.recording.events import (
    WRITES,
    Datagram,
    Dropped,
    Event,
    Exchange,
    Fault,
    Frame,
    Heard,
    Said,
    Turn,
    Wanted,
    Wire,
)

HEADER = "# "
NOBODY = "-"

_STAMPED = re.compile(r"(\d{1,12}\.\d{1,9}) (\S+) ([a-z]+)(?: (.*))?")
_EXCHANGE = re.compile(
    r"(\d{1,3}) (\d{1,5})(?: (\d{1,4}))?(?: = (\d{1,5}(?: \d{1,5})*))?(?: ! (silent|exception \d{1,3}))? \((\d{1,9}\.\d) ms\)"
)
_DATAGRAM = re.compile(r"(\S+) ((?:[0-9A-F]{2})*)")


def encode(event: Event, zero_s: float = 0.0) -> str:
    """Return the line of an event without its end; ``zero_s`` is what ``at_s`` counts from, in seconds of the epoch."""
    stamp = f"{zero_s + event.at_s:.6f}"
    match event:
        case Frame(_, bus, can_id, data, sent):
            return f"({stamp}) {bus} {can_id:03X}#{data.hex().upper()} {'T' if sent else 'R'}"
        case Exchange(_, wire):
            return f"{stamp} {wire} {_exchanged(event)}"
        case Datagram(_, wire, peer, data, sent):
            return f"{stamp} {wire} {'to' if sent else 'from'} {peer} {data.hex().upper()}"
        case Turn(_, wire, up, why):
            return f"{stamp} {wire} {'up' if up else 'down'} {_line(why)}".rstrip()
        case Wire(_, wire, name):
            return f"{stamp} {wire} is {_line(name)}"
        case Wanted(_, device, setpoint):
            return f"{stamp} {device} wants {_json(setpoint)}"
        case Heard(_, device, vehicle):
            return f"{stamp} {device} hears {_json(vehicle)}"
        case Said(_, device, kind, sample):
            return f"{stamp} {device} says {kind} {_json(sample)}"
        case Fault(_, device, code, detail, up):
            return f"{stamp} {device} {'raises' if up else 'clears'} {code} {_line(detail)}".rstrip()
        case Dropped(_, lines):
            return f"{stamp} {NOBODY} dropped {lines}"


def decode(line: str) -> Event | None:
    """Return the event of a line that is no CAN frame, None when it is none of ours."""
    stamped = _STAMPED.fullmatch(line)
    if stamped is None or stamped[3] not in _VERBS:
        return None
    try:
        return _VERBS[stamped[3]](float(stamped[1]), stamped[2], stamped[4] or "")
    except ValueError, TypeError, msgspec.MsgspecError:
        return None


def _exchanged(event: Exchange) -> str:
    what = (
        f"write {event.function} {event.address}"
        if event.writes
        else f"read {event.function} {event.address} {event.count}"
    )
    values = f" = {' '.join(map(str, event.values))}" if event.values else ""
    error = f" ! {event.error}" if event.error else ""
    return f"{what}{values}{error} ({event.latency_s * 1000:.1f} ms)"


def _exchange(at_s: float, wire: str, text: str) -> Exchange | None:
    if (parts := _EXCHANGE.fullmatch(text)) is None:
        return None
    function, address, count, values, error, latency_ms = parts.groups()
    words = tuple(map(int, (values or "").split()))
    asked = int(count or len(words))
    whole = not error and len(words) == asked
    if not asked or max(words, default=0) > 0xFFFF or (int(function) in WRITES) is bool(count):
        return None
    if not (whole or error):
        return None
    return Exchange(
        at_s, wire, int(function), int(address), asked, words, error or "", float(latency_ms) / 1000
    )


def _datagram(at_s: float, wire: str, text: str, *, sent: bool) -> Datagram | None:
    parts = _DATAGRAM.fullmatch(text)
    return Datagram(at_s, wire, parts[1], bytes.fromhex(parts[2]), sent) if parts else None


def _said(at_s: float, device: str, text: str) -> Said:
    kind, _, sample = text.partition(" ")
    return Said(at_s, device, kind, _mapping(sample))


def _fault(at_s: float, device: str, text: str, *, up: bool) -> Fault | None:
    code, _, detail = text.partition(" ")
    return Fault(at_s, device, code, detail, up) if code else None


_VERBS: dict[str, Callable[[float, str, str], Event | None]] = {
    "read": _exchange,
    "write": _exchange,
    "to": lambda at_s, wire, text: _datagram(at_s, wire, text, sent=True),
    "from": lambda at_s, wire, text: _datagram(at_s, wire, text, sent=False),
    "up": lambda at_s, wire, text: Turn(at_s, wire, True, text),
    "down": lambda at_s, wire, text: Turn(at_s, wire, False, text),
    "is": Wire,
    "wants": lambda at_s, device, text: Wanted(at_s, device, _mapping(text)),
    "hears": lambda at_s, device, text: Heard(at_s, device, _mapping(text)),
    "says": _said,
    "raises": lambda at_s, device, text: _fault(at_s, device, text, up=True),
    "clears": lambda at_s, device, text: _fault(at_s, device, text, up=False),
    "dropped": lambda at_s, _, text: Dropped(at_s, int(text)),
}


def _line(text: str) -> str:
    return " ".join(text.split())


def _json(value: object) -> str:
    """Encode whatever it is: who tells of a device must not be able to stop it."""
    return msgspec.json.encode(value, enc_hook=str).decode()


def _mapping(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])
