"""Pure: the rungs that concern one device. Each takes a bid and returns it narrowed, or with a wish where there was none.

A wish of a higher rung is never replaced by a lower one; an interval only ever shrinks.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from gateway.control.backup import binds, carried, without_grid
from gateway.control.frequency.rung import frequency
from gateway.faults import FAULTS, FaultCode, Response
from gateway.model import (
    ZERO,
    ActiveFault,
    DeviceId,
    DeviceKind,
    EvseSample,
    EvseState,
    Interval,
    Reason,
    Request,
    RequestMode,
    Rung,
    Snapshot,
    StorageSample,
    WindowKind,
)

FLOOR_HYSTERESIS_PCT = 2.0
_CHARGING = Interval(0.0, 1e6)
_NAMEPLATE, _NOW, _DEPARTURE = (
    Reason(Rung.CAPABILITY, "nameplate"),
    Reason(Rung.CAPABILITY, "device_limit"),
    Reason(Rung.PLAN, "departure"),
)


class Said(Struct, frozen=True, gc=False):
    """What was said of one device alone: the owner's lease on it, and its faults."""

    request: Request | None = None
    faults: tuple[ActiveFault, ...] = ()


NOTHING = Said()


class Bid(Struct, frozen=True, gc=False):
    """What one device may do and wants to do. ``low`` and ``high`` name who set the interval's edges.

    ``apart``: what it does is not the house's, so that the other devices do not work against it.
    """

    device: DeviceId
    interval: Interval
    low: Reason
    high: Reason
    wish_w: float | None = None
    wish: Reason | None = None
    engage: bool = True
    automatic: bool = True
    apart: bool = False
    said: Said = NOTHING

    def narrowed(self, allowed: Interval, reason: Reason) -> Bid:
        """Return the bid with the interval shrunk to ``allowed``; edges that moved bear ``reason``."""
        was = self.interval
        if allowed.min_w <= was.min_w and was.max_w <= allowed.max_w:
            return self
        interval = was.narrow(allowed)
        low = reason if interval.min_w > was.min_w else self.low
        high = reason if interval.max_w < was.max_w else self.high
        return replace(self, interval=interval, low=low, high=high)

    def wishing(self, power_w: float, reason: Reason) -> Bid:
        """Return the bid with a wish, unless a higher rung already has one."""
        return self if self.wish is not None else replace(self, wish_w=power_w, wish=reason)


def soc_pct(sample: StorageSample | EvseSample | None) -> float | None:
    """Return the SoC of a storage, or of the car at an EVSE; None when it is not known."""
    if isinstance(sample, EvseSample):
        return sample.vehicle.soc_pct if sample.vehicle else None
    return sample.soc_pct if sample else None


def sample_of(snapshot: Snapshot, device: DeviceId) -> StorageSample | EvseSample | None:
    """Return the fresh sample of an actuator, None when it is stale."""
    return snapshot.storages.get(device) or snapshot.evses.get(device)


def said(snapshot: Snapshot) -> dict[DeviceId, Said]:
    """Return what was said of each device, gathered once for all of them."""
    faults: dict[DeviceId, list[ActiveFault]] = {}
    for fault in snapshot.faults:
        if fault.device:
            faults.setdefault(fault.device, []).append(fault)
    requests = {r.device: r for r in reversed(snapshot.wishes.requests) if snapshot.utc < r.expires_at}
    return {d: Said(requests.get(d), tuple(faults.get(d, ()))) for d in {*faults, *requests}}


def opening_bid(snapshot: Snapshot, device: DeviceId, heard: Said) -> Bid:
    """Return the bid with everything that the device could ever do."""
    rated = snapshot.devices[device].rated
    unlimited = Interval(-1e6, 1e6) if rated == ZERO else rated
    return Bid(device, unlimited, _NAMEPLATE, _NAMEPLATE, said=heard)


def capability(bid: Bid, snapshot: Snapshot) -> Bid:
    """What the device says it can do now; nothing when it is silent."""
    sample = sample_of(snapshot, bid.device)
    if sample is None:
        return bid.narrowed(ZERO, Reason(Rung.CAPABILITY, "device_silent"))
    if isinstance(sample, EvseSample) and sample.state is not EvseState.READY:
        code = "unplugged" if sample.state is EvseState.UNPLUGGED else "no_session"
        return replace(bid.narrowed(ZERO, Reason(Rung.CAPABILITY, code)), engage=sample.plugged)
    least_w = 0.0 if soc_pct(sample) is None else -sample.discharge_max_w
    live = Interval(least_w, sample.charge_max_w)
    return bid.narrowed(live, _NOW)


def faults(bid: Bid, _snapshot: Snapshot) -> Bid:
    """Raised faults of the device, each with its own response; a code without one stops the device."""
    for fault in bid.said.faults:
        known = fault.code in FaultCode
        response = FAULTS[FaultCode(fault.code)].response if known else Response.DEVICE_TO_ZERO
        reason = Reason(Rung.CAPABILITY, "fault", fault.code)
        if response is Response.DEVICE_TO_ZERO:
            bid = bid.narrowed(ZERO, reason)
        elif response is Response.NO_DISCHARGE:
            bid = bid.narrowed(_CHARGING, reason)
    return bid


def owner_stop(bid: Bid, snapshot: Snapshot) -> Bid:
    """The owner's stop and pause: nothing flows, and a car's contactors open."""
    if snapshot.wishes.owner.stopped:
        return replace(
            bid.narrowed(ZERO, Reason(Rung.OWNER_STOP, "owner_stop")), engage=False, automatic=False
        )
    request = bid.said.request
    if request is not None and request.mode is RequestMode.PAUSE:
        held = bid.narrowed(ZERO, Reason(Rung.OWNER_STOP, "paused", request.id))
        return replace(held, engage=False, automatic=False)
    return bid


def reserve(bid: Bid, snapshot: Snapshot) -> Bid:
    """The owner's floor: no discharge below it, and a car below it is charged at once."""
    if binds(bid.device, snapshot):
        return bid
    settings = snapshot.wishes.owner.of(bid.device)
    if not settings.discharge_allowed:
        bid = bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "discharge_not_allowed"))
    soc = soc_pct(sample_of(snapshot, bid.device))
    if soc is None:
        return bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "soc_unknown"))
    before = snapshot.decisions.get(bid.device)
    margin = FLOOR_HYSTERESIS_PCT if before and before.min_by and before.min_by.code == "soc_floor" else 0.0
    if soc <= settings.floor_soc_pct + margin:
        bid = bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "soc_floor"))
    is_car = snapshot.devices[bid.device].kind is DeviceKind.EVSE
    charging = before is not None and before.reason.code == "below_floor"
    if is_car and soc < settings.floor_soc_pct - FLOOR_HYSTERESIS_PCT + (
        FLOOR_HYSTERESIS_PCT if charging else 0.0
    ):
        return bid.wishing(bid.interval.max_w, Reason(Rung.BACKUP_RESERVE, "below_floor"))
    return bid


def shed(bid: Bid, snapshot: Snapshot) -> Bid:
    """A utility's SIMPLE level: from 2 on no charging (level 1 and 3 also shape the site's target in dispatch).

    Without the grid meter level 1 cannot tell sun from grid, so it is no charging either. A car below its floor outranks it.
    """
    if bid.wish is not None:
        return bid
    level = 1 if snapshot.grid() is None else 2
    for window in snapshot.wishes.windows:
        if window.kind is WindowKind.SHED and window.value >= level and window.active(snapshot.utc):
            return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.DISPATCH_CALL, "shed", window.event_id))
    return bid


def export_lockout(bid: Bid, snapshot: Snapshot) -> Bid:
    """After too many excursions over the export limit nothing is discharged until the lock-out ends (G100).

    An island exports nothing, so there it keeps no car from helping.
    """
    locked_until = snapshot.control.excursions.locked_until
    if locked_until is None or snapshot.utc >= locked_until or carried(snapshot):
        return bid
    return bid.narrowed(_CHARGING, Reason(Rung.GRID_CONNECTION, "export_lockout"))


def pressing(bid: Bid, snapshot: Snapshot) -> Bid:
    """A car that would otherwise leave too empty is charged, whatever the plan says."""
    urgency = snapshot.control.urgencies.get(bid.device)
    if urgency is None or urgency.must_w <= 0:
        return bid
    return bid.wishing(urgency.must_w, _DEPARTURE)


def departing(bid: Bid, snapshot: Snapshot) -> Bid:
    """Where no plan has a say, a car takes what it needs as soon as the site has room for it, and keeps it."""
    urgency = snapshot.control.urgencies.get(bid.device)
    if urgency is None:
        return bid
    wish_w = bid.interval.max_w if urgency.need_wh > 0 else 0.0
    return bid.wishing(wish_w, _DEPARTURE)


def owner_request(bid: Bid, snapshot: Snapshot) -> Bid:
    """The owner's lease on this device: charge, boost until an SoC, discharge."""
    request = bid.said.request
    if request is None or request.mode is RequestMode.PAUSE:
        return bid
    reason = Reason(Rung.OWNER_REQUEST, request.mode, request.id)
    soc = soc_pct(sample_of(snapshot, bid.device))
    until = request.until_soc_pct
    if request.mode is RequestMode.DISCHARGE:
        wish_w = -request.power_w if request.power_w else bid.interval.min_w
        done = soc is not None and until is not None and soc <= until
    else:
        wish_w = request.power_w or bid.interval.max_w
        done = soc is not None and until is not None and soc >= until
    if done:
        return bid
    return replace(bid.wishing(wish_w, reason), automatic=False)


def plan_slot(bid: Bid, snapshot: Snapshot) -> Bid:
    """The plan's share of this device in the present slot."""
    plan = snapshot.wishes.plan
    slot = plan.slot(snapshot.utc) if plan else None
    if slot is None or bid.device not in slot.device_power_w:
        return bid
    reason = Reason(Rung.PLAN, slot.reasons.get(bid.device, "plan"), plan.id if plan else "")
    return bid.wishing(slot.device_power_w[bid.device], reason)


def target(bid: Bid, snapshot: Snapshot) -> Bid:
    """Without the owner's own request a car is not charged beyond its target, nor while its charge is unknown."""
    if not bid.automatic or snapshot.devices[bid.device].kind is not DeviceKind.EVSE:
        return bid
    soc = soc_pct(sample_of(snapshot, bid.device))
    if soc is None:
        if bid.device in snapshot.control.urgencies:  # told how much it needs: that will do
            return bid
        return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.SELF_CONSUMPTION, "soc_unknown"))
    before = snapshot.decisions.get(bid.device)
    margin = (
        FLOOR_HYSTERESIS_PCT if before and before.max_by and before.max_by.code == "target_reached" else 0.0
    )
    if soc >= snapshot.wishes.owner.of(bid.device).target_soc_pct - margin:
        return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.SELF_CONSUMPTION, "target_reached"))
    return bid


RUNGS: tuple[Callable[[Bid, Snapshot], Bid], ...] = (
    capability,
    faults,
    owner_stop,
    export_lockout,
    without_grid,
    reserve,
    frequency,
    shed,
    owner_request,
    pressing,
    plan_slot,
    departing,
    target,
)
"""Highest first. The site's own limits rank between ``owner_stop`` and ``without_grid``; dispatch fits them at the end, so
that they stand, but inside these intervals, so that no call can take a device below the owner's floor."""


_MUTE: Mapping[Callable[[Bid, Snapshot], Bid], Callable[[Snapshot], bool]] = {
    faults: lambda s: not s.faults,
    owner_stop: lambda s: not s.wishes.owner.stopped and not s.wishes.requests,
    export_lockout: lambda s: s.control.excursions.locked_until is None,
    without_grid: lambda s: not s.control.backup.bounds,
    frequency: lambda s: not s.control.reserve.asked_w and not s.control.reserve.held,
    shed: lambda s: not s.wishes.windows,
    owner_request: lambda s: not s.wishes.requests,
    pressing: lambda s: not s.control.urgencies,
    plan_slot: lambda s: s.wishes.plan is None,
    departing: lambda s: not s.control.urgencies,
}
"""When a rung has nothing to say to any device at all: hundreds of them need not ask it then."""


def speaking(snapshot: Snapshot) -> tuple[Callable[[Bid, Snapshot], Bid], ...]:
    """Return the rungs that may have something to say now, highest first."""
    return tuple(rung for rung in RUNGS if rung not in _MUTE or not _MUTE[rung](snapshot))


def climb(
    snapshot: Snapshot,
    device: DeviceId,
    rungs: tuple[Callable[[Bid, Snapshot], Bid], ...] = RUNGS,
    heard: Said | None = None,
) -> tuple[Bid, str]:
    """Return the device's bid after all rungs and, if a rung failed, what failed: the device is then let go at 0 W.

    ``heard`` is the device's part of ``said``, for who climbs with many devices.
    """
    bid = opening_bid(snapshot, device, said(snapshot).get(device, NOTHING) if heard is None else heard)
    for rung in rungs:
        try:
            bid = rung(bid, snapshot)
        except Exception as error:  # noqa: BLE001  # a guard that fails, fails closed, whatever it was
            safe = bid.narrowed(ZERO, Reason(Rung.CAPABILITY, "rule_failed"))
            failed = replace(safe, wish_w=0.0, wish=Reason(Rung.CAPABILITY, "rule_failed"), engage=False)
            return failed, f"{rung.__name__}: {error!r}"
    return bid, ""
