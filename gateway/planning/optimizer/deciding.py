"""Decides what the linear programme left open: where it charges and discharges at once, and what runs below its least power."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.planning.optimizer.dynamic import Extra, Seeker
from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.imposed import Decisions
from gateway.planning.optimizer.site import Layout
from gateway.planning.optimizer.store import FREE
from gateway.planning.problem import Series

LEAST_KW = 1e-5
MOST_COURSES = 12
"""More stores than this are rounded only; one by one they would take too long."""
NEAR_LEAST = 1.2
"""What a course runs at no more than this many times its least power, it may not run below."""


@dataclass(frozen=True, slots=True, eq=False)
class Quest:
    """How courses are sought: by whom, beside which extra costs, and beside which powers (stores × steps).

    Beside None the first store answers as if it were the only one, the next knows that one alone, and so on.
    """

    seekers: dict[int, Seeker]
    extra: Extra
    beside_kw: Series | None


def at_once(facts: Facts, layout: Layout, values: Series) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Tell where stores charge and discharge, and where the grid gives and takes, in one step."""
    flows = [np.minimum(*store.flow(values)) > LEAST_KW for store in layout.stores]
    exchange = np.minimum(values[layout.bought], values[layout.sold]) > LEAST_KW
    return np.array(flows, bool).reshape(len(flows), facts.steps), exchange


def open_questions(facts: Facts, layout: Layout, values: Series) -> bool:
    """Tell whether ``values`` are nothing that could be done."""
    stores, grid = at_once(facts, layout, values)
    return bool(stores.any() or grid.any() or any(pack.runs_or_not for pack in facts.packs))


def decide(facts: Facts, layout: Layout, values: Series, quest: Quest | None) -> Decisions | None:
    """Return the modes that ``values`` come nearest to, or with a ``quest`` those of each store's best course.

    One store after the other answers the rest; None where there are too many for that.
    """
    powers, decisions = layout.our_kw(values), Decisions.none(facts)
    stores, _ = at_once(facts, layout, values)
    affected = [n for n, pack in enumerate(facts.packs) if pack.runs_or_not or stores[n].any()]
    if quest:
        if len(affected) > MOST_COURSES:
            return None
        powers = powers if quest.beside_kw is None else quest.beside_kw.copy()
        powers[affected] *= quest.beside_kw is not None
        for number in affected:
            if number not in quest.seekers:
                quest.seekers[number] = Seeker(facts, number)
            powers[number] = quest.seekers[number].course(powers, quest.extra)
    for number in affected:
        way = np.sign(np.where(np.abs(powers[number]) > LEAST_KW, powers[number], 0)).astype(np.int8)
        idle = 0 if facts.packs[number].runs_or_not else FREE
        decisions.modes[number] = np.where(way == 0, idle, way)
        if quest:
            least = _least(facts.packs[number], way)
            power = np.abs(powers[number])
            decisions.firm[number] = (way != 0) & (power >= least - LEAST_KW) & (power < NEAR_LEAST * least)
    return decisions


def repair(
    facts: Facts, layout: Layout, values: Series, decisions: Decisions, *, last: bool
) -> Decisions | None:
    """Return ``decisions`` with what ``values`` still break, None where that is nothing. ``last`` makes nothing firm any more."""
    stores, grid = at_once(facts, layout, values)
    powers, modes, firm = layout.our_kw(values), decisions.modes.copy(), decisions.firm.copy()
    net = facts.load_kw - facts.pv_kw + powers.sum(0)
    directions = np.where(grid, np.where(net >= 0, 1, -1), decisions.grid).astype(np.int8)
    modes[stores] = np.where(powers[stores] >= 0, 1, -1)
    for number, pack in enumerate(facts.packs):
        if pack.runs_or_not:
            _round(pack, powers[number], modes[number], firm[number], last=last)
    if not facts.battery_may_charge_car:
        _spare_cars(facts, modes, firm, directions)
    changed = (
        (modes != decisions.modes).any()
        or (firm != decisions.firm).any()
        or (directions != decisions.grid).any()
    )
    return replace(decisions, modes=modes, firm=firm, grid=directions) if changed else None


def _round(
    pack: Pack, power: Series, modes: NDArray[np.int8], firm: NDArray[np.bool_], *, last: bool
) -> None:
    """Make firm what is nearer to the least power than to nothing; turn the rest of what is below it off."""
    least = _least(pack, modes)
    running = (modes == 1) | (modes == -1)
    below = running & (np.abs(power) < least - LEAST_KW)
    keep = below & (np.abs(power) >= least / 2) & ~firm & (not last)
    firm |= keep
    off = (below & ~keep) | (running & (np.abs(power) <= LEAST_KW) & ~firm)
    modes[off] = 0
    firm[off] = False


def _least(pack: Pack, modes: NDArray[np.int8]) -> Series:
    """Return the least power in the direction of each step."""
    return np.where(modes == 1, pack.converter.charge_min_w, pack.converter.discharge_min_w)


def _spare_cars(
    facts: Facts, modes: NDArray[np.int8], firm: NDArray[np.bool_], directions: NDArray[np.int8]
) -> None:
    """Turn off the batteries whose least power is more than the house takes, where nothing is exported beside a car."""
    cars = [pack for pack in facts.packs if pack.is_car]
    beside = np.any([pack.charge_kw > 0 for pack in cars], axis=0) if cars else np.zeros(facts.steps, bool)
    house = np.maximum(0, facts.load_kw - facts.pv_kw)
    for number, pack in enumerate(facts.packs):
        if not pack.is_car:
            off = firm[number] & (modes[number] == -1) & (directions == 1) & beside
            off &= pack.converter.discharge_min_w > house
            modes[number][off], firm[number][off] = 0, False
