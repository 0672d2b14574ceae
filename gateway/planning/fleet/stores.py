"""The columns and rows of many stores at once: powers and energies at the steps where a store is here, and nowhere else."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.fleet.cars import FLOOR_PER_KWH, Cars, Events, Places, Table
from gateway.planning.optimizer.program import Index, Program, Term
from gateway.planning.problem import Series

ALIKE, DEARER = 4, 0.01
"""In how many parts of its need a store yields, and by how much of its relief each is dearer than the one before."""


@dataclass(frozen=True, slots=True, eq=False)
class Columns:
    """Where powers stand: ``charge`` of store ``charge_car`` at ``charge_at``, and so on."""

    charge: Index
    charge_car: Places
    charge_at: Index
    discharge: Index
    discharge_car: Places
    discharge_at: Index

    def parts(self) -> tuple[Term, Term]:
        """Return the stores' power together, by step."""
        return (self.charge, 1.0, self.charge_at), (self.discharge, -1.0, self.discharge_at)

    def powers(self, values: Series, shape: tuple[int, int]) -> tuple[Table, Table]:
        """Return charging and discharging power of each store by step."""
        charge, discharge = np.zeros(shape), np.zeros(shape)
        charge[self.charge_car, self.charge_at] = values[self.charge]
        discharge[self.discharge_car, self.discharge_at] = values[self.discharge]
        return charge, discharge


class _Moments:
    """The pairs of store and step at which a store is here, in order; its energy is kept at the end of each."""

    def __init__(self, cars: Cars) -> None:
        here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
        self.cars, self.steps = cars, here.shape[1]
        self.car, self.step = np.nonzero(here)
        self.number = np.full(here.shape, -1, np.int32)
        self.number[here] = np.arange(len(self.car))
        self._key = self.car * (self.steps + 1) + self.step
        self.first = np.diff(self.car, prepend=-1) != 0

    def before(self, car: Places, step: Places) -> Places:
        """Return the last moment of ``car`` that ends by ``step``, -1 where there is none."""
        at = np.searchsorted(self._key, car * (self.steps + 1) + step) - 1
        return np.where((at >= 0) & (self.car[np.maximum(at, 0)] == car), at, -1)

    def after(self, car: Places, step: Places) -> Places:
        """Return the first moment of ``car`` from ``step`` on, -1 where there is none."""
        at = np.searchsorted(self._key, car * (self.steps + 1) + step)
        return np.where((at < len(self.car)) & (self.car[np.minimum(at, len(self.car) - 1)] == car), at, -1)


def add_stores(
    program: Program, cars: Cars, charge: tuple[Table, Table], discharge: tuple[Table, Table]
) -> Columns:
    """Add ``cars`` with powers between the given tables (least, most); where both are 0 there is no column."""
    moments = _Moments(cars)
    hours, car = cars.hours, moments.car
    held = _energies(program, moments)
    charge_car, charge_at = np.nonzero(cars.charge_kw > 0)
    discharge_car, discharge_at = np.nonzero(cars.discharge_kw > 0)
    into = program.columns(
        len(charge_car), charge[0][charge_car, charge_at], charge[1][charge_car, charge_at]
    )
    wear = (cars.wear_per_kwh / cars.discharge_efficiency)[discharge_car] * hours[discharge_at]
    out = program.columns(
        len(discharge_car),
        discharge[0][discharge_car, discharge_at],
        discharge[1][discharge_car, discharge_at],
        wear,
    )
    trip_at = moments.after(cars.trips.car, cars.trips.step).astype(np.int32)
    known = trip_at >= 0
    spent = np.bincount(trip_at[known], cars.trips.energy_kwh[known], len(car))
    relief = program.columns(int(known.sum()), 0, cars.trips.energy_kwh[known], cars.trips.per_kwh[known])
    fixed = np.where(moments.first, cars.energy_kwh[car], 0.0) - spent
    later = np.flatnonzero(~moments.first).astype(np.int32)
    program.rows(
        len(car),
        fixed,
        fixed,
        (held, 1.0),
        (held[later - 1], -1.0, later),
        (
            into,
            -(cars.charge_efficiency[charge_car] * hours[charge_at]),
            moments.number[charge_car, charge_at],
        ),
        (
            out,
            hours[discharge_at] / cars.discharge_efficiency[discharge_car],
            moments.number[discharge_car, discharge_at],
        ),
        (relief, -1.0, trip_at[known]),
    )
    _add_dues(program, moments, held)
    _add_ends(program, moments, held)
    _add_tapers(program, moments, held, into)
    return Columns(
        into, charge_car, charge_at.astype(np.int32), out, discharge_car, discharge_at.astype(np.int32)
    )


def _energies(program: Program, moments: _Moments) -> Index:
    """Add the energies: a floor that is kept without charging is a bound, any other may lack at its price."""
    cars, car, step = moments.cars, moments.car, moments.step
    least, kept = cars.least_kwh[car, step + 1], _untouched(cars)[car, step + 1]
    soft = np.flatnonzero(least > kept + 1e-9)
    hard = least.copy()
    hard[soft] = 0.0
    cost = np.zeros(len(car))
    last = np.append(np.diff(car) != 0, True)[: len(car)]
    cost[last] = -cars.worth_per_kwh[car[last]]
    held = program.columns(len(car), hard, cars.ceiling_kwh[car], cost)
    short = program.columns(len(soft), 0, np.inf, FLOOR_PER_KWH)
    program.rows(len(soft), least[soft], np.inf, (held[soft], 1.0), (short, 1.0))
    return held


def _untouched(cars: Cars) -> Table:
    """Return the energy at each step's beginning if nothing is charged or discharged."""
    spent = np.zeros_like(cars.least_kwh)
    np.add.at(spent, (cars.trips.car, np.minimum(cars.trips.step, spent.shape[1] - 1)), cars.trips.energy_kwh)
    return cars.energy_kwh[:, None] - np.cumsum(spent, 1)


def _add_dues(program: Program, moments: _Moments, held: Index) -> None:
    """Let departures lack, each part of a need a little dearer than the one before: where not all can be met, all lack alike."""
    due: Events = moments.cars.departures
    at = moments.before(due.car, due.step)
    known = np.flatnonzero(at >= 0)
    need = np.maximum(due.energy_kwh - moments.cars.energy_kwh[due.car], 0)[known] / ALIKE
    shorts = [
        program.columns(
            len(known),
            0,
            need if part < ALIKE - 1 else np.inf,
            due.per_kwh[known] * (1 - DEARER * (ALIKE - 1 - part)),
        )
        for part in range(ALIKE)
    ]
    terms: list[Term] = [(short, 1.0) for short in shorts]
    program.rows(len(known), due.energy_kwh[known], np.inf, (held[at[known]], 1.0), *terms)


def _add_ends(program: Program, moments: _Moments, held: Index) -> None:
    cars = moments.cars
    last = np.flatnonzero(np.append(np.diff(moments.car) != 0, True)[: len(moments.car)])
    last = last[(cars.end_kwh * cars.end_short_per_kwh)[moments.car[last]] > 0]
    car = moments.car[last]
    short = program.columns(len(last), 0, np.inf, cars.end_short_per_kwh[car])
    program.rows(len(last), cars.end_kwh[car], np.inf, (held[last], 1.0), (short, 1.0))


def _add_tapers(program: Program, moments: _Moments, held: Index, into: Index) -> None:
    """Keep charging under each line of a taper, at the energy of the step's end, the lower of the two."""
    cars = moments.cars
    charges = cars.charge_kw > 0
    column = np.full(charges.shape, -1, np.int32)
    column[charges] = into
    for car, pack in enumerate(cars.packs):
        for slope, at_empty in pack.taper:
            steps = np.flatnonzero(charges[car])
            energy = held[moments.number[car, steps]]
            program.rows(len(steps), -np.inf, at_empty, (column[car, steps], 1.0), (energy, -slope))
