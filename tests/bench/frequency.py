"""Frequency reserve on real frequency: how well a car delivers it, and what that does to its charge."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.config import ReserveTable
from gateway.rehearsal import Plant, Rehearsal

from .reserve_site import fast_charger, floor, site, slow_charger, window

TRACE = Path(__file__).parents[2] / "../shared/data/energy/freq_ce_1s_2024-08.parquet"
SOLD_W = 8000.0
LATE = ReserveTable(start_s=5.0)
"""The grid operator has accepted that this charger begins late: its dead time alone is 4 s."""
CHARGERS = {"slow": slow_charger, "fast": fast_charger}
DAY_S = 86_400
OUTLIERS_W = SOLD_W * 0.05


def recorded_hz() -> list[float]:
    """Return the recorded frequency, one value a second, gaps bridged by straight lines. Raises FileNotFoundError."""
    import numpy as np
    from pyarrow import parquet

    deviations = parquet.read_table(TRACE)["dev_mhz"].to_numpy(zero_copy_only=False).astype(float)
    known = np.flatnonzero(~np.isnan(deviations))
    filled = np.interp(np.arange(known[0], known[-1] + 1), known, deviations[known])
    return [50.0 + mhz / 1000 for mhz in filled.tolist()]


@dataclass
class Account:
    """What is added up second by second."""

    errors_w: list[float] = field(default_factory=list)
    soc_pct: list[float] = field(default_factory=list)
    moved_wh: float = 0.0
    recharged_wh: float = 0.0
    outside_s: float = 0.0
    unavailable_s: float = 0.0


def replay(hz: Sequence[float], plant: Plant, *, tick_s: float = 1.0) -> dict[str, float]:
    """Sell SOLD_W for the whole of ``hz`` and return the figures; ``tick_s`` is step and tick of the rehearsal."""
    last = len(hz) - 1
    lot = window(SOLD_W, hours=len(hz) / 3600 + 1)
    r = site(
        plant,
        reserves=(lot,),
        settings=floor(20.0),
        reserve=LATE,
        frequency=lambda second: hz[min(last, int(second))],
        step_s=tick_s,
        tick_s=tick_s,
        keep=False,
    )
    r.run(30)
    band_pct = 100 * SOLD_W * LATE.reservoir_min / 60 / plant.capacity_wh
    low, high = 21.0 + band_pct / 0.94, 95.0 - band_pct * 0.94
    account, start_pct = Account(), plant.soc_pct
    for _ in range(int((len(hz) - 30) / tick_s)):
        r.run(tick_s)
        _note(account, r, plant, (low, high), tick_s)
    return _figures(account, start_pct, plant, len(hz) - 30)


def _note(account: Account, r: Rehearsal, plant: Plant, band: tuple[float, float], passed_s: float) -> None:
    status = r.state.control.reserve
    account.errors_w.append(plant.power_w - status.response_w - status.offset_w)
    account.moved_wh += abs(plant.power_w) * passed_s / 3600
    account.recharged_wh += abs(status.offset_w) * passed_s / 3600
    account.outside_s += passed_s * (not band[0] <= plant.soc_pct <= band[1])
    account.unavailable_s += passed_s * (not status.asked_w)
    account.soc_pct.append(plant.soc_pct)


def _figures(account: Account, start_pct: float, plant: Plant, seconds: int) -> dict[str, float]:
    days, sold_kw = seconds / DAY_S, SOLD_W / 1000
    errors = sorted(abs(e) for e in account.errors_w)
    rms_w = math.sqrt(sum(e * e for e in errors) / len(errors))
    kwh_per_pct = plant.capacity_wh / 100_000
    return {
        "hours": round(seconds / 3600, 1),
        "error_rms_pct": round(100 * rms_w / SOLD_W, 2),
        "error_p99_pct": round(100 * errors[int(len(errors) * 0.99)] / SOLD_W, 2),
        "error_mean_pct": round(100 * sum(account.errors_w) / len(errors) / SOLD_W, 3),
        "drift_kwh_per_kw": round((account.soc_pct[-1] - start_pct) * kwh_per_pct / sold_kw, 3),
        "swing_low_kwh_per_kw": round((min(account.soc_pct) - start_pct) * kwh_per_pct / sold_kw, 3),
        "swing_high_kwh_per_kw": round((max(account.soc_pct) - start_pct) * kwh_per_pct / sold_kw, 3),
        "hours_outside_band": round(account.outside_s / 3600, 3),
        "hours_unavailable": round(account.unavailable_s / 3600, 3),
        "throughput_kwh_per_kw_day": round(account.moved_wh / 1000 / sold_kw / days, 2),
        "recharge_kwh_per_kw_day": round(account.recharged_wh / 1000 / sold_kw / days, 2),
    }
