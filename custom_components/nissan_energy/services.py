"""The actions: read the plan, request what a mode alone cannot say, sell reserve, say what a car needs."""

from datetime import datetime
from typing import Any

import probatio as vol
from homeassistant.components.select import DOMAIN as SELECT_DOMAIN
from homeassistant.const import ATTR_CONFIG_ENTRY_ID
from homeassistant.core import HomeAssistant, ServiceCall, ServiceResponse, SupportsResponse, callback
from homeassistant.helpers import config_validation as cv
from homeassistant.helpers import service
from homeassistant.helpers.typing import VolDictType
from homeassistant.util import dt as dt_util

from .client import Plan, PlanSlot, PriceSlot, ReserveWindow
from .const import DOMAIN
from .coordinator import NissanEnergyConfigEntry
from .select import AUTO, REQUESTS

GET_PLAN = "get_plan"
REQUEST = "request"
OFFER_RESERVE = "offer_reserve"
SET_NEED = "set_need"
CLEAR_NEED = "clear_need"

PRODUCTS = ["fcr", "fcr_n", "fcr_d_up", "fcr_d_down", "ffr"]

GET_PLAN_SCHEMA = vol.Schema({vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string})
REQUEST_SCHEMA: VolDictType = {
    vol.Required("mode"): vol.In([AUTO, *REQUESTS]),
    vol.Optional("power"): vol.All(vol.Coerce(float), vol.Range(min=1)),
    vol.Optional("until_soc"): vol.All(vol.Coerce(float), vol.Range(min=0, max=100)),
    vol.Optional("duration"): cv.positive_time_period,
}
OFFER_RESERVE_SCHEMA = vol.Schema(
    {
        vol.Optional(ATTR_CONFIG_ENTRY_ID): cv.string,
        vol.Required("product"): vol.In(PRODUCTS),
        vol.Required("power"): vol.All(vol.Coerce(float), vol.Range(min=1)),
        vol.Required("start"): cv.datetime,
        vol.Required("end"): cv.datetime,
    }
)
SET_NEED_SCHEMA: VolDictType = {
    vol.Required("energy"): vol.All(vol.Coerce(float), vol.Range(min=0.1, max=1000)),
    vol.Required("departure"): cv.datetime,
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
    hass.services.async_register(
        DOMAIN,
        OFFER_RESERVE,
        _async_offer_reserve,
        schema=OFFER_RESERVE_SCHEMA,
        supports_response=SupportsResponse.OPTIONAL,
    )
    for name, schema in ((SET_NEED, SET_NEED_SCHEMA), (CLEAR_NEED, {})):
        service.async_register_platform_entity_service(
            hass, DOMAIN, name, entity_domain=SELECT_DOMAIN, func=f"async_{name}", schema=schema
        )


async def _async_offer_reserve(call: ServiceCall) -> ServiceResponse:
    entry: NissanEnergyConfigEntry = service.async_get_config_entry(
        call.hass, DOMAIN, call.data.get(ATTR_CONFIG_ENTRY_ID)
    )
    feed, told = entry.runtime_data, call.data
    with feed.commanding():
        window = await feed.client.offer_reserve(
            told["product"], told["power"], _aware(told["start"]), _aware(told["end"])
        )
    return _window(window)


def _aware(moment: datetime) -> datetime:
    """Take a time without a zone as local."""
    return moment if moment.tzinfo else moment.replace(tzinfo=dt_util.get_default_time_zone())


def _window(window: ReserveWindow) -> dict[str, Any]:
    return {
        "id": window.id,
        "product": window.product,
        "power": window.power_w,
        "start": window.starts_at.isoformat(),
        "end": window.ends_at.isoformat(),
        "state": window.phase,
        "refusals": [refusal.text or refusal.code for refusal in window.refusals],
    }


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
        "cost": plan.cost,
        "shortfalls": [
            {
                "code": lack.code,
                "device": lack.device or None,
                "at": lack.at.isoformat(),
                "energy": round(lack.energy_wh / 1000, 3),
                "minutes": lack.minutes,
                "charge": lack.soc_pct,
            }
            for lack in plan.shortfalls
        ],
        "slots": [_slot(slot) for slot in plan.slots],
    }


def _slot(slot: PlanSlot) -> dict[str, Any]:
    """Return a slot in Home Assistant's sign: out of a device, and in from the grid, is positive."""
    return {
        "start": slot.starts_at.isoformat(),
        "end": slot.ends_at.isoformat(),
        "grid_power": slot.grid_power_w,
        "devices": {
            device: {
                "power": 0.0 - power_w,
                "reason": slot.reasons.get(device),
                "charge": slot.soc_pct.get(device),
            }
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
