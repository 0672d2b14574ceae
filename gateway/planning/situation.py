"""Pure: what is known of the site now → the ``Problem`` of its next two days. What is missing is assumed, and said."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gateway.config import CircuitTable
from gateway.model import ToldSlot, WindowKind
from gateway.planning import charges, forecast, price_series
from gateway.planning.carbon import carbon_series
from gateway.planning.problem import (
    Band,
    CircuitLimit,
    DemandCharge,
    GridSide,
    Horizon,
    Problem,
    ReserveBand,
    Series,
)
from gateway.planning.question import Past, Question
from gateway.planning.steps import Stretch, horizon_of, largest, least, mean, quarters_told
from gateway.planning.stores import stores_of
from gateway.planning.tariffs import priced

PAST = timedelta(days=35)
"""Prices of so long ago still make the guess of those to come."""
DOUBT = 0.3
"""How far the day may be off a forecast that comes without quantiles."""
QUARTER_S = 900
QUARTER, MOST_QUARTERS = timedelta(seconds=QUARTER_S), 4 * 72
PEAK_PER_KW = 5.0
"""What a site with a target for its peak, but no tariff for it, is taken to pay above it, per kW."""


@dataclass(frozen=True, slots=True, eq=False)
class Situation:
    """A problem, and the codes of what had to be assumed for it (model.PLAN_NOTES)."""

    problem: Problem
    notes: tuple[str, ...] = ()


def situation(question: Question) -> Situation:
    """Return the problem that ``question`` poses; never fails for want of a price, a meter, a history or a charge."""
    planning, utc = question.site.planning, question.snapshot.utc
    horizon = horizon_of(utc, planning.step_min, planning.horizon_h)
    notes: list[str] = []
    bought, sold = _prices(question, horizon, notes)
    found = stores_of(question, horizon, float(np.mean(bought)))
    if found.unknown:
        notes.append("soc_unknown")
    load_w, pv_w = _load(question, horizon, notes), _sun(question, horizon)
    problem = Problem(
        horizon,
        _grid(question, horizon, bought, sold),
        load_w,
        pv_w,
        found.stores,
        tuple(_circuits(question, horizon)),
        tuple(_reserves(question, horizon)),
        battery_may_charge_car=question.wishes.owner.battery_may_charge_car,
    )
    return Situation(problem, tuple(notes))


# ── prices ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _prices(question: Question, horizon: Horizon, notes: list[str]) -> tuple[Series, Series]:
    zone, ends_at = ZoneInfo(question.site.time_zone), horizon.at(horizon.steps)
    slots = priced(question.site.tariff, question.prices, horizon.starts_at - PAST, ends_at, zone)
    known = price_series.series(slots, horizon, zone)
    if not known.known[0]:
        notes.append("price_unknown")
    elif not known.known.all():
        notes.append("price_guessed")
    return known.import_per_kwh, known.export_per_kwh


# ── load and sun ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _load(question: Question, horizon: Horizon, notes: list[str]) -> Band:
    if question.snapshot.grid() is None:
        notes.append("no_meter")
    told = _told(question.load, horizon)
    if told is not None and not np.isnan(told.p50).any():
        return told
    zone = ZoneInfo(question.site.time_zone)
    past = question.past
    if past is None or not np.isfinite(past.load_w).any():
        notes.append("no_history")
    own = forecast.load(_history(past, horizon, "load_w"), horizon.starts_at, horizon.hours, zone)
    return _seen(own if told is None else _over(told, own), past, horizon)


def _seen(band: Band, past: Past | None, horizon: Horizon) -> Band:
    """Return the forecast, whose first step is what the quarter under way has shown so far, where it was watched."""
    if past is None:
        return band
    quarter = int((horizon.starts_at - past.starts_at).total_seconds() // QUARTER_S)
    if quarter != len(past.load_w) - 1 or not np.isfinite(past.load_w[-1]):
        return band
    now_w = np.concatenate(([max(0.0, past.load_w[-1])], np.full(horizon.steps - 1, np.nan)))
    return _over(Band.sure(now_w), band)


def _sun(question: Question, horizon: Horizon) -> Band:
    """What was told of the sun is corrected by how wrong it was so far; where the sun is not measured, it is taken as told."""
    ahead = tuple(s for s in question.solar if s.ends_at > horizon.starts_at)
    told, past = _told(ahead, horizon), question.past
    if past is None or not np.isfinite(past.pv_w).any():
        none = Band.sure(np.zeros(horizon.steps))
        return none if told is None else _over(told, none)
    history, handed = _history(past, horizon, "pv_w"), quarters_told(question.solar) if told else None
    found = forecast.pv(history, horizon.starts_at, horizon.hours, handed=handed)
    return found if told is None else _as_wide_as_told(found, ahead, told.p50, horizon)


def _as_wide_as_told(found: Band, ahead: Iterable[ToldSlot], told_w: Series, horizon: Horizon) -> Band:
    """Return the corrected forecast with the quantiles that were told, corrected alike, where there were any."""
    right = np.divide(found.p50, told_w, out=np.ones(horizon.steps), where=told_w > 0)
    low, high = (
        right
        * mean(horizon, ((s.starts_at, s.ends_at, q) for s in ahead if (q := getattr(s, name)) is not None))
        for name in ("p10", "p90")
    )
    return Band(
        found.p50,
        np.where(np.isnan(low), found.p10, np.minimum(low, found.p50)),
        np.where(np.isnan(high), found.p90, np.maximum(high, found.p50)),
    )


def _history(past: Past | None, horizon: Horizon, name: str) -> forecast.History:
    if past is None:
        return forecast.History(horizon.starts_at, 900, np.zeros(0))
    return forecast.History(past.starts_at, 900, np.asarray(getattr(past, name), np.float64))


def _told(slots: Iterable[ToldSlot], horizon: Horizon) -> Band | None:
    """Return a forecast that was handed in, NaN where it does not reach; None where it does not reach at all."""
    slots = tuple(slots)

    def part(name: str, factor: float) -> Series:
        return mean(horizon, (_stretch(s, getattr(s, name), factor) for s in slots))

    middle = mean(horizon, ((s.starts_at, s.ends_at, s.value) for s in slots))
    if np.isnan(middle).all():
        return None
    return Band(
        middle, np.minimum(part("p10", 1 - DOUBT), middle), np.maximum(part("p90", 1 + DOUBT), middle)
    )


def _stretch(slot: ToldSlot, quantile: float | None, factor: float) -> Stretch:
    return slot.starts_at, slot.ends_at, slot.value * factor if quantile is None else quantile


def _over(told: Band, own: Band) -> Band:
    """Return what was told, and our own where nothing was."""
    known = ~np.isnan(told.p50)
    return Band(
        np.where(known, told.p50, own.p50),
        np.where(known, told.p10, own.p10),
        np.where(known, told.p90, own.p90),
    )


# ── the connection ───────────────────────────────────────────────────────────────────────────────────────────────────


def _grid(question: Question, horizon: Horizon, bought: Series, sold: Series) -> GridSide:
    table, ones = question.site.grid, np.ones(horizon.steps)
    fuse_w = table.main_fuse_a * table.nominal_voltage_v * table.phases
    return GridSide(
        bought,
        sold,
        import_max_w=min(fuse_w, _or_inf(table.import_limit_w)) * ones,
        export_max_w=min(fuse_w, _or_inf(table.export_limit_w)) * ones,
        import_cap_w=least(horizon, _windows(question, WindowKind.IMPORT_LIMIT)),
        export_cap_w=least(horizon, _windows(question, WindowKind.EXPORT_LIMIT)),
        obliged_w=mean(horizon, _windows(question, WindowKind.DISPATCH)),
        carbon_g_per_kwh=carbon_series(_carbon(question), horizon, ZoneInfo(question.site.time_zone)),
        carbon_per_kg=question.site.planning.carbon_per_kg,
        demand=_demand(question, horizon),
        tiers=charges.tiers(question.site.tariff, question.imported_wh),
    )


def _carbon(question: Question) -> dict[datetime, float]:
    """Return what was told, for each quarter of an hour that it holds for."""
    return {
        slot.starts_at + n * QUARTER: slot.value
        for slot in question.carbon
        for n in range(min(MOST_QUARTERS, -((slot.starts_at - slot.ends_at) // QUARTER)))
    }


def _or_inf(value: float | None) -> float:
    return np.inf if value is None else value


def _windows(question: Question, kind: WindowKind) -> Iterable[Stretch]:
    return ((w.starts_at, w.ends_at, w.value) for w in question.wishes.windows if w.kind is kind)


def _demand(question: Question, horizon: Horizon) -> DemandCharge | None:
    """The tariff's demand charge, else what a site is taken to pay that has a target for its peak."""
    table, so_far_w = question.site.grid, question.snapshot.control.peak.peak_w
    charge = charges.demand(
        question.site.tariff,
        horizon,
        ZoneInfo(question.site.time_zone),
        max(so_far_w, table.peak_target_w or 0.0),
    )
    if charge is not None or table.peak_target_w is None:
        return charge
    steps = max(1, round(table.peak_interval_s / 60 / question.site.planning.step_min))
    return DemandCharge(PEAK_PER_KW, max(table.peak_target_w, so_far_w), steps)


def _circuits(question: Question, horizon: Horizon) -> Iterable[CircuitLimit]:
    for name, table in question.site.circuits.items():
        volts = question.site.grid.nominal_voltage_v * len(table.phases)
        ones = np.ones(horizon.steps)
        yield CircuitLimit(
            name, table.fuse_a * volts * ones, _others_w(question, table, volts) * ones, table.within
        )


def _others_w(question: Question, table: CircuitTable, volts: float) -> float:
    """What a circuit feeds besides: as its meter shows it now, else as declared."""
    meter = question.snapshot.meters.get(table.meter) if table.meter else None
    if meter is None:
        return table.other_load_a * volts
    samples = (
        question.snapshot.storages.get(d) or question.snapshot.evses.get(d)
        for d in question.snapshot.devices
        if d in table.devices
    )
    return meter.power_w - sum(s.power_w for s in samples if s is not None)


def _reserves(question: Question, horizon: Horizon) -> Iterable[ReserveBand]:
    hold_h = question.site.reserve.reservoir_min / 60
    for window in question.wishes.reserves:
        power_w = largest(horizon, [(window.starts_at, window.ends_at, window.power_w)])
        if power_w.any():
            yield ReserveBand(power_w, hold_h, window.devices)
