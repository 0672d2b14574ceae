"""Pure: the grid exchange that the site should have now, and who says so."""

from gateway.model import PlanSlot, Reason, Rung, Snapshot, WindowKind

SELF_CONSUMPTION = Reason(Rung.SELF_CONSUMPTION, "self_consumption")


def target(snapshot: Snapshot) -> tuple[float, Reason]:
    """Return W, import positive: of a dispatch call, else of the plan where it gives one, else 0 W."""
    for window in snapshot.wishes.windows:
        if window.kind is WindowKind.DISPATCH and window.active(snapshot.utc):
            return window.value, Reason(Rung.DISPATCH_CALL, "dispatch", window.event_id)
    slot = planned(snapshot)
    if slot is not None and slot.grid_power_w is not None and slot.device_power_w:
        plan = snapshot.wishes.plan
        code = next((c for c in slot.reasons.values()), "plan")
        return slot.grid_power_w, Reason(Rung.PLAN, code, plan.id if plan else "")
    return 0.0, SELF_CONSUMPTION


def planned(snapshot: Snapshot) -> PlanSlot | None:
    """Return the plan's slot of now."""
    plan = snapshot.wishes.plan
    return plan.slot(snapshot.utc) if plan else None
