"""What the owner sees of control: how well it works, a blackout and its end, the reserve, loads; and what is asked of it."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import issue_registry as ir
from homeassistant.helpers.entity import Entity
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.client import InvalidRequest, SiteView, changed, read
from custom_components.nissan_energy.const import DOMAIN
from custom_components.nissan_energy.diagnostics import async_get_config_entry_diagnostics
from tests.nissan_energy.fake_gateway import AT, FakeGateway, control, decision, device, fault, house


async def tell(hass: HomeAssistant, gateway: FakeGateway, **parts: Any) -> None:
    gateway.say(**parts)
    await hass.async_block_till_done()


def state(hass: HomeAssistant, entity: str) -> str:
    return hass.states.get(entity).state


async def act(hass: HomeAssistant, domain: str, action: str, entity: str, **data: Any) -> None:
    await hass.services.async_call(domain, action, {"entity_id": entity, **data}, blocking=True)


async def test_control_tells_how_well_it_works_and_by_what_it_is_limited(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    quality = hass.states.get("sensor.house_control_quality")
    assert (quality.state, quality.attributes["limited_by"]) == ("limited", "device_limit")
    assert state(hass, "sensor.house_control_error") == "45"
    assert state(hass, "sensor.house_hours_without_grid") == "9.5"
    assert state(hass, "sensor.house_peak_of_the_month") == "6200"
    assert state(hass, "sensor.house_export_excursions") == "1"
    assert state(hass, "sensor.house_export_locked_out_until") == "unknown"


async def test_a_blackout_is_shown_at_once_and_is_an_event_as_is_its_end(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert state(hass, "sensor.house_backup") == "grid"
    told = []
    for phase in ("islanded", "reserve", "dark", "islanded", "resync", "grid"):
        backup = {"phase": phase, "since": AT, "shed": ["garage"]}
        await tell(hass, gateway, control=control(backup=backup))
        assert state(hass, "sensor.house_backup") == phase
        told.append(hass.states.get("event.house_grid_supply").attributes["event_type"])
    assert told == ["lost", "reserve", "dark", "running_again", "seen_again", "back"]
    assert hass.states.get("sensor.house_backup").attributes["shed"] == ["garage"]


async def test_a_refused_reserve_says_why_in_the_gateways_words(
    hass: HomeAssistant, gateway: FakeGateway, entry: MockConfigEntry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Entity, "entity_registry_enabled_default", True)
    await hass.config_entries.async_setup(entry.entry_id)
    await hass.async_block_till_done()
    refusals = [{"code": "reservoir", "text": "Too little."}]
    reserve = {"phase": "refused", "product": "fcr", "band_w": 3000.0, "refusals": refusals}
    await tell(hass, gateway, control=control(reserve=reserve))
    shown = hass.states.get("sensor.house_frequency_reserve")
    assert (shown.state, shown.attributes["refusals"]) == ("refused", ["Too little."])
    assert state(hass, "sensor.house_reserve_sold") == "3000"
    reserve = {"phase": "armed", "product": "fcr", "response_w": -800.0, "available_pct": 99.5}
    await tell(hass, gateway, control=control(reserve=reserve))
    assert state(hass, "sensor.house_frequency_reserve") == "armed"
    assert state(hass, "sensor.house_reserve_response") == "800"  # given to the grid
    assert state(hass, "sensor.house_reserve_availability") == "99.5"


async def test_a_word_of_a_newer_gateway_is_unknown_and_an_older_one_tells_the_usual(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await tell(hass, gateway, control=control(backup={"phase": "floating"}, quality={"verdict": "odd"}))
    assert state(hass, "sensor.house_backup") == "unknown"
    assert state(hass, "sensor.house_control_quality") == "unknown"
    del gateway.document["control"]
    await tell(hass, gateway)
    assert state(hass, "sensor.house_backup") == "grid"


async def test_a_drill_is_shown_and_its_problems_are_issues_until_one_is_well(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    def raised() -> dict[str | None, dict[str, str] | None]:
        return {i.translation_key: i.translation_placeholders for i in ir.async_get(hass).issues.values()}

    assert state(hass, "sensor.house_blackout_drill") == "unknown"
    bad = {
        "played_at": AT,
        "autonomy_h": 1.04,
        "reserve_h": 1.1,
        "dark_h": 1.3,
        "should_last_h": 4.0,
        "load_w": 2000.0,
        "can_leave": {"garage": False},
        "problems": ["short", "car_stays", "something_newer"],
        "assumed": ["garage holds 36 kWh"],
    }
    await tell(hass, gateway, control=control() | {"drill": bad})
    shown = hass.states.get("sensor.house_blackout_drill")
    assert datetime.fromisoformat(shown.state) == datetime.fromisoformat(AT).replace(microsecond=0)
    assert (shown.attributes["autonomy_h"], shown.attributes["dark_after_h"]) == (1.0, 1.3)
    assert shown.attributes["cars_that_stay"] == ["garage"]
    told = raised()
    assert told.keys() == {"drill_short", "drill_car_stays"}
    assert (told["drill_short"]["hours"], told["drill_short"]["wanted_hours"]) == ("1.3", "4")
    assert told["drill_car_stays"]["cars"] == "Garage"
    better = bad | {"dark_h": None, "problems": ["car_stays"]}
    await tell(hass, gateway, control=control() | {"drill": better})
    assert raised().keys() == {"drill_car_stays"}
    await hass.config_entries.async_unload(loaded.entry_id)
    assert not raised()


def test_one_part_of_control_changes_alone_and_unknown_parts_are_skipped() -> None:
    view = read(SiteView, house())
    change = {
        "seq": 2,
        "at": AT,
        "set": {
            "control.backup": {"phase": "dark"},
            "control.weather": {},
            "urgencies.garage": {"must_w": 5.0},
        },
        "removed": ["control.weather", "urgencies.attic"],
    }
    new = changed(view, change)
    assert (new.control.backup.phase, new.control.quality) == ("dark", view.control.quality)
    assert new.urgencies["garage"].must_w == 5.0


async def test_a_load_is_shown_with_the_reason_why_it_is_off_and_is_part_of_the_house(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    before = state(hass, "sensor.house_house_power")
    boiler = device("load", "Boiler", {"at": 1.0, "on": False, "power_w": 1800.0}, id="boiler")
    pump = device("load", "Pump", {"at": 1.0, "on": True, "power_w": None}, id="pump")
    held = decision(0.0, "backup_reserve", "island_shed")
    await tell(
        hass,
        gateway,
        devices=gateway.document["devices"] | {"boiler": boiler, "pump": pump},
        decisions=gateway.document["decisions"] | {"boiler": held},
    )
    assert state(hass, "binary_sensor.boiler_supply") == "off"
    assert state(hass, "sensor.boiler_power") == "1800"
    assert state(hass, "sensor.boiler_reason") == "island_shed"
    assert state(hass, "binary_sensor.pump_supply") == "on"
    assert hass.states.get("sensor.pump_power") is None
    assert hass.states.get("switch.boiler_discharging_allowed") is None
    assert state(hass, "sensor.house_house_power") == before


async def test_storm_mode_holds_for_a_day_or_until_it_is_turned_off(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert state(hass, "switch.house_storm_mode") == "off"
    await act(hass, "switch", "turn_on", "switch.house_storm_mode")
    told = gateway.calls[-1][1]["storm_until"]
    ahead = datetime.fromisoformat(told) - dt_util.utcnow()
    assert timedelta(hours=23) < ahead <= timedelta(hours=24)
    assert state(hass, "switch.house_storm_mode") == "off"  # not before the gateway says so
    await tell(hass, gateway, owner=gateway.document["owner"] | {"storm_until": told})
    assert state(hass, "switch.house_storm_mode") == "on"
    await act(hass, "switch", "turn_off", "switch.house_storm_mode")
    assert gateway.calls[-1] == ("patch_owner", {"storm_until": None})


async def test_what_the_battery_and_the_car_may_is_the_owners(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await act(hass, "switch", "turn_on", "switch.house_battery_may_charge_the_car")
    assert gateway.calls[-1] == ("patch_owner", {"battery_may_charge_car": True})
    await act(hass, "number", "set_value", "number.garage_drive_away_charge", value=35)
    assert gateway.calls[-1] == ("patch_owner", {"devices": {"garage": {"drive_away_soc_pct": 35.0}}})


async def test_reserve_is_offered_and_the_verdict_returned(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    data = {
        "product": "fcr",
        "power": 3000,
        "start": "2026-11-25T16:00:00+00:00",
        "end": "2026-11-25T20:00:00+00:00",
    }
    answer = await hass.services.async_call(
        DOMAIN, "offer_reserve", data, blocking=True, return_response=True
    )
    assert (answer["state"], answer["refusals"]) == ("refused", ["Too little."])
    start, end = (datetime(2026, 11, 25, hour, tzinfo=UTC) for hour in (16, 20))
    assert gateway.calls[-1] == ("offer_reserve", "fcr", 3000.0, start, end)
    gateway.broken = InvalidRequest("refused", "The reserve is sold already.")
    with pytest.raises(ServiceValidationError):
        await hass.services.async_call(DOMAIN, "offer_reserve", data, blocking=True)


async def test_the_owner_takes_back_what_was_sold(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    button = "button.house_take_the_reserve_back"
    assert state(hass, button) == "unavailable"
    sold = {"id": "w1", "product": "fcr", "power_w": 3000.0, "starts_at": AT, "ends_at": AT}
    await tell(hass, gateway, reserves=[sold])
    await act(hass, "button", "press", button)
    assert gateway.calls[-1] == ("withdraw_reserve", "w1")


async def test_a_need_is_said_in_kilowatt_hours_and_local_time_and_forgotten(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await act(hass, DOMAIN, "set_need", "select.garage_mode", energy=12.5, departure="2026-11-26 07:30:00")
    call, of, energy_wh, departs_at = gateway.calls[-1]
    assert (call, of, energy_wh) == ("set_need", "garage", 12500.0)
    assert dt_util.as_local(departs_at).strftime("%H:%M") == "07:30"
    await act(hass, DOMAIN, "clear_need", "select.garage_mode")
    assert gateway.calls[-1] == ("clear_need", "garage")


async def test_a_disbelieved_meter_is_an_issue_and_reports_hold_control(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    await tell(hass, gateway, faults=[fault("meter_sign_flipped"), fault("grid_lost", "")])
    raised = [i for i, issue in ir.async_get(hass).issues.items() if issue.translation_key == "fault"]
    assert len(raised) == 1
    report = await async_get_config_entry_diagnostics(hass, loaded)
    assert report["live"]["control"]["quality"]["verdict"] == "limited"
