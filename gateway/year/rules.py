"""Pure: the ways to run a site that need no planner of ours, to be measured against (reference/needs.md 8.1)."""

from collections.abc import Mapping

import numpy as np

from gateway.planning.problem import Series
from gateway.year.driving import Driving
from gateway.year.house import Order
from gateway.year.loop import Decide
from gateway.year.outlook import AUCTION
from gateway.year.record import DAY, QUARTER_H, Record
from gateway.year.site import BATTERY, CAR, Site
from gateway.year.strategy import Strategy

WINDOW = 20
"""Quarters of the timer's night window."""
LEARNT_DAYS = 28


def by_rule(strategy: Strategy, site: Site, record: Record, driving: Driving) -> Decide:
    """Return one of the three: at once and without a battery; by timer; cheapest hours for the car, self-use for the battery."""
    return {Strategy.UNMANAGED: _unmanaged, Strategy.TIMER: _timer, Strategy.SMART: _smart}[strategy](
        site, record, driving
    )


def _unmanaged(site: Site, _record: Record, _driving: Driving) -> Decide:
    def decide(_step: int, energy_wh: Mapping[str, float]) -> Order:
        return Order({CAR: _to_target_w(site, energy_wh)})

    return decide


def _timer(site: Site, record: Record, _driving: Driving) -> Decide:
    """The window is the cheapest of the four weeks before: set once, as people do."""
    window = cheapest_window(record)
    base_w = record.simulated(record.load_w) - record.simulated(record.pv_w)

    def decide(step: int, energy_wh: Mapping[str, float]) -> Order:
        night = (record.slot_of_day(step) - window) % DAY < WINDOW
        battery_w = site.battery.charge_max_w if night and site.battery else -float(base_w[step])
        return Order({CAR: _to_target_w(site, energy_wh) if night else 0.0, BATTERY: battery_w})

    return decide


def cheapest_window(record: Record) -> int:
    """Return the quarter of the day at which the cheapest hours in a row between 20:00 and 08:00 begin, by the weeks before."""
    past = record.import_per_kwh[max(0, record.begin - LEARNT_DAYS * DAY) : record.begin]
    slots = (record.slot_of_day(0) + np.arange(-len(past), 0)) % DAY
    mean = np.bincount(slots, weights=past, minlength=DAY) / np.maximum(np.bincount(slots, minlength=DAY), 1)
    starts = [s % DAY for s in range(80, 80 + 48 - WINDOW + 1)]
    sums = [float(mean[(s + np.arange(WINDOW)) % DAY].sum()) for s in starts]
    return starts[int(np.argmin(sums))]


def _smart(site: Site, record: Record, driving: Driving) -> Decide:
    """The car takes the cheapest known quarters before its usual departure; the battery holds the rest at zero."""
    bought = record.simulated(record.import_per_kwh)
    base_w = record.simulated(record.load_w) - record.simulated(record.pv_w)
    eta = site.car.converter.charge_efficiency

    def decide(step: int, energy_wh: Mapping[str, float]) -> Order:
        lacks_wh = max(0.0, site.habit.target_wh - energy_wh[CAR])
        ready = next((leaves for leaves, _ in driving.expected(step, 2 * DAY) if leaves > 0), DAY)
        known = DAY * (1 if record.slot_of_day(step) < AUCTION else 2) - record.slot_of_day(step)
        ahead: Series = bought[step : step + max(1, min(ready, known))]
        quarters = int(np.ceil(lacks_wh / eta / site.car.charge_max_w / QUARTER_H))
        now = quarters >= len(ahead) or (quarters > 0 and bought[step] <= np.sort(ahead)[quarters - 1])
        return Order({CAR: _to_target_w(site, energy_wh) if now else 0.0, BATTERY: -float(base_w[step])})

    return decide


def _to_target_w(site: Site, energy_wh: Mapping[str, float]) -> float:
    lacks_wh = max(0.0, site.habit.target_wh - energy_wh[CAR])
    needed_w = lacks_wh / QUARTER_H / site.car.converter.charge_efficiency + site.car.converter.idle_w
    return min(site.car.charge_max_w, needed_w) if lacks_wh else 0.0
