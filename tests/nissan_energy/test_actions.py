"""The actions: what they return, what they send, and what they refuse."""

from typing import Any

import pytest
from homeassistant.config_entries import ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.client import CannotConnect
from custom_components.nissan_energy.const import DOMAIN
from tests.nissan_energy.fake_gateway import FakeGateway

PLAN = {
    "id": "p1",
    "made_at": "2026-11-25T10:00:00Z",
    "expires_at": "2026-11-26T10:00:00Z",
    "because": "new prices",
    "slots": [
        {
            "starts_at": "2026-11-25T10:00:00Z",
            "ends_at": "2026-11-25T10:15:00Z",
            "grid_power_w": 500.0,
            "device_power_w": {"battery": 3000.0, "garage": 0.0},
            "reasons": {"battery": "cheap_hours"},
            "soc_pct": {"battery": 60.0},
        }
    ],
}


async def get_plan(hass: HomeAssistant, **data: Any) -> Any:
    return await hass.services.async_call(DOMAIN, "get_plan", data, blocking=True, return_response=True)


async def test_the_plan_is_returned_in_home_assistants_sign_with_the_prices(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.told_plan = PLAN
    answer = await get_plan(hass, config_entry_id=loaded.entry_id)
    assert answer["plan"]["because"] == "new prices"
    (slot,) = answer["plan"]["slots"]
    assert slot["start"] == "2026-11-25T10:00:00+00:00"
    assert slot["grid_power"] == 500.0
    assert slot["devices"] == {
        "battery": {"power": -3000.0, "reason": "cheap_hours", "charge": 60.0},
        "garage": {"power": 0.0, "reason": None, "charge": None},
    }
    assert [price["import_price"] for price in answer["prices"]] == [0.31, 0.12]


async def test_no_plan_is_an_answer_and_a_dead_gateway_is_not(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert (await get_plan(hass))["plan"] is None
    gateway.broken = CannotConnect("gone")
    with pytest.raises(HomeAssistantError) as told:
        await get_plan(hass)
    assert told.value.translation_key == "cannot_connect"


async def test_an_action_on_an_entry_that_is_not_loaded_is_refused(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    await hass.config_entries.async_unload(loaded.entry_id)
    assert loaded.state is ConfigEntryState.NOT_LOADED
    with pytest.raises(ServiceValidationError):
        await get_plan(hass, config_entry_id=loaded.entry_id)


async def test_a_request_carries_its_power_its_end_and_its_duration(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    data = {"mode": "discharge_now", "power": 3000, "until_soc": 40, "duration": {"hours": 2}}
    target = {"entity_id": "select.garage_mode"}
    await hass.services.async_call(DOMAIN, "request", data, blocking=True, target=target)
    wish = {"power_w": 3000.0, "until_soc_pct": 40.0, "duration_s": 7200.0}
    assert gateway.calls[-1] == ("request", "garage", "discharge_now", wish)
    await hass.services.async_call(DOMAIN, "request", {"mode": "auto"}, blocking=True, target=target)
    assert gateway.calls[-1] == ("clear_request", "garage")
