"""The actions: read the plan, and request what a mode alone cannot say."""

from typing import Any

import probatio as vol
from homeassistant.components.select import DOMAIN as SELECT_DOMAIN
from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import service
from homeassistant.helpers.typing import VolDictType

from .client import Plan, PlanSlot, PriceSlot
from .const import DOMAIN
from .coordinator import NissanEnergyConfigEntry
from .select import AUTO, REQUESTS

GET_PLAN = "get_plan"
REQUEST = "request"

GET_PLAN_SCHEMA = vol.Schema({vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string})
REQUEST_SCHEMA: VolDictType = {
    vol.Required("mode"): vol.In([AUTO, *REQUESTS]),
    vol.Optional("power"): vol.All(vol.Coerce(float), vol.Range(min=1)),
    vol.Optional("until_soc"): vol.All(vol.Coerce(float), vol.Range(min=0, max=100)),
    vol.Optional("duration"): cv.positive_time_period,
}


@callback
def async_register_actions(hass: HomeAssistant) -> None:
    """Register the actions, once for all entries."""
    hass.services.async_register(
        DOMAIN, GET_PLAN, _async_get_plan, schema=GET_PLAN_SCHEMA, supports_response=SupportsResponse.ONLY
    )
    service.async_register_platform_entity_service(
        hass, DOMAIN, REQUEST, entity_domain=SELECT_DOMAIN, func="async_request", schema=REQUEST_SCHEMA
    )


async def _async_get_plan(call: ServiceCall) -> ServiceResponse:
    entry: NissanEnergyConfigEntry = service.async_get_config_entry(
        call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID)
    )
    feed = entry.runtime_data
    with feed.commanding():
        plan = await feed.client.plan()
    return {
        "plan": _plan(plan) if plan else None,
        "prices": [_price(slot) for slot in feed.site.data.prices],
    }


def _plan(plan: Plan) -> dict[str, Any]:
    return {
        "made_at": plan.made_at.isoformat(),
        "expires_at": plan.expires_at.isoformat(),
        "because": plan.because,
        "slots": [_slot(slot) for slot in plan.slots],
    }


def _slot(slot: PlanSlot) -> dict[str, Any]:
    """Return a slot in Home Assistant's sign: out of a device, and in from the grid, is positive."""
    return {
        "start": slot.starts_at.isoformat(),
        "end": slot.ends_at.isoformat(),
        "grid_power": slot.grid_power_w,
        "devices": {
            device: {"power": 0.0 - power_w, "reason": slot.reasons.get(device)}
            for device, power_w in slot.device_power_w.items()
        },
    }


def _price(slot: PriceSlot) -> dict[str, Any]:
    return {
        "start": slot.starts_at.isoformat(),
        "end": slot.ends_at.isoformat(),
        "import_price": slot.import_per_kwh,
        "export_price": slot.export_per_kwh,
    }
