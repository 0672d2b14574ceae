"""Pure: limits of the site → groups of devices whose summed power must stay inside an interval.

A group is a phase of the main fuse, the whole connection, or what a utility's call bounds. ``fit`` moves powers, never
out of a device's own interval, until every group holds; the highest rung is fitted last, so it is the one that stands.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import inf

from gateway.config import GridTable
from gateway.control.balance import Balance
from gateway.model import ZERO, DeviceId, DeviceInfo, GridWindow, Interval, Reason, Rung, WindowKind

FUSE_MARGIN = 0.97
"""Part of the fuse's rating used: room for the meter's class and for the ramp of the slowest device."""

MARGIN_W = 50.0
"""Distance kept from an import or export limit: what the meter's noise and the devices' steps may add."""


@dataclass(frozen=True, slots=True)
class GroupLimit:
    """``interval`` bounds the sum of weight × power over the group's devices, in W."""

    reason: Reason
    weights: Mapping[DeviceId, float]
    interval: Interval


def group_limits(
    grid: GridTable, balance: Balance, devices: Mapping[DeviceId, DeviceInfo], windows: Sequence[GridWindow]
) -> tuple[GroupLimit, ...]:
    """Return the limits of the site around its measured base load, highest rung first; ``windows`` are the active ones."""
    everyone = dict.fromkeys(devices, 1.0)
    limits = [_phase_limit(grid, balance, devices, phase) for phase in range(1, grid.phases + 1)]

    def bound(rung: Rung, code: str, source: str, limit_w: float) -> None:
        importing = "import" in code
        allowed = (
            Interval(-inf, limit_w - MARGIN_W - balance.high_w)
            if importing
            else Interval(-limit_w + MARGIN_W - balance.low_w, inf)
        )
        limits.append(GroupLimit(Reason(rung, code, source), everyone, allowed))

    if grid.import_limit_w is not None:
        bound(Rung.GRID_CONNECTION, "import_limit", "", grid.import_limit_w)
    if grid.export_limit_w is not None:
        bound(Rung.GRID_CONNECTION, "export_limit", "", grid.export_limit_w)
    for window in windows:
        if window.kind in (WindowKind.IMPORT_LIMIT, WindowKind.EXPORT_LIMIT):
            bound(Rung.PROTECTIVE_LIMIT, f"utility_{window.kind}", window.event_id, window.value)
    return tuple(limits)


def blind_limits(
    grid: GridTable, devices: Mapping[DeviceId, DeviceInfo], windows: Sequence[GridWindow]
) -> tuple[GroupLimit, ...]:
    """Return the limits while the grid meter is silent: no discharge, and a draw that was proven safe.

    A utility's import limit cannot be measured then, so it is held by drawing nothing.
    """
    everyone = dict.fromkeys(devices, 1.0)
    safe_w = min(grid.blind_draw_w, inf if grid.import_limit_w is None else grid.import_limit_w)
    limits = [GroupLimit(Reason(Rung.GRID_CONNECTION, "grid_meter_stale"), everyone, Interval(0.0, safe_w))]
    for window in windows:
        if window.kind is WindowKind.IMPORT_LIMIT:
            reason = Reason(Rung.PROTECTIVE_LIMIT, f"utility_{window.kind}", window.event_id)
            limits.append(GroupLimit(reason, everyone, ZERO))
    return tuple(limits)


def _phase_limit(
    grid: GridTable, balance: Balance, devices: Mapping[DeviceId, DeviceInfo], phase: int
) -> GroupLimit:
    fuse_w = grid.main_fuse_a * grid.nominal_voltage_v * FUSE_MARGIN
    allowed = Interval(-fuse_w - balance.low_phase_w[phase - 1], fuse_w - balance.high_phase_w[phase - 1])
    weights = {i: 1 / len(d.phases) for i, d in devices.items() if phase in d.phases}
    return GroupLimit(Reason(Rung.GRID_CONNECTION, f"fuse_l{phase}"), weights, allowed)


@dataclass(frozen=True, slots=True)
class Fitted:
    """Powers inside every limit that the devices could meet; who was held back by what; the limits that could not be met."""

    powers_w: Mapping[DeviceId, float]
    limited_by: Mapping[DeviceId, Reason]
    unmet: tuple[GroupLimit, ...]


def fit(
    powers_w: Mapping[DeviceId, float], intervals: Mapping[DeviceId, Interval], limits: Sequence[GroupLimit]
) -> Fitted:
    """Move powers inside their ``intervals`` until the group limits (highest rung first) hold; the highest stands."""
    fitted = dict(powers_w)
    limited_by: dict[DeviceId, Reason] = {}
    for limit in reversed(limits):
        members = [d for d in limit.weights if d in fitted]
        total_w = _sum(fitted, limit)
        target_w = limit.interval.clamp(total_w)
        if abs(total_w - target_w) < 1e-6:
            continue
        for device, power_w in _move(fitted, intervals, limit, members, target_w - total_w).items():
            if abs(power_w - fitted[device]) > 1e-9:
                limited_by[device] = limit.reason
            fitted[device] = power_w
    unmet = tuple(x for x in limits if abs(_sum(fitted, x) - x.interval.clamp(_sum(fitted, x))) > 1.0)
    return Fitted(fitted, limited_by, unmet)


def _sum(powers_w: Mapping[DeviceId, float], limit: GroupLimit) -> float:
    return sum(weight * powers_w[d] for d, weight in limit.weights.items() if d in powers_w)


def _move(
    powers_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limit: GroupLimit,
    members: Sequence[DeviceId],
    change_w: float,
) -> dict[DeviceId, float]:
    """Share a change of the group's sum: first whoever works against it gives way to 0, then all lean in, pro rata."""
    moved = {d: powers_w[d] for d in members}
    for to_zero in (True, False):
        room_w: dict[DeviceId, float] = {}
        for device in members:
            interval, power_w = intervals[device], moved[device]
            edge_w = interval.min_w if change_w < 0 else interval.max_w
            if to_zero:
                edge_w = max(edge_w, 0.0) if change_w < 0 else min(edge_w, 0.0)
            room_w[device] = (
                min(0.0, edge_w - power_w) if change_w < 0 else max(0.0, edge_w - power_w)
            ) * limit.weights[device]
        total_w = sum(room_w.values())
        if abs(total_w) < 1e-9:
            continue
        share = min(1.0, change_w / total_w)
        for device in members:
            moved[device] = intervals[device].clamp(
                moved[device] + share * room_w[device] / limit.weights[device]
            )
        change_w -= share * total_w
        if abs(change_w) < 1e-6:
            break
    return moved
