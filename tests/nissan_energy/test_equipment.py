"""What the owner sees of the equipment check: one verdict a device, its checks by name, and an issue for what failed."""

import json
from pathlib import Path
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.const import DOMAIN
from custom_components.nissan_energy.diagnostics import async_get_config_entry_diagnostics
from custom_components.nissan_energy.equipment import CHECKS, VERDICTS
from tests.nissan_energy.fake_gateway import FakeGateway, equipment, finding

TEXTS = Path(__file__).parents[2] / "custom_components/nissan_energy/translations/en.json"
GARAGE = "sensor.garage_equipment_check"


def issues(hass: HomeAssistant) -> set[str]:
    """Return the translation keys of the raised issues."""
    return {
        issue.translation_key or ""
        for (domain, _), issue in ir.async_get(hass).issues.items()
        if domain == DOMAIN
    }


@pytest.mark.parametrize(
    ("entity", "verdict"),
    [
        ("sensor.grid_meter_equipment_check", "passed"),
        ("sensor.roof_equipment_check", "passed"),
        ("sensor.battery_equipment_check", "not_proven"),
        (GARAGE, "attention"),
    ],
)
async def test_each_device_has_one_verdict(
    hass: HomeAssistant, loaded: MockConfigEntry, entity: str, verdict: str
) -> None:
    state = hass.states.get(entity)
    assert state is not None
    assert state.state == verdict
    assert state.attributes["options"] == VERDICTS


async def test_checks_are_attributes_and_what_has_not_passed_is_said(
    hass: HomeAssistant, loaded: MockConfigEntry
) -> None:
    state = hass.states.get(GARAGE)
    assert state is not None
    told = state.attributes
    assert (told["model"], told["fuse"]) == ("passed", "attention")
    assert (told["texts"], told["remedies"]) == (["Text of fuse."], ["Remedy of fuse."])
    assert told["proven_at"].startswith("2026-11-25")


async def test_of_several_findings_of_one_check_the_worst_counts_and_the_unknown_is_left_out(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    found = [finding("model", "attention"), finding("model", "passed"), finding("colour", "failed")]
    gateway.say(equipment={"garage": equipment("strange", *found)})
    await hass.async_block_till_done()
    state = hass.states.get(GARAGE)
    assert state is not None
    assert state.state == "unknown"
    assert state.attributes["model"] == "attention"
    assert "colour" not in state.attributes


async def test_a_failed_check_is_an_issue_until_it_has_passed(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert not issues(hass)
    gateway.say(equipment={"garage": equipment("failed", finding("wiring_proof", "failed"))})
    await hass.async_block_till_done()
    assert issues(hass) == {"equipment"}
    ((_, raised),) = ((i, v) for i, v in ir.async_get(hass).issues.items() if i[0] == DOMAIN)
    assert raised.translation_placeholders == {
        "device": "Garage",
        "text": "Text of wiring_proof.",
        "remedy": "Remedy of wiring_proof.",
    }
    gateway.say(equipment={"garage": equipment("passed", finding("wiring_proof", "passed"))})
    await hass.async_block_till_done()
    assert not issues(hass)


async def test_what_is_said_of_a_failure_is_kept_up_to_date(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    for words in ("Seen on L1.", "Seen on L3."):
        failed = finding("wiring_proof", "failed") | {"text": words}
        gateway.say(equipment={"garage": equipment("failed", failed)})
        await hass.async_block_till_done()
        ((_, raised),) = ((i, v) for i, v in ir.async_get(hass).issues.items() if i[0] == DOMAIN)
        assert raised.translation_placeholders is not None
        assert raised.translation_placeholders["text"] == words


async def test_what_several_checks_say_is_said_once(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    same = [finding(c, "not_proven") | {"text": "Not proven."} for c in ("wiring_proof", "timer_proof")]
    gateway.say(equipment={"garage": equipment("not_proven", *same)})
    await hass.async_block_till_done()
    state = hass.states.get(GARAGE)
    assert state is not None
    assert state.attributes["texts"] == ["Not proven."]


async def test_an_unloaded_entry_leaves_no_issue(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.say(equipment={"garage": equipment("failed", finding("fuse", "failed"))})
    await hass.async_block_till_done()
    assert issues(hass) == {"equipment"}
    assert await hass.config_entries.async_unload(loaded.entry_id)
    assert not issues(hass)


async def test_a_gateway_that_judges_nothing_leaves_the_sensor_unavailable(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    gateway.say(equipment={})
    await hass.async_block_till_done()
    state = hass.states.get(GARAGE)
    assert state is not None
    assert state.state == "unavailable"


async def test_it_is_part_of_a_report(hass: HomeAssistant, loaded: MockConfigEntry) -> None:
    told = await async_get_config_entry_diagnostics(hass, loaded)
    assert told["site"]["equipment"]["garage"]["verdict"] == "attention"


def test_every_check_and_verdict_has_a_text() -> None:
    texts: dict[str, Any] = json.loads(TEXTS.read_text())["entity"]["sensor"]["equipment_check"]
    assert texts["state"].keys() == set(VERDICTS)
    attributes = texts["state_attributes"]
    assert attributes.keys() == {*CHECKS, "proven_at", "texts", "remedies"}
    assert all(attributes[check]["state"].keys() == set(VERDICTS) for check in CHECKS)
