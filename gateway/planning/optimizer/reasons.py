"""Why a store does what it does: what a kWh is worth in the cell against what it costs at the connection, and what binds.

Both come from the duals of the programme: the store's balance says the worth, the site's the price of one more kW.
"""

import numpy as np
from numpy.typing import NDArray

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.site import Layout
from gateway.planning.optimizer.solver import Answer
from gateway.planning.optimizer.store import StoreColumns, begins_with
from gateway.planning.problem import Lack, Series

CODES = (
    "away", "grid_event", "reserve_sold", "keep_reserve", "avoid_peak", "self_use", "sell_high", "clean_hours",
    "ready_for_departure", "cheap_hours", "wear_too_dear", "at_limit", "sun_expected", "no_benefit",
)  # fmt: skip
"""All that is given here, beside "plan_rule"."""
LEAST_KW, LEAST_KWH, LEAST_PRICE = 1e-3, 1e-3, 1e-4

type Flags = NDArray[np.bool_]


def codes_of(facts: Facts, layout: Layout, answer: Answer) -> list[tuple[str, ...]]:
    """Return one code per step for each store."""
    return [
        _codes(facts, layout, answer, number, _selling(facts, layout, answer, number))
        for number in range(len(layout.stores))
    ]


def _selling(facts: Facts, layout: Layout, answer: Answer, number: int) -> Flags:
    """Tell where sold reserve holds the store back."""
    held = np.zeros(facts.steps, bool)
    for rows, steps, packs in layout.reserves:
        if number in packs:
            np.logical_or.at(held, steps, np.abs(answer.duals[rows]) > LEAST_PRICE * facts.hours[steps])
    return held


def _codes(facts: Facts, layout: Layout, answer: Answer, number: int, selling: Flags) -> tuple[str, ...]:
    """Walk the table: of all that is true of a step the first row names it."""
    pack, store = facts.packs[number], layout.stores[number]
    power = np.subtract(*store.flow(answer.values))
    charging, giving = power > LEAST_KW, power < -LEAST_KW
    idle = ~charging & ~giving
    grid = answer.values[layout.bought] - answer.values[layout.sold]
    per_kwh = answer.duals[layout.balance] / np.maximum(
        facts.hours, 1e-9
    )  # what one more kWh drawn costs the site
    worth = -answer.duals[store.balance]
    gain = per_kwh * pack.converter.discharge_efficiency  # what a kWh out of the cell would save
    own_sun = (grid <= LEAST_KW) & (facts.pv_kw > LEAST_KW)
    event, peak = _held_back(facts, layout, answer, grid - power)
    full, empty, low, refilling = _bounds(pack, store, answer)
    due = _departure_price(facts, store, answer)
    cheap = per_kwh <= _mean_of_stay(facts.buy, pack)
    table = (
        ("away", (pack.charge_kw <= 0) & (pack.discharge_kw <= 0)),
        ("grid_event", event & (charging | giving)),
        ("keep_reserve", charging & refilling),
        ("reserve_sold", selling),
        ("avoid_peak", giving & peak),
        ("sell_high", giving & (grid < -LEAST_KW)),
        ("self_use", giving | (charging & own_sun)),
        ("clean_hours", charging & _clean(facts)),
        ("cheap_hours", charging & (cheap | (due <= LEAST_PRICE))),
        ("ready_for_departure", charging),
        ("at_limit", idle & empty & (gain > worth)),
        ("keep_reserve", idle & low & (gain > worth)),
        ("ready_for_departure", (due > LEAST_PRICE) & (gain > worth - due + pack.wear_per_kwh)),
        ("wear_too_dear", (gain > worth + LEAST_PRICE) & (gain <= worth + pack.wear_per_kwh + LEAST_PRICE)),
        ("at_limit", full & (worth * pack.converter.charge_efficiency >= per_kwh)),
        ("sun_expected", idle & _sun_next(charging & own_sun, charging | giving) & ~full),
    )
    chosen = np.select([flags for _, flags in table], [code for code, _ in table], "no_benefit")
    return tuple(str(code) for code in chosen)


def _held_back(facts: Facts, layout: Layout, answer: Answer, without_kw: Series) -> tuple[Flags, Flags]:
    """Tell where the exchange without the store would break a promise or a cap of the utility's, and raise the peak."""
    event = ~np.isnan(facts.obliged_kw) | (without_kw > facts.import_cap_kw + LEAST_KW)
    event |= -without_kw > facts.export_cap_kw + LEAST_KW
    peak_kw = float(answer.values[layout.peak].min(initial=np.inf))
    return event, without_kw > peak_kw + LEAST_KW


def _bounds(pack: Pack, store: StoreColumns, answer: Answer) -> tuple[Flags, Flags, Flags, Flags]:
    """Tell where the store ends a step full, empty, and at what must stay in it; and where it begins below that."""
    energy, kept = answer.values[store.energy], np.maximum(pack.reserve_kwh, pack.floor_kwh)
    before = np.append(begins_with(pack), energy[:-1])
    full = energy >= min(pack.ceiling_kwh, pack.capacity_kwh) - LEAST_KWH
    return full, energy <= LEAST_KWH, energy <= kept + LEAST_KWH, before < kept - LEAST_KWH


def _departure_price(facts: Facts, store: StoreColumns, answer: Answer) -> Series:
    """Return what the next departure that binds adds to the worth of a kWh, 0 where none does."""
    due = np.zeros(facts.steps)
    for slack in sorted(store.slacks, key=lambda s: -int(s.steps[0])):
        if slack.lack is Lack.DEPARTURE and (price := float(answer.duals[slack.rows[0]])) > LEAST_PRICE:
            due[: int(slack.steps[0])] = price
    return due


def _clean(facts: Facts) -> Flags:
    """Tell where it is the carbon price, more than the tariff, that makes an hour a good one."""
    carbon, tariff = facts.carbon - facts.carbon.mean(), facts.buy - facts.carbon
    return (carbon < -LEAST_PRICE) & (carbon < tariff - tariff.mean())


def _mean_of_stay(buy: Series, pack: Pack) -> float:
    here = pack.charge_kw > 0
    return float(buy[here].mean()) if here.any() else 0.0


def _sun_next(sunny: Flags, busy: Flags) -> Flags:
    """Tell whether the next thing the store does is to take in sun."""
    steps = len(busy)
    at = np.where(busy, np.arange(steps), steps)
    following = np.minimum.accumulate(at[::-1])[::-1]
    return np.append(sunny, False)[following]
