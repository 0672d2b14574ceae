"""Pure: the batteries, and the cars at their chargers, as stores of a problem."""

from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from zoneinfo import ZoneInfo

import numpy as np

from gateway.model import (
    DeviceId,
    EvseState,
    Interval,
    Need,
    StorageState,
    WindowKind,
)
from gateway.planning.ageing import battery_wear, car_wear
from gateway.planning.driving import LIKELY, expected, habits
from gateway.planning.journeys import LEAST_TRIPS, Journey, habit, journeys, together
from gateway.planning.problem import Converter, Departure, Horizon, Series, Store, Trip
from gateway.planning.question import Question
from gateway.planning.steps import edges_s, step_at

BATTERY, CAR = Converter(0.95, 0.95), Converter(0.92, 0.92)
CHARGE_EFFICIENCY = 0.9
"""AC to pack of a need that was told as AC energy, on the cautious side."""
TYPICAL_CAR_WH = 36_000.0
WORTH_SHARE = 0.95
"""What is left in a store at the end is worth so much of the mean price ahead: best in April and in November (closed loop)."""


@dataclass(frozen=True, slots=True)
class Found:
    """The stores, and the devices that cannot be planned because their charge is unknown."""

    stores: tuple[Store, ...]
    unknown: tuple[DeviceId, ...]


def stores_of(question: Question, horizon: Horizon, mean_price: float) -> Found:
    """Return all batteries and plugged cars that can be planned; ``mean_price`` is that of importing, per kWh."""
    stores: list[Store] = []
    unknown: list[DeviceId] = []
    shed = _shed(question, horizon)
    for device, battery in question.snapshot.storages.items():
        if battery is None or battery.state is StorageState.FAULT or _held(question, device):
            continue
        store = _battery(question, horizon, device, mean_price)
        (unknown.append(device) if store is None else stores.append(_without(store, shed)))
    for device, evse in question.snapshot.evses.items():
        if evse is None or not evse.plugged or evse.state is EvseState.FAULT or _held(question, device):
            continue
        store = _car(question, horizon, device, mean_price)
        (unknown.append(device) if store is None else stores.append(_without(store, shed)))
    return Found(tuple(stores), tuple(unknown))


def _battery(question: Question, horizon: Horizon, device: DeviceId, mean_price: float) -> Store | None:
    sample, info = question.snapshot.storages[device], question.snapshot.devices[device]
    capacity_wh = (sample.capacity_wh if sample else None) or info.capacity_wh
    if sample is None or not capacity_wh:
        return None
    settings, plan = question.wishes.owner.of(device), question.site.planning
    can = _reach(info.rated, sample.charge_max_w, sample.discharge_max_w)
    ones = np.ones(horizon.steps)
    return Store(
        device,
        capacity_wh,
        sample.soc_pct / 100 * capacity_wh,
        charge_max_w=can.max_w * ones,
        discharge_max_w=(-can.min_w if settings.discharge_allowed else 0.0) * _free(question, horizon),
        converter=BATTERY,
        floor_wh=settings.floor_soc_pct / 100 * capacity_wh,
        reserve_wh=_storm(question, horizon, capacity_wh),
        wear=battery_wear(plan, capacity_wh, sample.soh_pct),
        worth_per_kwh=_worth(mean_price, BATTERY),
        circuit=circuit_of(question, device),
    )


def _car(question: Question, horizon: Horizon, device: DeviceId, mean_price: float) -> Store | None:
    snapshot = question.snapshot
    sample, info, fused = snapshot.evses[device], snapshot.devices[device], snapshot.vehicles.get(device)
    if sample is None:
        return None
    told = sample.vehicle
    soc_pct = (fused.soc_pct if fused else None) or (told.soc_pct if told else None)
    capacity_wh = (fused.capacity_wh if fused else None) or (told.capacity_wh if told else None)
    soh_pct = (fused.soh_pct if fused else None) or (told.soh_pct if told else None)
    if soc_pct is None:
        return _blind(question, horizon, device) if _need(question, device) else None
    capacity_wh = capacity_wh or TYPICAL_CAR_WH
    energy_wh = soc_pct / 100 * capacity_wh
    settings, plan = question.wishes.owner.of(device), question.site.planning
    target_wh = settings.target_soc_pct / 100 * capacity_wh
    floor_pct = max(settings.floor_soc_pct, (told.min_discharge_soc_pct if told else None) or 0.0)
    floor_wh = floor_pct / 100 * capacity_wh
    away = _away(question, horizon, device, capacity_wh, energy_wh, floor_wh)
    likely = tuple(j for j in away if j.probability >= LIKELY)
    can = _reach(info.rated, sample.charge_max_w, sample.discharge_max_w)
    compatible = told is None or told.discharge_compatible or bool(fused and fused.discharge_compatible)
    gives_w = -can.min_w if settings.discharge_allowed and compatible else 0.0
    present, price = _present(horizon, likely), plan.public_charging_per_kwh
    return Store(
        device,
        capacity_wh,
        energy_wh,
        charge_max_w=can.max_w * present,
        discharge_max_w=gives_w * present * _free(question, horizon),
        converter=replace(CAR, charge_min_w=min(info.min_charge_w, can.max_w)),
        floor_wh=floor_wh,
        ceiling_wh=max([target_wh, energy_wh, *(j.target_wh for j in away)]),
        reserve_wh=_storm(question, horizon, target_wh),
        wear=car_wear(plan, capacity_wh, soh_pct, fused.generation if fused else ""),
        departures=tuple(_departure(horizon, j, price) for j in away),
        trips=_trips(horizon, likely, price),
        end_wh=0.0 if likely else target_wh,
        end_shortfall_per_kwh=0.0 if likely else price,
        worth_per_kwh=_worth(mean_price, CAR),
        is_car=True,
        circuit=circuit_of(question, device),
    )


def _need(question: Question, device: DeviceId) -> Need | None:
    return next((n for n in question.wishes.needs if n.device == device), None)


def _away(
    question: Question,
    horizon: Horizon,
    device: DeviceId,
    capacity_wh: float,
    energy_wh: float,
    floor_wh: float,
) -> tuple[Journey, ...]:
    """Return when the car is to leave: told, wished by the owner, or learned from its past."""
    settings, need = question.wishes.owner.of(device), _need(question, device)
    known = journeys(
        capacity_wh,
        settings,
        (need, min(capacity_wh, energy_wh + need.energy_wh * CHARGE_EFFICIENCY)) if need else None,
        [t for t in question.trips if t.device == device],
        habit(question.driven, device),
        (horizon.starts_at, horizon.at(horizon.steps)),
        ZoneInfo(question.site.time_zone),
    )
    learned = _learned(question, horizon, device, capacity_wh, floor_wh)
    return together(known, learned, settings.target_soc_pct / 100 * capacity_wh)


def _trips(horizon: Horizon, likely: tuple[Journey, ...], price: float) -> tuple[Trip, ...]:
    """Return what the journeys take out of the pack, at the step in which the car is back."""
    steps = ((j, _back(horizon, j)) for j in likely)
    return tuple(
        Trip(step, j.energy_wh, price) for j, step in steps if j.energy_wh > 0 and step < horizon.steps
    )


def _learned(
    question: Question, horizon: Horizon, device: DeviceId, capacity_wh: float, floor_wh: float
) -> tuple[Journey, ...]:
    """Return the journeys that the car's past trips make expect, none while too few are known."""
    driven = [t for t in question.driven if t.charger == device]
    if len(driven) < LEAST_TRIPS:
        return ()
    since, utc, end = min(t.left_at for t in driven), horizon.starts_at, horizon.at(horizon.steps)
    found = expected(
        habits(driven, since, utc, end, ZoneInfo(question.site.time_zone)), True, capacity_wh, floor_wh
    )
    return tuple(j for j in found if utc < j.leaves_at < end)


def _blind(question: Question, horizon: Horizon, device: DeviceId) -> Store | None:
    """A car that tells nothing, of which only its need is known: an empty pack of just that size."""
    need = _need(question, device)
    sample, info = question.snapshot.evses[device], question.snapshot.devices[device]
    urgency = question.snapshot.control.urgencies.get(device)
    if sample is None or need is None:
        return None
    lacking_wh = (urgency.need_wh if urgency else need.energy_wh) * CHARGE_EFFICIENCY
    if lacking_wh <= 0:
        return None
    can = _reach(info.rated, sample.charge_max_w, 0.0)
    away = Journey(need.departs_at, horizon.at(horizon.steps), lacking_wh)
    price = question.site.planning.public_charging_per_kwh
    in_reach = need.departs_at < away.returns_at
    return Store(
        device,
        lacking_wh,
        0.0,
        charge_max_w=can.max_w * _present(horizon, (away,)),
        discharge_max_w=np.zeros(horizon.steps),
        converter=Converter(CHARGE_EFFICIENCY, 1.0, charge_min_w=min(info.min_charge_w, can.max_w)),
        departures=(_departure(horizon, away, price),) if in_reach else (),
        end_wh=0.0 if in_reach else lacking_wh,
        end_shortfall_per_kwh=price,
        is_car=True,
        circuit=circuit_of(question, device),
    )


def circuit_of(question: Question, device: DeviceId) -> str:
    """Return the circuit that feeds a device, "" for none."""
    for name, table in question.site.circuits.items():
        if any(fnmatchcase(device, pattern) for pattern in table.devices):
            return name
    return ""


def _reach(rated: Interval, charge_max_w: float, discharge_max_w: float) -> Interval:
    """What a device can do later: what it admits now, or its nameplate where it admits nothing at the moment."""
    return Interval(-discharge_max_w or rated.min_w, charge_max_w or rated.max_w)


def _present(horizon: Horizon, away: tuple[Journey, ...]) -> Series:
    there = np.ones(horizon.steps)
    for journey in away:
        there[_leaves(horizon, journey) : _back(horizon, journey)] = 0.0
    return there


def _leaves(horizon: Horizon, journey: Journey) -> int:
    """The step at whose beginning the car is ready: the last one that begins before it leaves, but never the present one."""
    return max(1, step_at(horizon, journey.leaves_at))


def _back(horizon: Horizon, journey: Journey) -> int:
    """The first step that begins after the return."""
    step = step_at(horizon, journey.returns_at)
    late = step < horizon.steps and horizon.at(step) < journey.returns_at
    return max(_leaves(horizon, journey), step + late)


def _departure(horizon: Horizon, journey: Journey, price: float) -> Departure:
    return Departure(_leaves(horizon, journey), journey.target_wh, price, journey.probability)


def _free(question: Question, horizon: Horizon) -> Series:
    """1 where discharging is allowed by the connection; a lock-out forbids it for hours."""
    until = question.snapshot.control.excursions.locked_until
    if until is None:
        return np.ones(horizon.steps)
    return (edges_s(horizon)[:-1] >= (until - horizon.starts_at).total_seconds()).astype(float)


def _shed(question: Question, horizon: Horizon) -> Series:
    """1 where charging is allowed: no utility has asked to shed."""
    allowed = np.ones(horizon.steps)
    for window in question.wishes.windows:
        if window.kind is WindowKind.SHED and window.value >= 1:
            first, last = step_at(horizon, window.starts_at), step_at(horizon, window.ends_at)
            allowed[first : last + 1] = 0.0
    return allowed


def _without(store: Store, allowed: Series) -> Store:
    if allowed.all():
        return store
    return replace(store, charge_max_w=store.charge_max_w * allowed)


def _storm(question: Question, horizon: Horizon, full_wh: float) -> Series | None:
    """All of it is kept while a blackout is expected."""
    expected = [question.wishes.storm(horizon.at(step)) for step in range(horizon.steps)]
    return np.where(expected, full_wh, 0.0) if any(expected) else None


def _held(question: Question, device: DeviceId) -> bool:
    """The owner holds the device back, or uses it, as long as the lease lasts."""
    return any(r.device == device and r.expires_at > question.snapshot.utc for r in question.wishes.requests)


def _worth(mean_price: float, converter: Converter) -> float:
    return max(0.0, WORTH_SHARE * mean_price * converter.discharge_efficiency)
