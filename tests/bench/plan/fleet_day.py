"""One fleet planned in a process of its own, so that its memory is nobody else's: figures as JSON."""

import json
import sys
from pathlib import Path
from time import perf_counter, process_time

import numpy as np

from gateway.planning.fleet import solve_fleet

from .case import Case, building
from .fleets import fleet
from .judge import judge

WITHIN_S = 240.0
"""Long enough for a busy machine."""


def main() -> int:
    """Plan the fleet of the size given, so many times as given."""
    cars, runs = int(sys.argv[1]), int(sys.argv[2])
    problem, times = fleet(cars), []
    for _ in range(runs):
        began, cpu = perf_counter(), process_time()
        schedule = solve_fleet(problem, within_s=WITHIN_S)
        times.append((perf_counter() - began, process_time() - cpu))
    case = building(problem)
    verdict = judge(case, {name: np.asarray(power) / 1e3 for name, power in schedule.power_w.items()})
    below = sum(
        int(
            (
                (np.abs(schedule.power_w[p.name]) > 0.1)
                & (np.abs(schedule.power_w[p.name]) < 1e3 * p.least_charge - 1)
            ).sum()
        )
        for p in case.packs
    )
    bound = None if schedule.bound is None else schedule.bound - case.peak_price * case.peak_so_far
    figures = {
        "cars": cars,
        "cost": verdict.cost,
        "bound": bound,
        "solve_s": min(wall for wall, _ in times),
        "cpu_s": min(cpu for _, cpu in times),
        "short_kwh": verdict.short_kwh,
        "clipped_kwh": verdict.clipped_kwh,
        "below_least": below,
        "unmanaged": judge(case, unmanaged(case)).cost,
        "rss_mib": _peak_mib(),
    }
    print(json.dumps(figures))
    return 0


def _peak_mib() -> float:
    """Return the most memory this process had; what getrusage tells begins with its parent's."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def unmanaged(case: Case) -> dict[str, np.ndarray]:
    """Return what cars draw that charge at once as they come, until they have what they need."""
    powers = {}
    for pack in case.packs:
        missing, power = (
            max((kwh for _, kwh, _ in pack.dues), default=0.0) - pack.energy,
            np.zeros(len(case.hours)),
        )
        for step, hours in enumerate(case.hours):
            taken = min(float(pack.charge[step]), max(0.0, missing) / pack.into / hours)
            power[step] = (
                max(taken, min(pack.least_charge, float(pack.charge[step]))) if taken > 1e-6 else 0.0
            )
            missing -= power[step] * pack.into * hours
        powers[pack.name] = power
    return powers


if __name__ == "__main__":
    sys.exit(main())
