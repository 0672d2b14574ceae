"""Pure: a device that delivers its setpoint plus an offset (up to 740 W of 10 kW, reference/needs.md 0.3) is corrected by
what its meter shows.

The difference is taken to what was asked one dead time ago, and learned slowly, since response and measurement are never of
the same instant. It is not learned while the device moves far, or while something else holds it back: that is no offset.
"""

from dataclasses import dataclass
from math import exp

MOST_W = 1000.0
SETTLE_S = 15.0
MOVES_W = 400.0
HISTORY_S = 12.0


@dataclass(frozen=True, slots=True)
class ZeroPoint:
    """``correction_w`` is added to what is asked of the device; ``asked`` is (monotonic s, W), without it."""

    correction_w: float = 0.0
    asked: tuple[tuple[float, float], ...] = ()
    measured_at: float = 0.0


def followed(
    zero: ZeroPoint,
    asked_w: float,
    measured: tuple[float, float] | None,
    dead_time_s: float,
    *,
    free: bool,
    at: float,
) -> ZeroPoint:
    """Learn from ``measured`` (monotonic s, W), where it is new; ``free``: nothing but us decided what the device does."""
    asked = (*(p for p in zero.asked if at - HISTORY_S <= p[0] < at), (at, asked_w))
    if measured is None or measured[0] <= zero.measured_at:
        return ZeroPoint(zero.correction_w, asked, zero.measured_at)
    measured_at, measured_w = measured
    then = [p for p in asked if p[0] <= measured_at - dead_time_s]
    recent_w = [w for t, w in asked if t >= measured_at - dead_time_s - 2.0]
    steady = bool(then) and max(recent_w) - min(recent_w) <= MOVES_W
    if not free or not steady or not zero.measured_at:
        return ZeroPoint(zero.correction_w, asked, measured_at)
    gain = 1 - exp(-min(measured_at - zero.measured_at, 2.0) / SETTLE_S)
    missed_w = then[-1][1] - measured_w
    learned_w = zero.correction_w + gain * missed_w
    return ZeroPoint(min(max(learned_w, -MOST_W), MOST_W), asked, measured_at)
