"""What is wanted of a store's energy, when, and what each kWh costs that lacks or is too much; all of it gives way."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.program import Index
from gateway.planning.optimizer.soft import BAD_DAY_H, BAD_DAY_SHARE, DOUBT, PENALTY
from gateway.planning.problem import Lack, Series


@dataclass(frozen=True, slots=True, eq=False)
class Want:
    """At the ends of ``steps`` at least (``most``: at most) ``kwh``, else ``price`` for each kWh beside it.

    ``lack`` is what it falls short of then; None: it is only dearer.
    """

    lack: Lack | None
    steps: Index
    kwh: Series
    price: Series
    most: bool = False


def wants_of(facts: Facts, pack: Pack) -> tuple[Want, ...]:
    """Return all that is wanted of ``pack``."""
    if not facts.steps:
        return ()
    return tuple(
        want
        for want in (
            *_kept(facts, pack),
            *_resting(facts, pack),
            *_departures(facts, pack),
            *_end(facts, pack),
        )
        if len(want.steps)
    )


def cost_at(wants: tuple[Want, ...], facts: Facts, pack: Pack, energies: Series) -> Series:
    """Return what holding each of ``energies`` at each step's end costs (steps × energies)."""
    cost = np.zeros((facts.steps, len(energies)))
    for want in wants:
        low, high = np.searchsorted(energies, (want.kwh.min(), want.kwh.max()))
        there = slice(low, None) if want.most else slice(None, high)
        beside = (1 if want.most else -1) * (energies[there] - want.kwh[:, None])
        cost[want.steps, there] += want.price[:, None] * np.maximum(beside, 0)
    return cost + holding(pack, facts.hours)[:, None] * energies


def holding(pack: Pack, hours: Series) -> Series:
    """Return what one kWh costs at each step's end, at any charge: by ageing, less its worth at the very end."""
    at_any = sum(price for above, price in pack.resting if above <= 0)
    cost = at_any * np.append(hours[1:], 0.0)[: len(hours)]
    if len(cost):
        cost[-1] -= pack.worth_per_kwh
    return cost


def _kept(facts: Facts, pack: Pack) -> Iterator[Want]:
    """Yield the owner's least and the blackout reserve while the store is here, and the owner's most.

    A level holds for the step that follows; the last one's for a step more.
    """
    held = np.append(facts.hours[1:], facts.hours[-1:])
    here = (pack.charge_kw > 0) | (pack.discharge_kw > 0)
    here_after, reserve = (
        np.append(here[1:], here[-1:]),
        np.append(pack.reserve_kwh[1:], pack.reserve_kwh[-1:]),
    )
    for lack, least in ((Lack.FLOOR, np.full(facts.steps, pack.floor_kwh)), (Lack.RESERVE, reserve)):
        steps = np.flatnonzero(here_after & (least > 0)).astype(np.int32)
        yield Want(lack, steps, least[steps], PENALTY[lack] * held[steps])
    spare = _doubt(facts, BAD_DAY_H)
    steps = np.flatnonzero(here_after & (reserve > 0) & (spare > 0)).astype(np.int32)
    above = np.minimum(reserve + spare, pack.capacity_kwh)
    yield Want(None, steps, above[steps], DOUBT * held[steps])
    if pack.ceiling_kwh < pack.capacity_kwh:
        most = _ceiling(facts, pack)
        steps = np.flatnonzero(most < pack.capacity_kwh).astype(np.int32)
        yield Want(Lack.BAND, steps, most[steps], PENALTY[Lack.BAND] * held[steps], most=True)


def _ceiling(facts: Facts, pack: Pack) -> Series:
    """Return the most at each step's end: what is above already may stay, and a departure may need more just before it."""
    steps, hours = facts.steps, facts.hours
    wanted, needed = np.zeros(steps + 1), 0.0
    due = [0.0] * (steps + 1)
    for departure in pack.departures:
        due[departure.step] = max(due[departure.step], departure.energy_wh)
    charged = (pack.converter.charge_efficiency * pack.charge_kw * hours).tolist()
    for step in range(steps, 0, -1):
        wanted[step] = needed = max(needed, due[step])
        needed -= charged[step - 1]
    spent = np.zeros(steps + 1)
    for trip in pack.trips:
        spent[trip.step :] += trip.energy_wh
    return np.clip(np.maximum(wanted, pack.energy_kwh - spent)[1:], pack.ceiling_kwh, pack.capacity_kwh)


def _resting(facts: Facts, pack: Pack) -> Iterator[Want]:
    """Yield the segments of ageing at rest; the last step's end is rated by its worth alone."""
    every = np.arange(facts.steps - 1, dtype=np.int32)
    for above, price in pack.resting:
        if above > 0:
            yield Want(None, every, np.full(len(every), above), price * facts.hours[1:], most=True)


def _departures(facts: Facts, pack: Pack) -> Iterator[Want]:
    """Yield each departure, and what a bad day may take of it; where a trip ends at the same moment it had left before."""
    spare = _doubt(facts, -BAD_DAY_H)
    for due in pack.departures:
        back = sum(t.energy_wh for t in pack.trips if t.step == due.step)
        if due.step > 0 and (least := due.energy_wh - back) > 0:
            price = np.array([due.relief_per_kwh * due.probability])
            yield Want(Lack.DEPARTURE, _at(due.step), np.array([least]), price)
            if (more := spare[due.step - 1]) > 0:
                safe = np.array([min(least + more, pack.capacity_kwh)])
                yield Want(None, _at(due.step), safe, price * BAD_DAY_SHARE)


def _doubt(facts: Facts, hours: float) -> Series:
    """Return how much more a bad day draws in the ``hours`` after (negative: before) each step's end."""
    ends, drawn = np.cumsum(facts.hours), np.cumsum(facts.doubt_kw * facts.hours)
    moved: Series = np.interp(ends + hours, np.append(0, ends), np.append(0, drawn)) - drawn
    return np.abs(moved)


def _end(facts: Facts, pack: Pack) -> Iterator[Want]:
    if pack.end_kwh > 0 and pack.end_shortfall_per_kwh > 0:
        price = np.array([pack.end_shortfall_per_kwh])
        yield Want(Lack.END, _at(facts.steps), np.array([pack.end_kwh]), price)


def _at(step: int) -> Index:
    return np.array([step - 1], np.int32)
