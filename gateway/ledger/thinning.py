"""Which samples and decisions are worth a row. Pure."""

from datetime import datetime

from gateway.model import Decision

SPACING_S = 10.0
STEADY_S = 60.0
SOONEST_S = 1.0

LEAP_W = 500.0
STEADY_W = 10.0
DECIDED_W = 100.0


def sample_worth(
    before: tuple[datetime, float, float | None] | None, now: tuple[datetime, float, float | None]
) -> bool:
    """Compare (utc, power_w, soc_pct): a row each 10 s, each minute when nothing moves, within 1 s after a leap."""
    if before is None:
        return True
    elapsed_s = (now[0] - before[0]).total_seconds()
    step_w = abs(now[1] - before[1])
    if step_w >= LEAP_W:
        return not 0.0 <= elapsed_s < SOONEST_S
    steady = step_w < STEADY_W and now[2] == before[2]
    return not 0.0 <= elapsed_s < (STEADY_S if steady else SPACING_S)


def decision_worth(before: Decision | None, now: Decision) -> bool:
    """A row when reason, limiter or engagement change, at most one per second; for power alone, one per minute."""
    if before is None:
        return True
    elapsed_s = (now.utc - before.utc).total_seconds()
    if (before.reason, before.limited_by, before.engage) != (now.reason, now.limited_by, now.engage):
        return not 0.0 <= elapsed_s < SOONEST_S
    return abs(now.power_w - before.power_w) >= DECIDED_W and not 0.0 <= elapsed_s < STEADY_S
