"""Pure: a strategy through the year. Every quarter hour it gives an order, the house does what physics lets it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from gateway.planning.problem import Series
from gateway.year.driving import Driving
from gateway.year.house import Order, flow
from gateway.year.record import QUARTER_H, Record
from gateway.year.site import CAR, Site

type Decide = Callable[[int, Mapping[str, float]], Order]

MET_WITHIN_WH = 200.0
"""A departure is met where no more than that is missing: half a percent of a Leaf."""


@dataclass(frozen=True, slots=True)
class Missed:
    """A departure with less than was wanted; the quarter of the simulation, and what was missing."""

    step: int
    short_wh: float


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What happened: per quarter the exchange and each pack's power (means, W) and energy at the beginning (Wh)."""

    grid_w: Series
    curtailed_w: Series
    power_w: Mapping[str, Series]
    energy_wh: Mapping[str, Series]
    end_wh: Mapping[str, float]
    departures: int
    missed: tuple[Missed, ...]
    road_wh: float


@dataclass
class _Sums:
    missed: list[Missed] = field(default_factory=list)
    departures: int = 0
    road_wh: float = 0.0


def run(
    site: Site,
    record: Record,
    driving: Driving,
    decide: Decide,
    *,
    parts: int = 3,
    car_first: bool = False,
    tell: Callable[[int], None] = lambda _: None,
    idle_drain_w: Series | None = None,
) -> Trace:
    """Simulate each quarter in ``parts``; ``tell`` hears of each day that is done.

    ``idle_drain_w`` is lost at the car's cell, per quarter: what serving frequency reserve costs in energy.
    """
    steps, hours = record.steps, QUARTER_H / parts
    packs = [p for p in (site.battery, site.car) if p is not None]
    energy: dict[str, float] = dict(site.start_wh)
    power = {p.id: np.zeros(steps) for p in packs}
    held = {p.id: np.zeros(steps) for p in packs}
    grid, curtailed = np.zeros(steps), np.zeros(steps)
    base_w = record.simulated(record.load_w) - record.simulated(record.pv_w)
    leaves = {j.leaves: j for j in driving.journeys}
    returns = {j.returns: j for j in driving.journeys}
    sums = _Sums()
    for step in range(steps):
        if step in leaves:
            _depart(sums, step, energy[CAR], site, plugged=step == 0 or bool(driving.plugged[step - 1]))
        if step in returns:
            sums.road_wh += max(0.0, returns[step].energy_wh - energy[CAR])
            energy[CAR] = max(0.0, energy[CAR] - returns[step].energy_wh)
        order = decide(step, energy)
        here = [p for p in packs if not p.is_car or driving.plugged[step]]
        here = here[::-1] if car_first else here
        for pack in packs:
            held[pack.id][step] = energy[pack.id]
        for _ in range(parts):
            done = flow(here, energy, float(base_w[step]), order, site.connection, hours)
            energy = dict(done.energy_wh)
            grid[step] += done.grid_w / parts
            curtailed[step] += done.curtailed_w / parts
            for name, power_w in done.power_w.items():
                power[name][step] += power_w / parts
        if idle_drain_w is not None:
            energy[CAR] = max(0.0, energy[CAR] - float(idle_drain_w[step]) * QUARTER_H)
        if step % 96 == 95:
            tell((step + 1) // 96)
    return Trace(grid, curtailed, power, held, energy, sums.departures, tuple(sums.missed), sums.road_wh)


def _depart(sums: _Sums, step: int, energy_wh: float, site: Site, *, plugged: bool) -> None:
    if not plugged:
        return
    sums.departures += 1
    short_wh = site.habit.target_wh - energy_wh
    if short_wh > MET_WITHIN_WH:
        sums.missed.append(Missed(step, short_wh))


def bill(record: Record, grid_w: Series) -> tuple[float, float]:
    """Return what importing cost and what exporting brought."""
    kwh = grid_w * QUARTER_H / 1000
    bought, sold = record.simulated(record.import_per_kwh), record.simulated(record.export_per_kwh)
    return float(np.maximum(kwh, 0) @ bought), float(np.maximum(-kwh, 0) @ sold)
