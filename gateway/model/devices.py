"""Devices: who they are, what they do when we vanish, what they measured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.model.power import ZERO, DeviceId, Interval


class DeviceKind(StrEnum):
    METER = "meter"
    STORAGE = "storage"
    EVSE = "evse"
    VEHICLE = "vehicle"
    LOAD = "load"

    @property
    def steered(self) -> bool:
        """Takes a power as its setpoint."""
        return self in {DeviceKind.STORAGE, DeviceKind.EVSE}

    @property
    def acts(self) -> bool:
        """Takes setpoints: a power, or of a load only whether it is held off."""
        return self.steered or self is DeviceKind.LOAD


class MeterRole(StrEnum):
    GRID = "grid"
    PV = "pv"
    CIRCUIT = "circuit"
    FREQUENCY = "frequency"


GUARD_AGE_S = 5.0
"""The fuse is guarded by a meter that tells at least this often (reference/needs.md 1, row 22)."""


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
class DcWindow:
    """What the DC side of an EVSE can do; both currents are positive magnitudes."""

    min_voltage_v: float
    max_voltage_v: float
    max_charge_a: float
    max_discharge_a: float


@dataclass(frozen=True, slots=True)
class FrequencyProfile:
    """What a meter's frequency is worth (reference/modbus.md 5.2)."""

    resolution_hz: float
    update_s: float
    accuracy_hz: float


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
    charger: DeviceId = ""
    """Of a vehicle: the EVSE that it is plugged into at home."""
    drops_own_guard: bool = False
    """Its own load balancing is off while it is steered, so that somebody else must guard the fuse."""
    dc: DcWindow | None = None
    """Of an EVSE that tells it."""
    min_charge_w: float = 0.0
    """Of an EVSE: between 0 and this it cannot charge (6 A where IEC 61851 rules)."""
    lag_s: float = 0.0
    """Of a meter: how old what it shows is when it is read, as declared; the poll itself not counted."""
    dead_time_s: float | None = None
    """Of what takes setpoints: how long it is known to let one wait; None where only its own steps will tell."""
    frequency: FrequencyProfile | None = None
    """Of a meter whose frequency was proven."""
    islands: bool = False
    """Of a storage: it can carry the house without a grid."""


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
    islanded: bool | None = None
    """The inverter forms the house's own grid now; None where it does not tell."""


@dataclass(frozen=True, slots=True)
class LoadSample:
    """A load that can be switched off; ``power_w`` where somebody measures it."""

    at: float
    on: bool
    power_w: float | None = None


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
    """The car as the charger knows it, as told and unjudged. ``soc_pct`` is what the car shows to chargers
    (reference/can.md 1.6), None while the charger is blind."""

    soc_pct: float | None = None
    capacity_wh: float | None = None
    soh_pct: float | None = None
    discharge_compatible: bool = False
    min_discharge_soc_pct: float | None = None
    max_charge_soc_pct: float | None = None
    protocol: int | None = None
    v2h_sequence: int | None = None
    max_voltage_v: float | None = None
    target_voltage_v: float | None = None
    min_discharge_voltage_v: float | None = None
    min_charge_current_a: float | None = None
    max_session_min: float | None = None
    dynamic: bool | None = None


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
    wakes_today: int | None = None
    """How often in the last 24 h the car was woken and no session came of it."""


class Charging(StrEnum):
    """What the car says its battery is doing."""

    NONE = "none"
    AC = "ac"
    QUICK = "quick"
    V2X = "v2x"


@dataclass(frozen=True, slots=True)
class EvSample:
    """The car as it tells of itself on its own bus, as told and unjudged; None where nothing valid and fresh is known.

    The two SoCs are different scales (reference/can.md 1.6): ``dash_soc_pct`` is what the driver and a charger see.
    Current into the pack is positive. ``generation`` is "ZE0", "AZE0" or "ZE1", "" until the traffic has told.
    """

    at: float
    awake: bool = False
    generation: str = ""
    dash_soc_pct: float | None = None
    lbc_soc_pct: float | None = None
    energy_wh: float | None = None
    capacity_wh: float | None = None
    capacity_ah: float | None = None
    soh_pct: float | None = None
    hx_pct: float | None = None
    voltage_v: float | None = None
    current_a: float | None = None
    charge_max_w: float | None = None
    discharge_max_w: float | None = None
    temperature_c: float | None = None
    coldest_c: float | None = None
    warmest_c: float | None = None
    cell_min_v: float | None = None
    cell_max_v: float | None = None
    shunts_active: int | None = None
    insulation_raw: int | None = None
    aux_voltage_v: float | None = None
    plugged: bool | None = None
    charging: Charging | None = None
    parked: bool | None = None
    odometer_km: float | None = None
    range_km: float | None = None
    outside_c: float | None = None
    quick_charges: int | None = None
    ac_charges: int | None = None
    pack_serial: str = ""
    wakes_today: int = 0


class VehicleSource(StrEnum):
    """Where a value of a vehicle comes from, the best first."""

    CHADEMO = "chademo"
    EV_CAN = "ev_can"
    CHARGER = "charger"
    ENERGY_COUNT = "energy_count"


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a value comes from, and the monotonic time at which it was told."""

    source: VehicleSource
    at: float


@dataclass(frozen=True, slots=True)
class VehicleState:
    """One car, fused from all who know something of it; keyed by the EVSE it belongs to.

    ``provenance`` is by field name. ``soc_pct`` is on the scale that the driver sees, and was judged: what cannot be true
    is held, and ``soc_doubt`` says what was not believed. It stays known, and ages, while the car is away, and is None from
    its return until it is told.
    """

    charger: DeviceId
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
    discharge_compatible: bool | None = None
    min_discharge_soc_pct: float | None = None
    max_charge_soc_pct: float | None = None
    provenance: Mapping[str, Provenance] = field(default_factory=dict)
