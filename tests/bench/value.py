"""What a year is worth: the owner's choices on recorded household, sun and prices, for docs/value.md.

SimBench's household H0-A (4.4 MWh a year) and roof PV3 (5 kWp), Dutch day-ahead prices of 2024, Dutch carbon intensity of 2019
by the day of the year. The clock is UTC, the journeys are made up (07:30 to 17:30 daily, with spread).
"""

import argparse
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from gateway.config import Cell, PlanningTable
from gateway.planning.ageing import battery_wear
from gateway.year import command, report
from gateway.year.driving import Habit
from gateway.year.record import DAY, Record
from gateway.year.result import Worth
from gateway.year.site import home
from gateway.year.strategy import Strategy
from gateway.year.study import Run, Study, simulate
from gateway.year.tariff import TARIFFS, under

from .closed_loop import ENERGY, EXPORT_FEE, recorded
from .page import put_section

PAGE = Path("docs/value.md")
BEGINS = datetime(2024, 1, 1, tzinfo=UTC)
TITLES = {
    "dynamic": "Dutch day-ahead prices with tax: (spot + 0.1288) x 1.21 bought, spot - 0.01 sold",
    "two_way": "a British kind of tariff, in its own pence: 8.5 from 00:30 to 05:30, 24 otherwise, export at the same price",
}
TWO_WAY = (Strategy.UNMANAGED, Strategy.SMART, Strategy.V1G, Strategy.V2H, Strategy.V2G)


def options(group: Any) -> None:
    """Add what this bench can be told."""
    group.add_argument("--value-days", type=int, default=365, help="days from 1 January 2024 (default: 365)")
    group.add_argument("--value-every-h", type=int, default=1, help="plan anew so often (default: 1)")
    group.add_argument("--value-tariffs", default="dynamic,two_way", help="default: dynamic,two_way")


def market(days: int) -> Record:
    """Return the recorded year at the market's prices."""
    import pyarrow.parquet as parquet

    year = recorded(BEGINS, days)
    spot = year.export_per_kwh + EXPORT_FEE
    carbon = np.asarray(parquet.read_table(ENERGY / "carbon_nl_2019_15min.parquet").column(1), float)
    of_year = np.arange(-year.begin, year.steps) % (365 * DAY)
    return replace(
        year,
        import_per_kwh=spot,
        export_per_kwh=spot,
        carbon_g_per_kwh=np.take(carbon, of_year, mode="wrap"),
    )


def study(year: Record, every_h: int) -> Study:
    """Return the home of the document."""
    worth = Worth(cell=Cell.NMC622)
    site = replace(
        home(),
        habit=Habit(target_wh=21_600, caution=3, spread=1.0, energy_spread=0.25),
        car_wear=worth.wear(36_000),
        battery_wear=battery_wear(PlanningTable(), 10_000),
    )
    return Study(site, year, worth, every=4 * every_h)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures per tariff and strategy; keep tables and pictures in docs/value.md where asked to."""
    found: dict[str, Mapping[Strategy, Run]] = {}
    seconds = {}
    spot = market(arguments.value_days)
    for name in arguments.value_tariffs.split(","):
        strategies = tuple(Strategy) if name == "dynamic" else TWO_WAY
        begun = monotonic()
        asked = study(under(spot, TARIFFS[name]), arguments.value_every_h)
        found[name] = simulate(asked, strategies, _progress)
        seconds[name] = monotonic() - begun
        if arguments.docs:
            put_section(
                PAGE,
                f"## A year on the tariff *{name}*",
                section(name, found[name], seconds[name], arguments),
            )
            command.draw(Path("docs/images/value") / name, found[name], asked.record, currency(name))
        print(report.table([r.result for r in found[name].values()], currency(name)))
    return {
        "value": {
            name: {
                "seconds": round(seconds[name], 1),
                "ways": report.as_json([r.result for r in runs.values()]),
            }
            for name, runs in found.items()
        }
    }


def currency(tariff: str) -> str:
    """Return what a tariff's prices are in."""
    return "EUR" if tariff == "dynamic" else "GBP"


def section(name: str, runs: Mapping[Strategy, Run], seconds: float, arguments: argparse.Namespace) -> str:
    """Return the section of the document."""
    results = [r.result for r in runs.values()]
    begins = (
        f"{TITLES.get(name, name)}. {arguments.value_days} days, planned anew every {arguments.value_every_h} h; "
        f"{seconds:.0f} s on this machine (`scripts/bench value --docs`)."
    )
    return "\n".join(
        [
            begins,
            "",
            report.table(results, currency(name)),
            "",
            report.verdict(results, currency(name)),
            "",
            f"![Bill and wear of each way](images/value/{name}/money.svg)",
            f"![The mean day](images/value/{name}/day.svg)",
            f"![What is paid in each month](images/value/{name}/months.svg)",
        ]
    )


def _progress(what: str, share: float) -> None:
    if sys.stderr.isatty():
        print(f"\r{what}: {share:.0%} ", end="\n" if share >= 1 else "", file=sys.stderr, flush=True)
