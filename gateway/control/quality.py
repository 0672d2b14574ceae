"""Pure: how well the grid exchange follows its target, as an owner can read it.

``hunting`` means that the loop moves the grid by itself: nearly all of what the meter shows can be told from our own moves
at one and the same delay. A restless load is not that: at least half of the movement is then its own, and ours takes it
back. ``sluggish`` means that errors last longer than a load takes to be answered at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from math import sqrt

from gateway.control.balance import House
from gateway.control.dynamics import of
from gateway.control.target import target
from gateway.model import ControlQuality, Decision, MeterRole, QualityVerdict, Reason, Rung, Snapshot

WINDOW_S = 300.0
POINT_S = 1.0
JUDGE_S = 5.0
LEAST_S = 20.0
"""After this much of the window a verdict can be given."""
CLOSE_W = 100.0
"""An RMS error up to this is what noise and steps of the devices cost."""
RUNNING_W = 20.0
LIMITED_SHARE = 0.5
"""Of the squared error, so that a minute of it among four that are calm is named too."""
ASKED = frozenset({Rung.BACKUP_RESERVE, Rung.FREQUENCY, Rung.OWNER_REQUEST})
"""Who asks power of a device for a reason of its own; what that moves at the grid is no deviation of ours."""
SHORT_W = 50.0
OWN_SHARE = 0.35
"""Where less than this part of the grid's movement is not our own, the loop is hunting."""
TURN_W = 100.0
HUNTING_TURNS_PER_H = 40.0
DELAYS = range(19)
"""In points."""
LEAST_TURNS, LATER_S = 2, 1.5
"""So many turns of our own, nearly alone on the meter and so much later there than it declares, tell its lag."""
CLEARLY = 2.0
"""Any other delay must leave so much more unexplained: what swings in a beat fits its own past at several."""
LONG_S = 5.0
LONG_SHARE = 0.5
LAGGING_S = 2.5


@dataclass(frozen=True, slots=True)
class Point:
    """A second of control: the error and what was running; ``limit`` is what held the devices back, or asked otherwise."""

    at: float
    heard_at: float
    grid_w: float
    error_w: float
    own_w: float
    running: bool
    limit: Reason | None


@dataclass(frozen=True, slots=True)
class Watched:
    """The window, and the verdict on it; ``lag_s`` is how late the meter was seen to be, while we alone moved the grid."""

    points: tuple[Point, ...] = ()
    judged_at: float = 0.0
    quality: ControlQuality = field(default_factory=ControlQuality)
    lag_s: float | None = None


def follow(previous: Watched, snapshot: Snapshot, house: House) -> Watched:
    """Return what was watched up to ``snapshot``; without a grid meter nothing is added."""
    points = previous.points
    if points and snapshot.at < points[-1].at + POINT_S:
        return previous
    if (grid := snapshot.grid()) is None:
        return previous
    if points and grid.at <= points[-1].heard_at:
        return previous
    running, limit = _running(snapshot)
    wanted, _ = target(snapshot)
    wanted_w = wanted.clamp(grid.power_w)
    own_w = house.known.total_w(snapshot.at)
    point = Point(snapshot.at, grid.at, grid.power_w, grid.power_w - wanted_w, own_w, running, limit)
    gone = next((n for n, p in enumerate(points) if p.at > snapshot.at - WINDOW_S), len(points))
    points = (*points[gone:], point)
    if snapshot.at < previous.judged_at + JUDGE_S:
        return replace(previous, points=points)
    quality = judged(points, house, snapshot)
    lag_s = _seen_lag_s(points) if (quality.rms_w or 0.0) > CLOSE_W else None
    if lag_s is not None and abs(lag_s - house.lag_s) >= LATER_S:
        # What was seen under another lag than the new one tells nothing of the new one.
        return Watched(points[-1:], snapshot.at, quality, lag_s)
    return Watched(points, snapshot.at, quality, previous.lag_s)


def corrected(snapshot: Snapshot, lag_s: float | None) -> Snapshot:
    """Return the snapshot with the grid meter's lag as it was found, whatever the meter declares."""
    if lag_s is None:
        return snapshot
    grid = next((d for d in snapshot.meters if snapshot.devices[d].role is MeterRole.GRID), None)
    if grid is None:
        return snapshot
    devices = {**snapshot.devices, grid: replace(snapshot.devices[grid], lag_s=lag_s)}
    return replace(snapshot, devices=devices)


def judged(points: tuple[Point, ...], house: House, snapshot: Snapshot) -> ControlQuality:
    """Return the verdict on a window."""
    window_s = points[-1].at - points[0].at
    if window_s < LEAST_S or not any(p.running for p in points):
        return ControlQuality(window_s=window_s)
    squares = sum(p.error_w * p.error_w for p in points)
    rms_w = sqrt(squares / len(points))
    turns_per_h = _turns([p.own_w for p in points]) * 3600 / window_s
    limits: dict[Reason, float] = {}
    for point in points:
        if point.limit is not None:
            limits[point.limit] = limits.get(point.limit, 0.0) + point.error_w * point.error_w
    verdict, by = QualityVerdict.STABLE, None
    if rms_w > CLOSE_W:
        if sum(limits.values()) >= LIMITED_SHARE * squares:
            verdict, by = QualityVerdict.LIMITED, max(limits, key=lambda reason: limits[reason])
        elif turns_per_h >= HUNTING_TURNS_PER_H and min(_foreign(points), default=1.0) < OWN_SHARE:
            verdict, by = QualityVerdict.HUNTING, _slowest(house, snapshot)
        elif _long_share(points) > LONG_SHARE:
            verdict, by = QualityVerdict.SLUGGISH, _slowest(house, snapshot)
    return ControlQuality(verdict, round(rms_w, 1), round(turns_per_h, 1), window_s, by)


def _running(snapshot: Snapshot) -> tuple[bool, Reason | None]:
    """Tell whether a device runs or should, and what holds one back, or asks of it, by the most power."""
    running, limit, most_w = False, None, SHORT_W
    for decision in snapshot.decisions.values():
        running = running or abs(decision.wanted_w) > RUNNING_W or abs(decision.power_w) > RUNNING_W
        short_w = abs(decision.wanted_w - decision.power_w)
        if decision.limited_by is not None and short_w > most_w:
            limit, most_w = decision.limited_by, short_w
        if _is_asked(decision) and abs(decision.power_w) > most_w:
            limit, most_w = decision.reason, abs(decision.power_w)
    return running, limit


def _is_asked(decision: Decision) -> bool:
    return decision.reason.rung in ASKED or decision.reason.code == "departure"


def _turns(powers_w: Sequence[float]) -> int:
    """Count how often a course turned by more than ``TURN_W``."""
    turns, direction, edge_w = 0, 0, powers_w[0]
    for power_w in powers_w:
        way_w = power_w - edge_w
        if way_w * direction > 0 or (direction == 0 and abs(way_w) >= TURN_W):
            edge_w, direction = power_w, direction or (1 if way_w > 0 else -1)
        elif abs(way_w) >= TURN_W:
            edge_w, direction, turns = power_w, -direction, turns + 1
    return turns


def _seen_lag_s(points: tuple[Point, ...]) -> float | None:
    """Return how late the meter shows our own moves, None where that is not clear.

    Our moves must turn, and the meter with them: a single jump may be a device that came back, or a meter that stood still.
    """
    if min(_turns([p.own_w for p in points]), _turns([p.grid_w for p in points])) < LEAST_TURNS:
        return None
    foreign = _foreign(points)
    least = min(foreign, default=1.0)
    delay = foreign.index(least) if foreign else 0
    others = [f for n, f in enumerate(foreign) if abs(n - delay) > 1]
    if least >= OWN_SHARE or min(others, default=1.0) < CLEARLY * least:
        return None
    return delay * (points[-1].at - points[0].at) / (len(points) - 1)


def _foreign(points: tuple[Point, ...]) -> list[float]:
    """Return the part of the grid's movement that our own moves do not explain, by how many points later it is seen."""
    own = [p.own_w for p in points]
    moved = [p.grid_w - before.grid_w for before, p in pairwise(points)]
    part = sum(m * m for m in moved)
    left: list[float] = []
    for delay in DELAYS:
        if delay >= len(points) - 10:
            break
        # What moved before our own record begins is explained by nothing, lest a late and quiet rest prove a delay.
        foreign = sum(m * m for m in moved[:delay])
        foreign += sum(
            (moved[n] - own[n + 1 - delay] + own[n - delay]) ** 2 for n in range(delay, len(moved))
        )
        left.append(foreign / part if part else 1.0)
    return left


def _long_share(points: tuple[Point, ...]) -> float:
    """Return the part of the squared error that lies in stretches of one sign longer than ``LONG_S``."""
    total = lasting = run = 0.0
    since, sign = points[0].at, 0
    for point in points:
        now = (point.error_w > SHORT_W) - (point.error_w < -SHORT_W)
        if now != sign:
            since, sign, run = point.at, now, 0.0
        square = point.error_w**2
        total, run = total + square, run + square
        if sign and point.at - since >= LONG_S:
            lasting, run = lasting + run, 0.0
    return lasting / total if total else 0.0


def _slowest(house: House, snapshot: Snapshot) -> Reason:
    """Return what makes the answer late: the meter, or the slowest of the devices."""
    meter_s = house.lag_s + house.period_s / 2
    late_s = {d: of(snapshot, d).dead_time_s for d in snapshot.decisions if _steered(snapshot, d)}
    slowest = max(late_s, key=lambda d: late_s[d], default="")
    if meter_s >= min(LAGGING_S, late_s.get(slowest, 0.0)) or not slowest:
        return Reason(Rung.CAPABILITY, "meter_lag")
    return Reason(Rung.CAPABILITY, "device_slow", slowest)


def _steered(snapshot: Snapshot, device: str) -> bool:
    return device in snapshot.devices and snapshot.devices[device].kind.steered
