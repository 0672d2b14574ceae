"""Pure: snapshot → one decision per device, with the rung that chose it and the rung that held it back.

Bids climb the ladder one by one (ladder.py); devices without a wish of their own share what the site needs; then the
site's limits are fitted (site_limits.py), highest last, so that they stand.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec.structs import replace

from gateway.config import ControlTables
from gateway.control import backup
from gateway.control.balance import Balance
from gateway.control.circuits import Circuit, circuit_limits
from gateway.control.covering import Pace, cover, worth_w
from gateway.control.dynamics import of as dynamics_of
from gateway.control.exchange import towards
from gateway.control.knowledge import sample_of, soc_pct
from gateway.control.ladder import Bid, Climb, climbed
from gateway.control.minimums import fit_kept
from gateway.control.relief import until_it_flows
from gateway.control.separation import separated
from gateway.control.site_limits import Fitted, GroupLimit, blind_limits, group_limits, peak_limit
from gateway.control.target import SELF_CONSUMPTION, target
from gateway.faults import FaultCode
from gateway.model import (
    ZERO,
    BackupPhase,
    Decision,
    DeviceId,
    DeviceKind,
    GridWindow,
    Interval,
    Reason,
    Rung,
    Snapshot,
    WindowKind,
)

IDLE = Reason(Rung.IDLE, "idle")
LEAST_W = 0.001
STEADY_W = 8.0
"""A change smaller than this is not worth a write."""
NO_CLIMB = Climb()


@dataclass(frozen=True, slots=True)
class Outcome:
    """Decisions of one tick, and the faults that the deciding itself found: code → detail. ``climb`` is for the next tick."""

    decisions: tuple[Decision, ...]
    faults: Mapping[FaultCode, str]
    climb: Climb = NO_CLIMB


def dispatch(
    snapshot: Snapshot,
    tables: ControlTables,
    balance: Balance | None,
    circuits: Sequence[Circuit] = (),
    before: Climb = NO_CLIMB,
) -> Outcome:
    """Decide for every storage and EVSE. ``balance`` None means that the grid meter is silent; ``before`` is the climb of the
    last tick, which only saves time."""
    climb = climbed(before, snapshot)
    found = {FaultCode.RULE_FAILED: climb.failure} if climb.failure else {}
    bids = dict(climb.bids)
    windows = tuple(w for w in snapshot.wishes.windows if w.active(snapshot.utc))
    actuators = {d: snapshot.devices[d] for d in bids}
    limits: list[GroupLimit] = list(circuit_limits(circuits, tables.grid, snapshot))
    if snapshot.control.backup.phase is not BackupPhase.GRID:
        pass  # there is no connection to keep within its limits
    elif balance is None:
        limits += blind_limits(tables.grid, actuators, windows)
        found[FaultCode.GRID_METER_STALE] = "no fresh sample of the grid meter"
    else:
        limits += group_limits(tables.grid, balance, actuators, windows)
        if (cap_w := snapshot.control.peak.cap_w) is not None:
            limits.append(peak_limit(cap_w, balance, (d for d, b in bids.items() if b.automatic)))
        bids = separated(_site_target(bids, snapshot, balance, windows), snapshot, balance)
    wanted = {d: b.wish_w if b.wish_w is not None else 0.0 for d, b in bids.items()}
    admitted = {d: b.interval.clamp(wanted[d] if abs(wanted[d]) > LEAST_W else 0.0) for d, b in bids.items()}
    intervals = {d: b.interval for d, b in bids.items()}
    fitted = until_it_flows(fit_kept(admitted, intervals, limits, snapshot), intervals, snapshot)
    if fitted.unmet:
        found[FaultCode.LIMITS_CONFLICT] = ", ".join(x.reason.code for x in fitted.unmet)
    found |= backup.faults(snapshot)
    decisions = (_decision(b, snapshot, wanted[d], fitted) for d, b in bids.items())
    return Outcome((*decisions, *backup.switched(snapshot)), found, climb)


def at_rest(snapshot: Snapshot, failure: str) -> Outcome:
    """Return 0 W for every device: what holds when deciding itself failed."""
    why = Reason(Rung.CAPABILITY, "rule_failed")
    decisions = (
        Decision(d, snapshot.at, snapshot.utc, 0.0, 0.0, ZERO, why, limited_by=why, engage=False)
        for d in (*snapshot.storages, *snapshot.evses)
    )
    return Outcome((*decisions, *backup.switched(snapshot)), {FaultCode.RULE_FAILED: failure})


def _site_target(
    bids: dict[DeviceId, Bid], snapshot: Snapshot, balance: Balance, windows: tuple[GridWindow, ...]
) -> dict[DeviceId, Bid]:
    """Give the devices without a wish their share of the way to the grid exchange that the site should have."""
    call = next((w for w in windows if w.kind is WindowKind.DISPATCH), None)
    shedding = (w for w in windows if w.kind is WindowKind.SHED and w.value >= 1)
    level = max(shedding, key=lambda w: w.value, default=None)
    if call is not None:
        # A dispatch call outranks requests and plan: it may use every device that no higher rung bound.
        bids = {d: _freed(b) for d, b in bids.items()}
        need_w = call.value - balance.base_w - _sum(bids, -1) - _sum(bids, 1)
        return _shared(bids, snapshot, balance, need_w, Reason(Rung.DISPATCH_CALL, "dispatch", call.event_id))
    if level is not None:
        reason = Reason(Rung.DISPATCH_CALL, "shed", level.event_id)
        bids = {d: _freed(b) if level.value >= 3 or (b.wish_w or 0.0) > 0 else b for d, b in bids.items()}
        return _shared(bids, snapshot, balance, self_consumption_w(bids, balance), reason)
    wanted, why = target(snapshot)
    if why.rung is Rung.PLAN:
        return _towards(bids, snapshot, balance, wanted, why)
    return _shared(bids, snapshot, balance, self_consumption_w(bids, balance), SELF_CONSUMPTION)


def _towards(
    bids: dict[DeviceId, Bid], snapshot: Snapshot, balance: Balance, wanted: Interval, why: Reason
) -> dict[DeviceId, Bid]:
    """Follow the plan's exchange with the devices that it plans; without any the site lives of its own energy."""
    planned_w = {d: b.wish_w or 0.0 for d, b in bids.items() if b.wish and _from_plan(b.wish, why)}
    if not planned_w:
        return _shared(bids, snapshot, balance, self_consumption_w(bids, balance), SELF_CONSUMPTION)
    others = {d: b for d, b in bids.items() if d not in planned_w}
    bound_w = _sum(others, -1) + _sum(others, 1)
    powers_w = towards(bids, planned_w, snapshot, balance, bound_w, wanted)
    return {d: replace(b, wish_w=powers_w[d]) if d in powers_w else b for d, b in bids.items()}


def _from_plan(wish: Reason, why: Reason) -> bool:
    return wish.rung is Rung.PLAN and wish.source == why.source


def self_consumption_w(bids: Mapping[DeviceId, Bid], balance: Balance) -> float:
    """Return what the free devices should take together, import positive.

    Bound devices count only where they help: a car that charges on request is never fed from the battery, and what a
    car gives on request is never stored in the battery.
    """
    if (deficit_w := balance.base_w + _sum(bids, -1)) > 0:
        return -deficit_w
    if (surplus_w := -(balance.base_w + _sum(bids, 1))) > 0:
        return surplus_w
    return 0.0


def _sum(bids: Mapping[DeviceId, Bid], sign: int) -> float:
    """Sum what bound devices take (``sign`` 1) or give (-1), without those that act apart from the house."""
    wishes_w = (b.interval.clamp(b.wish_w) for b in bids.values() if b.wish_w is not None and not b.apart)
    return sum(p for p in wishes_w if p * sign > 0)


def _freed(bid: Bid) -> Bid:
    if bid.wish is None or bid.wish.rung not in (Rung.OWNER_REQUEST, Rung.PLAN):
        return bid
    return Bid(bid.device, bid.interval, bid.low, bid.high, engage=bid.engage)


def _shared(
    bids: dict[DeviceId, Bid], snapshot: Snapshot, balance: Balance, need_w: float, reason: Reason
) -> dict[DeviceId, Bid]:
    free = {d: b.interval for d, b in bids.items() if b.wish is None}
    stored_pct = {d: soc_pct(sample_of(snapshot, d)) or 0.0 for d in free}
    before_w = {d: x.power_w for d in free if (x := snapshot.decisions.get(d)) is not None}
    cars = frozenset(d for d in free if snapshot.devices[d].kind is DeviceKind.EVSE)
    floors = {d: snapshot.wishes.owner.of(d).floor_soc_pct for d in free}
    capacity_wh = {d: snapshot.devices[d].capacity_wh or 10_000.0 for d in free}
    energy_wh = {
        d: capacity_wh[d]
        / 100
        * ((100 - stored_pct[d]) if need_w > 0 else max(0.0, stored_pct[d] - floors[d]))
        for d in free
    }
    need_w = worth_w(need_w, sum(before_w.values()))
    shift_w = need_w + balance.base_w
    lasting = Interval(shift_w - balance.lasting.max_w, shift_w - balance.lasting.min_w)
    paces = {d: Pace(dynamics_of(snapshot, d), balance.arriving_w.get(d, 0.0)) for d in free}
    shares = cover(need_w, lasting, free, energy_wh, before_w, cars, paces)
    # A device that is closed on the side of the need wishes the whole of it, so that its limiter is named.
    closed = {d for d, i in free.items() if (need_w < 0 <= i.min_w) or (i.max_w <= 0 < need_w)}
    return {
        d: b.wishing(need_w if d in closed else shares[d], reason) if d in shares else b
        for d, b in bids.items()
    }


def _decision(bid: Bid, snapshot: Snapshot, wanted_w: float, fitted: Fitted) -> Decision:
    power_w, limiter = fitted.powers_w[bid.device], fitted.limited_by.get(bid.device)
    if limiter is None and abs(power_w - wanted_w) > 1.0:
        limiter = bid.high if wanted_w > power_w else bid.low
    if limiter is None and bid.interval == ZERO:
        limiter = bid.high
    reason = bid.wish or IDLE
    before = snapshot.decisions.get(bid.device)
    steady = before is not None and limiter is None and before.limited_by is None
    if before and steady and 0.0 not in (power_w, before.power_w):
        power_w = before.power_w if abs(power_w - before.power_w) < STEADY_W else power_w
    return Decision(
        device=bid.device,
        at=snapshot.at,
        utc=snapshot.utc,
        wanted_w=wanted_w,
        power_w=bid.interval.clamp(power_w),
        interval=bid.interval,
        reason=reason,
        limited_by=limiter,
        engage=bid.engage,
        min_by=bid.low,
        max_by=bid.high,
    )
