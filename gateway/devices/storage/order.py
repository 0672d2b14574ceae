"""Pure: when a battery's power order must be written, renewed or ended, and whether it is followed."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.model import Setpoint, StorageSample

RENEWALS_PER_LEASE = 3
CHANGE_W = 0.5
FOLLOW_TOLERANCE_W = 200.0
FOLLOW_TOLERANCE = 0.1
FULL_SOC_PCT = 95.0
EMPTY_SOC_PCT = 10.0


class Step(StrEnum):
    WAIT = "wait"
    CHANGE = "change"
    RENEW = "renew"
    END = "end"


@dataclass(frozen=True, slots=True)
class Standing:
    """The order that the device may hold: its power, None while that is not verified, and its lease's last renewal."""

    power_w: float | None
    renewed_at: float


def next_step(
    now: float, wanted: Setpoint | None, power_w: float, standing: Standing | None, lease_s: float
) -> tuple[Step, float | None]:
    """Return what to do now and, for WAIT, until when at most (None: until a new setpoint comes).

    ``power_w`` is what ``wanted`` amounts to within the device's limits. An expired setpoint is never written.
    """
    if wanted is None or now >= wanted.expires_at:
        return (Step.WAIT, None) if standing is None else (Step.END, None)
    if standing is None or standing.power_w is None:
        return Step.RENEW, None
    renew_at = standing.renewed_at + lease_s / RENEWALS_PER_LEASE
    if now >= renew_at:
        return Step.RENEW, None
    if abs(power_w - standing.power_w) >= CHANGE_W:
        return Step.CHANGE, None
    return Step.WAIT, min(renew_at, wanted.expires_at)


def differs(sample: StorageSample) -> bool:
    """Tell whether the measured power is not what was ordered; near full or empty a battery may rightly do less.

    An inverter that forms the house's own grid gives what the house draws, whatever was ordered.
    """
    applied_w = sample.applied_w
    if applied_w is None or sample.islanded:
        return False
    if applied_w > 0 and sample.soc_pct >= FULL_SOC_PCT:
        return False
    if applied_w < 0 and sample.soc_pct <= EMPTY_SOC_PCT:
        return False
    return abs(sample.power_w - applied_w) > max(FOLLOW_TOLERANCE_W, FOLLOW_TOLERANCE * abs(applied_w))
