"""What a recording holds. Pure. ``at_s`` counts from its first event; a wire goes by the short name that its file gives it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Frame:
    """One CAN data frame with an 11-bit id; ``sent`` by whoever recorded it."""

    at_s: float
    bus: str
    can_id: int
    data: bytes
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Exchange:
    """One Modbus request at the time of its answer. ``values`` are those read or written, bits as 0 and 1.

    ``error`` is "" for a good answer, "silent", or "exception N".
    """

    at_s: float
    wire: str
    function: int
    address: int
    count: int
    values: tuple[int, ...] = ()
    error: str = ""
    latency_s: float = 0.0

    @property
    def writes(self) -> bool:
        """Whether it was an order and not a question."""
        return self.function in WRITES


WRITES = frozenset({5, 6, 15, 16})


@dataclass(frozen=True, slots=True)
class Datagram:
    """One UDP datagram from or, where ``sent``, to ``peer``."""

    at_s: float
    wire: str
    peer: str
    data: bytes
    sent: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """A wire came up or, with a reason, went down."""

    at_s: float
    wire: str
    up: bool
    why: str = ""


@dataclass(frozen=True, slots=True)
class Wire:
    """The full name of a wire: interface and channel of a CAN bus, address of a Modbus unit."""

    at_s: float
    wire: str
    name: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """A setpoint as its device took it: the fields of Setpoint, its expiry in seconds from now as ``lasts_s``."""

    at_s: float
    device: str
    setpoint: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Heard:
    """What a charger was told of its car by others: the arguments of ``vehicle_says``."""

    at_s: float
    device: str
    vehicle: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """A sample that a driver published: the name of its class and its fields."""

    at_s: float
    device: str
    kind: str
    sample: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fault:
    """A driver raised a fault or, where not ``up``, cleared it."""

    at_s: float
    device: str
    code: str
    detail: str = ""
    up: bool = True


@dataclass(frozen=True, slots=True)
class Dropped:
    """So many lines are missing here, because nobody could take them in time."""

    at_s: float
    lines: int


type Event = Frame | Exchange | Datagram | Turn | Wire | Wanted | Heard | Said | Fault | Dropped
