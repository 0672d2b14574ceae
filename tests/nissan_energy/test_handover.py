"""What Home Assistant tells the gateway: prices, sun and journeys of entities that the owner chose."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from homeassistant.core import HomeAssistant, ServiceCall, SupportsResponse
from homeassistant.data_entry_flow import FlowResultType
from homeassistant.exceptions import HomeAssistantError
from homeassistant.helpers import device_registry as dr
from homeassistant.helpers import entity_registry as er
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


def of_integration(hass: HomeAssistant, platform: str, unique_id: str, device: str) -> str:
    """Return the price sensor of another integration that was set up in the user interface."""
    entry = MockConfigEntry(domain=platform)
    entry.add_to_hass(hass)
    place = dr.async_get(hass).async_get_or_create(
        config_entry_id=entry.entry_id, identifiers={(platform, device)}, name=device
    )
    known = er.async_get(hass).async_get_or_create(
        "sensor", platform, unique_id, config_entry=entry, device_id=place.id
    )
    hass.states.async_set(known.entity_id, "0.3", {"unit_of_measurement": "EUR/kWh"})
    return known.entity_id


async def test_nord_pool_is_asked_for_both_days_and_its_area_is_that_of_the_entity(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    asked: list[dict[str, Any]] = []

    async def prices(call: ServiceCall) -> dict[str, Any]:
        asked.append(dict(call.data))
        if len(asked) == 2:
            return {"SE3": [], "SE4": []}
        slot = {"start": NOON.isoformat(), "end": (NOON + HOUR / 4).isoformat()}
        return {"SE3": [{**slot, "price": 310.0}], "SE4": [{**slot, "price": 450.0}]}

    hass.services.async_register(
        "nordpool", "get_prices_for_date", prices, supports_response=SupportsResponse.ONLY
    )
    entity = of_integration(hass, "nordpool", "SE4-current_price", "Nord Pool SE4")
    await choose(hass, loaded, price_entity=entity)
    today = dt_util.now().date()
    assert [a["date"] for a in asked] == [str(today), str(today + timedelta(days=1))]
    lists = gateway.forecasts["prices"]["lists"]
    assert lists["unit_of_measurement"].endswith("/MWh")
    assert [[slot["price"] for slot in day] for day in lists["prices"]] == [[450.0], []]


async def test_what_an_action_cannot_tell_of_tomorrow_is_left_out_until_it_can(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway, caplog: pytest.LogCaptureFixture
) -> None:
    async def prices(call: ServiceCall) -> dict[str, Any]:
        if call.data["date"] != str(dt_util.now().date()):
            raise HomeAssistantError("not published")
        return {"NL": [{"start": NOON.isoformat(), "end": (NOON + HOUR).isoformat(), "price": 97.5}]}

    hass.services.async_register(
        "nordpool", "get_prices_for_date", prices, supports_response=SupportsResponse.ONLY
    )
    await choose(
        hass, loaded, price_entity=of_integration(hass, "nordpool", "NL-current_price", "Nord Pool NL")
    )
    (day,) = gateway.forecasts["prices"]["lists"]["prices"]
    assert day["NL"][0]["price"] == 97.5
    assert "could not be handed over" not in caplog.text


@pytest.mark.parametrize(("device", "told"), [("Cabin", 0.5), ("Elsewhere", None)])
async def test_of_several_homes_tibber_tells_that_of_the_entity_is_taken(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway, device: str, told: float | None
) -> None:
    spans: list[tuple[str, str]] = []

    async def prices(call: ServiceCall) -> dict[str, Any]:
        spans.append((call.data["start"], call.data["end"]))
        at = {"start_time": "2026-11-25T12:00:00.000+01:00"}
        return {"prices": {"House": [{**at, "price": 0.3}], "Cabin": [{**at, "price": 0.5}]}}

    hass.services.async_register("tibber", "get_prices", prices, supports_response=SupportsResponse.ONLY)
    await choose(hass, loaded, price_entity=of_integration(hass, "tibber", "a-home-id", device))
    if told is None:
        assert "prices" not in gateway.forecasts
        return
    lists = gateway.forecasts["prices"]["lists"]
    assert [day[0]["price"] for day in lists["prices"]] == [told, told]
    assert lists["unit_of_measurement"].endswith("/kWh")
    assert spans[0][1] == spans[1][0]


async def test_a_list_of_the_entity_comes_before_its_integrations_action_and_before_its_guesses(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    entity = of_integration(hass, "nordpool", "nordpool_kwh_se3", "nordpool_kwh_se3")
    hour = {"hour": NOON.isoformat(), "price": 0.31}
    later = {"hour": (NOON + timedelta(days=3)).isoformat(), "price": 9.0}
    hass.states.async_set(
        entity,
        "0.31",
        {
            "raw_today": [hour],
            "raw_tomorrow": None,
            "today": [0.31],
            "forecast": [later],
            "today_min": hour,
            "unit_of_measurement": "DKK/kWh",
        },
    )
    await choose(hass, loaded, price_entity=entity)
    assert gateway.forecasts["prices"] == {
        "lists": {"raw_today": [hour], "unit_of_measurement": "DKK/kWh"},
    }


async def test_both_days_of_octopus_are_handed_over(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    event = "event.octopus_energy_electricity_1_2"

    def rate(at: datetime, price: float) -> dict[str, Any]:
        return {"start": at, "end": at + HOUR / 2, "value_inc_vat": price}

    hass.states.async_set(f"{event}_current_day_rates", "t", {"rates": [rate(NOON, 0.2)]})
    hass.states.async_set(f"{event}_next_day_rates", "t", {"rates": [rate(NOON + 24 * HOUR, 0.1)]})
    await choose(hass, loaded, price_entity=f"{event}_current_day_rates")
    told = [day["rates"][0]["value_inc_vat"] for day in gateway.forecasts["prices"]["lists"]]
    assert told == [0.2, 0.1]


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
