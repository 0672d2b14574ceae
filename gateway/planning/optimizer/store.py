"""The columns and rows of one store."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.program import Index, Program
from gateway.planning.optimizer.soft import PENALTY, SOONER, Slack
from gateway.planning.problem import Lack, Series


@dataclass(frozen=True, slots=True, eq=False)
class StoreColumns:
    """Where a store stands: powers at the steps where there may be any, the energy at each step's end, and its balance rows."""

    charge_at: Index
    charge: Index
    discharge_at: Index
    discharge: Index
    energy: Index
    balance: Index
    relief: tuple[tuple[int, float, int], ...]
    slacks: tuple[Slack, ...]


def add_store(program: Program, facts: Facts, number: int) -> StoreColumns:
    """Add store ``number`` of ``facts``: what flows, what is kept, what lacks."""
    pack, steps, hours = facts.packs[number], facts.steps, facts.hours
    charge_at = np.flatnonzero(pack.charge_kw > 0).astype(np.int32)
    discharge_at = np.flatnonzero(pack.discharge_kw > 0).astype(np.int32)
    later = SOONER * (0.5 + 0.5 * np.cumsum(hours) / max(hours.sum(), 1e-9)) * hours
    into, out = pack.converter.charge_efficiency, 1 / pack.converter.discharge_efficiency
    charge = program.columns(len(charge_at), 0, pack.charge_kw[charge_at], later[charge_at])
    wear = later + pack.wear_per_kwh * out * hours
    discharge = program.columns(len(discharge_at), 0, pack.discharge_kw[discharge_at], wear[discharge_at])
    energy = program.columns(steps, 0, pack.capacity_kwh, _cost_of_holding(pack, hours))
    due, relief = np.zeros(steps), []
    relief_columns, relief_rows = [], []
    for trip in pack.trips:
        if trip.step == 0 or trip.energy_wh <= 0:
            continue
        due[trip.step - 1] += trip.energy_wh
        (column,) = program.columns(1, 0, trip.energy_wh, trip.relief_per_kwh)
        relief.append((trip.step, trip.energy_wh, int(column)))
        relief_columns.append(column)
        relief_rows.append(trip.step - 1)
    fixed = -due
    if steps:
        fixed[0] += _after_first_trip(pack)
    after = np.arange(1, steps, dtype=np.int32)
    balance = program.rows(
        steps,
        fixed,
        fixed,
        (energy, 1.0),
        (energy[:-1], -1.0, after),
        (charge, -into * hours[charge_at], charge_at),
        (discharge, out * hours[discharge_at], discharge_at),
        (np.array(relief_columns, np.int32), -1.0, np.array(relief_rows, np.int32)),
    )
    columns = StoreColumns(charge_at, charge, discharge_at, discharge, energy, balance, tuple(relief), ())
    _add_resting(program, pack, energy, hours)
    _add_taper(program, pack, columns)
    slacks = (
        *_bands(program, pack, columns, facts),
        *_departures(program, pack, columns),
        *_end(program, pack, energy),
    )
    return StoreColumns(charge_at, charge, discharge_at, discharge, energy, balance, columns.relief, slacks)


def _after_first_trip(pack: Pack) -> float:
    """Return what is in the pack when the plan begins, after a trip that ends just then."""
    return max(0.0, pack.energy_kwh - sum(t.energy_wh for t in pack.trips if t.step == 0))


def _cost_of_holding(pack: Pack, hours: Series) -> Series:
    """Return what one kWh costs at the end of each step: resting at any charge, and its worth at the very end."""
    at_any = sum(price for above, price in pack.resting if above <= 0)
    cost = at_any * np.append(hours[1:], 0.0)[: len(hours)]
    if len(cost):
        cost[-1] -= pack.worth_per_kwh
    return cost


def _add_resting(program: Program, pack: Pack, energy: Index, hours: Series) -> None:
    held = energy[:-1]
    for above, price in pack.resting:
        if above > 0 and len(held):
            excess = program.columns(len(held), 0, np.inf, price * hours[1:])
            program.rows(len(held), -np.inf, above, (held, 1.0), (excess, -1.0))


def _add_taper(program: Program, pack: Pack, at: StoreColumns) -> None:
    """Keep charging under each line of the taper, at the mean energy of the step."""
    for slope, at_empty in pack.taper:
        slack = at_empty + slope * pack.capacity_kwh < pack.charge_kw[at.charge_at]
        steps, columns = at.charge_at[slack], at.charge[slack]
        later, rows = steps > 0, np.arange(len(steps), dtype=np.int32)
        first = np.where(later, 0.0, -slope / 2 * _after_first_trip(pack))
        program.rows(
            len(steps),
            -np.inf,
            np.maximum(at_empty - first, 0.0),
            (columns, 1.0),
            (at.energy[steps], -slope / 2),
            (at.energy[steps[later] - 1], -slope / 2, rows[later]),
        )


def _bands(program: Program, pack: Pack, at: StoreColumns, facts: Facts) -> list[Slack]:
    """Add the owner's least, the blackout reserve and the owner's most, each with what it may lack."""
    hours, steps = facts.hours, facts.steps
    here = (pack.charge_kw > 0) | (pack.discharge_kw > 0)
    # The energy at a step's end counts where the store is here at that end; how long, is the step that follows.
    here_after, held = np.append(here[1:], here[-1:]), np.append(hours[1:], hours[-1:])
    reserve = np.append(pack.reserve_kwh[1:], pack.reserve_kwh[-1:])
    slacks = []
    for lack, least in ((Lack.FLOOR, np.full(steps, pack.floor_kwh)), (Lack.RESERVE, reserve)):
        ends = np.flatnonzero(here_after & (least > 0)).astype(np.int32)
        short = program.columns(len(ends), 0, np.inf, PENALTY[lack] * held[ends])
        program.rows(len(ends), least[ends], np.inf, (at.energy[ends], 1.0), (short, 1.0))
        slacks.append(Slack(lack, short, ends + 1))
    if pack.ceiling_kwh < pack.capacity_kwh:
        most = _ceiling(pack, facts)
        ends = np.flatnonzero(most < pack.capacity_kwh).astype(np.int32)
        over = program.columns(len(ends), 0, np.inf, PENALTY[Lack.BAND] * held[ends])
        program.rows(len(ends), -np.inf, most[ends], (at.energy[ends], 1.0), (over, -1.0))
        slacks.append(Slack(Lack.BAND, over, ends + 1))
    return slacks


def _ceiling(pack: Pack, facts: Facts) -> Series:
    """Return the most at each step's end: what is above already may stay, and a departure may need more just before it."""
    steps, hours = facts.steps, facts.hours
    wanted, needed = np.zeros(steps + 1), 0.0
    due = {d.step: max((o.energy_wh for o in pack.departures if o.step == d.step)) for d in pack.departures}
    for step in range(steps, 0, -1):
        needed = max(needed, due.get(step, 0.0))
        wanted[step] = needed
        needed -= pack.converter.charge_efficiency * pack.charge_kw[step - 1] * hours[step - 1]
    spent = np.zeros(steps + 1)
    for trip in pack.trips:
        spent[trip.step :] += trip.energy_wh
    return np.clip(np.maximum(wanted, pack.energy_kwh - spent)[1:], pack.ceiling_kwh, pack.capacity_kwh)


def _departures(program: Program, pack: Pack, at: StoreColumns) -> list[Slack]:
    slacks = []
    for departure in pack.departures:
        if departure.step == 0 or departure.energy_wh <= 0:
            continue
        short = program.columns(1, 0, np.inf, departure.relief_per_kwh * departure.probability)
        back = [(column, energy) for step, energy, column in at.relief if step == departure.step]
        least = departure.energy_wh - sum(
            energy for _, energy in back
        )  # it leaves before a trip ends at that step
        reliefs, first = np.array([column for column, _ in back], np.int32), np.zeros(len(back), np.int32)
        end = at.energy[departure.step - 1 : departure.step]
        program.rows(1, least, np.inf, (end, 1.0), (short, 1.0), (reliefs, -1.0, first))
        slacks.append(Slack(Lack.DEPARTURE, short, np.array([departure.step], np.int32)))
    return slacks


def _end(program: Program, pack: Pack, energy: Index) -> list[Slack]:
    if not len(energy) or pack.end_kwh <= 0 or pack.end_shortfall_per_kwh <= 0:
        return []
    short = program.columns(1, 0, np.inf, pack.end_shortfall_per_kwh)
    program.rows(1, pack.end_kwh, np.inf, (energy[-1:], 1.0), (short, 1.0))
    return [Slack(Lack.END, short, np.array([len(energy)], np.int32))]
