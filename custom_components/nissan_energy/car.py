"""Sensors of the car: what the gateway has fused of it, and what it tells of itself on its own bus."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntityDescription, SensorStateClass
from homeassistant.const import (
    EntityCategory,
    UnitOfElectricPotential,
    UnitOfEnergy,
    UnitOfLength,
    UnitOfRatio,
    UnitOfTemperature,
)
from homeassistant.core import callback
from homeassistant.helpers.typing import StateType

from .client import Car, DeviceView, Sample
from .coordinator import GatewayFeed, PushCoordinator
from .entity import NissanEnergyEntity, is_evse, is_vehicle
from .pace import Band, LiveData
from .paced_sensor import ANY_CHANGE, PacedSensor, ReadingDescription

SOURCES = ["chademo", "ev_can", "charger", "energy_count"]
DIAGNOSTIC = EntityCategory.DIAGNOSTIC
SLOW = Band(width=0.1, spacing=timedelta(minutes=5))


@dataclass(frozen=True, kw_only=True)
class CarDescription(SensorEntityDescription):
    """A sensor of the car that belongs to a charger."""

    value: Callable[[Car], StateType]
    attributes: Callable[[Car], dict[str, Any]] | None = None
    exists: Callable[[DeviceView], bool] = is_evse
    band: Band = ANY_CHANGE


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


def _kilo(value: float | None) -> float | None:
    return None if value is None else round(value / 1000, 2)


def _source(car: Car) -> str | None:
    told = car.sources.get("soc_pct")
    return told.source if told and told.source in SOURCES else None


def _last_trip(car: Car) -> dict[str, Any]:
    trip = car.last_trip
    if trip is None:
        return {}
    return {"left_at": trip.left_at, "returned_at": trip.returned_at, "distance_km": trip.distance_km}


CAR_SENSORS = (
    CarDescription(
        key="car_state_of_charge",
        device_class=SensorDeviceClass.BATTERY,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=0,
        value=lambda car: _rounded(car.soc_pct, 1),
        attributes=lambda car: {"doubt": car.soc_doubt} if car.soc_doubt else {},
        band=Band(width=0.1),
    ),
    CarDescription(
        key="car_charge_source",
        device_class=SensorDeviceClass.ENUM,
        options=SOURCES,
        entity_category=DIAGNOSTIC,
        value=_source,
    ),
    CarDescription(
        key="car_state_of_health",
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=0,
        entity_category=DIAGNOSTIC,
        value=lambda car: _rounded(car.soh_pct, 1),
        band=SLOW,
    ),
    CarDescription(
        key="car_temperature",
        device_class=SensorDeviceClass.TEMPERATURE,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfTemperature.CELSIUS,
        suggested_display_precision=0,
        entity_category=DIAGNOSTIC,
        value=lambda car: _rounded(car.temperature_c, 1),
        band=SLOW,
    ),
    CarDescription(
        key="car_aux_voltage",
        device_class=SensorDeviceClass.VOLTAGE,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfElectricPotential.VOLT,
        suggested_display_precision=1,
        entity_category=DIAGNOSTIC,
        value=lambda car: _rounded(car.aux_voltage_v, 2),
        band=SLOW,
    ),
    CarDescription(
        key="car_odometer",
        device_class=SensorDeviceClass.DISTANCE,
        state_class=SensorStateClass.TOTAL_INCREASING,
        native_unit_of_measurement=UnitOfLength.KILOMETERS,
        suggested_display_precision=0,
        entity_category=DIAGNOSTIC,
        value=lambda car: _rounded(car.odometer_km, 0),
    ),
    CarDescription(
        key="car_last_trip",
        device_class=SensorDeviceClass.ENERGY,
        native_unit_of_measurement=UnitOfEnergy.KILO_WATT_HOUR,
        suggested_display_precision=1,
        value=lambda car: _kilo(car.last_trip.energy_wh) if car.last_trip else None,
        attributes=_last_trip,
    ),
)


@dataclass(frozen=True, slots=True)
class _Quantity:
    """How what a car tells is shown, and how much of it is recorded."""

    unit: str | None
    device_class: SensorDeviceClass | None
    precision: int
    band: Band = SLOW
    state_class: SensorStateClass = SensorStateClass.MEASUREMENT


def _counts_wakes(view: DeviceView) -> bool:
    return is_evse(view) and view.sample is not None and view.sample.wakes_today is not None


_PERCENT = _Quantity(UnitOfRatio.PERCENTAGE, None, 1)
_CELSIUS = _Quantity(UnitOfTemperature.CELSIUS, SensorDeviceClass.TEMPERATURE, 0)
_CELL_VOLT = _Quantity(
    UnitOfElectricPotential.VOLT, SensorDeviceClass.VOLTAGE, 3, Band(width=0.005, spacing=SLOW.spacing)
)
_NOW = _Quantity(None, None, 0, ANY_CHANGE)
_TOTAL = _Quantity(None, None, 0, ANY_CHANGE, SensorStateClass.TOTAL_INCREASING)


def _told(
    key: str,
    quantity: _Quantity,
    value: Callable[[Sample], float | None],
    exists: Callable[[DeviceView], bool] = is_vehicle,
    *,
    enabled: bool = True,
) -> ReadingDescription:
    """Return a diagnostic sensor of what the car tells on its own bus, or what a charger did to it."""
    return ReadingDescription(
        key=key,
        device_class=quantity.device_class,
        state_class=quantity.state_class,
        native_unit_of_measurement=quantity.unit,
        suggested_display_precision=quantity.precision,
        entity_category=DIAGNOSTIC,
        entity_registry_enabled_default=enabled,
        exists=exists,
        value=lambda view, _: _rounded(value(view.sample), 3) if view.sample else None,
        band=quantity.band,
    )


OF_VEHICLE = (
    _told("pack_charge", _PERCENT, lambda s: s.lbc_soc_pct, enabled=False),
    _told("pack_hx", _PERCENT, lambda s: s.hx_pct, enabled=False),
    _told("pack_coldest", _CELSIUS, lambda s: s.coldest_c),
    _told("pack_warmest", _CELSIUS, lambda s: s.warmest_c),
    _told("cell_lowest", _CELL_VOLT, lambda s: s.cell_min_v, enabled=False),
    _told("cell_highest", _CELL_VOLT, lambda s: s.cell_max_v, enabled=False),
    _told("outside_temperature", _CELSIUS, lambda s: s.outside_c),
    _told("quick_charges", _TOTAL, lambda s: s.quick_charges, enabled=False),
    _told("ac_charges", _TOTAL, lambda s: s.ac_charges, enabled=False),
    _told("wakes_today", _NOW, lambda s: s.wakes_today, lambda view: is_vehicle(view) or _counts_wakes(view)),
)
"""Off at first: what only a polled car tells, and what only those look at who look into a pack."""


class CarSensor(NissanEnergyEntity[PushCoordinator[LiveData]], PacedSensor):
    """A sensor of the car that belongs to a charger; it keeps the last value known while the car is away."""

    entity_description: CarDescription
    _unrecorded_attributes = frozenset({"doubt", "left_at", "returned_at", "distance_km"})

    def __init__(self, feed: GatewayFeed, description: CarDescription, device: str) -> None:
        """Show the first value as it is."""
        super().__init__(feed, feed.live, description, device)
        self.device = device
        self._look()

    @property
    @override
    def available(self) -> bool:
        return super().available and self.device in self.coordinator.data.vehicles

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        car, attributes = self.coordinator.data.vehicles.get(self.device), self.entity_description.attributes
        return attributes(car) if attributes and car else None

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self._look()
        super()._handle_coordinator_update()

    def _look(self) -> None:
        if (car := self.coordinator.data.vehicles.get(self.device)) is not None:
            self.settle(self.entity_description.value(car), self.entity_description.band)
