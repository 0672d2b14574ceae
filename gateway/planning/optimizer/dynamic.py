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
ROUNDING = 1e-6
"""So near to a level an energy stands at it."""
IMPOSSIBLE = 1e12


@dataclass(frozen=True, slots=True, eq=False)
class Grid:
    """Energies n × ``size_kwh``, and what may be done in a step: the change in the cell and the AC power that it takes.

    A step moves ``-low`` to ``high`` levels, where ``change_kwh`` is the same at all of them.
    """

    levels: int
    size_kwh: float
    low: int
    high: int
    change_kwh: Series
    power_kw: Series

    @classmethod
    def of(cls, pack: Pack, hours: Series) -> Grid:
        """Return a grid in which the largest move has about MOVES levels."""
        charged, drawn = _change(pack, pack.charge_kw, hours), -_change(pack, -pack.discharge_kw, hours)
        most_in, most_out = float(charged.max(initial=0)), float(drawn.max(initial=0))
        wanted = MOVES * pack.capacity_kwh / max(most_in, most_out, 1e-9)
        levels = int(np.clip(wanted, LEAST_LEVELS, MOST_LEVELS))
        size = pack.capacity_kwh / levels
        low, high = int(most_out / size + 1e-6), int(most_in / size + 1e-6)
        change: Series = np.arange(-low, high + 1) * np.float64(size)
        return cls(levels, size, low, high, change, _power(pack, change, hours[:, None]))

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


@dataclass(frozen=True, slots=True, eq=False)
class Choices:
    """What a store may do in each step (steps × choices): the moves of the grid, and last what levels the house."""

    change_kwh: Series
    power_kw: Series
    cost: Series


class Seeker:
    """Seeks the best courses of one store, beside others that may change."""

    def __init__(self, facts: Facts, number: int) -> None:
        self._facts, self._number, self._pack = facts, number, facts.packs[number]
        self._grid = grid = Grid.of(self._pack, facts.hours)
        self._held = cost_at(wants_of(facts, self._pack), facts, self._pack, grid.energies)
        self._due, self._relief = np.zeros(facts.steps + 1), np.zeros(facts.steps + 1)
        for trip in self._pack.trips:
            self._due[trip.step] += trip.energy_wh
            self._relief[trip.step] = trip.relief_per_kwh
        self._here = (self._pack.charge_kw > 0) | (self._pack.discharge_kw > 0)
        each_length = set(facts.hours.tolist()) if self._pack.taper else set()
        self._room = {hours: self._taper_room(hours) for hours in each_length}
        self._too_fast = {h: np.where(room < -1e-9, np.inf, 0.0) for h, room in self._room.items()}

    def course(self, powers_kw: Series, extra: Extra) -> Series:
        """Return the best AC power in kW at each step, the others' being ``powers_kw`` (stores × steps)."""
        facts, pack, number = self._facts, self._pack, self._number
        others = powers_kw.sum(0) - powers_kw[number]
        levelling = np.clip(facts.pv_kw - facts.load_kw - others, -pack.discharge_kw, pack.charge_kw)
        moves = np.broadcast_to(self._grid.change_kwh, (facts.steps, len(self._grid.change_kwh)))
        change = np.column_stack([moves, _change(pack, levelling, facts.hours)])
        power = np.column_stack([self._grid.power_kw, levelling])
        choices = Choices(change, power, _step_costs(facts, number, change, power, powers_kw, extra))
        return self._walk(choices, self._backward(choices))

    def _backward(self, choices: Choices) -> Series:
        """Return what is still to be paid from the end of each step on, by level; infinite beside the grid.

        The first level stands at ``low`` + 1.
        """
        facts, grid = self._facts, self._grid
        levels, first = grid.levels + 1, grid.low + 1
        to_go, ended = np.zeros(levels), np.full((facts.steps, first + levels + grid.high + 2), np.inf)
        reached = sliding_window_view(ended, levels, axis=1)[:, 1 : grid.low + grid.high + 2]
        moves, last = choices.cost[:, :-1, None], choices.cost[:, -1].tolist()
        between = choices.change_kwh[:, -1] / grid.size_kwh
        whole = np.floor(between).astype(np.int64)
        part = np.clip(between - whole, 1e-9, 1 - 1e-9).tolist()
        slow = self._slow_enough(choices)
        for step in range(facts.steps - 1, -1, -1):
            to_go = self._before_trip(step + 1, to_go) + self._held[step]
            after = ended[step]
            after[first : first + levels] = to_go
            if not self._here[step]:
                continue
            ways = reached[step] + moves[step]
            at = first + int(whole[step])
            level = (1 - part[step]) * after[at : at + levels] + part[step] * after[at + 1 : at + 1 + levels]
            level += last[step]
            if self._too_fast:
                ways += self._too_fast[float(facts.hours[step])]
                level[slow[step] :] = np.inf
            to_go = np.minimum(ways.min(0), level)
        return ended

    def _before_trip(self, step: int, to_go: Series) -> Series:
        """Return what is to be paid at the end of the step before ``step``, where a trip may take its energy."""
        if not self._due[step]:
            return to_go
        energies, due = self._grid.energies, self._due[step]
        later: Series = np.interp(energies - due, energies, to_go)
        relief: Series = self._relief[step] * np.maximum(due - energies, 0)
        return later + relief

    def _walk(self, choices: Choices, ended: Series) -> Series:
        """Return the powers of the course that is cheapest from where the store begins."""
        facts, grid, capacity = self._facts, self._grid, self._pack.capacity_kwh
        course, energy = np.zeros(facts.steps), max(0.0, self._pack.energy_kwh - float(self._due[0]))
        change, power, count = choices.change_kwh, choices.power_kw, len(grid.change_kwh)
        here, due, hours = self._here.tolist(), self._due.tolist(), facts.hours.tolist()
        for step in np.flatnonzero(self._here | (self._due[1:] > 0)).tolist():
            if here[step]:
                at, part = _place(energy / grid.size_kwh)
                cost = _between(ended[step], at + 1, part, count) + choices.cost[step, :-1]
                if self._room:
                    room = self._room[hours[step]]
                    cost[_between_levels(room, at, part) < -1e-9] = np.inf
                chosen = int(cost.argmin())
                if self._level(choices, ended[step], step, energy) < cost[chosen]:
                    chosen = count
                course[step] = power[step, chosen]
                energy = min(max(energy + float(change[step, chosen]), 0.0), capacity)
            energy = max(0.0, energy - due[step + 1])
        return course

    def _level(self, choices: Choices, ended: Series, step: int, energy: float) -> float:
        """Return what the last choice costs from ``energy`` on."""
        change, power = float(choices.change_kwh[step, -1]), float(choices.power_kw[step, -1])
        most = min(
            (at_empty + slope * (energy + change / 2) for slope, at_empty in self._pack.taper), default=power
        )
        at, part = _place((energy + change) / self._grid.size_kwh)
        if power > max(most, 0) + 1e-9 or at < 0:
            return np.inf
        return float(_between(ended, self._grid.low + 1 + at, part, 1)[0] + choices.cost[step, -1])

    def _taper_room(self, hours: float) -> Series:
        """Return by how much each move charges slower than each level lets it (moves × levels), infinite where it does not charge."""
        grid, pack = self._grid, self._pack
        power = _power(pack, grid.change_kwh, np.array(hours))[:, None]
        mean = grid.energies + grid.change_kwh[:, None] / 2
        most = np.min([at_empty + slope * mean for slope, at_empty in pack.taper], axis=0)
        return np.where(power > 0, most - power, np.inf)

    def _slow_enough(self, choices: Choices) -> list[int]:
        """Return below which level the last choice of each step charges no faster than the taper lets it."""
        slow = np.full(self._facts.steps, np.inf)
        power, half = choices.power_kw[:, -1], choices.change_kwh[:, -1] / 2
        for slope, at_empty in self._pack.taper:
            slow = np.minimum(slow, (power - 1e-9 - at_empty) / slope - half)
        slow[power <= 0] = np.inf
        levels = np.clip(np.floor(slow / self._grid.size_kwh) + 1, 0, self._grid.levels + 1)
        return [int(level) for level in levels]


def _place(at: float) -> tuple[int, float]:
    """Return the level below ``at``, and the part of the way to the next."""
    level = round(at)
    return (level, 0.0) if abs(at - level) < ROUNDING else (int(at // 1), at % 1)


def _between(values: Series, at: int, part: float, count: int) -> Series:
    """Return ``count`` values from ``at`` on, each ``part`` of the way to the next; what is infinite stays so."""
    here = values[at : at + count]
    return (1 - part) * here + part * values[at + 1 : at + 1 + count] if part else here


def _between_levels(room: Series, at: int, part: float) -> Series:
    """Return the column of ``room`` that stands between the levels ``at`` and the next."""
    return (1 - part) * room[:, at] + part * room[:, at + 1] if part else room[:, at]


def _step_costs(
    facts: Facts, number: int, change_kwh: Series, power: Series, powers_kw: Series, extra: Extra
) -> Series:
    """Return what each step costs at each choice; what may not be chosen costs infinity."""
    pack, hours = facts.packs[number], facts.hours[:, None]
    others = powers_kw.sum(0) - powers_kw[number]
    cost = exchange_cost(facts, others[:, None] + power, extra.per_kwh) * hours
    net = (facts.load_kw - facts.pv_kw + others)[:, None] + power
    cost += extra.peak_per_kw * np.maximum(net - extra.peak_kw, 0)
    cost += SOONER * np.abs(power) * hours
    cost += pack.wear_per_kwh * np.maximum(-change_kwh, 0)
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
    if not facts.battery_may_charge_car:
        wrong |= _battery_to_car(facts, number, power, powers_kw)
    return np.where(wrong & (power != 0), np.inf, cost)


def _battery_to_car(facts: Facts, number: int, power: Series, powers_kw: Series) -> NDArray[np.bool_]:
    """Tell which choices let batteries give more than the house takes while cars take more than the sun leaves."""
    cars = np.array([pack.is_car for pack in facts.packs])
    beside = np.arange(len(cars)) != number
    taken = np.maximum(powers_kw[cars & beside], 0).sum(0)[:, None]
    given = np.maximum(-powers_kw[~cars & beside], 0).sum(0)[:, None]
    if cars[number]:
        taken = taken + np.maximum(power, 0)
    else:
        given = given + np.maximum(-power, 0)
    net = (facts.load_kw - facts.pv_kw)[:, None]
    lent: NDArray[np.bool_] = (given > np.maximum(net, 0) + 1e-6) & (taken > np.maximum(-net, 0) + 1e-6)
    return lent


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
