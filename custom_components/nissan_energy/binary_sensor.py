"""Binary sensors."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.binary_sensor import BinarySensorEntity, BinarySensorEntityDescription
from homeassistant.components.binary_sensor.const import BinarySensorDeviceClass
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import DeviceView, Fault, Sample
from .coordinator import NissanEnergyConfigEntry, SiteData
from .entity import ReadingEntity, SiteEntity, StandingEntity, follow_devices, is_evse, is_load, is_steered

PARALLEL_UPDATES = 0

FLOWS_W = 100.0
"""Below this a converter at rest is not called charging."""


@dataclass(frozen=True, kw_only=True)
class ReadingDescription(BinarySensorEntityDescription):
    """A binary sensor of a device."""

    exists: Callable[[DeviceView], bool]
    is_on: Callable[[Sample], bool | None]


@dataclass(frozen=True, kw_only=True)
class FaultDescription(BinarySensorEntityDescription):
    """The faults of a device."""

    exists: Callable[[DeviceView], bool]


@dataclass(frozen=True, kw_only=True)
class SiteDescription(BinarySensorEntityDescription):
    """A binary sensor of the site."""

    is_on: Callable[[SiteData], bool]
    attributes: Callable[[SiteData], dict[str, Any]] | None = None


READINGS = (
    ReadingDescription(
        key="plugged",
        device_class=BinarySensorDeviceClass.PLUG,
        exists=is_evse,
        is_on=lambda sample: sample.plugged,
    ),
    ReadingDescription(
        key="charging",
        device_class=BinarySensorDeviceClass.BATTERY_CHARGING,
        exists=is_steered,
        is_on=lambda sample: (sample.power_w or 0.0) > FLOWS_W,
    ),
    ReadingDescription(
        key="load",
        device_class=BinarySensorDeviceClass.POWER,
        exists=is_load,
        is_on=lambda sample: sample.on,
    ),
)

DEVICE_FAULTS = (
    FaultDescription(
        key="fault",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        exists=lambda _: True,
    ),
)


def _faults(faults: tuple[Fault, ...]) -> dict[str, Any]:
    return {
        "codes": [fault.code for fault in faults],
        "texts": [fault.text for fault in faults],
        "remedies": [fault.remedy for fault in faults],
    }


def _active_event(site: SiteData) -> dict[str, Any]:
    active = next((event for event in site.grid_events if event.status == "active"), None)
    if active is None:
        return {}
    return {
        "utility": active.utility,
        "name": active.name,
        "kinds": list(active.kinds),
        "ends_at": active.ends_at.isoformat() if active.ends_at else None,
    }


SITE_SENSORS = (
    SiteDescription(
        key="grid_event",
        is_on=lambda site: any(event.status == "active" for event in site.grid_events),
        attributes=_active_event,
    ),
    SiteDescription(
        key="fault",
        device_class=BinarySensorDeviceClass.PROBLEM,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on=lambda site: bool(site.faults),
        attributes=lambda site: _faults(site.faults),
    ),
    SiteDescription(
        key="observing",
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on=lambda site: site.site.observing,
    ),
    SiteDescription(
        key="control_loop",
        device_class=BinarySensorDeviceClass.RUNNING,
        entity_category=EntityCategory.DIAGNOSTIC,
        is_on=lambda site: site.site.fast_path_alive,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the binary sensors of the site, and of each device as it appears."""
    async_add_entities(SiteBinarySensor(entry.runtime_data, description) for description in SITE_SENSORS)
    follow_devices(entry, async_add_entities, ReadingBinarySensor, READINGS)
    follow_devices(entry, async_add_entities, DeviceFault, DEVICE_FAULTS)


class ReadingBinarySensor(ReadingEntity, BinarySensorEntity):
    """A binary sensor of a device."""

    entity_description: ReadingDescription

    @property
    @override
    def is_on(self) -> bool | None:
        return self.entity_description.is_on(self.view.sample) if self.view.sample else None


class DeviceFault(StandingEntity, BinarySensorEntity):
    """The faults of one device, which are known above all while it is silent."""

    entity_description: FaultDescription
    _unrecorded_attributes = frozenset({"texts", "remedies"})

    @property
    def faults(self) -> tuple[Fault, ...]:
        """Return the raised faults of this device."""
        return tuple(fault for fault in self.coordinator.data.faults if fault.device == self.device)

    @property
    @override
    def is_on(self) -> bool:
        return bool(self.faults)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        return _faults(self.faults)


class SiteBinarySensor(SiteEntity, BinarySensorEntity):
    """A binary sensor of the site."""

    entity_description: SiteDescription
    _unrecorded_attributes = frozenset({"texts", "remedies"})

    @property
    @override
    def is_on(self) -> bool:
        return self.entity_description.is_on(self.site)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        attributes = self.entity_description.attributes
        return attributes(self.site) if attributes else None
