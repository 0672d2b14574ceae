"""The columns and rows of the connection and of what the stores share."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.program import Index, Program, Term
from gateway.planning.optimizer.reserve import Reserve, add_reserves
from gateway.planning.optimizer.soft import DOUBT, PENALTY, Slack
from gateway.planning.optimizer.store import StoreColumns, add_store
from gateway.planning.problem import Lack, Series


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """Where everything stands; ``unpriced`` columns steer without being paid for; ``peak`` is empty or a column, ``tiers`` are rows."""

    bought: Index
    sold: Index
    curtailed: Index
    balance: Index
    stores: tuple[StoreColumns, ...]
    slacks: tuple[Slack, ...]
    unpriced: Index
    reserves: tuple[Reserve, ...]
    peak: Index
    tiers: Index

    def our_kw(self, values: Series) -> Series:
        """Return the power into each store (stores × steps)."""
        flows = [np.subtract(*store.flow(values)) for store in self.stores]
        return np.array(flows).reshape(len(self.stores), len(self.bought))


def lay_out(facts: Facts) -> tuple[Program, Layout]:
    """Return the programme of ``facts``."""
    program, steps, hours = Program(), facts.steps, facts.hours
    net = facts.load_kw - facts.pv_kw
    stores = tuple(add_store(program, facts, number) for number in range(len(facts.packs)))
    import_kw, export_kw = most_exchange(facts)
    bought = program.columns(steps, 0, import_kw, facts.buy * hours)
    sold = program.columns(steps, 0, export_kw, -facts.sell * hours)
    dumped = facts.pv_kw if facts.curtailable else np.zeros(0)
    curtailed = program.columns(len(dumped), 0, dumped)
    taken = [(columns, -sign, at) for store in stores for columns, sign, at in store.terms()]
    every = np.arange(len(dumped), dtype=np.int32)
    balance = program.rows(steps, net, net, (bought, 1.0), (sold, -1.0), (curtailed, -1.0, every), *taken)
    _add_circuits(program, facts, stores)
    peak, tiers = _add_peak(program, facts, bought), _add_tiers(program, facts, bought)
    if not facts.battery_may_charge_car:
        _add_no_battery_to_car(program, facts, stores, sold)
    doubt = _add_room_for_doubt(program, facts, bought)
    kept, reserves = add_reserves(program, facts, stores, bought)
    slacks = (*_limits(program, facts, bought, sold), *kept)
    return program, Layout(
        bought, sold, curtailed, balance, stores, slacks, doubt, tuple(reserves), peak, tiers
    )


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
        terms = [term for number in circuit.packs for term in stores[number].terms()]
        program.rows(facts.steps, circuit.least_kw, circuit.most_kw, *terms)


def _add_peak(program: Program, facts: Facts, bought: Index) -> Index:
    """Add the month's highest mean import, of whole metered intervals."""
    spans, hours = facts.peak_of, facts.hours
    if facts.peak_per_kw <= 0 or not spans:
        return np.zeros(0, np.int32)
    peak = program.columns(1, facts.peak_so_far_kw, np.inf, facts.peak_per_kw)
    within = np.concatenate([np.full(b - a, i, np.int32) for i, (a, b) in enumerate(spans)])
    share = np.concatenate([hours[a:b] / max(hours[a:b].sum(), 1e-9) for a, b in spans])
    every, steps = np.arange(len(spans), dtype=np.int32), np.arange(len(within), dtype=np.int32)
    mean = (bought[steps], share, within)
    program.rows(len(spans), -np.inf, 0, mean, (np.repeat(peak, len(spans)), -1.0, every))
    return peak


def _add_tiers(program: Program, facts: Facts, bought: Index) -> Index:
    """Add what import costs more above each tier; return their rows."""
    tiers = [(above, extra) for above, extra in facts.tiers if extra > 0]
    above, extra = np.array(tiers, np.float64).reshape(-1, 2).T
    dearer = program.columns(len(tiers), 0, np.inf, extra)
    in_all, row = np.tile(bought, len(tiers)), np.repeat(np.arange(len(tiers)), facts.steps).astype(np.int32)
    return program.rows(
        len(tiers), -np.inf, above, (in_all, np.tile(facts.hours, len(tiers)), row), (dearer, -1.0)
    )


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


def _add_room_for_doubt(program: Program, facts: Facts, bought: Index) -> Index:
    """Leave room under the import limit for what a bad day draws more, as long as that is cheap."""
    able, _ = most_exchange(facts)
    at = np.flatnonzero((facts.doubt_kw > 0) & (able + facts.doubt_kw > facts.import_kw)).astype(np.int32)
    over = program.columns(len(at), 0, np.inf, DOUBT * facts.hours[at])
    room = np.maximum(facts.import_kw - facts.doubt_kw, 0)[at]
    program.rows(len(at), -np.inf, room, (bought[at], 1.0), (over, -1.0))
    return over


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
        rows = program.rows(len(at), -np.inf, most[at], (exchange[at], 1.0), (over, -1.0))
        slacks.append(Slack(lack, over, at, rows, facts.hours[at]))
    at = np.flatnonzero(~np.isnan(facts.obliged_kw)).astype(np.int32)
    cost = PENALTY[Lack.OBLIGATION] * facts.hours[at]
    more, less = program.columns(len(at), 0, np.inf, cost), program.columns(len(at), 0, np.inf, cost)
    promised = facts.obliged_kw[at]
    rows = program.rows(
        len(at), promised, promised, (bought[at], 1.0), (sold[at], -1.0), (more, -1.0), (less, 1.0)
    )
    slacks += [Slack(Lack.OBLIGATION, off, at, rows, facts.hours[at]) for off in (more, less)]
    return slacks
