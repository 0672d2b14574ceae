"""`scripts/bench plan`: plans of homes and fleets, judged by an independent simulation, beside the least that any could cost."""

import argparse
import json
import statistics
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..car_park import ENERGY
from ..page import put_section
from . import everything, homes, peers
from .case import building
from .fleets import fleet
from .reference import least_cost

PAGE = Path("docs/performance.md")
SIZES, LARGE = (10, 50, 200, 500), (1000, 10000)
MOST_EXACT, MOST_COMPARED = 10, 200
"""Up to so many cars the reference knows least powers, and up to so many there is one: it would take minutes."""


def options(group: argparse._ArgumentGroup) -> None:
    """Add what the bench can be told."""
    group.add_argument("--large", action="store_true", help="plan 1000 and 10,000 cars as well")
    group.add_argument(
        "--peers", action="store_true", help="plan the homes by EMHASS as well, where it installs"
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Plan, judge, compare; return the figures."""
    files = sorted((ENERGY / "problems").glob("home_*.json"))
    found = homes.planned(files, arguments.runs)
    everything_on = everything.timed([f for f in files if "15min" in f.name], arguments.runs)
    theirs = _peers(files, arguments)
    fleets = [_fleet(cars, arguments.runs) for cars in (*SIZES, *(LARGE if arguments.large else ()))]
    figures = _figures(found, fleets) | everything.summary(everything_on)
    if theirs:
        figures["never_worse_than_emhass"] = peers.never_worse(found, theirs)
        print(f"never worse than EMHASS: {figures['never_worse_than_emhass']}", file=sys.stderr)
    if arguments.docs:
        put_section(PAGE, "## Plans", document(found, everything_on, fleets, arguments))
    if arguments.docs and theirs:
        put_section(PAGE, "## Plans beside EMHASS", peers.document(found, theirs, _command(arguments)))
    details = {"homes": found, "everything_on": everything_on, "fleets": fleets, "emhass": theirs}
    return {"plan": figures | details}


def _peers(files: list[Path], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Return the peer's figures, none where it was not asked for or cannot be had."""
    if not arguments.peers:
        return []
    try:
        return peers.planned(files, arguments.runs)
    except peers.Absent as absent:
        print(f"EMHASS is left out: {absent}", file=sys.stderr)
        return []


def _command(arguments: argparse.Namespace) -> str:
    told = "".join(f" --{name}" for name in ("large", "peers") if getattr(arguments, name))
    return f"scripts/bench plan{told} --runs {arguments.runs}"


def _fleet(cars: int, runs: int) -> dict[str, Any]:
    print(f"{cars} cars …", file=sys.stderr)
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench.plan.fleet_day", str(cars), str(runs)],
        check=True,
        capture_output=True,
        text=True,
    )
    figures = json.loads(done.stdout.splitlines()[-1])
    figures["gap_pct"] = _gap_pct(figures["cost"], figures["bound"])
    if cars <= MOST_COMPARED:
        least = least_cost(building(fleet(cars)), exact=cars <= MOST_EXACT, within_s=60.0)
        figures["reference_gap_pct"] = _gap_pct(figures["cost"], least)
    print(f"  {json.dumps(figures)}", file=sys.stderr)
    return figures


def _gap_pct(cost: float, least: float) -> float:
    return round(100 * (cost - least) / abs(least), 4)


def _figures(found: list[dict[str, Any]], fleets: list[dict[str, Any]]) -> dict[str, float]:
    quarter, five = ([h for h in found if h["minutes"] == minutes] for minutes in (15, 5))
    large = next(f for f in fleets if f["cars"] == 500)
    return {
        "home15_gap_pct": homes.gap_pct(quarter),
        "home15_solve_s": round(statistics.median(h["solve_s"] for h in quarter), 4),
        "home15_worst_s": round(max(h["solve_s"] for h in quarter), 4),
        "home5_gap_pct": homes.gap_pct(five),
        "home5_solve_s": round(max(h["solve_s"] for h in five), 4),
        "fleet500_gap_pct": large["gap_pct"],
        "fleet500_solve_s": round(large["solve_s"], 3),
        "fleet500_rss_mib": round(large["rss_mib"], 1),
    }


def document(
    found: list[dict[str, Any]],
    everything_on: list[dict[str, Any]],
    fleets: list[dict[str, Any]],
    arguments: argparse.Namespace,
) -> str:
    """Return the section of docs/performance.md."""
    lines = [
        (
            f"Measured {datetime.now(UTC):%Y-%m-%d} with `{_command(arguments)}`, each time the best of "
            f"{arguments.runs}. Costs are those of an independent simulation that clips what hardware cannot do and prices what lacks; "
            "*least* is the optimum of a programme of the bench's own (binaries where needed)."
        ),
        "",
        "| home, 48 h | step, min | least | ours | gap, % | build and solve, ms |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {h['file'][5:15]} | {h['minutes']} | {h['least']:.4f} | {h['cost']:.4f} | {h['gap_pct']:.4f} | {1000 * h['solve_s']:.1f} |"
        for h in found
    ]
    lines += ["", *everything.table(everything_on)]
    lines += [
        "",
        "| cars, 24 h at 15 min | cost | bound | gap, % | above the least, % | dumb charging | solve, s | of the processor, s | peak memory, MiB | kWh short |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {f['cars']} | {f['cost']:.2f} | {f['bound']:.2f} | {f['gap_pct']:.3f} | {f.get('reference_gap_pct', '-')} | {100 * (f['unmanaged'] / f['cost'] - 1):+.0f} % | "
        f"{f['solve_s']:.2f} | {f['cpu_s']:.2f} | {f['rss_mib']:.0f} | {f['short_kwh']:.2f} |"
        for f in fleets
    ]
    return "\n".join([*lines, "", NOTES])


NOTES = """\
- Homes: a battery and a car that drives every day, sun, a dynamic tariff. They are planned by what `gateway plan --problem FILE --json`
  runs; the time is from the problem to the schedule.
- Fleets: recorded sessions (ACN-Data) at 7.4 kW with 6 kW back into a recorded office (SimBench), Dutch day-ahead prices, a demand
  charge, wear at 0.02 per kWh, no charger between 0 and 1.4 kW. `bound`: what no schedule undercuts, even without that least power.
- `above the least`: of a programme of the bench's own; for 10 cars it knows the least powers and is exact, for more it does not.
- Everything on: the same homes with forecasts in doubt (P10, P90), carbon, a metered peak, tiers, caps each way, a promised hour, sold
  reserve, a garage's board, and both stores with fixed losses, least powers, tapers, bands, backup reserve, wear by use and by rest; the car with
  a journey that may not be. Drawn by seed from the files; the bench's judge knows none of it, so cost − bound is the planner's own:
  the bound knows no least powers, and counts fixed losses as at full power.
- `of the processor`: the time that the machine itself gave; on a busy one `solve` is longer.
- Each fleet is planned in a process of its own; its memory is that of the whole process, Python and data included."""
