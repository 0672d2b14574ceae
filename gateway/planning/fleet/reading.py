"""What a fleet does, what it costs, what lacks and why: the course of all stores, and the schedule made of it."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.fleet.cars import Cars, Places, Table
from gateway.planning.fleet.least_power import levels, relieved
from gateway.planning.fleet.site import Exchange, exchange_of
from gateway.planning.optimizer.facts import Facts
from gateway.planning.problem import Lack, Made, Schedule, Series, Shortfall

LEAST_KWH = 1e-3
"""What lacks less than this is met."""
REASONS = np.array(
    ["no_benefit", "away", "cheap_hours", "ready_for_departure", "avoid_peak", "sell_high", "self_use"],
    object,
)
NO_BENEFIT, AWAY, CHEAP, READY, PEAK, SELL, SELF = range(len(REASONS))


@dataclass(frozen=True, slots=True, eq=False)
class Course:
    """Powers and energies of all stores, and the exchange that comes of them. ``objective`` counts what lacks, too."""

    cars: Cars
    net_kw: Table
    held_kwh: Table
    per_kwh: Series
    exchange: Exchange
    own_cost: float
    spent: float

    @property
    def objective(self) -> float:
        """What the planning minimises."""
        return self.exchange.objective + self.own_cost

    def gap(self, bound: float) -> float:
        """Return by what part of ``bound``, without the peak that stands already, it may be too dear."""
        return (self.objective - bound) / max(abs(bound - self.spent), 1e-6)


def course_of(facts: Facts, site: Facts, cars: Cars, net_kw: Table, per_kwh: Series) -> Course | None:
    """Return the course of ``net_kw``; None where the connection allows none."""
    exchange = exchange_of(site, net_kw.sum(0))
    if exchange is None:
        return None
    held = levels(cars, net_kw)
    due, trip = cars.departures, cars.trips
    out_kwh = np.maximum(-net_kw, 0) @ facts.hours / cars.discharge_efficiency
    cost = cars.wear_per_kwh @ out_kwh - cars.worth_per_kwh @ held[:, -1]
    cost += cars.end_short_per_kwh @ np.maximum(cars.end_kwh - held[:, -1], 0)
    cost += due.per_kwh @ np.maximum(due.energy_kwh - held[due.car, due.step], 0)
    cost += trip.per_kwh @ relieved(cars, net_kw, held)
    return Course(
        cars, net_kw, held, per_kwh, exchange, float(cost), facts.peak_per_kw * facts.peak_so_far_kw
    )


def schedule_of(facts: Facts, course: Course, made: Made, bound: float | None, seconds: float) -> Schedule:
    """Return the course as a schedule."""
    ids = [pack.id for pack in facts.packs]
    exchange = course.exchange
    short = (*exchange.shortfalls, *_lacking(course))
    return Schedule(
        made=made,
        power_w=dict(zip(ids, course.net_kw * 1e3, strict=True)),
        energy_wh=dict(zip(ids, np.clip(course.held_kwh, 0, None) * 1e3, strict=True)),
        grid_w=exchange.grid_kw * 1e3,
        curtailed_w=exchange.curtailed_kw * 1e3,
        cost=float(exchange.cost + course.own_cost),
        bound=None if bound is None else float(bound),
        codes=dict(zip(ids, map(tuple, _reasons(facts, course).tolist()), strict=True)),
        shortfalls=tuple(sorted(short, key=lambda s: (list(Lack).index(s.lack), s.step))),
        seconds=seconds,
    )


def _lacking(course: Course) -> list[Shortfall]:
    """Return which departures, floors and ends are not met."""
    cars, held = course.cars, course.held_kwh
    due = cars.departures
    found = [
        (Lack.DEPARTURE, due.car, due.step, due.energy_kwh - held[due.car, due.step]),
    ]
    every = np.arange(cars.count)
    wanted = np.where(cars.end_short_per_kwh > 0, cars.end_kwh, 0)
    found.append((Lack.END, every, np.full(cars.count, held.shape[1] - 1), wanted - held[:, -1]))
    car, step = np.nonzero(cars.least_kwh - held > LEAST_KWH)
    found.append((Lack.FLOOR, car, step, (cars.least_kwh - held)[car, step]))
    return [
        Shortfall(
            lack,
            int(step[i]),
            float(kwh[i]) * 1e3,
            _minutes(cars, int(car[i]), float(kwh[i])),
            cars.packs[car[i]].id,
        )
        for lack, car, step, kwh in found
        for i in np.flatnonzero(kwh > LEAST_KWH).tolist()
    ]


def _minutes(cars: Cars, car: int, kwh: float) -> float:
    kw = float(cars.charge_kw[car].max(initial=0.0)) * float(cars.charge_efficiency[car])
    return 60 * kwh / kw if kw > 0 else 0.0


def _reasons(facts: Facts, course: Course) -> Places:
    """Return a reason code per store and step."""
    cars, net, price = course.cars, course.net_kw, course.per_kwh
    here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
    mean = np.where(here, price, 0).sum(1) / np.maximum(here.sum(1), 1)
    peak = price > facts.buy + 0.01
    exports = course.exchange.grid_kw < 0
    code = np.where(peak & (price > mean[:, None]), PEAK, NO_BENEFIT)
    code = np.where(net > 0, np.where(price <= mean[:, None], CHEAP, READY), code)
    code = np.where(net < 0, np.where(peak, PEAK, np.where(exports, SELL, SELF)), code)
    return REASONS[np.where(here, code, AWAY)]
