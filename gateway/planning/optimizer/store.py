"""The columns and rows of one store."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.program import Index, Program
from gateway.planning.optimizer.soft import Slack, sooner
from gateway.planning.optimizer.wants import Want, holding, wants_of
from gateway.planning.problem import Series

type Modes = NDArray[np.int8]
"""What a store does in each step: 1 charges, -1 discharges, 0 is off, FREE: as the programme likes."""
FREE = 2

type Flow = tuple[Index, float, Index]
"""Columns of power, the sign of what flows into the store, and their steps."""


@dataclass(frozen=True, slots=True, eq=False)
class StoreColumns:
    """Where a store stands: powers at the steps where there may be any, the energy at each step's end, and its balance rows."""

    charge_at: Index
    charge: Index
    discharge_at: Index
    discharge: Index
    energy: Index
    balance: Index
    relief: Index
    slacks: tuple[Slack, ...]

    def flow(self, values: Series) -> tuple[Series, Series]:
        """Return the powers in and out, per step."""
        charge, discharge = np.zeros(len(self.energy)), np.zeros(len(self.energy))
        charge[self.charge_at] = values[self.charge]
        discharge[self.discharge_at] = values[self.discharge]
        return charge, discharge

    def terms(self) -> tuple[Flow, Flow]:
        """Return the terms of the power into the store, by step."""
        return (self.charge, 1.0, self.charge_at), (self.discharge, -1.0, self.discharge_at)


def add_store(program: Program, facts: Facts, number: int) -> StoreColumns:
    """Add store ``number``: what flows, what is kept, what lacks."""
    pack, hours = facts.packs[number], facts.hours
    charge_at, discharge_at = (
        np.flatnonzero(kw > 0).astype(np.int32) for kw in (pack.charge_kw, pack.discharge_kw)
    )
    later = sooner(hours)
    worn = later + pack.wear_per_kwh / pack.converter.discharge_efficiency * hours
    charge = program.columns(len(charge_at), 0, pack.charge_kw[charge_at], later[charge_at])
    discharge = program.columns(len(discharge_at), 0, pack.discharge_kw[discharge_at], worn[discharge_at])
    energy = program.columns(facts.steps, 0, pack.capacity_kwh, holding(pack, hours))
    relief, balance = _add_balance(program, facts, pack, (charge_at, charge, discharge_at, discharge, energy))
    _add_taper(program, pack, charge_at, charge, energy)
    slacks = [_add_want(program, want, energy, number) for want in wants_of(facts, pack)]
    return StoreColumns(
        charge_at, charge, discharge_at, discharge, energy, balance, relief, tuple(s for s in slacks if s)
    )


def begins_with(pack: Pack) -> float:
    """Return what is in the pack when the plan begins, after a trip that ends just then."""
    return max(0.0, pack.energy_kwh - sum(t.energy_wh for t in pack.trips if t.step == 0))


def rates(pack: Pack, modes: Modes) -> tuple[Series, Series, Series]:
    """Return, per step, kWh into the cell per kWh charged, out of it per kWh discharged, and kW lost by running.

    While a step is free, the fixed loss counts as if all of it ran at its most: what no decision undercuts.
    """
    converter, free = pack.converter, modes == FREE
    idle, into, out = converter.idle_w, converter.charge_efficiency, 1 / converter.discharge_efficiency
    at_most_in = (
        np.where(pack.charge_kw > 0, pack.charge_kw, 1.0),
        np.where(pack.discharge_kw > 0, pack.discharge_kw, 1.0),
    )
    lost = np.where(modes == 1, idle * into, np.where(modes == -1, idle * out, 0.0))
    return (
        into * (1 - free * idle / at_most_in[0]),
        out * (1 + free * idle / at_most_in[1]),
        lost,
    )


def _add_balance(
    program: Program, facts: Facts, pack: Pack, at: tuple[Index, Index, Index, Index, Index]
) -> tuple[Index, Index]:
    """Add what is kept from step to step, less the trips, more what these had to charge on the road."""
    steps, hours = facts.steps, facts.hours
    charge_at, charge, discharge_at, discharge, energy = at
    into, out, _ = rates(pack, np.full(steps, FREE, np.int8))
    trips = [t for t in pack.trips if t.step > 0 and t.energy_wh > 0]
    ends, energies = np.array([t.step - 1 for t in trips], np.int32), np.array([t.energy_wh for t in trips])
    relief = program.columns(len(trips), 0, energies, [t.relief_per_kwh for t in trips])
    fixed = np.zeros(steps)
    np.subtract.at(fixed, ends, energies)
    fixed[:1] += begins_with(pack)
    balance = program.rows(
        steps,
        fixed,
        fixed,
        (energy, 1.0),
        (energy[:-1], -1.0, np.arange(1, steps, dtype=np.int32)),
        (charge, -(into * hours)[charge_at], charge_at),
        (discharge, (out * hours)[discharge_at], discharge_at),
        (relief, -1.0, ends),
    )
    return relief, balance


def _add_want(program: Program, want: Want, energy: Index, number: int) -> Slack | None:
    beside = program.columns(len(want.steps), 0, np.inf, want.price)
    held, sign = energy[want.steps], -1.0 if want.most else 1.0
    least, most = (-np.inf, want.kwh) if want.most else (want.kwh, np.inf)
    rows = program.rows(len(held), least, most, (held, 1.0), (beside, sign))
    return Slack(want.lack, beside, want.steps + 1, rows, pack=number) if want.lack else None


def _add_taper(program: Program, pack: Pack, charge_at: Index, charge: Index, energy: Index) -> None:
    """Keep charging under each line of the taper, at the mean energy of the step."""
    for slope, at_empty in pack.taper:
        reached = at_empty + slope * pack.capacity_kwh < pack.charge_kw[charge_at]
        steps, columns = charge_at[reached], charge[reached]
        later, rows = steps > 0, np.arange(len(steps), dtype=np.int32)
        most = at_empty + np.where(later, 0.0, slope / 2 * begins_with(pack))
        program.rows(
            len(steps),
            -np.inf,
            most,
            (columns, 1.0),
            (energy[steps], -slope / 2),
            (energy[steps[later] - 1], -slope / 2, rows[later]),
        )
