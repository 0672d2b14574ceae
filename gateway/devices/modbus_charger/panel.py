"""What a make of charger offers the driver: its registers behind nine words."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.config import within
from gateway.devices.modbus_bus import ModbusBus, NoSuchAddress
from gateway.devices.modbus_charger.steering import Look
from gateway.faults import ConfigError, Refused
from gateway.model import Interval

LEASE_MAX_S = 30
POLL_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Options:
    """A charger's table in site.toml. The two powers narrow what the charger tells; ``max_discharge_w = 0``: charge only."""

    name: str
    host: str
    port: int = 502
    unit: int = 1
    phases: tuple[int, ...] = (1,)
    poll_s: float = 1.0
    lease_s: int = LEASE_MAX_S
    max_charge_w: float | None = None
    max_discharge_w: float | None = None

    def check(self, where: str) -> None:
        """Refuse what no charger can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")
        within(self.poll_s, 0.2, POLL_MAX_S, f"{where}.poll_s")
        within(self.lease_s, 3 * POLL_MAX_S, LEASE_MAX_S, f"{where}.lease_s")
        for key in ("max_charge_w", "max_discharge_w"):
            if (watts := getattr(self, key)) is not None:
                within(watts, 0, 50_000, f"{where}.{key}")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [1]"
            )

    def narrow(self, charge_w: float, discharge_w: float) -> Interval:
        """Return what may flow of what the charger admits, both positive magnitudes."""
        most_in_w = charge_w if self.max_charge_w is None else min(charge_w, self.max_charge_w)
        most_out_w = discharge_w if self.max_discharge_w is None else min(discharge_w, self.max_discharge_w)
        return Interval(-max(0.0, most_out_w), max(0.0, most_in_w))


@dataclass(frozen=True, slots=True)
class Found:
    """What a charger is, and what was found on it: the set-point that stood and was ended, who has control."""

    maker: str
    model: str
    serial: str
    version: str
    rated: Interval
    left_w: float = 0.0
    remote: bool = False
    running: bool = False


class Panel(Protocol):
    """The registers of a make. Every call raises Unreachable, Refused or Malformed; orders are verified."""

    async def begin(self) -> Found:
        """End what a dead predecessor left commanded, before anything else; then tell what the charger is."""

    async def look(self, now: float) -> Look:
        """Read what changes."""

    async def take(self) -> None:
        """Take control at 0 W and arm the lease, writing only what differs."""

    async def start(self, power_w: float) -> None:
        """Begin a session with ``power_w``."""

    async def order(self, power_w: float) -> None:
        """Write the set-point."""

    async def renew(self, power_w: float) -> None:
        """Write the set-point that stands once more; what somebody else has put in its place is left for the next look."""

    async def stop(self) -> None:
        """Order 0 W and end the session, keeping control."""

    async def give_back(self) -> None:
        """Order 0 W, end the session, and leave the charger to its owner."""


class Registers:
    """Reads of blocks that are each a whole to the device: one that is refused as a whole is split once, and remembered."""

    def __init__(self, bus: ModbusBus) -> None:
        self._bus = bus
        self._split: set[tuple[int, int]] = set()
        self._absent: set[int] = set()

    async def read(self, first: int, last: int) -> dict[int, int]:
        """Return the words of ``first`` to ``last`` that the device has, by address."""
        count = last - first + 1
        if (first, last) not in self._split:
            try:
                return dict(enumerate(await self._bus.read_holding(first, count), start=first))
            except NoSuchAddress:
                self._split.add((first, last))
        words: dict[int, int] = {}
        for address in range(first, last + 1):
            if address not in self._absent:
                try:
                    (words[address],) = await self._bus.read_holding(address, 1)
                except NoSuchAddress:
                    self._absent.add(address)
        return words

    async def read_all(self, first: int, last: int) -> dict[int, int]:
        """Return the words of a block that the device must have. Raises Refused when it does not."""
        words = await self.read(first, last)
        if len(words) != last - first + 1:
            raise Refused(f"registers {first} to {last} are not all there; is this the right device?")
        return words


class WriteBudget:
    """Counts the writes of settings that a device may keep in flash: at most ``per_day`` of each register in 24 h."""

    def __init__(self, clock: Callable[[], float], per_day: int = 200) -> None:
        self._clock = clock
        self._per_day = per_day
        self._written_at: dict[int, list[float]] = {}

    def spend(self, address: int) -> None:
        """Count one write. Raises Refused when the day's writes are spent."""
        recent = self._recent(address)
        if len(recent) >= self._per_day:
            raise Refused(f"register {address} was written {self._per_day} times in a day already")
        self._written_at[address] = [*recent, self._clock()]

    @property
    def worn(self) -> str:
        """Say which register has used up 80 % of its writes; empty when none has."""
        most = {a: len(self._recent(a)) for a in self._written_at}
        worst = max(most, key=lambda a: most[a], default=None)
        if worst is None or most[worst] < 0.8 * self._per_day:
            return ""
        return f"register {worst} was written {most[worst]} times in 24 h, of {self._per_day}"

    def _recent(self, address: int) -> list[float]:
        since = self._clock() - 86_400.0
        return [at for at in self._written_at.get(address, ()) if at > since]
