"""What happens to frames between the car and a client of the CAN adapter. No wire, no clock; the same seed, the same luck."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random

type Frame = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Noise:
    """Chances per frame, in both directions.

    ``loss`` stands for frames corrupted on the bus as well: a CAN controller drops what fails its CRC. ``garbling``
    turns one bit of a line between adapter and client, which nothing protects.
    """

    loss: float = 0.0
    doubling: float = 0.0
    reordering: float = 0.0
    garbling: float = 0.0
    seed: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what is no chance."""
        for name in ("loss", "doubling", "reordering", "garbling"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise ValueError(f"{name} is a chance from 0 to 1")


class CanMishaps:
    """``bus_off_s`` is how long the adapter will still neither send nor receive; ``pulled``: it is not there at all."""

    def __init__(self) -> None:
        self.bus_off_s = 0.0
        self.pulled = False
        self.strike(Noise())

    def strike(self, noise: Noise) -> None:
        """Replace the noise by ``noise``."""
        self.noise = noise
        self._chance = Random(noise.seed)

    @property
    def bus_off(self) -> bool:
        """The adapter has left the bus."""
        return self.bus_off_s > 0.0

    def step(self, dt_s: float) -> None:
        """Advance by ``dt_s``."""
        self.bus_off_s = max(0.0, self.bus_off_s - dt_s)

    def way(self, deliver: Callable[[int, bytes], None]) -> Callable[[int, bytes], None]:
        """Return ``deliver`` for one direction, with the mishaps of this wire."""
        held: list[Frame] = []

        def pass_on(can_id: int, data: bytes) -> None:
            if self.bus_off or self._happens(self.noise.loss):
                return
            if not held and self._happens(self.noise.reordering):
                held.append((can_id, data))
                return
            deliver(can_id, data)
            if self._happens(self.noise.doubling):
                deliver(can_id, data)
            while held:
                deliver(*held.pop())

        return pass_on

    def garbled(self, line: bytes) -> bytes:
        """Return ``line``, perhaps with one bit turned."""
        if not line or not self._happens(self.noise.garbling):
            return line
        turned = bytearray(line)
        turned[self._chance.randrange(len(turned))] ^= 1 << self._chance.randrange(8)
        return bytes(turned)

    def _happens(self, chance: float) -> bool:
        return chance > 0.0 and self._chance.random() < chance
