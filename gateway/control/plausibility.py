"""Pure: whether the grid meter can be believed, judged by what the site's own devices do to it.

A meter that is mounted the wrong way round turns the control into positive feedback. So each move of known powers
(devices, PV) is compared with what the meter shows of it, at every lag that it may have beside its declared one. A meter that
moves with us at none of them and against us at one is doubted: it is taken for silent, so the devices go to safe, and that very move is the
proof. Only then it is disbelieved, with a fault.

    BELIEVED → DOUBTED → BELIEVED        it followed the move after all, or nothing can be told
                       → DISBELIEVED     it went against it; also at once when it repeats itself or shows the impossible
    DISBELIEVED → BELIEVED               after a while, each time twice as long, or when it follows known powers again
"""

from bisect import bisect_right
from collections.abc import Sequence
from copy import replace
from enum import StrEnum
from math import exp, inf
from operator import itemgetter

from msgspec import Struct

from gateway.config import GridTable
from gateway.faults import FaultCode
from gateway.model import BackupPhase, MeterSample, Snapshot

type Readings = tuple[tuple[float, float], ...]
"""(at in s, W), oldest first."""

STEP_S = 0.2
LAGS_S = (-0.75, -0.25, 0.25, 0.75, 1.25)
"""Beside the declared lag. Below zero where devices are heard later than the meter."""
WINDOW_S, FADING_S = 1.0, 1.5
"""A move is what happened within a window, so that it does not matter when in it a device was asked."""
ENOUGH_W2 = 300.0**2
AGAINST, UNSEEN, WITH, TIMES = -0.4, 0.3, 0.5, 5.0
FLIPPED = (-2.0, -0.5)
"""The gain of a meter that was turned round; what lies beyond is the house's own doing."""
HOUSES = -3.0
"""Nor is a meter doubted for a move this many times ours: that was the house, whichever way the meter counts."""
PROBE_W, STILL_W, STILL = 300.0, 50.0, 0.15
"""A proof needs a move of so much, and then no more than so much, or that share of it."""
SETTLED_S, SHORT_PROBE_S, LONG_PROBE_S = 1.0, 4.0, 60.0
LATEST_S = 12.0
"""A meter that is later than it says shows our moves only then; it is late, but no liar."""
HOLD_S, LONGEST_HOLD_S = 30.0, 3600.0
IMPOSSIBLE = 4.0
"""Times the fuse: more opens it within a second."""
RETURN_S = 3.0
FROZEN_S, FROZEN_BEATS, FROZEN_SAMPLES = 2.0, 2.5, 4
BEATS, KEPT_READINGS, KEPT_KNOWN = 5, 24, 160


class Trust(StrEnum):
    BELIEVED = "believed"
    DOUBTED = "doubted"
    DISBELIEVED = "disbelieved"


class Evidence(Struct, frozen=True):
    """Per lag, fading: the moves of known powers times those of the meter, and times themselves, in W²."""

    together: tuple[float, ...] = (0.0,) * len(LAGS_S)
    moved: tuple[float, ...] = (0.0,) * len(LAGS_S)

    def grown(self, moves_w: Sequence[float], metered_w: float, weight: float, fade: float) -> Evidence:
        """Return the evidence after one more reading; ``moves_w`` are the known moves, one for each lag."""
        return Evidence(
            tuple(t * fade + weight * u * metered_w for t, u in zip(self.together, moves_w, strict=True)),
            tuple(s * fade + weight * u * u for s, u in zip(self.moved, moves_w, strict=True)),
        )

    def gains(self) -> tuple[float, float] | None:
        """How much of the known moves the meter showed at worst and at best: 1 where all is well.

        None until enough has moved for each lag.
        """
        if min(self.moved) < ENOUGH_W2:
            return None
        gains = [t / s for t, s in zip(self.together, self.moved, strict=True)]
        return min(gains), max(gains)


class Repeats(Struct, frozen=True):
    """The newest reading, since when and how often it is the same, and how far known powers went from where they were."""

    sample: MeterSample
    since: float
    count: int
    from_w: float
    beats_s: tuple[float, ...] = ()


class Probe(Struct, frozen=True):
    """What was known and metered when doubt began; where known powers lie still, and since when.

    ``shown_w`` is the span of what the meter showed after all of our move had to be seen.
    """

    at: float
    known_w: float
    grid_w: float
    still_w: float
    still_since: float
    shown_w: tuple[float, float] = (inf, -inf)


class Watch(Struct, frozen=True):
    """``known`` is the sum of the powers behind the meter, of ``sources`` devices; ``readings`` are its distinct ones.

    ``unseen_w`` is what devices did that are no longer heard, less what those did that came. ``code`` and ``detail`` tell the fault while disbelieved.
    ``lag_s`` is how late the meter was taken to be: with another one, what spoke against it has to be told anew.
    """

    trust: Trust = Trust.BELIEVED
    code: FaultCode | None = None
    detail: str = ""
    until: float = 0.0
    hold_s: float = HOLD_S
    known: Readings = ()
    sources: int = 0
    unseen_w: float = 0.0
    readings: Readings = ()
    lag_s: float = 0.0
    weighed_at: float = 0.0
    evidence: Evidence = Evidence()
    against: bool = False
    probe: Probe | None = None
    repeats: Repeats | None = None

    @property
    def believed(self) -> bool:
        """Whether control may use the meter."""
        return self.trust is Trust.BELIEVED

    @property
    def turned(self) -> bool:
        """Whether it seems to move against us."""
        return self.trust is Trust.DOUBTED or self.code is FaultCode.METER_SIGN_FLIPPED


def follow(previous: Watch, snapshot: Snapshot, grid: GridTable) -> Watch:
    """Return the watch after ``snapshot``."""
    meter, now = snapshot.grid(), snapshot.at
    if meter is None or _islanded(snapshot):
        forgotten = replace(previous, known=(), readings=(), evidence=Evidence(), repeats=None)
        return _ended(_trusted(forgotten) if previous.trust is Trust.DOUBTED else forgotten, now)
    if problem := impossible(meter, grid):
        return _disbelieved(previous, FaultCode.METER_IMPLAUSIBLE, problem, now + RETURN_S)
    watch, lag_s = previous, _lag_s(snapshot)
    if lag_s != watch.lag_s:
        watch = replace(_trusted(watch) if watch.turned else watch, lag_s=lag_s, evidence=Evidence())
    due = not watch.known or now - watch.known[-1][0] >= STEP_S - 0.01
    if due:
        watch = _sensed(watch, snapshot)
    if watch.repeats is None or meter.at > watch.repeats.sample.at:
        watch = _read(watch, meter, now, lag_s)
    if due:
        watch = _judged(_weighed(watch, lag_s), meter, now, lag_s)
    return _ended(watch, now)


def believed(snapshot: Snapshot, watch: Watch) -> Snapshot:
    """Return the snapshot without a grid meter that cannot be believed."""
    if watch.believed:
        return snapshot
    hidden = {d: None if snapshot.devices[d].role == "grid" else m for d, m in snapshot.meters.items()}
    return replace(snapshot, meters=hidden)


def impossible(meter: MeterSample, grid: GridTable) -> str:
    """Say what no house behind this fuse can draw; empty when nothing is wrong."""
    most_a = IMPOSSIBLE * grid.main_fuse_a
    if (current_a := max(abs(a) for a in meter.phase_current_a)) > most_a:
        return f"{current_a:.0f} A at a fuse of {grid.main_fuse_a:g} A"
    if abs(meter.power_w) > most_a * grid.nominal_voltage_v * grid.phases:
        return f"{meter.power_w:.0f} W at a fuse of {grid.main_fuse_a:g} A"
    return ""


def _islanded(snapshot: Snapshot) -> bool:
    """Without a grid there is nothing that the meter could show."""
    own = any(s is not None and s.islanded for s in snapshot.storages.values())
    return own or snapshot.control.backup.phase is not BackupPhase.GRID


def _lag_s(snapshot: Snapshot) -> float:
    return next(
        (i.lag_s for d, i in snapshot.devices.items() if d in snapshot.meters and i.role == "grid"), 0.0
    )


def _sensed(watch: Watch, snapshot: Snapshot) -> Watch:
    """Note what the known powers are; a device that comes or goes moves nothing."""
    devices = (*snapshot.storages.values(), *snapshot.evses.values())
    powers = [s.power_w for s in devices if s is not None]
    if (pv := snapshot.pv()) is not None:
        powers.append(-abs(pv.power_w))
    known_w, unseen_w = sum(powers), watch.unseen_w
    if watch.known and len(powers) != watch.sources:
        unseen_w = watch.known[-1][1] - known_w
    known = (*watch.known[1 - KEPT_KNOWN :], (snapshot.at, known_w + unseen_w))
    return replace(watch, known=known, sources=len(powers), unseen_w=unseen_w)


def _read(watch: Watch, meter: MeterSample, now: float, lag_s: float) -> Watch:
    """Take a reading. Equal ones are no fault while nothing moves, nor within the pace at which the meter measures."""
    seen, known_w = watch.repeats, watch.known[-1][1]
    if seen is None or replace(meter, at=seen.sample.at) != seen.sample:
        beats_s = (*seen.beats_s, meter.at - seen.since)[-BEATS:] if seen else ()
        return replace(
            watch,
            until=now + RETURN_S if watch.until == inf else watch.until,
            readings=(*watch.readings[1 - KEPT_READINGS :], (meter.at, meter.power_w)),
            repeats=Repeats(meter, meter.at, 1, known_w, beats_s),
        )
    seen = replace(seen, sample=meter, count=seen.count + 1)
    watch, still_s = replace(watch, repeats=seen), meter.at - seen.since
    known = len(seen.beats_s) == BEATS and seen.count >= FROZEN_SAMPLES
    if not known or still_s < lag_s + max(FROZEN_S, FROZEN_BEATS * max(seen.beats_s)):
        return watch
    if abs(moved_w := known_w - seen.from_w) < PROBE_W:
        return watch
    detail = f"the same reading for {still_s:.1f} s while {abs(moved_w):.0f} W moved"
    return _disbelieved(watch, FaultCode.METER_FROZEN, detail, inf)


def _weighed(watch: Watch, lag_s: float) -> Watch:
    """Add what the newest reading tells of the known moves, as soon as those are known at every lag."""
    newest = _last(watch.readings, watch.known[-1][0] + LAGS_S[0])
    if newest is None or newest[0] <= watch.weighed_at:
        return watch
    before = _last(watch.readings, newest[0] - WINDOW_S + STEP_S / 2)
    if before is None:
        return watch
    moves_w = []
    for lag in LAGS_S:
        came = _last(watch.known, newest[0] - lag_s - lag)
        went = _last(watch.known, before[0] - lag_s - lag)
        if came is None or went is None:
            return replace(watch, weighed_at=newest[0])
        moves_w.append(came[1] - went[1])
    passed_s, span_s = newest[0] - watch.weighed_at, newest[0] - before[0]
    fade = exp(-passed_s / max(FADING_S, 2 * span_s))
    weight = min(1.0, passed_s / span_s)
    evidence = watch.evidence.grown(moves_w, newest[1] - before[1], weight, fade)
    return _compared(replace(watch, weighed_at=newest[0], evidence=evidence))


def _last(readings: Readings, at: float) -> tuple[float, float] | None:
    """Return what was known ``at`` that time."""
    place = bisect_right(readings, at, key=itemgetter(0))
    return readings[place - 1] if place else None


def _compared(watch: Watch) -> Watch:
    """Doubt a meter that was against us in two readings; believe one again that moved with us."""
    worst, best = watch.evidence.gains() or (0.0, 0.0)
    if watch.trust is Trust.DISBELIEVED:
        return _trusted(watch) if watch.code is not FaultCode.METER_FROZEN and best >= WITH else watch
    against = HOUSES < worst <= AGAINST and best <= UNSEEN
    if not (watch.believed and against and watch.against):
        return replace(watch, against=against)
    return replace(watch, trust=Trust.DOUBTED, against=False, probe=None)


def _judged(watch: Watch, meter: MeterSample, now: float, lag_s: float) -> Watch:
    """Judge a doubted meter by what it showed while the devices went to safe."""
    if watch.trust is not Trust.DOUBTED:
        return watch
    known_w = watch.known[-1][1]
    probe = watch.probe
    if probe is None:
        shown = _last(watch.known, now - lag_s) or watch.known[0]
        return replace(watch, probe=Probe(now, shown[1], meter.power_w, known_w, now))
    moved_w, shown_w = known_w - probe.known_w, meter.power_w - probe.grid_w
    if abs(known_w - probe.still_w) > max(STILL_W, STILL * abs(moved_w)):
        probe = replace(probe, still_w=known_w, still_since=now, shown_w=(inf, -inf))
    watch, still_s = replace(watch, probe=probe), now - probe.still_since
    if now - probe.at > LONG_PROBE_S:
        return _trusted(watch)
    if still_s < SETTLED_S + lag_s:
        return watch
    if abs(moved_w) < PROBE_W:
        return _trusted(watch) if now - probe.at >= SHORT_PROBE_S + lag_s else watch
    gain = shown_w / moved_w
    if WITH <= gain <= TIMES:
        return _trusted(watch)
    settled_s = SETTLED_S + lag_s + LAGS_S[-1] + _pace_s(watch)
    if still_s < settled_s:
        return watch
    low_w, high_w = min(probe.shown_w[0], shown_w), max(probe.shown_w[1], shown_w)
    if not FLIPPED[0] <= gain <= FLIPPED[1] or high_w - low_w > abs(moved_w) / 2:
        return _trusted(watch)
    if still_s < settled_s + LATEST_S:
        return replace(watch, probe=replace(probe, shown_w=(low_w, high_w)))
    detail = f"it moved {abs(shown_w):.0f} W against {abs(moved_w):.0f} W of our own devices"
    return _disbelieved(watch, FaultCode.METER_SIGN_FLIPPED, detail, now + watch.hold_s)


def _pace_s(watch: Watch) -> float:
    beats_s = watch.repeats.beats_s if watch.repeats else ()
    return min(beats_s, default=0.0)


def _trusted(watch: Watch) -> Watch:
    return replace(watch, trust=Trust.BELIEVED, code=None, detail="", probe=None, evidence=Evidence())


def _disbelieved(watch: Watch, code: FaultCode, detail: str, until: float) -> Watch:
    """Disbelieve; while it lasts the first detail stays, so that it is told once."""
    if watch.trust is Trust.DISBELIEVED and watch.code is code:
        return replace(watch, until=max(until, watch.until))
    turned = code is FaultCode.METER_SIGN_FLIPPED
    return replace(
        watch,
        trust=Trust.DISBELIEVED,
        code=code,
        detail=detail,
        until=until,
        hold_s=min(2 * watch.hold_s, LONGEST_HOLD_S) if turned else watch.hold_s,
        probe=None,
        evidence=Evidence(),
    )


def _ended(watch: Watch, now: float) -> Watch:
    """Believe again when the time is up; forget how often it lied after an hour without."""
    if watch.trust is Trust.DISBELIEVED and now >= watch.until:
        return _trusted(watch)
    if watch.hold_s > HOLD_S and now - watch.until > LONGEST_HOLD_S:
        return replace(watch, hold_s=HOLD_S)
    return watch
