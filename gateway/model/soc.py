"""State of charge that cannot be true is held until it has proven itself (reference/needs.md 1, row 3); pure."""

from msgspec import Struct

SLACK_PCT = 2.0
STABLE_S = 60.0
LONGEST_GAP_S = 20.0
"""Between two readings; after a longer silence a doubted value has to prove itself anew."""
LEAST_CAPACITY_WH = 5000.0
"""Stands in for a capacity that is not told: the smaller, the faster its state of charge may move."""


class HeldSoc(Struct, frozen=True, gc=False):
    """The last value that was believed, with its time; and the one that is on trial, since when, with its last value."""

    pct: float | None = None
    at: float = 0.0
    doubted_pct: float | None = None
    doubted_since: float = 0.0
    doubted_at: float = 0.0

    @property
    def doubt(self) -> str:
        """Say what is not believed; empty when there is nothing."""
        if self.doubted_pct is None:
            return ""
        instead = "nothing is known" if self.pct is None else f"{self.pct:g} % is held"
        return f"state of charge of {self.doubted_pct:g} %, {instead}"

    def after(self, now: float, told_pct: float, most_w: float, capacity_wh: float | None) -> HeldSoc:
        """Return what is believed after one more reading, in a battery that takes and gives at most ``most_w``."""
        pct_per_s = 100.0 * most_w / (capacity_wh or LEAST_CAPACITY_WH) / 3600.0

        def near(pct: float, at: float) -> bool:
            return abs(told_pct - pct) <= SLACK_PCT + pct_per_s * max(0.0, now - at)

        in_range = 0 < told_pct <= 100
        possible = in_range if self.pct is None else in_range and near(self.pct, self.at)
        if possible or (self.pct == 0 and told_pct == 0):
            return HeldSoc(told_pct, now)
        if not 0 <= told_pct <= 100:
            return HeldSoc(self.pct, self.at, told_pct, now, now)
        steady = (
            self.doubted_pct is not None
            and now - self.doubted_at <= LONGEST_GAP_S
            and near(self.doubted_pct, self.doubted_at)
        )
        since = self.doubted_since if steady else now
        if now - since >= STABLE_S:
            return HeldSoc(told_pct, now)
        return HeldSoc(self.pct, self.at, told_pct, since, now)
