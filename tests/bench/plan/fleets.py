"""A day of a car park that can also feed its building: recorded sessions, a recorded office, prices and sun."""

from datetime import UTC, datetime, timedelta
from functools import cache

import numpy as np
import pyarrow.parquet as pq

from gateway.planning.problem import (
    Band,
    Converter,
    DemandCharge,
    Departure,
    GridSide,
    Horizon,
    Problem,
    Store,
    Wear,
)

from ..car_park import ENERGY

STEPS, HOURS = 96, 0.25
DAY = datetime(2024, 4, 16, tzinfo=UTC)
CAPACITIES_KWH = (24.0, 30.0, 40.0, 62.0)
CHARGE_W, DISCHARGE_W, LEAST_W = 7400.0, 6000.0, 1400.0
OFFICE_PER_BAY_W, SUN_PER_BAY_W = 1500.0, 500.0
PEAK_PER_KW, RELIEF_PER_KWH, WEAR_PER_KWH = 6.0, 30.0, 0.02
_CALIFORNIA = timedelta(hours=-7)
"""The recorded sessions are in UTC."""


def fleet(cars: int, seed: int = 1) -> Problem:
    """Return the day for ``cars`` cars: energy price, demand charge, wear, what each took when it was recorded."""
    office = _simbench("G1-A", 106)
    load_w = office * OFFICE_PER_BAY_W * cars
    sun_w = _simbench("PV3", 106) * SUN_PER_BAY_W * cars
    spot = _spot_per_kwh()
    limit = np.full(STEPS, 20e3 * cars)
    grid = GridSide(
        import_per_kwh=(spot + 0.1288) * 1.21,
        export_per_kwh=spot - 0.01,
        import_max_w=limit,
        export_max_w=limit,
        demand=DemandCharge(PEAK_PER_KW, 0.6 * float(load_w.max())),
    )
    return Problem(
        Horizon(DAY, np.full(STEPS, HOURS)),
        grid,
        Band.sure(load_w),
        Band.sure(sun_w),
        tuple(_car(number, *session) for number, session in enumerate(_sessions(cars, seed))),
        pv_curtailable=True,
    )


def _car(number: int, arrives: int, leaves: int, taken_wh: float, capacity_wh: float, share: float) -> Store:
    converter = Converter(0.93, 0.93, charge_min_w=LEAST_W, discharge_min_w=LEAST_W)
    here = np.zeros(STEPS)
    here[arrives:leaves] = 1.0
    wanted = taken_wh * converter.charge_efficiency
    energy = 0.15 * capacity_wh + share * max(0.0, 0.8 * capacity_wh - wanted)
    return Store(
        f"bay{number:05d}",
        capacity_wh,
        energy,
        CHARGE_W * here,
        DISCHARGE_W * here,
        converter,
        floor_wh=0.15 * capacity_wh,
        wear=Wear(WEAR_PER_KWH),
        departures=(Departure(leaves, energy + wanted, RELIEF_PER_KWH),),
        is_car=True,
    )


@cache
def _recorded() -> tuple[tuple[int, int, float], ...]:
    """Return (arrives, leaves, Wh) of the weekday sessions that can be met at four fifths of full power."""
    table = pq.read_table(ENERGY / "acn_sessions.parquet")
    columns = ("ConnectionStartDateTime", "ConnectionEndDateTime", "Energy")
    found = []
    for begins, ends, kwh in zip(*(table[c].to_pylist() for c in columns), strict=True):
        local = begins + _CALIFORNIA
        at = local.hour + local.minute / 60
        arrives, leaves = int(np.ceil(at / HOURS)), int((at + (ends - begins).total_seconds() / 3600) / HOURS)
        able = 0.8 * CHARGE_W / 1000 * (leaves - arrives) * HOURS
        if local.weekday() < 5 and arrives < leaves <= STEPS and 0.5 < kwh <= able:
            found.append((arrives, leaves, 1000.0 * kwh))
    return tuple(found)


def _sessions(cars: int, seed: int) -> list[tuple[int, int, float, float, float]]:
    chance, recorded = np.random.default_rng(seed), _recorded()
    chosen = []
    for pick in chance.choice(len(recorded), cars, replace=cars > len(recorded)):
        arrives, leaves, taken = recorded[pick]
        taken *= chance.uniform(0.9, 1.0)
        large = [c for c in CAPACITIES_KWH if 800 * c > taken] or CAPACITIES_KWH[-1:]
        capacity = 1000.0 * float(chance.choice(large))
        chosen.append((arrives, leaves, min(taken, 0.8 * capacity), capacity, chance.uniform(0, 1)))
    return chosen


def _simbench(name: str, day: int) -> np.ndarray:
    column = pq.read_table(ENERGY / "simbench_profiles_15min_2016.parquet", columns=[name])[name].to_numpy()
    return np.asarray(column[day * STEPS : (day + 1) * STEPS], np.float64)


def _spot_per_kwh() -> np.ndarray:
    table = pq.read_table(ENERGY / "nl_dayahead_hourly.parquet")
    since = DAY.replace(tzinfo=None)
    first = table["time_utc"].to_pylist().index(since)
    return np.repeat(table["eur_per_mwh"].to_numpy()[first : first + STEPS // 4] / 1000, 4)
