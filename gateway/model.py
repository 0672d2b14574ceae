"""The vocabulary: frozen values that travel between rooms.

Sign: power into a device, and from the grid into the site, is positive. Units are in the names.
Monotonic seconds carry control (``at``, ``expires_at`` as float); aware UTC carries plans and calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

type DeviceId = str


class DeviceKind(StrEnum):
    METER = "meter"
    STORAGE = "storage"
    EVSE = "evse"


class MeterRole(StrEnum):
    GRID = "grid"
    PV = "pv"


class Rung(StrEnum):
    """The ladder, highest first: a rung may only shrink the interval or choose inside it."""

    CAPABILITY = "capability"
    OWNER_STOP = "owner_stop"
    GRID_CONNECTION = "grid_connection"
    PROTECTIVE_LIMIT = "protective_limit"
    BACKUP_RESERVE = "backup_reserve"
    FREQUENCY = "frequency"
    DISPATCH_CALL = "dispatch_call"
    OWNER_REQUEST = "owner_request"
    PLAN = "plan"
    SELF_CONSUMPTION = "self_consumption"
    IDLE = "idle"
    ENVELOPE = "envelope"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a setpoint is what it is: the rung, a stable code that is translated, and whose wish it was."""

    rung: Rung
    code: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class Interval:
    """Closed power interval of one device or of the site, in W."""

    min_w: float
    max_w: float

    def clamp(self, power_w: float) -> float:
        """Return the power nearest to ``power_w`` inside the interval."""
        return min(max(power_w, self.min_w), self.max_w)

    def narrow(self, other: Interval) -> Interval:
        """Return the part of this interval that ``other`` allows; when they are disjoint, the nearest edge of this one."""
        return Interval(self.clamp(other.min_w), self.clamp(other.max_w))


ZERO = Interval(0.0, 0.0)


@dataclass(frozen=True, slots=True)
class FailSafeCard:
    """What a device does when we vanish (design 2.1). Discharge is refused when ``discharging_at_most_s`` exceeds 60.

    ``lease_s`` is how long the device itself holds an order; ``None`` means for ever. ``proven_by`` names the test.
    """

    lease_s: float | None
    on_silence: str
    on_tcp_close: str
    on_our_death: str
    on_device_reboot: str
    discharging_at_most_s: float | None
    proven_by: str


@dataclass(frozen=True, slots=True)
class DeviceInfo:
    """Identity and nameplate of a device, as read from it or, where it does not tell, as configured."""

    id: DeviceId
    kind: DeviceKind
    name: str
    driver: str
    role: MeterRole | None = None
    maker: str = ""
    model: str = ""
    serial: str = ""
    version: str = ""
    phases: tuple[int, ...] = (1, 2, 3)
    rated: Interval = ZERO
    capacity_wh: float | None = None
    max_age_s: float = 3.0


@dataclass(frozen=True, slots=True)
class MeterSample:
    """Three phases; a single-phase meter reports zeros on the phases it does not have. Counters are lifetime values."""

    at: float
    power_w: float
    phase_power_w: tuple[float, float, float]
    phase_voltage_v: tuple[float, float, float]
    phase_current_a: tuple[float, float, float]
    frequency_hz: float | None = None
    import_wh: float | None = None
    export_wh: float | None = None


class StorageState(StrEnum):
    OFF = "off"
    STANDBY = "standby"
    RUNNING = "running"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class StorageSample:
    """``charge_max_w`` and ``discharge_max_w`` are what the device can do now, both as positive magnitudes."""

    at: float
    power_w: float
    soc_pct: float
    state: StorageState
    charge_max_w: float
    discharge_max_w: float
    soh_pct: float | None = None
    capacity_wh: float | None = None
    charged_wh: float | None = None
    discharged_wh: float | None = None
    applied_w: float | None = None


class EvseState(StrEnum):
    """What the owner sees of a charging session; the driver's own state machine is finer."""

    UNPLUGGED = "unplugged"
    PLUGGED = "plugged"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    FAULT = "fault"


@dataclass(frozen=True, slots=True)
class VehicleSample:
    """The car as the charger knows it. ``soc_pct`` is the value that the car shows to chargers (reference/can.md 1.6)."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    soh_pct: float | None = None
    discharge_compatible: bool = False
    min_discharge_soc_pct: float | None = None
    max_charge_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class EvseSample:
    """``power_w`` is AC power. The two maxima are positive AC magnitudes that car and charger admit right now."""

    at: float
    state: EvseState
    plugged: bool
    power_w: float
    charge_max_w: float
    discharge_max_w: float
    voltage_v: float = 0.0
    current_a: float = 0.0
    vehicle: VehicleSample | None = None
    charged_wh: float | None = None
    discharged_wh: float | None = None
    applied_w: float | None = None
    stop_cause: str = ""


@dataclass(frozen=True, slots=True)
class Setpoint:
    """A lease on a device's power: the driver falls to 0 W after ``expires_at``, with or without us.

    ``engage`` asks an EVSE to hold a charging session open (contactors closed) even at 0 W.
    """

    device: DeviceId
    power_w: float
    expires_at: float
    reason: Reason
    limited_by: Reason | None = None
    engage: bool = True


@dataclass(frozen=True, slots=True)
class Decision:
    """What the tick decided for one device. ``wanted_w`` is the wish before the higher rungs held it back.

    ``min_by`` and ``max_by`` tell who set the edges of the interval.
    """

    device: DeviceId
    at: float
    utc: datetime
    wanted_w: float
    power_w: float
    interval: Interval
    reason: Reason
    limited_by: Reason | None = None
    engage: bool = True
    min_by: Reason | None = None
    max_by: Reason | None = None


class RequestMode(StrEnum):
    CHARGE = "charge_now"
    DISCHARGE = "discharge_now"
    BOOST = "boost"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Request:
    """An owner's lease on one device. ``power_w`` is a positive magnitude; ``until_soc_pct`` ends a boost or a discharge."""

    id: str
    device: DeviceId
    mode: RequestMode
    expires_at: datetime
    power_w: float | None = None
    until_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The owner's standing wishes for one storage or EVSE.

    ``floor_soc_pct`` is never discharged below (driving for a car, backup for a battery); ``departure`` is local time.
    """

    floor_soc_pct: float = 30.0
    target_soc_pct: float = 80.0
    departure: time | None = None
    discharge_allowed: bool = True


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """The owner's standing wishes. A new site only observes: ``control_on`` is false until the owner turns it on."""

    control_on: bool = False
    stopped: bool = False
    grid_events_allowed: bool = True
    devices: Mapping[DeviceId, DeviceSettings] = field(default_factory=dict)

    def of(self, device: DeviceId) -> DeviceSettings:
        """Return the wishes for ``device``, the defaults when the owner never said anything."""
        return self.devices.get(device, DeviceSettings())


class WindowKind(StrEnum):
    IMPORT_LIMIT = "import_limit"
    EXPORT_LIMIT = "export_limit"
    SHED = "shed"
    DISPATCH = "dispatch"


@dataclass(frozen=True, slots=True)
class GridWindow:
    """One arbitrated order of the utility for one stretch of time.

    ``value`` is W for limits (positive magnitude) and dispatch (site power, import positive), the level 0..3 for SHED.
    """

    kind: WindowKind
    value: float
    starts_at: datetime
    ends_at: datetime
    event_id: str
    source: str

    def active(self, utc: datetime) -> bool:
        """Tell whether the window covers ``utc``."""
        return self.starts_at <= utc < self.ends_at


class EventStatus(StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"
    OPTED_OUT = "opted_out"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class GridEvent:
    """A utility's call as the owner sees it."""

    id: str
    program: str
    utility: str
    name: str
    kinds: tuple[WindowKind, ...]
    status: EventStatus
    starts_at: datetime | None
    ends_at: datetime | None
    priority: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class PriceSlot:
    starts_at: datetime
    ends_at: datetime
    import_per_kwh: float
    export_per_kwh: float


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """``device_power_w`` holds each planned device's share; control follows ``grid_power_w`` where it is given."""

    starts_at: datetime
    ends_at: datetime
    grid_power_w: float | None
    device_power_w: Mapping[DeviceId, float]
    reasons: Mapping[DeviceId, str]


@dataclass(frozen=True, slots=True)
class Plan:
    id: str
    made_at: datetime
    expires_at: datetime
    because: str
    slots: tuple[PlanSlot, ...]

    def slot(self, utc: datetime) -> PlanSlot | None:
        """Return the slot that covers ``utc``, None outside the plan or after its expiry."""
        if utc >= self.expires_at:
            return None
        return next((s for s in self.slots if s.starts_at <= utc < s.ends_at), None)


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A raised fault: its code (faults.py), whose it is, since when, and one line of detail."""

    code: str
    device: DeviceId
    since: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EnergyTotals:
    """Lifetime energy into and out of a device (for a grid meter: imported and exported), in Wh; it never falls."""

    in_wh: float = 0.0
    out_wh: float = 0.0


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One thinned sample of a device's past, with its energy totals at that time."""

    utc: datetime
    power_w: float
    soc_pct: float | None
    in_wh: float
    out_wh: float


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that the services want of the fast path; replaced as a whole, each part bearing its own expiry."""

    owner: OwnerSettings = field(default_factory=OwnerSettings)
    requests: tuple[Request, ...] = ()
    windows: tuple[GridWindow, ...] = ()
    plan: Plan | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The process image at one instant. A sample older than its device's ``max_age_s`` is already None."""

    at: float
    utc: datetime
    devices: Mapping[DeviceId, DeviceInfo]
    meters: Mapping[DeviceId, MeterSample | None]
    storages: Mapping[DeviceId, StorageSample | None]
    evses: Mapping[DeviceId, EvseSample | None]
    wishes: Wishes
    decisions: Mapping[DeviceId, Decision]
    faults: tuple[ActiveFault, ...] = ()

    def grid(self) -> MeterSample | None:
        """Return the fresh sample of the grid meter, None when it is stale."""
        return self._meter(MeterRole.GRID)

    def pv(self) -> MeterSample | None:
        """Return the fresh sample of the PV meter, None when it is stale or there is none."""
        return self._meter(MeterRole.PV)

    def _meter(self, role: MeterRole) -> MeterSample | None:
        return next((self.meters.get(i) for i, d in self.devices.items() if d.role is role), None)
