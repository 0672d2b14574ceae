"""The planner in a closed loop over 28 days: what share of the gain that perfect foresight would bring does it bring?

Leaf, battery and solar roof of reference/optimize.md 2.2; day-ahead prices alone, known from 13:00, own forecasts of load
and sun. A rule is 0 %, perfect foresight 100 %. Each way is followed by the same two days with perfect foresight, so that
what is left in the packs counts for what it saves. The days are those of the reference, the clock is UTC.

Two choices of the planner were made by its April and November: ``--months`` runs others, which none was made by.
"""

import argparse
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import repeat
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np

from gateway.planning.optimizer import solve
from gateway.planning.problem import Band, Converter, Horizon, Series
from gateway.year.driving import Driving, Habit, driven
from gateway.year.house import Connection, Follow, Order, Pack
from gateway.year.loop import Trace, bill
from gateway.year.loop import run as simulate
from gateway.year.outlook import Outlook, Sight, outlook
from gateway.year.planned import Planner
from gateway.year.record import DAY, PAST_DAYS, QUARTER_H, Record
from gateway.year.site import BATTERY, CAR, Site
from gateway.year.strategy import Strategy

from .page import put_section

ENERGY = Path(__file__).resolve().parents[3] / "shared" / "data" / "energy"
DAYS, AFTER_DAYS = 28, 2
MONTHS = {"april": datetime(2024, 4, 1, tzinfo=UTC), "november": datetime(2024, 11, 1, tzinfo=UTC)}
TARGETS = {"april": 92, "november": 90}
MARKUP, VAT, EXPORT_FEE = 0.1288, 1.21, 0.01
SITE = Site(
    car=Pack(CAR, 36_000, 6000, 6000, Converter(0.88**0.5, 0.88**0.5), is_car=True),
    battery=Pack(BATTERY, 10_000, 5000, 5000, Converter(0.9**0.5, 0.9**0.5)),
    habit=Habit(leaves=30, returns=70, trip_wh=8000, target_wh=21_600),
    connection=Connection(9000, 100_000),
    relief_per_kwh=1.0,
)


def options(parser: argparse.ArgumentParser) -> None:
    """Add what this bench can be told."""
    parser.add_argument("--loop-days", type=int, default=DAYS, help=f"days of each month (default: {DAYS})")
    parser.add_argument("--every-min", type=int, default=15, help="plan anew so often (default: 15)")
    parser.add_argument(
        "--months",
        type=_months,
        default={},
        metavar="2024-02,2024-07",
        help="held-out months in place of April and November 2024, reported apart (2015-03 to 2025-11)",
    )


def _months(text: str) -> dict[str, datetime]:
    """Return the first day of each month; argparse tells of a ValueError."""
    return {name: datetime.strptime(name, "%Y-%m").replace(tzinfo=UTC) for name in text.split(",") if name}


def recorded(begins: datetime, days: int) -> Record:
    """Return ``days`` from ``begins`` and the weeks before: SimBench's household and roof by the day of the year, Dutch prices."""
    import pyarrow.parquet as parquet

    starts_at = begins - timedelta(days=PAST_DAYS)
    profiles = parquet.read_table(ENERGY / "simbench_profiles_15min_2016.parquet", columns=["H0-A", "PV3"])
    quarter = int((starts_at - datetime(2024, 1, 1, tzinfo=UTC)).total_seconds() // 900)
    steps = quarter + np.arange((PAST_DAYS + days) * DAY)
    load_w = np.take(np.asarray(profiles["H0-A"], float) * 3600, steps, mode="wrap")
    pv_w = np.take(np.asarray(profiles["PV3"], float) * 5000, steps, mode="wrap")
    market = parquet.read_table(ENERGY / "nl_dayahead_hourly.parquet")
    hours = np.asarray(market["time_utc"]).astype("datetime64[h]").astype(np.int64)
    wanted = int(starts_at.timestamp() // 3600) + np.arange(len(steps) // 4)
    spot = np.repeat(np.interp(wanted, hours, np.asarray(market["eur_per_mwh"], float) / 1000), 4)
    return Record(starts_at, ZoneInfo("UTC"), load_w, pv_w, (spot + MARKUP) * VAT, spot - EXPORT_FEE)


def shortened(record: Record, days: int) -> Record:
    """Return the record without what comes after ``days`` of simulation."""
    end = record.begin + days * DAY
    series = ("load_w", "pv_w", "import_per_kwh", "export_per_kwh")
    return replace(record, **{name: getattr(record, name)[:end] for name in series})


class Hindsight:
    """The best that could have been done from ``first`` to the end of ``record``, the packs as full at the end as at the start."""

    def __init__(self, record: Record, first: int, energy_wh: Mapping[str, float]) -> None:
        steps = record.steps - first
        part = {n: record.simulated(getattr(record, n))[first:] for n in ("load_w", "pv_w")}
        prices = [record.simulated(s)[first:] for s in (record.import_per_kwh, record.export_per_kwh)]
        horizon = Horizon(record.at(first), np.full(steps, QUARTER_H))
        driving = driven(record, SITE.habit)
        planner = Planner(SITE, driving, Strategy.V2G)
        seen = Outlook(
            horizon, np.arange(steps + 1.0), Band.sure(part["load_w"]), Band.sure(part["pv_w"]), *prices
        )
        problem = planner.problem(first, seen, energy_wh)
        stores = tuple(
            replace(s, worth_per_kwh=0.0, end_wh=SITE.start_wh[s.id], end_shortfall_per_kwh=1.0)
            for s in problem.stores
        )
        schedule = solve(replace(problem, stores=stores), within_s=120.0)
        self._power_w: Mapping[Any, Series] = schedule.power_w
        self.cost = sum(_priced(prices, schedule.grid_w))

    def order(self, step: int, _: Mapping[str, float]) -> Order:
        """Return what it does in quarter ``step``."""
        return Order({str(name): float(power_w[step]) for name, power_w in self._power_w.items()})


def _priced(prices: list[Series], grid_w: Series) -> tuple[float, float]:
    kwh = grid_w * QUARTER_H / 1000
    return float(np.maximum(kwh, 0) @ prices[0]), -float(np.maximum(-kwh, 0) @ prices[1])


def by_rule(record: Record, driving: Driving) -> Callable[[int, Mapping[str, float]], Order]:
    """Charge the car at once to what the departure needs; let the battery hold the house's exchange at zero."""
    base_w = record.simulated(record.load_w) - record.simulated(record.pv_w)

    def decide(step: int, energy_wh: Mapping[str, float]) -> Order:
        lacks_wh = max(0.0, SITE.habit.target_wh - energy_wh[CAR])
        car_w = min(SITE.car.charge_max_w, lacks_wh / QUARTER_H / SITE.car.converter.charge_efficiency)
        return Order({CAR: car_w, BATTERY: -float(base_w[step])})

    return decide


def by_plan(
    record: Record, driving: Driving, every: int
) -> tuple[Callable[[int, Mapping[str, float]], Order], Planner]:
    """Plan anew every ``every`` quarters from what is known by then; follow the side of the meter in between."""
    planner = Planner(SITE, driving, Strategy.V2G, Follow.SIDE)

    def decide(step: int, energy_wh: Mapping[str, float]) -> Order:
        if step % every == 0:
            planner.plan(step, outlook(record, step, SITE.habit, Sight()), energy_wh)
        return planner.order(step)

    return decide, planner


def contest(month: str, begins: datetime, days: int, every: int) -> dict[str, float]:
    """Return the figures of one month."""
    whole = recorded(begins, days + AFTER_DAYS)
    record = shortened(whole, days)
    driving = driven(whole, SITE.habit)

    def total(trace: Trace) -> float:
        bought, sold = bill(record, trace.grid_w)
        return bought - sold + Hindsight(whole, days * DAY, trace.end_wh).cost

    decide, planner = by_plan(record, driving, every)
    rule = total(simulate(SITE, record, driving, by_rule(record, driving), parts=1))
    trace = simulate(SITE, record, driving, decide, parts=1, tell=lambda day: _progress(month, day, days))
    ours, best = total(trace), Hindsight(whole, 0, SITE.start_wh).cost
    return {
        "rule": rule,
        "ours": ours,
        "perfect": best,
        "gain_pct": 100 * (rule - ours) / (rule - best),
        "departures": trace.departures,
        "missed": len(trace.missed),
        "short_wh": sum(m.short_wh for m in trace.missed),
        "solve_ms": 1000 * planner.seconds / max(planner.solves, 1),
    }


def _progress(month: str, day: int, days: int) -> None:
    if sys.stderr.isatty():
        print(f"\r{month}: day {day} of {days}", end="\n" if day == days else "", file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the figures of both months, or of those that were asked for; keep them in docs/value.md where asked to."""
    every, months = max(1, arguments.every_min // 15), arguments.months or MONTHS
    with ProcessPoolExecutor(2) as workers:
        found = workers.map(contest, months, months.values(), repeat(arguments.loop_days), repeat(every))
        figures = dict(zip(months, found, strict=True))
    for month, found in figures.items():
        print(f"{month}: " + ", ".join(f"{name} {value:.2f}" for name, value in found.items()))
    if arguments.docs:
        title = (
            "## Months that no choice was made by" if arguments.months else "## The planner in a closed loop"
        )
        put_section(Path("docs/value.md"), title, document(figures, arguments))
    flat = {f"{month}_gain_pct": round(found["gain_pct"], 2) for month, found in figures.items()}
    return {"closed_loop_held_out" if arguments.months else "closed_loop": {**flat, "months": figures}}


def document(figures: Mapping[str, Mapping[str, float]], arguments: argparse.Namespace) -> str:
    """Return the section of the document."""
    rows = [
        f"| {month if arguments.months else f'{month} 2024'} | {f['rule']:.2f} | {f['ours']:.2f} | {f['perfect']:.2f} | "
        f"**{f['gain_pct']:.1f} %** | {f'{TARGETS[month]} %' if month in TARGETS else '-'} | "
        f"{f['departures'] - f['missed']:.0f} of {f['departures']:.0f} |"
        for month, f in figures.items()
    ]
    asked = f" --months {','.join(arguments.months)}" if arguments.months else ""
    return "\n".join(
        [
            f"`scripts/bench closed_loop{asked} --docs`: {arguments.loop_days} days of each month, planned anew every {arguments.every_min} min.",
            "Leaf (36 kWh, 6 kW), battery (10 kWh, 5 kW), 5 kWp, Dutch day-ahead prices known from 13:00 for the next day;",
            "load and sun are forecast from the site's own past. EUR, with two days of perfect foresight after each way.",
            "",
            "| month | by rule (0 %) | ours | perfect foresight (100 %) | share of the gain | target | departures met |",
            "|---|---|---|---|---|---|---|",
            *rows,
        ]
    )
