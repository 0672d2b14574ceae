"""Pure: is the grid there, and who carries the house? The states of a blackout, and what leads from one to the next.

"Import is 0" is no outage and a silent meter alone is none either: an outage is an inverter that says that it forms its own
grid, or a meter that measured a voltage before and now measures none.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gateway.config import BackupTable, GridTable
from gateway.model import BackupPhase, DeviceId, MeterSample, Snapshot, StorageSample

LOSS_S = 0.4
"""So long the voltage must be gone: a dip is no outage."""
DEAD_SHARE = 0.5
"""Of the nominal voltage; a phase with less is dead."""
HEALTHY_SHARE = (0.85, 1.10)
"""Where a grid may be connected to again (reference/needs.md 2.2)."""
NOMINAL_HZ = 50.0
"""What a meter that tells no frequency is taken to have."""
HEALTHY_HZ = ((47.5, 50.1), (59.5, 60.1))
FLOWS_W = 50.0
"""With more than this there is a voltage, whatever the meter says."""
RESERVE_MARGIN_PCT = 5.0


class Sight(StrEnum):
    """What the grid meter shows."""

    HEALTHY = "healthy"
    HIGH = "high"
    """More voltage or frequency than one may connect a source to; whoever draws does it good."""
    WEAK = "weak"
    DEAD = "dead"
    SILENT = "silent"


class Event(StrEnum):
    """What one look at the site says. ``AMPLE``, ``LEAN``, ``LOW``: an inverter carries the house, with this charge.

    ``ABANDONED``: the inverter let go of the grid without forming its own, and the meter is silent. ``STEADY``: the grid has
    been healthy for long enough.
    """

    AMPLE = "ample"
    LEAN = "lean"
    LOW = "low"
    DEAD = "dead"
    ABANDONED = "abandoned"
    UNKNOWN = "unknown"
    WEAK = "weak"
    HEALTHY = "healthy"
    STEADY = "steady"


_GRID, _ISLANDED, _RESERVE, _DARK, _RESYNC = BackupPhase

NEXT: Mapping[BackupPhase, Mapping[Event, BackupPhase]] = {
    _GRID: {
        Event.AMPLE: _ISLANDED,
        Event.LEAN: _ISLANDED,
        Event.LOW: _RESERVE,
        Event.DEAD: _DARK,
        Event.ABANDONED: _GRID,
        Event.UNKNOWN: _GRID,
        Event.WEAK: _GRID,
        Event.HEALTHY: _GRID,
        Event.STEADY: _GRID,
    },
    _ISLANDED: {
        Event.AMPLE: _ISLANDED,
        Event.LEAN: _ISLANDED,
        Event.LOW: _RESERVE,
        Event.DEAD: _DARK,
        Event.ABANDONED: _DARK,
        Event.UNKNOWN: _ISLANDED,
        Event.WEAK: _RESYNC,
        Event.HEALTHY: _RESYNC,
        Event.STEADY: _RESYNC,
    },
    _RESERVE: {
        Event.AMPLE: _ISLANDED,
        Event.LEAN: _RESERVE,
        Event.LOW: _RESERVE,
        Event.DEAD: _DARK,
        Event.ABANDONED: _DARK,
        Event.UNKNOWN: _RESERVE,
        Event.WEAK: _RESYNC,
        Event.HEALTHY: _RESYNC,
        Event.STEADY: _RESYNC,
    },
    _DARK: {
        Event.AMPLE: _ISLANDED,
        Event.LEAN: _RESERVE,
        Event.LOW: _RESERVE,
        Event.DEAD: _DARK,
        Event.ABANDONED: _DARK,
        Event.UNKNOWN: _DARK,
        Event.WEAK: _RESYNC,
        Event.HEALTHY: _RESYNC,
        Event.STEADY: _RESYNC,
    },
    _RESYNC: {
        Event.AMPLE: _ISLANDED,
        Event.LEAN: _RESERVE,
        Event.LOW: _RESERVE,
        Event.DEAD: _DARK,
        Event.ABANDONED: _RESYNC,
        Event.UNKNOWN: _RESYNC,
        Event.WEAK: _RESYNC,
        Event.HEALTHY: _RESYNC,
        Event.STEADY: _GRID,
    },
}


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen so far: whether the meter ever told a voltage, since when the grid is dead, healthy, or bears a load."""

    voltage_told: bool = False
    dead_since: float | None = None
    healthy_since: float | None = None
    bears_since: float | None = None
    event: Event = Event.UNKNOWN


def look(before: Look, snapshot: Snapshot, grid: GridTable, table: BackupTable, steady_s: float) -> Look:
    """Return what this snapshot says; ``steady_s`` is how long the grid must have been healthy."""
    now = snapshot.at
    inverters = able(snapshot).values()
    sight = _sight(before, snapshot.grid(), grid)
    bears = sight in (Sight.HEALTHY, Sight.HIGH)
    bears_since = None if not bears else now if before.bears_since is None else before.bears_since
    told = before.voltage_told or bears or sight is Sight.WEAK
    dead_since = None if sight is not Sight.DEAD else now if before.dead_since is None else before.dead_since
    if (event := _carried(inverters, table)) is not None:
        return Look(told, dead_since, event=event)
    if dead_since is not None and now - dead_since >= LOSS_S:
        return Look(told, dead_since, event=Event.DEAD)
    joined = any(s.islanded is False for s in inverters) or (not told and _nobody_islands(snapshot))
    if sight is Sight.SILENT and inverters and not joined:
        return Look(told, event=Event.ABANDONED)
    if sight is Sight.HEALTHY or (sight is Sight.SILENT and joined):
        since = now if before.healthy_since is None else before.healthy_since
        event = Event.STEADY if now - since >= steady_s else Event.HEALTHY
        return Look(told, None, since, bears_since, event)
    known = sight in (Sight.WEAK, Sight.HIGH)
    return Look(told, dead_since, None, bears_since, Event.WEAK if known else Event.UNKNOWN)


def able(snapshot: Snapshot) -> dict[DeviceId, StorageSample]:
    """Return the batteries that answer and can carry the house without a grid."""
    return {
        d: s
        for d, s in snapshot.storages.items()
        if s is not None and (s.islanded or snapshot.devices[d].islands)
    }


def _carried(inverters: Collection[StorageSample], table: BackupTable) -> Event | None:
    """Return how much is left where an inverter carries the house, None where none does."""
    left_pct = [s.soc_pct - table.black_start_soc_pct for s in inverters if s.islanded]
    if not left_pct:
        return None
    if max(left_pct) <= 0:
        return Event.LOW
    return Event.AMPLE if max(left_pct) > RESERVE_MARGIN_PCT else Event.LEAN


def _sight(before: Look, meter: MeterSample | None, grid: GridTable) -> Sight:
    if meter is None:
        return Sight.SILENT
    shares = [v / grid.nominal_voltage_v for v in meter.phase_voltage_v[: grid.phases]]
    if all(s < DEAD_SHARE for s in shares):
        # A meter that never told a voltage is no witness.
        return Sight.DEAD if before.voltage_told and abs(meter.power_w) < FLOWS_W else Sight.SILENT
    low, high = HEALTHY_SHARE
    hertz = meter.frequency_hz or NOMINAL_HZ
    slow, fast = min(HEALTHY_HZ, key=lambda window: abs(sum(window) / 2 - hertz))
    if hertz < slow or any(s < low for s in shares):
        return Sight.WEAK
    return Sight.HIGH if hertz > fast or any(s > high for s in shares) else Sight.HEALTHY


def _nobody_islands(snapshot: Snapshot) -> bool:
    """Tell whether all batteries answer, and none of them can carry the house: the one that did was taken away."""
    return None not in snapshot.storages.values() and not able(snapshot)
