"""Running a site by plans: what is known becomes a problem, its schedule the orders of the next quarters."""

import bisect
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from gateway.planning.optimizer import Solver
from gateway.planning.problem import (
    Band,
    Converter,
    Departure,
    GridSide,
    Made,
    Problem,
    ReserveBand,
    Schedule,
    Series,
    Store,
    Trip,
)
from gateway.year.driving import Driving
from gateway.year.house import Follow, Order, Pack
from gateway.year.outlook import Outlook
from gateway.year.site import BATTERY, CAR, Site
from gateway.year.strategy import Strategy

SOON = 12
"""So many quarters before its departure a car no longer makes up for forecasts that err."""
WORTH_SHARE = 0.95
"""What is left at the end is worth so much of the mean price ahead: it saves buying, at the cheaper hours of another day."""


def as_planned(pack: Pack) -> Converter:
    """Return the pack's losses without their fixed part, as good as at half power: a plan then is solved in a tenth of the time.

    What that overlooks, the physics charges.
    """
    full = pack.converter
    kept = 1 - full.idle_w / max(pack.charge_max_w / 2, 2 * full.idle_w, 1.0)
    return Converter(full.charge_efficiency * kept, full.discharge_efficiency * kept)


@dataclass
class Planner:
    """Plans anew from each outlook it is given; ``order`` tells what its last plan wants of a quarter."""

    site: Site
    driving: Driving
    strategy: Strategy
    follow: Follow = Follow.SIDE
    reserve_w: Series | None = None
    solves: int = 0
    by_rule: int = 0
    seconds: float = 0.0
    _solver: Solver = field(default_factory=Solver)
    _plan: tuple[int, list[float], Schedule] | None = None

    def plan(self, now: int, seen: Outlook, energy_wh: Mapping[str, float]) -> None:
        """Make the plan that ``order`` follows from quarter ``now`` on."""
        schedule = self._solver.solve(self.problem(now, seen, energy_wh))
        self._plan = now, seen.edges.tolist(), schedule
        self.solves += 1
        self.by_rule += schedule.made is Made.BY_RULE
        self.seconds += schedule.seconds

    def order(self, step: int) -> Order:
        """Return what the last plan wants of quarter ``step``."""
        assert self._plan is not None
        now, edges, schedule = self._plan
        at = min(bisect.bisect_right(edges, step - now) - 1, len(edges) - 2)
        power_w = {str(name): float(series[at]) for name, series in schedule.power_w.items()}
        return Order(power_w, float(schedule.grid_w[at]), self.follow, self._steady(step))

    def _steady(self, step: int) -> frozenset[str]:
        """A car that only charges follows nothing, nor does one that is about to leave: it keeps to its plan."""
        leaves = next((leaves for leaves, _ in self.driving.expected(step, SOON) if leaves > 0), SOON)
        return frozenset({CAR} if self.strategy is Strategy.V1G or leaves < SOON else ())

    def problem(self, now: int, seen: Outlook, energy_wh: Mapping[str, float]) -> Problem:
        """Return what is to be solved at quarter ``now``."""
        site, steps = self.site, seen.horizon.steps
        price = float(np.average(seen.import_per_kwh, weights=seen.horizon.hours))
        stores = [self._car(now, seen, energy_wh[CAR], price)]
        if site.battery is not None:
            worth = WORTH_SHARE * price * site.battery.converter.discharge_efficiency
            full = np.ones(steps)
            stores.append(
                Store(
                    BATTERY,
                    site.battery.capacity_wh,
                    energy_wh[BATTERY],
                    site.battery.charge_max_w * full,
                    site.battery.discharge_max_w * full,
                    as_planned(site.battery),
                    floor_wh=site.battery.floor_wh,
                    wear=site.battery_wear,
                    worth_per_kwh=worth,
                )
            )
        return Problem(
            seen.horizon,
            GridSide(
                seen.import_per_kwh,
                seen.export_per_kwh,
                np.full(steps, site.connection.import_max_w),
                np.full(steps, site.connection.export_max_w),
            ),
            Band.sure(seen.load_w.p50),
            Band.sure(seen.pv_w.p50),
            tuple(stores),
            reserves=self._sold(now, seen),
            battery_may_charge_car=True,
        )

    def _given_w(self, most_w: Series, seen: Outlook) -> Series:
        """Return what the car may give: without V2G no more than the house is expected to draw."""
        if self.strategy in (Strategy.V2G, Strategy.FCR):
            return most_w
        return np.minimum(most_w, np.maximum(seen.load_w.p50 - seen.pv_w.p50, 0.0))

    def _car(self, now: int, seen: Outlook, energy_wh: float, price: float) -> Store:
        car, habit, edges = self.site.car, self.driving.habit, seen.edges
        here = np.full(seen.horizon.steps, 1.0 if self.driving.plugged[now] else 0.0)
        departures, trips = [], []
        for leaves, returns in self.driving.expected(now, int(edges[-1])):
            first, end = (int(np.searchsorted(edges, at)) for at in (leaves, returns))
            here[first:end] = 0.0
            here[end:] = 1.0
            if 0 < first < seen.horizon.steps:
                departures.append(Departure(first, habit.target_wh, self.site.relief_per_kwh))
            if end < seen.horizon.steps:
                trips.append(Trip(end, habit.trip_wh, self.site.relief_per_kwh))
        gives = 0.0 if self.strategy is Strategy.V1G else car.discharge_max_w
        return Store(
            CAR,
            car.capacity_wh,
            energy_wh,
            car.charge_max_w * here,
            self._given_w(gives * here, seen),
            as_planned(car),
            floor_wh=car.floor_wh,
            ceiling_wh=car.ceiling_wh,
            wear=self.site.car_wear,
            departures=tuple(departures),
            trips=tuple(trips),
            worth_per_kwh=WORTH_SHARE * price * car.converter.discharge_efficiency,
            is_car=True,
        )

    def _sold(self, now: int, seen: Outlook) -> tuple[ReserveBand, ...]:
        if self.reserve_w is None:
            return ()
        ahead = self.reserve_w[np.minimum(now + seen.edges[:-1].astype(int), len(self.reserve_w) - 1)]
        return (ReserveBand(ahead, self.site.reserve.hold_h, (CAR,)),) if ahead.any() else ()
