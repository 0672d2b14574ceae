"""SunSpec: the chain of models in a device's holding registers, decoded from the official definitions (modbus.md 2).

Decoding and walking are pure; ``SunSpecMap`` does the reading. A block always begins with its header (ID, L), so that
offsets are those of the standard's tables and a map that moved is noticed. Of the many points of a block few are ever asked
for, so each is decoded when it is.
"""

import json
import math
import struct
from collections.abc import Awaitable, Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from operator import attrgetter
from typing import Any, override

from gateway.devices.modbus_bus import ModbusBus
from gateway.faults import Malformed, Misuse, Refused

type Registers = tuple[int, ...]
type Value = int | float | str | None
type Values = Mapping[str, Value]
type Read = tuple[int, int]

MARKER = (0x5375, 0x6E53)
BASES = (40000, 0, 50000)
END = 0xFFFF
MODELS_MAX = 100
REGISTERS_PER_READ = 125
SCALES = range(-10, 11)

SAME_LAYOUT = {
    101: 103,
    102: 103,
    111: 113,
    112: 113,
    201: 203,
    202: 203,
    204: 203,
    211: 213,
    212: 213,
    214: 213,
}

SIGNED = frozenset({"int16", "int32", "int64", "sunssf"})
COUNTERS = frozenset({"acc16", "acc32", "acc64"})
UNSIGNED = frozenset({
    "uint16", "uint32", "uint64", "enum16", "enum32", "bitfield16", "bitfield32", "bitfield64", "count",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class ModelAt:
    """A model in a device's chain: ``address`` of its header, ``length`` without the header."""

    model: int
    address: int
    length: int


@dataclass(frozen=True, slots=True)
class Point:
    """A point in a block. ``scale`` names the point that holds its scale factor, or is the factor."""

    name: str
    type: str
    offset: int
    size: int
    scale: str | int | None


@cache
def definition(model: int) -> Mapping[str, Any] | None:
    """Return the official definition of ``model``, None for a model that we do not read."""
    file = files("gateway.devices") / "sunspec_models" / f"model_{SAME_LAYOUT.get(model, model)}.json"
    if not file.is_file():
        return None
    read: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return read


@cache
def counters(model: int) -> tuple[int, ...]:
    """Return where in a block of ``model`` it stands how often its groups repeat."""
    group = (definition(model) or {}).get("group", {})
    counts = {inner.get("count") for inner in group.get("groups", ())}
    offsets, offset = [], 0
    for point in group.get("points", ()):
        if point["name"] in counts:
            offsets.append(offset)
        offset += point["size"]
    return tuple(offsets)


def layout(defined: Mapping[str, Any], block: Sequence[int]) -> tuple[Point, ...]:
    """Place all points that lie within ``block``; repeating groups become ``Group[0].Point`` by the counts in it."""
    placed: list[Point] = []
    counts: dict[str, int] = {}

    def place(group: Mapping[str, Any], prefix: str, offset: int, scales: Mapping[str, str]) -> int:
        scales = {
            **scales,
            **{p["name"]: prefix + p["name"] for p in group["points"] if p["type"] == "sunssf"},
        }
        for p in group["points"]:
            if offset + p["size"] <= len(block) and p["type"] != "pad":
                scale = p.get("sf")
                placed.append(
                    Point(prefix + p["name"], p["type"], offset, p["size"], scales.get(scale, scale))
                )
                counts[p["name"]] = block[offset]
            offset += p["size"]
        for inner in group.get("groups", ()):
            offset = repeat(inner, prefix + inner["name"], offset, scales)
        return offset

    def repeat(group: Mapping[str, Any], name: str, offset: int, scales: Mapping[str, str]) -> int:
        if "count" not in group:
            return place(group, f"{name}.", offset, scales)
        count = group["count"]
        times = counts.get(count, 0) if isinstance(count, str) else count or len(block)
        for index in range(times):
            if offset >= len(block):
                break
            offset = place(group, f"{name}[{index}].", offset, scales)
        return offset

    place(defined["group"], "", 0, {})
    return tuple(placed)


class Block(Mapping[str, Value]):
    """The values of ``points``, scaled; None for what the device does not implement or whose scale factor is impossible."""

    __slots__ = ("points", "registers")

    def __init__(self, points: Mapping[str, Point], registers: Sequence[int]) -> None:
        self.points = points
        self.registers = registers

    @override
    def __getitem__(self, name: str) -> Value:
        point = self.points[name]
        raw = _raw(point.type, self.registers[point.offset : point.offset + point.size])
        if point.type == "sunssf":
            return raw if raw in SCALES else None
        if point.scale is None or raw is None or isinstance(raw, str):
            return raw
        factor = _factor(point.scale, self)
        if factor is None:
            return None
        return raw * int(10**factor) if factor >= 0 else raw / 10**-factor

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self.points)

    @override
    def __len__(self) -> int:
        return len(self.points)


def decode(points: Iterable[Point], registers: Sequence[int]) -> Block:
    """Return the values of ``points`` in a block."""
    return Block({p.name: p for p in points}, registers)


def encode(point: Point, value: float, values: Values) -> Registers:
    """Encode a number for writing, by the scale factor among ``values``.

    Raises Malformed where the device tells no scale factor, Refused where its point cannot hold the number.
    """
    factor = 0 if point.scale is None else _factor(point.scale, values)
    if factor is None:
        raise Malformed(f"{point.name}: the device tells no scale factor")
    number = round(value / 10**factor)
    if not (point.type in SIGNED or point.type in UNSIGNED):
        raise Misuse(f"{point.name}: cannot write a {point.type}")
    try:
        data = number.to_bytes(2 * point.size, signed=point.type in SIGNED)
    except OverflowError:
        raise Refused(f"{point.name}: {value} does not fit into {point.type}") from None
    return struct.unpack(f">{point.size}H", data)


def number(values: Values, name: str) -> float | None:
    """Return a numeric point as float, None when it is absent or not implemented."""
    value = values.get(name)
    return None if value is None or isinstance(value, str) else float(value)


def text(values: Values, name: str) -> str:
    """Return a string point, empty when it is absent or not implemented."""
    value = values.get(name)
    return value if isinstance(value, str) else ""


def walk() -> Generator[Read, Registers | None, tuple[ModelAt, ...]]:
    """Find the chain: yields (address, count) to read, takes the registers or None where the device refuses.

    Bounded for any content. Raises Malformed where there is no marker or no model.
    """
    for base in BASES:
        if (yield base, 2) == MARKER:
            break
    else:
        raise Malformed("no SunSpec marker at 40000, 0 or 50000")
    found: list[ModelAt] = []
    address = base + 2
    while len(found) < MODELS_MAX and address <= END - 1:
        header = yield address, 2
        if header is None:  # the map may end with the single register of the end ID
            break
        model, length = header
        if model == END or length == 0 or address + 2 + length > END + 1:
            break
        found.append(ModelAt(model, address, length))
        address += 2 + length
    if not found:
        raise Malformed("a SunSpec marker, but no model behind it")
    return tuple(found)


async def scan(read: Callable[[int, int], Awaitable[Registers]]) -> tuple[ModelAt, ...]:
    """Walk the chain with ``read``. Raises what it raises except Refused, and Malformed."""
    walker = walk()
    wanted = next(walker)
    while True:
        try:
            got: Registers | None = await read(*wanted)
        except Refused:
            got = None
        try:
            wanted = walker.send(got)
        except StopIteration as end:
            chain: tuple[ModelAt, ...] = end.value
            return chain


class SunSpecMap:
    """The models of one device: read by model number wherever they lie, written by point name."""

    def __init__(self, bus: ModbusBus) -> None:
        self._bus = bus
        self._chain: tuple[ModelAt, ...] = ()
        self._last: dict[int, tuple[ModelAt, Block]] = {}
        self._layouts: dict[int, tuple[Registers, Mapping[str, Point]]] = {}
        """The newest of each model, by what it follows from: the length of its block and the counts in it."""

    async def scan(self) -> None:
        """Read the chain anew."""
        self._chain = await scan(self._bus.read_holding)
        self._last.clear()

    def first(self, *models: int) -> int | None:
        """Return which of ``models`` the device has, the earliest in the argument list."""
        present = {at.model for at in self._chain}
        return next((m for m in models if m in present), None)

    async def identity(self, model: int) -> Values:
        """Read the common model that stands before ``model`` in the chain; it names that part of the device."""
        index = self._chain.index(self._at(model))
        before = [at for at in self._chain[:index] if at.model == 1]
        return await self._block(before[-1], before[-1].length + 2) if before else {}

    async def read(self, model: int, registers: int | None = None) -> Block:
        """Read ``model``, or only its first ``registers`` (header included). A moved map is scanned again, once."""
        for _ in range(2):
            at = self._at(model)
            block = await self._block(at, min(registers or END, at.length + 2))
            if block.registers[:2] == (at.model, at.length):
                self._last[model] = at, block
                return block
            await self.scan()
        raise Malformed(f"model {model} is not where the chain says")

    async def write(self, model: int, wanted: Mapping[str, float]) -> None:
        """Write adjoining points of a model that was read before, in one request. Raises what ``encode`` does."""
        if model not in self._last:
            raise Misuse(f"model {model} was not read before the write")
        at, block = self._last[model]
        if not wanted.keys() <= block.points.keys():
            raise Malformed(f"model {model} is too short for {list(wanted)}")
        chosen = sorted((block.points[name] for name in wanted), key=attrgetter("offset"))
        if any(a.offset + a.size != b.offset for a, b in pairwise(chosen)):
            raise Misuse(f"model {model}: {list(wanted)} do not adjoin")
        words = [w for p in chosen for w in encode(p, wanted[p.name], block)]
        await self._bus.write_registers(at.address + chosen[0].offset, words)

    def _at(self, model: int) -> ModelAt:
        for at in self._chain:
            if at.model == model:
                return at
        raise Malformed(f"the device has no SunSpec model {model}")

    async def _block(self, at: ModelAt, count: int) -> Block:
        defined = definition(at.model)
        if defined is None:
            raise Misuse(f"model {at.model} has no definition here")
        registers: Registers = ()
        while len(registers) < count:
            step = min(REGISTERS_PER_READ, count - len(registers))
            registers += await self._bus.read_holding(at.address + len(registers), step)
        shape = len(registers), *(registers[o] for o in counters(at.model) if o < len(registers))
        laid = self._layouts.get(at.model)
        if laid is None or laid[0] != shape:
            laid = self._layouts[at.model] = shape, {p.name: p for p in layout(defined, registers)}
        return Block(laid[1], registers)


def _raw(kind: str, words: Sequence[int]) -> Value:
    """Decode one point without scale; None for the type's "not implemented"."""
    bits, unsigned = 16 * len(words), 0
    for word in words:
        unsigned = unsigned << 16 | word
    if kind in SIGNED:
        least = 1 << bits - 1
        return None if unsigned == least else unsigned - 2 * (unsigned & least)
    if kind in UNSIGNED:
        return None if unsigned == (1 << bits) - 1 else unsigned
    if kind in COUNTERS:
        return unsigned or None
    data = unsigned.to_bytes(2 * len(words))
    if kind == "float32":
        real: float = struct.unpack(">f", data)[0]
        return real if math.isfinite(real) else None
    if kind == "string":
        return data.decode("latin-1").strip("\0 ") or None
    return None


def _factor(scale: str | int, raws: Values) -> int | None:
    factor = raws.get(scale) if isinstance(scale, str) else scale
    return factor if isinstance(factor, int) and factor in SCALES else None
