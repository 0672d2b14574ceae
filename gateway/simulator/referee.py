"""What nobody may do to a car, counted where physics knows it. No wire and no clock.

Limits: reference/can.md 3.7 to 3.9. A patience is the time that the standard allows plus one frame of 0.1 s.
"""

from dataclasses import dataclass
from enum import StrEnum

SAFE_V = 10.0
SAFE_BREAK_A = 5.0
NO_CURRENT_A = 1.0
BLED_V = 20.0
TEST_V = 400.0
TEST_S = 0.3
TOLERANCE_A = 2.0
OVER_LIMIT_S = 1.0
STOP_S = 0.6
INSULATION_OHM_PER_V = 100.0
UNINSULATED_S = 1.0


class Violation(StrEnum):
    HOT_OPENING = "hot_opening"
    ARC = "arc"
    UNLOCKED_LIVE = "unlocked_live"
    D2_UNTESTED = "d2_untested"
    D2_UNDER_VOLTAGE = "d2_under_voltage"
    D2_UNPERMITTED = "d2_unpermitted"
    OVER_REQUEST = "over_request"
    OVER_DISCHARGE_LIMIT = "over_discharge_limit"
    SLOW_STOP = "slow_stop"
    UNINSULATED = "uninsulated"


MEANINGS: dict[Violation, str] = {
    Violation.HOT_OPENING: "the car's contactor opened above 5 A",
    Violation.ARC: "the connector was pulled above 1 A",
    Violation.UNLOCKED_LIVE: "the connector was unlocked above 10 V",
    Violation.D2_UNTESTED: "d2 came before an insulation test",
    Violation.D2_UNDER_VOLTAGE: "d2 came while 20 V and more stood at the connector",
    Violation.D2_UNPERMITTED: "d2 came without k",
    Violation.OVER_REQUEST: "more than 102.3 flowed into the car for long",
    Violation.OVER_DISCHARGE_LIMIT: "more than 200.0 flowed out of the car for long",
    Violation.SLOW_STOP: "more than 5 A flowed long after the car took its permission back",
    Violation.UNINSULATED: "current flowed for long at a bad insulation",
}


@dataclass(frozen=True, slots=True)
class Sight:
    """One look at the connector. ``permitted`` is k and 102.5.0; the limits are what the car itself would allow."""

    plugged: bool
    permitted: bool
    d1: bool
    d2: bool
    locked: bool
    contactor: bool
    voltage_v: float
    current_a: float
    request_a: float
    discharge_limit_a: float
    insulation_kohm: float


class Referee:
    """``look`` at each step of the physics, before currents that lost their path are cut."""

    def __init__(self) -> None:
        self.counts: dict[Violation, int] = dict.fromkeys(Violation, 0)
        self._last: Sight | None = None
        self._tested_s = 0.0
        self._lasted_s: dict[Violation, float] = {}

    def look(self, now: Sight, dt_s: float) -> None:
        """Judge what changed since the last look, and what has lasted too long."""
        was, self._last = self._last or now, now
        self._follow_test(now, dt_s)
        flows_a = abs(now.current_a)
        moments = {
            Violation.HOT_OPENING: was.contactor > now.contactor and now.plugged and flows_a > SAFE_BREAK_A,
            Violation.ARC: was.plugged > now.plugged and flows_a > NO_CURRENT_A,
            Violation.UNLOCKED_LIVE: was.locked > now.locked and now.plugged and now.voltage_v > SAFE_V,
            Violation.D2_UNTESTED: now.d2 > was.d2 and self._tested_s < TEST_S,
            Violation.D2_UNDER_VOLTAGE: now.d2 > was.d2 and now.voltage_v > BLED_V,
            Violation.D2_UNPERMITTED: now.d2 > was.d2 and not now.permitted,
        }
        for violation, holds in moments.items():
            self.counts[violation] += holds
        limit_kohm = INSULATION_OHM_PER_V * now.voltage_v / 1000.0
        states = {
            Violation.OVER_REQUEST: (now.current_a > now.request_a + TOLERANCE_A, OVER_LIMIT_S),
            Violation.OVER_DISCHARGE_LIMIT: (
                -now.current_a > now.discharge_limit_a + TOLERANCE_A,
                OVER_LIMIT_S,
            ),
            Violation.SLOW_STOP: (not now.permitted and flows_a > SAFE_BREAK_A, STOP_S),
            Violation.UNINSULATED: (
                flows_a > NO_CURRENT_A and now.insulation_kohm < limit_kohm,
                UNINSULATED_S,
            ),
        }
        for violation, (holds, patience_s) in states.items():
            self._last_too_long(violation, holds=holds, patience_s=patience_s, dt_s=dt_s)

    def _follow_test(self, now: Sight, dt_s: float) -> None:
        """An insulation test is a high voltage behind an open contactor, since d1 came."""
        if not now.d1:
            self._tested_s = 0.0
        elif not now.contactor and now.voltage_v > TEST_V:
            self._tested_s += dt_s

    def _last_too_long(self, violation: Violation, *, holds: bool, patience_s: float, dt_s: float) -> None:
        """Count a state once, at the moment when it has lasted longer than ``patience_s``."""
        before_s = self._lasted_s.get(violation, 0.0)
        after_s = before_s + dt_s if holds else 0.0
        self._lasted_s[violation] = after_s
        self.counts[violation] += before_s <= patience_s < after_s
