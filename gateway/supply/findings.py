"""What a check of the equipment found: pure values, and how several make one verdict."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model import DeviceId

type Detail = Mapping[str, str | float | None]


class Verdict(StrEnum):
    """``ATTENTION`` works with less than it could; ``UNKNOWN`` has not been seen or proven yet."""

    PASS = "pass"  # noqa: S105 - a verdict
    ATTENTION = "attention"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Check(StrEnum):
    """What is judged, in the order of a report."""

    ANSWERS = "answers"
    CAR = "car"
    PROTOCOL = "protocol"
    DISCHARGE = "discharge"
    VOLTAGE_WINDOW = "voltage_window"
    CURRENT_WINDOW = "current_window"
    SOC_WINDOW = "soc_window"
    SESSION_TIME = "session_time"
    MODEL = "model"
    METER_RATE = "meter_rate"
    FUSE = "fuse"
    FUSE_GUARD = "fuse_guard"
    SOLE_MASTER = "sole_master"
    FAIL_SAFE_CARD = "fail_safe_card"
    WIRING_PROOF = "wiring_proof"
    FAIL_SAFE_PROOF = "fail_safe_proof"
    TIMER_PROOF = "timer_proof"
    LINES_PROOF = "lines_proof"


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement of one device. The keys name sentences in texts.py, ``detail`` fills them in."""

    check: Check
    device: DeviceId
    verdict: Verdict
    text_key: str
    detail: Detail = field(default_factory=dict)
    remedy_key: str = ""


WORST_FIRST = (Verdict.FAIL, Verdict.UNKNOWN, Verdict.ATTENTION, Verdict.PASS)
"""What is not proven yet comes before what merely deserves attention: it is the next thing to do."""


def worst(findings: Iterable[Finding]) -> Verdict:
    """Return the one verdict of a device; UNKNOWN when nothing was judged."""
    found = {f.verdict for f in findings}
    return next((v for v in WORST_FIRST if v in found), Verdict.UNKNOWN)
