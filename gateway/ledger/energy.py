"""Lifetime energy that never falls, whatever a device's own counter does. Pure.

A device's counter is followed as long as it rises believably. A fall or a leap is waited out, and when it stays, taken
as the new base without counting the step. A device without a counter has its power integrated. An account begins at
what the counter reads in its very first sample, so that both read alike.
"""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from gateway.model import EnergyTotals, EvseSample, MeterSample, StorageSample

type Sample = MeterSample | StorageSample | EvseSample

MAX_GAP_S = 10.0
BELIEVABLE_W = 100e3
SLACK_WH = 10.0
DOUBTS = 3


@dataclass(frozen=True, slots=True)
class Register:
    """One direction: our total, the device's last believed counter and when it was read, and doubtful readings since."""

    total_wh: float = 0.0
    seen_wh: float | None = None
    seen_at: datetime | None = None
    doubts: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """Energy into and out of one device; ``at`` and ``power_w`` are those of the last sample of this run."""

    into: Register = Register()
    out: Register = Register()
    at: float | None = None
    power_w: float = 0.0

    def totals(self) -> EnergyTotals:
        """Return the two totals."""
        return EnergyTotals(self.into.total_wh, self.out.total_wh)


def counters(sample: Sample) -> tuple[float | None, float | None]:
    """Return the device's own lifetime counters, in and out."""
    if isinstance(sample, MeterSample):
        return sample.import_wh, sample.export_wh
    return sample.charged_wh, sample.discharged_wh


def advance(account: Account, sample: Sample, utc: datetime) -> Account:
    """Return the account after ``sample``, taken at ``utc``; a sample that was seen before changes nothing."""
    if sample.at == account.at or not math.isfinite(sample.power_w):
        return account
    gap_s = sample.at - account.at if account.at is not None else 0.0
    hours = gap_s / 3600.0 if 0.0 < gap_s <= MAX_GAP_S else 0.0
    into_wh, out_wh = counters(sample)
    before_w, now_w = account.power_w, sample.power_w
    if account == Account():
        return Account(_begin(into_wh, utc), _begin(out_wh, utc), sample.at, now_w)
    return Account(
        _follow(account.into, into_wh, utc, hours * (max(before_w, 0.0) + max(now_w, 0.0)) / 2.0),
        _follow(account.out, out_wh, utc, hours * (max(-before_w, 0.0) + max(-now_w, 0.0)) / 2.0),
        sample.at,
        now_w,
    )


def _readable(reading_wh: float | None) -> bool:
    return reading_wh is not None and math.isfinite(reading_wh) and reading_wh >= 0.0


def _begin(reading_wh: float | None, utc: datetime) -> Register:
    if reading_wh is None or not _readable(reading_wh):
        return Register()
    return Register(reading_wh, reading_wh, utc)


def _follow(register: Register, reading_wh: float | None, utc: datetime, integrated_wh: float) -> Register:
    if reading_wh is None or not _readable(reading_wh):
        if register.seen_wh is not None:
            return register  # the counter knows what passed meanwhile, and will tell
        return replace(register, total_wh=register.total_wh + integrated_wh)
    if register.seen_wh is None or register.seen_at is None:
        return Register(register.total_wh, reading_wh, utc)
    step_wh = reading_wh - register.seen_wh
    elapsed_s = max(0.0, (utc - register.seen_at).total_seconds())
    if 0.0 <= step_wh <= SLACK_WH + BELIEVABLE_W * elapsed_s / 3600.0:
        return Register(register.total_wh + step_wh, reading_wh, utc)
    if register.doubts + 1 < DOUBTS:
        return replace(register, doubts=register.doubts + 1)
    return Register(register.total_wh, reading_wh, utc)
