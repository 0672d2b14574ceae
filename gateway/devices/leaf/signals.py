"""How a value lies in a frame: bits, scale, what is no value, on which cars. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.devices.leaf.integrity import Integrity
from gateway.devices.leaf.quantities import Car, Quantity

ALL = frozenset(Car)
DECIMALS = 4


@dataclass(frozen=True, slots=True)
class Bits:
    """``width`` bits from bit ``bit`` (7 = most significant) of byte ``byte`` downwards, running on into the next byte.

    ``little`` is for whole bytes with the least significant one first.
    """

    byte: int
    bit: int
    width: int
    little: bool = False

    def of(self, data: bytes) -> int:
        """Return the raw value; the frame must be long enough."""
        if self.little:
            return int.from_bytes(data[self.byte : self.byte + self.width // 8], "little")
        below = 8 * len(data) - 8 * self.byte - 7 + self.bit - self.width
        return int.from_bytes(data) >> below & (1 << self.width) - 1


@dataclass(frozen=True, slots=True)
class Case:
    """A value is there only while ``bits`` read one of ``values``, or with ``other`` none of them."""

    bits: Bits
    values: frozenset[int]
    other: bool = False

    def holds(self, data: bytes) -> bool:
        """Tell whether the value is there."""
        return (self.bits.of(data) in self.values) is not self.other


@dataclass(frozen=True, slots=True)
class Signal:
    """value = raw × ``scale`` + ``offset``; a raw value of ``invalid`` is none."""

    what: Quantity
    bits: Bits
    scale: float = 1
    offset: float = 0
    signed: bool = False
    invalid: frozenset[int] = frozenset()
    cars: frozenset[Car] = ALL
    case: Case | None = None

    def value(self, data: bytes) -> float | None:
        """Return the value in its unit, None where it is invalid or impossible."""
        raw = self.bits.of(data)
        if raw in self.invalid:
            return None
        if self.signed and raw >> self.bits.width - 1:
            raw -= 1 << self.bits.width
        return self.what.judged(round(raw * self.scale + self.offset, DECIMALS))


@dataclass(frozen=True, slots=True)
class Layout:
    """One frame. A checked frame has exactly ``length`` bytes, another at least that many.

    ``selector`` tells which of its contents a multiplexed frame holds this time.
    """

    can_id: int
    length: int
    signals: tuple[Signal, ...] = ()
    integrity: Integrity = Integrity.NONE
    counter: Bits | None = None
    selector: Bits | None = None
    max_age_s: float = 0.5
    cars: frozenset[Car] = ALL

    def fits(self, data: bytes) -> bool:
        """Tell whether the length is right."""
        return len(data) >= self.length if self.integrity is Integrity.NONE else len(data) == self.length

    def values(self, data: bytes, car: Car | None) -> Iterator[tuple[Quantity, float | None]]:
        """Yield what the frame tells of ``car``; of an unknown one, what all cars agree on."""
        for signal in self.signals:
            known = signal.cars == ALL or car in signal.cars
            if known and (signal.case is None or signal.case.holds(data)):
                yield signal.what, signal.value(data)
