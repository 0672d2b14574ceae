"""Pure: the last gate before the wire. It knows no plan, no call and no wish; what it cannot verify, it refuses.

It looks again at the device itself, by its own reading of the snapshot, so that a mistake in the ladder stops here.
"""

from collections.abc import Iterable, Mapping
from copy import replace

from gateway.config import GridTable
from gateway.faults import FaultCode
from gateway.model import (
    BackupPhase,
    Decision,
    DeviceId,
    EvseSample,
    EvseState,
    Interval,
    Reason,
    Rung,
    Setpoint,
    Snapshot,
)

LEASE_S = 10.0
"""How long a setpoint lives without a successor; every tick renews it. Drivers may hold less, never more than 30 s."""
RAMP_W_PER_S = 10_000.0
"""Away from zero; towards zero is never slowed."""
HARD_FLOOR_SOC_PCT = 5.0
HARD_CEILING_SOC_PCT = 100.0
FUSE_SHARE = 0.97
"""Of the fuse's rating, up to which a meter that is not believed may let a device draw more."""
OBEYED_W = 150.0
"""A device that draws so much more than it was told has done what it can."""
_OPEN = 1e6


def admit(decision: Decision, previous: Setpoint | None, snapshot: Snapshot, elapsed_s: float) -> Setpoint:
    """Return the setpoint that may go to the wire for a decision, with its expiry; 0 W where anything is unknown."""
    try:
        hard, why = _hard_interval(decision.device, snapshot)
        if snapshot.grid() is None and not _islanded(snapshot):
            hard, why = Interval(0.0, hard.max_w), "discharge_refused" if decision.power_w < 0 else why
        power_w = hard.clamp(decision.power_w) if decision.power_w == decision.power_w else 0.0
        limited_by = decision.limited_by
        if power_w != decision.power_w:
            limited_by = Reason(Rung.ENVELOPE, why)
        before_w = previous.power_w if previous and previous.expires_at > snapshot.at else 0.0
        ramped_w = _ramp(before_w, power_w, RAMP_W_PER_S * elapsed_s)
        if ramped_w != power_w and limited_by is None:
            limited_by = Reason(Rung.ENVELOPE, "ramp")
    except Exception:  # noqa: BLE001  # whatever it was: an unverified setpoint is 0 W
        ramped_w, limited_by = 0.0, Reason(Rung.ENVELOPE, "envelope_failed")
    return Setpoint(
        decision.device,
        ramped_w,
        snapshot.at + LEASE_S,
        decision.reason,
        limited_by,
        decision.engage,
        owner_asked=decision.reason.rung is Rung.OWNER_REQUEST,
        wanted_w=decision.wanted_w,
    )


def _hard_interval(device: DeviceId, snapshot: Snapshot) -> tuple[Interval, str]:
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    if sample is None:
        return Interval(0.0, 0.0), "device_silent"
    if isinstance(sample, EvseSample):
        if sample.state is not EvseState.READY:
            return Interval(0.0, 0.0), "no_session"
        soc = sample.vehicle.soc_pct if sample.vehicle else None
    else:
        soc = sample.soc_pct
    low, high, why = -abs(sample.discharge_max_w), abs(sample.charge_max_w), "device_limit"
    rated = snapshot.devices[device].rated
    if rated.max_w > rated.min_w:
        low, high = max(low, rated.min_w), min(high, rated.max_w)
    unproven = bool(snapshot.faults) and any(
        f.device == device and f.code == FaultCode.FAIL_SAFE_UNPROVEN for f in snapshot.faults
    )
    if not low <= high:
        return Interval(0.0, 0.0), "device_limit"
    if soc is None or not soc > HARD_FLOOR_SOC_PCT or unproven:
        low, why = 0.0, "discharge_refused"
    if soc is not None and not soc < HARD_CEILING_SOC_PCT:
        high, why = 0.0, "full"
    return Interval(min(low, 0.0), max(high, 0.0)), why


def _islanded(snapshot: Snapshot) -> bool:
    """Tell whether there is no grid to be metered: control says so, and so does an inverter that forms the house's own."""
    carried = snapshot.control.backup.phase in (BackupPhase.ISLANDED, BackupPhase.RESERVE)
    return carried and any(s is not None and s.islanded for s in snapshot.storages.values())


def _ramp(before_w: float, wanted_w: float, step_w: float) -> float:
    if before_w * wanted_w < 0:
        before_w = 0.0
    if abs(wanted_w) <= abs(before_w):
        return wanted_w
    return max(before_w - step_w, min(before_w + step_w, wanted_w))


def hold_fuse(
    setpoints: Mapping[DeviceId, Setpoint], snapshot: Snapshot, grid: GridTable
) -> dict[DeviceId, Setpoint]:
    """Check the fuse against what the meter shows, not against an estimate: a phase that is already over its rating
    admits no setpoint that asks more of it than the device does now."""
    held = dict(setpoints)
    meter = snapshot.grid()
    if meter is None:
        return held
    for phase in range(grid.phases):
        current_a, power_w = meter.phase_current_a[phase], meter.phase_power_w[phase]
        if abs(current_a) <= grid.main_fuse_a:
            continue
        for device, setpoint in held.items():
            if phase + 1 not in snapshot.devices[device].phases:
                continue
            now_w = _power_w(device, snapshot)
            allowed = Interval(-_OPEN, max(0.0, now_w)) if power_w > 0 else Interval(min(0.0, now_w), _OPEN)
            if (safe_w := allowed.clamp(setpoint.power_w)) != setpoint.power_w:
                held[device] = replace(
                    setpoint, power_w=safe_w, limited_by=Reason(Rung.ENVELOPE, f"fuse_l{phase + 1}")
                )
    return held


def hold_blind(
    setpoints: Mapping[DeviceId, Setpoint],
    decisions: Iterable[Decision],
    told: Snapshot,
    grid: GridTable,
    *,
    doubted: bool,
) -> dict[DeviceId, Setpoint]:
    """Check the fuse while the grid meter is silent or not believed; ``told`` is the snapshot with what it shows all the same.

    Whatever sign its current has, it can only tighten: a phase takes no more than is left of the fuse. ``doubted``: nor
    does any device take more than it does now. What is discharged is let go no sooner than the charging that has
    to end, which is all of it under doubt, so that together they do not draw more meanwhile.
    """
    if _islanded(told):
        return dict(setpoints)
    meter, now_w = told.grid(), {d: _power_w(d, told) for d in setpoints}
    given_w = sum(max(0.0, -p) for p in now_w.values())
    staying_w = {d: 0.0 if doubted else max(0.0, s.power_w) + OBEYED_W for d, s in setpoints.items()}
    ending_w = sum(max(0.0, p - staying_w[d]) for d, p in now_w.items())
    left_w = [_OPEN] * 3
    if meter is not None:
        left_w = [
            (FUSE_SHARE * grid.main_fuse_a - abs(a)) * grid.nominal_voltage_v for a in meter.phase_current_a
        ]
    if doubted:
        left_w = [min(0.0, w) for w in left_w]
    held = dict(setpoints)
    for decision in decisions:
        if (setpoint := setpoints.get(decision.device)) is None:
            continue
        wired = [p - 1 for p in told.devices[decision.device].phases]
        before_w, power_w = now_w[decision.device], setpoint.power_w
        if before_w < 0 <= power_w:
            able, _ = _hard_interval(decision.device, told)
            power_w = decision.interval.clamp(able.clamp(before_w * min(1.0, ending_w / given_w)))
        else:
            most_w = before_w + len(wired) * min((left_w[p] for p in wired), default=0.0)
            power_w = min(power_w, max(0.0, most_w))
            for p in wired:
                left_w[p] -= max(0.0, power_w - max(0.0, before_w)) / len(wired)
        if power_w != setpoint.power_w:
            why = Reason(Rung.ENVELOPE, "grid_meter_stale")
            held[decision.device] = replace(setpoint, power_w=power_w, limited_by=why)
    return held


def _power_w(device: DeviceId, snapshot: Snapshot) -> float:
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return sample.power_w if sample else 0.0
