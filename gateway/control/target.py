"""Pure: between which values the grid exchange should be now, and who says so."""

from gateway.model import Exchange, Interval, PlanSlot, Reason, Rung, Snapshot, WindowKind

SELF_CONSUMPTION = Reason(Rung.SELF_CONSUMPTION, "self_consumption")
BOUNDLESS_W = 1e9


def target(snapshot: Snapshot) -> tuple[Interval, Reason]:
    """Return W, import positive: of a dispatch call, else of the plan where it gives one, else 0 W."""
    for window in snapshot.wishes.windows:
        if window.kind is WindowKind.DISPATCH and window.active(snapshot.utc):
            return _at(window.value), Reason(Rung.DISPATCH_CALL, "dispatch", window.event_id)
    slot = planned(snapshot)
    if slot is not None and slot.grid_power_w is not None and slot.device_power_w:
        plan = snapshot.wishes.plan
        code = next((c for c in slot.reasons.values()), "plan")
        return _of(slot, slot.grid_power_w), Reason(Rung.PLAN, code, plan.id if plan else "")
    return _at(0.0), SELF_CONSUMPTION


def planned(snapshot: Snapshot) -> PlanSlot | None:
    """Return the plan's slot of now."""
    plan = snapshot.wishes.plan
    return plan.slot(snapshot.utc) if plan else None


def _of(slot: PlanSlot, power_w: float) -> Interval:
    """Where the site trades anyway, the grid takes what was not foreseen, but the direction stays."""
    if slot.exchange is Exchange.IMPORT:
        return Interval(0.0, BOUNDLESS_W)
    if slot.exchange is Exchange.EXPORT:
        return Interval(-BOUNDLESS_W, 0.0)
    return _at(power_w)


def _at(power_w: float) -> Interval:
    return Interval(power_w, power_w)
