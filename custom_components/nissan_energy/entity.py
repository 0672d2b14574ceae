"""What all entities share: names, ids, devices, availability, and appearing when a device appears."""

from collections.abc import Callable, Iterable
from typing import Any, Protocol, override

from homeassistant.core import callback
from homeassistant.helpers.device_registry import DeviceInfo
from homeassistant.helpers.entity import Entity, EntityDescription
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.helpers.update_coordinator import CoordinatorEntity

from .client import Decision, DeviceSettings, DeviceView
from .const import DOMAIN
from .coordinator import GatewayFeed, NissanEnergyConfigEntry, PushCoordinator, SiteData
from .pace import LiveData


class NissanEnergyEntity[CoordinatorT: PushCoordinator[Any]](CoordinatorEntity[CoordinatorT]):
    """An entity of the gateway itself, or of one device behind it."""

    _attr_has_entity_name = True

    def __init__(
        self,
        feed: GatewayFeed,
        coordinator: CoordinatorT,
        description: EntityDescription,
        device: str | None = None,
    ) -> None:
        """Stand on the gateway's serial number, never on its address."""
        super().__init__(coordinator)
        self.feed = feed
        self.entity_description = description
        self._attr_translation_key = description.key
        self._attr_unique_id = unique_id(feed, description.key, device)
        part = feed.serial if device is None else f"{feed.serial}_{device}"
        self._attr_device_info = DeviceInfo(identifiers={(DOMAIN, part)})


class SiteEntity(NissanEnergyEntity[PushCoordinator[SiteData]]):
    """An entity of the gateway itself."""

    def __init__(self, feed: GatewayFeed, description: EntityDescription) -> None:
        """Follow the site."""
        super().__init__(feed, feed.site, description)

    @property
    def site(self) -> SiteData:
        """Return what the gateway said last."""
        return self.coordinator.data


class ReadingEntity(NissanEnergyEntity[PushCoordinator[LiveData]]):
    """An entity that shows what a device measures or was told to do; unavailable while the device is silent."""

    def __init__(self, feed: GatewayFeed, description: EntityDescription, device: str) -> None:
        """Follow the live data."""
        super().__init__(feed, feed.live, description, device)
        self.device = device

    @property
    @override
    def available(self) -> bool:
        view = self.coordinator.data.devices.get(self.device)
        return super().available and view is not None and view.available

    @property
    def view(self) -> DeviceView:
        """Return what the gateway said of the device last; only while the device is known."""
        return self.coordinator.data.devices[self.device]

    @property
    def decision(self) -> Decision | None:
        """Return what was decided for the device last."""
        return self.coordinator.data.decisions.get(self.device)


class StandingEntity(NissanEnergyEntity[PushCoordinator[SiteData]]):
    """An entity of a device that follows the site: wishes and faults, which stand while the device itself is silent."""

    def __init__(self, feed: GatewayFeed, description: EntityDescription, device: str) -> None:
        """Follow the site."""
        super().__init__(feed, feed.site, description, device)
        self.device = device

    @property
    @override
    def available(self) -> bool:
        return super().available and self.device in self.feed.live.data.devices

    @property
    def settings(self) -> DeviceSettings:
        """Return the owner's standing wishes for the device."""
        return self.coordinator.data.owner.devices.get(self.device, DeviceSettings())

    async def async_settle(self, setting: str, value: object) -> None:
        """Have the gateway take one standing wish; the entity changes when the gateway confirms it."""
        with self.feed.commanding():
            await self.feed.client.patch_owner({"devices": {self.device: {setting: value}}})


class OfDevice(Protocol):
    """A description of an entity that some devices have."""

    @property
    def key(self) -> str:
        """Return the last part of the unique id."""

    @property
    def exists(self) -> Callable[[DeviceView], bool]:
        """Return the test of whether a device has this entity."""


def unique_id(feed: GatewayFeed, key: str, device: str | None = None) -> str:
    """Return the unique id of an entity of the gateway (``device`` None) or of a device."""
    return f"{feed.serial}_{device or 'site'}_{key}"


@callback
def follow_devices[DescriptionT: OfDevice](
    entry: NissanEnergyConfigEntry,
    add: AddConfigEntryEntitiesCallback,
    make: Callable[[GatewayFeed, DescriptionT, str], Entity],
    descriptions: Iterable[DescriptionT],
) -> None:
    """Add the entities that the devices have now, and later those of whatever appears."""
    feed = entry.runtime_data
    known: set[tuple[str, str]] = set()

    @callback
    def look() -> None:
        fresh = [
            (device, description)
            for device, view in feed.live.data.devices.items()
            for description in descriptions
            if (device, description.key) not in known and description.exists(view)
        ]
        if fresh:
            known.update((device, description.key) for device, description in fresh)
            add([make(feed, description, device) for device, description in fresh])

    look()
    entry.async_on_unload(feed.live.async_add_listener(look))


def is_storage(view: DeviceView) -> bool:
    """Tell whether the device is a home battery."""
    return view.info.kind == "storage"


def is_evse(view: DeviceView) -> bool:
    """Tell whether the device is a charger."""
    return view.info.kind == "evse"


def is_steered(view: DeviceView) -> bool:
    """Tell whether the gateway commands the device."""
    return is_storage(view) or is_evse(view)


def is_grid_meter(view: DeviceView) -> bool:
    """Tell whether the device measures the grid connection."""
    return view.info.kind == "meter" and view.info.role == "grid"


def is_pv_meter(view: DeviceView) -> bool:
    """Tell whether the device measures the solar plant."""
    return view.info.kind == "meter" and view.info.role == "pv"


def is_load(view: DeviceView) -> bool:
    """Tell whether the device is a load that the gateway can hold off."""
    return view.info.kind == "load"


def acts(view: DeviceView) -> bool:
    """Tell whether the gateway decides for the device."""
    return is_steered(view) or is_load(view)


def is_vehicle(view: DeviceView) -> bool:
    """Tell whether the device is a car on its own bus."""
    return view.info.kind == "vehicle"
