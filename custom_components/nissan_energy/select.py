"""The charge mode of each device: automatic, or what the owner asked for now."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, override

from homeassistant.components.select import SelectEntity, SelectEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback
from homeassistant.util import dt as dt_util

from .client import DeviceView
from .coordinator import GatewayFeed, NissanEnergyConfigEntry
from .entity import StandingEntity, follow_devices, is_steered
from .reasons import NOTHING, reason_state

PARALLEL_UPDATES = 1

AUTO = "auto"
REQUESTS = ["charge_now", "discharge_now", "boost", "pause"]


@dataclass(frozen=True, kw_only=True)
class ModeDescription(SelectEntityDescription):
    """The mode of the devices that the gateway commands."""

    exists: Callable[[DeviceView], bool] = is_steered


MODES = (ModeDescription(key="charge_mode", options=[AUTO, *REQUESTS]),)


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the mode of each device as it appears."""
    follow_devices(entry, async_add_entities, ChargeMode, MODES)


class ChargeMode(StandingEntity, SelectEntity):
    """Shows the request that the gateway holds, never the one that was merely sent; the attributes say why the power is what it is."""

    _unrecorded_attributes = frozenset({"reason", "limiter", "wanted_w", "expires_at", "until_soc"})

    def __init__(self, feed: GatewayFeed, description: ModeDescription, device: str) -> None:
        """Know no reason before the first decision."""
        super().__init__(feed, description, device)
        self._why = self._explain()

    @property
    @override
    def current_option(self) -> str | None:
        request = self.coordinator.data.requests.get(self.device)
        mode = request.mode if request else AUTO
        return mode if mode in self.options else None

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any]:
        request = self.coordinator.data.requests.get(self.device)
        return {
            "expires_at": request.expires_at.isoformat() if request else None,
            "until_soc": request.until_soc_pct if request else None,
            **self._why,
        }

    @override
    async def async_added_to_hass(self) -> None:
        await super().async_added_to_hass()
        self.async_on_remove(self.feed.live.async_add_listener(self._handle_decision))

    @callback
    def _handle_decision(self) -> None:
        if self._why != (why := self._explain()):
            self._why = why
            self.async_write_ha_state()

    def _explain(self) -> dict[str, Any]:
        decision = self.feed.live.data.decisions.get(self.device)
        if decision is None:
            return {}
        return {
            "reason": reason_state(decision.reason),
            "limiter": reason_state(decision.limited_by) if decision.limited_by else NOTHING,
        }

    @override
    async def async_select_option(self, option: str) -> None:
        with self.feed.commanding():
            if option == AUTO:
                await self.feed.client.clear_request(self.device)
            else:
                await self.feed.client.request(self.device, option)

    async def async_request(
        self,
        mode: str,
        power: float | None = None,
        until_soc: float | None = None,
        duration: timedelta | None = None,
    ) -> None:
        """Answer the action nissan_energy.request: a mode with a power in W, an end and a duration of its own."""
        with self.feed.commanding():
            if mode == AUTO:
                await self.feed.client.clear_request(self.device)
                return
            await self.feed.client.request(
                self.device,
                mode,
                power_w=power,
                until_soc_pct=until_soc,
                duration_s=duration.total_seconds() if duration else None,
            )

    async def async_set_need(self, energy: float, departure: datetime) -> None:
        """Answer the action nissan_energy.set_need: kWh that the car still has to take, and when it leaves."""
        if departure.tzinfo is None:
            departure = departure.replace(tzinfo=dt_util.get_default_time_zone())
        with self.feed.commanding():
            await self.feed.client.set_need(self.device, energy * 1000.0, departure)

    async def async_clear_need(self) -> None:
        """Answer the action nissan_energy.clear_need."""
        with self.feed.commanding():
            await self.feed.client.clear_need(self.device)
