"""What the API says: the site as JSON, and the changes of it. Names on the wire are the names of ``gateway.model``."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.control_view import (
    ControlView,
    ReserveView,
    control_view,
    dynamics_views,
    reserve_view,
    urgency_views,
)
from gateway.api.forecasts import brief
from gateway.api.site import EquipmentState, Limits, SiteIdentity, Utility, View
from gateway.faults import FAULTS, FaultCode
from gateway.model import (
    ActiveFault,
    ControlStatus,
    Decision,
    DeviceId,
    DeviceInfo,
    Dynamics,
    EnergyTotals,
    EvSample,
    EvseSample,
    GridEvent,
    LoadSample,
    MeterSample,
    Need,
    OwnerSettings,
    Plan,
    PriceSlot,
    Request,
    Snapshot,
    StorageSample,
    Trip,
    Urgency,
    VehicleSource,
    VehicleState,
)

API_VERSION = 1
API_MIN_VERSION = 1

type Json = dict[str, Any]
type Sample = MeterSample | StorageSample | EvseSample | EvSample | LoadSample


# ── what goes out ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Info:
    """What anybody may know; ``fingerprint`` is the SHA-256 of the certificate, in lower-case hex."""

    serial: str
    name: str
    sw_version: str
    api_version: int
    api_min_version: int
    fingerprint: str
    paired: bool
    pairing_open: bool


class Role(StrEnum):
    """What a token lets its client do (routes.ALLOWED). An aggregator sells the site's frequency reserve."""

    OWNER = "owner"
    INSTALLER = "installer"
    AGGREGATOR = "aggregator"
    VIEWER = "viewer"


@dataclass(frozen=True, slots=True)
class Paired:
    """A new owner's credential; the token is told this once."""

    token: str
    role: Role
    serial: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class TokenView:
    """A client with a token, without its secret."""

    id: str
    name: str
    role: Role
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewToken:
    """A further client's credential; the token is told this once."""

    id: str
    token: str
    role: Role


@dataclass(frozen=True, slots=True)
class SiteStatus:
    """Identity and life signs; ``observing`` means that nothing is commanded until the owner turns control on."""

    serial: str
    name: str
    sw_version: str
    time_zone: str
    observing: bool
    services_uptime_s: float
    fast_path_alive: bool


SAMPLE_SCHEMA = {
    "oneOf": [
        {"$ref": "#/components/schemas/MeterSample"},
        {"$ref": "#/components/schemas/StorageSample"},
        {"$ref": "#/components/schemas/EvseSample"},
        {"$ref": "#/components/schemas/EvSample"},
        {"$ref": "#/components/schemas/LoadSample"},
        {"type": "null"},
    ]
}


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device and its newest sample, null when it is too old; ``sample`` is of the kind that ``info.kind`` says.

    Energy counters in the sample are the gateway's own lifetime counters, which never fall; null until it has them.
    """

    info: DeviceInfo
    sample: Annotated[Any, Meta(extra_json_schema=SAMPLE_SCHEMA)]  # msgspec knows no union of dataclasses
    age_s: float | None
    available: bool


@dataclass(frozen=True, slots=True)
class FaultView:
    """An active fault with its text and what the owner can do."""

    code: str
    device: DeviceId
    since: datetime
    detail: str
    text: str
    remedy: str


@dataclass(frozen=True, slots=True)
class SourceView:
    """Where a value comes from, and how long ago it was told."""

    source: VehicleSource
    age_s: float


@dataclass(frozen=True, slots=True)
class VehicleView:
    """A car, fused from charger, car and energy count; by the charger it belongs to. ``sources`` is by field name.

    While it is away its values are the last ones known; ``last_trip`` is the one under way, or the newest that ended.
    """

    plugged: bool | None
    soc_pct: float | None
    soc_doubt: str
    capacity_wh: float | None
    energy_wh: float | None
    soh_pct: float | None
    temperature_c: float | None
    aux_voltage_v: float | None
    odometer_km: float | None
    generation: str
    discharge_compatible: bool | None
    min_discharge_soc_pct: float | None
    max_charge_soc_pct: float | None
    sources: Mapping[str, SourceView]
    last_trip: Trip | None


@dataclass(frozen=True, slots=True)
class SiteView:
    """The whole site as a client sees it."""

    api_version: int
    seq: int
    at: datetime
    site: SiteStatus
    devices: Mapping[DeviceId, DeviceView]
    vehicles: Mapping[DeviceId, VehicleView]
    control: ControlView
    urgencies: Mapping[DeviceId, Urgency]
    dynamics: Mapping[DeviceId, Dynamics]
    limits: Limits
    owner: OwnerSettings
    requests: tuple[Request, ...]
    reserves: tuple[ReserveView, ...]
    needs: tuple[Need, ...]
    decisions: Mapping[DeviceId, Decision]
    faults: tuple[FaultView, ...]
    equipment: Mapping[DeviceId, EquipmentState]
    plan: Plan | None
    prices: tuple[PriceSlot, ...]
    price_now: PriceSlot | None
    grid_events: tuple[GridEvent, ...]
    utilities: tuple[Utility, ...]


def site_view(identity: SiteIdentity, view: View) -> SiteView:
    """Return what clients see of ``view``."""
    snapshot = view.snapshot
    control = snapshot.control if snapshot else ControlStatus()
    return SiteView(
        api_version=API_VERSION,
        seq=view.seq,
        at=view.utc,
        site=SiteStatus(
            serial=identity.serial,
            name=identity.name,
            sw_version=identity.sw_version,
            time_zone=identity.time_zone,
            observing=not view.owner.control_on,
            services_uptime_s=view.services_uptime_s,
            fast_path_alive=view.fast_path_alive,
        ),
        devices={i: _device_view(view, snapshot, d) for i, d in snapshot.devices.items()} if snapshot else {},
        vehicles={i: _vehicle_view(view, i, v) for i, v in snapshot.vehicles.items()} if snapshot else {},
        control=control_view(control, view.drill),
        urgencies=urgency_views(control.urgencies),
        dynamics=dynamics_views(control.dynamics),
        limits=view.limits,
        owner=owner_view(view),
        requests=tuple(r for r in view.requests if view.utc < r.expires_at),
        reserves=reserve_views(view),
        needs=view.needs,
        decisions=dict(snapshot.decisions) if snapshot else {},
        faults=fault_views(view),
        equipment=dict(view.equipment),
        plan=brief(view.plan),
        prices=view.prices,
        price_now=next((p for p in view.prices if p.starts_at <= view.utc < p.ends_at), None),
        grid_events=view.events,
        utilities=view.utilities,
    )


def owner_view(view: View) -> OwnerSettings:
    """Return the owner's wishes with every actuator spelled out, defaults included, and without a storm that is over."""
    known = view.snapshot.devices if view.snapshot else {}
    actuators = [i for i, d in known.items() if d.kind.steered]
    storm = view.owner.storm_until
    return replace(
        view.owner,
        storm_until=storm if storm and view.utc < storm else None,
        devices={i: view.owner.of(i) for i in (*actuators, *view.owner.devices)},
    )


def reserve_views(view: View) -> tuple[ReserveView, ...]:
    """Return the windows that were sold, the soonest first, with what control says of them."""
    status = view.snapshot.control.reserve if view.snapshot else ControlStatus().reserve
    return tuple(reserve_view(w, status) for w in sorted(view.reserves, key=lambda w: w.starts_at))


def fault_views(view: View) -> tuple[FaultView, ...]:
    """Return the faults of the fast path and of the services, with their texts."""
    raised = (*(view.snapshot.faults if view.snapshot else ()), *view.faults)
    return tuple(_fault_view(fault) for fault in raised)


def _fault_view(fault: ActiveFault) -> FaultView:
    known = FAULTS[FaultCode(fault.code)] if fault.code in FaultCode else None
    return FaultView(
        fault.code,
        fault.device,
        fault.since,
        fault.detail,
        known.text if known else fault.code,
        known.remedy if known else "",
    )


def _device_view(view: View, snapshot: Snapshot, info: DeviceInfo) -> DeviceView:
    sample: Sample | None = (
        snapshot.meters.get(info.id)
        or snapshot.storages.get(info.id)
        or snapshot.evses.get(info.id)
        or snapshot.evs.get(info.id)
        or snapshot.loads.get(info.id)
    )
    age_s = max(0.0, view.now - sample.at) if sample else None
    if sample is None or age_s is None or age_s > info.max_age_s or not view.fast_path_alive:
        return DeviceView(info, None, age_s, available=False)
    totals = view.energy.get(info.id)
    return DeviceView(
        info, _with_energy(sample, totals) if totals else sample, round(age_s, 3), available=True
    )


def _vehicle_view(view: View, charger: DeviceId, car: VehicleState) -> VehicleView:
    shown = {f.name: getattr(car, f.name) for f in fields(car) if f.name not in {"charger", "provenance"}}
    sources = {
        name: SourceView(told.source, round(max(0.0, view.now - told.at), 1))
        for name, told in car.provenance.items()
    }
    return VehicleView(**shown, sources=sources, last_trip=view.trips.get(charger))


def _with_energy(sample: Sample, totals: EnergyTotals) -> Sample:
    if isinstance(sample, MeterSample):
        return replace(sample, import_wh=totals.in_wh, export_wh=totals.out_wh)
    if isinstance(sample, EvSample | LoadSample):
        return sample
    return replace(sample, charged_wh=totals.in_wh, discharged_wh=totals.out_wh)


def _encodable(value: object) -> object:
    if isinstance(value, Mapping):  # such as MappingProxyType
        return dict(value)
    raise NotImplementedError(type(value).__name__)


def to_json(value: object) -> Any:
    """Return ``value`` as what ``json.loads`` would give for it."""
    return msgspec.json.decode(encode(value))


def encode(value: object) -> bytes:
    """Return ``value`` as JSON bytes; NaN and infinity become null."""
    return msgspec.json.encode(value, enc_hook=_encodable)


# ── the stream ───────────────────────────────────────────────────────────────────────────────────────────────────────

KEYED = ("devices", "vehicles", "decisions", "equipment", "control", "urgencies", "dynamics")
HEADER = ("api_version", "seq", "at")


def hello(identity: SiteIdentity) -> Json:
    """Return the first message of a stream."""
    return {
        "type": "hello",
        "api_version": API_VERSION,
        "api_min_version": API_MIN_VERSION,
        "serial": identity.serial,
    }


def change(old: Json, new: Json) -> Json | None:
    """Return the message that turns the SiteView ``old`` into ``new``, None when nothing changed but the passing of time.

    ``set`` replaces whole keys: top-level ones, or one entry of a KEYED one as "devices.garage" or
    "control.backup"; ``removed`` lists entries that are gone.
    """
    before, after = _parts(old), _parts(new)
    changed = {
        key: part
        for key, part in after.items()
        if key not in before or (before[key] != part and _timeless(before[key]) != _timeless(part))
    }
    removed = [key for key in before if key not in after]
    if not changed and not removed:
        return None
    return {"type": "change", "seq": new["seq"], "at": new["at"], "set": changed, "removed": removed}


def _parts(state: Json) -> Json:
    parts = {key: part for key, part in state.items() if key not in KEYED and key not in HEADER}
    return parts | {f"{key}.{entry}": part for key in KEYED for entry, part in state[key].items()}


_TIMES = frozenset({"age_s", "services_uptime_s", "at", "utc"})


def _timeless(part: Any) -> Any:
    """Drop what grows by itself: ages and times of measurement do not make a change."""
    if isinstance(part, dict):
        return {k: _timeless(v) for k, v in part.items() if k not in _TIMES}
    return part
