"""Nissan Energy: a Leaf, its charger and a home battery, run as one power plant by the gateway beside the fuse box."""

from homeassistant.const import CONF_HOST, CONF_PORT, CONF_TOKEN
from homeassistant.core import HomeAssistant
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers.aiohttp_client import async_get_clientsession
from homeassistant.helpers.typing import ConfigType

from .client import GatewayClient
from .const import CONF_FINGERPRINT, DOMAIN, PLATFORMS
from .coordinator import GatewayFeed, NissanEnergyConfigEntry
from .handover import Handover
from .issues import clear_all
from .services import async_register_actions

CONFIG_SCHEMA = cv.config_entry_only_config_schema(DOMAIN)


async def async_setup(hass: HomeAssistant, config: ConfigType) -> bool:
    """Register the actions, which outlive every entry."""
    async_register_actions(hass)
    return True


async def async_setup_entry(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> bool:
    """Connect to a gateway and follow it. Raises ConfigEntryAuthFailed or ConfigEntryNotReady."""
    client = GatewayClient(
        async_get_clientsession(hass),
        entry.data[CONF_HOST],
        entry.data[CONF_PORT],
        entry.data[CONF_TOKEN],
        entry.data[CONF_FINGERPRINT],
    )
    feed = GatewayFeed(hass, entry, client)
    await feed.async_connect()
    entry.runtime_data = feed
    await hass.config_entries.async_forward_entry_setups(entry, PLATFORMS)
    entry.async_on_unload(Handover(hass, entry).async_start())
    entry.async_create_background_task(hass, feed.async_run(), name=f"{DOMAIN} stream of {entry.title}")
    return True


async def async_unload_entry(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> bool:
    """Let go of a gateway; Home Assistant ends the stream."""
    unloaded = await hass.config_entries.async_unload_platforms(entry, PLATFORMS)
    if unloaded:
        clear_all(hass, entry)
    return unloaded


async def async_remove_entry(hass: HomeAssistant, entry: NissanEnergyConfigEntry) -> None:
    """Leave no issue behind."""
    clear_all(hass, entry)


async def async_remove_config_entry_device(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, device: dr.AnyDeviceEntry
) -> bool:
    """Allow the removal of a device that the connected gateway no longer has; silence proves nothing."""
    feed = entry.runtime_data
    present = {(DOMAIN, feed.serial)} | {(DOMAIN, f"{feed.serial}_{i}") for i in feed.live.data.devices}
    heard = feed.site.last_update_success and feed.site.data.site.fast_path_alive
    return heard and not device.identifiers & present
