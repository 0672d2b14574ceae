"""Switches: what the gateway may do."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import DeviceView, OwnerSettings
from .coordinator import NissanEnergyConfigEntry
from .entity import SiteEntity, StandingEntity, follow_devices, is_steered

PARALLEL_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class SiteDescription(SwitchEntityDescription):
    """A permission for the site; ``setting`` is the gateway's name of it."""

    setting: str
    is_on: Callable[[OwnerSettings], bool]


@dataclass(frozen=True, kw_only=True)
class DischargeDescription(SwitchEntityDescription):
    """The permission to take energy out of a device."""

    exists: Callable[[DeviceView], bool] = is_steered
    entity_category: EntityCategory | None = EntityCategory.CONFIG


SITE_SWITCHES = (
    SiteDescription(key="control", setting="control_on", is_on=lambda owner: owner.control_on),
    SiteDescription(
        key="grid_events",
        setting="grid_events_allowed",
        is_on=lambda owner: owner.grid_events_allowed,
        entity_category=EntityCategory.CONFIG,
    ),
)

DISCHARGES = (DischargeDescription(key="discharge_allowed"),)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the switches of the site, and of each device as it appears."""
    async_add_entities(SiteSwitch(entry.runtime_data, description) for description in SITE_SWITCHES)
    follow_devices(entry, async_add_entities, DischargeAllowed, DISCHARGES)


class SiteSwitch(SiteEntity, SwitchEntity):
    """A permission for the site."""

    entity_description: SiteDescription

    @property
    @override
    def is_on(self) -> bool:
        return self.entity_description.is_on(self.site.owner)

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        await self._async_permit(True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        await self._async_permit(False)

    async def _async_permit(self, on: bool) -> None:
        with self.feed.commanding():
            await self.feed.client.patch_owner({self.entity_description.setting: on})


class DischargeAllowed(StandingEntity, SwitchEntity):
    """The permission to take energy out of a device."""

    @property
    @override
    def is_on(self) -> bool | None:
        return self.settings.discharge_allowed

    @override
    async def async_turn_on(self, **kwargs: Any) -> None:
        await self.async_settle("discharge_allowed", True)

    @override
    async def async_turn_off(self, **kwargs: Any) -> None:
        await self.async_settle("discharge_allowed", False)
