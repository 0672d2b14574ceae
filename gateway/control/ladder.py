"""Pure: the rungs that concern one device. Each takes a bid and returns it narrowed, or with a wish where there was none.

A wish of a higher rung is never replaced by a lower one; an interval only ever shrinks. A rung sees what is known of its device
and of the site (knowledge.py) and nothing else: while that stays the same, so does the bid, and is not made anew.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.control.backup import without_grid
from gateway.control.frequency.rung import frequency
from gateway.control.knowledge import NOTHING, Known, Scene, known, said, sample_of, scene
from gateway.faults import FAULTS, FaultCode, Response
from gateway.model import (
    ZERO,
    DeviceId,
    DeviceKind,
    EvseSample,
    EvseState,
    Interval,
    Reason,
    RequestMode,
    Rung,
    Snapshot,
    StorageSample,
)

FLOOR_HYSTERESIS_PCT = 2.0
_CHARGING = Interval(0.0, 1e6)
_NAMEPLATE, _NOW, _DEPARTURE = (
    Reason(Rung.CAPABILITY, "nameplate"),
    Reason(Rung.CAPABILITY, "device_limit"),
    Reason(Rung.PLAN, "departure"),
)


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


class Climb(Struct, frozen=True, gc=False):
    """The bids of all devices after the whole ladder, and what failed. ``kept`` holds, with what was known, those that stand
    for as long as the same is known in the same scene; a bid that failed does not."""

    bids: Mapping[DeviceId, Bid] = field(default_factory=dict)
    failure: str = ""
    scene: Scene | None = None
    kept: Mapping[DeviceId, tuple[Known, Bid]] = field(default_factory=dict)


def opening_bid(known: Known) -> Bid:
    """Return the bid with everything that the device could ever do."""
    rated = known.info.rated
    unlimited = Interval(-1e6, 1e6) if rated == ZERO else rated
    return Bid(known.info.id, unlimited, _NAMEPLATE, _NAMEPLATE)


def capability(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """What the device says it can do now; nothing when it is silent."""
    if known.silent:
        return bid.narrowed(ZERO, Reason(Rung.CAPABILITY, "device_silent"))
    if known.session is not None and known.session is not EvseState.READY:
        code = "unplugged" if known.session is EvseState.UNPLUGGED else "no_session"
        return replace(bid.narrowed(ZERO, Reason(Rung.CAPABILITY, code)), engage=known.plugged)
    least_w = 0.0 if known.soc_pct is None else -known.discharge_max_w
    live = Interval(least_w, known.charge_max_w)
    return bid.narrowed(live, _NOW)


def faults(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """Raised faults of the device, each with its own response; a code without one stops the device."""
    for fault in known.said.faults:
        listed = fault.code in FaultCode
        response = FAULTS[FaultCode(fault.code)].response if listed else Response.DEVICE_TO_ZERO
        reason = Reason(Rung.CAPABILITY, "fault", fault.code)
        if response is Response.DEVICE_TO_ZERO:
            bid = bid.narrowed(ZERO, reason)
        elif response is Response.NO_DISCHARGE:
            bid = bid.narrowed(_CHARGING, reason)
    return bid


def owner_stop(bid: Bid, known: Known, scene: Scene) -> Bid:
    """The owner's stop and pause: nothing flows, and a car's contactors open."""
    if scene.stopped:
        return replace(
            bid.narrowed(ZERO, Reason(Rung.OWNER_STOP, "owner_stop")), engage=False, automatic=False
        )
    request = known.said.request
    if request is not None and request.mode is RequestMode.PAUSE:
        held = bid.narrowed(ZERO, Reason(Rung.OWNER_STOP, "paused", request.id))
        return replace(held, engage=False, automatic=False)
    return bid


def export_lockout(bid: Bid, _known: Known, scene: Scene) -> Bid:
    """After too many excursions over the export limit nothing is discharged until the lock-out ends (G100)."""
    if not scene.locked:
        return bid
    return bid.narrowed(_CHARGING, Reason(Rung.GRID_CONNECTION, "export_lockout"))


def reserve(bid: Bid, known: Known, scene: Scene) -> Bid:
    """The owner's floor: no discharge below it, and a car below it is charged at once.

    Where backup binds the device without a grid, it gives way: what a car keeps then is what it needs to drive away.
    """
    if scene.outage and known.bound is not None:
        return bid
    settings, soc = known.settings, known.soc_pct
    if not settings.discharge_allowed:
        bid = bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "discharge_not_allowed"))
    if soc is None:
        return bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "soc_unknown"))
    if soc <= settings.floor_soc_pct + (FLOOR_HYSTERESIS_PCT if known.floored else 0.0):
        bid = bid.narrowed(_CHARGING, Reason(Rung.BACKUP_RESERVE, "soc_floor"))
    is_car = known.info.kind is DeviceKind.EVSE
    if is_car and soc < settings.floor_soc_pct - FLOOR_HYSTERESIS_PCT + (
        FLOOR_HYSTERESIS_PCT if known.filling else 0.0
    ):
        return bid.wishing(bid.interval.max_w, Reason(Rung.BACKUP_RESERVE, "below_floor"))
    return bid


def shed(bid: Bid, _known: Known, scene: Scene) -> Bid:
    """A utility's SIMPLE level: from 2 on no charging (level 1 and 3 also shape the site's target in dispatch).

    Without the grid meter level 1 cannot tell sun from grid, so it is no charging either. A car below its floor outranks it.
    """
    if bid.wish is not None:
        return bid
    level = 2 if scene.metered else 1
    for window in scene.shedding:
        if window.value >= level:
            return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.DISPATCH_CALL, "shed", window.event_id))
    return bid


def pressing(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """A car that would otherwise leave too empty is charged, whatever the plan says."""
    if known.must_w is None or known.must_w <= 0:
        return bid
    return bid.wishing(known.must_w, _DEPARTURE)


def departing(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """Where no plan has a say, a car takes what it needs as soon as the site has room for it, and keeps it."""
    if known.must_w is None:
        return bid
    return bid.wishing(bid.interval.max_w if known.lacks else 0.0, _DEPARTURE)


def owner_request(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """The owner's lease on this device: charge, boost until an SoC, discharge."""
    request, soc = known.said.request, known.soc_pct
    if request is None or request.mode is RequestMode.PAUSE:
        return bid
    reason = Reason(Rung.OWNER_REQUEST, request.mode, request.id)
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


def plan_slot(bid: Bid, _known: Known, scene: Scene) -> Bid:
    """The plan's share of this device in the present slot."""
    slot = scene.slot
    if slot is None or bid.device not in slot.device_power_w:
        return bid
    reason = Reason(Rung.PLAN, slot.reasons.get(bid.device, "plan"), scene.plan_id)
    return bid.wishing(slot.device_power_w[bid.device], reason)


def target(bid: Bid, known: Known, _scene: Scene) -> Bid:
    """Without the owner's own request a car is not charged beyond its target, nor while its charge is unknown."""
    if not bid.automatic or known.info.kind is not DeviceKind.EVSE:
        return bid
    soc = known.soc_pct
    if soc is None:
        if known.must_w is not None:  # told how much it needs: that will do
            return bid
        return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.SELF_CONSUMPTION, "soc_unknown"))
    if soc >= known.settings.target_soc_pct - (FLOOR_HYSTERESIS_PCT if known.filled else 0.0):
        return bid.narrowed(Interval(-1e6, 0.0), Reason(Rung.SELF_CONSUMPTION, "target_reached"))
    return bid


type Rule = Callable[[Bid, Known, Scene], Bid]

RUNGS: tuple[Rule, ...] = (
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


_MUTE: Mapping[Rule, Callable[[Snapshot], bool]] = {
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


def speaking(snapshot: Snapshot) -> tuple[Rule, ...]:
    """Return the rungs that may have something to say now, highest first."""
    return tuple(rung for rung in RUNGS if rung not in _MUTE or not _MUTE[rung](snapshot))


def climbed(before: Climb, snapshot: Snapshot) -> Climb:
    """Return the bids of every storage and EVSE; ``before`` is what came of the last climb, for what still stands of it."""
    now, rungs, heard = scene(snapshot), speaking(snapshot), said(snapshot)
    stands = before.kept if before.scene == now else {}
    bids: dict[DeviceId, Bid] = {}
    kept: dict[DeviceId, tuple[Known, Bid]] = {}
    failure = ""
    samples: tuple[tuple[DeviceId, StorageSample | EvseSample | None], ...]
    samples = (*snapshot.storages.items(), *snapshot.evses.items())
    for device, sample in samples:
        try:
            found = known(snapshot, device, sample, heard.get(device, NOTHING))
        except Exception as error:  # noqa: BLE001  # a guard that fails, fails closed, whatever it was
            bids[device], failure = _closed(device), f"{known.__name__}: {error!r}"
            continue
        was = stands.get(device)
        if was is None or was[0] != found:
            bid, problem = _climb(found, now, rungs)
            if problem:
                bids[device], failure = bid, problem
                continue
            was = found, bid
        kept[device], bids[device] = was, was[1]
    return Climb(bids, failure, now, kept)


def climb(snapshot: Snapshot, device: DeviceId, rungs: tuple[Rule, ...] = RUNGS) -> tuple[Bid, str]:
    """Return one device's bid after all rungs and, if a rung failed, what failed: the device is then let go at 0 W."""
    heard = said(snapshot).get(device, NOTHING)
    return _climb(known(snapshot, device, sample_of(snapshot, device), heard), scene(snapshot), rungs)


def _climb(known: Known, scene: Scene, rungs: tuple[Rule, ...]) -> tuple[Bid, str]:
    bid = opening_bid(known)
    for rung in rungs:
        try:
            bid = rung(bid, known, scene)
        except Exception as error:  # noqa: BLE001  # a guard that fails, fails closed, whatever it was
            return _closed(bid.device, bid), f"{rung.__name__}: {error!r}"
    return bid, ""


def _closed(device: DeviceId, bid: Bid | None = None) -> Bid:
    """Return a bid that lets the device go at 0 W, or as near to it as ``bid`` was let."""
    why = Reason(Rung.CAPABILITY, "rule_failed")
    if bid is None:
        return Bid(device, ZERO, why, why, 0.0, why, engage=False)
    return replace(bid.narrowed(ZERO, why), wish_w=0.0, wish=why, engage=False)
