"""Pure: how each device follows its setpoints, learned from its own steps: dead time, ramp, and what it misses at rest.

A step counts when the device was at rest before it and nothing else is asked before it has arrived. The figures are medians
over the last steps, so that one step that a limit or a late poll has spoiled does no harm. Until one is measured, careful
defaults hold.
"""

from collections.abc import Iterator, Mapping
from copy import replace
from dataclasses import dataclass, field
from statistics import median

from msgspec import Struct

from gateway.control.balance import STANDBY_W
from gateway.model import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    Dynamics,
    EvseSample,
    Interval,
    Snapshot,
    StorageSample,
)

DEFAULTS = {DeviceKind.STORAGE: Dynamics(0.5, 3000.0), DeviceKind.EVSE: Dynamics(2.5, 2000.0)}
"""An unknown charger is taken for a slow one: beside a battery it is then sent seldom, rests, and can be learned."""
STEP_W = 500.0
"""A smaller step drowns in noise."""
ASTRAY = 0.15
"""Part of a step by which rest before it, and orders during it, may differ."""
LONGEST_S = 20.0
GATHER_S = 0.6
"""A step may be ordered on a ramp of this length."""
LEVELS = (0.2, 0.8)
KEPT = 7
ORDERS = 24
REST_S = 4.0
OFFSET_SHARE = 0.1
MOST_OFFSET_W = 1000.0
RUNNING_W = 200.0
UNKNOWN_S = 6.0
"""So long an order may take to be followed by a device of which nothing is measured."""
AHEAD_S = 0.4
"""How far ahead a device's power is told: the dead time of a fast one."""

type Point = tuple[float, float]


class Step(Struct, frozen=True, gc=False):
    """A step on its way: when it was ordered, from where to where, the last sample, and when each level was passed."""

    at: float
    from_w: float
    to_w: float
    last: Point
    passed: tuple[float, ...] = ()


class Track(Struct, frozen=True, gc=False):
    """One device: its last orders (time, W), oldest first, the step under way, and what was found: (dead time, ramp)."""

    orders: tuple[Point, ...]
    seen: Point
    step: Step | None = None
    found: tuple[Point, ...] = ()
    measured: Dynamics | None = None


@dataclass(frozen=True, slots=True)
class Movements:
    """``arriving_w`` is where each device will be ``AHEAD_S`` from now, as far as its orders and dynamics tell; ``reach_w`` where it may
    be by now, if it moves: on its way there, or, while nothing is measured, at whatever it was told lately.
    """

    tracks: Mapping[DeviceId, Track] = field(default_factory=dict)
    dynamics: Mapping[DeviceId, Dynamics] = field(default_factory=dict)
    arriving_w: Mapping[DeviceId, float] = field(default_factory=dict)
    reach_w: Mapping[DeviceId, Interval] = field(default_factory=dict)


def recalled(dynamics: Mapping[DeviceId, Dynamics]) -> Movements:
    """Return what a start begins with."""
    return Movements(dynamics=dynamics)


def of(snapshot: Snapshot, device: DeviceId) -> Dynamics:
    """Return how a device follows its setpoint, the default of its kind until that is measured."""
    return snapshot.control.dynamics.get(device) or _expected(snapshot.devices[device])


def _expected(info: DeviceInfo) -> Dynamics:
    known_s = info.dead_time_s
    return (
        DEFAULTS[info.kind]
        if known_s is None
        else Dynamics(known_s, DEFAULTS[DeviceKind.STORAGE].ramp_w_per_s)
    )


def follow(previous: Movements, snapshot: Snapshot) -> Movements:
    """Return the movements after ``snapshot``; a silent device keeps what was learned of it."""
    tracks: dict[DeviceId, Track] = {}
    dynamics, arriving, reach = dict(previous.dynamics), {}, {}
    samples: tuple[tuple[DeviceId, StorageSample | EvseSample | None], ...]
    samples = (*snapshot.storages.items(), *snapshot.evses.items())
    for device, sample in samples:
        decided = snapshot.decisions.get(device)
        if sample is None or decided is None:
            continue
        order, seen = (decided.at, decided.power_w), (sample.at, sample.power_w)
        before = previous.tracks.get(device)
        if before is None:
            known = dynamics.get(device)
            found = ((known.dead_time_s, known.ramp_w_per_s),) if known and known.steps else ()
            track = Track((order,), seen, found=found, measured=known)
        else:
            track = _advanced(before, order, seen, sample)
            if track.measured is not None and track.measured is not before.measured:
                dynamics[device] = track.measured
        tracks[device] = track
        if decided.power_w == 0.0 and abs(sample.power_w) <= STANDBY_W:
            arriving[device] = 0.0  # what it draws for itself is the house's
        elif track.measured:
            arriving[device] = _arriving_w(track, track.measured, snapshot.at + AHEAD_S)
        else:  # where it is now is a better guess than where it should be
            arriving[device] = sample.power_w
        may_w = (
            sample.power_w,
            arriving[device],
            *(() if track.measured else _told_lately(track, snapshot.at)),
        )
        if (least_w := min(may_w)) < (most_w := max(may_w)):
            reach[device] = Interval(least_w, most_w)
    return Movements(tracks, dynamics, arriving, reach)


def _room(sample: StorageSample | EvseSample, order_w: float) -> bool:
    """Tell whether the device itself says that it can do what it was told."""
    return -sample.discharge_max_w + STEP_W / 10 < order_w < sample.charge_max_w - STEP_W / 10


def _advanced(track: Track, order: Point, seen: Point, sample: StorageSample | EvseSample) -> Track:
    fresh, ordered = seen[0] > track.seen[0], order[1] != track.orders[-1][1]
    if not fresh and not ordered:
        return track
    orders, step = track.orders, track.step
    if ordered:
        step = _ordered(track, order, seen)
        step = step if step is not None and _room(sample, order[1]) else None
        orders = (*orders[-ORDERS:], order)
    found, measured = track.found, track.measured
    if fresh and step is not None:
        step = _passed(step, seen)
        if step is not None and len(step.passed) == len(LEVELS):
            found = (*found[1 - KEPT :], _figures(step))
            measured, step = _learned(found, measured), None
    if fresh and step is None and measured is not None and _room(sample, order[1]):
        measured = _corrected(measured, orders[-1], seen)
    return Track(orders, seen if fresh else track.seen, step, found, measured)


def _ordered(track: Track, order: Point, seen: Point) -> Step | None:
    """Return the step after a new order: begun, grown, still the same, or given up."""
    step, before_w = track.step, track.orders[-1][1]
    if step is not None:
        size_w = step.to_w - step.from_w
        grows = (order[1] - before_w) * size_w > 0 and order[0] - step.at <= GATHER_S
        if grows and not step.passed:
            return replace(step, to_w=order[1])
        return step if abs(order[1] - step.to_w) <= ASTRAY * abs(size_w) else None
    size_w = abs(order[1] - seen[1])
    rested = abs(seen[1] - before_w) <= ASTRAY * size_w and order[0] - track.orders[-1][0] >= 1.0
    return Step(order[0], seen[1], order[1], seen) if size_w >= STEP_W and rested else None


def _passed(step: Step, seen: Point) -> Step | None:
    if seen[0] - step.at > LONGEST_S:
        return None
    passed, size_w = step.passed, step.to_w - step.from_w
    while len(passed) < len(LEVELS):
        level_w = step.from_w + LEVELS[len(passed)] * size_w
        if (seen[1] - level_w) * size_w < 0:
            break
        way_w = seen[1] - step.last[1]
        share = (level_w - step.last[1]) / way_w if way_w * size_w > 0 else 1.0
        passed = (*passed, step.last[0] + min(max(share, 0.0), 1.0) * (seen[0] - step.last[0]))
    return replace(step, last=seen, passed=passed)


def _figures(step: Step) -> Point:
    first, last = step.passed
    size_w = abs(step.to_w - step.from_w)
    ramp_w_per_s = (LEVELS[1] - LEVELS[0]) * size_w / max(last - first, 0.02)
    return max(0.0, first - LEVELS[0] * size_w / ramp_w_per_s - step.at), ramp_w_per_s


def _learned(found: tuple[Point, ...], before: Dynamics | None) -> Dynamics:
    return Dynamics(
        median(f[0] for f in found),
        median(f[1] for f in found),
        before.offset_w if before else 0.0,
        before.steps + 1 if before else 1,
    )


def _corrected(measured: Dynamics, order: Point, seen: Point) -> Dynamics:
    """Return the dynamics with what the device misses at rest."""
    if abs(order[1]) < RUNNING_W or seen[0] < order[0] + measured.dead_time_s + REST_S:
        return measured
    missed_w = min(max(seen[1] - order[1], -MOST_OFFSET_W), MOST_OFFSET_W)
    offset_w = measured.offset_w + OFFSET_SHARE * (missed_w - measured.offset_w)
    return replace(measured, offset_w=offset_w) if abs(offset_w - measured.offset_w) > 0.5 else measured


def _told_lately(track: Track, now: float) -> Iterator[float]:
    """Yield the orders that a device of unknown dead time may be about to follow, the one that stood before them included."""
    for told_at, power_w in reversed(track.orders):
        yield power_w
        if told_at <= now - UNKNOWN_S:
            return


def _arriving_w(track: Track, dynamics: Dynamics, at: float) -> float:
    told_at, power_w = track.seen
    order = next((o for o in reversed(track.orders) if o[0] + dynamics.dead_time_s <= at), None)
    if order is None:
        return power_w
    goal_w = order[1] + dynamics.offset_w if order[1] else 0.0
    most_w = dynamics.ramp_w_per_s * max(0.0, at - max(told_at, order[0] + dynamics.dead_time_s))
    return power_w + min(max(goal_w - power_w, -most_w), most_w)
