"""The time of plans, calls and leases: the machine's clock, but not at its word when somebody moves it.

A step of more than a minute is first taken for a mistake: what was agreed goes on by the time that really passed. A clock
that has come back meanwhile was one; one that still differs after a quarter of an hour is right. Both processes do the
same, so they agree. Summer time is no step, for all of it is UTC.
"""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

STEP = timedelta(seconds=60)
HOLD_S = 900.0


def system_utc() -> datetime:
    """Return what the machine's clock says."""
    return datetime.now(UTC)


def _passing_s() -> float:
    """Return monotonic seconds that count a sleeping machine's time too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Clock:
    """Call it for aware UTC. ``stepped`` is by how much the machine's clock is off the time that holds."""

    def __init__(
        self, system: Callable[[], datetime] | None = None, passing_s: Callable[[], float] = _passing_s
    ) -> None:
        self._system = system or system_utc
        self._passing_s = passing_s
        self._utc, self._at = self._system(), passing_s()
        self._since: float | None = None
        self.stepped = timedelta(0)

    def __call__(self) -> datetime:
        """Return the time that holds."""
        now, told = self._passing_s(), self._system()
        expected = self._utc + timedelta(seconds=now - self._at)
        off = told - expected
        if abs(off) > STEP and (self._since is None or now - self._since < HOLD_S):
            self._since = self._since if self._since is not None else now
            self.stepped, told = off, expected
        else:
            self._since, self.stepped = None, timedelta(0)
        self._utc, self._at = told, now
        return told
