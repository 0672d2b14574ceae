"""Pure: limits of the site → groups of devices whose summed power must stay inside an interval.

A group is a phase of the main fuse, the whole connection, or what a utility's call bounds. ``fit`` moves powers, never
out of a device's own interval, until every group holds; the highest rung is fitted last, so it is the one that stands.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import repeat
from math import inf, sumprod

from msgspec import Struct

from gateway.config import GridTable
from gateway.control.balance import Balance
from gateway.model import (
    ZERO,
    DeviceId,
    DeviceInfo,
    GridWindow,
    Interval,
    Reason,
    Rung,
    Urgency,
    WindowKind,
)

FUSE_MARGIN = 0.97
"""Part of the fuse's rating used: room for the meter's class and for the ramp of the slowest device."""

MARGIN_W = 50.0
"""Distance kept from an import or export limit: what the meter's noise and the devices' steps may add."""

AIMED_SHARE = 0.99
"""Of the cap that keeps the month's peak: who cannot give so little owes it until late in the interval."""

SIMULTANEITY = (1.0, 0.80, 0.75, 0.70, 0.65, 0.60, 0.55, 0.50, 0.45)
"""§14a EnWG, by the number of devices behind an energy management: reference/needs.md 2.9."""
SHARED_PASSES = 3
CLOSING_PASSES = 40
"""Passes by room and need settle nearly every site; what is left is closed by projections, which cannot run in a circle."""
CLOSE_W = 0.01
RELAXED = 1.9
"""Below 2 a projection that goes too far still ends in what all allow, and where that is thin, ten times as soon."""
KEPT = 0.7
"""A car that ranks so high is not discharged for an aim: it would soon have no time left."""
PRESSED = 1.05
"""A device whose car has no time left gives up 0.05 / 1.05 of what one without any need gives up."""


class GroupLimit(Struct, frozen=True, gc=False):
    """``interval`` bounds the sum of weight × power over the group's devices, in W.

    ``soft``: an aim, not a limit; it takes nothing from a device that must charge, and is no conflict when it is missed.
    ``grace_w`` is what lies between the interval and the rating of the fuse behind it, 0 where there is none; behind a fuse
    every weight is above 0.
    """

    reason: Reason
    weights: Mapping[DeviceId, float]
    interval: Interval
    soft: bool = False
    grace_w: float = 0.0

    def sum_w(self, powers_w: Mapping[DeviceId, float]) -> float:
        """Return what the group comes to."""
        return sumprod(self.weights.values(), map(powers_w.get, self.weights, repeat(0.0)))

    def excess_w(self, sum_w: float) -> float:
        """Return how far the group is outside its interval when it comes to ``sum_w``, a magnitude."""
        return abs(sum_w - self.interval.clamp(sum_w))

    def room_w(self, device: DeviceId, sum_w: float, graced: bool = False) -> float:
        """Return how much more ``device`` may take when the group comes to ``sum_w``."""
        weight, grace_w = self.weights[device], self.grace_w if graced else 0.0
        if weight > 0:
            return (self.interval.max_w + grace_w - sum_w) / weight
        return (self.interval.min_w - grace_w - sum_w) / weight


def group_limits(
    grid: GridTable, balance: Balance, devices: Mapping[DeviceId, DeviceInfo], windows: Sequence[GridWindow]
) -> tuple[GroupLimit, ...]:
    """Return the limits of the connection around its measured base load, highest rung first; ``windows`` are the active
    ones."""
    everyone = dict.fromkeys(devices, 1.0)
    limits = [_phase_limit(grid, balance, devices, phase) for phase in range(1, grid.phases + 1)]

    def bound(rung: Rung, code: str, source: str, allowed: Interval) -> None:
        limits.append(GroupLimit(Reason(rung, code, source), everyone, allowed))

    if grid.import_limit_w is not None:
        bound(Rung.GRID_CONNECTION, "import_limit", "", _importing(grid.import_limit_w, balance))
    if grid.export_limit_w is not None:
        bound(Rung.GRID_CONNECTION, "export_limit", "", _exporting(grid.export_limit_w, balance))
    limits += _imbalance_limits(grid, devices)
    for window in windows:
        code = f"utility_{window.kind}"
        if window.kind is WindowKind.IMPORT_LIMIT:
            allowed = _importing(window.value, balance)
            if grid.dimmed_w is not None:
                least_w = dimmed_w(grid.dimmed_w, devices) + max(0.0, -balance.high_w) - MARGIN_W
                allowed = Interval(allowed.min_w, max(allowed.max_w, least_w))
            bound(Rung.PROTECTIVE_LIMIT, code, window.event_id, allowed)
        elif window.kind is WindowKind.EXPORT_LIMIT:
            bound(Rung.PROTECTIVE_LIMIT, code, window.event_id, _exporting(window.value, balance))
    return tuple(limits)


def peak_limit(cap_w: float, balance: Balance, devices: Iterable[DeviceId]) -> GroupLimit:
    """Return the aim to keep the import at ``cap_w``, for the month's demand peak."""
    reason = Reason(Rung.PLAN, "peak_target")
    aimed = _importing(cap_w * AIMED_SHARE, balance)
    return GroupLimit(reason, dict.fromkeys(devices, 1.0), aimed, soft=True)


def dimmed_w(least_w: float, devices: Mapping[DeviceId, DeviceInfo]) -> float:
    """Return what a dimming grid operator must leave to all devices of more than ``least_w`` together."""
    count = sum(1 for d in devices.values() if d.rated.max_w > least_w or d.rated == ZERO)
    factor = SIMULTANEITY[min(max(count, 1), len(SIMULTANEITY)) - 1]
    return least_w + max(0, count - 1) * factor * least_w


def _importing(limit_w: float, balance: Balance) -> Interval:
    return Interval(-inf, limit_w - MARGIN_W - balance.high_w)


def _exporting(limit_w: float, balance: Balance) -> Interval:
    return Interval(-limit_w + MARGIN_W - balance.low_w, inf)


def _imbalance_limits(grid: GridTable, devices: Mapping[DeviceId, DeviceInfo]) -> Iterator[GroupLimit]:
    """Yield how far the devices may part two phases (VDE-AR-N 4105)."""
    if grid.imbalance_limit_w is None:
        return
    allowed = Interval(-grid.imbalance_limit_w, grid.imbalance_limit_w)
    for one, other in ((1, 2), (2, 3), (3, 1)):
        weights = {
            d: ((one in info.phases) - (other in info.phases)) / len(info.phases)
            for d, info in devices.items()
        }
        if parted := {d: w for d, w in weights.items() if w}:
            yield GroupLimit(Reason(Rung.GRID_CONNECTION, f"imbalance_l{one}_l{other}"), parted, allowed)


def blind_limits(
    grid: GridTable, devices: Mapping[DeviceId, DeviceInfo], windows: Sequence[GridWindow]
) -> tuple[GroupLimit, ...]:
    """Return the limits while the grid meter is silent: no discharge, and a draw that was proven safe.

    A utility's import limit cannot be measured then, so it is held by drawing nothing.
    """
    everyone = dict.fromkeys(devices, 1.0)
    fuse_w = grid.main_fuse_a * grid.nominal_voltage_v * FUSE_MARGIN
    safe_w = min(grid.blind_draw_w, fuse_w, inf if grid.import_limit_w is None else grid.import_limit_w)
    limits = [GroupLimit(Reason(Rung.GRID_CONNECTION, "grid_meter_stale"), everyone, Interval(0.0, safe_w))]
    limits += _imbalance_limits(grid, devices)
    for window in windows:
        if window.kind is WindowKind.IMPORT_LIMIT:
            reason = Reason(Rung.PROTECTIVE_LIMIT, f"utility_{window.kind}", window.event_id)
            limits.append(GroupLimit(reason, everyone, ZERO))
    return tuple(limits)


def grace_w(used_w: float) -> float:
    """Return what is left up to the rating of a fuse of which ``used_w`` is used."""
    return used_w / FUSE_MARGIN - used_w


def _phase_limit(
    grid: GridTable, balance: Balance, devices: Mapping[DeviceId, DeviceInfo], phase: int
) -> GroupLimit:
    fuse_w = grid.main_fuse_a * grid.nominal_voltage_v * FUSE_MARGIN
    allowed = Interval(-fuse_w - balance.low_phase_w[phase - 1], fuse_w - balance.high_phase_w[phase - 1])
    weights = {i: 1 / len(d.phases) for i, d in devices.items() if phase in d.phases}
    reason = Reason(Rung.GRID_CONNECTION, f"fuse_l{phase}")
    return GroupLimit(reason, weights, allowed, grace_w=grace_w(fuse_w))


class Fitted(Struct, frozen=True, gc=False):
    """Powers inside every limit that the devices could meet; who was held back by what; what each limit comes to."""

    powers_w: Mapping[DeviceId, float]
    limited_by: Mapping[DeviceId, Reason]
    limits: Sequence[GroupLimit]
    sums_w: Sequence[float]

    @property
    def unmet(self) -> tuple[GroupLimit, ...]:
        """Return the limits that could not be met."""
        found = zip(self.limits, self.sums_w, strict=True)
        return tuple(x for x, sum_w in found if not x.soft and x.excess_w(sum_w) > 1.0)

    def passes(self, other: Fitted) -> bool:
        """Tell whether a limit is passed further than by ``other``, which was fitted to the same ones."""
        sums_w = zip(self.limits, self.sums_w, other.sums_w, strict=True)
        return any(x.excess_w(ours_w) > x.excess_w(theirs_w) + 1.0 for x, ours_w, theirs_w in sums_w)


def fit(
    powers_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limits: Sequence[GroupLimit],
    urgencies: Mapping[DeviceId, Urgency] | None = None,
) -> Fitted:
    """Move powers inside their ``intervals`` until the group limits (highest rung first) hold; the highest stands.

    Where not all can hold, the lowest of those that pull against each other is given up after it has had its share.
    """
    fitted = settled = dict(powers_w)
    limited_by: dict[DeviceId, Reason] = {}
    needs = urgencies or {}
    pulling = list(range(len(limits)))
    sums_w: dict[int, float] = {}  # of the limits that were summed since something moved
    turn = 0
    while pulling:
        lowest: int | None = None
        for place in reversed(pulling):
            limit = limits[place]
            sum_w = sums_w[place] = sums_w[place] if place in sums_w else limit.sum_w(fitted)
            change_w = limit.interval.clamp(sum_w) - sum_w
            if abs(change_w) < CLOSE_W:
                continue
            if turn < SHARED_PASSES:
                moved = _moved(fitted, intervals, limit, change_w, needs)
            else:
                moved = _nearest(fitted, intervals, limit, RELAXED * change_w)
            if moved:
                lowest = place if lowest is None else lowest
                fitted |= moved
                sums_w.clear()
                limited_by |= dict.fromkeys(moved, limit.reason)
        if lowest is None:
            break
        turn += 1
        if turn == SHARED_PASSES:
            pulling, settled = [n for n, x in enumerate(limits) if not x.soft], dict(fitted)
        elif turn == SHARED_PASSES + CLOSING_PASSES:
            pulling.remove(lowest)
            fitted, turn = dict(settled), SHARED_PASSES
            sums_w.clear()
    return Fitted(
        fitted,
        limited_by,
        limits,
        [sums_w[n] if n in sums_w else x.sum_w(fitted) for n, x in enumerate(limits)],
    )


def _moved(
    powers_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limit: GroupLimit,
    change_w: float,
    needs: Mapping[DeviceId, Urgency],
) -> dict[DeviceId, float]:
    """Share a change of the group's sum, and return who moved.

    First whoever works against it gives way to 0, then all lean in, and last come the cars that have no time left. Each in
    proportion to its room, less the higher its rank: so a small change of need is a small change of share.
    """
    cars = [(d, w, intervals[d], needs.get(d)) for d, w in limit.weights.items() if d in powers_w]
    moved = {d: powers_w[d] for d, _, _, _ in cars}
    pressing = not limit.soft and any(need and need.must_w > 0 for _, _, _, need in cars)
    for to_zero, pressed in _STAGES if pressing else _STAGES[:2]:
        rooms: list[tuple[DeviceId, float, float]] = []
        total_w = 0.0
        for device, weight, interval, need in cars:
            power_w, keen = moved[device], 1.0
            if change_w * weight < 0:
                edge_w = max(interval.min_w, 0.0) if to_zero else interval.min_w
                if need is not None:
                    keen = PRESSED - need.rank
                    if limit.soft and need.rank >= KEPT:
                        edge_w = max(edge_w, min(0.0, power_w))
                    if not pressed and need.must_w > 0:
                        edge_w = max(edge_w, min(need.must_w, power_w))
                if edge_w >= power_w:
                    continue
            else:
                edge_w = min(interval.max_w, 0.0) if to_zero else interval.max_w
                if edge_w <= power_w:
                    continue
            room_w = (edge_w - power_w) * weight
            rooms.append((device, room_w, keen))
            total_w += room_w
        if abs(total_w) <= abs(change_w):
            for device, room_w, _ in rooms:
                moved[device] += room_w / limit.weights[device]
            change_w -= total_w
        else:
            _pour(moved, limit, rooms, change_w)
            break
        if abs(change_w) < 1e-6:
            break
    return {d: intervals[d].clamp(p) for d, p in moved.items() if p != powers_w[d]}


_STAGES = ((True, False), (False, False), (True, True), (False, True))
"""Of a change: only back to 0, or beyond it; and whether cars that have no time left take part."""


def _pour(
    moved: dict[DeviceId, float],
    limit: GroupLimit,
    rooms: Sequence[tuple[DeviceId, float, float]],
    change_w: float,
) -> None:
    """Spread a change that fits into the rooms, by room and keenness; who is full passes the rest on."""
    left = list(rooms)
    while left and abs(change_w) > 1e-6:
        weight_w = sum(room_w * keen for _, room_w, keen in left)
        share = change_w / weight_w
        full = [r for r in left if share * r[2] >= 1.0]
        if not full:
            for device, room_w, keen in left:
                moved[device] += share * room_w * keen / limit.weights[device]
            return
        for device, room_w, _ in full:
            moved[device] += room_w / limit.weights[device]
            change_w -= room_w
        left = [r for r in left if share * r[2] < 1.0]


def _nearest(
    powers_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limit: GroupLimit,
    change_w: float,
) -> dict[DeviceId, float]:
    """Return who moved, when the group's sum is changed by the smallest moves (in the sense of least squares).

    Repeated over all limits in turn, such moves end in a point that all allow, if there is one (von Neumann, Bregman).
    """
    weights = {d: w for d, w in limit.weights.items() if d in powers_w}
    moved: dict[DeviceId, float] = {}
    while weights and abs(change_w) > CLOSE_W / 10:
        step = change_w / sum(w * w for w in weights.values())
        asked_w = {d: powers_w[d] + step * w for d, w in weights.items()}
        full = {d: edge_w for d, p in asked_w.items() if (edge_w := intervals[d].clamp(p)) != p}
        if not full:
            return moved | asked_w
        moved |= {d: edge_w for d, edge_w in full.items() if edge_w != powers_w[d]}
        change_w -= sum(weights[d] * (edge_w - powers_w[d]) for d, edge_w in full.items())
        weights = {d: w for d, w in weights.items() if d not in full}
    return moved
