"""The text between a foreign vehicle program and the charger: CAN frames and pilot lines, read liberally; pure."""

import re
from dataclasses import dataclass

FRAME_BYTES = 8
STANDARD_IDS = 0x800
LONGEST_LINE = 200

# `(12.5) can0 102#...` of candump -L and `can0  102   [8]  02 9A ...` of its screen are frames as well.
_STAMP = re.compile(r"^\([^)]*\)\s*")
_INTERFACE = re.compile(r"^[A-Za-z]\w*\s+(?=(?:0[xX])?[0-9A-Fa-f]+\s*[#\[])")
_FRAME = re.compile(r"(?:0[xX])?([0-9A-Fa-f]{1,8})\s*(?:#|\[(\d)\])([0-9A-Fa-f\s.]*)")
_PILOT = re.compile(r"!\s*([A-Za-z]\w*)\s*(?:[=:\s]\s*(\w+))?")
_SWITCH = {"1": True, "on": True, "true": True, "0": False, "off": False, "false": False}


@dataclass(frozen=True, slots=True)
class CanLine:
    """A CAN data frame with an 11-bit id."""

    can_id: int
    data: bytes


@dataclass(frozen=True, slots=True)
class PilotLine:
    """``!name=0`` or ``!name=1``; without a value, ``!name``, it asks for the present state of all lines."""

    name: str
    on: bool | None


type Line = CanLine | PilotLine


def read_line(text: str) -> Line:
    """Read one line without its end. Raises ValueError, saying what is wrong with it."""
    if len(text) > LONGEST_LINE:
        raise ValueError(f"{len(text)} characters are too many for a line")
    bare = text.strip()
    if bare.startswith("!"):
        return _pilot(bare)
    bare = _INTERFACE.sub("", _STAMP.sub("", bare))
    found = _FRAME.fullmatch(bare)
    if found is None:
        raise ValueError("neither a frame ID#HEX nor a pilot line !name=0/1")
    return _frame(*found.groups())


def _frame(can_id: str, length: str | None, digits: str) -> CanLine:
    number, data = int(can_id, 16), bytes.fromhex(re.sub(r"[\s.]", "", digits))
    if number >= STANDARD_IDS:
        raise ValueError("CHAdeMO has 11-bit ids only")
    if len(data) > FRAME_BYTES or (length is not None and len(data) != int(length)):
        raise ValueError(f"{len(data)} bytes of data do not make a frame")
    return CanLine(number, data)


def _pilot(text: str) -> PilotLine:
    found = _PILOT.fullmatch(text)
    if found is None:
        raise ValueError("not a pilot line !name=0/1")
    name, value = found.groups()
    if value is not None and value.lower() not in _SWITCH:
        raise ValueError(f"!{name} is 0 or 1, not {value!r}")
    return PilotLine(name.lower(), None if value is None else _SWITCH[value.lower()])


def read_datagram(datagram: bytes) -> tuple[list[Line], list[str]]:
    """Return the lines of a datagram in order, and a complaint for each that is none; empty lines and ``;`` remarks are passed over."""
    lines: list[Line] = []
    complaints: list[str] = []
    for text in datagram.decode("ascii", "replace").replace("\0", "").splitlines():
        if not text.strip() or text.lstrip().startswith((";", "//")):
            continue
        try:
            lines.append(read_line(text))
        except ValueError as error:
            complaints.append(f"{text.strip()[:60]!r}: {error}")
    return lines, complaints


def frame_text(can_id: int, data: bytes) -> str:
    """Write a frame as ``ID#HEX``."""
    return f"{can_id:03X}#{data.hex().upper()}"


def pilot_text(name: str, *, on: bool) -> str:
    """Write a pilot line."""
    return f"!{name}={on:d}"
