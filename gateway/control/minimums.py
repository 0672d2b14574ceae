"""Pure: a charger that cannot charge below its minimum is throttled to it, not stopped, while the limits leave that much.

With less it is held at the minimum for ``PATIENCE_S``, as far as the fuses' rating allows, and then stopped. One stopped so
starts again only after a rest and with room to spare, so that nothing flutters at a limit: at most two starts in an hour.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from gateway.control.site_limits import Fitted, GroupLimit, fit
from gateway.model import DeviceId, Interval, Minimum, Reason, Rung, Snapshot

PATIENCE_S = 30.0
REST_S = 1800.0
SHORT_REST_S = 300.0
"""Of a car that has no time left."""
SPARE = 1.2
"""So many times its minimum must be free before a charger starts that had too little."""
HELD, STOPPED, WAITING = "held_at_minimum", "below_minimum", "minimum_not_free"
_NEVER = Minimum()


class _Charger(Struct, frozen=True, gc=False):
    """A charger that has less than its minimum."""

    device: DeviceId
    least_w: float
    running: bool
    rank: float
    pressed: bool
    memory: Minimum


def follow(before: Mapping[DeviceId, Minimum], snapshot: Snapshot) -> dict[DeviceId, Minimum]:
    """Return since when each charger has had too little, and when it was stopped for that, by what was decided last."""
    found: dict[DeviceId, Minimum] = {}
    for device, decision in snapshot.decisions.items():
        was, by = before.get(device, _NEVER), decision.limited_by
        if decision.interval.max_w <= 0 or (by is None and device not in before):
            continue
        code, envelope = (by.code, by.rung is Rung.ENVELOPE) if by else ("", False)
        if code == HELD or (envelope and was.short_since is not None and decision.power_w > 0):
            found[device] = Minimum(short_since=snapshot.at if was.short_since is None else was.short_since)
        elif code == STOPPED or (was.stopped_at is not None and decision.power_w <= 0):
            found[device] = Minimum(stopped_at=snapshot.at if was.stopped_at is None else was.stopped_at)
    return found


def fit_kept(
    wanted_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limits: Sequence[GroupLimit],
    snapshot: Snapshot,
) -> Fitted:
    """Fit powers as ``fit`` does, with none between 0 and a charger's minimum."""
    needs = snapshot.control.urgencies
    resting = _resting(wanted_w, snapshot)
    wanted_w, intervals = _closed(resting, wanted_w, intervals)
    fitted = fit(wanted_w, intervals, limits, needs)
    if short := list(_short(fitted, wanted_w, snapshot)):
        fitted = _shortened(fitted, wanted_w, intervals, limits, short, snapshot)
    stopped = {d: _why(STOPPED, fitted, d) for d in resting}
    return replace(fitted, limited_by={**fitted.limited_by, **stopped}) if stopped else fitted


def _resting(wanted_w: Mapping[DeviceId, float], snapshot: Snapshot) -> set[DeviceId]:
    return {
        d
        for d, memory in snapshot.control.minimums.items()
        if memory.stopped_at is not None
        and wanted_w.get(d, 0.0) > 0
        and snapshot.at - memory.stopped_at < (SHORT_REST_S if _pressed(snapshot, d) else REST_S)
    }


def _pressed(snapshot: Snapshot, device: DeviceId) -> bool:
    urgency = snapshot.control.urgencies.get(device)
    return urgency is not None and urgency.must_w > 0


def _closed(
    devices: Iterable[DeviceId], wanted_w: Mapping[DeviceId, float], intervals: Mapping[DeviceId, Interval]
) -> tuple[Mapping[DeviceId, float], Mapping[DeviceId, Interval]]:
    """Return wishes and intervals with no charging of ``devices``."""
    closed = {d: Interval(min(0.0, intervals[d].min_w), min(0.0, intervals[d].max_w)) for d in devices}
    return {**wanted_w, **{d: i.clamp(0.0) for d, i in closed.items()}}, {**intervals, **closed}


def _short(fitted: Fitted, wanted_w: Mapping[DeviceId, float], snapshot: Snapshot) -> Iterator[_Charger]:
    for device, power_w in fitted.powers_w.items():
        least_w = snapshot.devices[device].min_charge_w
        if not least_w or wanted_w[device] <= 0 or power_w < 0:
            continue
        memory = snapshot.control.minimums.get(device, _NEVER)
        if power_w < least_w * (1.0 if memory.stopped_at is None else SPARE):
            before, urgency = snapshot.decisions.get(device), snapshot.control.urgencies.get(device)
            running = before is not None and before.power_w > 0
            rank = urgency.rank if urgency else 0.0
            yield _Charger(device, least_w, running, rank, _pressed(snapshot, device), memory)


def _shortened(
    fitted: Fitted,
    wanted_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limits: Sequence[GroupLimit],
    short: Sequence[_Charger],
    snapshot: Snapshot,
) -> Fitted:
    """Let the others give way where they can; else choose who charges, and share what is left among those."""
    if all(c.running and wanted_w[c.device] >= c.least_w <= intervals[c.device].max_w for c in short):
        floors = {c.device: Interval(c.least_w, intervals[c.device].max_w) for c in short}
        again = fit(wanted_w, {**intervals, **floors}, limits, snapshot.control.urgencies)
        if not again.passes(fitted) and not any(_short(again, wanted_w, snapshot)):
            return replace(again, limited_by={**fitted.limited_by, **again.limited_by})
    chosen = _one_by_one(fitted, wanted_w, intervals, limits, short, snapshot.at)
    wishes_w, open_to = _closed(
        (c.device for c in short if chosen.powers_w[c.device] <= 0), wanted_w, intervals
    )
    floors = {
        d: Interval(least_w, max(least_w, i.max_w))
        for d, i in open_to.items()
        if 0 < (least_w := snapshot.devices[d].min_charge_w) <= chosen.powers_w[d]
    }
    wishes_w = {d: max(p, floors[d].min_w) if d in floors else p for d, p in wishes_w.items()}
    again = fit(wishes_w, {**open_to, **floors}, limits, snapshot.control.urgencies)
    if again.passes(chosen):
        return chosen
    return replace(again, limited_by={**again.limited_by, **chosen.limited_by})


def _one_by_one(
    fitted: Fitted,
    wanted_w: Mapping[DeviceId, float],
    intervals: Mapping[DeviceId, Interval],
    limits: Sequence[GroupLimit],
    short: Sequence[_Charger],
    at: float,
) -> Fitted:
    """Give the minimum to one after the other while there is room: first who charges, then by need. The others get 0."""
    powers_w = {**fitted.powers_w, **dict.fromkeys((c.device for c in short), 0.0)}
    limited_by = dict(fitted.limited_by)
    sums_w = [x.sum_w(powers_w) for x in limits]
    binding_of = _binding(short, limits)
    for charger in sorted(short, key=lambda c: (not c.running, -c.rank, c.device)):
        device, least_w = charger.device, charger.least_w
        binding = binding_of[device]
        free_w = min((limits[i].room_w(device, sums_w[i]) for i in binding), default=least_w)
        patient = charger.memory.short_since is None or at - charger.memory.short_since < PATIENCE_S
        able = intervals[device].max_w >= least_w
        enough_w = least_w if charger.running else SPARE * least_w
        if able and free_w >= enough_w and wanted_w[device] >= enough_w:
            powers_w[device] = least_w
        elif (
            able
            and charger.running
            and patient
            and _rated_w(device, binding, limits, sums_w, least_w) >= least_w
        ):
            powers_w[device] = least_w
            limited_by[device] = _why(HELD, fitted, device)
        else:
            rests = charger.running or charger.memory.stopped_at is not None
            limited_by[device] = _why(STOPPED if rests else WAITING, fitted, device)
            continue
        for i in binding:
            sums_w[i] += limits[i].weights[device] * least_w
    return Fitted(powers_w, limited_by, limits, [x.sum_w(powers_w) for x in limits])


def _binding(short: Sequence[_Charger], limits: Sequence[GroupLimit]) -> Mapping[DeviceId, Sequence[int]]:
    """Return the places of the limits that hold for each charger; an aim holds for none that has no time left."""
    found: dict[DeviceId, list[int]] = {c.device: [] for c in short}
    pressed = {c.device for c in short if c.pressed}
    for place, limit in enumerate(limits):
        for device in found.keys() & limit.weights.keys():
            if limit.weights[device] and not (limit.soft and device in pressed):
                found[device].append(place)
    return found


def _rated_w(
    device: DeviceId,
    binding: Sequence[int],
    limits: Sequence[GroupLimit],
    sums_w: Sequence[float],
    default_w: float,
) -> float:
    """Return how much more the device may take up to the rating of the fuses."""
    hard = (i for i in binding if not limits[i].soft)
    return min((limits[i].room_w(device, sums_w[i], graced=True) for i in hard), default=default_w)


def _why(code: str, fitted: Fitted, device: DeviceId) -> Reason:
    """Name the rung and the limit that left too little."""
    by = fitted.limited_by.get(device)
    return Reason(by.rung, code, by.code) if by else Reason(Rung.CAPABILITY, code)
