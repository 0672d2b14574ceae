"""Pure: what the house will draw when a setpoint of now takes effect, told from how it went on until now.

A late meter shows the past. A load that stays is best followed at once; one that goes on and off faster than the
meter and the devices can follow is best answered by its mean. Which it is, is what the last minutes showed: the part of a
deviation from the running mean that was still there when an answer would have taken effect.
"""

from dataclasses import dataclass
from math import exp

MEAN_S = 45.0
MEMORY_S = 150.0
DOUBT_W2 = 250.0**2
"""Deviations smaller than this in the mean leave the newest value as it is."""
KEPT = 160


@dataclass(frozen=True, slots=True)
class Expectation:
    """``persisting`` is the part of a deviation that lasts; ``past`` holds (time, power, its running mean)."""

    at: float = 0.0
    mean_w: float = 0.0
    kept_w2: float = 0.0
    deviated_w2: float = 0.0
    past: tuple[tuple[float, float, float], ...] = ()

    @property
    def persisting(self) -> float:
        """Return the part of a deviation that lasts until an answer to it works, 0..1."""
        return min(1.0, max(0.0, (self.kept_w2 + DOUBT_W2) / (self.deviated_w2 + DOUBT_W2)))

    def expected_w(self, power_w: float) -> float:
        """Return the most likely power when an answer to ``power_w`` takes effect."""
        return self.mean_w + self.persisting * (power_w - self.mean_w)


def follow(previous: Expectation, at: float, power_w: float, horizon_s: float) -> Expectation:
    """Return the expectation after a sample of the house; an answer to it takes effect ``horizon_s`` after it was true."""
    if not previous.past:
        return Expectation(at, power_w, past=((at, power_w, power_w),))
    elapsed_s = at - previous.at
    mean_w = power_w + (previous.mean_w - power_w) * exp(-elapsed_s / MEAN_S)
    fade = exp(-elapsed_s / MEMORY_S)
    kept, deviated = previous.kept_w2 * fade, previous.deviated_w2 * fade
    past = (*previous.past, (at, power_w, mean_w))
    before = 0
    while before + 1 < len(past) and past[before + 1][0] <= at - horizon_s:
        before += 1
    if past[before][0] <= at - horizon_s:
        _, then_w, then_mean_w = past[before]
        share = elapsed_s / MEMORY_S
        deviation_w = then_w - then_mean_w
        kept += share * deviation_w * (power_w - then_mean_w)
        deviated += share * deviation_w * deviation_w
    return Expectation(at, mean_w, kept, deviated, past[max(before, len(past) - KEPT) :])
