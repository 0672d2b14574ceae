"""What a schedule is worth: set-points are clipped to what the hardware can do, what comes of them is paid, what lacks is priced.

It knows no optimizer, and shares no code with one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .case import STRANDED_PER_KWH, Case, Pack


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is paid; how many kWh were not as planned, how many lacked at departures, and were imported above the limit."""

    cost: float
    clipped_kwh: float
    short_kwh: float
    over_kwh: float


def judge(case: Case, power_kw: Mapping[str, np.ndarray]) -> Verdict:
    """Return what the powers cost; a pack without any stands idle."""
    steps, net = len(case.hours), case.load - case.sun
    cost = clipped = short = 0.0
    for pack in case.packs:
        drawn, own_cost, lacked, cut = _play(case, pack, power_kw.get(pack.name, np.zeros(steps)))
        net = net + drawn
        cost, short, clipped = cost + own_cost, short + lacked, clipped + cut
    if case.spill:
        net = np.where((net < 0) & (case.sell < 0), np.minimum(net + case.sun, 0.0), net)
    bought, sold = np.maximum(net, 0), np.maximum(-net, 0)
    over = float(np.maximum(bought - case.most_import, 0) @ case.hours)
    cost += float((bought * case.buy - sold * case.sell) @ case.hours) + case.over_price * over
    cost += case.peak_price * max(0.0, float(bought.max()) - case.peak_so_far)
    return Verdict(cost, clipped, short, over)


def _play(case: Case, pack: Pack, wanted: np.ndarray) -> tuple[np.ndarray, float, float, float]:
    """Return what a pack really draws, what it costs beside its energy, and the kWh that lacked and were clipped."""
    dues: dict[int, list[tuple[float, float]]] = {}
    for step, kwh, price in pack.dues:
        dues.setdefault(step, []).append((kwh, price))
    trips = dict(pack.trips)
    drawn, level, cost, lacked, cut = np.zeros(len(wanted)), pack.energy, 0.0, 0.0, 0.0
    for step in range(len(wanted) + 1):
        for kwh, price in dues.get(step, ()):
            lacked += max(0.0, kwh - level)
            cost += price * max(0.0, kwh - level)
        if step in trips:
            cost += STRANDED_PER_KWH * max(0.0, trips[step] - level)
            level = max(0.0, level - trips[step])
        if step == len(wanted):
            break
        hours, power = float(case.hours[step]), _able(pack, step, float(wanted[step]))
        if power > 0:
            power = min(power, (pack.capacity - level) / pack.into / hours)
            level += power * pack.into * hours
        elif power < 0:
            power = -min(-power, max(0.0, level - pack.floor) * pack.out / hours)
            level += power / pack.out * hours
            cost -= pack.wear * power / pack.out * hours
        drawn[step] = power
        cut += abs(power - float(wanted[step])) * hours
    return drawn, cost + pack.end_price * max(0.0, pack.end - level), lacked, cut


def _able(pack: Pack, step: int, power: float) -> float:
    """Return the power within the limits; below its least a converter stands still."""
    power = min(max(power, -float(pack.discharge[step])), float(pack.charge[step]))
    least = pack.least_charge if power > 0 else pack.least_discharge
    return power if abs(power) >= least - 1e-6 else 0.0
