"""Sold frequency reserve: power kept free each way, the energy to hold it, and a connection that can carry it."""

import numpy as np

from gateway.planning.optimizer.facts import Facts, Sold
from gateway.planning.optimizer.program import Index, Program, Term
from gateway.planning.optimizer.soft import PENALTY, Slack
from gateway.planning.optimizer.store import StoreColumns
from gateway.planning.problem import Lack

type Reserve = tuple[Index, Index, tuple[int, ...]]
"""Rows that keep reserve free, their steps, and the stores in them."""


def add_reserves(
    program: Program, facts: Facts, stores: tuple[StoreColumns, ...], bought: Index
) -> tuple[list[Slack], list[Reserve]]:
    """Add every band that was sold; what cannot be kept lacks as an obligation."""
    slacks, reserves = [], []
    for band in facts.sold:
        at = np.flatnonzero(band.power_kw > 0).astype(np.int32)
        cost = PENALTY[Lack.OBLIGATION] * facts.hours[at]
        lacks = program.columns(len(at), 0, band.power_kw[at], cost)
        for way in (1.0, -1.0):
            power = _add_power(program, facts, stores, band, at, lacks, way)
            energy = _add_energy(program, facts, stores, band, at, lacks, way)
            reserves += [(power, at, band.packs), (energy, at, band.packs)]
        carried = np.maximum(facts.import_kw, facts.load_kw - facts.pv_kw)[at] - band.power_kw[at]
        rows = program.rows(len(at), -np.inf, carried, (bought[at], 1.0), (lacks, -1.0))
        slacks.append(Slack(Lack.OBLIGATION, lacks, at, rows, facts.hours[at]))
    return slacks, reserves


def _add_power(
    program: Program,
    facts: Facts,
    stores: tuple[StoreColumns, ...],
    band: Sold,
    at: Index,
    lacks: Index,
    way: float,
) -> Index:
    row = np.full(facts.steps, -1, np.int32)
    row[at] = np.arange(len(at))
    terms: list[Term] = []
    free = np.zeros(facts.steps)
    for number in band.packs:
        pack = facts.packs[number]
        free += pack.charge_kw if way > 0 else pack.discharge_kw
        for columns, sign, steps in stores[number].terms():
            inside = row[steps] >= 0
            terms.append((columns[inside], sign * way, row[steps[inside]]))
    return program.rows(len(at), -np.inf, free[at] - band.power_kw[at], *terms, (lacks, -1.0))


def _add_energy(
    program: Program,
    facts: Facts,
    stores: tuple[StoreColumns, ...],
    band: Sold,
    at: Index,
    lacks: Index,
    way: float,
) -> Index:
    """Keep, at the end of each step, room (``way`` 1) or energy (-1) in the stores that are here."""
    held: list[Term] = []
    room, losses = np.zeros(len(at)), [1.0]
    for number in band.packs:
        pack = facts.packs[number]
        here = (pack.charge_kw[at] > 0) | (pack.discharge_kw[at] > 0)
        held.append((stores[number].energy[at[here]], way, np.flatnonzero(here).astype(np.int32)))
        if way > 0:
            room += np.where(here, pack.capacity_kwh, 0.0)
        else:
            losses.append(pack.converter.discharge_efficiency)
    hold_h = band.hold_h / min(losses)
    most = room - band.power_kw[at] * hold_h
    return program.rows(len(at), -np.inf, most, *held, (lacks, -hold_h))
