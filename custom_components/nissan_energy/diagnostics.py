"""What may be attached to a report: everything but secrets, addresses and serial numbers."""

from dataclasses import asdict
from typing import Any

from homeassistant.components.diagnostics import async_redact_data
from homeassistant.const import CONF_HOST, CONF_TOKEN
from homeassistant.core import HomeAssistant

from .const import CONF_FINGERPRINT
from .coordinator import NissanEnergyConfigEntry

TO_REDACT = {CONF_HOST, CONF_TOKEN, CONF_FINGERPRINT, "serial", "unique_id", "title", "time_zone"}


async def async_get_config_entry_diagnostics(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry
) -> dict[str, Any]:
    """Return the entry and the last state that the gateway told."""
    feed = entry.runtime_data
    return async_redact_data(
        {
            "entry": entry.as_dict(),
            "connected": feed.site.last_update_success,
            "last_error": type(feed.site.last_exception).__name__ if feed.site.last_exception else None,
            "site": asdict(feed.site.data),
            "live": asdict(feed.live.data),
        },
        TO_REDACT,
    )
