"""What `gateway simulate` can be told; free of numpy, which most commands of the gateway do without."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config import Cell
from gateway.year.strategy import Strategy

READY_TARIFFS = ("dynamic", "fixed", "night", "two_way")
ABOUT = """\
Runs the same household, sun, prices and journeys under each strategy, with forecasts that err as they do in life, and
prints what each costs after wear. Nothing is promised: where lending the car does not pay, it says so.

  python -m gateway simulate                          # a made-up Dutch home, a whole year: a few minutes
  python -m gateway simulate --days 60 site.toml      # your battery, charger, limits and tariff
  python -m gateway simulate --data my-year/ --tariff dynamic --plots pictures
  python -m gateway simulate --what-if                # bigger car, no roof, 3.6 kW, other tariffs, less plugged in

--data takes CSV or Parquet: starts_at (RFC 3339), load_w, pv_w, spot_per_kwh (or import_per_kwh and export_per_kwh),
carbon_g_per_kwh; any step up to an hour, in one file or several. The first weeks teach the forecasts.
Assumed, and to be changed by the options: a Leaf of 40 kWh that leaves at 07:30 and is back at 17:30, 8 kWh a day; a pack
worth 6000 that is spent at 30 % fade; reserve at 15 per MW and hour, of which the aggregator keeps 30 %.
"""
OPTIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("site", {"type": Path, "nargs": "?", "help": "path of site.toml (default: a made-up home)"}),
    ("--days", {"type": int, "default": 365, "help": "how many (default: 365)"}),
    ("--data", {"type": Path, "nargs": "+", "default": [], "help": "your series (default: made up)"}),
    (
        "--strategies",
        {
            "default": ",".join(Strategy),
            "help": f"which, with commas between (default: all: {', '.join(Strategy)})",
        },
    ),
    ("--tariff", {"choices": READY_TARIFFS, "help": "a ready one (default: site.toml's, else dynamic)"}),
    ("--every-h", {"type": int, "default": 1, "help": "plan anew so often, in hours (default: 1)"}),
    (
        "--plug-in",
        {"type": float, "metavar": "PCT", "help": "plugged in so much of all hours (default: when home)"},
    ),
    ("--trip-kwh", {"type": float, "default": 8.0, "help": "driven on a day away (default: 8)"}),
    (
        "--car-kwh",
        {"type": float, "default": 36.0, "help": "usable in the car (default: 36, a Leaf of 40 kWh)"},
    ),
    ("--battery-kwh", {"type": float, "help": "in the battery (default: site.toml's, else 10; 0: none)"}),
    (
        "--cell",
        {"choices": tuple(Cell), "default": Cell.NMC622, "help": "how the pack ages (default: nmc622_denso)"},
    ),
    ("--pack-value", {"type": float, "default": 6000.0, "help": "worth of the car's pack (default: 6000)"}),
    ("--reserve-price", {"type": float, "default": 15.0, "help": "per MW and hour (default: 15)"}),
    ("--what-if", {"action": "store_true", "help": "one row per change: a year under B0, B2, V1G and V2G"}),
    ("--json", {"type": Path, "metavar": "FILE", "help": "write all figures; - for the terminal"}),
    (
        "--csv",
        {
            "type": Path,
            "metavar": "FILE",
            "help": "write one row per strategy, and per change with --what-if",
        },
    ),
    (
        "--plots",
        {
            "type": Path,
            "metavar": "DIR",
            "help": "draw money, the mean day and the months as SVG, or what each change brings",
        },
    ),
    ("--jobs", {"type": int, "default": 2, "help": "processes at a time (default: 2)"}),
    ("--seed", {"type": int, "default": 1, "help": "decides journeys and what is made up (default: 1)"}),
)
