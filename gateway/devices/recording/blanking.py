"""Serial numbers are blanked before a line is written: the car's VIN and the pack's serial, wherever they pass. Pure.

Both come as ISO-TP answers on the diagnostic ids (reference/can.md 2): a first frame names the service and the length, and
consecutive frames carry the rest. The letters become X, so that whoever reads the answer still finds its length right.
"""

import re

FIRST_DIAGNOSTIC_ID = 0x700
SECRETS = (b"\x61\x81", b"\x61\x84", b"\x62\xf1\x90")
"""Answers: VIN by KWP, pack serial by KWP, VIN by UDS."""
LETTER = 0x58
SINGLE, FIRST, CONSECUTIVE = 0, 1, 2

_FRAME = re.compile(r"(\(\d+\.\d+\) (\S+) (7[0-9A-F]{2})#)([0-9A-F]{2,16})(.*)")
_FIELDS = re.compile(r'"(pack_serial|vin)":"[^"]*"')


class Blanker:
    """Goes through the lines of one run in their order."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], int] = {}

    def line(self, line: str) -> str:
        """Return a line without the serial numbers in it."""
        if not line.startswith("("):
            return _FIELDS.sub(r'"\1":""', line)
        if (found := _FRAME.fullmatch(line)) is None:
            return line
        head, bus, can_id, data, tail = found.groups()
        return f"{head}{self._blank((bus, can_id), bytes.fromhex(data)).hex().upper()}{tail}"

    def _blank(self, whose: tuple[str, str], data: bytes) -> bytes:
        kind = data[0] >> 4
        if kind == CONSECUTIVE and self._left.get(whose, 0) > 0:
            self._left[whose] -= len(data) - 1
            return data[:1] + bytes([LETTER]) * (len(data) - 1)
        if kind not in {SINGLE, FIRST}:
            return data
        begins = 1 + kind
        secret = next((s for s in SECRETS if data[begins:].startswith(s)), None)
        self._left.pop(whose, None)
        if secret is None:
            return data
        kept = begins + len(secret)
        if kind == FIRST:
            self._left[whose] = ((data[0] & 0x0F) << 8 | data[1]) - (len(data) - begins)
        return data[:kept] + bytes([LETTER]) * (len(data) - kept)
