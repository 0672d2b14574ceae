"""One store's best course against all the others: exact on a grid of energies, whatever its minimum powers and losses.

A linear programme cannot know that a store either charges or discharges, that it does so at a least power or not at all,
and what it loses by merely running. Dynamic programming can, for one store at a time; only the directions that it finds
are used, the powers come from the linear programme again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.site import most_exchange
from gateway.planning.optimizer.soft import PENALTY, SOONER
from gateway.planning.optimizer.wants import cost_at, wants_of
from gateway.planning.problem import Lack, Series

MOVES = 20
"""Into how many energies the largest step is divided."""
LEAST_LEVELS, MOST_LEVELS = 100, 400
IMPOSSIBLE = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Energies n × ``size_kwh``, and what may be done in a step: the change in the cell and the AC power that it takes.

    All choices but the last move ``-low`` to ``high`` levels; the last takes what levels the house, wherever that ends.
    """

    levels: int
    size_kwh: float
    low: int
    high: int
    change_kwh: Series
    power_kw: Series

    @classmethod
    def of(cls, pack: Pack, hours: Series, levelling_kw: Series, fineness: float) -> Grid:
        """Return a grid in which the largest move has about ``fineness`` × MOVES levels."""
        charged, drawn = _change(pack, pack.charge_kw, hours), -_change(pack, -pack.discharge_kw, hours)
        most_in, most_out = float(charged.max(initial=0)), float(drawn.max(initial=0))
        wanted = fineness * MOVES * pack.capacity_kwh / max(most_in, most_out, 1e-9)
        levels = int(np.clip(wanted, LEAST_LEVELS, MOST_LEVELS))
        size = pack.capacity_kwh / levels
        low, high = int(most_out / size + 1e-6), int(most_in / size + 1e-6)
        levelling = np.clip(levelling_kw, -pack.discharge_kw, pack.charge_kw)
        change = np.tile(np.arange(-low, high + 1) * size, (len(hours), 1))
        change = np.column_stack([change, _change(pack, levelling, hours)])
        power = _power(pack, change[:, :-1], hours[:, None])
        return cls(levels, size, low, high, change, np.column_stack([power, levelling]))

    @property
    def energies(self) -> Series:
        """The energies of the levels in kWh."""
        return np.arange(self.levels + 1, dtype=np.float64) * self.size_kwh


def _change(pack: Pack, power_kw: Series, hours: Series) -> Series:
    """Return what AC power changes in the cell."""
    converter = pack.converter
    into = np.maximum(power_kw - converter.idle_w, 0) * converter.charge_efficiency
    out = (power_kw - converter.idle_w) / converter.discharge_efficiency
    return np.where(power_kw > 0, into, np.where(power_kw < 0, out, 0.0)) * hours


def _power(pack: Pack, change_kwh: Series, hours: Series) -> Series:
    """Return the AC power that changes the cell so."""
    converter, rate = pack.converter, change_kwh / np.maximum(hours, 1e-3)
    charging = rate / converter.charge_efficiency + converter.idle_w
    giving = rate * converter.discharge_efficiency + converter.idle_w
    return np.where(rate > 0, charging, np.where(rate < 0, giving, 0.0))


@dataclass(frozen=True, slots=True, eq=False)
class Extra:
    """What import costs beyond its price: ``per_kwh`` by the tiers that are reached, and ``peak_per_kw`` above ``peak_kw``."""

    per_kwh: Series
    peak_kw: float
    peak_per_kw: float


def best_course(facts: Facts, number: int, powers_kw: Series, extra: Extra, fineness: float) -> Series:
    """Return the AC power in kW of store ``number``, the others' being ``powers_kw`` (stores × steps)."""
    pack, others = facts.packs[number], powers_kw.sum(0) - powers_kw[number]
    grid = Grid.of(pack, facts.hours, facts.pv_kw - facts.load_kw - others, fineness)
    step_cost = _step_costs(facts, number, grid, powers_kw, extra)
    held = cost_at(wants_of(facts, pack), facts, pack, grid.energies)
    choice = _backward(facts, pack, grid, step_cost, held)
    due = _dues(facts, pack)
    course, energy = np.zeros(facts.steps), max(0.0, pack.energy_kwh - due[0])
    for step in range(facts.steps):
        chosen = choice[step, min(round(energy / grid.size_kwh), grid.levels)]
        course[step] = grid.power_kw[step, chosen]
        energy = max(0.0, energy + grid.change_kwh[step, chosen] - due[step + 1])
    return course


def _dues(facts: Facts, pack: Pack) -> Series:
    """Return what trips took by the beginning of each step."""
    due = np.zeros(facts.steps + 1)
    for trip in pack.trips:
        due[trip.step] += trip.energy_wh
    return due


def _backward(facts: Facts, pack: Pack, grid: Grid, step_cost: Series, held: Series) -> NDArray[np.int16]:
    """Return which choice is best at each step from each level."""
    levels, energies = grid.levels + 1, grid.energies
    every, due = np.arange(levels), _dues(facts, pack)
    relief = {t.step: t.relief_per_kwh for t in pack.trips}
    choice = np.zeros((facts.steps, levels), np.int16)
    first = grid.low + 1
    to_go, padded = np.zeros(levels), np.full(first + levels + grid.high + 2, np.inf)
    windows = sliding_window_view(padded, grid.low + grid.high + 1)[1 : levels + 1]
    between = grid.change_kwh[:, -1] / grid.size_kwh
    whole = np.floor(between).astype(np.int64)
    for step in range(facts.steps - 1, -1, -1):
        if due[step + 1]:
            missing = np.maximum(due[step + 1] - energies, 0)
            to_go = np.interp(energies - due[step + 1], energies, to_go) + relief[step + 1] * missing
        if pack.charge_kw[step] <= 0 and pack.discharge_kw[step] <= 0:
            to_go, choice[step] = to_go + held[step], grid.low
            continue
        padded[first : first + levels] = to_go + held[step]
        ways = windows + step_cost[step, :-1]
        part = min(max(between[step] - whole[step], 1e-9), 1 - 1e-9)
        at = first + every + whole[step]
        level = step_cost[step, -1] + (1 - part) * padded[at] + part * padded[at + 1]
        if pack.taper:
            ways += _taper_cost(pack, grid, step, slice(None, -1))
            level += _taper_cost(pack, grid, step, slice(-1, None))[:, 0]
        best = ways.argmin(1)
        to_go = ways[every, best]
        choice[step] = np.where(level < to_go, ways.shape[1], best)
        to_go = np.minimum(level, to_go)
    return choice


def _taper_cost(pack: Pack, grid: Grid, step: int, choices: slice) -> Series:
    """Return 0 where a level lets a choice charge that fast, infinity elsewhere."""
    power = grid.power_kw[step, choices]
    mean = grid.energies[:, None] + grid.change_kwh[step, choices] / 2
    most = np.min([at_empty + slope * mean for slope, at_empty in pack.taper], axis=0)
    return np.where((power > 0) & (power > most + 1e-9), np.inf, 0.0)


def _step_costs(facts: Facts, number: int, grid: Grid, powers_kw: Series, extra: Extra) -> Series:
    """Return what each step costs at each choice; what may not be chosen costs infinity."""
    pack, power, hours = facts.packs[number], grid.power_kw, facts.hours[:, None]
    others = powers_kw.sum(0) - powers_kw[number]
    cost = exchange_cost(facts, others[:, None] + power, extra.per_kwh) * hours
    net = (facts.load_kw - facts.pv_kw + others)[:, None] + power
    cost += extra.peak_per_kw * np.maximum(net - extra.peak_kw, 0)
    cost += SOONER * np.abs(power) * hours
    cost += pack.wear_per_kwh * np.maximum(-grid.change_kwh, 0)
    charge, discharge, limits = pack.charge_kw[:, None], pack.discharge_kw[:, None], pack.converter
    least, most = -discharge, charge
    for circuit in facts.circuits:
        if number in circuit.packs:
            beside = powers_kw[list(circuit.packs)].sum(0) - powers_kw[number]
            least = np.maximum(least, (circuit.least_kw - beside)[:, None])
            most = np.minimum(most, (circuit.most_kw - beside)[:, None])
    wrong = (power > most + 1e-6) | (power < least - 1e-6)
    wrong |= (power > 0) & (power < max(limits.charge_min_w, limits.idle_w))
    wrong |= (power < 0) & (power > -limits.discharge_min_w)
    return np.where(wrong & (power != 0), np.inf, cost)


def exchange_cost(facts: Facts, ours_kw: Series, dearer: Series) -> Series:
    """Return what an hour costs at each step when ``ours_kw`` (steps × choices) go into our stores."""
    net = (facts.load_kw - facts.pv_kw)[:, None] + ours_kw
    if facts.curtailable:
        dumped = np.clip(-net, 0, facts.pv_kw[:, None])
        net = np.where(facts.sell[:, None] < 0, net + dumped, net)
    bought, sold = np.maximum(net, 0), np.maximum(-net, 0)
    cost = bought * (facts.buy + dearer)[:, None] - sold * facts.sell[:, None]
    most_bought, most_sold = most_exchange(facts)
    for exchange, limit, penalty in (
        (bought, facts.import_cap_kw, PENALTY[Lack.CAP]),
        (sold, facts.export_cap_kw, PENALTY[Lack.CAP]),
        (bought, facts.import_kw, PENALTY[Lack.SAFETY]),
        (sold, facts.export_kw, PENALTY[Lack.SAFETY]),
    ):
        cost = cost + penalty * np.maximum(exchange - limit[:, None], 0)
    promised = np.where(np.isnan(facts.obliged_kw)[:, None], net, facts.obliged_kw[:, None])
    cost += PENALTY[Lack.OBLIGATION] * np.abs(net - promised)
    beyond = (bought > most_bought[:, None] + 1e-6) | (sold > most_sold[:, None] + 1e-6)
    return np.where(beyond & (np.abs(ours_kw) > 1e-9), IMPOSSIBLE, cost)
