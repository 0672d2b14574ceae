"""`scripts/bench starts`: how the loop begins, again and again, in houses drawn by lot: no phase may stay over its fuse.

Load, phases, headroom, charge, the devices' dynamics and the meter's period are drawn; a charge is asked for at once, and
the load may step on the way. What the house alone draws stays inside the fuse, so that every breach is the devices'.
"""

import argparse
import logging
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from gateway.config import ControlTables, GridTable
from gateway.model import (
    DeviceKind,
    DeviceSettings,
    Interval,
    OwnerSettings,
    Request,
    RequestMode,
    Wishes,
)
from gateway.rehearsal import MeterModel, Plant, Rehearsal

from .page import put_section

ALLOWED_S = 5.0
SECONDS = 60.0
ANSWERED_S = 4.5
"""Where meter and devices take longer than this to see, to begin and to cross their range, no surprise is answered in time."""
START = datetime(2026, 3, 20, 18, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Start:
    """How one start went."""

    seed: int
    longest_over_s: float
    most_share: float
    house: str


def options(group: argparse._ArgumentGroup) -> None:
    """Add what the bench can be told."""
    group.add_argument("--starts", type=int, default=1000, help="how many houses (default: 1000)")
    group.add_argument("--first", type=int, default=0, help="the first seed (default: 0)")


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Start every house once and return the figures."""
    seeds = range(arguments.first, arguments.first + arguments.starts)
    done: list[Start] = []
    with ProcessPoolExecutor(2) as pool:
        for start in pool.map(start_of, seeds, chunksize=8):
            done.append(start)
            if len(done) % 50 == 0:
                print(f"{len(done)} of {len(seeds)} starts", end="\r", file=sys.stderr)
    breaches = [s for s in done if s.longest_over_s > ALLOWED_S]
    for breach in breaches:
        print(f"seed {breach.seed}: {breach.longest_over_s:.1f} s over: {breach.house}", file=sys.stderr)
    figures = {
        "starts": len(done),
        "over_5_s": len(breaches),
        "over_5_s_by_1_pct": sum(
            start_of(s.seed, SECONDS, 0.01).longest_over_s > ALLOWED_S for s in breaches
        ),
        "over_at_all": sum(s.longest_over_s > 0 for s in done),
        "longest_over_s": round(max(s.longest_over_s for s in done), 1),
        "most_pct_of_fuse": round(100 * max(s.most_share for s in done), 1),
    }
    if arguments.docs:
        put_section(Path("docs/reliability.md"), "## Random starts", document(figures))
    return {"starts": figures}


def document(figures: dict[str, Any]) -> str:
    """Return the section of docs/reliability.md."""
    return f"""\
Measured {datetime.now(UTC):%Y-%m-%d} with `scripts/bench starts --starts {figures["starts"]}`. Each start is another house: fuse 16-40 A, one or three
phases, load that leaves 5-100 % of a phase free, battery and car with a charge of 5-98 %, dead time 0.1-5 s, ramp
1-8 kW/s, steps of 1 A or none, a meter that tells every 1-5 s; half of the
houses are quick (meter 1-2 s, car 0.2-1 s). The owner asks the car, and in a third of the houses the battery, to charge at
full power from the first second on, or to discharge. {SECONDS:g} s each; the loop ticks twice a second and at each sample. What the house alone
draws stays inside the fuse. Where the meter's period, the longest dead time and the way through the device's range together take at most
{ANSWERED_S:g} s, the house jumps twice to another load; slower ones cannot answer a surprise within 5 s, whatever the loop does.

| figure | asked | measured |
|---|---|---|
| starts in which a phase was over its fuse for more than 5 s at a stretch | 0 | {figures["over_5_s"]} of {figures["starts"]} |
| the same, for more than 1 % over, which is the class of a meter | 0 | {figures["over_5_s_by_1_pct"]} of {figures["starts"]} |
| longest time over, s | 5 | {figures["longest_over_s"]} |
| starts in which a phase was over at all | - | {figures["over_at_all"]} |
| most current of any phase, % of the fuse | - | {figures["most_pct_of_fuse"]} |
"""


def start_of(seed: int, seconds: float = SECONDS, tolerance: float = 0.0) -> Start:
    """Start the house of a seed and say how it went; ``tolerance`` is the part of its rating that a fuse may be over."""
    logging.disable(logging.CRITICAL)
    rehearsal, house = rehearsal_of(seed)
    fuse_w = rehearsal.score.fuse_w
    rehearsal.score.fuse_w *= 1 + tolerance
    score = rehearsal.run(seconds)
    return Start(seed, score.longest_over_s, score.most_w / fuse_w, house)


def rehearsal_of(seed: int) -> tuple[Rehearsal, str]:
    """Return the house of a seed, and what it is in words."""
    chance = Random(seed)
    phases = chance.choice((1, 3, 3))
    fuse_a = chance.choice((16.0, 20.0, 25.0, 32.0, 35.0, 40.0))
    tables = ControlTables(GridTable(main_fuse_a=fuse_a, phases=phases))
    quick = chance.random() < 0.5
    plants = [_battery(chance, phases), _garage(chance, phases, quick=quick)]
    meter = MeterModel(
        chance.uniform(1.0, 2.0 if quick else 5.0),
        lag_s=chance.uniform(0.0, 0.3),
        noise_w=chance.uniform(0.0, 10.0),
    )
    slowest_s = max(p.dead_time_s + max(p.rated.max_w, -p.rated.min_w) / p.ramp_w_per_s for p in plants)
    answered_s = meter.period_s + meter.lag_s + slowest_s
    load = _Load(chance, phases, fuse_a * 230.0, steps=answered_s <= ANSWERED_S)
    rehearsal = Rehearsal(
        tables,
        plants,
        load.at,
        meter=meter,
        wishes=Wishes(_owner(), tuple(_requests(chance))),
        start_utc=START,
        seed=seed,
        tick_s=0.5,
        keep=False,
    )
    house = (
        f"{phases} x {fuse_a:g} A, meter {meter.period_s:.1f} s, load {[round(x) for x in load.at(0.0)]} then "
        f"{[round(x) for x in load.at(SECONDS)]} W, "
        + ", ".join(f"{p.id} {p.soc_pct:.0f} % dead {p.dead_time_s:.1f} s {p.phases}" for p in plants)
    )
    return rehearsal, house


class _Load:
    """A house that draws a share of its fuse, and with ``steps`` twice jumps to another."""

    def __init__(self, chance: Random, phases: int, fuse_w: float, *, steps: bool) -> None:
        self.steps = (0.0, chance.uniform(5, 25), chance.uniform(25, 50)) if steps else (0.0,)
        self.levels = [
            tuple(fuse_w * chance.uniform(0.0, 0.95) * (n < phases) for n in range(3)) for _ in self.steps
        ]

    def at(self, second: float) -> tuple[float, float, float]:
        """Return the load of the phases."""
        for step, (one, two, three) in zip(reversed(self.steps), reversed(self.levels), strict=True):
            if second >= step:
                return one, two, three
        raise AssertionError


def _battery(chance: Random, phases: int) -> Plant:
    rated_w = chance.choice((2500.0, 3600.0, 5000.0))
    return Plant(
        "battery",
        phases=chance.choice(((1,), (2,), (3,), (1, 2, 3))) if phases == 3 else (1,),
        rated=Interval(-rated_w, rated_w),
        soc_pct=chance.uniform(5, 98),
        dead_time_s=chance.uniform(0.1, 1.0),
        ramp_w_per_s=chance.uniform(1000, 8000),
        settle_s=chance.choice((0.0, 0.3)),
        offset_w=chance.uniform(-30, 30),
        poll_s=chance.uniform(0.1, 1.0),
    )


def _garage(chance: Random, phases: int, *, quick: bool) -> Plant:
    wired = chance.choice(((1,), (1, 2, 3))) if phases == 3 else (1,)
    kind = chance.choice(("v2h", "ac"))
    rated_w = 7360.0 if len(wired) == 1 else 11_000.0
    return Plant(
        "garage",
        DeviceKind.EVSE,
        phases=wired,
        rated=Interval(-6000.0, 6000.0) if kind == "v2h" else Interval(0.0, rated_w),
        capacity_wh=chance.choice((24_000.0, 40_000.0, 62_000.0)),
        soc_pct=chance.uniform(5, 98),
        dead_time_s=chance.uniform(0.2, 1.0 if quick else 5.0),
        ramp_w_per_s=chance.uniform(4000 if quick else 1000, 8000),
        step_w=230.0 * len(wired) if kind == "ac" else 0.0,
        min_w=1380.0 * len(wired) if kind == "ac" else 0.0,
        poll_s=chance.uniform(0.2, 2.0),
        max_age_s=6.0,
    )


def _owner() -> OwnerSettings:
    return OwnerSettings(control_on=True, devices={"battery": DeviceSettings(floor_soc_pct=10.0)})


def _requests(chance: Random) -> Iterator[Request]:
    until = START + timedelta(hours=2)
    mode = chance.choice((RequestMode.CHARGE, RequestMode.CHARGE, RequestMode.DISCHARGE))
    yield Request("car", "garage", mode, until)
    if chance.random() < 1 / 3:
        mode = chance.choice((RequestMode.CHARGE, RequestMode.DISCHARGE))
        yield Request("house", "battery", mode, until)
