"""What Home Assistant tells the gateway: prices, sun and journeys of entities that the owner chose."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.nissan_energy.client import CannotConnect
from custom_components.nissan_energy.journeys import journeys
from custom_components.nissan_energy.solar import joined, solar_slots
from tests.nissan_energy.fake_gateway import FakeGateway

NOON = datetime(2026, 11, 25, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


async def settle(hass: HomeAssistant) -> None:
    async_fire_time_changed(hass, dt_util.utcnow() + timedelta(seconds=6))
    await hass.async_block_till_done()


async def choose(hass: HomeAssistant, entry: MockConfigEntry, **entities: Any) -> None:
    flow = await hass.config_entries.options.async_init(entry.entry_id)
    assert flow["type"] is FlowResultType.FORM
    done = await hass.config_entries.options.async_configure(flow["flow_id"], entities)
    assert done["type"] is FlowResultType.CREATE_ENTRY
    await hass.async_block_till_done()
    await settle(hass)


async def test_prices_of_the_chosen_entity_are_handed_over_as_they_change(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    today = [{"start": NOON, "end": NOON + HOUR, "value": 0.31}]
    hass.states.async_set(
        "sensor.nordpool", "0.31", {"raw_today": today, "unit_of_measurement": "EUR/kWh", "x": 1}
    )
    await choose(hass, loaded, price_entity="sensor.nordpool")
    told = {"start": NOON.isoformat(), "end": (NOON + HOUR).isoformat(), "value": 0.31}
    assert gateway.forecasts["prices"] == {"lists": {"raw_today": [told], "unit_of_measurement": "EUR/kWh"}}
    today[0]["value"] = 0.5
    hass.states.async_set("sensor.nordpool", "0.5", {"raw_today": today})
    await settle(hass)
    assert gateway.forecasts["prices"]["lists"]["raw_today"][0]["value"] == 0.5


async def test_a_gateway_that_refuses_is_told_of_once(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    gateway.forecast_error = CannotConnect("gone")
    hass.states.async_set("sensor.prices", "1", {"list": [{"start": NOON, "value": 0.3}]})
    await choose(hass, loaded, price_entity="sensor.prices")
    hass.states.async_set("sensor.prices", "2", {"list": [{"start": NOON, "value": 0.4}]})
    await settle(hass)
    assert caplog.text.count("could not be handed over") == 1
    gateway.forecast_error = None
    hass.states.async_set("sensor.prices", "3", {"list": [{"start": NOON, "value": 0.5}]})
    await settle(hass)
    assert "are handed over again" in caplog.text


async def test_two_roofs_are_handed_over_as_their_sum(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    hass.states.async_set(
        "sensor.east", "1", {"watts": {NOON.isoformat(): 1000.0, (NOON + HOUR).isoformat(): 500.0}}
    )
    row = {"period_start": NOON, "pv_estimate": 2.0, "pv_estimate10": 1.0, "pv_estimate90": 3.0}
    hass.states.async_set("sensor.west", "1", {"detailedForecast": [row]})
    await choose(hass, loaded, solar_entities=["sensor.east", "sensor.west"])
    (slot,) = gateway.forecasts["solar"]["slots"]
    assert (slot["value"], slot["starts_at"]) == (3000.0, NOON.isoformat())


async def test_the_events_of_a_calendar_are_journeys(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    async def events(call: ServiceCall) -> dict[str, Any]:
        event = {
            "start": "2026-11-26T07:30:00+01:00",
            "end": "2026-11-26T17:00:00+01:00",
            "summary": "Work, 60 km",
        }
        return {call.data["entity_id"][0]: {"events": [event, {"start": "2026-11-27", "end": "2026-11-28"}]}}

    hass.services.async_register("calendar", "get_events", events, supports_response=SupportsResponse.ONLY)
    hass.states.async_set("calendar.car", "off")
    await choose(hass, loaded, calendar_entity="calendar.car")
    (trip,) = gateway.forecasts["trips"]["trips"]
    assert (trip["device"], trip["energy_wh"]) == ("garage", 10_800.0)
    assert trip["returns_at"] == "2026-11-26T17:00:00+01:00"


async def test_nothing_is_sent_where_nothing_was_chosen(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await settle(hass)
    assert not gateway.forecasts


def test_of_several_chargers_an_event_names_the_one_it_means() -> None:
    span = {"start": "2026-11-26T07:30:00+01:00", "end": "2026-11-26T17:00:00+01:00"}
    chargers = {"left": "Left bay", "right": "Right bay"}
    found = journeys([{**span, "summary": "right BAY, 90 %"}, {**span, "summary": "shopping"}], chargers)
    assert [(t["device"], t["target_soc_pct"]) for t in found] == [("right", 90.0)]


def test_energies_become_powers_and_a_time_without_a_zone_is_refused() -> None:
    told = {"wh_hours": {NOON.isoformat(): 700.0, (NOON + HOUR / 2).isoformat(): 200.0}}
    assert [s["value"] for s in solar_slots(told)] == [1400.0, 400.0]
    assert solar_slots({"wh_hours": {}}) == []
    assert joined([]) == []
    with pytest.raises(ValueError, match="no time zone"):
        solar_slots({"watts": {"2026-11-25T12:00:00": 1.0}})
