"""What the gateway tells, as frozen values. Ages and monotonic stamps are left out: two equal readings compare equal."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time

from .control import Control, Need, Reason, ReserveWindow, Urgency


@dataclass(frozen=True, slots=True)
class GatewayInfo:
    """What the gateway tells to everybody."""

    serial: str
    name: str
    sw_version: str
    api_version: int
    api_min_version: int
    fingerprint: str
    paired: bool = False
    pairing_open: bool = False


@dataclass(frozen=True, slots=True)
class Hello:
    """The first frame of a stream."""

    api_version: int
    api_min_version: int


@dataclass(frozen=True, slots=True)
class Pairing:
    """The answer to the right pairing code."""

    token: str
    serial: str
    fingerprint: str
    role: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed power interval in W."""

    min_w: float
    max_w: float


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Identity and nameplate of a device; ``kind`` is meter, storage, evse, vehicle or load; ``role`` is a meter's."""

    id: str
    kind: str
    name: str
    role: str | None = None
    maker: str = ""
    model: str = ""
    serial: str = ""
    version: str = ""
    rated: Interval = Interval(0.0, 0.0)
    capacity_wh: float | None = None


@dataclass(frozen=True, slots=True)
class Vehicle:
    """The car as the charger knows it."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    soh_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """The newest reading of a device; None where this kind of device does not measure. A car on its own bus has no power.

    ``on`` is of a load that can be switched.
    """

    power_w: float | None = 0.0
    on: bool | None = None
    phase_power_w: tuple[float, ...] = ()
    phase_voltage_v: tuple[float, ...] = ()
    phase_current_a: tuple[float, ...] = ()
    frequency_hz: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None
    charged_wh: float | None = None
    discharged_wh: float | None = None
    soc_pct: float | None = None
    soh_pct: float | None = None
    capacity_wh: float | None = None
    state: str | None = None
    charge_max_w: float | None = None
    discharge_max_w: float | None = None
    plugged: bool | None = None
    voltage_v: float | None = None
    current_a: float | None = None
    vehicle: Vehicle | None = None
    stop_cause: str = ""
    awake: bool | None = None
    charging: str | None = None
    dash_soc_pct: float | None = None
    lbc_soc_pct: float | None = None
    hx_pct: float | None = None
    temperature_c: float | None = None
    coldest_c: float | None = None
    warmest_c: float | None = None
    cell_min_v: float | None = None
    cell_max_v: float | None = None
    insulation_raw: int | None = None
    aux_voltage_v: float | None = None
    range_km: float | None = None
    outside_c: float | None = None
    quick_charges: int | None = None
    ac_charges: int | None = None
    wakes_today: int | None = None


@dataclass(frozen=True, slots=True)
class DeviceView:
    """A device and its newest reading, which is None when it is older than it may be."""

    info: DeviceInfo
    sample: Sample | None
    available: bool


@dataclass(frozen=True, slots=True)
class Source:
    """Where a value of a car comes from: chademo, ev_can, charger or energy_count."""

    source: str


@dataclass(frozen=True, slots=True)
class Trip:
    """A car's absence from its charger; ``energy_wh`` is what it used, None while that is not known."""

    left_at: datetime
    left_soc_pct: float
    returned_at: datetime | None = None
    energy_wh: float | None = None
    distance_km: float | None = None


@dataclass(frozen=True, slots=True)
class Car:
    """A car, fused by the gateway from all who know of it; the last that was known while it is away."""

    plugged: bool | None = None
    soc_pct: float | None = None
    soc_doubt: str = ""
    capacity_wh: float | None = None
    energy_wh: float | None = None
    soh_pct: float | None = None
    temperature_c: float | None = None
    aux_voltage_v: float | None = None
    odometer_km: float | None = None
    generation: str = ""
    sources: Mapping[str, Source] = field(default_factory=dict)
    last_trip: Trip | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What was decided for one device, and the wish before a higher rung held it back."""

    wanted_w: float
    power_w: float
    interval: Interval
    reason: Reason
    limited_by: Reason | None = None


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The owner's standing wishes for one storage or EVSE; ``departure`` is local time."""

    floor_soc_pct: float | None = None
    target_soc_pct: float | None = None
    departure: time | None = None
    discharge_allowed: bool | None = None
    drive_away_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """The owner's standing wishes for the site."""

    control_on: bool
    stopped: bool = False
    grid_events_allowed: bool = True
    storm_until: datetime | None = None
    battery_may_charge_car: bool = False
    devices: Mapping[str, DeviceSettings] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """An owner's lease on one device; ``power_w`` is a magnitude."""

    id: str
    device: str
    mode: str
    expires_at: datetime
    power_w: float | None = None
    until_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """A raised fault, its text, and what the owner can do about it."""

    code: str
    device: str
    since: datetime
    detail: str = ""
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class PriceSlot:
    """Prices per kWh for one stretch of time."""

    starts_at: datetime
    ends_at: datetime
    import_per_kwh: float
    export_per_kwh: float


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """The planned grid exchange, each device's share of it, and why."""

    starts_at: datetime
    ends_at: datetime
    grid_power_w: float | None = None
    device_power_w: Mapping[str, float] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    soc_pct: Mapping[str, float] = field(default_factory=dict)
    exchange: str = "held"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What the plan cannot bring: of a departure the charge that the car will have, and the one that it should have."""

    code: str
    at: datetime
    energy_wh: float = 0.0
    minutes: float = 0.0
    device: str = ""
    soc_pct: float | None = None
    target_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What the gateway means to do."""

    id: str
    made_at: datetime
    expires_at: datetime
    because: str
    slots: tuple[PlanSlot, ...]
    made: str = ""
    cost: float | None = None
    shortfalls: tuple[Shortfall, ...] = ()


@dataclass(frozen=True, slots=True)
class GridEvent:
    """A utility's call as the owner sees it."""

    id: str
    status: str
    utility: str = ""
    program: str = ""
    name: str = ""
    kinds: tuple[str, ...] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    priority: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Limits:
    """What the site may exchange now, an active call included."""

    import_limit_w: float | None = None
    export_limit_w: float | None = None
    main_fuse_a: float | None = None
    peak_target_w: float | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """The gateway itself. While ``observing`` it measures and decides, and commands nothing."""

    serial: str
    name: str
    sw_version: str
    observing: bool
    time_zone: str = ""
    fast_path_alive: bool = True


@dataclass(frozen=True, slots=True)
class Finding:
    """One judgement of the equipment check; ``text`` and ``remedy`` are the gateway's own words."""

    check: str
    verdict: str
    text: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Equipment:
    """Is a device fit, wired right, and its fail-safe proven; ``proven_at`` is when something was last tried on it."""

    verdict: str
    proven_at: datetime | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteView:
    """All that the gateway shows, at one moment."""

    seq: int
    at: datetime
    site: Site
    devices: Mapping[str, DeviceView]
    owner: OwnerSettings
    vehicles: Mapping[str, Car] = field(default_factory=dict)
    control: Control = field(default_factory=Control)
    urgencies: Mapping[str, Urgency] = field(default_factory=dict)
    reserves: tuple[ReserveWindow, ...] = ()
    needs: tuple[Need, ...] = ()
    limits: Limits = Limits()
    requests: tuple[Request, ...] = ()
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    faults: tuple[Fault, ...] = ()
    equipment: Mapping[str, Equipment] = field(default_factory=dict)
    plan: Plan | None = None
    prices: tuple[PriceSlot, ...] = ()
    price_now: PriceSlot | None = None
    grid_events: tuple[GridEvent, ...] = ()
