"""What is known at a moment of the simulation: prices up to the day-ahead auction, forecasts from the own past."""

from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from gateway.planning.forecast import History, load, pv
from gateway.planning.forecast.gaps import DAYS
from gateway.planning.price_series import completed
from gateway.planning.problem import Band, Horizon, Series
from gateway.year.driving import Habit
from gateway.year.record import DAY, PAST_DAYS, QUARTER_H, Record

AUCTION = 52
"""The quarter of the day, 13:00, from which on tomorrow's prices are known."""


@dataclass(frozen=True, slots=True)
class Sight:
    """How far a plan looks: ``horizon`` quarters, of which the first ``fine`` are steps of their own, then hours."""

    horizon: int = 192
    fine: int = 8


@dataclass(frozen=True, slots=True, eq=False)
class Outlook:
    """``edges`` are the beginnings of the steps, and the end, in quarters after now."""

    horizon: Horizon
    edges: Series
    load_w: Band
    pv_w: Band
    import_per_kwh: Series
    export_per_kwh: Series


def outlook(record: Record, now: int, habit: Habit, sight: Sight) -> Outlook:
    """Return what is known at the beginning of the simulated quarter ``now``."""
    edges = _edges(record.slot_of_day(now), habit, sight)
    hours = np.diff(edges) * QUARTER_H
    horizon = Horizon(record.at(now), hours)
    past = slice(max(0, record.begin + now - PAST_DAYS * DAY), record.begin + now)
    past_from = record.starts_at + timedelta(minutes=15 * past.start)
    load_w = load(History(past_from, 900, record.load_w[past]), horizon.starts_at, hours, record.zone)
    pv_w = pv(History(past_from, 900, record.pv_w[past]), horizon.starts_at, hours)
    if not record.pv_w[past].any():
        pv_w = Band.sure(np.zeros(len(hours)))
    sides = (record.import_per_kwh, record.export_per_kwh)
    known = tuple(_known(side, record, now, sight.horizon) for side in sides)
    prices = completed((known[0], known[1]), horizon, record.zone)
    return Outlook(horizon, edges, load_w, pv_w, prices.import_per_kwh, prices.export_per_kwh)


def _edges(slot: int, habit: Habit, sight: Sight) -> Series:
    """Return where steps begin: quarters first, then whole hours, and wherever the habit moves the car."""
    quarters = np.arange(sight.horizon + 1)
    of_day = (slot + quarters) % DAY
    moves = ((habit.leaves - habit.caution) % DAY, habit.leaves, habit.returns)
    marks = (quarters <= sight.fine) | (of_day % 4 == 0) | np.isin(of_day, moves)
    marks[-1] = True
    edges: Series = quarters[marks].astype(np.float64)
    return edges


def _known(series: Series, record: Record, now: int, ahead: int) -> Series:
    """Return prices of the last weeks, and of ``ahead`` quarters up to the end of the last day that was auctioned; NaN beyond."""
    here, slot = record.begin + now, record.slot_of_day(now)
    until = here - slot + DAY * (1 if slot < AUCTION else 2)
    at = here - DAYS * DAY + np.arange(DAYS * DAY + ahead)
    known = (at >= 0) & (at < min(until, len(series)))
    return np.where(known, series[np.clip(at, 0, len(series) - 1)], np.nan)
