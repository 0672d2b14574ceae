"""Pure: whether the grid meter can be believed, judged by what the site's own devices do to it.

A meter that is mounted the wrong way round turns the control into positive feedback. So each move of known powers
(devices, PV) is compared with what the meter shows, at every lag that the meter may have; which lag is the true one shows
in long operation. A meter that seems to move against us is doubted: it is taken for silent, so the devices go to safe,
and that very move is the proof. Only then it is disbelieved, with a fault.

    BELIEVED → DOUBTED → BELIEVED        it followed the move after all
                       → DISBELIEVED     it did not; also at once when it repeats itself or shows what no fuse carries
    DISBELIEVED → BELIEVED               after a while, each time twice as long, or when it follows known powers again
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from math import inf

from gateway.config import GridTable
from gateway.faults import FaultCode
from gateway.model import BackupPhase, MeterSample, Snapshot

STEP_S = 0.25
"""Or half of the meter's own pace, where that is longer."""
LAGS = range(-4, 65)
"""In steps: device samples may be up to 1 s older than the meter's, the meter's up to 16 s older than theirs."""
UNKNOWN = range(9)
"""Lags over which the answer of a meter is summed while its own lag is not known."""
FAST, SLOW = 0.9, 0.9995
"""What is left of old evidence after a step."""
ENOUGH_W2, MUCH_W2, LEARNED_W2 = 300.0**2, 1000.0**2, 850.0**2
LESSON_W, PROVEN_S = 500.0, 15.0
AGAINST, WITH, TIMES, LIKE = -0.4, 0.5, 5.0, 0.2
FLIPPED = (-2.0, -0.5)
"""The gain of a meter that was turned round; what lies beyond is the house's own doing."""
PROBE_W, STILL_W = 300.0, 50.0
PROBE_S, SHORT_PROBE_S, LONG_PROBE_S = 1.0, 4.0, 18.0
HOLD_S, LONGEST_HOLD_S = 30.0, 3600.0
IMPOSSIBLE = 4.0
"""Times the fuse: more opens it within a second."""
RETURN_S = 3.0
FROZEN_S, FROZEN_BEATS, FROZEN_SAMPLES = 2.0, 2.5, 4
BEATS = 5


class Trust(StrEnum):
    BELIEVED = "believed"
    DOUBTED = "doubted"
    DISBELIEVED = "disbelieved"


@dataclass(frozen=True, slots=True)
class Point:
    """``known_w`` is the sum of the powers that are measured behind the grid meter, ``sources`` how many they are."""

    at: float
    grid_w: float
    known_w: float
    sources: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Per lag, fading: the moves of known powers times those of the meter, and times themselves, in W²."""

    together: tuple[float, ...] = (0.0,) * len(LAGS)
    moved: tuple[float, ...] = (0.0,) * len(LAGS)

    def grown(self, pairs: Sequence[tuple[float, float]], fade: float) -> Evidence:
        """Return the evidence after one step; ``pairs`` are (known, metered) moves in W, one for each lag."""
        return Evidence(
            tuple(t * fade + u * m for t, (u, m) in zip(self.together, pairs, strict=True)),
            tuple(s * fade + u * u for s, (u, _) in zip(self.moved, pairs, strict=True)),
        )

    def gain(self, lag: int) -> float:
        """How much of a known move the meter showed: 1 where all is well."""
        place = lag - LAGS.start
        return self.together[place] / self.moved[place] if self.moved[place] else 0.0

    def known(self, lag: int, enough_w2: float) -> bool:
        """Tell whether enough has moved to speak of a gain."""
        return self.moved[lag - LAGS.start] >= enough_w2


@dataclass(frozen=True, slots=True)
class Repeats:
    """The newest reading, since when and how often it is the same, and how far known powers went from where they were."""

    sample: MeterSample
    since: float
    count: int
    from_w: float
    beats_s: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Watch:
    """``doubted_at`` is where the probe began; ``code`` and ``detail`` tell the fault while disbelieved."""

    trust: Trust = Trust.BELIEVED
    code: FaultCode | None = None
    detail: str = ""
    until: float = 0.0
    hold_s: float = HOLD_S
    moves: tuple[tuple[float, float], ...] = ()
    last: Point | None = None
    fast: Evidence = Evidence()
    slow: Evidence = Evidence()
    proven: tuple[Evidence, Evidence] = (Evidence(), Evidence())
    proven_at: float = 0.0
    against: bool = False
    doubted_at: Point | None = None
    still_since: float = 0.0
    repeats: Repeats | None = None

    @property
    def believed(self) -> bool:
        """Whether control may use the meter."""
        return self.trust is Trust.BELIEVED


def follow(previous: Watch, snapshot: Snapshot, grid: GridTable) -> Watch:
    """Return the watch after ``snapshot``."""
    meter, now = snapshot.grid(), snapshot.at
    if meter is None or _islanded(snapshot):
        forgotten = replace(previous, last=None, moves=(), fast=Evidence(), repeats=None)
        return _ended(_trusted(forgotten) if previous.trust is Trust.DOUBTED else forgotten, now)
    if problem := impossible(meter, grid):
        return _disbelieved(previous, FaultCode.METER_IMPLAUSIBLE, problem, now + RETURN_S)
    due = previous.last is None or now - previous.last.at >= _step_s(previous) - 0.01
    new = previous.repeats is None or meter.at > previous.repeats.sample.at
    if not (due or new):
        return _ended(previous, now)
    point = _point(snapshot, meter)
    watch = _repeated(previous, point, meter) if new else previous
    if due:
        watch = _judged(_moved(watch, point), point)
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


def _step_s(watch: Watch) -> float:
    beats_s = watch.repeats.beats_s if watch.repeats else ()
    return max(STEP_S, min(beats_s) / 2) if beats_s else STEP_S


def _islanded(snapshot: Snapshot) -> bool:
    """Without a grid there is nothing that the meter could show."""
    own = any(s is not None and s.islanded for s in snapshot.storages.values())
    return own or snapshot.control.backup.phase is not BackupPhase.GRID


def _point(snapshot: Snapshot, meter: MeterSample) -> Point:
    devices = (*snapshot.storages.values(), *snapshot.evses.values())
    powers = [s.power_w for s in devices if s is not None]
    if (pv := snapshot.pv()) is not None:
        powers.append(-abs(pv.power_w))
    return Point(snapshot.at, meter.power_w, sum(powers), len(powers))


def _repeated(watch: Watch, point: Point, meter: MeterSample) -> Watch:
    """Count equal readings. They are no fault while nothing moves, nor within the pace at which the meter measures."""
    seen = watch.repeats
    if seen is None:
        return replace(watch, repeats=Repeats(meter, meter.at, 1, point.known_w))
    if replace(meter, at=seen.sample.at) != seen.sample:
        beats_s = (*seen.beats_s, meter.at - seen.since)[-BEATS:]
        until = point.at + RETURN_S if watch.until == inf else watch.until
        return replace(watch, until=until, repeats=Repeats(meter, meter.at, 1, point.known_w, beats_s))
    seen = replace(seen, sample=meter, count=seen.count + 1)
    watch, still_s = replace(watch, repeats=seen), meter.at - seen.since
    known = len(seen.beats_s) == BEATS and seen.count >= FROZEN_SAMPLES
    if not known or still_s < max(FROZEN_S, FROZEN_BEATS * max(seen.beats_s)):
        return watch
    if abs(moved_w := point.known_w - seen.from_w) < PROBE_W:
        return watch
    detail = f"the same reading for {still_s:.1f} s while {abs(moved_w):.0f} W moved"
    return _disbelieved(watch, FaultCode.METER_FROZEN, detail, inf)


def _moved(watch: Watch, point: Point) -> Watch:
    """Add one step to the evidence; a device that came or went moved nothing."""
    last = watch.last
    if last is None or point.at - last.at > 2 * _step_s(watch):
        return replace(watch, last=point, moves=(), fast=Evidence(), still_since=point.at)
    whole = point.sources == last.sources
    move = (point.known_w - last.known_w, point.grid_w - last.grid_w) if whole else (0.0, 0.0)
    moves = (*watch.moves, move)[-LAGS.stop :]
    pairs = [_pair(moves, lag) for lag in LAGS]
    if watch.believed and point.at - watch.proven_at >= PROVEN_S:
        watch = replace(watch, proven=(watch.proven[1], watch.slow), proven_at=point.at)
    return replace(
        watch,
        last=point,
        moves=moves,
        fast=watch.fast.grown(pairs, FAST),
        slow=watch.slow.grown([_bounded(u, m) for u, m in pairs], SLOW) if watch.believed else watch.slow,
        still_since=watch.still_since if abs(move[0]) < STILL_W else point.at,
    )


def _pair(moves: Sequence[tuple[float, float]], lag: int) -> tuple[float, float]:
    """The known move ``lag`` steps ago and what the meter shows now, or of a negative lag the other way round."""
    if len(moves) <= abs(lag):
        return 0.0, 0.0
    known, metered = moves[-1 - max(lag, 0)][0], moves[-1 + min(lag, 0)][1]
    return known, metered


def _bounded(known_w: float, metered_w: float) -> tuple[float, float]:
    """Let a large move teach no more than a middling one, so that a lie does not become the truth within seconds."""
    share = min(1.0, LESSON_W / abs(known_w)) if known_w else 0.0
    return known_w * share, metered_w * share


def _judged(watch: Watch, point: Point) -> Watch:
    gain = _gain(watch)
    if watch.trust is Trust.DOUBTED:
        return _probed(watch, point)
    if watch.trust is Trust.DISBELIEVED:
        follows = watch.code is not FaultCode.METER_FROZEN and gain is not None and WITH <= gain <= TIMES
        return _trusted(watch) if follows else watch
    if gain is None or AGAINST <= gain <= TIMES:
        return replace(watch, against=False) if watch.against else watch
    if not watch.against:
        return replace(watch, against=True)
    learned = any(watch.proven[0].known(lag, LEARNED_W2) for lag in LAGS)
    unseen_w = sum(u for u, _ in watch.moves[len(watch.moves) - max(_lag(watch) or 0, 0) :])
    return replace(
        watch,
        trust=Trust.DOUBTED,
        against=False,
        doubted_at=replace(point, known_w=point.known_w - unseen_w),
        still_since=point.at,
        slow=watch.proven[0] if learned else watch.slow,
    )


def _lag(watch: Watch) -> int | None:
    """Return the lag at which the meter shows our moves, None while that is not known; of like ones the shortest."""
    gains = {lag: watch.slow.gain(lag) for lag in LAGS if watch.slow.known(lag, LEARNED_W2)}
    off = min((abs(gain - 1.0) for gain in gains.values()), default=1.0)
    if off > 1.0 - WITH:
        return None
    return min((lag for lag, gain in gains.items() if abs(gain - 1.0) <= off + LIKE), key=abs)


def _gain(watch: Watch) -> float | None:
    """How much of the known moves the meter has just shown; None when too little moved.

    What made us move was on the meter before, so only lags from 0 on tell of a meter whose lag is not known.
    """
    lag, fast = _lag(watch), watch.fast
    if not fast.known(lag or 0, ENOUGH_W2):
        return None
    gain = fast.gain(lag) if lag is not None else sum(fast.gain(x) for x in UNKNOWN)
    return gain if fast.known(lag or 0, MUCH_W2) else min(gain, TIMES)


def _probed(watch: Watch, point: Point) -> Watch:
    """Judge by what the meter showed while the devices went to safe."""
    began, lag = watch.doubted_at or point, _lag(watch)
    lasted_s, still_s = point.at - began.at, point.at - watch.still_since
    moved_w, shown_w = point.known_w - began.known_w, point.grid_w - began.grid_w
    if abs(moved_w) < PROBE_W:
        return _trusted(watch) if lasted_s >= SHORT_PROBE_S and still_s >= PROBE_S else watch
    gain = shown_w / moved_w
    if still_s < PROBE_S + _step_s(watch) * max(lag or 0, 0):
        return watch
    if WITH <= gain <= TIMES:
        return _trusted(watch)
    if lag is None and lasted_s < LONG_PROBE_S:
        return watch
    if FLIPPED[0] <= gain <= FLIPPED[1]:
        code, what = FaultCode.METER_SIGN_FLIPPED, "against"
    elif gain > TIMES and abs(moved_w) ** 2 >= MUCH_W2:
        code, what = FaultCode.METER_IMPLAUSIBLE, "with"
    else:
        return _trusted(watch)
    detail = f"it moved {abs(shown_w):.0f} W {what} {abs(moved_w):.0f} W of our own devices"
    return _disbelieved(watch, code, detail, point.at + watch.hold_s)


def _trusted(watch: Watch) -> Watch:
    return replace(
        watch,
        trust=Trust.BELIEVED,
        code=None,
        detail="",
        doubted_at=None,
        fast=Evidence(),
    )


def _disbelieved(watch: Watch, code: FaultCode, detail: str, until: float) -> Watch:
    """Disbelieve; while it lasts the first detail stays, so that it is told once."""
    if watch.trust is Trust.DISBELIEVED and watch.code is code:
        return replace(watch, until=max(until, watch.until))
    turned = code is FaultCode.METER_SIGN_FLIPPED
    hold_s = min(2 * watch.hold_s, LONGEST_HOLD_S) if turned else watch.hold_s
    return replace(
        watch,
        trust=Trust.DISBELIEVED,
        code=code,
        detail=detail,
        until=until,
        hold_s=hold_s,
        doubted_at=None,
        fast=Evidence(),
    )


def _ended(watch: Watch, now: float) -> Watch:
    """Believe again when the time is up; forget how often it lied after an hour without."""
    if watch.trust is Trust.DISBELIEVED and now >= watch.until:
        return _trusted(watch)
    if watch.hold_s > HOLD_S and now - watch.until > LONGEST_HOLD_S:
        return replace(watch, hold_s=HOLD_S)
    return watch
