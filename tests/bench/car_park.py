"""A day of a car park below an office, from recorded sessions and loads; and the least peak that any scheduler could reach."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from random import Random

import highspy
import numpy as np
import pyarrow.parquet as pq

ENERGY = Path(__file__).resolve().parents[3] / "shared/data/energy"
MOST_W, MOST_KWH = 7400.0, 60.0
DAY_BEGINS_H, DAY_ENDS_H = 6, 20
SLOT_S = 900
_CALIFORNIA = timedelta(hours=-7)
"""The recorded sessions are in UTC."""


@dataclass(frozen=True, slots=True)
class Session:
    """A car at a bay from ``arrives_s`` to ``leaves_s`` after the day's begin, that must take ``energy_wh`` (AC)."""

    bay: int
    arrives_s: float
    leaves_s: float
    energy_wh: float


def sessions(bays: int, seed: int) -> list[Session]:
    """Return one session a bay, drawn from the recorded ones of weekdays that can be met at full power."""
    table = pq.read_table(ENERGY / "acn_sessions.parquet")
    columns = ("ConnectionStartDateTime", "ConnectionEndDateTime", "Energy")
    found = []
    for begins, ends, kwh in zip(*(table[c].to_pylist() for c in columns), strict=True):
        local, hours = begins + _CALIFORNIA, (ends - begins).total_seconds() / 3600
        hour = local.hour + local.minute / 60
        fits = DAY_BEGINS_H <= hour <= 12 and 2 <= hours <= DAY_ENDS_H - hour and local.weekday() < 5
        if fits and 0.5 < kwh <= min(MOST_KWH, 0.8 * MOST_W / 1000 * (hours - 0.5)):
            found.append((hour, hours, kwh))
    drawn = Random(seed).sample(found, bays)
    return [
        Session(n, (hour - DAY_BEGINS_H) * 3600, (hour + hours - DAY_BEGINS_H) * 3600, kwh * 1000)
        for n, (hour, hours, kwh) in enumerate(drawn)
    ]


def office_w(peak_w: float, day: int = 40) -> Sequence[float]:
    """Return the quarter-hour means of a recorded office (SimBench G1-A) over the day, scaled to ``peak_w`` of the year."""
    table = pq.read_table(ENERGY / "simbench_profiles_15min_2016.parquet", columns=["G1-A"])
    first = day * 96 + DAY_BEGINS_H * 4
    values = table["G1-A"].to_numpy()[first : first + (DAY_ENDS_H - DAY_BEGINS_H) * 4]
    return [float(v) * peak_w for v in values]


def least_peak_w(
    cars: Sequence[Session],
    base_w: Sequence[float],
    shared: Sequence[Collection[int]] = (),
    shared_w: float = float("inf"),
) -> float:
    """Return the lowest quarter-hour mean that charging alone can reach with perfect foresight (a linear program).

    The bays of each of ``shared`` have ``shared_w`` together. Raises ValueError when not every need can be met.
    """
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    peak = model.addVariable(lb=max(base_w), obj=1.0)
    in_slot: list[list[highspy.highs_var]] = [[] for _ in base_w]
    behind: dict[tuple[int, int], list[highspy.highs_var]] = {}
    group_of = {bay: group for group, bays in enumerate(shared) for bay in bays}
    for car in cars:
        first, last = int(np.ceil(car.arrives_s / SLOT_S)), int(car.leaves_s // SLOT_S)
        powers = [model.addVariable(lb=0.0, ub=MOST_W) for _ in range(first, last)]
        model.addConstr(sum(powers) * (SLOT_S / 3600) >= car.energy_wh)
        for slot, power in zip(range(first, last), powers, strict=True):
            in_slot[slot].append(power)
            if car.bay in group_of:
                behind.setdefault((group_of[car.bay], slot), []).append(power)
    for powers in behind.values():
        model.addConstr(sum(powers) <= shared_w)
    for slot, powers in enumerate(in_slot):
        if powers:
            model.addConstr(peak - sum(powers) >= base_w[slot])
    model.minimize()
    if model.getModelStatus() != highspy.HighsModelStatus.kOptimal:
        raise ValueError("these needs cannot all be met")
    return float(model.val(peak))


def unmanaged_peak_w(cars: Sequence[Session], base_w: Sequence[float]) -> float:
    """Return the highest quarter-hour mean when each car charges at full power as it arrives."""
    total = np.zeros(len(base_w) * SLOT_S)
    for car in cars:
        begins = int(car.arrives_s)
        total[begins : begins + int(car.energy_wh / MOST_W * 3600)] += MOST_W
    return float(max(total.reshape(-1, SLOT_S).mean(axis=1) + np.array(base_w)))
