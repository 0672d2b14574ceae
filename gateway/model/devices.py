"""Devices: who they are, what they do when we vanish, what they measured."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.model.power import ZERO, DeviceId, Interval


class DeviceKind(StrEnum):
    METER = "meter"
    STORAGE = "storage"
    EVSE = "evse"


class MeterRole(StrEnum):
    GRID = "grid"
    PV = "pv"


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
