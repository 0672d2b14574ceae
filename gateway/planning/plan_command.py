"""`gateway plan`: solve a problem from a file, and show what would be done, for people or as JSON."""

import argparse
import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from time import perf_counter
from typing import Any

import numpy as np

from gateway.planning import problem_file
from gateway.planning.optimizer import solve
from gateway.planning.problem import Problem, Schedule, Series, Shortfall, Store

BARS = " ▁▂▃▄▅▆▇█"
WIDTH, MARK_H = 96, 6.0


def show(arguments: argparse.Namespace) -> None:
    """Print the answer; quietly less of it where the reader has read enough."""
    told = answer(arguments)
    try:
        sys.stdout.write(f"{told}\n")
        sys.stdout.flush()
    except BrokenPipeError:  # nor may the last flush complain
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def answer(arguments: argparse.Namespace) -> str:
    """Return what the command prints; raises ``Malformed`` for a file that holds no problem."""
    problem = problem_file.read(arguments.problem)
    started = perf_counter()
    schedule = solve(problem, within_s=arguments.within_s)
    schedule = replace(schedule, seconds=perf_counter() - started)
    return json.dumps(as_json(problem, schedule)) if arguments.json else as_text(problem, schedule)


def as_json(problem: Problem, schedule: Schedule) -> dict[str, Any]:
    """Return the schedule: per device AC power and the charge at each step's beginning; cost and what no plan undercuts."""
    return {
        "made": schedule.made.value,
        "cost": round(schedule.cost, 6),
        "bound": None if schedule.bound is None else round(schedule.bound, 6),
        "seconds": round(schedule.seconds, 4),
        "binaries": schedule.binaries,
        "devices": {
            store.id: {
                "power_w": np.round(schedule.power_w[store.id], 3).tolist(),
                "soc_pct": np.round(soc[:-1], 4).tolist(),
                "end_soc_pct": round(float(soc[-1]), 4),
                "reason": list(schedule.codes[store.id]),
            }
            for store in problem.stores
            for soc in (schedule.energy_wh[store.id] / max(store.capacity_wh, 1e-9) * 100,)
        },
        "grid_w": np.round(schedule.grid_w, 3).tolist(),
        "curtailed_w": np.round(schedule.curtailed_w, 3).tolist(),
        "shortfalls": [
            {
                "lack": lack.lack.value,
                "step": lack.step,
                "energy_wh": round(lack.energy_wh, 1),
                "minutes": round(lack.minutes, 1),
                "device": lack.device,
            }
            for lack in schedule.shortfalls
        ],
    }


def as_text(problem: Problem, schedule: Schedule) -> str:
    """Return the plan as a picture and a table; each row tells a time in which every device does one thing."""
    bound = "" if schedule.bound is None else f" (no plan is below {schedule.bound:.4f})"
    took = f"in {schedule.seconds * 1e3:.0f} ms, {schedule.binaries} decisions"
    lacks = [_lack(problem, lack) for lack in schedule.shortfalls]
    return "\n".join(
        [
            f"{schedule.made.value}: {schedule.cost:.4f}{bound}, {took}",
            "",
            *_picture(problem, schedule),
            "",
            *_table(problem, schedule),
            "",
            *(lacks or ["Nothing falls short."]),
        ]
    )


def _lack(problem: Problem, lack: Shortfall) -> str:
    whose = f" ({lack.device})" if lack.device else ""
    much = f"{lack.energy_wh / 1e3:.2f} kWh, {lack.minutes:.0f} min"
    return f"Falls short of {lack.lack.value} by {much}, at {_clock(problem, lack.step)}{whose}."


def _picture(problem: Problem, schedule: Schedule) -> Iterator[str]:
    """Yield a line of bars for each course, with its least and its most, and the hours below."""
    courses: list[tuple[str, Series, str]] = [
        ("price", problem.grid.import_per_kwh, ""),
        ("house", problem.load_w.p50 / 1e3, "kW"),
        ("sun", problem.pv_w.p50 / 1e3, "kW"),
        ("grid", schedule.grid_w / 1e3, "kW"),
    ]
    courses += [(s.id, _soc(s, schedule)[:-1], "%") for s in problem.stores]
    width = max(len(name) for name, _, _ in courses)
    for name, course, unit in courses:
        if len(course):
            low, high = (f"{_plain(v, 0 if unit == '%' else 2):>6}" for v in (course.min(), course.max()))
            yield f"{name:{width}} {low} to{high} {unit:2}  {_sparkline(course)}"
    yield f"{'':{width + 21}}{_hours(problem)}".rstrip()


def _soc(store: Store, schedule: Schedule) -> Series:
    soc: Series = schedule.energy_wh[store.id] / max(store.capacity_wh, 1e-9) * 100
    return soc


def _plain(value: float, digits: int) -> str:
    """Return a number without the minus of a zero."""
    return f"{round(float(value), digits) + 0.0:.{digits}f}"


def _sparkline(course: Series, width: int = WIDTH) -> str:
    """Return ``course`` in at most ``width`` bars from its least to its most."""
    means = [part.mean() for part in np.array_split(course, min(width, len(course)))]
    least, most = min(means), max(means)
    return "".join(BARS[round((m - least) / max(most - least, 1e-9) * (len(BARS) - 1))] for m in means)


def _hours(problem: Problem) -> str:
    """Return the hours since the beginning under their bars."""
    ends = np.cumsum(problem.horizon.hours)
    line, bars = "", np.array_split(ends, min(WIDTH, len(ends))) if len(ends) else []
    for at, part in enumerate(bars):
        hour = float(part[0] - problem.horizon.hours[0])
        if hour % MARK_H < 1e-6 and at >= len(line):
            line += " " * (at - len(line)) + f"{hour:.0f}h "
    return line


def _table(problem: Problem, schedule: Schedule) -> Iterator[str]:
    head = "".join(f"  {store.id:>8} kW {'%':>4} {'why':<20}" for store in problem.stores)
    yield f"{'from':>7} {'price':>7} {'grid kW':>8}{head}".rstrip()

    def doing(step: int) -> tuple[object, ...]:
        return tuple(
            (schedule.codes[s.id][step], np.sign(np.round(schedule.power_w[s.id][step])))
            for s in problem.stores
        )

    for _, group in groupby(range(problem.horizon.steps), doing):
        steps = list(group)
        cells = "".join(
            f"  {_plain(schedule.power_w[s.id][steps].mean() / 1e3, 2):>11}"
            f" {_soc(s, schedule)[steps[0]]:4.0f}"
            f" {schedule.codes[s.id][steps[0]].replace('_', ' '):<20}"
            for s in problem.stores
        )
        price, grid = problem.grid.import_per_kwh[steps].mean(), schedule.grid_w[steps].mean() / 1e3
        yield f"{_clock(problem, steps[0]):>7} {price:7.3f} {_plain(grid, 2):>8}{cells}".rstrip()


def _clock(problem: Problem, step: int) -> str:
    """Return the time since the plan's beginning as hours and minutes."""
    minutes = round(float(problem.horizon.hours[:step].sum()) * 60)
    return f"{minutes // 60}:{minutes % 60:02}"
