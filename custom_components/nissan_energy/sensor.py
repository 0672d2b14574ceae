"""Sensors. Home Assistant's sign: positive power comes out of a battery, a car or the solar plant, and in from the grid."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfEnergy, UnitOfFrequency, UnitOfPower, UnitOfRatio
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from .car import CAR_SENSORS, OF_VEHICLE, CarSensor
from .client import Decision, DeviceView, PriceSlot, Reason, Sample
from .control import CONTROL_MOMENTS, CONTROL_SENSORS, ControlSensor, MomentSensor
from .coordinator import GatewayFeed, NissanEnergyConfigEntry, PushCoordinator, SiteData
from .entity import (
    NissanEnergyEntity,
    SiteEntity,
    acts,
    follow_devices,
    is_evse,
    is_grid_meter,
    is_load,
    is_pv_meter,
    is_steered,
    is_storage,
)
from .equipment import EQUIPMENT, EquipmentSensor
from .pace import Band, LiveData
from .paced_sensor import PacedSensor, ReadingDescription, ReadingSensor
from .plan import PLAN_SENSORS, PlannedGridSensor, PlanSensor
from .reasons import NOTHING, REASONS, reason_state

PARALLEL_UPDATES = 0

STORAGE_STATES = ["off", "standby", "running", "fault"]
EVSE_STATES = ["unplugged", "plugged", "starting", "ready", "stopping", "fault"]

POWER_BAND = Band(width=10.0, share=0.01)
SOC_BAND = Band(width=0.1)
COUNTER_BAND = Band(spacing=timedelta(minutes=1))


@dataclass(frozen=True, kw_only=True)
class SiteDescription(SensorEntityDescription):
    """A sensor of the site."""

    value: Callable[[SiteData], StateType | datetime]
    is_price: bool = False


def _power(
    key: str,
    exists: Callable[[DeviceView], bool],
    power_w: Callable[[Sample], float | None],
    *,
    detail: bool = False,
) -> ReadingDescription:
    """Return a power sensor; a ``detail`` is diagnostic and off until wanted."""
    return ReadingDescription(
        key=key,
        device_class=SensorDeviceClass.POWER,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        entity_category=EntityCategory.DIAGNOSTIC if detail else None,
        entity_registry_enabled_default=not detail,
        exists=exists,
        value=lambda view, _: _whole(power_w(view.sample)) if view.sample else None,
        band=POWER_BAND,
    )


def _energy(
    key: str, exists: Callable[[DeviceView], bool], energy_wh: Callable[[Sample], float | None]
) -> ReadingDescription:
    return ReadingDescription(
        key=key,
        device_class=SensorDeviceClass.ENERGY,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=1,
        exists=exists,
        value=lambda view, _: _kilo(energy_wh(view.sample)) if view.sample else None,
        band=COUNTER_BAND,
    )


def _percent(
    key: str,
    exists: Callable[[DeviceView], bool],
    percent: Callable[[Sample], float | None],
    device_class: SensorDeviceClass | None = None,
) -> ReadingDescription:
    """Return a state of charge, or without a device class a diagnostic share."""
    return ReadingDescription(
        key=key,
        device_class=device_class,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=0,
        entity_category=None if device_class else EntityCategory.DIAGNOSTIC,
        exists=exists,
        value=lambda view, _: _tenths(percent(view.sample)) if view.sample else None,
        band=SOC_BAND,
    )


def _state(key: str, exists: Callable[[DeviceView], bool], states: list[str]) -> ReadingDescription:
    return ReadingDescription(
        key=key,
        device_class=SensorDeviceClass.ENUM,
        options=states,
        exists=exists,
        value=lambda view, _: _known(view.sample.state, states) if view.sample else None,
    )


def _why(key: str, reason: Callable[[Decision], Reason | None]) -> ReadingDescription:
    """Return the sensor of a reason; a decision that nothing held back has none."""
    return ReadingDescription(
        key=key,
        device_class=SensorDeviceClass.ENUM,
        options=REASONS,
        exists=acts,
        value=lambda _, decision: (
            (reason_state(r) if (r := reason(decision)) else NOTHING) if decision else None
        ),
        attributes=lambda decision: asdict(r) if (r := reason(decision)) else {},
    )


def _out(power_w: float | None) -> float | None:
    return None if power_w is None else -power_w


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _kilo(value: float | None) -> float | None:
    return None if value is None else round(value / 1000, 3)


def _tenths(value: float | None) -> float | None:
    return None if value is None else round(value, 1)


def _known(state: str | None, states: list[str]) -> str | None:
    """Return ``state`` when it has a translation; a newer gateway may know more."""
    return state if state in states else None


def _phase(key: str, index: int) -> ReadingDescription:
    return _power(
        key,
        lambda view: (
            is_grid_meter(view) and view.sample is not None and len(view.sample.phase_power_w) > index
        ),
        lambda sample: sample.phase_power_w[index],
        detail=True,
    )


READINGS = (
    _power("grid_power", is_grid_meter, lambda sample: sample.power_w),
    _power("solar_power", is_pv_meter, lambda sample: _out(sample.power_w)),
    _power("battery_power", is_steered, lambda sample: _out(sample.power_w)),
    _power(
        "load_power",
        lambda view: is_load(view) and view.sample is not None and view.sample.power_w is not None,
        lambda sample: sample.power_w,
    ),
    _phase("power_l1", 0),
    _phase("power_l2", 1),
    _phase("power_l3", 2),
    _power("charge_power_available", is_steered, lambda sample: sample.charge_max_w, detail=True),
    _power("discharge_power_available", is_steered, lambda sample: sample.discharge_max_w, detail=True),
    ReadingDescription(
        key="commanded_power",
        device_class=SensorDeviceClass.POWER,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        entity_category=EntityCategory.DIAGNOSTIC,
        exists=is_steered,
        value=lambda _, decision: -round(decision.power_w) if decision else None,
        band=POWER_BAND,
    ),
    ReadingDescription(
        key="frequency",
        device_class=SensorDeviceClass.FREQUENCY,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfFrequency.HERTZ,
        suggested_display_precision=2,
        entity_category=EntityCategory.DIAGNOSTIC,
        entity_registry_enabled_default=False,
        exists=lambda view: (
            is_grid_meter(view) and view.sample is not None and view.sample.frequency_hz is not None
        ),
        value=lambda view, _: view.sample.frequency_hz if view.sample else None,
        band=Band(width=0.01),
    ),
    _energy("import_energy", is_grid_meter, lambda sample: sample.import_wh),
    _energy("export_energy", is_grid_meter, lambda sample: sample.export_wh),
    _energy("solar_energy", is_pv_meter, lambda sample: sample.export_wh),
    _energy("charged_energy", is_steered, lambda sample: sample.charged_wh),
    _energy("discharged_energy", is_steered, lambda sample: sample.discharged_wh),
    _percent("state_of_charge", is_storage, lambda sample: sample.soc_pct, SensorDeviceClass.BATTERY),
    _percent("state_of_health", is_storage, lambda sample: sample.soh_pct),
    _state("battery_state", is_storage, STORAGE_STATES),
    _state("charger_state", is_evse, EVSE_STATES),
    ReadingDescription(
        key="stop_cause",
        entity_category=EntityCategory.DIAGNOSTIC,
        exists=is_evse,
        value=lambda view, _: (view.sample.stop_cause or None) if view.sample else None,
    ),
    _why("reason", lambda decision: decision.reason),
    _why("limiter", lambda decision: decision.limited_by),
)


def _limit(key: str, limit_w: Callable[[SiteData], float | None]) -> SiteDescription:
    return SiteDescription(
        key=key,
        device_class=SensorDeviceClass.POWER,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        value=lambda site: _whole(limit_w(site)),
    )


def _price(key: str, price: Callable[[PriceSlot], float]) -> SiteDescription:
    return SiteDescription(
        key=key,
        state_class=SensorStateClass.MEASUREMENT,
        suggested_display_precision=3,
        value=lambda site: price(site.price_now) if site.price_now else None,
        is_price=True,
    )


def _cheapest_start(site: SiteData) -> datetime | None:
    now = dt_util.utcnow()
    ahead = [slot for slot in site.prices if slot.ends_at > now]
    return min(ahead, key=lambda slot: (slot.import_per_kwh, slot.starts_at)).starts_at if ahead else None


SITE_SENSORS = (
    _limit("import_limit", lambda site: site.limits.import_limit_w),
    _limit("export_limit", lambda site: site.limits.export_limit_w),
    _limit("demand_peak_target", lambda site: site.limits.peak_target_w),
    _price("import_price", lambda slot: slot.import_per_kwh),
    _price("export_price", lambda slot: slot.export_per_kwh),
    SiteDescription(
        key="cheapest_start",
        device_class=SensorDeviceClass.TIMESTAMP,
        value=_cheapest_start,
    ),
)


HOUSE_POWER = SensorEntityDescription(
    key="house_power",
    device_class=SensorDeviceClass.POWER,
    state_class=SensorStateClass.MEASUREMENT,
    native_unit_of_measurement=UnitOfPower.WATT,
    suggested_display_precision=0,
)


def _house_w(live: LiveData) -> int | None:
    """Return grid import less all power into devices (the sun's is negative), never below zero."""
    grid = [view.sample for view in live.devices.values() if is_grid_meter(view)]
    others = [view.sample for view in live.devices.values() if is_pv_meter(view) or is_steered(view)]
    if not grid or None in grid or None in others:
        return None
    into_w = sum(sample.power_w or 0.0 for sample in others if sample)
    return max(0, round(sum(sample.power_w or 0.0 for sample in grid if sample) - into_w))


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the sensors of the site, and of each device as it appears."""
    async_add_entities(SiteSensor(entry.runtime_data, description) for description in SITE_SENSORS)
    async_add_entities([HouseSensor(entry.runtime_data), PlannedGridSensor(entry.runtime_data)])
    async_add_entities(ControlSensor(entry.runtime_data, description) for description in CONTROL_SENSORS)
    async_add_entities(MomentSensor(entry.runtime_data, description) for description in CONTROL_MOMENTS)
    follow_devices(entry, async_add_entities, ReadingSensor, (*READINGS, *OF_VEHICLE))
    follow_devices(entry, async_add_entities, PlanSensor, PLAN_SENSORS)
    follow_devices(entry, async_add_entities, CarSensor, CAR_SENSORS)
    follow_devices(entry, async_add_entities, EquipmentSensor, EQUIPMENT)


class SiteSensor(SiteEntity, SensorEntity):
    """A sensor of the site."""

    entity_description: SiteDescription

    @property
    @override
    def native_value(self) -> StateType | datetime:
        return self.entity_description.value(self.site)

    @property
    @override
    def native_unit_of_measurement(self) -> str | None:
        if self.entity_description.is_price:
            return f"{self.hass.config.currency}/{UnitOfEnergy.KILO_WATT_HOUR}"
        return super().native_unit_of_measurement


class HouseSensor(NissanEnergyEntity[PushCoordinator[LiveData]], PacedSensor):
    """What the house itself draws: all that comes in, less what goes into battery and car. Unknown while a device is silent."""

    def __init__(self, feed: GatewayFeed) -> None:
        """Show the first value as it is."""
        super().__init__(feed, feed.live, HOUSE_POWER)
        self.settle(_house_w(self.coordinator.data), POWER_BAND)

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self.settle(_house_w(self.coordinator.data), POWER_BAND)
        super()._handle_coordinator_update()
