"""Pure: what a strategy's year comes to: money, energy, cycles, fade, departures, carbon."""

from dataclasses import dataclass

import numpy as np

from gateway.config import Cell
from gateway.planning.ageing import LIFE_FADE, YEARS, Fade, fade, repeated, wear
from gateway.planning.problem import Series, Wear
from gateway.year.loop import Trace, bill
from gateway.year.record import DAY, QUARTER_H, Record
from gateway.year.site import BATTERY, CAR, Site
from gateway.year.strategy import Strategy

USUAL = np.interp(np.arange(97), (0, 30, 70, 90, 96), (0.7, 0.7, 0.5, 0.5, 0.7))
"""The charge on a usual day, by quarters."""


@dataclass(frozen=True, slots=True)
class Result:
    """Money in the currency of the prices, for the simulated days; ``wear`` is the car's fade, priced, and the battery's ageing.
    ``plans_by_rule`` were made without an optimum, for want of time or by a fault: more than a few of them make it no fair trial.

    ``net`` is what all of it costs: bill, road charging and wear less what reserve earned, what is left in the packs valued
    at the mean import price.
    """

    strategy: Strategy
    days: float
    bought: float
    sold: float
    road: float
    reserve: float
    wear: float
    left: float
    import_kwh: float
    export_kwh: float
    car_out_kwh: float
    car_cycles: float
    battery_cycles: float
    car_fade_pct: float
    departures: int
    departures_met_pct: float
    short_kwh: float
    curtailed_kwh: float
    co2_kg: float | None
    plugged_pct: float
    plans_by_rule: int = 0

    @property
    def bill(self) -> float:
        """What is paid for electricity, at home and on the road."""
        return self.bought - self.sold + self.road

    @property
    def net(self) -> float:
        """Bill and wear, less the reserve's income."""
        return self.bill + self.wear - self.reserve - self.left


@dataclass(frozen=True, slots=True)
class Worth:
    """What the car's pack was worth new, how it ages, and how old it is: a new one fades faster than the years after."""

    car: float = 6000.0
    cell: Cell = Cell.NMC622
    temperature_c: float = 18.0
    age_years: float = 3.0

    @property
    def lost(self) -> Fade:
        """What a pack of that age has lost, after usual days."""
        return repeated(self.cell, USUAL, QUARTER_H, self.temperature_c, self.age_years)

    def wear(self, capacity_wh: float) -> Wear:
        """Return what planning counts for such a pack."""
        soh_pct = 100 * (1 - self.lost.total)
        return wear(self.cell, capacity_wh, self.car, self.temperature_c, soh_pct)


def result(
    strategy: Strategy,
    site: Site,
    record: Record,
    trace: Trace,
    worth: Worth,
    *,
    reserve: float,
    plugged_pct: float,
    plans_by_rule: int = 0,
) -> Result:
    """Sum up ``trace``."""
    bought, sold = bill(record, trace.grid_w)
    kwh = trace.grid_w * QUARTER_H / 1000
    fade_share = faded(worth, trace.energy_wh[CAR] / site.car.capacity_wh)
    battery_kwh = np.maximum(-trace.power_w.get(BATTERY, np.zeros(1)), 0).sum() * QUARTER_H / 1000
    worn = fade_share * worth.car / LIFE_FADE + float(battery_kwh) * site.battery_wear.per_kwh
    if BATTERY in trace.energy_wh and site.battery is not None:
        worn += _rested(site.battery_wear, trace.energy_wh[BATTERY], site.battery.capacity_wh)
    price = float(record.simulated(record.import_per_kwh).mean())
    left_wh = sum(trace.end_wh[name] - start for name, start in site.start_wh.items())
    met = trace.departures - len(trace.missed)
    return Result(
        strategy,
        record.steps / 96,
        bought,
        sold,
        trace.road_wh / 1000 * site.relief_per_kwh,
        reserve,
        worn,
        left_wh / 1000 * price,
        float(np.maximum(kwh, 0).sum()),
        float(np.maximum(-kwh, 0).sum()),
        float(np.maximum(-trace.power_w[CAR], 0).sum() * QUARTER_H / 1000),
        _cycles(trace.energy_wh[CAR], site.car.capacity_wh),
        _cycles(trace.energy_wh[BATTERY], site.battery.capacity_wh) if site.battery else 0.0,
        100 * fade_share,
        trace.departures,
        100.0 * met / trace.departures if trace.departures else 100.0,
        sum(m.short_wh for m in trace.missed) / 1000,
        float(trace.curtailed_w.sum() * QUARTER_H / 1000),
        _co2_kg(record, kwh),
        plugged_pct,
        plans_by_rule,
    )


def faded(worth: Worth, soc: Series) -> float:
    """Return what a pack of that age loses of its capacity over a trajectory of charge, as a share.

    It is the mean of the next ``YEARS`` were all of them like it, as the price that planning counts: what is lost early slows what
    is lost later, so the first days alone would say twice as much.
    """
    times = max(1, round(YEARS * 365 * DAY / max(len(soc), 1)))
    like_it = np.tile(np.clip(soc, 0.0, 1.0), times)
    after = fade(worth.cell, like_it, QUARTER_H, worth.temperature_c, worth.lost)
    return (after.total - worth.lost.total) / times


def _rested(priced: Wear, energy_wh: Series, capacity_wh: float) -> float:
    """Return what it costs that a battery rested at these charges."""
    held = (
        np.maximum(energy_wh - above / 100 * capacity_wh, 0.0).sum() * more for above, more in priced.resting
    )
    return float(sum(held)) * QUARTER_H / 1000


def _cycles(energy_wh: Series, capacity_wh: float) -> float:
    return float(np.abs(np.diff(energy_wh)).sum() / 2 / capacity_wh)


def _co2_kg(record: Record, kwh: Series) -> float | None:
    """Return import times the average intensity; export is not counted as avoided. None where hours are not rated."""
    if record.carbon_g_per_kwh is None:
        return None
    grams = record.simulated(record.carbon_g_per_kwh)
    return float(np.maximum(kwh, 0) @ np.nan_to_num(grams, nan=float(np.nanmean(grams))) / 1000)
