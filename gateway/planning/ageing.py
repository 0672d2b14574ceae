"""Pure: what a pack loses by resting and by being cycled, and what that makes a kWh cost.

Fits to published cell tests, with the coefficients of NREL's BLAST-Lite 1.1.1 (BSD-3-Clause; see NOTICE): none is of a Leaf's
own NMC cells, and they differ several-fold, so they give a range, not the truth (reference/optimize.md 4).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, sqrt

import numpy as np

from gateway.config import Cell, PackTable, PlanningTable
from gateway.planning.problem import Series, Wear

LIFE_FADE = 0.30
"""A pack has lost its value when so much of its capacity is gone."""
YEARS, MOST_YEARS, LEAST_HEALTH = 8.0, 100.0, 30.0
MOST_LENT = 0.5
"""Of a small pack no more than this share is lent a day."""
TRIP_SHARE = 8 / 36
LMO_CARS = ("ZE0", "AZE0")
"""Generations of the Leaf whose cells are of that kind; later ones have NMC."""
GAS_CONSTANT = 8.3144
SEGMENTS_PCT = (0.0, 50.0, 90.0)


@dataclass(frozen=True, slots=True)
class Fade:
    """What is lost of the capacity, as shares of the new one."""

    calendar: float = 0.0
    cycle: float = 0.0

    @property
    def total(self) -> float:
        """Both together."""
        return self.calendar + self.cycle


@dataclass(frozen=True, slots=True)
class Stress:
    """A day of a cell: mean charge and depth as shares, mean C-rate while charging, full cycles, mean temperature."""

    soc: Series
    temperature_k: float
    depth: float
    charge_rate: float
    cycles: float


@dataclass(frozen=True, slots=True)
class _Law:
    """Loss by resting is ``calendar`` x days^``calendar_power``, by cycling ``cycle`` x full cycles^``cycle_power``."""

    calendar: float
    calendar_power: float
    cycle: float
    cycle_power: float


def stress(soc: Series, step_h: float, temperature_c: float) -> Stress:
    """Return the stress of a stretch of charge (shares) that is read every ``step_h``."""
    change = np.diff(soc)
    rate = change / step_h
    charging = rate[rate > 0.01]
    return Stress(
        soc,
        temperature_c + 273.15,
        float(np.ptp(soc)),
        float(charging.mean()) if len(charging) else 0.0,
        float(np.abs(change).sum() / 2),
    )


def fade(
    cell: Cell, soc: Series, step_h: float, temperature_c: Series | float, before: Fade = Fade()
) -> Fade:
    """Return the loss after a trajectory of charge (shares), day by day; ``temperature_c`` one for all, or one a day."""
    day = round(24 / step_h)
    days = max(1, len(soc) // day)
    temperatures = np.broadcast_to(np.asarray(temperature_c, float), (days,))
    lost = before
    for number in range(days):
        of_day = stress(soc[number * day : (number + 1) * day + 1], step_h, float(temperatures[number]))
        lost = _later(lost, _law(cell, of_day), 1.0, of_day.cycles)
    return lost


def repeated(
    cell: Cell, soc: Series, step_h: float, temperature_c: float, years: float = YEARS, before: Fade = Fade()
) -> Fade:
    """Return the loss after ``years`` more of the same day."""
    of_day, days = stress(soc, step_h, temperature_c), years * 365
    return _later(before, _law(cell, of_day), days, of_day.cycles * days)


def aged(cell: Cell, soh_pct: float, temperature_c: float = 20.0) -> Fade:
    """Return what a pack of that health lost by resting and by driving, had each of its days been a usual one."""
    lost, usual = max(0.0, 1.0 - soh_pct / 100), _day(0.0)
    if not lost:
        return Fade()
    young, old = 0.0, MOST_YEARS
    for _ in range(24):
        years = (young + old) / 2
        found = repeated(cell, usual, 0.25, temperature_c, years)
        young, old = (years, old) if found.total < lost else (young, years)
    return found


def wear(
    cell: Cell,
    capacity_wh: float,
    value: float,
    temperature_c: float = 20.0,
    soh_pct: float = 100.0,
    *,
    driven: bool = True,
) -> Wear:
    """Return what planning counts for a pack that was worth ``value`` when new and is spent when ``LIFE_FADE`` is lost.

    It is what the next ``YEARS`` take from a pack of that health. ``per_kwh`` is the loss by cycling alone of 8 kWh a day (half
    of a small pack), beside the driving where there is any; ``resting`` is the convex lower envelope of the loss by resting.
    """
    worth_per_kwh = value / (capacity_wh / 1000)
    lent_share = max(0.01, round(min(8000.0 / capacity_wh, MOST_LENT), 2))
    per_kwh, resting = _worn(
        cell, lent_share, temperature_c, round(min(max(soh_pct, LEAST_HEALTH), 100.0)), driven
    )
    return Wear(
        round(per_kwh * worth_per_kwh, 5),
        tuple((above, float(round(more * worth_per_kwh, 7))) for above, more in resting),
    )


def battery_wear(plan: PlanningTable, capacity_wh: float, soh_pct: float | None = None) -> Wear:
    """Return the owner's price, else that of the model for a pack that lives in the house; ``soh_pct`` where it tells that."""
    if plan.battery_wear_per_kwh is not None:
        return Wear(plan.battery_wear_per_kwh)
    return _of_pack(plan.battery, Cell.NMC622, capacity_wh, soh_pct, driven=False)


def car_wear(
    plan: PlanningTable, capacity_wh: float, soh_pct: float | None = None, generation: str = ""
) -> Wear:
    """Return the owner's price, else that of the model for what the car tells of itself."""
    if plan.car_wear_per_kwh is not None:
        return Wear(plan.car_wear_per_kwh)
    usual = Cell.LMO if generation in LMO_CARS else Cell.NMC622
    return _of_pack(plan.car, usual, capacity_wh, soh_pct, driven=True)


def _of_pack(
    table: PackTable, usual: Cell, capacity_wh: float, soh_pct: float | None, *, driven: bool
) -> Wear:
    health_pct = table.health_pct if soh_pct is None else soh_pct
    value = table.price_per_kwh * capacity_wh / 1000
    return wear(table.cell or usual, capacity_wh, value, soh_pct=health_pct, driven=driven)


@lru_cache(maxsize=256)
def _worn(
    cell: Cell, lent_share: float, temperature_c: float, soh_pct: int, driven: bool
) -> tuple[float, tuple[tuple[float, float], ...]]:
    """Return what a kWh lent, and a kWh held for an hour, costs of a pack that is worth 1 per kWh."""
    before, trip_share = aged(cell, soh_pct, temperature_c), TRIP_SHARE if driven else 0.0

    def ages(soc: Series) -> Fade:
        return repeated(cell, soc, 0.25, temperature_c, before=before)

    without, with_it = ages(_day(0.0, trip_share)), ages(_day(lent_share, trip_share))
    lent = lent_share * 365 * YEARS
    per_kwh = max(0.0, with_it.cycle - without.cycle) / LIFE_FADE / lent
    grid = np.array([*SEGMENTS_PCT, 100.0])
    cost = np.array([ages(np.full(97, at / 100)).calendar for at in grid]) / LIFE_FADE / (YEARS * 365 * 24)
    kept = _lower_envelope(grid, cost)
    slopes = np.maximum(np.diff(cost[kept]) / (np.diff(grid[kept]) / 100), 0.0)
    more = np.diff(slopes, prepend=0.0)
    return per_kwh, tuple((float(grid[at]), float(m)) for at, m in zip(kept, more, strict=False) if m > 0)


def _lower_envelope(x: Series, y: Series) -> list[int]:
    kept: list[int] = []
    for at in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2], kept[-1]
            if (y[b] - y[a]) * (x[at] - x[a]) < (y[at] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(at)
    return kept


def _day(lent_share: float, trip_share: float = TRIP_SHARE, leaves_at: float = 0.8) -> Series:
    """Return a day's charge by quarters: driven from 07:30, lent to the house from 17:30, charged again late in the night."""
    soc = np.full(97, leaves_at)
    soc[30:71] = np.interp(
        np.arange(30, 71), (30, 34, 66, 70), leaves_at - np.array((0, 0.5, 0.5, 1)) * trip_share
    )
    low = leaves_at - trip_share - lent_share
    soc[70:87] = np.linspace(leaves_at - trip_share, low, 17)
    soc[86:] = low
    need = int(np.ceil((leaves_at - low) * 36_000 / 6000 / 0.25)) if leaves_at > low else 1
    first = max(0, 30 - need)
    soc[:first] = low
    soc[first:31] = np.linspace(low, leaves_at, 31 - first)
    return soc


def _later(lost: Fade, law: _Law, days: float, cycles: float) -> Fade:
    """Go on from ``lost`` under a law: from the age at which this law would have lost as much."""
    return Fade(
        _grown(lost.calendar, law.calendar, law.calendar_power, days),
        _grown(lost.cycle, law.cycle, law.cycle_power, cycles),
    )


def _grown(lost: float, factor: float, power: float, more: float) -> float:
    if factor <= 0 or more <= 0:
        return lost
    age = (lost / factor) ** (1 / power)
    return float(factor * (age + more) ** power)


def _law(cell: Cell, under: Stress) -> _Law:
    return {Cell.LMO: _lmo, Cell.NMC622: _nmc622, Cell.NMC111: _nmc111}[cell](under)


def _lmo(under: Stress) -> _Law:
    resting = 3.25e8 * exp(-7580 / under.temperature_k) * np.exp(162 * under.soc / under.temperature_k)
    return _Law(float(resting.mean()), 0.464, 7.58e-5, 1.08)


def _nmc622(under: Stress) -> _Law:
    kelvin, soc = under.temperature_k, float(under.soc.mean())

    def arrhenius(joule: float) -> float:
        return exp(-joule / GAS_CONSTANT * (1 / kelvin - 1 / 298.15))

    shape = -0.000197 + 0.0101 * soc - 0.0157 * soc**2 + 0.00835 * soc**3 - 4.06e-6 * soc * kelvin
    resting = arrhenius(37_000) * (shape + 3.32e-5 * max(0.0, kelvin - 328.15))
    load = sqrt(under.depth * under.charge_rate)
    cycling = max(0.0, 3.24 * arrhenius(-58_000) * load * (1 + 2.1 * soc) - 0.099)
    cycling += 1.44 * arrhenius(-13_000) * under.depth**6
    return _Law(max(resting, 1e-9), 0.5, max(resting, 1e-9) * cycling * 0.985, 0.5)


_SANYO_SOC = (
    0.0,
    0.027,
    0.081,
    0.136,
    0.19,
    0.263,
    0.372,
    0.463,
    0.535,
    0.608,
    0.68,
    0.753,
    0.843,
    0.916,
    1.0,
)
_SANYO_V = (
    3.331, 3.379, 3.466, 3.530, 3.575, 3.613, 3.642, 3.670, 3.721, 3.781, 3.850, 3.918, 4.012, 4.088, 4.162,
)  # fmt: skip


def _nmc111(under: Stress) -> _Law:
    volts = np.interp(under.soc, _SANYO_SOC, _SANYO_V)
    resting = (7.543 * volts - 23.75) * 1e6 * exp(-6976 / under.temperature_k)
    rms = sqrt(float(np.mean(volts**2)))
    per_ah = 7.348e-3 * (rms - 3.667) ** 2 + 7.6e-4 + 4.081e-3 * under.depth
    return _Law(float(resting.mean()), 0.75, per_ah * sqrt(2 * 2.15), 0.5)
