"""Pure: a slow device carries what lasts, a fast one all that is left, so that their sum is right at each moment.

A charger that answers after seconds is not sent after each pan on the stove: it gets its share of that part of the need
that was there all through the last minute, and gives it up at once. The fast devices carry the need less what the slow ones
will really do by then, and so cover their way. Two devices of one site work against each other only while a slow one is
still on its way.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from msgspec import Struct

from gateway.control.sharing import share
from gateway.model import DeviceId, Dynamics, Interval

SLOWER_S = 1.0
TYPICAL_W = 1000.0
RESERVE = 0.8
"""Part of the fast devices' reach that may last; what is left is for what comes and goes."""
START_W, STOP_W = 120.0, 50.0
"""A converter loses 50-100 W for running at all: less than this is not worth a start, or going on."""


class Pace(Struct, frozen=True, gc=False):
    """Of one device: how it follows, and where it will be when a fast device could answer an order of now."""

    dynamics: Dynamics
    arriving_w: float

    @property
    def response_s(self) -> float:
        """Return the time that a typical step takes."""
        return self.dynamics.dead_time_s + TYPICAL_W / max(self.dynamics.ramp_w_per_s, 1.0)


def worth_w(need_w: float, before_w: float) -> float:
    """Return the need, or 0 W where it is not worth to start, to turn or to go on. ``before_w`` is what runs now."""
    least_w = STOP_W if before_w * need_w > 0 else START_W
    return need_w if abs(need_w) >= least_w else 0.0


def cover(
    need_w: float,
    lasting: Interval,
    intervals: Mapping[DeviceId, Interval],
    energy_wh: Mapping[DeviceId, float],
    before_w: Mapping[DeviceId, float],
    cars: AbstractSet[DeviceId],
    paces: Mapping[DeviceId, Pace],
) -> dict[DeviceId, float]:
    """Split ``need_w`` over ``intervals``; ``lasting`` is the range of the need in the last minute."""
    quickest_s = min((p.response_s for p in paces.values()), default=0.0)
    slow = {d for d, p in paces.items() if p.response_s > quickest_s + SLOWER_S}
    fast = {d: i for d, i in intervals.items() if d not in slow}
    reach_w = sum((i.max_w if need_w > 0 else -i.min_w) for d, i in fast.items() if energy_wh[d] > 0)
    if not slow or reach_w <= 0:
        return share(need_w, intervals, energy_wh, before_w, cars)
    steady_w = _part(lasting, need_w)
    shares = share(steady_w, intervals, energy_wh, before_w, cars)
    spare_w = RESERVE * reach_w
    lacking_w = abs(need_w) - reach_w if abs(steady_w) < spare_w else abs(need_w) - spare_w
    carried_w = sum(abs(shares[d]) for d in slow)
    if lacking_w > carried_w:
        sign = 1.0 if need_w > 0 else -1.0
        slow_ones = {d: intervals[d] for d in slow}
        shares |= share(sign * lacking_w, slow_ones, energy_wh, before_w, cars)
    left_w = need_w - sum(paces[d].arriving_w for d in slow if d in intervals)
    return shares | share(left_w, fast, energy_wh, before_w, cars)


def _part(lasting: Interval, need_w: float) -> float:
    """Return the part of the need that was there all the time."""
    if need_w > 0:
        return max(0.0, min(lasting.min_w, need_w))
    return min(0.0, max(lasting.max_w, need_w))
