"""Pure: what the house does without a grid: grid / islanded / reserve / dark / resync (docs/backup.md).

The transfer is the hardware's; this only reacts, by monotonic time alone: it needs no wish, no service and no right clock.
"""

import zlib
from collections.abc import Mapping
from copy import replace
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gateway.config import BackupTable, ControlTables
from gateway.control.island import Island, can_help, carry, charge_pct, house_load_w
from gateway.control.outage import NEXT, Event, Look, able, look
from gateway.faults import FaultCode
from gateway.model import (
    ZERO,
    BackupPhase,
    BackupStatus,
    Bound,
    Decision,
    DeviceId,
    Interval,
    Reason,
    Rung,
    Snapshot,
)

if TYPE_CHECKING:
    from gateway.control.knowledge import Known, Scene
    from gateway.control.ladder import Bid

SPREAD_S = 61
"""Sites of one street do not all start in the same second (reference/needs.md 2.2): 0 to 60 s, always the same for a site."""
RAMP_S = 600.0
"""After the reconnection: 10 % of the rated power per minute."""
RETRY_S = 3600.0
SUNNY_RETRY_S = 300.0
TRY_S = 360.0
SUN_W = 100.0
LOAD_SETTLES_S = 300.0
LEAST_LOAD_W = 50.0
GIVES = 0.93
"""AC energy out of energy stored."""
CARRIED = (BackupPhase.ISLANDED, BackupPhase.RESERVE)
OPEN_W = 1e6
HIGH, LOW = "high", "low"
UNFIT = {
    HIGH: "its voltage or frequency is too high to give anything into it",
    LOW: "its voltage or frequency is too low",
}
BACKUP_FAULTS = (
    FaultCode.GRID_LOST,
    FaultCode.BACKUP_LOW,
    FaultCode.BACKUP_DARK,
    FaultCode.BACKUP_OVERLOADED,
)


@dataclass(frozen=True, slots=True)
class Backup:
    """``since`` is when the phase began, ``joined_at`` when the grid was last taken again, ``tried_at`` when the last restart
    was begun. ``load_w`` is the house without batteries, cars and switched loads, smoothed. All times are monotonic."""

    phase: BackupPhase = BackupPhase.GRID
    since: float | None = None
    joined_at: float | None = None
    tried_at: float | None = None
    at: float | None = None
    load_w: float | None = None
    look: Look = field(default_factory=Look)
    island: Island = field(default_factory=Island)
    status: BackupStatus = field(default_factory=BackupStatus)


def recalled(phase: BackupPhase) -> Backup:
    """Return what to start with after a restart: who was in a blackout is so until the site says otherwise."""
    return Backup(phase, status=BackupStatus(phase))


def follow(before: Backup, snapshot: Snapshot, tables: ControlTables) -> Backup:
    """Return the state after ``snapshot``."""
    table, now = tables.backup or _stand_in(snapshot), snapshot.at
    seen = look(before.look, snapshot, tables.grid, table, steady_s(tables, table))
    phase = NEXT[before.phase][seen.event]
    changed = phase is not before.phase
    since = now if changed or before.since is None else before.since
    joined_at = now if changed and phase is BackupPhase.GRID else before.joined_at
    tried_at = _tried_at(before, snapshot, since) if phase is BackupPhase.DARK else None
    island = Island()
    if phase in CARRIED:
        island = carry(before.island, snapshot, table, phase)
    unfit = _unfit(phase, now, since, seen, steady_s(tables, table))
    load_w = _load_w(before, snapshot, seen.event)
    status = BackupStatus(
        phase=phase,
        since=snapshot.utc if changed or before.status.since is None else before.status.since,
        autonomy_h=_autonomy_h(snapshot, table, load_w),
        shed=island.shed
        if phase in CARRIED
        else ()
        if phase is BackupPhase.GRID or unfit == HIGH
        else _all(snapshot),
        storm=snapshot.wishes.storm(snapshot.utc),
        overloaded=island.overloaded,
        unfit=unfit,
        bounds=_bounds(phase, island, snapshot, joined_at, tried_at, unfit),
    )
    return Backup(phase, since, joined_at, tried_at, now, load_w, seen, island, status)


def _unfit(phase: BackupPhase, now: float, since: float, seen: Look, patience_s: float) -> str:
    """Return what keeps a grid that is back for long from being leant on. One that is too high bears whoever draws."""
    if phase is not BackupPhase.RESYNC:
        return ""
    if seen.bears_since is not None and now - seen.bears_since >= patience_s:
        return HIGH
    return LOW if seen.event is Event.WEAK and now - since >= patience_s else ""


def steady_s(tables: ControlTables, table: BackupTable) -> float:
    """Return how long the grid must be healthy before this site leans on it again."""
    return table.reconnect_s + zlib.crc32(tables.serial.encode()) % SPREAD_S


def without_grid(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """What backup lets the device do, and wants of it."""
    bound = known.bound
    if bound is None:
        return bid
    reason = Reason(Rung.BACKUP_RESERVE, bound.code)
    bid = bid.narrowed(bound.interval, reason)
    if bound.wish_w is not None:
        bid = bid.wishing(bid.interval.clamp(bound.wish_w), reason)
    return bid if bound.engage else replace(bid, engage=False)


def carried(snapshot: Snapshot) -> bool:
    """Tell whether an inverter that answers carries the house alone."""
    islands = any(s is not None and s.islanded for s in snapshot.storages.values())
    return islands and snapshot.control.backup.phase in CARRIED


def switched(snapshot: Snapshot) -> tuple[Decision, ...]:
    """Return one decision for each switched load: ``engage`` false holds it off."""
    shed = snapshot.control.backup.shed
    held, free = Reason(Rung.BACKUP_RESERVE, "island_shed"), Reason(Rung.IDLE, "idle")
    return tuple(
        Decision(
            device=load,
            at=snapshot.at,
            utc=snapshot.utc,
            wanted_w=0.0,
            power_w=0.0,
            interval=ZERO,
            reason=held if load in shed else free,
            engage=load not in shed,
        )
        for load in snapshot.loads
    )


def faults(snapshot: Snapshot) -> Mapping[FaultCode, str]:
    """Return what the owner must know: code → detail."""
    backup = snapshot.control.backup
    found: dict[FaultCode, str] = {}
    if backup.phase in (*CARRIED, BackupPhase.DARK):
        hours = "" if backup.autonomy_h is None else f", enough for about {backup.autonomy_h:.1f} h"
        found[FaultCode.GRID_LOST] = f"{backup.phase}{hours}" if backup.phase in CARRIED else backup.phase
    if backup.unfit:
        found[FaultCode.GRID_LOST] = f"{backup.phase}, the grid is back, but {UNFIT[backup.unfit]}"
    if backup.phase is BackupPhase.RESERVE:
        found[FaultCode.BACKUP_LOW] = "only what keeps a restart possible is left"
    if backup.phase is BackupPhase.DARK:
        found[FaultCode.BACKUP_DARK] = "no inverter carries the house"
    if backup.overloaded:
        found[FaultCode.BACKUP_OVERLOADED] = "nothing is left to shed"
    return found


def _stand_in(snapshot: Snapshot) -> BackupTable:
    """Return what a site without [backup] is taken for: the cars stop all the same when its inverter islands."""
    rated_w = sum(-snapshot.devices[d].rated.min_w for d in snapshot.storages)
    return BackupTable(continuous_w=max(rated_w, 100.0))


def _all(snapshot: Snapshot) -> tuple[DeviceId, ...]:
    return (*snapshot.evses, *snapshot.loads)


def _bounds(
    phase: BackupPhase,
    island: Island,
    snapshot: Snapshot,
    joined_at: float | None,
    tried_at: float | None,
    unfit: str,
) -> Mapping[DeviceId, Bound]:
    steered = (*snapshot.storages, *snapshot.evses)
    if phase in CARRIED:
        return island.bounds
    if unfit == HIGH:
        return {d: Bound(Interval(0.0, OPEN_W), "resync") for d in steered}
    if phase is BackupPhase.RESYNC:
        return {d: Bound(ZERO, "resync", 0.0, engage=False) for d in steered}
    if phase is BackupPhase.DARK:
        # Never at the very start of a try: what asks an inverter is that it is engaged anew.
        trying = tried_at is not None and 0 < snapshot.at - tried_at < TRY_S
        return {d: Bound(ZERO, "blackout", 0.0, engage=trying and d in snapshot.storages) for d in steered}
    bounds: dict[DeviceId, Bound] = {}
    if snapshot.wishes.storm(snapshot.utc):
        bounds = {d: _stormy(d, snapshot) for d in steered}
    share = 1.0 if joined_at is None else (snapshot.at - joined_at) / RAMP_S
    if share < 1.0:
        for device in steered:
            bounds[device] = _ramped(device, snapshot, share, bounds.get(device))
    return bounds


def _stormy(device: DeviceId, snapshot: Snapshot) -> Bound:
    """Charge all of a battery and a car to its target, and keep it."""
    if device in snapshot.storages:
        has_pct, target_pct = charge_pct(snapshot.storages[device]), 100.0
    else:
        has_pct = charge_pct(snapshot.evses[device])
        target_pct = snapshot.wishes.owner.of(device).target_soc_pct
    wants = has_pct is not None and has_pct < target_pct
    return Bound(Interval(0.0, OPEN_W), "storm", OPEN_W if wants else None)


def _ramped(device: DeviceId, snapshot: Snapshot, share: float, bound: Bound | None) -> Bound:
    rated = snapshot.devices[device].rated
    allowed = Interval(rated.min_w * share, rated.max_w * share)
    if bound is None:
        return Bound(allowed, "reconnect_ramp")
    return replace(bound, interval=allowed.narrow(bound.interval))


def _tried_at(before: Backup, snapshot: Snapshot, since: float) -> float | None:
    """Return when the last restart was begun: at once when the sun shows, else hourly, for nobody knows the hour."""
    pv, now = snapshot.pv(), snapshot.at
    sunny = pv is not None and -pv.power_w >= SUN_W
    last = since if before.tried_at is None else before.tried_at
    return now if now - last >= (SUNNY_RETRY_S if sunny else RETRY_S) else before.tried_at


def _load_w(before: Backup, snapshot: Snapshot, event: Event) -> float | None:
    """Smooth what the house draws, while somebody measures it."""
    if not able(snapshot) or event is Event.DEAD:
        return before.load_w
    if event not in (Event.AMPLE, Event.LEAN, Event.LOW) and snapshot.grid() is None:
        return before.load_w
    load_w = house_load_w(snapshot)
    if before.load_w is None or before.at is None:
        return load_w
    keep = LOAD_SETTLES_S / (LOAD_SETTLES_S + max(0.0, snapshot.at - before.at))
    return keep * before.load_w + (1 - keep) * load_w


def _autonomy_h(snapshot: Snapshot, table: BackupTable, load_w: float | None) -> float | None:
    """Return how long batteries that island, and the cars that may help, carry the house without sun."""
    inverters = able(snapshot)
    if not inverters or load_w is None:
        return None
    stored_wh = 0.0
    for device, sample in inverters.items():
        capacity_wh = sample.capacity_wh or snapshot.devices[device].capacity_wh or 0.0
        stored_wh += capacity_wh * max(0.0, sample.soc_pct - table.black_start_soc_pct) / 100
    for device, car in snapshot.evses.items():
        if car is not None and car.plugged and car.vehicle is not None and can_help(snapshot, device, car):
            kept_pct = snapshot.wishes.owner.of(device).drive_away_soc_pct
            stored_wh += (car.vehicle.capacity_wh or 0.0) * ((charge_pct(car) or 0.0) - kept_pct) / 100
    return GIVES * stored_wh / max(load_w, LEAST_LOAD_W)
