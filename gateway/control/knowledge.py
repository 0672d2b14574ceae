"""Pure: what the rungs of the ladder may know, of one device and of the site.

It holds no age and no measured power, nothing that changes by itself from tick to tick. So of most devices the same is known
as a tick ago; and since a rung sees nothing else, what they bid is the same too (ladder.py).
"""

from msgspec import Struct

from gateway.control import backup
from gateway.model import (
    ActiveFault,
    BackupPhase,
    Bound,
    Decision,
    DeviceId,
    DeviceInfo,
    DeviceSettings,
    EvseSample,
    EvseState,
    GridWindow,
    Interval,
    PlanSlot,
    Request,
    Snapshot,
    StorageSample,
    WindowKind,
)


class Said(Struct, frozen=True, gc=False):
    """What was said of one device alone: the owner's lease on it, and its faults."""

    request: Request | None = None
    faults: tuple[ActiveFault, ...] = ()


NOTHING = Said()


class Known(Struct, frozen=True, gc=False):
    """Of one device. ``session`` is None for a storage, and without a fresh sample. ``must_w`` is None where no need of a car is
    known, ``lacks`` whether it still has to take something. ``floored``, ``filling`` and ``filled`` tell what the last
    decision rested on: it was at its floor, was charged up to it, had reached its target.
    """

    info: DeviceInfo
    settings: DeviceSettings
    said: Said
    silent: bool
    session: EvseState | None
    plugged: bool
    soc_pct: float | None
    charge_max_w: float
    discharge_max_w: float
    must_w: float | None
    lacks: bool
    bound: Bound | None
    asked_w: float | None
    held: Interval | None
    floored: bool
    filling: bool
    filled: bool


class Scene(Struct, frozen=True, gc=False):
    """Of the site. ``locked``: nothing may be exported (G100). ``outage``: the house does not lean on the grid. ``shedding``
    are a utility's SIMPLE levels of now, ``slot`` is the plan's."""

    stopped: bool
    metered: bool
    locked: bool
    outage: bool
    shedding: tuple[GridWindow, ...]
    reserve_id: str
    plan_id: str
    slot: PlanSlot | None


def scene(snapshot: Snapshot) -> Scene:
    """Return what is known of the site."""
    utc, plan, locked_until = snapshot.utc, snapshot.wishes.plan, snapshot.control.excursions.locked_until
    return Scene(
        stopped=snapshot.wishes.owner.stopped,
        metered=snapshot.grid() is not None,
        # An island exports nothing, so there a lock-out keeps no car from helping.
        locked=locked_until is not None and utc < locked_until and not backup.carried(snapshot),
        outage=snapshot.control.backup.phase is not BackupPhase.GRID,
        shedding=tuple(w for w in snapshot.wishes.windows if w.kind is WindowKind.SHED and w.active(utc)),
        reserve_id=snapshot.control.reserve.window_id,
        plan_id=plan.id if plan else "",
        slot=plan.slot(utc) if plan else None,
    )


def said(snapshot: Snapshot) -> dict[DeviceId, Said]:
    """Return what was said of each device, gathered once for all of them."""
    faults: dict[DeviceId, list[ActiveFault]] = {}
    for fault in snapshot.faults:
        if fault.device:
            faults.setdefault(fault.device, []).append(fault)
    requests = {r.device: r for r in reversed(snapshot.wishes.requests) if snapshot.utc < r.expires_at}
    return {d: Said(requests.get(d), tuple(faults.get(d, ()))) for d in {*faults, *requests}}


def known(
    snapshot: Snapshot, device: DeviceId, sample: StorageSample | EvseSample | None, heard: Said
) -> Known:
    """Return what is known of a device and its ``sample``; ``heard`` is its part of ``said``."""
    control = snapshot.control
    urgency, before = control.urgencies.get(device), snapshot.decisions.get(device)
    evse = sample if isinstance(sample, EvseSample) else None
    return Known(
        snapshot.devices[device],
        snapshot.wishes.owner.of(device),
        heard,
        sample is None,
        evse.state if evse else None,
        evse.plugged if evse else False,
        soc_pct(sample),
        sample.charge_max_w if sample else 0.0,
        sample.discharge_max_w if sample else 0.0,
        urgency.must_w if urgency else None,
        urgency is not None and urgency.need_wh > 0,
        control.backup.bounds.get(device),
        control.reserve.asked_w.get(device),
        control.reserve.held.get(device),
        *((False, False, False) if before is None else _rested_on(before)),
    )


def _rested_on(before: Decision) -> tuple[bool, bool, bool]:
    low, high = before.min_by, before.max_by
    return (
        low is not None and low.code == "soc_floor",
        before.reason.code == "below_floor",
        high is not None and high.code == "target_reached",
    )


def soc_pct(sample: StorageSample | EvseSample | None) -> float | None:
    """Return the SoC of a storage, or of the car at an EVSE; None when it is not known."""
    if isinstance(sample, EvseSample):
        return sample.vehicle.soc_pct if sample.vehicle else None
    return sample.soc_pct if sample else None


def sample_of(snapshot: Snapshot, device: DeviceId) -> StorageSample | EvseSample | None:
    """Return the fresh sample of an actuator, None when it is stale."""
    return snapshot.storages.get(device) or snapshot.evses.get(device)
