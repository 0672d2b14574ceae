"""The time of day at which a car must be ready."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import time
from typing import override

from homeassistant.components.time import TimeEntity, TimeEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import DeviceView
from .coordinator import NissanEnergyConfigEntry
from .entity import StandingEntity, follow_devices, is_evse

PARALLEL_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class DepartureDescription(TimeEntityDescription):
    """The departure of the cars."""

    exists: Callable[[DeviceView], bool] = is_evse
    entity_category: EntityCategory | None = EntityCategory.CONFIG


DEPARTURES = (DepartureDescription(key="departure"),)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the departure of each car's charger as it appears."""
    follow_devices(entry, async_add_entities, Departure, DEPARTURES)


class Departure(StandingEntity, TimeEntity):
    """When the car must be ready, in the site's local time; unknown when the owner set none."""

    @property
    @override
    def native_value(self) -> time | None:
        return self.settings.departure

    @override
    async def async_set_value(self, value: time) -> None:
        await self.async_settle("departure", value.isoformat())
