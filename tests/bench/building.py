"""`scripts/bench building`: a day of 500 chargers below an office, decided live by the real loop without any plan."""

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from gateway.config import CircuitTable, ControlTables, GridTable
from gateway.control.site_limits import FUSE_MARGIN
from gateway.model import DeviceKind, DeviceSettings, Interval, Need, OwnerSettings, Wishes
from gateway.rehearsal import MeterModel, Plant, Rehearsal

from .car_park import (
    DAY_BEGINS_H,
    DAY_ENDS_H,
    MOST_KWH,
    MOST_W,
    SLOT_S,
    Session,
    least_peak_w,
    office_w,
    sessions,
    unmanaged_peak_w,
)
from .page import put_section

DAY = datetime(2026, 2, 10, DAY_BEGINS_H, tzinfo=UTC)
STEP_S = 5.0
PER_BOARD, BOARDS_PER_ROW = 10, 10
BOARD_A = 80.0
OFFICE_PER_BAY_W = 800.0
HEADROOM = 1.03
"""The target over the least possible peak: nobody below knows who will come."""


@dataclass(frozen=True, slots=True)
class Day:
    """What came of a day. ``short`` cars left with less than 98 % of what they needed."""

    peak_w: float
    short: int
    least_share: float
    longest_over_s: float
    fairness: float
    tick_ms: float


def options(group: Any) -> None:
    """Add what this bench can be told."""
    group.add_argument("--bays", type=int, default=500, help="chargers (default: 500)")


def tables(bays: int, target_w: float) -> ControlTables:
    """Return main fuse, rows and boards: each narrower than what hangs below it."""
    circuits: dict[str, CircuitTable] = {}
    for first in range(0, bays, PER_BOARD):
        row = f"row{first // (PER_BOARD * BOARDS_PER_ROW)}"
        circuits.setdefault(row, CircuitTable(fuse_a=630.0))
        names = tuple(f"bay{n:03d}" for n in range(first, min(first + PER_BOARD, bays)))
        circuits[f"board{first // PER_BOARD:02d}"] = CircuitTable(fuse_a=BOARD_A, devices=names, within=row)
    # A transformer's own fuse: the largest that a site may have does not bind here, the boards do.
    grid = GridTable(main_fuse_a=6300.0, peak_target_w=target_w)
    return ControlTables(grid, circuits, time_zone="UTC")


def play(cars: Sequence[Session], base_w: Sequence[float], target_w: float, note: Any = None) -> Day:
    """Let the day pass; each car needs what it took when it was recorded, by the time it left."""
    plants = [_charger(n) for n in range(len(cars))]
    site = Rehearsal(
        tables(len(cars), target_w),
        plants,
        lambda second: base_w[min(int(second // SLOT_S), len(base_w) - 1)],
        meter=MeterModel(period_s=STEP_S, max_age_s=20.0),
        wishes=_wishes(cars, []),
        start_utc=DAY,
        step_s=STEP_S,
        tick_s=STEP_S,
        keep=False,
    )
    here: list[Session] = []
    for car in cars:
        site.at(car.arrives_s, lambda site, car=car: _arrive(site, cars, here, car))
        site.at(car.leaves_s, lambda site, car=car: _leave(site, cars, here, car))
    peak_w, longest_over_s, over_s, began = 0.0, 0.0, 0.0, time.perf_counter()
    watch = _boards(site)
    for slot in range(len(base_w)):
        before_wh = site.score.import_wh
        for _ in range(round(SLOT_S / STEP_S)):
            site.run(STEP_S)
            over_s = over_s + STEP_S if any(load > BOARD_A * 230.0 for load in watch()) else 0.0
            longest_over_s = max(longest_over_s, over_s)
        peak_w = max(peak_w, (site.score.import_wh - before_wh) * 3600 / SLOT_S)
        if note:
            note(slot, len(base_w))
    shares = [
        site.plants[f"bay{car.bay:03d}"].charged_wh / car.energy_wh
        - site.plants[f"bay{car.bay:03d}"].discharged_wh / car.energy_wh
        for car in cars
    ]
    met = [min(1.0, s) for s in shares]
    return Day(
        peak_w=peak_w,
        short=sum(1 for s in met if s < 0.98),
        least_share=min(met),
        longest_over_s=longest_over_s,
        fairness=sum(met) ** 2 / (len(met) * sum(m * m for m in met)),
        tick_ms=1000 * (time.perf_counter() - began) / max(site.ticks, 1),
    )


def _charger(number: int) -> Plant:
    plant = Plant(
        f"bay{number:03d}",
        DeviceKind.EVSE,
        phases=(number % 3 + 1,),
        rated=Interval(-MOST_W, MOST_W),
        capacity_wh=2000.0 * MOST_KWH,
        soc_pct=40.0,
        dead_time_s=1.0,
        min_w=1380.0,
        lease_s=30.0,
        poll_s=STEP_S,
        max_age_s=20.0,
    )
    plant.unplug()
    return plant


def _wishes(cars: Sequence[Session], here: Sequence[Session]) -> Wishes:
    owner = OwnerSettings(
        True,
        devices={f"bay{c.bay:03d}": DeviceSettings(floor_soc_pct=35.0, target_soc_pct=100.0) for c in cars},
    )
    needs = tuple(Need(f"bay{c.bay:03d}", c.energy_wh, DAY + timedelta(seconds=c.leaves_s)) for c in here)
    return Wishes(owner, needs=needs)


def _arrive(site: Rehearsal, cars: Sequence[Session], here: list[Session], car: Session) -> None:
    here.append(car)
    site.plants[f"bay{car.bay:03d}"].plugged = True
    site.state.wishes = _wishes(cars, here)


def _leave(site: Rehearsal, cars: Sequence[Session], here: list[Session], car: Session) -> None:
    here.remove(car)
    site.plants[f"bay{car.bay:03d}"].unplug()
    site.state.wishes = _wishes(cars, here)


def _groups(bays: int) -> list[range]:
    """Return the bays behind each phase of each board."""
    boards = (range(first, min(first + PER_BOARD, bays)) for first in range(0, bays, PER_BOARD))
    return [board[phase::3] for board in boards for phase in range(3)]


def _boards(site: Rehearsal) -> Any:
    bays = list(site.plants.values())
    groups = [[bays[n] for n in group] for group in _groups(len(bays))]
    return lambda: [abs(sum(p.power_w for p in group)) for group in groups]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Play the day and return the figures; ``--docs`` writes them down."""
    bays = arguments.bays
    cars, base_w = sessions(bays, arguments.seed), office_w(OFFICE_PER_BAY_W * bays)
    least_w = least_peak_w(cars, base_w, _groups(bays), BOARD_A * 230.0 * FUSE_MARGIN)
    unmanaged_w = unmanaged_peak_w(cars, base_w)
    target_w = HEADROOM * least_w

    def note(slot: int, slots: int) -> None:
        print(f"\r  {DAY_BEGINS_H + slot / 4:5.2f} h of {DAY_ENDS_H}", end="", file=sys.stderr)
        if slot + 1 == slots:
            print(file=sys.stderr)

    day = play(cars, base_w, target_w, note)
    figures = {
        "bays": bays,
        "energy_kwh": round(sum(c.energy_wh for c in cars) / 1000),
        "office_peak_kw": round(max(base_w) / 1000, 1),
        "unmanaged_peak_kw": round(unmanaged_w / 1000, 1),
        "least_peak_kw": round(least_w / 1000, 1),
        "target_kw": round(target_w / 1000, 1),
        "peak_kw": round(day.peak_w / 1000, 1),
        "cars_left_short": day.short,
        "least_share_pct": round(100 * day.least_share, 1),
        "fairness_jain": round(day.fairness, 4),
        "board_over_fuse_longest_s": day.longest_over_s,
        "tick_mean_ms": round(day.tick_ms, 1),
    }
    if arguments.docs:
        put_section(Path("docs/performance.md"), "## A building", _section(figures, arguments.seed))
    return {"building": figures}


def _section(figures: dict[str, Any], seed: int) -> str:
    rows = "\n".join(f"| {key} | {value} |" for key, value in figures.items())
    return f"""\
Measured {datetime.now(UTC):%Y-%m-%d} with `scripts/bench building --bays {figures["bays"]} --seed {seed}`: one working day, every 5 s, on a
virtual clock. Sessions are drawn from recorded ones (ACN-Data, weekdays), the office is SimBench G1-A. `unmanaged`: every car charges as
it arrives. `least`: what charging alone could reach with perfect foresight, by linear programming. `target` is what the site asks for; the loop
knows no forecast and no plan, only who is here, what he needs and when he leaves. `least_share`: of its need, for the car that got least;
`fairness_jain`: Jain's index over these shares.

| figure | value |
|---|---|
{rows}
"""
