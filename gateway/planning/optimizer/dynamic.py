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


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Energies n × ``size_kwh``, and the moves between them with the AC power that each takes, per step."""

    levels: int
    size_kwh: float
    moves: NDArray[np.int64]
    power_kw: Series

    @classmethod
    def of(cls, pack: Pack, hours: Series, fineness: float) -> Grid:
        """Return a grid in which the largest move has about ``fineness`` × MOVES levels."""
        into, out = pack.converter.charge_efficiency, pack.converter.discharge_efficiency
        idle = pack.converter.idle_w
        charged = np.maximum(0, pack.charge_kw - idle) * hours * into
        drawn = np.where(pack.discharge_kw > 0, pack.discharge_kw + idle, 0) * hours / out
        flow = max(float(charged.max(initial=0)), float(drawn.max(initial=0)), 1e-9)
        levels = int(np.clip(fineness * MOVES * pack.capacity_kwh / flow, LEAST_LEVELS, MOST_LEVELS))
        size = pack.capacity_kwh / levels
        moves = np.arange(
            -int(drawn.max(initial=0) / size + 1e-6), int(charged.max(initial=0) / size + 1e-6) + 1
        )
        rate = moves * size / np.maximum(hours, 1e-3)[:, None]
        power = np.where(moves > 0, rate / into + idle, np.where(moves < 0, rate * out + idle, 0.0))
        return cls(levels, size, moves, power)

    @property
    def energies(self) -> Series:
        """The energies of the levels in kWh."""
        return np.arange(self.levels + 1, dtype=np.float64) * self.size_kwh


def best_course(
    facts: Facts, number: int, powers_kw: Series, dearer_import: Series, fineness: float = 1.0
) -> Series:
    """Return the AC power in kW of store ``number``, the others' being ``powers_kw`` (stores × steps).

    ``dearer_import`` is what a kWh of import costs beyond its price: tiers, and its part in the month's peak.
    """
    pack = facts.packs[number]
    grid = Grid.of(pack, facts.hours, fineness)
    step_cost = _step_costs(facts, number, grid, powers_kw, dearer_import)
    held = cost_at(wants_of(facts, pack), facts, pack, grid.energies)
    choice = _backward(facts, pack, grid, step_cost, held)
    level = round(pack.energy_kwh / grid.size_kwh)
    due = _dues(facts, pack, grid)
    course = np.zeros(facts.steps)
    level = max(0, level - due[0])
    for step in range(facts.steps):
        move = choice[step, level]
        course[step] = grid.power_kw[step, move]
        level = max(0, level + int(grid.moves[move]) - due[step + 1])
    return course


def _dues(facts: Facts, pack: Pack, grid: Grid) -> list[int]:
    due = np.zeros(facts.steps + 1)
    for trip in pack.trips:
        due[trip.step] += trip.energy_wh
    return [round(float(d)) for d in due / grid.size_kwh]


def _backward(facts: Facts, pack: Pack, grid: Grid, step_cost: Series, held: Series) -> NDArray[np.int16]:
    """Return which move is best at each step from each level."""
    low, high, levels = -int(grid.moves[0]), int(grid.moves[-1]), grid.levels + 1
    every, due = np.arange(levels), _dues(facts, pack, grid)
    relief = {t.step: t.relief_per_kwh for t in pack.trips}
    choice = np.zeros((facts.steps, levels), np.int16)
    to_go, padded = np.zeros(levels), np.full(levels + low + high, np.inf)
    windows = sliding_window_view(padded, low + high + 1)
    tapered = (
        {float(h): _taper_cost(pack, grid, float(h)) for h in np.unique(facts.hours)} if pack.taper else {}
    )
    for step in range(facts.steps - 1, -1, -1):
        if due[step + 1]:
            back = every - due[step + 1]
            to_go = to_go[np.maximum(back, 0)] + relief[step + 1] * grid.size_kwh * np.maximum(-back, 0)
        padded[low : low + levels] = to_go + held[step]
        ways = windows + step_cost[step]
        if tapered:
            ways += tapered[float(facts.hours[step])]
        choice[step] = best = ways.argmin(1)
        to_go = ways[every, best]
    return choice


def _taper_cost(pack: Pack, grid: Grid, hours: float) -> Series:
    """Return 0 where a level lets a move be that fast, infinity elsewhere."""
    power = np.where(
        grid.moves > 0, grid.moves * grid.size_kwh / max(hours, 1e-3) / pack.converter.charge_efficiency, 0
    )
    mean = grid.energies[:, None] + grid.moves * grid.size_kwh / 2
    most = np.min([at_empty + slope * mean for slope, at_empty in pack.taper], axis=0)
    return np.where(
        power + pack.converter.idle_w * (power > 0) > most + 1e-9, np.where(grid.moves > 0, np.inf, 0.0), 0.0
    )


def _step_costs(facts: Facts, number: int, grid: Grid, powers_kw: Series, dearer: Series) -> Series:
    """Return what each step costs at each move."""
    pack, power, hours = facts.packs[number], grid.power_kw, facts.hours[:, None]
    others = powers_kw.sum(0) - powers_kw[number]
    cost = exchange_cost(facts, others[:, None] + power, dearer) * hours
    cost += SOONER * np.abs(power) * hours
    cost += pack.wear_per_kwh * np.maximum(-grid.moves, 0) * grid.size_kwh
    charge, discharge, limits = pack.charge_kw[:, None], pack.discharge_kw[:, None], pack.converter
    least, most = -discharge, charge
    for circuit in facts.circuits:
        if number in circuit.packs:
            beside = powers_kw[list(circuit.packs)].sum(0) - powers_kw[number]
            least = np.maximum(least, (circuit.least_kw - beside)[:, None])
            most = np.minimum(most, (circuit.most_kw - beside)[:, None])
    wrong = (power > most + 1e-6) | (power < least - 1e-6)
    wrong |= (grid.moves > 0) & (power < limits.charge_min_w) | (grid.moves < 0) & (
        power > -limits.discharge_min_w
    )
    wrong &= grid.moves != 0
    return np.where(wrong, np.inf, cost)


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
    return np.where(beyond & (np.abs(ours_kw) > 1e-9), np.inf, cost)
