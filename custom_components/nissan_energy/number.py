"""Numbers: how full, and never emptier than."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.number import NumberEntity, NumberEntityDescription, NumberMode
from homeassistant.const import EntityCategory, UnitOfRatio
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import DeviceSettings, DeviceView
from .coordinator import NissanEnergyConfigEntry
from .entity import StandingEntity, follow_devices, is_evse, is_steered

PARALLEL_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class SettingDescription(NumberEntityDescription):
    """A share of the battery that the owner sets; ``setting`` is the gateway's name of it."""

    exists: Callable[[DeviceView], bool]
    setting: str
    value: Callable[[DeviceSettings], float | None]
    native_unit_of_measurement: str = UnitOfRatio.PERCENTAGE
    native_min_value: float = 0.0
    native_max_value: float = 100.0
    native_step: float = 1.0
    mode: NumberMode = NumberMode.SLIDER
    entity_category: EntityCategory | None = EntityCategory.CONFIG


SETTINGS = (
    SettingDescription(
        key="target_soc",
        exists=is_evse,
        setting="target_soc_pct",
        value=lambda settings: settings.target_soc_pct,
    ),
    SettingDescription(
        key="floor_soc",
        exists=is_steered,
        setting="floor_soc_pct",
        value=lambda settings: settings.floor_soc_pct,
    ),
    SettingDescription(
        key="drive_away_soc",
        exists=is_evse,
        setting="drive_away_soc_pct",
        value=lambda settings: settings.drive_away_soc_pct,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the numbers of each device as it appears."""
    follow_devices(entry, async_add_entities, Setting, SETTINGS)


class Setting(StandingEntity, NumberEntity):
    """One of the owner's standing wishes as a number."""

    entity_description: SettingDescription

    @property
    @override
    def native_value(self) -> float | None:
        return self.entity_description.value(self.settings)

    @override
    async def async_set_native_value(self, value: float) -> None:
        await self.async_settle(self.entity_description.setting, value)
