"""What each store does by itself at given prices: the exact optimum, for thousands of them at once.

The worth of a kWh in the cell falls with the energy that is there already, so it is kept the other way round: for each ``value``, up to
which energy a kWh is worth more. Going back in time, charging lowers these energies for the values above its price by what it can add,
discharging raises those for the values below its proceeds by what it can take, and the pack's limits clip them. Going forward, a store
charges up to, and discharges down to, the energy at which the price of the step is what the kWh is worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.planning.fleet.cars import FLOOR_PER_KWH, Cars, Events, Places, Table
from gateway.planning.problem import Series

AT_ONCE = 384
"""Stores whose tables stay in the processor's cache."""

DIGITS, ALIKE = 10, 1e-9
"""Values are rounded, for those that differ by a relief to be found again."""

type Happening = dict[int, list[tuple[Places, Series, Series]]]


@dataclass(frozen=True, slots=True, eq=False)
class Answers:
    """Per store: AC power by step, and what its course costs at the prices asked (``cost``) and beside them (``own_cost``)."""

    charge_kw: Table
    discharge_kw: Table
    cost: Series
    own_cost: Series

    @property
    def net_kw(self) -> Series:
        """The power of all together."""
        return (self.charge_kw - self.discharge_kw).sum(0)


class Asker:
    """Sorts a fleet once, to ask it often."""

    def __init__(self, cars: Cars) -> None:
        self.cars = cars
        self._groups = list(_groups(cars))

    def ask(self, per_kwh: Series) -> Answers:
        """Return the cheapest course of each store when energy costs and earns ``per_kwh`` in each step, tapers left out."""
        shape = self.cars.charge_kw.shape
        answers = Answers(np.zeros(shape), np.zeros(shape), np.zeros(shape[0]), np.zeros(shape[0]))
        for chosen, group in self._groups:
            course = group.answer(per_kwh)
            answers.charge_kw[chosen], answers.discharge_kw[chosen] = course.charge_kw, course.discharge_kw
            answers.cost[chosen], answers.own_cost[chosen] = course.cost, course.own_cost
        return answers


def _groups(cars: Cars) -> Iterator[tuple[Places, _Group]]:
    """Yield stores that share efficiencies and prices of their own, those that come at like times together."""
    own = np.stack(
        [
            cars.charge_efficiency,
            cars.discharge_efficiency,
            cars.wear_per_kwh,
            cars.worth_per_kwh,
            cars.end_short_per_kwh,
        ]
    )
    kind = np.unique(np.round(own, 9), axis=1, return_inverse=True)[1].reshape(-1)
    here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
    arrives = np.where(here.any(1), here.argmax(1), here.shape[1])
    order = np.lexsort((arrives, kind))
    for same in np.split(order, np.flatnonzero(np.diff(kind[order])) + 1):
        for chosen in np.array_split(same, -(-len(same) // AT_ONCE)) if len(same) else ():
            yield chosen, _Group(cars.some(chosen))


class _Group:
    """Stores of one kind, steps along the first axis. ``into`` and ``out`` are the most that a step adds to and takes from the cell."""

    def __init__(self, cars: Cars) -> None:
        hours = cars.hours[:, None]
        self.cars = cars
        self.into = np.ascontiguousarray(cars.charge_kw.T) * cars.charge_efficiency * hours
        self.out = np.ascontiguousarray(cars.discharge_kw.T) / cars.discharge_efficiency * hours
        self.least = np.ascontiguousarray(cars.least_kwh.T)
        self.charges, self.discharges = (self.into > 0).any(1), (self.out > 0).any(1)
        self.again = _again(cars)
        self.floored = (self.least > 0).any(1)
        self.dues, self.trips = _by_step(cars.departures), _by_step(cars.trips)

    def answer(self, per_kwh: Series) -> Answers:
        """Return each store's cheapest course."""
        cars = self.cars
        pays, earns = (
            -per_kwh / cars.charge_efficiency[0],
            cars.wear_per_kwh[0] - per_kwh * cars.discharge_efficiency[0],
        )
        # Where a store would like to do both at once, both happen at the price between: ``torn`` bounds what that hides.
        torn = np.maximum(pays - earns, 0) / 2
        pays, earns = np.round(pays - torn, DIGITS), np.round(earns + torn, DIGITS)
        value = self._values(pays, earns)
        up_to, down_to, back_to = self._levels(
            value, np.searchsorted(value, pays), np.searchsorted(value, earns, "right")
        )
        return self._walk(per_kwh, torn, up_to, down_to, back_to)

    def _values(self, pays: Series, earns: Series) -> Series:
        """Return, rising, all that a kWh in a cell may be worth: what it costs or earns in some step, and beside a departure that lacks."""
        cars, due = self.cars, self.cars.departures
        worth, short = cars.worth_per_kwh[0], cars.end_short_per_kwh[0]
        later = np.concatenate(
            [pays[self.again], earns[self.again], [-worth, -worth - short], -np.unique(cars.trips.per_kwh)]
        )
        for _ in range(np.bincount(due.car).max(initial=0)):
            later = np.unique(np.concatenate([later, *(later - relief for relief in np.unique(due.per_kwh))]))
        known = [pays[self.charges], earns[self.discharges], later, np.array([np.inf])]
        return np.unique(np.round(np.concatenate(known), DIGITS))

    def _levels(
        self, value: Series, paying: Places, earning: Places
    ) -> tuple[Table, Table, dict[int, list[Series]]]:
        """Return up to which energy charging pays in each step, down to which discharging does, up to which relief after a trip."""
        cars = self.cars
        worth, short = cars.worth_per_kwh[0], cars.end_short_per_kwh[0]
        ceiling = cars.ceiling_kwh
        energy = np.where(value[:, None] > -worth - short + ALIKE, cars.end_kwh, 0.0)
        energy[value > -worth + ALIKE] = ceiling
        np.minimum(energy, ceiling, out=energy)
        up_to, down_to = np.empty_like(self.into), np.empty_like(self.out)
        back_to: dict[int, list[Series]] = {}
        held = int(np.searchsorted(value, -FLOOR_PER_KWH, "right"))
        self._dues_at(len(self.into), value, energy)
        for step in range(len(self.into) - 1, -1, -1):
            if self.charges[step]:
                k = paying[step]
                up_to[step] = energy[k]
                dearer = energy[: k + 1]
                dearer -= self.into[step]
                np.maximum(dearer, 0.0, out=dearer)
            if self.discharges[step]:
                cheaper = energy[earning[step] :]
                down_to[step] = cheaper[0]
                cheaper += self.out[step]
                np.minimum(cheaper, ceiling, out=cheaper)
            if self.floored[step]:
                np.maximum(energy[held:], self.least[step], out=energy[held:])
            for who, kwh, price in reversed(self.trips.get(step, [])):
                back_to.setdefault(step, []).insert(0, energy[np.searchsorted(value, -price - ALIKE), who])
                rise = np.where(value[:, None] > -price + ALIKE, kwh, 0.0)
                energy[:, who] = np.minimum(energy[:, who] + rise, ceiling[who])
            self._dues_at(step, value, energy)
        return up_to, down_to, back_to

    def _dues_at(self, step: int, value: Series, energy: Table) -> None:
        """Make each kWh below what a departure needs worth its relief more."""
        for who, kwh, price in self.dues.get(step, []):
            for relief in np.unique(price):
                same = price == relief
                cars = who[same]
                moved = energy[np.ix_(np.searchsorted(value, value + relief - ALIKE), cars)]
                energy[:, cars] = np.maximum(energy[:, cars], np.minimum(kwh[same], moved))

    def _walk(
        self, per_kwh: Series, torn: Series, up_to: Table, down_to: Table, back_to: dict[int, list[Series]]
    ) -> Answers:
        """Return the courses that these levels make."""
        cars, hours, steps = self.cars, self.cars.hours, len(per_kwh)
        level, own = cars.energy_kwh.copy(), np.zeros(cars.count)
        added, taken = np.zeros_like(self.into), np.zeros_like(self.out)
        for step in range(steps + 1):
            for who, kwh, price in self.dues.get(step, []):
                own[who] += price * np.maximum(kwh - level[who], 0)
            for (who, kwh, price), up in zip(self.trips.get(step, []), back_to.get(step, []), strict=True):
                left = level[who] - kwh
                relieved = np.minimum(np.maximum(np.maximum(up, 0.0) - left, 0.0), kwh)
                own[who] += price * relieved
                level[who] = left + relieved
            if step == steps:
                break
            before = level.copy() if self.charges[step] and self.discharges[step] else level
            if self.charges[step]:
                added[step] = np.clip(up_to[step] - before, 0.0, self.into[step])
                level = level + added[step]
            if self.discharges[step]:
                taken[step] = np.clip(before - down_to[step], 0.0, self.out[step])
                level = level - taken[step]
        own += cars.wear_per_kwh * taken.sum(0) - cars.worth_per_kwh * level
        own += cars.end_short_per_kwh * np.maximum(cars.end_kwh - level, 0)
        per_hour = 1 / np.maximum(hours, 1e-9)[:, None]
        charge, discharge = (
            added / cars.charge_efficiency * per_hour,
            taken * cars.discharge_efficiency * per_hour,
        )
        cost = own + (per_kwh * hours) @ (charge - discharge)
        cost += torn @ (added + taken - np.maximum(self.into, self.out))
        return Answers(charge.T, discharge.T, cost, own)


def _again(cars: Cars) -> NDArray[np.bool_]:
    """Tell in which steps any store is here that has departed before."""
    steps = len(cars.hours)
    first = np.full(cars.count, steps)
    np.minimum.at(first, cars.departures.car, cars.departures.step)
    here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
    return (here & (np.arange(steps) >= first[:, None])).any(0)


def _by_step(events: Events) -> Happening:
    """Return the events of each step, those of one store one after the other."""
    found: Happening = {}
    for step in np.unique(events.step).tolist():
        at = np.flatnonzero(events.step == step)
        while len(at):
            first = np.unique(events.car[at], return_index=True)[1]
            now, at = at[first], np.delete(at, first)
            found.setdefault(step, []).append((events.car[now], events.energy_kwh[now], events.per_kwh[now]))
    return found
