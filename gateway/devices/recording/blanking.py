"""Serial numbers are blanked before a line is written: the car's VIN and the pack's serial, wherever they pass. Pure.

Both come as ISO-TP answers on the diagnostic ids (reference/can.md 2): a first frame names the service and the length, and
consecutive frames carry the rest. Those whose first frame is not known, because lines were dropped, count as secret. The
letters become X, so that whoever reads the answer still finds its length right.
"""

import re

SECRETS = (b"\x61\x81", b"\x61\x84", b"\x62\xf1\x90", b"\x49\x02")
"""Answers: VIN by KWP, pack serial by KWP, VIN by UDS, VIN by OBD."""
LETTER, LONGEST = 0x58, 0xFFF
SINGLE, FIRST, CONSECUTIVE = 0, 1, 2

_FRAME = re.compile(r"(\(\d+\.\d+\) (\S+) (7[1-9A-F][0-9A-F])#)([0-9A-F]{2,16})(.*)")
"""On the diagnostic ids; 700 is a frame of CHAdeMO."""
_FIELDS = re.compile(r'"(serial|pack_serial|vin)":"(?:[^"\\]|\\.)*"')
_DROPPED = re.compile(r"\S+ \S+ dropped .*")


class Blanker:
    """Goes through the lines of one run in their order."""

    def __init__(self) -> None:
        self._left: dict[tuple[str, str], int] = {}
        """How many bytes of a secret each sender still owes."""

    def line(self, line: str) -> str:
        """Return a line without the serial numbers in it."""
        if _DROPPED.fullmatch(line):
            self._left.clear()
        if not line.startswith("("):
            return _FIELDS.sub(r'"\1":""', line)
        if (found := _FRAME.fullmatch(line)) is None:
            return line
        head, bus, can_id, data, tail = found.groups()
        return f"{head}{self._blank((bus, can_id), bytes.fromhex(data)).hex().upper()}{tail}"

    def _blank(self, whose: tuple[str, str], data: bytes) -> bytes:
        kind = data[0] >> 4
        if kind == CONSECUTIVE:
            left = self._left.get(whose, LONGEST)
            self._left[whose] = max(0, left - len(data) + 1)
            return data[:1] + bytes([LETTER]) * (len(data) - 1) if left else data
        if kind not in {SINGLE, FIRST}:
            return data
        begins = 1 + kind
        secret = next((s for s in SECRETS if data[begins:].startswith(s)), None)
        self._left[whose] = 0
        if secret is None:
            return data
        kept = begins + len(secret)
        if kind == FIRST:
            self._left[whose] = max(0, ((data[0] & 0x0F) << 8 | data[1]) - (len(data) - begins))
        return data[:kept] + bytes([LETTER]) * (len(data) - kept)
