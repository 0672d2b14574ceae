"""Pure: export above the site's limit, counted as G100 counts it; the third time locks the export out.

                over        over for 5 s       back below
    WITHIN  →  OVER     →   EXCURSION      →   WITHIN        the third EXCURSION of 24 h → locked out for 4 h

A power cycle clears nothing: times of a restart are read as ages, so that the time without power does not count, and
neither does a step of the clock (reference/needs.md 2.3).
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum

from gateway.config import GridTable
from gateway.model import LOCK_OUT, Excursions, Snapshot

PATIENCE_S = 5.0
SETTLED_S = 1.0
"""Below the limit for this long, and the next time above it is a new one."""
COUNTED = timedelta(hours=24)
TOO_MANY = 3
STEP = timedelta(seconds=1)
"""The clock was moved when it disagrees with the time that passed by more than this."""


class Export(StrEnum):
    WITHIN = "within"
    OVER = "over"
    EXCURSION = "excursion"


@dataclass(frozen=True, slots=True)
class Counter:
    """``since`` is the monotonic time of the state, ``below_since`` of the export's last return below the limit.

    ``at`` and ``utc`` are those of the last look; ``at`` is None until the first one after a restart.
    """

    told: Excursions = field(default_factory=Excursions)
    state: Export = Export.WITHIN
    since: float = 0.0
    below_since: float | None = None
    at: float | None = None
    utc: datetime | None = None


def recalled(excursions: Excursions, as_of: datetime | None) -> Counter:
    """Return the counter that begins where the one before the restart ended."""
    return Counter(excursions, utc=as_of)


def follow(previous: Counter, snapshot: Snapshot, grid: GridTable) -> Counter:
    """Return the counter after ``snapshot``."""
    counter = _judged(_expired(_looked(previous, snapshot), snapshot.utc, grid), snapshot, grid)
    newly = previous.state is not Export.EXCURSION and counter.state is Export.EXCURSION
    return _counted(counter, snapshot, grid) if newly else counter


def _looked(counter: Counter, snapshot: Snapshot) -> Counter:
    """Move the times with the clock, where that went otherwise than the time that passed."""
    told = counter.told
    if counter.utc is not None:
        passed = timedelta(seconds=snapshot.at - counter.at) if counter.at is not None else timedelta(0)
        moved = snapshot.utc - counter.utc - passed
        if counter.at is None or abs(moved) > STEP:
            until = told.locked_until
            told = Excursions(tuple(t + moved for t in told.began), until + moved if until else None)
    return replace(counter, told=told, at=snapshot.at, utc=snapshot.utc)


def _expired(counter: Counter, utc: datetime, grid: GridTable) -> Counter:
    """Forget what was a day ago, and end a lock-out that is over, or that this site has none of."""
    told = counter.told
    began = tuple(t for t in told.began if utc - t < COUNTED)
    locked = grid.exports_locked_out and told.locked_until is not None and utc < told.locked_until
    until = told.locked_until if locked else None
    if (began, until) == (told.began, told.locked_until):
        return counter
    return replace(counter, told=Excursions(began, until))


def _judged(counter: Counter, snapshot: Snapshot, grid: GridTable) -> Counter:
    """A silent meter lets the time above the limit run on, and begins none."""
    meter, limit_w, now = snapshot.grid(), grid.export_limit_w, snapshot.at
    over = counter.state is not Export.WITHIN
    if limit_w is not None and meter is not None:
        over = -meter.power_w > limit_w
    if counter.state is Export.WITHIN:
        return replace(counter, state=Export.OVER, since=now, below_since=None) if over else counter
    if over:
        late = counter.state is Export.OVER and now - counter.since > PATIENCE_S
        state = Export.EXCURSION if late else counter.state
        return replace(counter, state=state, below_since=None)
    if counter.below_since is None:
        return replace(counter, below_since=now)
    return replace(counter, state=Export.WITHIN) if now - counter.below_since >= SETTLED_S else counter


def _counted(counter: Counter, snapshot: Snapshot, grid: GridTable) -> Counter:
    """Note the excursion; during a lock-out it does not prolong that: our own devices export nothing then."""
    began = (*counter.told.began, snapshot.utc - timedelta(seconds=snapshot.at - counter.since))[-TOO_MANY:]
    until = counter.told.locked_until
    if grid.exports_locked_out and until is None and len(began) >= TOO_MANY:
        until = snapshot.utc + LOCK_OUT
    return replace(counter, told=Excursions(began, until))
