"""The columns and rows of the connection and of what the stores share."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.program import Index, Program, Term
from gateway.planning.optimizer.soft import DOUBT, PENALTY, Slack
from gateway.planning.optimizer.store import StoreColumns, add_store
from gateway.planning.problem import Lack, Series


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything stands."""

    bought: Index
    sold: Index
    curtailed: Index
    balance: Index
    stores: tuple[StoreColumns, ...]
    slacks: tuple[Slack, ...]


def lay_out(program: Program, facts: Facts) -> Layout:
    """Add all of ``facts`` to an empty programme."""
    steps, hours, net = facts.steps, facts.hours, facts.load_kw - facts.pv_kw
    stores = tuple(add_store(program, facts, number) for number in range(len(facts.packs)))
    import_kw, export_kw = most_exchange(facts)
    bought = program.columns(steps, 0, import_kw, facts.buy * hours)
    sold = program.columns(steps, 0, export_kw, -facts.sell * hours)
    curtailed = program.columns(steps, 0, facts.pv_kw) if facts.curtailable else np.zeros(0, np.int32)
    ours: list[Term] = [term for store in stores for term in powers(store)]
    balance = program.rows(
        steps,
        net,
        net,
        (bought, 1.0),
        (sold, -1.0),
        (curtailed, -1.0, np.arange(len(curtailed), dtype=np.int32)),
        *((columns, -np.asarray(sign), at) for columns, sign, at in ours),
    )
    _add_circuits(program, facts, stores)
    _add_peak(program, facts, bought)
    _add_tiers(program, facts, bought)
    if not facts.battery_may_charge_car:
        _add_no_battery_to_car(program, facts, stores, sold)
    slacks = (*_limits(program, facts, bought, sold), *_reserves(program, facts, stores, bought))
    return Layout(bought, sold, curtailed, balance, stores, slacks)


def powers(store: StoreColumns) -> tuple[tuple[Index, float, Index], tuple[Index, float, Index]]:
    """Return the terms of a store's power into it, by step."""
    return (store.charge, 1.0, store.charge_at), (store.discharge, -1.0, store.discharge_at)


def most_exchange(facts: Facts) -> tuple[Series, Series]:
    """Return what can be imported and exported at most: the limits, or what the house does beyond them without us."""
    net, kept = facts.load_kw - facts.pv_kw, facts.load_kw - (0 if facts.curtailable else facts.pv_kw)
    charge = sum((p.charge_kw for p in facts.packs), np.zeros(facts.steps))
    discharge = sum((p.discharge_kw for p in facts.packs), np.zeros(facts.steps))
    drawn = facts.load_kw if facts.curtailable else net
    return (
        np.maximum(0, np.minimum(np.maximum(facts.import_kw, net), drawn + charge)),
        np.maximum(0, np.minimum(np.maximum(facts.export_kw, -kept), discharge - net)),
    )


def _add_circuits(program: Program, facts: Facts, stores: tuple[StoreColumns, ...]) -> None:
    for circuit in facts.circuits:
        terms = [term for number in circuit.packs for term in powers(stores[number])]
        program.rows(facts.steps, circuit.least_kw, circuit.most_kw, *terms)


def _add_peak(program: Program, facts: Facts, bought: Index) -> None:
    if facts.peak_per_kw <= 0 or not facts.peak_of:
        return
    peak = program.columns(1, facts.peak_so_far_kw, np.inf, facts.peak_per_kw)
    spans, hours = facts.peak_of, facts.hours
    within = np.concatenate([np.full(b - a, i, np.int32) for i, (a, b) in enumerate(spans)])
    share = np.concatenate([hours[a:b] / max(hours[a:b].sum(), 1e-9) for a, b in spans])
    every = np.arange(len(spans), dtype=np.int32)
    program.rows(
        len(spans),
        -np.inf,
        0,
        (bought[: len(within)], share, within),
        (np.repeat(peak, len(spans)), -1.0, every),
    )


def _add_tiers(program: Program, facts: Facts, bought: Index) -> None:
    for above, extra in facts.tiers:
        if extra > 0:
            dearer = program.columns(1, 0, np.inf, extra)
            first = np.zeros(facts.steps, np.int32)
            program.rows(1, -np.inf, above, (bought, facts.hours, first), (dearer, -1.0))


def _add_no_battery_to_car(
    program: Program, facts: Facts, stores: tuple[StoreColumns, ...], sold: Index
) -> None:
    """Let batteries give no more than the house takes beside what is exported.

    Where a car charges beyond that, import and export would run at once, which costs the spread and is forbidden by
    a binary where it does not: then either nothing is exported, or no car charges from the grid.
    """
    cars = [s for s, p in zip(stores, facts.packs, strict=True) if p.is_car]
    batteries = [s for s, p in zip(stores, facts.packs, strict=True) if not p.is_car and len(s.discharge)]
    if not cars or not batteries:
        return
    charging = np.unique(np.concatenate([s.charge_at for s in cars]))
    at = np.full(facts.steps, -1, np.int32)
    at[charging] = np.arange(len(charging))
    house = np.maximum(0, facts.load_kw - facts.pv_kw)[charging]
    terms: list[Term] = []
    for store in batteries:
        both = at[store.discharge_at] >= 0
        terms.append((store.discharge[both], 1.0, at[store.discharge_at[both]]))
    program.rows(len(charging), -np.inf, house, *terms, (sold[charging], -1.0))


def _limits(program: Program, facts: Facts, bought: Index, sold: Index) -> list[Slack]:
    """Add what the utility asks for, and what the house breaks by itself."""
    net = facts.load_kw - facts.pv_kw
    most_bought, most_sold = most_exchange(facts)
    out = -np.where(facts.curtailable, facts.load_kw, net)
    slacks = []
    for lack, most, exchange, able in (
        (Lack.SAFETY, np.where(net > facts.import_kw, facts.import_kw, np.inf), bought, most_bought),
        (Lack.SAFETY, np.where(out > facts.export_kw, facts.export_kw, np.inf), sold, most_sold),
        (Lack.CAP, facts.import_cap_kw, bought, most_bought),
        (Lack.CAP, facts.export_cap_kw, sold, most_sold),
    ):
        at = np.flatnonzero(most < able).astype(np.int32)
        over = program.columns(len(at), 0, np.inf, PENALTY[lack] * facts.hours[at])
        program.rows(len(at), -np.inf, most[at], (exchange[at], 1.0), (over, -1.0))
        slacks.append(Slack(lack, over, at, facts.hours[at]))
    at = np.flatnonzero((facts.doubt_kw > 0) & (most_bought + facts.doubt_kw > facts.import_kw)).astype(
        np.int32
    )
    over = program.columns(len(at), 0, np.inf, DOUBT * facts.hours[at])
    room = np.maximum(facts.import_kw - facts.doubt_kw, 0)[at]
    program.rows(len(at), -np.inf, room, (bought[at], 1.0), (over, -1.0))
    at = np.flatnonzero(~np.isnan(facts.obliged_kw)).astype(np.int32)
    cost = PENALTY[Lack.OBLIGATION] * facts.hours[at]
    more, less = program.columns(len(at), 0, np.inf, cost), program.columns(len(at), 0, np.inf, cost)
    promised = facts.obliged_kw[at]
    program.rows(len(at), promised, promised, (bought[at], 1.0), (sold[at], -1.0), (more, -1.0), (less, 1.0))
    slacks += [Slack(Lack.OBLIGATION, off, at, facts.hours[at]) for off in (more, less)]
    return slacks


def _reserves(program: Program, facts: Facts, stores: tuple[StoreColumns, ...], bought: Index) -> list[Slack]:
    """Keep sold reserve free each way, with the energy to hold it, and the connection able to carry it."""
    slacks = []
    for band in facts.sold:
        at = np.flatnonzero(band.power_kw > 0).astype(np.int32)
        if not len(at):
            continue
        rows, sold = np.full(facts.steps, -1, np.int32), band.power_kw[at]
        rows[at] = np.arange(len(at))
        lacks = program.columns(len(at), 0, sold, PENALTY[Lack.OBLIGATION] * facts.hours[at])
        packs = [facts.packs[number] for number in band.packs]
        for way in (1.0, -1.0):
            terms: list[Term] = []
            for number in band.packs:
                for columns, sign, steps in powers(stores[number]):
                    inside = rows[steps] >= 0
                    terms.append((columns[inside], sign * way, rows[steps[inside]]))
            free = sum((p.charge_kw if way > 0 else p.discharge_kw for p in packs), np.zeros(facts.steps))[at]
            program.rows(len(at), -np.inf, free - sold, *terms, (lacks, -1.0))
            held: list[Term] = []
            room = np.zeros(len(at))
            for number, pack in zip(band.packs, packs, strict=True):
                here = (pack.charge_kw[at] > 0) | (pack.discharge_kw[at] > 0)
                held.append((stores[number].energy[at[here]], way, np.flatnonzero(here).astype(np.int32)))
                room += np.where(here, pack.capacity_kwh if way > 0 else 0.0, 0.0)
            loss = min((p.converter.discharge_efficiency for p in packs), default=1.0) if way < 0 else 1.0
            need = sold * band.hold_h / loss
            program.rows(len(at), -np.inf, room - need, *held, (lacks, -band.hold_h / loss))
        carried = np.maximum(facts.import_kw, facts.load_kw - facts.pv_kw)[at] - sold
        program.rows(len(at), -np.inf, carried, (bought[at], 1.0), (lacks, -1.0))
        slacks.append(Slack(Lack.OBLIGATION, lacks, at, facts.hours[at]))
    return slacks
