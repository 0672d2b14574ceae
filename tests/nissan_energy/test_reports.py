"""What leaves the house in a report, and that every word that the code uses has a text."""

import json
from pathlib import Path
from typing import Any

from homeassistant.core import HomeAssistant
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.diagnostics import async_get_config_entry_diagnostics
from custom_components.nissan_energy.event import FAULT, GRID_EVENT
from custom_components.nissan_energy.plan import CHARGE, DISCHARGE, NONE
from custom_components.nissan_energy.reasons import REASONS
from custom_components.nissan_energy.select import AUTO, REQUESTS
from custom_components.nissan_energy.sensor import EVSE_STATES, STORAGE_STATES
from tests.nissan_energy.fake_gateway import FINGERPRINT, HOST, SERIAL, TOKEN, FakeGateway, fault

FOLDER = Path(__file__).parents[2] / "custom_components/nissan_energy"


async def test_diagnostics_tell_the_state_and_no_secret(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.say(faults=[fault("grid_meter_stale")])
    await hass.async_block_till_done()
    told = await async_get_config_entry_diagnostics(hass, loaded)
    text = json.dumps(told, default=str)
    assert "grid_meter_stale" in text
    assert told["connected"] is True
    for secret in (TOKEN, HOST, SERIAL, FINGERPRINT, '"S1"', "Berlin"):
        assert secret not in text


def test_every_state_has_a_text() -> None:
    texts: dict[str, Any] = json.loads((FOLDER / "translations/en.json").read_text())["entity"]
    for sensor, states in (
        ("reason", REASONS),
        ("limiter", REASONS),
        ("battery_state", STORAGE_STATES),
        ("charger_state", EVSE_STATES),
    ):
        assert texts["sensor"][sensor]["state"].keys() == set(states)
    action = texts["sensor"]["next_action"]
    assert action["state"].keys() == {CHARGE, DISCHARGE, NONE}
    assert action["state_attributes"]["reason"]["state"].keys() <= set(REASONS)
    mode = texts["select"]["charge_mode"]
    assert mode["state"].keys() == {AUTO, *REQUESTS}
    assert mode["state_attributes"]["reason"]["state"].keys() == set(REASONS)
    for event in (GRID_EVENT, FAULT):
        kinds = texts["event"][event.key]["state_attributes"]["event_type"]["state"]
        assert kinds.keys() == set(event.event_types or ())
