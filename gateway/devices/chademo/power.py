"""AC power ↔ DC current: an estimate of the losses, and a slow trim that takes the rest; pure."""

from msgspec import Struct
from msgspec.structs import replace

EFFICIENCY = 0.955
RATE_PER_S = 0.4
MOST_TRIM_W = 400.0
DEAD_BAND_W = 20.0
"""Half of what 0.1 A moves at 400 V."""
SETTLE_S = 0.8
SAME_W = 150.0
"""Smaller moves of the setpoint do not disturb the trim."""


def dc_power_w(ac_power_w: float, trim_w: float = 0.0) -> float:
    """Return the DC power that takes ``ac_power_w`` from the site; 0 stays 0."""
    if not ac_power_w:
        return 0.0
    return (ac_power_w * EFFICIENCY if ac_power_w > 0 else ac_power_w / EFFICIENCY) + trim_w


def ac_power_w(dc_power_w: float, trim_w: float = 0.0) -> float:
    """Return the AC power of ``dc_power_w``; the inverse of the other."""
    if not dc_power_w:
        return 0.0
    untrimmed_w = dc_power_w - trim_w
    return untrimmed_w / EFFICIENCY if untrimmed_w > 0 else untrimmed_w * EFFICIENCY


class Trim(Struct, frozen=True):
    """DC power added so that the measured AC power meets the setpoint."""

    offset_w: float = 0.0
    around_w: float = 0.0
    since: float = 0.0
    at: float = 0.0

    def follow(self, now: float, wanted_w: float, measured_w: float, *, free: bool) -> Trim:
        """Return the trim after one measurement; it learns only where nothing else (``free``) holds the current back."""
        elapsed_s = min(now - self.at, 0.5)
        if not free or not wanted_w or abs(wanted_w - self.around_w) > SAME_W:
            return replace(self, around_w=wanted_w, since=now, at=now)
        error_w = wanted_w - measured_w
        if now - self.since < SETTLE_S or abs(error_w) < DEAD_BAND_W:
            return replace(self, at=now)
        moved_w = self.offset_w + RATE_PER_S * elapsed_s * error_w
        return replace(self, offset_w=min(max(moved_w, -MOST_TRIM_W), MOST_TRIM_W), at=now)
