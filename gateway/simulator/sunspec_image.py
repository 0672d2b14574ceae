"""A device's chain of SunSpec models as registers: encoding by name, with scale factors and sentinels."""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.simulator.sunspec_tables import MODELS

BASE = 40000
MARKER = (0x5375, 0x6E53)
END = (0xFFFF, 0)

_FORMATS = {
    "u16": ">H", "i16": ">h", "e16": ">H", "b16": ">H", "sf": ">h", "pad": ">H",
    "u32": ">I", "i32": ">i", "a32": ">I", "b32": ">I", "u64": ">Q", "a64": ">Q",
}  # fmt: skip
# What a device writes where it has no value.
_ABSENT = {
    "u16": 0xFFFF, "i16": -0x8000, "e16": 0xFFFF, "b16": 0xFFFF, "sf": -0x8000, "pad": 0x8000,
    "u32": 0xFFFF_FFFF, "i32": -0x8000_0000, "a32": 0, "b32": 0xFFFF_FFFF, "u64": 0xFFFF_FFFF_FFFF_FFFF, "a64": 0,
}  # fmt: skip

# What fits beside the sentinels; a device that measures more says the most it can.
_RANGES = {
    kind: (-most, most) if kind[0] in "is" else (0, 2 * most)
    for kind, form in _FORMATS.items()
    for most in (256 ** struct.calcsize(form) // 2 - 1,)
}

type Value = float | str


@dataclass(frozen=True, slots=True)
class Point:
    """A point at an index of the image; ``scale`` is the power of ten of its scale factor."""

    index: int
    size: int
    type: str
    scale: int


class SunSpecImage:
    """Registers from BASE on. ``chain`` gives each model's fixed values, scale factors among them."""

    def __init__(self, chain: Sequence[tuple[int, Mapping[str, Value]]]) -> None:
        self.words: list[int] = list(MARKER)
        self._points: dict[tuple[int, str], Point] = {}
        for model, fixed in chain:
            self._append(model, fixed)
        self.words += END

    def put(self, model: int, values: Mapping[str, Value | None]) -> None:
        """Write values in units of the standard; None writes the sentinel."""
        for name, value in values.items():
            point = self._points[model, name]
            self.words[point.index : point.index + point.size] = _encode(point, value)

    def get(self, model: int, name: str) -> float:
        """Read a number back, in units of the standard."""
        point = self._points[model, name]
        raw = struct.pack(f">{point.size}H", *self.words[point.index : point.index + point.size])
        return float(struct.unpack(_FORMATS[point.type], raw)[0]) * 10.0**point.scale

    def span(self, model: int, first: str, last: str) -> range:
        """Return the indexes from one point to another, both included."""
        end = self._points[model, last]
        return range(self._points[model, first].index, end.index + end.size)

    def _append(self, model: int, fixed: Mapping[str, Value]) -> None:
        table = [entry.replace("=", "/").split("/") for entry in MODELS[model].split()]
        header = len(self.words)
        self.words += (model, 0)
        for name, kind, *scale in table:
            size = int(kind[1:]) if kind[0] == "s" and kind != "sf" else struct.calcsize(_FORMATS[kind]) // 2
            power = int(fixed.get(scale[0], 0)) if scale else 0
            self._points[model, name] = Point(len(self.words), size, kind, power)
            self.words += _encode(self._points[model, name], fixed.get(name))
        self.words[header + 1] = len(self.words) - header - 2
        unknown = [name for name in fixed if (model, name) not in self._points]
        if unknown:
            raise ValueError(f"model {model} has no {unknown}")


def _encode(point: Point, value: Value | None) -> tuple[int, ...]:
    if point.type not in _FORMATS:
        raw = str(value or "").encode().ljust(2 * point.size, b"\0")[: 2 * point.size]
    elif value is None:
        raw = struct.pack(_FORMATS[point.type], _ABSENT[point.type])
    else:
        low, high = _RANGES[point.type]
        raw = struct.pack(_FORMATS[point.type], min(max(round(float(value) / 10.0**point.scale), low), high))
    return struct.unpack(f">{point.size}H", raw)
