"""Switches: what the gateway may do."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, override

from homeassistant.components.switch import SwitchEntity, SwitchEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .client import DeviceView, OwnerSettings
from .coordinator import NissanEnergyConfigEntry
from .entity import SiteEntity, StandingEntity, follow_devices, is_steered

PARALLEL_UPDATES = 1

STORM = timedelta(hours=24)
"""How long everything is kept for a blackout, unless it is turned off before."""


@dataclass(frozen=True, kw_only=True)
class SiteDescription(SwitchEntityDescription):
    """A permission for the site; ``setting`` is the gateway's name of it."""

    setting: str
    is_on: Callable[[OwnerSettings], bool]
    value: Callable[[bool], object] = lambda on: on


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
    SiteDescription(
        key="storm",
        setting="storm_until",
        is_on=lambda owner: owner.storm_until is not None,
        value=lambda on: (dt_util.utcnow() + STORM).isoformat() if on else None,
    ),
    SiteDescription(
        key="battery_may_charge_car",
        setting="battery_may_charge_car",
        is_on=lambda owner: owner.battery_may_charge_car,
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
            await self.feed.client.patch_owner(
                {self.entity_description.setting: self.entity_description.value(on)}
            )


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
