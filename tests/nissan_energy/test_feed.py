"""The stream dies, comes back, and is told at a pace that the recorder can bear."""

import logging
from datetime import timedelta

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.config_entries import SOURCE_REAUTH
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.nissan_energy.client import AuthFailed, CannotConnect, FingerprintMismatch
from tests.nissan_energy.fake_gateway import FakeGateway, fault

LOG = "custom_components.nissan_energy.coordinator"


async def pass_time(hass: HomeAssistant, freezer: FrozenDateTimeFactory, seconds: float) -> None:
    freezer.tick(timedelta(seconds=seconds))
    async_fire_time_changed(hass)
    await hass.async_block_till_done(wait_background_tasks=False)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [r.getMessage() for r in caplog.records if r.name == LOG and r.levelno >= logging.INFO]


def available(hass: HomeAssistant) -> int:
    return sum(s.state != "unavailable" for s in hass.states.async_all())


async def test_a_silent_gateway_is_unavailable_within_15_s_and_comes_back_by_itself_with_one_line_each(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    loaded: MockConfigEntry,
    gateway: FakeGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    alive = available(hass)
    gateway.broken = CannotConnect("no route")
    await pass_time(hass, freezer, 11)
    assert available(hass) == alive
    await pass_time(hass, freezer, 3)
    assert available(hass) == 0
    for _ in range(20):
        await pass_time(hass, freezer, 61)
    assert gateway.connections > 10
    gateway.broken = None
    await pass_time(hass, freezer, 61)
    assert available(hass) == alive
    assert lines(caplog) == ["House is unavailable: silent", "House is back"]


async def test_a_closed_stream_is_retried_after_5_10_20_40_60_60_seconds_and_from_5_again_after_a_state(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.die()
    await pass_time(hass, freezer, 0)
    for wait in (5, 10, 20, 40, 60, 60):
        before = gateway.connections
        await pass_time(hass, freezer, wait - 1)
        assert gateway.connections == before
        await pass_time(hass, freezer, 1.5)
        assert gateway.connections == before + 1
    gateway.broken = None
    await pass_time(hass, freezer, 61)
    gateway.die()
    await pass_time(hass, freezer, 0)
    before = gateway.connections
    await pass_time(hass, freezer, 5.5)
    assert gateway.connections == before + 1


async def test_a_heartbeat_keeps_a_quiet_house_available(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    alive = available(hass)
    for _ in range(10):
        gateway.beat()
        await pass_time(hass, freezer, 5)
    assert available(hass) == alive
    assert gateway.connections == 1


async def test_a_token_that_is_withdrawn_ends_the_stream_and_starts_pairing_anew(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.die(AuthFailed("withdrawn"))
    await hass.async_block_till_done()
    await pass_time(hass, freezer, 120)
    assert available(hass) == 0
    assert gateway.connections == 1
    assert [f["context"]["source"] for f in hass.config_entries.flow.async_progress()] == [SOURCE_REAUTH]


async def test_a_mistake_of_our_own_is_logged_and_does_not_freeze_the_values(
    hass: HomeAssistant,
    freezer: FrozenDateTimeFactory,
    loaded: MockConfigEntry,
    gateway: FakeGateway,
    caplog: pytest.LogCaptureFixture,
) -> None:
    gateway.die(ZeroDivisionError("ours"))
    await pass_time(hass, freezer, 0)
    assert available(hass) == 0
    assert "Following House failed" in caplog.text
    gateway.broken = None
    await pass_time(hass, freezer, 6)
    assert available(hass) > 0


async def test_a_new_certificate_is_an_issue_until_the_old_one_is_back(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.die(FingerprintMismatch("other"))
    await pass_time(hass, freezer, 0)
    assert [i.translation_key for i in ir.async_get(hass).issues.values()] == ["fingerprint_changed"]
    gateway.broken = None
    await pass_time(hass, freezer, 6)
    assert not ir.async_get(hass).issues


async def test_an_update_of_an_entity_by_hand_makes_a_dead_gateway_not_alive(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    feed = loaded.runtime_data
    await feed.site.async_refresh()
    assert feed.site.last_update_success
    gateway.die()
    await hass.async_block_till_done()
    await feed.site.async_refresh()
    assert not feed.site.last_update_success


async def test_the_owners_faults_are_issues_with_their_remedy_until_they_are_over(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.say(faults=[fault("grid_meter_stale"), fault("tick_overrun", "")])
    await hass.async_block_till_done()
    (issue,) = ir.async_get(hass).issues.values()
    assert issue.translation_placeholders == {
        "device": "Grid meter",
        "text": "Text of grid_meter_stale.",
        "remedy": "Remedy of grid_meter_stale.",
    }
    gateway.say(faults=[])
    await hass.async_block_till_done()
    assert not ir.async_get(hass).issues


async def test_small_movements_are_shown_every_5_s_and_a_leap_or_a_new_state_at_once(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.measure("grid", power_w=340.0)
    await pass_time(hass, freezer, 1)
    assert hass.states.get("sensor.grid_meter_power").state == "300"
    gateway.beat()
    await pass_time(hass, freezer, 5)
    gateway.beat()
    await pass_time(hass, freezer, 1)
    assert hass.states.get("sensor.grid_meter_power").state == "340"
    gateway.measure("grid", power_w=3000.0)
    await pass_time(hass, freezer, 0.1)
    assert hass.states.get("sensor.grid_meter_power").state == "3000"
    gateway.measure("garage", plugged=False, state="unplugged", vehicle=None)
    await pass_time(hass, freezer, 0.1)
    assert hass.states.get("binary_sensor.garage_car").state == "off"
    assert hass.states.get("sensor.garage_state").state == "unplugged"


async def test_counters_are_written_once_a_minute_and_never_dip(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    sensor = "sensor.grid_meter_imported_energy"
    assert hass.states.get(sensor).state == "123.456"
    gateway.measure("grid", import_wh=123500.0)
    await pass_time(hass, freezer, 6)
    assert hass.states.get(sensor).state == "123.456"
    for import_wh, shown in ((123600.0, "123.6"), (123590.0, "123.6"), (5000.0, "5.0")):
        await pass_time(hass, freezer, 10)
        for _ in range(9):
            gateway.beat()
            await pass_time(hass, freezer, 6)
        gateway.measure("grid", import_wh=import_wh)
        await pass_time(hass, freezer, 0)
        assert hass.states.get(sensor).state == shown
