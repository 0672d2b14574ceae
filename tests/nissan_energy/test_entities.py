"""What the owner sees: ids that never change, classes that statistics need, Home Assistant's signs, and no guesses."""

from datetime import timedelta
from typing import Any

import pytest
from freezegun.api import FrozenDateTimeFactory
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import HomeAssistantError, ServiceValidationError
from homeassistant.helpers import entity_registry as er
from homeassistant.helpers.entity import Entity
from pytest_homeassistant_custom_component.common import MockConfigEntry, async_fire_time_changed

from custom_components.nissan_energy.client import AuthFailed, CannotConnect, InvalidRequest
from tests.nissan_energy.fake_gateway import (
    AT,
    SERIAL,
    FakeGateway,
    decision,
    device,
    fault,
    grid_event,
)

STEERED = {
    "equipment_check",
    "battery_power",
    "charge_power_available",
    "charged_energy",
    "commanded_power",
    "discharge_power_available",
    "discharged_energy",
    "limiter",
    "reason",
    "charging",
    "fault",
    "charge_mode",
    "discharge_allowed",
    "floor_soc",
}
UNIQUE_IDS = {
    "site": {
        "autonomy",
        "backup_state",
        "battery_may_charge_car",
        "cheapest_start",
        "plan",
        "planned_grid_power",
        "control",
        "control_error",
        "control_loop",
        "control_quality",
        "demand_peak",
        "demand_peak_target",
        "drill",
        "export_excursions",
        "export_limit",
        "export_locked_until",
        "export_price",
        "fault",
        "grid_event",
        "grid_events",
        "grid_supply",
        "house_power",
        "import_limit",
        "import_price",
        "observing",
        "opt_out",
        "reserve_available",
        "reserve_band",
        "reserve_response",
        "reserve_state",
        "resume",
        "stop",
        "storm",
        "withdraw_reserve",
    },
    "grid": {
        "equipment_check",
        "export_energy",
        "fault",
        "frequency",
        "grid_power",
        "import_energy",
        "power_l1",
        "power_l2",
        "power_l3",
    },
    "roof": {"equipment_check", "fault", "solar_energy", "solar_power"},
    "battery": STEERED | {"battery_state", "state_of_charge", "state_of_health"},
    "garage": STEERED
    | {
        "drive_away_soc",
        "car_aux_voltage",
        "car_charge_source",
        "car_last_trip",
        "car_odometer",
        "car_state_of_charge",
        "car_state_of_health",
        "car_temperature",
        "contactor_inspected",
        "charger_state",
        "departure",
        "forget_departure",
        "plugged",
        "stop_cause",
        "target_soc",
        "wakes_today",
    },
}

OF_THE_PLAN = ("next_action", "next_action_start", "planned_power")

MEASURED = {
    "sensor.grid_meter_power": ("300", "power", "measurement", "W"),
    "sensor.grid_meter_imported_energy": ("123.456", "energy", "total_increasing", "kWh"),
    "sensor.grid_meter_exported_energy": ("7.89", "energy", "total_increasing", "kWh"),
    "sensor.roof_power": ("800", "power", "measurement", "W"),
    "sensor.roof_produced_energy": ("55.0", "energy", "total_increasing", "kWh"),
    "sensor.battery_power": ("1500", "power", "measurement", "W"),
    "sensor.battery_commanded_power": ("1500", "power", "measurement", "W"),
    "sensor.battery_charged_energy": ("1.0", "energy", "total_increasing", "kWh"),
    "sensor.battery_discharged_energy": ("2.5", "energy", "total_increasing", "kWh"),
    "sensor.battery_state_of_charge": ("62.3", "battery", "measurement", "%"),
    "sensor.battery_state_of_health": ("97.0", None, "measurement", "%"),
    "sensor.battery_state": ("running", "enum", None, None),
    "sensor.battery_reason": ("self_consumption", "enum", None, None),
    "sensor.battery_held_back_by": ("none", "enum", None, None),
    "sensor.garage_power": ("-2000", "power", "measurement", "W"),
    "sensor.garage_car_state_of_charge": ("55.0", "battery", "measurement", "%"),
    "sensor.garage_car_state_of_health": ("91.0", None, "measurement", "%"),
    "sensor.garage_charge_known_from": ("chademo", "enum", None, None),
    "sensor.garage_car_battery_temperature": ("18.0", "temperature", "measurement", "°C"),
    "sensor.garage_car_12_v_battery": ("12.63", "voltage", "measurement", "V"),
    "sensor.garage_car_odometer": ("48123.0", "distance", "total_increasing", "km"),
    "sensor.garage_last_trip": ("9.1", "energy", None, "kWh"),
    "button.garage_contactor_inspected": ("unavailable", None, None, None),
    "sensor.garage_state": ("ready", "enum", None, None),
    "sensor.garage_reason": ("cheap_hours", "enum", None, None),
    "sensor.garage_held_back_by": ("fuse_l1", "enum", None, None),
    "sensor.garage_stop_cause": ("unknown", None, None, None),
    "sensor.garage_wake_ups_today": ("2", None, "measurement", None),
    "sensor.house_house_power": ("600", "power", "measurement", "W"),
    "sensor.house_import_limit": ("8000", "power", "measurement", "W"),
    "sensor.house_export_limit": ("unknown", "power", "measurement", "W"),
    "sensor.house_import_price": ("0.31", None, "measurement", "EUR/kWh"),
    "sensor.house_export_price": ("0.08", None, "measurement", "EUR/kWh"),
    "sensor.house_cheapest_price_ahead": ("2126-11-25T02:00:00+00:00", "timestamp", None, None),
    "binary_sensor.garage_car": ("on", "plug", None, None),
    "binary_sensor.garage_charging": ("on", "battery_charging", None, None),
    "binary_sensor.battery_charging": ("off", "battery_charging", None, None),
    "binary_sensor.house_fault": ("off", "problem", None, None),
    "binary_sensor.house_control_loop": ("on", "running", None, None),
    "binary_sensor.house_observing_only": ("off", None, None, None),
    "binary_sensor.house_grid_event": ("off", None, None, None),
    "select.garage_mode": ("auto", None, None, None),
    "number.garage_charge_target": ("80.0", None, None, "%"),
    "number.battery_minimum_charge": ("30.0", None, None, "%"),
    "time.garage_departure": ("07:30:00", None, None, None),
    "switch.house_control": ("on", None, None, None),
    "switch.house_take_part_in_grid_events": ("on", None, None, None),
    "switch.battery_discharging_allowed": ("on", None, None, None),
    "button.house_stop": ("unknown", None, None, None),
    "button.house_resume": ("unavailable", None, None, None),
    "button.house_leave_the_grid_event": ("unavailable", None, None, None),
}


@pytest.fixture(autouse=True)
async def _euro(hass: HomeAssistant) -> None:
    hass.config.currency = "EUR"


async def tell(hass: HomeAssistant, gateway: FakeGateway, **parts: Any) -> None:
    gateway.say(**parts)
    await hass.async_block_till_done()


def state(hass: HomeAssistant, entity: str) -> str:
    return hass.states.get(entity).state


async def act(hass: HomeAssistant, domain: str, action: str, entity: str, **data: Any) -> None:
    await hass.services.async_call(domain, action, {"entity_id": entity, **data}, blocking=True)


async def test_unique_ids_stay_what_they_are(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    entities = er.async_entries_for_config_entry(er.async_get(hass), loaded.entry_id)
    expected = [f"{SERIAL}_{part}_{key}" for part, keys in UNIQUE_IDS.items() for key in keys]
    expected += [f"{SERIAL}_{d}_{key}" for d in ("battery", "garage") for key in OF_THE_PLAN]
    twice = [f"{SERIAL}_site_fault", f"{SERIAL}_site_grid_event"]  # a binary sensor and an event
    assert sorted(e.unique_id for e in entities) == sorted(expected + twice)
    assert all(e.has_entity_name and e.translation_key for e in entities)


async def test_states_device_classes_state_classes_and_units_are_right(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    attributes = ("device_class", "state_class", "unit_of_measurement")
    found = {entity: hass.states.get(entity) for entity in MEASURED}
    assert {e: (s.state, *map(s.attributes.get, attributes)) for e, s in found.items()} == MEASURED


async def test_power_out_of_a_battery_a_car_and_the_roof_is_positive_and_from_the_grid_too(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert state(hass, "sensor.battery_power") == "1500"  # discharges
    assert state(hass, "sensor.garage_power") == "-2000"  # charges
    assert state(hass, "sensor.roof_power") == "800"  # produces
    assert state(hass, "sensor.grid_meter_power") == "300"  # imports
    gateway.measure("garage", power_w=-3000.0)
    gateway.measure("grid", power_w=-4000.0)
    await hass.async_block_till_done()
    assert state(hass, "sensor.garage_power") == "3000"
    assert state(hass, "binary_sensor.garage_charging") == "off"
    assert state(hass, "sensor.grid_meter_power") == "-4000"


async def test_what_the_house_draws_is_unknown_while_a_part_is_silent(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert state(hass, "sensor.house_house_power") == "600"  # 300 + 800 + 1500 - 2000
    roof = device("meter", "Roof", None, id="roof", role="pv")
    await tell(hass, gateway, devices=gateway.document["devices"] | {"roof": roof})
    assert state(hass, "sensor.house_house_power") == "unknown"
    await tell(hass, gateway, devices={})
    assert state(hass, "sensor.house_house_power") == "unknown"
    assert state(hass, "sensor.roof_power") == "unavailable"


async def test_detail_is_off_until_wanted(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    registry = er.async_get(hass)
    off = {
        e.unique_id.removeprefix(f"{SERIAL}_")
        for e in er.async_entries_for_config_entry(registry, loaded.entry_id)
        if e.disabled_by
    }
    available = {f"{d}_{w}_power_available" for d in ("battery", "garage") for w in ("charge", "discharge")}
    phases = {"grid_power_l1", "grid_power_l2", "grid_power_l3"}
    reserve = {"site_reserve_available", "site_reserve_band", "site_reserve_response"}
    assert off == {"grid_frequency", *phases, *available, *reserve}


async def test_wanted_detail_is_shown(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert state(hass, "sensor.grid_meter_power_phase_2") == "150"
    assert state(hass, "sensor.grid_meter_frequency") == "50.01"
    assert state(hass, "sensor.battery_available_discharging_power") == "4000"


async def test_a_silent_device_keeps_its_wishes_and_loses_its_readings(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    silent = gateway.document["devices"] | {"battery": device("storage", "Battery", None, id="battery")}
    await tell(hass, gateway, devices=silent, faults=[fault("device_unreachable", "battery")])
    assert state(hass, "sensor.battery_power") == "unavailable"
    assert state(hass, "number.battery_minimum_charge") == "30.0"
    assert state(hass, "binary_sensor.garage_fault") == "off"
    found = hass.states.get("binary_sensor.battery_fault")
    assert (found.state, found.attributes["codes"]) == ("on", ["device_unreachable"])
    assert found.attributes["remedies"] == ["Remedy of device_unreachable."]
    assert state(hass, "binary_sensor.house_fault") == "on"


async def test_a_word_of_a_newer_gateway_is_unknown_and_a_new_reason_falls_back_to_its_rung(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.measure("garage", state="levitating")
    decisions = {"garage": decision(0.0, "plan", "moon_is_full"), "battery": decision(0.0, "new", "new")}
    await tell(hass, gateway, decisions=decisions)
    assert state(hass, "sensor.garage_state") == "unknown"
    assert state(hass, "sensor.garage_reason") == "plan"
    assert state(hass, "sensor.battery_reason") == "unknown"
    assert hass.states.get("sensor.garage_reason").attributes["code"] == "moon_is_full"


async def test_the_mode_is_what_the_gateway_holds_and_says_why(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await act(hass, "select", "select_option", "select.garage_mode", option="boost")
    assert gateway.calls[-1] == ("request", "garage", "boost", {})
    assert state(hass, "select.garage_mode") == "auto"
    request = {"id": "r1", "device": "garage", "mode": "boost", "expires_at": AT, "until_soc_pct": 90.0}
    held = decision(1400.0, "owner_request", "boost", {"rung": "grid_connection", "code": "import_limit"})
    await tell(hass, gateway, requests=[request], decisions=gateway.document["decisions"] | {"garage": held})
    found = hass.states.get("select.garage_mode")
    assert found.state == "boost"
    told = {k: found.attributes[k] for k in ("reason", "limiter", "until_soc", "expires_at")}
    assert told == {
        "reason": "boost",
        "limiter": "import_limit",
        "until_soc": 90.0,
        "expires_at": "2026-11-25T10:00:00+00:00",
    }
    await act(hass, "select", "select_option", "select.garage_mode", option="auto")
    assert gateway.calls[-1] == ("clear_request", "garage")
    await tell(hass, gateway, decisions={})
    assert "reason" not in hass.states.get("select.garage_mode").attributes


@pytest.mark.parametrize(
    ("domain", "action", "entity", "data", "call"),
    [
        (
            "number",
            "set_value",
            "number.garage_charge_target",
            {"value": 90},
            {"garage": {"target_soc_pct": 90.0}},
        ),
        (
            "number",
            "set_value",
            "number.battery_minimum_charge",
            {"value": 20},
            {"battery": {"floor_soc_pct": 20.0}},
        ),
        (
            "time",
            "set_value",
            "time.garage_departure",
            {"time": "06:15:00"},
            {"garage": {"departure": "06:15:00"}},
        ),
        ("button", "press", "button.garage_forget_the_departure", {}, {"garage": {"departure": None}}),
        (
            "switch",
            "turn_off",
            "switch.garage_discharging_allowed",
            {},
            {"garage": {"discharge_allowed": False}},
        ),
        (
            "switch",
            "turn_on",
            "switch.garage_discharging_allowed",
            {},
            {"garage": {"discharge_allowed": True}},
        ),
    ],
)
async def test_a_wish_for_a_device_goes_to_the_owners_settings_and_shows_only_what_is_confirmed(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    gateway: FakeGateway,
    domain: str,
    action: str,
    entity: str,
    data: dict[str, Any],
    call: dict[str, Any],
) -> None:
    before = state(hass, entity)
    await act(hass, domain, action, entity, **data)
    assert gateway.calls[-1] == ("patch_owner", {"devices": call})
    if domain != "button":
        assert state(hass, entity) == before


@pytest.mark.parametrize(
    ("entity", "setting"),
    [
        ("switch.house_control", "control_on"),
        ("switch.house_take_part_in_grid_events", "grid_events_allowed"),
    ],
)
async def test_permissions_of_the_site_are_given_and_taken(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway, entity: str, setting: str
) -> None:
    await act(hass, "switch", "turn_off", entity)
    assert gateway.calls[-1] == ("patch_owner", {setting: False})
    await act(hass, "switch", "turn_on", entity)
    assert gateway.calls[-1] == ("patch_owner", {setting: True})
    await tell(hass, gateway, owner=gateway.document["owner"] | {setting: False})
    assert state(hass, entity) == "off"


async def test_stop_resume_and_opt_out_reach_the_gateway(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await act(hass, "button", "press", "button.house_stop")
    assert gateway.calls[-1] == ("stop",)
    stopped = gateway.document["owner"] | {"stopped": True}
    await tell(hass, gateway, owner=stopped, grid_events=[grid_event("active"), grid_event("ended", id="e0")])
    await act(hass, "button", "press", "button.house_resume")
    assert gateway.calls[-1] == ("resume",)
    await act(hass, "button", "press", "button.house_leave_the_grid_event")
    assert gateway.calls[-1] == ("opt_out", "e1")


@pytest.mark.parametrize(
    ("error", "raised", "key"),
    [
        (InvalidRequest("invalid_request", "too much"), ServiceValidationError, "refused"),
        (CannotConnect("gone"), HomeAssistantError, "cannot_connect"),
        (AuthFailed("no"), HomeAssistantError, "auth_failed"),
    ],
)
async def test_a_command_that_fails_says_why(
    hass: HomeAssistant,
    loaded: MockConfigEntry,
    gateway: FakeGateway,
    error: Exception,
    raised: type[HomeAssistantError],
    key: str,
) -> None:
    gateway.broken = error
    with pytest.raises(raised) as told:
        await act(hass, "button", "press", "button.house_stop")
    assert told.value.translation_key == key
    assert bool(hass.config_entries.flow.async_progress()) is (key == "auth_failed")


async def test_a_grid_event_is_announced_begins_changes_and_ends(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    seen = []
    for event in (
        grid_event("scheduled"),
        grid_event("active"),
        grid_event("active", ends_at="2026-11-25T12:00:00Z"),
        grid_event("unheard_of"),
        grid_event("ended"),
    ):
        await tell(hass, gateway, grid_events=[event])
        seen.append(hass.states.get("event.house_grid_event").attributes["event_type"])
    assert seen == ["announced", "started", "changed", "changed", "ended"]
    await tell(hass, gateway, grid_events=[grid_event("active")])
    found = hass.states.get("binary_sensor.house_grid_event")
    assert (found.state, found.attributes["utility"], found.attributes["kinds"]) == (
        "on",
        "Utility",
        ["import_limit"],
    )
    await tell(hass, gateway, grid_events=[grid_event("active"), grid_event("scheduled", id="e2")])
    await tell(hass, gateway, grid_events=[])
    assert hass.states.get("event.house_grid_event").attributes["event_type"] == "ended"


async def test_what_was_so_before_is_no_news(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry
) -> None:
    gateway.document |= {"grid_events": [grid_event("active")], "faults": [fault("insulation", "garage")]}
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    assert state(hass, "event.house_grid_event") == "unknown"
    assert state(hass, "event.house_fault") == "unknown"
    await tell(hass, gateway, faults=[fault("insulation", "garage"), fault("can_bus_lost", "garage")])
    found = hass.states.get("event.house_fault").attributes
    assert (found["event_type"], found["code"]) == ("raised", "can_bus_lost")
    await tell(hass, gateway, faults=[fault("can_bus_lost", "garage")])
    found = hass.states.get("event.house_fault").attributes
    assert (found["event_type"], found["code"]) == ("cleared", "insulation")


async def test_without_prices_there_is_no_price(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await tell(hass, gateway, prices=[], price_now=None)
    assert state(hass, "sensor.house_import_price") == "unknown"
    assert state(hass, "sensor.house_cheapest_price_ahead") == "unknown"


async def test_a_power_inside_its_dead_band_is_not_written_and_zero_always_is(
    hass: HomeAssistant, freezer: FrozenDateTimeFactory, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    for power_w, shown in ((305.0, "300"), (315.0, "315"), (4.0, "4"), (0.0, "0")):
        gateway.measure("grid", power_w=power_w)
        freezer.tick(timedelta(seconds=6))
        async_fire_time_changed(hass)
        await hass.async_block_till_done()
        assert state(hass, "sensor.grid_meter_power") == shown


async def test_a_car_that_is_away_keeps_its_last_known_charge_and_says_what_was_not_believed(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    car = gateway.document["vehicles"]["garage"] | {"plugged": False, "soc_doubt": "1 %, 55 % is held"}
    gateway.measure("garage", plugged=False, state="unplugged", vehicle=None)
    await tell(hass, gateway, vehicles={"garage": car})
    shown = hass.states.get("sensor.garage_car_state_of_charge")
    assert (shown.state, shown.attributes["doubt"]) == ("55.0", "1 %, 55 % is held")


async def test_of_a_car_on_its_own_bus_only_what_an_owner_looks_at_is_on(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    leaf = device("vehicle", "Leaf", {"at": 1.0, "awake": True, "cell_min_v": 3.71}, id="leaf")
    await tell(hass, gateway, devices=gateway.document["devices"] | {"leaf": leaf})
    on = {
        s.entity_id.removeprefix("sensor.leaf_")
        for s in hass.states.async_all("sensor")
        if "leaf" in s.entity_id
    }
    assert on == {"battery_coldest", "battery_warmest", "outside_temperature", "wake_ups_today"}


async def test_a_car_on_its_own_bus_is_a_device_and_takes_no_part_in_what_the_house_draws(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)
    told = {"at": 1.0, "awake": True, "lbc_soc_pct": 58.4, "cell_min_v": 3.71, "quick_charges": 12}
    leaf = device("vehicle", "Leaf", told, id="leaf")
    await tell(hass, gateway, devices=gateway.document["devices"] | {"leaf": leaf})
    assert state(hass, "sensor.leaf_battery_controller_s_charge") == "58.4"
    assert state(hass, "sensor.leaf_lowest_cell") == "3.71"
    quick_charges = hass.states.get("sensor.leaf_quick_charges")
    assert (quick_charges.state, quick_charges.attributes["state_class"]) == ("12", "total_increasing")
    asleep = device("vehicle", "Leaf", None, id="leaf")
    await tell(hass, gateway, devices=gateway.document["devices"] | {"leaf": asleep})
    assert state(hass, "sensor.leaf_lowest_cell") == "unavailable"
    assert state(hass, "sensor.house_house_power") == "600"


async def test_an_inspected_contactor_is_told_while_the_fault_stands(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await tell(hass, gateway, faults=[fault("contactor_welded", "garage")])
    await act(hass, "button", "press", "button.garage_contactor_inspected")
    assert gateway.calls[-1] == ("inspected", "garage", "contactor_welded")
