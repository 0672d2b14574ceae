"""What measured steps and silences mean; pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median

from gateway.supply.findings import Detail, Verdict

PASS, ATTENTION, FAIL, UNKNOWN = Verdict.PASS, Verdict.ATTENTION, Verdict.FAIL, Verdict.UNKNOWN

FOLLOWED = 0.5
TOLERANCE_W, TOLERANCE = 150.0, 0.2
GROSS = 1.5
RESTLESS = 0.25
"""Half of the steps differ by more than this from their median: that is the house, not the device."""
STEADY_S = 1.0
ANSWER_S = 2.0
"""What meter and house may add to a device's own time before its 0 W is seen."""

type PhaseWatts = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a device: what was ordered, what it says it did, and what it moved on each phase of the grid meter."""

    ordered_w: float
    did_w: float
    seen_w: PhaseWatts


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a proof comes to; keys and figures as in a finding."""

    verdict: Verdict
    text_key: str
    figures: Detail = field(default_factory=dict)
    remedy_key: str = ""


def judge_steps(steps: Sequence[Step], phases: tuple[int, ...]) -> Judgement:
    """Compare steps with what the grid meter saw. Medians, so that one kettle among them changes nothing.

    A step is seen in proportion to what it did itself, for a device may do more in one direction than in the other.
    """
    did_w = median(abs(s.did_w) for s in steps)
    ordered_w = median(abs(s.ordered_w) for s in steps)
    followed = [s for s in steps if abs(s.did_w) > FOLLOWED * abs(s.ordered_w)] or steps
    scales = [(did_w / abs(s.did_w) if s.did_w else 0.0) * (1 if s.ordered_w > 0 else -1) for s in followed]
    gains = [tuple(w * scale for w in s.seen_w) for s, scale in zip(followed, scales, strict=True)]
    seen = [median(gain[p] for gain in gains) for p in range(3)]
    total_w = sum(seen)
    scatter_w = median(abs(sum(gain) - total_w) for gain in gains)
    shown = {p + 1 for p in range(3) if abs(seen[p]) > FOLLOWED * did_w / len(phases)}
    backwards = {p for p in shown if seen[p - 1] < 0}
    figures: Detail = {
        "steps": len(steps),
        "step_w": round(ordered_w),
        "did_w": round(did_w),
        "seen_w": round(total_w),
        "l1_w": round(seen[0]),
        "l2_w": round(seen[1]),
        "l3_w": round(seen[2]),
        "ratio": round(total_w / did_w, 2) if did_w else 0.0,
        "seen_phases": named(shown),
        "flipped_phases": named(backwards),
        "phases": named(phases),
    }
    if did_w < FOLLOWED * ordered_w:
        return Judgement(FAIL, "not_following", figures, "mend_following")
    if not shown or scatter_w > RESTLESS * did_w:
        restless = scatter_w > RESTLESS * did_w
        return Judgement(UNKNOWN if restless else FAIL, "wiring_not_seen", figures, "calm_house")
    if backwards == shown:
        return Judgement(FAIL, "wiring_flipped", figures, "invert")
    if backwards:
        return Judgement(FAIL, "wiring_phase_flipped", figures, "turn_clamp")
    if shown != set(phases):
        return Judgement(FAIL, "wiring_wrong_phase", figures, "mend_phases")
    if abs(total_w - did_w) > max(TOLERANCE_W, TOLERANCE * did_w):
        gross = not did_w / GROSS < total_w < did_w * GROSS
        return Judgement(FAIL if gross else ATTENTION, "wiring_wrong_size", figures, "mend_ratio")
    return Judgement(PASS, "wiring_right", figures)


@dataclass(frozen=True, slots=True)
class Fall:
    """Watches the house fall back by a device's step: when it did, once it has stayed there."""

    threshold_w: float
    below_since: float | None = None

    def after(self, at: float, power_w: float) -> Fall:
        """Return the watch after one more sample."""
        if power_w > self.threshold_w:
            return Fall(self.threshold_w)
        return self if self.below_since is not None else Fall(self.threshold_w, at)

    def settled(self, at: float) -> bool:
        """Tell whether it has been down for long enough to be believed."""
        return self.below_since is not None and at - self.below_since >= STEADY_S


def judge_fall(silence_s: float | None, close_s: float | None, card_s: float, waited_s: float) -> Judgement:
    """Compare how long the device went on without us with its card; None is: until we gave up."""
    figures: Detail = {
        "silence_s": _tenth(silence_s),
        "close_s": _tenth(close_s),
        "allowed_s": card_s,
        "waited_s": round(waited_s, 1),
        "how": "silence" if silence_s is None else "its connection was closed",
    }
    if silence_s is None or close_s is None:
        return Judgement(FAIL, "fail_safe_none", figures, "no_unattended")
    if max(silence_s, close_s) > card_s + ANSWER_S:
        return Judgement(FAIL, "fail_safe_late", figures, "set_timeout")
    return Judgement(PASS, "fail_safe_holds", figures)


def judge_lease(silence_s: float) -> Judgement:
    """Judge a converter that still holds its order after the car has ended the session."""
    return Judgement(FAIL, "lease_dead", {"silence_s": _tenth(silence_s)}, "no_unattended")


LINE_OF_CAUSE = {
    "no_answer": "line_d1",
    "no_permission": "line_k",
    "lock_failed": "line_lock",
    "no_contactor": "line_d2",
    "no_battery": "line_d2",
    "unplugged": "line_proximity",
}
"""Which wire is to be looked at when a CHAdeMO session ends for this cause before it began."""


def judge_lines(cause: str, stop_s: float | None, stop_waited_s: float) -> Judgement:
    """Judge the pilot lines by how far a session came, and the emergency stop by how soon it ended one.

    ``cause`` is empty when the session came about; ``stop_waited_s`` is 0 when the stop was not tried.
    """
    if cause in LINE_OF_CAUSE:
        return Judgement(FAIL, LINE_OF_CAUSE[cause], {"cause": cause}, "mend_wire")
    if cause:
        return Judgement(UNKNOWN, "no_session", {"cause": cause.replace("_", " ")}, "prove")
    if not stop_waited_s:
        return Judgement(UNKNOWN, "lines_no_stop", {}, "try_stop")
    if stop_s is None:
        return Judgement(FAIL, "lines_stop_dead", {"waited_s": round(stop_waited_s)}, "mend_stop")
    return Judgement(PASS, "lines_right", {"stop_s": _tenth(stop_s)})


def named(phases: tuple[int, ...] | set[int]) -> str:
    """Return phases as people write them."""
    return "+".join(f"L{phase}" for phase in sorted(phases)) or "no phase"


def _tenth(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 1)
