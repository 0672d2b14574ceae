"""The connection to one gateway, and the two coordinators that its stream feeds."""

import asyncio
import logging
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import override

from homeassistant.config_entries import ConfigEntry
from homeassistant.core import HomeAssistant, callback
from homeassistant.exceptions import (
    ConfigEntryAuthFailed,
    ConfigEntryNotReady,
    HomeAssistantError,
    ServiceValidationError,
)
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.update_coordinator import DataUpdateCoordinator, UpdateFailed
from homeassistant.util import dt as dt_util

from .client import (
    AuthFailed,
    DeviceInfo,
    Equipment,
    Fault,
    GatewayClient,
    GatewayClientError,
    GridEvent,
    InvalidRequest,
    Limits,
    Need,
    OwnerSettings,
    Plan,
    PriceSlot,
    Request,
    ReserveWindow,
    Site,
    SiteView,
)
from .const import DOMAIN
from .issues import (
    clear_connection_issues,
    raise_connection_issue,
    show_drill,
    show_equipment,
    show_faults,
    show_shortfalls,
)
from .pace import LiveData, due

LOGGER = logging.getLogger(__name__)

RETRY_MIN_S = 5.0
RETRY_MAX_S = 60.0

type NissanEnergyConfigEntry = ConfigEntry[GatewayFeed]


@dataclass(frozen=True, slots=True)
class SiteData:
    """What changes when somebody wants something or something happens."""

    site: Site
    owner: OwnerSettings
    limits: Limits
    requests: Mapping[str, Request]
    reserves: tuple[ReserveWindow, ...]
    needs: Mapping[str, Need]
    faults: tuple[Fault, ...]
    equipment: Mapping[str, Equipment]
    plan: Plan | None
    prices: tuple[PriceSlot, ...]
    price_now: PriceSlot | None
    grid_events: tuple[GridEvent, ...]

    @classmethod
    def of(cls, view: SiteView) -> SiteData:
        """Return the slow part of ``view``."""
        return cls(
            site=view.site,
            owner=view.owner,
            limits=view.limits,
            requests={request.device: request for request in view.requests},
            reserves=view.reserves,
            needs={need.device: need for need in view.needs},
            faults=view.faults,
            equipment=view.equipment,
            plan=view.plan,
            prices=view.prices,
            price_now=view.price_now,
            grid_events=view.grid_events,
        )


class PushCoordinator[DataT](DataUpdateCoordinator[DataT]):
    """Holds what the stream brought last; never asks by itself."""

    config_entry: NissanEnergyConfigEntry

    def __init__(self, hass: HomeAssistant, entry: NissanEnergyConfigEntry, rate: str) -> None:
        """Start without data and without a timer."""
        super().__init__(
            hass,
            LOGGER,
            config_entry=entry,
            name=f"{DOMAIN} {rate}",
            update_interval=None,
            always_update=False,
        )

    @override
    async def _async_update_data(self) -> DataT:
        if not self.last_update_success:
            raise UpdateFailed(translation_domain=DOMAIN, translation_key="cannot_connect")
        return self.data

    @callback
    def async_publish(self, data: DataT) -> None:
        """Tell the entities, unless they know it already."""
        if not self.last_update_success or data != self.data:
            self.async_set_updated_data(data)

    @callback
    def async_lose(self, error: Exception) -> None:
        """Make the entities unavailable, without a line in the log for each coordinator."""
        self.last_exception = error
        if self.last_update_success:
            self.last_update_success = False
            self.async_update_listeners()


class GatewayFeed:
    """One gateway's stream for as long as its entry is loaded: ``live`` is paced, ``site`` is passed on at once."""

    def __init__(self, hass: HomeAssistant, entry: NissanEnergyConfigEntry, client: GatewayClient) -> None:
        """Take the client of ``entry``; nothing is connected yet."""
        self.client = client
        self.live = PushCoordinator[LiveData](hass, entry, "live")
        self.site = PushCoordinator[SiteData](hass, entry, "site")
        self._hass = hass
        self._entry = entry
        self._view: SiteView | None = None
        self._live_shown_at = dt_util.utcnow()
        self._retry_s = RETRY_MIN_S

    @property
    def serial(self) -> str:
        """Return the serial number of the gateway, on which all unique ids stand."""
        assert self._entry.unique_id is not None
        return self._entry.unique_id

    async def async_connect(self) -> None:
        """Fetch the first state. Raises ConfigEntryAuthFailed or ConfigEntryNotReady."""
        try:
            view = await self.client.state()
        except AuthFailed as err:
            raise ConfigEntryAuthFailed(translation_domain=DOMAIN, translation_key="auth_failed") from err
        except GatewayClientError as err:
            raise_connection_issue(self._hass, self._entry, err)
            raise ConfigEntryNotReady(
                translation_domain=DOMAIN,
                translation_key="not_ready",
                translation_placeholders={"gateway": self._entry.title, "error": str(err)},
            ) from err
        self._take(view, now=dt_util.utcnow())

    @contextmanager
    def commanding(self) -> Iterator[None]:
        """Translate what goes wrong with a command into what Home Assistant shows to the person who gave it."""
        try:
            yield
        except InvalidRequest as err:
            raise ServiceValidationError(
                translation_domain=DOMAIN,
                translation_key="refused",
                translation_placeholders={"detail": err.detail or err.code},
            ) from err
        except AuthFailed as err:
            self._entry.async_start_reauth(self._hass)
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="auth_failed") from err
        except GatewayClientError as err:
            raise HomeAssistantError(translation_domain=DOMAIN, translation_key="cannot_connect") from err

    async def async_run(self) -> None:
        """Follow the stream until cancelled, or until the gateway no longer accepts the token."""
        while True:
            try:
                await self._async_follow()
            except AuthFailed as err:
                self._lose(err)
                self._entry.async_start_reauth(self._hass)
                return
            except GatewayClientError as err:
                self._lose(err)
            except Exception as err:  # whatever it was, values that stand still must not look alive
                LOGGER.exception("Following %s failed", self._entry.title)
                self._lose(err)
            await asyncio.sleep(self._retry_s)
            self._retry_s = min(self._retry_s * 2, RETRY_MAX_S)

    async def _async_follow(self) -> None:
        async with aclosing(self.client.listen()) as views:
            async for view in views:
                self._take(view, now=dt_util.utcnow())
                # Only a state proves a working stream: a socket that is taken and dropped keeps backing off.
                self._retry_s = RETRY_MIN_S

    @callback
    def _take(self, view: SiteView, now: datetime) -> None:
        before, self._view = self._view, view
        returned = not self.site.last_update_success
        if returned:
            LOGGER.info("%s is back", self._entry.title)
        if returned or before is None:
            clear_connection_issues(self._hass, self._entry)
        if before is None or (before.site, _infos(before)) != (view.site, _infos(view)):
            self._register_devices(view)
        names = {device: info.name for device, info in _infos(view).items()}
        if before is None or before.faults != view.faults:
            show_faults(self._hass, self._entry, view.faults, names)
        if before is None or before.equipment != view.equipment:
            show_equipment(self._hass, self._entry, view.equipment, names)
        if before is None or before.control.drill != view.control.drill:
            show_drill(self._hass, self._entry, view.control.drill, names)
        if before is None or before.plan != view.plan:
            show_shortfalls(self._hass, self._entry, view.plan, names)
        self.site.async_publish(SiteData.of(view))
        live = LiveData(view.devices, view.decisions, view.vehicles, view.control, view.urgencies)
        if returned or before is None or due(self.live.data, live, now - self._live_shown_at):
            self._live_shown_at = now
            self.live.async_publish(live)

    @callback
    def _lose(self, error: Exception) -> None:
        if self.site.last_update_success:
            LOGGER.info("%s is unavailable: %s", self._entry.title, error)
        raise_connection_issue(self._hass, self._entry, error)
        self.live.async_lose(error)
        self.site.async_lose(error)

    @callback
    def _register_devices(self, view: SiteView) -> None:
        """Keep the registry true: the gateway first, then what is behind it, again when a device tells more of itself."""
        registry = dr.async_get(self._hass)
        gateway = registry.async_get_or_create(
            config_entry_id=self._entry.entry_id,
            identifiers={(DOMAIN, self.serial)},
            manufacturer="Nissan Energy",
            model="Gateway",
            name=view.site.name,
            serial_number=self.serial,
            sw_version=view.site.sw_version,
        )
        for device, info in _infos(view).items():
            registry.async_get_or_create(
                config_entry_id=self._entry.entry_id,
                identifiers={(DOMAIN, f"{self.serial}_{device}")},
                manufacturer=info.maker or None,
                model=info.model or None,
                name=info.name,
                serial_number=info.serial or None,
                sw_version=info.version or None,
                via_device_id=gateway.id,
            )


def _infos(view: SiteView) -> Mapping[str, DeviceInfo]:
    return {device: seen.info for device, seen in view.devices.items()}
