"""Pure: what charger, car and energy count say of a car → one car for each EVSE, judged.

The sources are never mixed in one value, since their scales differ (reference/can.md 1.6): the best that speaks now and
can be true is taken (reference/needs.md 1, row 3). While none speaks, the energy that flows is counted.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from gateway.model import (
    DeviceId,
    EvSample,
    EvseSample,
    EvseState,
    Provenance,
    Snapshot,
    VehicleSample,
    VehicleSource,
    VehicleState,
)
from gateway.model.soc import STABLE_S, HeldSoc

EFFICIENCY = 0.93
"""AC to pack, for a charger that does not tell its DC side."""
COUNT_AT_MOST_PCT = 15.0
"""Moved without a word from anyone, after which the SoC counts as unknown: losses and capacity are estimates."""
LONGEST_STEP_S = 1.0
FLICKER_S = 15.0
"""A car that was not seen plugged for longer may be another one, or the same after a trip."""
ON_THE_ROAD_W = 150_000.0
"""What a car away from our charger may take or give: quick charging, driving."""

_LIVE = frozenset({EvseState.STARTING, EvseState.READY, EvseState.STOPPING})


@dataclass(frozen=True, slots=True)
class Followed:
    """A car and what is remembered of it: when it was last seen plugged, each source's judged SoC, and how much was moved
    by count alone."""

    state: VehicleState
    at: float
    held: Mapping[VehicleSource, HeldSoc] = field(default_factory=dict)
    counted_pct: float = 0.0


@dataclass(frozen=True, slots=True)
class Told:
    """A SoC that a source tells now; ``most_w`` bounds how fast it can move."""

    source: VehicleSource
    soc_pct: float
    most_w: float


def follow(before: Mapping[DeviceId, Followed], snapshot: Snapshot) -> dict[DeviceId, Followed]:
    """Return what is known of the car of each EVSE after ``snapshot``, which carries what was told, unjudged."""
    return {device: _follow(before.get(device), device, snapshot) for device in snapshot.evses}


def judged(snapshot: Snapshot, cars: Mapping[DeviceId, Followed]) -> Snapshot:
    """Return the snapshot with the fused cars, also in the place of what each EVSE's sample told."""
    evses = {d: _with_car(s, cars[d].state) if d in cars else s for d, s in snapshot.evses.items()}
    vehicles = MappingProxyType({d: car.state for d, car in cars.items()})
    return replace(snapshot, evses=MappingProxyType(evses), vehicles=vehicles)


def _with_car(sample: EvseSample | None, car: VehicleState) -> EvseSample | None:
    if sample is None or not sample.plugged:
        return sample
    if sample.vehicle is None and car.soc_pct is None:
        return sample
    told = sample.vehicle or VehicleSample()
    vehicle = replace(
        told,
        soc_pct=car.soc_pct,
        capacity_wh=car.capacity_wh or told.capacity_wh,
        soh_pct=car.soh_pct or told.soh_pct,
    )
    return replace(sample, vehicle=vehicle)


def _follow(before: Followed | None, device: DeviceId, snapshot: Snapshot) -> Followed:
    now, sample = snapshot.at, snapshot.evses[device]
    was = before or Followed(VehicleState(device), now)
    evs = _evs_of(snapshot, device)
    plugged = sample.plugged if sample else was.state.plugged
    told = tuple(_told(snapshot, device, sample, evs))
    back = sample is not None and sample.plugged and now - was.at > FLICKER_S
    if back:
        was = replace(was, state=replace(was.state, soc_pct=None))
    if back or plugged is not was.state.plugged:
        was = replace(was, held={})
    held = dict(was.held)
    for one in told:
        held[one.source] = held.get(one.source, HeldSoc()).after(
            now, one.soc_pct, one.most_w, was.state.capacity_wh
        )
    state = _with_facts(
        replace(was.state, plugged=plugged), sample, _charger_source(snapshot, device), evs, now
    )
    return _with_soc(replace(was, state=state, held=held), told, sample, now)


def _evs_of(snapshot: Snapshot, device: DeviceId) -> tuple[EvSample, ...]:
    """Return the fresh samples of the car that belongs to an EVSE: one for each of its buses that is heard."""
    return tuple(s for d, s in snapshot.evs.items() if s and snapshot.devices[d].charger == device)


def _charger_source(snapshot: Snapshot, device: DeviceId) -> VehicleSource:
    chademo = snapshot.devices[device].driver.endswith(".chademo")
    return VehicleSource.CHADEMO if chademo else VehicleSource.CHARGER


def _told(
    snapshot: Snapshot, device: DeviceId, sample: EvseSample | None, evs: tuple[EvSample, ...]
) -> Iterator[Told]:
    """Yield who tells a SoC now; a charger repeats what it last heard, so it counts only during a session."""
    rated = snapshot.devices[device].rated
    at_home_w = max(rated.max_w, -rated.min_w) or ON_THE_ROAD_W
    plugged = sample is not None and sample.plugged
    if sample and sample.vehicle and sample.vehicle.soc_pct is not None and sample.state in _LIVE:
        yield Told(_charger_source(snapshot, device), sample.vehicle.soc_pct, at_home_w)
    soc_pct = next((soc for ev in evs if ev.awake and (soc := _dash_soc_pct(ev)) is not None), None)
    if soc_pct is not None:
        yield Told(VehicleSource.EV_CAN, soc_pct, at_home_w if plugged else ON_THE_ROAD_W)


def _dash_soc_pct(ev: EvSample) -> float | None:
    """Return the driver's SoC; a ZE0 does not send it, so there it is the share of energy (reference/can.md 1.6)."""
    if ev.generation != "ZE0" or not ev.capacity_wh or ev.energy_wh is None:
        return ev.dash_soc_pct
    return min(100.0, 100.0 * ev.energy_wh / ev.capacity_wh)


def _with_soc(car: Followed, told: tuple[Told, ...], sample: EvseSample | None, now: float) -> Followed:
    """Take the best SoC that is told and believed, else count.

    A worse source waits until the better ones have been silent or doubted for a minute, lest the SoC leap between scales.
    """
    at = now if sample is not None and sample.plugged else car.at
    telling = {one.source for one in told}
    doubt = ""
    for source in VehicleSource:
        held = car.held.get(source, HeldSoc())
        if source in telling and held.pct is not None and not held.doubt:
            state = replace(car.state, soc_pct=held.pct, soc_doubt=doubt)
            return replace(car, state=_from(state, "soc_pct", source, now), at=at, counted_pct=0.0)
        if source in telling:
            doubt = doubt or held.doubt
        if held.pct is not None and now - held.at < STABLE_S:
            break
    counted = _counted(car, sample, now)
    return replace(counted, state=replace(counted.state, soc_doubt=doubt), at=at)


def _counted(car: Followed, sample: EvseSample | None, now: float) -> Followed:
    state = car.state
    if sample is None or not sample.plugged or state.soc_pct is None or not state.capacity_wh:
        return car
    moved_wh = _pack_w(sample) * min(now - car.at, LONGEST_STEP_S) / 3600.0
    if not moved_wh:
        return car
    moved_pct = 100.0 * moved_wh / state.capacity_wh
    counted_pct = car.counted_pct + abs(moved_pct)
    if counted_pct > COUNT_AT_MOST_PCT:
        return replace(car, state=replace(state, soc_pct=None))
    soc_pct = min(max(state.soc_pct + moved_pct, 0.0), 100.0)
    state = _from(replace(state, soc_pct=soc_pct), "soc_pct", VehicleSource.ENERGY_COUNT, now)
    return replace(car, state=state, counted_pct=counted_pct)


def _pack_w(sample: EvseSample) -> float:
    """Return the power into the pack; nothing flows outside a session."""
    if sample.state not in _LIVE:
        return 0.0
    if sample.current_a:
        return sample.voltage_v * sample.current_a
    return sample.power_w * EFFICIENCY if sample.power_w > 0 else sample.power_w / EFFICIENCY


def _with_facts(
    state: VehicleState,
    sample: EvseSample | None,
    charger: VehicleSource,
    evs: tuple[EvSample, ...],
    now: float,
) -> VehicleState:
    """Take over what is told now, the car's own word first; what nobody tells any more stays, and ages."""
    told: list[tuple[VehicleSource, dict[str, Any]]] = []
    if sample is not None and sample.vehicle is not None and sample.state in _LIVE:
        told.append((charger, {name: getattr(sample.vehicle, name) for name in _OF_CHARGER}))
    told += [(VehicleSource.EV_CAN, {name: getattr(ev, name) for name in _OF_EV_CAN}) for ev in evs]
    facts: dict[str, Any] = {}
    provenance = dict(state.provenance)
    for source, values in told:
        known = {name: value for name, value in values.items() if value not in (None, "")}
        facts |= known
        provenance |= dict.fromkeys(known, Provenance(source, now))
    return replace(state, **facts, provenance=provenance)


_OF_CHARGER = (
    "capacity_wh",
    "soh_pct",
    "discharge_compatible",
    "min_discharge_soc_pct",
    "max_charge_soc_pct",
)
_OF_EV_CAN = (
    "capacity_wh",
    "energy_wh",
    "soh_pct",
    "temperature_c",
    "aux_voltage_v",
    "odometer_km",
    "generation",
)


def _from(state: VehicleState, name: str, source: VehicleSource, now: float) -> VehicleState:
    return replace(state, provenance={**state.provenance, name: Provenance(source, now)})
