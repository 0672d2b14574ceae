"""The recorded homes with everything on that a problem can state, each drawn from its own seed: how long a plan then takes."""

import json
import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from gateway.planning import problem_file
from gateway.planning.ageing import Cell, wear
from gateway.planning.optimizer import solve
from gateway.planning.problem import (
    Band,
    CircuitLimit,
    Converter,
    DemandCharge,
    GridSide,
    Horizon,
    Problem,
    ReserveBand,
    Series,
    Store,
    Tier,
)

type Chance = np.random.Generator
WITHIN_S = 5.0
PACK_VALUE = {"battery": 4000.0, "car": 6000.0}


def timed(files: Sequence[Path], runs: int) -> list[dict[str, Any]]:
    """Return the figures of each file: the least seconds of building, solving and giving reasons."""
    return [_timed(file, seed, max(runs, 3)) for seed, file in enumerate(files)]


def _timed(file: Path, seed: int, runs: int) -> dict[str, Any]:
    problem, times = everything(problem_file.read(file), seed), []
    for _ in range(runs):
        began, cpu = perf_counter(), process_time()
        schedule = solve(problem, within_s=WITHIN_S)
        times.append((perf_counter() - began, process_time() - cpu))
    figures = {
        "file": file.name,
        "solve_s": min(t[0] for t in times),
        "cpu_s": min(t[1] for t in times),
        "made": str(schedule.made),
        "cost": schedule.cost,
        "bound": schedule.bound,
        "decisions": schedule.binaries,
        "reasons": len({code for codes in schedule.codes.values() for code in codes}),
        "lacks": sorted({str(s.lack) for s in schedule.shortfalls}),
    }
    print(f"  everything on: {json.dumps(figures)}", file=sys.stderr)
    return figures


def summary(found: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the median and the worst."""
    seconds = [f["solve_s"] for f in found]
    return {
        "everything_on_s": round(statistics.median(seconds), 4),
        "everything_on_worst_s": round(max(seconds), 4),
        "everything_on_cpu_s": round(statistics.median(f["cpu_s"] for f in found), 4),
    }


def table(found: Sequence[dict[str, Any]]) -> list[str]:
    """Return the figures for docs/performance.md."""
    seconds = summary(found)
    return [
        "| home with everything on | build, solve and reasons, ms | of the processor, ms | decisions | cost − bound | reasons |",
        "|---|---|---|---|---|---|",
        *(
            f"| {f['file'][5:15]} | {1e3 * f['solve_s']:.0f} | {1e3 * f['cpu_s']:.0f} | {f['decisions']} | {_above(f)} | {f['reasons']} |"
            for f in found
        ),
        (
            f"| median (worst) | {1e3 * seconds['everything_on_s']:.0f} ({1e3 * seconds['everything_on_worst_s']:.0f}) | "
            f"{1e3 * seconds['everything_on_cpu_s']:.0f} | | | |"
        ),
    ]


def _above(figures: dict[str, Any]) -> str:
    return "-" if figures["bound"] is None else f"{figures['cost'] - figures['bound']:.2f}"


def everything(problem: Problem, seed: int) -> Problem:
    """Return ``problem`` with all that can be asked of a plan at once."""
    chance, horizon = np.random.default_rng(seed), problem.horizon
    battery, car = problem.stores
    power_w = np.where(_window(horizon, 26.0, 4.0), 1000.0, 0.0)
    return replace(
        problem,
        grid=_grid(problem.grid, horizon, chance),
        load_w=_doubtful(problem.load_w.p50, chance),
        pv_w=_doubtful(problem.pv_w.p50, chance),
        stores=(_battery(battery), _car(car, horizon)),
        circuits=(CircuitLimit("garage", np.full(horizon.steps, 7000.0), np.full(horizon.steps, 300.0)),),
        reserves=(ReserveBand(power_w, 0.5, ("battery",)),),
        pv_curtailable=True,
        battery_may_charge_car=False,
    )


def _window(horizon: Horizon, from_h: float, hours: float) -> np.ndarray:
    at = np.cumsum(horizon.hours) - horizon.hours
    return (at >= from_h) & (at < from_h + hours)


def _doubtful(p50: Series, chance: Chance) -> Band:
    """Return a forecast whose bad and good days are a third off, more or less."""
    spread = chance.uniform(0.2, 0.45, len(p50))
    return Band(p50, p50 * (1 - spread), p50 * (1 + spread))


def _grid(grid: GridSide, horizon: Horizon, chance: Chance) -> GridSide:
    """Return the connection with carbon, a peak that costs, tiers, a utility's cap each way, and an hour that was promised."""
    steps, evening = horizon.steps, _window(horizon, 17.0, 2.0)
    hour = np.cumsum(horizon.hours) % 24
    return replace(
        grid,
        export_max_w=np.full(steps, 8000.0),
        import_cap_w=np.where(evening, 4200.0, np.inf),
        export_cap_w=np.where(_window(horizon, 36.0, 2.0), 3000.0, np.inf),
        obliged_w=np.where(_window(horizon, 43.0, 1.0), -500.0, np.nan),
        carbon_g_per_kwh=300 + 120 * np.cos(2 * np.pi * (hour - 19) / 24) + chance.normal(0, 15, steps),
        carbon_per_kg=0.1,
        demand=DemandCharge(3.0, 3000.0, interval_steps=4),
        tiers=(Tier(15e3, 0.02), Tier(30e3, 0.05)),
    )


def _battery(store: Store) -> Store:
    steps = len(store.charge_max_w)
    return replace(
        store,
        converter=Converter(0.965, 0.965, idle_w=30.0, charge_min_w=200.0, discharge_min_w=200.0),
        floor_wh=0.1 * store.capacity_wh,
        ceiling_wh=0.95 * store.capacity_wh,
        reserve_wh=np.full(steps, 0.2 * store.capacity_wh),
        taper=((85.0, float(store.charge_max_w.max())), (100.0, 1000.0)),
        wear=wear(Cell.NMC622, store.capacity_wh, PACK_VALUE["battery"]),
    )


def _car(store: Store, horizon: Horizon) -> Store:
    """Return the car with a least power of 6 A, a taper, a band, wear by rest and use, a storm, and a journey that may not be."""
    doubtful = tuple(
        replace(d, step=max(1, d.step - 8), energy_wh=d.energy_wh - 4e3, probability=0.4)
        for d in store.departures
    )
    return replace(
        store,
        converter=Converter(0.93, 0.93, idle_w=60.0, charge_min_w=1400.0, discharge_min_w=700.0),
        floor_wh=0.15 * store.capacity_wh,
        ceiling_wh=0.8 * store.capacity_wh,
        reserve_wh=np.where(_window(horizon, 18.0, 6.0), 0.4 * store.capacity_wh, 0.0),
        taper=((60.0, float(store.charge_max_w.max())), (85.0, 4000.0), (100.0, 1400.0)),
        wear=wear(Cell.NMC622, store.capacity_wh, PACK_VALUE["car"]),
        departures=(*doubtful, *store.departures),
        circuit="garage",
    )
