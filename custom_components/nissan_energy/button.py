"""Buttons: stop everything, go on, leave a grid event, take reserve back, forget the departure, say that a fault was inspected."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import override

from homeassistant.components.button import ButtonEntity, ButtonEntityDescription
from homeassistant.const import EntityCategory
from homeassistant.core import HomeAssistant
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import DeviceView
from .coordinator import GatewayFeed, NissanEnergyConfigEntry, SiteData
from .entity import SiteEntity, StandingEntity, follow_devices, is_evse

PARALLEL_UPDATES = 1


@dataclass(frozen=True, kw_only=True)
class SiteDescription(ButtonEntityDescription):
    """A button of the site, and when pressing it makes sense."""

    press: Callable[[GatewayFeed], Awaitable[None]]
    makes_sense: Callable[[SiteData], bool] = lambda _: True


@dataclass(frozen=True, kw_only=True)
class ForgetDescription(ButtonEntityDescription):
    """A button that takes one of the owner's wishes back; ``setting`` is the gateway's name of it."""

    exists: Callable[[DeviceView], bool]
    setting: str


async def _async_opt_out(feed: GatewayFeed) -> None:
    for event in feed.site.data.grid_events:
        if event.status == "active":
            await feed.client.opt_out(event.id)


async def _async_withdraw(feed: GatewayFeed) -> None:
    for window in feed.site.data.reserves:
        await feed.client.withdraw_reserve(window.id)


SITE_BUTTONS = (
    SiteDescription(key="stop", press=lambda feed: feed.client.stop()),
    SiteDescription(
        key="resume", press=lambda feed: feed.client.resume(), makes_sense=lambda site: site.owner.stopped
    ),
    SiteDescription(
        key="opt_out",
        press=_async_opt_out,
        makes_sense=lambda site: any(event.status == "active" for event in site.grid_events),
    ),
    SiteDescription(
        key="withdraw_reserve", press=_async_withdraw, makes_sense=lambda site: bool(site.reserves)
    ),
)

FORGETS = (
    ForgetDescription(
        key="forget_departure",
        exists=is_evse,
        setting="departure",
        entity_category=EntityCategory.CONFIG,
    ),
)


@dataclass(frozen=True, kw_only=True)
class InspectedDescription(ButtonEntityDescription):
    """A button that says that a fault was inspected on the spot; there is one only while the fault stands."""

    exists: Callable[[DeviceView], bool]
    fault: str


INSPECTED = (
    InspectedDescription(
        key="contactor_inspected",
        exists=is_evse,
        fault="contactor_welded",
        entity_category=EntityCategory.CONFIG,
    ),
)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the buttons of the site, and of each device as it appears."""
    async_add_entities(SiteButton(entry.runtime_data, description) for description in SITE_BUTTONS)
    follow_devices(entry, async_add_entities, ForgetButton, FORGETS)
    follow_devices(entry, async_add_entities, InspectedButton, INSPECTED)


class SiteButton(SiteEntity, ButtonEntity):
    """A button of the site; unavailable while pressing it would do nothing."""

    entity_description: SiteDescription

    @property
    @override
    def available(self) -> bool:
        return super().available and self.entity_description.makes_sense(self.site)

    @override
    async def async_press(self) -> None:
        with self.feed.commanding():
            await self.entity_description.press(self.feed)


class ForgetButton(StandingEntity, ButtonEntity):
    """A button that takes one of the owner's wishes back."""

    entity_description: ForgetDescription

    @override
    async def async_press(self) -> None:
        await self.async_settle(self.entity_description.setting, None)


class InspectedButton(StandingEntity, ButtonEntity):
    """A button that says that a fault was inspected; unavailable while there is no such fault."""

    entity_description: InspectedDescription

    @property
    @override
    def available(self) -> bool:
        raised = {(fault.device, fault.code) for fault in self.coordinator.data.faults}
        return super().available and (self.device, self.entity_description.fault) in raised

    @override
    async def async_press(self) -> None:
        with self.feed.commanding():
            await self.feed.client.inspected(self.device, self.entity_description.fault)
