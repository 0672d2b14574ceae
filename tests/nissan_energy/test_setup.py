"""Entries come, go, fail and come again."""

import pytest
from homeassistant.config_entries import SOURCE_REAUTH, ConfigEntryState
from homeassistant.core import HomeAssistant
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy import async_remove_config_entry_device
from custom_components.nissan_energy.client import (
    AuthFailed,
    CannotConnect,
    FingerprintMismatch,
    VersionTooOld,
)
from custom_components.nissan_energy.const import DOMAIN
from tests.nissan_energy.fake_gateway import FINGERPRINT, HOST, PORT, SERIAL, TOKEN, FakeGateway, device


async def test_an_entry_loads_and_pins_the_certificate(loaded: MockConfigEntry, gateway: FakeGateway) -> None:
    assert loaded.state is ConfigEntryState.LOADED
    assert gateway.opened == [(HOST, PORT, TOKEN, FINGERPRINT)]


async def test_an_entry_unloads_and_reloads_five_times(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    states = len(hass.states.async_all())
    for _ in range(5):
        assert await hass.config_entries.async_reload(loaded.entry_id)
        await hass.async_block_till_done()
        assert loaded.state is ConfigEntryState.LOADED
        assert {s.state for s in hass.states.async_all("select")} == {"auto"}
    assert len(hass.states.async_all()) == states
    assert gateway.connections == 6
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert loaded.state is ConfigEntryState.NOT_LOADED


@pytest.mark.parametrize(
    ("error", "issue"),
    [
        (CannotConnect("no route"), None),
        (FingerprintMismatch("other"), "fingerprint_changed"),
        (VersionTooOld("gateway"), "gateway_too_old"),
        (VersionTooOld("integration"), "integration_too_old"),
    ],
)
async def test_a_gateway_that_cannot_be_used_is_tried_again_and_its_issue_goes_with_success(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry, error: Exception, issue: str | None
) -> None:
    gateway.broken = error
    assert not await hass.config_entries.async_setup(entry.entry_id)
    assert entry.state is ConfigEntryState.SETUP_RETRY
    issues = ir.async_get(hass).issues
    assert [i.translation_key for i in issues.values()] == ([issue] if issue else [])
    gateway.broken = None
    assert await hass.config_entries.async_reload(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.LOADED
    assert not issues


async def test_a_refused_token_asks_the_user_to_pair_again(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    gateway.broken = AuthFailed("no")
    assert not await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert entry.state is ConfigEntryState.SETUP_ERROR
    assert [f["context"]["source"] for f in hass.config_entries.flow.async_progress()] == [SOURCE_REAUTH]


async def test_removing_an_entry_takes_its_issues_along(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    gateway.broken = FingerprintMismatch("other")
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.config_entries.async_remove(entry.entry_id)
    assert not ir.async_get(hass).issues


async def test_devices_are_reached_via_the_gateway(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    devices = dr.async_entries_for_config_entry(dr.async_get(hass), loaded.entry_id)
    hub = next(d for d in devices if (DOMAIN, SERIAL) in d.identifiers)
    assert (hub.name, hub.sw_version, hub.via_device_id) == ("House", "0.1.0", None)
    behind = {d.name: d for d in devices if d is not hub}
    assert behind.keys() == {"Grid meter", "Roof", "Battery", "Garage"}
    assert {d.via_device_id for d in behind.values()} == {hub.id}
    assert behind["Garage"].manufacturer == "Maker"


async def test_a_new_device_appears_without_a_reload_and_tells_more_of_itself_later(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    carport = device("evse", "Carport", None, id="carport", maker="")
    gateway.say(devices=gateway.document["devices"] | {"carport": carport})
    await hass.async_block_till_done()
    entities = er.async_get(hass)
    power = entities.async_get_entity_id("sensor", DOMAIN, f"{SERIAL}_carport_battery_power")
    assert power is not None
    assert hass.states.get(power).state == "unavailable"
    found = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, f"{SERIAL}_carport"), loaded.entry_id)
    assert found.manufacturer is None
    carport["info"]["maker"] = "Somebody"
    gateway.say(devices=gateway.document["devices"] | {"carport": carport})
    await hass.async_block_till_done()
    found = dr.async_get(hass).async_get_device_by_identifier((DOMAIN, f"{SERIAL}_carport"), loaded.entry_id)
    assert found.manufacturer == "Somebody"


async def test_a_device_may_be_removed_only_when_the_connected_gateway_has_it_no_more(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    registry = dr.async_get(hass)
    roof = registry.async_get_device_by_identifier((DOMAIN, f"{SERIAL}_roof"), loaded.entry_id)
    assert not await async_remove_config_entry_device(hass, loaded, roof)
    gateway.say(devices={i: d for i, d in gateway.document["devices"].items() if i != "roof"})
    await hass.async_block_till_done()
    assert hass.states.get("sensor.roof_power").state == "unavailable"
    assert await async_remove_config_entry_device(hass, loaded, roof)
    gateway.die()
    await hass.async_block_till_done()
    assert not await async_remove_config_entry_device(hass, loaded, roof)
