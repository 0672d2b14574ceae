"""A plan problem as the bench reads it, by itself: kW, kWh and hours, from a file of homes or from a building's day."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gateway.planning.problem import Problem

STRANDED_PER_KWH = 10.0
"""What a journey beyond the energy of the pack costs."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """A battery or a car. ``dues`` are (step, kWh wanted at its beginning, price per kWh that lacks); ``trips`` (step, kWh driven)."""

    name: str
    capacity: float
    energy: float
    floor: float
    charge: np.ndarray
    discharge: np.ndarray
    into: float
    out: float
    least_charge: float = 0.0
    least_discharge: float = 0.0
    wear: float = 0.0
    dues: tuple[tuple[int, float, float], ...] = ()
    trips: tuple[tuple[int, float], ...] = ()
    end: float = 0.0
    end_price: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Case:
    """A site for a while. Import above ``most_import`` costs ``over_price`` per kWh."""

    hours: np.ndarray
    load: np.ndarray
    sun: np.ndarray
    buy: np.ndarray
    sell: np.ndarray
    most_import: np.ndarray
    over_price: float
    packs: tuple[Pack, ...]
    spill: bool = False
    peak_price: float = 0.0
    peak_so_far: float = 0.0


def home(path: Path) -> Case:
    """Return the home in ``path`` (the format of the shared data's README)."""
    given = json.loads(path.read_text(encoding="utf8"))
    series = {key: np.array(given[key], np.float64) for key in ("load", "pv", "p_imp", "p_exp")}
    steps, price = int(given["T"]), float(np.mean(series["p_imp"]))

    def pack(name: str, there: np.ndarray) -> Pack:
        one = given[name]
        power = float(one["p"]) * there
        dues = tuple(
            (int(t), float(one["dep_req"]), price / one["eta"])
            for t in np.flatnonzero(one.get("dep", np.zeros(steps)))
        )
        trips = tuple((int(t), float(one["trip"])) for t in np.flatnonzero(one.get("ret", np.zeros(steps))))
        return Pack(
            {"b": "battery", "v": "car"}[name],
            one["cap"],
            one["e0"],
            one["emin"],
            power,
            power,
            one["eta"],
            one["eta"],
            dues=dues,
            trips=trips,
            end=one["eT"],
            end_price=price / one["eta"],
        )

    return Case(
        np.full(steps, float(given["dt"])),
        series["load"],
        series["pv"],
        series["p_imp"],
        series["p_exp"],
        np.full(steps, float(given["imp_max"])),
        1.0,
        (pack("b", np.ones(steps)), pack("v", np.array(given["v"]["avail"], np.float64))),
    )


def building(problem: Problem) -> Case:
    """Return a building's day."""
    grid, demand = problem.grid, problem.grid.demand
    packs = tuple(
        Pack(
            s.id,
            s.capacity_wh / 1e3,
            s.energy_wh / 1e3,
            s.floor_wh / 1e3,
            s.charge_max_w / 1e3,
            s.discharge_max_w / 1e3,
            s.converter.charge_efficiency,
            s.converter.discharge_efficiency,
            s.converter.charge_min_w / 1e3,
            s.converter.discharge_min_w / 1e3,
            s.wear.per_kwh,
            tuple((d.step, d.energy_wh / 1e3, d.relief_per_kwh * d.probability) for d in s.departures),
        )
        for s in problem.stores
    )
    return Case(
        problem.horizon.hours,
        problem.load_w.p50 / 1e3,
        problem.pv_w.p50 / 1e3,
        grid.import_per_kwh,
        grid.export_per_kwh,
        grid.import_max_w / 1e3,
        1000.0,
        packs,
        problem.pv_curtailable,
        demand.per_kw if demand else 0.0,
        demand.peak_so_far_w / 1e3 if demand else 0.0,
    )
