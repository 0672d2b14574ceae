"""`scripts/bench rivals`: other strategies and ours follow the same house with the same devices and the same meter."""

import argparse
import logging
import math
import sys
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..page import put_section
from .appliances import STATISTICS
from .contest import LAGS_S, OURS, OURS_UNTOLD, RIVALS, SEEDS, contest, delayed_ideal_w, tunings

TUNING_SEED = 11
TUNING_HOURS = 0.5
BOUND = "delayed_ideal"


@dataclass(frozen=True, slots=True)
class Figures:
    """The sums of one run."""

    seconds: float
    square: float
    export_wh: float
    direction_changes: int
    over_fuse_s: float


def options(group: argparse._ArgumentGroup) -> None:
    """Add what the bench can be told."""
    group.add_argument(
        "--hours", type=float, default=2.0, help="of each of the two stretches of a seed (default: 2)"
    )
    group.add_argument("--seeds", type=int, default=len(SEEDS), help=f"how many (default: {len(SEEDS)})")
    group.add_argument("--processes", type=int, default=2, help="at a time (default: 2)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Run the contest and return its figures."""
    seeds = SEEDS[: arguments.seeds]
    with ProcessPoolExecutor(arguments.processes) as pool:
        chosen = _tuned(pool)
        jobs = [
            (strategy, chosen.get((strategy, lag_s), ""), lag_s, arguments.hours, seed)
            for lag_s in LAGS_S
            for strategy in (*RIVALS, OURS, OURS_UNTOLD)
            for seed in seeds
        ]
        print(f"{len(jobs)} runs of {2 * arguments.hours:g} h …", file=sys.stderr)
        results = dict(zip(jobs, pool.map(_run, jobs), strict=True))
    rivals: dict[str, Any] = {}
    for lag_s in LAGS_S:
        row = rivals[f"lag_{lag_s:.0f}_s"] = {
            strategy: _summed([r for job, r in results.items() if job[0] == strategy and job[2] == lag_s])
            for strategy in (*RIVALS, OURS, OURS_UNTOLD)
        }
        errors = [e for seed in seeds for e in delayed_ideal_w(lag_s, arguments.hours, seed)]
        row[BOUND] = {"rms_w": round(math.sqrt(sum(errors) / len(errors)), 1)}
    tuned = {f"{s} at {lag_s:.0f} s": t for (s, lag_s), t in chosen.items()}
    if arguments.docs:
        put_section(Path("docs/performance.md"), "## Rivals", document(rivals, tuned, arguments))
    return {"rivals": rivals, "tuned": tuned}


def _tuned(pool: ProcessPoolExecutor) -> dict[tuple[str, float], str]:
    """Return each rival's best tuning for each lag, by RMS on a day that is not in the contest."""
    jobs = [
        (strategy, tuning, lag_s, TUNING_HOURS, TUNING_SEED)
        for lag_s in LAGS_S
        for strategy in RIVALS
        for tuning in tunings(strategy)
    ]
    print(f"{len(jobs)} runs of {2 * TUNING_HOURS:g} h for the tuning …", file=sys.stderr)
    best: dict[tuple[str, float], tuple[float, str]] = {}
    for (strategy, tuning, lag_s, _, _), figures in zip(jobs, pool.map(_run, jobs), strict=True):
        found = (figures.square / figures.seconds, tuning)
        best[strategy, lag_s] = min(best.get((strategy, lag_s), found), found)
    return {key: tuning for key, (_, tuning) in best.items()}


def _run(job: tuple[str, str, float, float, int]) -> Figures:
    strategy, tuning, lag_s, hours, seed = job
    logging.disable(logging.CRITICAL)
    brain = tunings(strategy)[tuning] if strategy in RIVALS else None
    scores = contest(lag_s, hours, seed, brain, told=strategy != OURS_UNTOLD)
    return Figures(
        sum(s.seconds for s in scores),
        sum(s.rms_w**2 * s.seconds for s in scores),
        sum(s.export_wh for s in scores),
        sum(s.direction_changes for s in scores),
        sum(s.over_fuse_s for s in scores),
    )


def _summed(figures: list[Figures]) -> dict[str, float]:
    seconds = sum(f.seconds for f in figures)
    return {
        "rms_w": round(math.sqrt(sum(f.square for f in figures) / seconds), 1),
        "export_wh": round(sum(f.export_wh for f in figures)),
        "direction_changes": sum(f.direction_changes for f in figures),
        "over_fuse_s": round(sum(f.over_fuse_s for f in figures), 1),
    }


def document(rivals: dict[str, Any], tuned: dict[str, str], arguments: argparse.Namespace) -> str:
    """Return the section of docs/performance.md."""
    hours = 2 * arguments.hours * arguments.seeds
    lines = [
        (
            f"Measured {datetime.now(UTC):%Y-%m-%d} with `scripts/bench rivals --hours {arguments.hours:g} --seeds "
            f"{arguments.seeds}`: {hours:g} h of a simulated house for each row, half of them a spring midday, half a winter "
            "evening."
        ),
        "",
        "| meter lag | strategy | RMS grid power, W | exported, Wh | direction changes | over the fuse, s |",
        "|---|---|---|---|---|---|",
    ]
    for lag, row in rivals.items():
        for strategy, figures in row.items():
            cells = [f"{figures[k]:g}" if k in figures else "-" for k in _KEYS]
            lines.append(f"| {lag.split('_')[1]} s | {strategy} | {' | '.join(cells)} |")
    lines += [
        "",
        _ASSUMPTIONS,
        f"- Tunings chosen: {'; '.join(f'{k}: {v}' for k, v in tuned.items())}.",
        "",
        STATISTICS,
    ]
    return "\n".join(lines)


_KEYS = ("rms_w", "export_wh", "direction_changes", "over_fuse_s")
_ASSUMPTIONS = """\
- The house: three phases, 25 A each. A battery of 10 kWh and 5 kW on L2 (dead time 0.3 s, 5 kW/s), a V2H charger of 6
  kW on L1 with a car of 38 kWh (dead time 4 s, 3.3 kW/s). The target is 0 W at the grid.
- The meter looks every second and is heard `lag` later. Its noise is 5 W. The lag is declared to the gateway; the rivals have no
  place for it, but are tuned for each lag.
- Every strategy steers the sum of both devices, has the same room (battery 10-100 %, car 30-80 %) and a guard of the
  fuse. A rival may choose between two splits (battery first, by rating) and among its published tunings: what had the
  least RMS on a day of its own that is not in the contest.
- `ev_charger_30_s`: evcc's cycle of 30 s, charger and battery take the measured surplus at once; without its whole
  amperes, which would make it worse. As published it steers the charger alone.
- `zero_point_10_s`: openWB's bidirectional mode, the grid's power put on the devices every 10 s. As published it
  steers bidirectional charge points alone.
- `pd_1_s`: Omnibattery's loop at each sample: five published profiles (kp 0.22-0.75, kd 0.15-0.45, 400-2000 W a
  cycle), dead band ±40 W, direction hysteresis 60 W, 5 s hold at a change of direction, one direct correction after a
  step that lasts two samples; the gain scaled by the time between samples, at most to 1. As published it steers
  batteries alone. `pd_1_s_direct`: its other mode, without PD.
- `ours`: the real control loop, ticking at each sample and each second; `ours_lag_not_told`: the same where nobody declared the
  meter's lag.
- `delayed_ideal`: what no strategy that only follows can beat by much: devices without dead time or limits that do at
  once what the meter tells, lag and period late.
- Direction changes: turns of a device between charging and discharging more than 50 W, both devices added up.
- Load and sun are SimBench's quarter hours as shipped with the simulator, refined to seconds; the appliances' energy
  is taken off the record again as their running mean over two hours:"""
