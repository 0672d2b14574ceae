"""Reads a plan problem from a JSON file: a home with a battery and a car, two days (docs/planning_optimizer.md, "Compare")."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from gateway.faults import Malformed
from gateway.planning.problem import (
    Band,
    Converter,
    Departure,
    GridSide,
    Horizon,
    Problem,
    Series,
    Store,
    Trip,
)

STRANDED_PER_KWH = 10.0
"""What a journey costs beyond the energy of the pack: the format knows no price, so it must never pay."""


def read(path: Path) -> Problem:
    """Return the problem in ``path``; raises ``Malformed`` where it is none."""
    try:
        return problem_of(json.loads(path.read_text(encoding="utf8")))
    except OSError as error:
        raise Malformed(f"{path}: {error.strerror}") from error
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Malformed(f"{path}: not a plan problem: {error!r}") from error


def problem_of(given: dict[str, Any]) -> Problem:
    """Return the problem that ``given`` states in kW, kWh and currency per kWh."""
    steps = int(given["T"])
    buy, sell = (_series(given[key], steps) for key in ("p_imp", "p_exp"))
    car, battery = given["v"], given["b"]
    there = _series(car["avail"], steps) > 0
    shortfall = float(np.mean(buy))
    return Problem(
        horizon=Horizon(datetime(1970, 1, 1, tzinfo=UTC), np.full(steps, float(given["dt"]))),
        grid=GridSide(buy, sell, np.full(steps, float(given["imp_max"]) * 1e3), np.full(steps, np.inf)),
        load_w=Band.sure(_series(given["load"], steps) * 1e3),
        pv_w=Band.sure(_series(given["pv"], steps) * 1e3),
        stores=(
            _store("battery", battery, np.ones(steps, bool), shortfall, (), ()),
            _store(
                "car",
                car,
                there,
                shortfall,
                tuple(
                    Departure(int(step), float(car["dep_req"]) * 1e3, shortfall / float(car["eta"]))
                    for step in np.flatnonzero(_series(car["dep"], steps) > 0)
                ),
                tuple(
                    Trip(int(step), float(car["trip"]) * 1e3, STRANDED_PER_KWH)
                    for step in np.flatnonzero(_series(car["ret"], steps) > 0)
                ),
            ),
        ),
        battery_may_charge_car=True,
    )


def _series(values: list[float], steps: int) -> Series:
    series = np.array(values, np.float64)
    if series.shape != (steps,):
        raise ValueError(f"{steps} values wanted, {series.shape} given")
    return series


def _store(
    name: str,
    given: dict[str, Any],
    there: np.ndarray,
    price: float,
    departures: tuple[Departure, ...],
    trips: tuple[Trip, ...],
) -> Store:
    power_w, efficiency = there * float(given["p"]) * 1e3, float(given["eta"])
    return Store(
        id=name,
        capacity_wh=float(given["cap"]) * 1e3,
        energy_wh=float(given["e0"]) * 1e3,
        charge_max_w=power_w,
        discharge_max_w=power_w,
        converter=Converter(efficiency, efficiency),
        floor_wh=float(given["emin"]) * 1e3,
        departures=departures,
        trips=trips,
        end_wh=float(given["eT"]) * 1e3,
        end_shortfall_per_kwh=price / efficiency,
        is_car=name == "car",
    )
