"""Pure: what charger, car and energy count say of a car → one car for each EVSE, judged.

The sources are never mixed in one value, since their scales differ (reference/can.md 1.6): the best that speaks now and
can be true is taken (reference/needs.md 1, row 3). While none speaks, the energy that flows is counted.
"""

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, replace
from math import floor
from operator import is_
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

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
JUDGE_S = 1.0
"""A car of which the same is told again and again is judged once in so long; each car in its own part of it, so that
hundreds of them are not judged in one tick."""
LONGEST_STEP_S = 5.0
"""Between two samples of a charger."""
FLICKER_S = 15.0
"""A car that was not seen plugged for longer may be another one, or the same after a trip."""
ON_THE_ROAD_W = 150_000.0
"""What a car away from our charger may take or give: quick charging, driving."""

_LIVE = frozenset({EvseState.STARTING, EvseState.READY, EvseState.STOPPING})


class Followed(Struct, frozen=True, gc=False):
    """A car and what is remembered of it: when it was last seen plugged, each source's judged SoC, how much was moved
    by count alone, which samples this rests on, the EVSE's sample with the judged car in it, and in which turn it was judged."""

    state: VehicleState
    at: float
    held: Mapping[VehicleSource, HeldSoc] = field(default_factory=dict)
    counted_pct: float = 0.0
    heard: tuple[EvseSample | EvSample | None, ...] = ()
    sample: EvseSample | None = None
    turn: int | None = None


class Told(Struct, frozen=True, gc=False):
    """A SoC that a source tells now; ``most_w`` bounds how fast it can move."""

    source: VehicleSource
    soc_pct: float
    most_w: float


def follow(before: Mapping[DeviceId, Followed], snapshot: Snapshot) -> dict[DeviceId, Followed]:
    """Return what is known of the car of each EVSE after ``snapshot``, which carries what was told, unjudged."""
    told_of: dict[DeviceId, tuple[EvSample, ...]] = {}
    for device, ev in snapshot.evs.items():
        charger = snapshot.devices[device].charger
        told_of[charger] = (*told_of.get(charger, ()), *((ev,) if ev else ()))
    turns, apart = snapshot.at / JUDGE_S, 1.0 / max(1, len(snapshot.evses))
    return {
        device: _follow(
            before.get(device),
            snapshot,
            device,
            (sample, *told_of.get(device, ())),
            floor(turns + place * apart),
        )
        for place, (device, sample) in enumerate(snapshot.evses.items())
    }


def judged(snapshot: Snapshot, cars: Mapping[DeviceId, Followed]) -> Snapshot:
    """Return the snapshot with the fused cars, also in the place of what each EVSE's sample told."""
    evses = {d: _judged(s, cars.get(d)) for d, s in snapshot.evses.items()}
    vehicles = MappingProxyType({d: car.state for d, car in cars.items()})
    return replace(snapshot, evses=MappingProxyType(evses), vehicles=vehicles)


def _judged(sample: EvseSample | None, car: Followed | None) -> EvseSample | None:
    if car is None or sample is None:
        return sample
    return car.sample if sample is car.heard[0] else _with_car(sample, car.state)


def _with_car(sample: EvseSample | None, car: VehicleState) -> EvseSample | None:
    if sample is None or not sample.plugged:
        return sample
    if sample.vehicle is None and car.soc_pct is None:
        return sample
    told = sample.vehicle or VehicleSample()
    capacity_wh, soh_pct = car.capacity_wh or told.capacity_wh, car.soh_pct or told.soh_pct
    if (told.soc_pct, told.capacity_wh, told.soh_pct) == (car.soc_pct, capacity_wh, soh_pct):
        return sample
    vehicle = replace(
        told,
        soc_pct=car.soc_pct,
        capacity_wh=capacity_wh,
        soh_pct=soh_pct,
    )
    return replace(sample, vehicle=vehicle)


def _follow(
    before: Followed | None, snapshot: Snapshot, device: DeviceId, heard: tuple[Any, ...], turn: int
) -> Followed:
    """Return the car after what was ``heard``: the EVSE's sample, and one of each of the car's own buses that speaks."""
    if before and heard[0] is before.heard[0] and _is_heard(heard, before):
        return before
    now, sample, evs = snapshot.at, heard[0], heard[1:]
    if before and before.turn == turn and _says_the_same(before, sample, evs):
        at = now if sample.plugged else before.at
        car = sample if before.sample is before.heard[0] else _with_car(sample, before.state)
        return Followed(before.state, at, before.held, 0.0, heard, car, turn)
    was = before or Followed(VehicleState(device), now)
    state, source = was.state, _charger_source(snapshot, device)
    plugged = sample.plugged if sample else state.plugged
    told = tuple(_told(snapshot, device, sample, evs))
    back = sample is not None and sample.plugged and now - was.at > FLICKER_S
    held = {} if back or plugged is not state.plugged else dict(was.held)
    for one in told:
        held[one.source] = held.get(one.source, HeldSoc()).after(
            now, one.soc_pct, one.most_w, state.capacity_wh
        )
    provenance = dict(state.provenance)
    facts = _facts(sample, source, evs, provenance, now)
    soc_pct, counted_pct, doubt, soc_source = _soc(
        None if back else state.soc_pct,
        was,
        facts.get("capacity_wh", state.capacity_wh),
        held,
        {one.source for one in told},
        sample,
        now,
    )
    if soc_source is not None:
        provenance["soc_pct"] = Provenance(soc_source, now)
    known = {name: getattr(state, name) for name in _KNOWN} | facts
    state = VehicleState(device, plugged, soc_pct, soc_doubt=doubt, provenance=provenance, **known)
    at = now if sample is not None and sample.plugged else was.at
    return Followed(state, at, held, counted_pct, heard, _with_car(sample, state), turn)


def _is_heard(heard: tuple[Any, ...], before: Followed) -> bool:
    return len(heard) == len(before.heard) and all(map(is_, heard, before.heard, strict=True))


def _says_the_same(before: Followed, sample: EvseSample | None, evs: tuple[EvSample, ...]) -> bool:
    """Tell whether a charger only repeats what was believed of a car, and nobody else speaks anew."""
    was, told = before.heard[0], before.state.provenance.get("soc_pct")
    return (
        isinstance(was, EvseSample)
        and sample is not None
        and sample.state is was.state
        and sample.plugged is was.plugged
        and sample.vehicle == was.vehicle
        and before.heard[1:] == evs
        and told is not None
        and told.source is not VehicleSource.ENERGY_COUNT
        and not before.state.soc_doubt
    )


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


def _soc(
    soc_pct: float | None,
    was: Followed,
    capacity_wh: float | None,
    held: Mapping[VehicleSource, HeldSoc],
    telling: AbstractSet[VehicleSource],
    sample: EvseSample | None,
    now: float,
) -> tuple[float | None, float, str, VehicleSource | None]:
    """Return SoC, how much of it was counted, what is doubted, and the source: the best that tells and is believed.

    A worse source waits until the better ones have been silent or doubted for a minute, lest the SoC leap between scales.
    Where none is left, what flows is counted.
    """
    doubt = ""
    for source, kept in sorted(held.items(), key=_rank):
        if source in telling and kept.pct is not None and not kept.doubt:
            return kept.pct, 0.0, doubt, source
        if source in telling:
            doubt = doubt or kept.doubt
        if kept.pct is not None and now - kept.at < STABLE_S:
            break
    if sample is None or not sample.plugged or soc_pct is None or not capacity_wh:
        return soc_pct, was.counted_pct, doubt, None
    moved_pct = _pack_w(sample) * min(now - was.at, LONGEST_STEP_S) / 36.0 / capacity_wh
    counted_pct = was.counted_pct + abs(moved_pct)
    if not moved_pct:
        return soc_pct, counted_pct, doubt, None
    if counted_pct > COUNT_AT_MOST_PCT:
        return None, was.counted_pct, doubt, None
    return min(max(soc_pct + moved_pct, 0.0), 100.0), counted_pct, doubt, VehicleSource.ENERGY_COUNT


_RANKS = {source: rank for rank, source in enumerate(VehicleSource)}


def _rank(kept: tuple[VehicleSource, HeldSoc]) -> int:
    return _RANKS[kept[0]]


def _pack_w(sample: EvseSample) -> float:
    """Return the power into the pack; nothing flows outside a session."""
    if sample.state not in _LIVE:
        return 0.0
    if sample.current_a:
        return sample.voltage_v * sample.current_a
    return sample.power_w * EFFICIENCY if sample.power_w > 0 else sample.power_w / EFFICIENCY


def _facts(
    sample: EvseSample | None,
    charger: VehicleSource,
    evs: tuple[EvSample, ...],
    provenance: dict[str, Provenance],
    now: float,
) -> dict[str, Any]:
    """Return what is told now, the car's own word over the charger's; what nobody tells any more stays, and ages."""
    facts: dict[str, Any] = {}
    if sample is not None and sample.vehicle is not None and sample.state in _LIVE:
        _take(facts, provenance, sample.vehicle, _OF_CHARGER, Provenance(charger, now))
    for ev in evs:
        _take(facts, provenance, ev, _OF_EV_CAN, Provenance(VehicleSource.EV_CAN, now))
    return facts


def _take(
    facts: dict[str, Any],
    provenance: dict[str, Provenance],
    told: VehicleSample | EvSample,
    names: tuple[str, ...],
    source: Provenance,
) -> None:
    for name in names:
        if (value := getattr(told, name)) is not None and value != "":
            facts[name] = value
            provenance[name] = source


_KNOWN = tuple(
    {f.name for f in fields(VehicleState)} - {"charger", "plugged", "soc_pct", "soc_doubt", "provenance"}
)
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
