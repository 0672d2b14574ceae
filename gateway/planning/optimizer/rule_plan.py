"""The plan by rule: cars charge at once until they are ready, batteries follow the sun. It needs no solver."""

import numpy as np

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.reading import LEAST_KWH, charging_minutes, in_order
from gateway.planning.optimizer.wants import wants_of
from gateway.planning.problem import Made, Schedule, Series, Shortfall

REASON = "plan_rule"


def rule_plan(facts: Facts) -> Schedule:
    """Return a schedule that keeps every hard bound, whatever it costs."""
    powers, energies = (
        np.zeros((len(facts.packs), facts.steps)),
        np.zeros((len(facts.packs), facts.steps + 1)),
    )
    energies[:, 0] = [pack.energy_kwh for pack in facts.packs]
    level = [_less(pack, 0, pack.energy_kwh) for pack in facts.packs]
    net = facts.load_kw - facts.pv_kw
    for step in range(facts.steps):
        for number in sorted(range(len(facts.packs)), key=lambda n: not facts.packs[n].is_car):
            pack = facts.packs[number]
            wish = _wish(facts, pack, step, level[number], float(net[step] + powers[:, step].sum()))
            powers[number, step] = power = _allowed(facts, number, step, wish, powers[:, step])
            energies[number, step + 1] = level[number] = _less(
                pack, step + 1, _after(pack, level[number], power, float(facts.hours[step]))
            )
    grid = net + powers.sum(0)
    curtailed = (
        np.minimum(np.maximum(-grid - facts.export_kw, 0), facts.pv_kw)
        if facts.curtailable
        else np.zeros(facts.steps)
    )
    grid = grid + curtailed
    cost = float((np.maximum(grid, 0) * facts.buy + np.minimum(grid, 0) * facts.sell) @ facts.hours)
    return Schedule(
        made=Made.BY_RULE,
        power_w={pack.id: powers[n] * 1e3 for n, pack in enumerate(facts.packs)},
        energy_wh={pack.id: energies[n] * 1e3 for n, pack in enumerate(facts.packs)},
        grid_w=grid * 1e3,
        curtailed_w=curtailed * 1e3,
        cost=cost,
        bound=None,
        codes={pack.id: (REASON,) * facts.steps for pack in facts.packs},
        shortfalls=in_order(
            [s for n, pack in enumerate(facts.packs) for s in _lacks(facts, pack, energies[n])]
        ),
    )


def _lacks(facts: Facts, pack: Pack, energies: Series) -> list[Shortfall]:
    """Return what ``energies`` fall short of."""
    lacks = []
    for want in wants_of(facts, pack):
        for step, kwh in zip(want.steps.tolist(), want.kwh.tolist(), strict=True):
            short = energies[step + 1] - kwh if want.most else kwh - energies[step + 1]
            if want.lack and short > LEAST_KWH:
                minutes = charging_minutes(pack, short)
                lacks.append(Shortfall(want.lack, step + 1, float(short * 1e3), minutes, pack.id))
    return lacks


def _wish(facts: Facts, pack: Pack, step: int, level: float, net_kw: float) -> float:
    """Return the power that a store would take: what fills a car, what levels the house for a battery."""
    hours, converter = max(float(facts.hours[step]), 1e-3), pack.converter
    room = (pack.ceiling_kwh - level) / hours / converter.charge_efficiency
    spare = (
        (level - max(pack.floor_kwh, float(pack.reserve_kwh[step]))) / hours * converter.discharge_efficiency
    )
    if pack.is_car:
        due = max((d.energy_wh for d in pack.departures if d.step > step), default=0.0)
        return max(room, min(due, pack.capacity_kwh) - level, 0.0) if room > 0 or due > level else 0.0
    return float(np.clip(-net_kw, -max(spare - converter.idle_w, 0.0), max(room, 0.0)))


def _allowed(facts: Facts, number: int, step: int, wish: float, powers: Series) -> float:
    """Return ``wish`` within the store's, the circuits' and the connection's limits; 0 where that is below its least."""
    pack, net = facts.packs[number], float(facts.load_kw[step] - facts.pv_kw[step])
    most, least = float(pack.charge_kw[step]), -float(pack.discharge_kw[step])
    others = float(powers.sum() - powers[number])
    most = min(most, max(0.0, min(facts.import_kw[step], facts.import_cap_kw[step]) - net - others))
    least = max(least, min(0.0, -min(facts.export_kw[step], facts.export_cap_kw[step]) - net - others))
    for circuit in facts.circuits:
        if number in circuit.packs:
            beside = float(powers[list(circuit.packs)].sum() - powers[number])
            most = min(most, max(0.0, float(circuit.most_kw[step]) - beside))
            least = max(least, min(0.0, float(circuit.least_kw[step]) - beside))
    power = min(max(wish, least), most)
    floor = pack.converter.charge_min_w if power > 0 else pack.converter.discharge_min_w
    return power if abs(power) >= max(floor, pack.converter.idle_w) else 0.0


def _after(pack: Pack, level: float, power: float, hours: float) -> float:
    converter = pack.converter
    if power > 0:
        level += (power - converter.idle_w) * converter.charge_efficiency * hours
    elif power < 0:
        level -= (-power + converter.idle_w) / converter.discharge_efficiency * hours
    return min(max(level, 0.0), pack.capacity_kwh)


def _less(pack: Pack, step: int, level: float) -> float:
    """Return ``level`` after the trips that end at ``step``."""
    return max(0.0, level - sum(t.energy_wh for t in pack.trips if t.step == step))
