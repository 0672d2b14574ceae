"""`gateway simulate`: arguments → a study → tables, files, pictures."""

import argparse
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.config import Cell, PlanningTable, SiteConfig, load
from gateway.faults import Refused
from gateway.planning.ageing import battery_wear
from gateway.tariff_tables import TariffTable
from gateway.year import data, plots, report, synthetic
from gateway.year.driving import Habit
from gateway.year.house import Connection, Pack
from gateway.year.record import Record
from gateway.year.result import Result, Worth
from gateway.year.site import CAR, Reserve, Site, home
from gateway.year.strategy import Strategy
from gateway.year.study import Run, Study, simulate
from gateway.year.tariff import TARIFFS, under
from gateway.year.what_if import Variant, plugged_in, variants

LOGGER = logging.getLogger(__name__)
WHAT_IF = (Strategy.UNMANAGED, Strategy.SMART, Strategy.V1G, Strategy.V2G)


def run(arguments: argparse.Namespace, say: Callable[[str], None]) -> int:
    """Simulate, ``say`` and write. Raises ConfigError, Refused, Malformed, Unreachable."""
    config = load(arguments.site) if arguments.site else None
    currency = config.prices.currency if config and config.prices else "EUR"
    tariff = (
        TARIFFS[arguments.tariff] if arguments.tariff else (config and config.tariff) or TARIFFS["dynamic"]
    )
    market = _market(arguments, config)
    study = study_of(arguments, config, market, tariff)
    if arguments.what_if:
        return _what_if(arguments, list(variants(study, market, tariff)), currency, say)
    runs = simulate(study, _strategies(arguments.strategies), _bar, arguments.jobs)
    results = [run.result for run in runs.values()]
    if arguments.json != Path("-"):
        say(f"{report.table(results, currency)}\n\n{report.verdict(results, currency)}")
    _write(arguments, say, report.as_json(results), {"as it is": results})
    if arguments.plots:
        draw(arguments.plots, runs, study.record, currency)
    return 0


def _what_if(
    arguments: argparse.Namespace, asked: Sequence[Variant], currency: str, say: Callable[[str], None]
) -> int:
    found: dict[str, list[Result]] = {}
    for number, variant in enumerate(asked):
        tell = partial(_bar_of, variant.name, number, len(asked))
        found[variant.name] = [
            r.result for r in simulate(variant.study, WHAT_IF, tell, arguments.jobs).values()
        ]
    if arguments.json != Path("-"):
        say(report.what_if(found, currency))
    _write(arguments, say, {name: report.as_json(results) for name, results in found.items()}, found)
    if arguments.plots:
        arguments.plots.mkdir(parents=True, exist_ok=True)
        gains = {name: report.gains(results) for name, results in found.items()}
        (arguments.plots / "what_if.svg").write_text(plots.what_if(gains, currency), encoding="utf-8")
    return 0


def study_of(
    arguments: argparse.Namespace, config: SiteConfig | None, market: Record, tariff: TariffTable
) -> Study:
    """Return what the arguments ask for."""
    car_wh = arguments.car_kwh * 1000
    worth = Worth(arguments.pack_value, Cell(arguments.cell))
    habit = Habit(
        trip_wh=arguments.trip_kwh * 1000,
        target_wh=min(car_wh, max(0.6 * car_wh, 0.2 * car_wh + arguments.trip_kwh * 1300)),
        caution=3,
        spread=1.0,
        energy_spread=0.25,
    )
    site = replace(
        site_of(config, car_wh),
        habit=habit if arguments.plug_in is None else plugged_in(habit, arguments.plug_in),
        car_wear=worth.wear(car_wh),
        reserve=Reserve(per_mw_h=arguments.reserve_price),
        car_start_wh=car_wh / 2,
    )
    if arguments.battery_kwh is not None:
        battery = home(arguments.battery_kwh * 1000).battery
        site = replace(site, battery=battery, battery_start_wh=arguments.battery_kwh * 500)
    if site.battery is not None:
        planning = config.planning if config else PlanningTable()
        site = replace(site, battery_wear=battery_wear(planning, site.battery.capacity_wh))
    record = under(market, tariff)
    return Study(site, record, worth, every=4 * max(1, arguments.every_h), seed=arguments.seed)


def draw(folder: Path, runs: Mapping[Strategy, Run], record: Record, currency: str) -> None:
    """Write the pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {
        "money": plots.money([run.result for run in runs.values()], currency),
        "day": plots.day(runs, record),
        "months": plots.months(runs, record, currency),
    }
    for name, text in pictures.items():
        (folder / f"{name}.svg").write_text(text, encoding="utf-8")


def _market(arguments: argparse.Namespace, config: SiteConfig | None) -> Record:
    zone = ZoneInfo(config.site.time_zone if config else "Europe/Amsterdam")
    if not arguments.data:
        roof = config is None or any(d.rest.get("role") == "pv" for d in config.devices.values())
        household = synthetic.Household(zone=zone.key, pv_kwp=5.0 if roof else 0.0)
        return synthetic.year(arguments.days, household, arguments.seed)
    found = data.read(arguments.data)
    missing = {name: gaps for name, gaps in found.gaps().items() if gaps}
    if missing:
        LOGGER.warning("missing quarters, filled from the day before: %s", missing)
    return data.record_of(found, zone, arguments.days)


def site_of(config: SiteConfig | None, car_wh: float) -> Site:
    """Return the home with what site.toml says of it."""
    site = home(car_wh=car_wh)
    if config is None:
        return site
    storage = [d for d in config.devices.values() if d.driver.startswith("storage.")]
    evse = next((d for d in config.devices.values() if d.driver.startswith("evse.")), None)
    battery = None
    if storage:
        rest = storage[0].rest
        capacity_wh = float(rest.get("capacity_wh", 10_000.0))
        charge_w = float(rest.get("max_charge_w", 5000.0))
        give_w = float(rest.get("max_discharge_w", 5000.0))
        pack = home(capacity_wh).battery
        battery = pack and replace(pack, charge_max_w=charge_w, discharge_max_w=give_w)
    car: Pack = site.car
    if evse is not None:
        charge_w = float(evse.rest.get("max_charge_w", car.charge_max_w))
        give_w = float(evse.rest.get("max_discharge_w", charge_w))
        car = replace(car, id=CAR, charge_max_w=charge_w, discharge_max_w=give_w)
    grid = config.grid
    fuse_w = grid.main_fuse_a * grid.nominal_voltage_v * grid.phases
    connection = Connection(
        grid.import_limit_w or fuse_w, fuse_w if grid.export_limit_w is None else grid.export_limit_w
    )
    start_wh = battery.capacity_wh / 2 if battery else 0.0
    return replace(site, battery=battery, car=car, connection=connection, battery_start_wh=start_wh)


def _strategies(text: str) -> list[Strategy]:
    try:
        return [Strategy(name.strip()) for name in text.split(",") if name.strip()]
    except ValueError as error:
        raise Refused(f"{error}; known: {', '.join(Strategy)}") from None


def _bar_of(name: str, number: int, count: int, _what: str, share: float) -> None:
    _bar(f"{number + 1} of {count}: {name}", (number + share) / count)


def _bar(what: str, share: float) -> None:
    if sys.stderr.isatty():
        done = "█" * round(share * 30)
        end = "\r\033[K" if share >= 1 else ""
        sys.stderr.write(f"\r{done:<30} {share:4.0%} {what:<40}{end}")
        sys.stderr.flush()


def _write(
    arguments: argparse.Namespace,
    say: Callable[[str], None],
    plain: Any,
    found: Mapping[str, Sequence[Result]],
) -> None:
    if arguments.json == Path("-"):
        say(json.dumps(plain))
    elif arguments.json:
        arguments.json.write_text(json.dumps(plain, indent=2) + "\n", encoding="utf-8")
    if arguments.csv:
        arguments.csv.write_text(report.as_csv(found), encoding="utf-8")
