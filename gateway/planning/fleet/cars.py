"""The stores of a fleet side by side: one row per store, one column per step, in kW and kWh."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.problem import Series

type Table = NDArray[np.float64]
type Places = NDArray[np.int64]

FLOOR_PER_KWH = 200.0
"""What a kWh below the owner's floor or the blackout reserve costs: more than any journey, less than a limit of the site."""


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What happens to one store at the beginning of one step, many of them: who, when, how much, at which price."""

    car: Places
    step: Places
    energy_kwh: Series
    per_kwh: Series

    def of(self, place: Places) -> Events:
        """Return the events of the stores whose ``place`` is not negative, by that place."""
        kept = place[self.car] >= 0
        return Events(place[self.car[kept]], self.step[kept], self.energy_kwh[kept], self.per_kwh[kept])


@dataclass(frozen=True, slots=True, eq=False)
class Cars:
    """Many stores. ``least_kwh`` is the floor that each can keep at each step's beginning when it charges all it can."""

    charge_kw: Table
    discharge_kw: Table
    charge_efficiency: Series
    discharge_efficiency: Series
    idle_kw: Series
    charge_min_kw: Series
    discharge_min_kw: Series
    energy_kwh: Series
    ceiling_kwh: Series
    least_kwh: Table
    wear_per_kwh: Series
    end_kwh: Series
    end_short_per_kwh: Series
    worth_per_kwh: Series
    departures: Events
    trips: Events
    hours: Series
    packs: tuple[Pack, ...]

    @property
    def count(self) -> int:
        """The number of stores."""
        return len(self.energy_kwh)

    def some(self, chosen: Places) -> Cars:
        """Return the ``chosen`` ones, in that order."""
        place = np.full(self.count, -1)
        place[chosen] = np.arange(len(chosen))
        rows = {name: getattr(self, name)[chosen] for name in _PER_CAR}
        return replace(
            self,
            **rows,
            departures=self.departures.of(place),
            trips=self.trips.of(place),
            packs=tuple(self.packs[i] for i in chosen),
        )


_PER_CAR = (
    "charge_kw",
    "discharge_kw",
    "charge_efficiency",
    "discharge_efficiency",
    "idle_kw",
    "charge_min_kw",
    "discharge_min_kw",
    "energy_kwh",
    "ceiling_kwh",
    "least_kwh",
    "wear_per_kwh",
    "end_kwh",
    "end_short_per_kwh",
    "worth_per_kwh",
)


def cars_of(facts: Facts) -> Cars:
    """Return the stores of ``facts`` side by side."""
    packs, steps = facts.packs, facts.steps
    count = len(packs)

    def each(value: str) -> Series:
        return np.array([getattr(p, value) for p in packs], np.float64).reshape(count)

    def converter(value: str) -> Series:
        return np.array([getattr(p.converter, value) for p in packs], np.float64).reshape(count)

    charge = np.array([p.charge_kw for p in packs]).reshape(count, steps)
    cars = Cars(
        charge_kw=charge,
        discharge_kw=np.array([p.discharge_kw for p in packs]).reshape(count, steps),
        charge_efficiency=converter("charge_efficiency"),
        discharge_efficiency=converter("discharge_efficiency"),
        idle_kw=converter("idle_w"),
        charge_min_kw=converter("charge_min_w"),
        discharge_min_kw=converter("discharge_min_w"),
        energy_kwh=each("energy_kwh"),
        ceiling_kwh=np.array([_ceiling(p) for p in packs], np.float64).reshape(count),
        least_kwh=np.zeros((count, steps + 1)),
        wear_per_kwh=each("wear_per_kwh"),
        end_kwh=each("end_kwh"),
        end_short_per_kwh=each("end_shortfall_per_kwh"),
        worth_per_kwh=each("worth_per_kwh"),
        departures=_departures(packs),
        trips=_trips(packs, steps),
        hours=facts.hours,
        packs=packs,
    )
    return replace(cars, least_kwh=_floors(cars))


def _ceiling(pack: Pack) -> float:
    """Return the most that may ever be in the pack: a departure may need more than the owner's most."""
    wanted = max((d.energy_wh for d in pack.departures), default=0.0)
    return min(max(pack.ceiling_kwh, pack.energy_kwh, wanted), pack.capacity_kwh)


def _departures(packs: tuple[Pack, ...]) -> Events:
    return _events(
        [
            (car, d.step, d.energy_wh, d.relief_per_kwh * d.probability)
            for car, pack in enumerate(packs)
            for d in pack.departures
            if d.step > 0
        ]
    )


def _trips(packs: tuple[Pack, ...], steps: int) -> Events:
    return _events(
        [
            (car, t.step, t.energy_wh, t.relief_per_kwh)
            for car, pack in enumerate(packs)
            for t in pack.trips
            if t.step < steps
        ]
    )


def _events(rows: list[tuple[int, int, float, float]]) -> Events:
    table = np.array(rows, np.float64).reshape(-1, 4)
    return Events(table[:, 0].astype(np.int64), table[:, 1].astype(np.int64), table[:, 2], table[:, 3])


def _floors(cars: Cars) -> Table:
    """Return the floors that can be kept; a store that is away has none."""
    count, steps = cars.charge_kw.shape
    wanted = np.array([np.maximum(p.floor_kwh, p.reserve_kwh) for p in cars.packs]).reshape(count, steps)
    here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
    wanted = np.minimum(np.where(here, wanted, 0.0), cars.ceiling_kwh[:, None])
    least, most = np.zeros((count, steps + 1)), cars.energy_kwh.copy()
    for step in range(steps):
        trips = cars.trips.step == step
        most[cars.trips.car[trips]] = np.maximum(
            most[cars.trips.car[trips]] - cars.trips.energy_kwh[trips], 0
        )
        least[:, step] = np.minimum(wanted[:, step], most)
        filled = (
            cars.charge_efficiency * np.maximum(cars.charge_kw[:, step] - cars.idle_kw, 0) * cars.hours[step]
        )
        most = np.minimum(most + filled, cars.ceiling_kwh)
    return least
