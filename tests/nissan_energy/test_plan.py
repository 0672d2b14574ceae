"""The plan in Home Assistant: what comes next and why, the series, and a car that will not be ready."""

from datetime import timedelta
from typing import Any
from xml.etree import ElementTree as ET
from zoneinfo import ZoneInfo

from homeassistant.components.image import async_get_image
from homeassistant.core import HomeAssistant
from homeassistant.helpers import issue_registry as ir
from homeassistant.util import dt as dt_util
from pytest_homeassistant_custom_component.common import MockConfigEntry

from custom_components.nissan_energy.client import Plan, read
from custom_components.nissan_energy.const import DOMAIN
from custom_components.nissan_energy.plan import next_action
from custom_components.nissan_energy.plan_picture import Words, draw
from tests.nissan_energy.fake_gateway import FakeGateway


def plan(*shares_w: float, shortfalls: tuple[dict[str, Any], ...] = ()) -> dict[str, Any]:
    """Return a plan whose slots of 15 min begin with the quarter that is now."""
    start = dt_util.utcnow().replace(second=0, microsecond=0)
    start -= timedelta(minutes=start.minute % 15)
    times = [start + timedelta(minutes=15 * n) for n in range(len(shares_w) + 1)]
    return {
        "id": "p1",
        "made_at": start.isoformat(),
        "expires_at": (start + timedelta(hours=2)).isoformat(),
        "because": "new prices",
        "slots": [
            {
                "starts_at": times[n].isoformat(),
                "ends_at": times[n + 1].isoformat(),
                "grid_power_w": 500.0 + power_w,
                "device_power_w": {"garage": power_w},
                "reasons": {"garage": "cheap_hours" if power_w > 0 else "no_benefit"},
                "soc_pct": {"garage": 55.0},
            }
            for n, power_w in enumerate(shares_w)
        ],
        "made": "optimal",
        "cost": 1.25,
        "shortfalls": list(shortfalls),
    }


def test_the_next_action_reaches_as_long_as_it_goes_the_same_way() -> None:
    known = read(Plan, plan(0.0, 3000.0, 5000.0, 0.0, -2000.0))
    action = next_action(known, "garage", dt_util.utcnow())
    assert action is not None
    assert (action.kind, action.power_w, action.reason) == ("charge", 4000.0, "cheap_hours")
    assert action.ends_at - action.starts_at == timedelta(minutes=30)
    assert next_action(known, "battery", dt_util.utcnow()) is None
    assert next_action(None, "garage", dt_util.utcnow()) is None


async def test_the_next_action_of_a_device_is_shown_with_its_reason(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert hass.states.get("sensor.garage_next_action").state == "none"
    gateway.say(plan=plan(0.0, 3000.0, 0.0))
    await hass.async_block_till_done()
    shown = hass.states.get("sensor.garage_next_action")
    assert (shown.state, shown.attributes["power"], shown.attributes["reason"]) == (
        "charge",
        -3000,
        "cheap_hours",
    )
    assert hass.states.get("sensor.garage_next_action_at").state == shown.attributes["start"]
    assert hass.states.get("sensor.garage_planned_power").state == "0"
    assert [p["power"] for p in hass.states.get("sensor.garage_planned_power").attributes["series"]] == [
        0,
        -3000,
        0,
    ]
    grid = hass.states.get("sensor.house_planned_grid_power")
    assert (grid.state, grid.attributes["cost"], len(grid.attributes["series"])) == ("500", 1.25, 3)


async def test_a_car_that_will_not_be_ready_is_an_issue_until_it_will(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    lack = {
        "code": "departure",
        "at": "2026-11-26T06:30:00Z",
        "energy_wh": 6800.0,
        "minutes": 68.0,
        "device": "garage",
        "soc_pct": 63.0,
        "target_soc_pct": 80.0,
    }
    gateway.say(plan=plan(3000.0, shortfalls=(lack,)))
    await hass.async_block_till_done()
    issues = ir.async_get(hass)
    issue = issues.async_get_issue(DOMAIN, f"{loaded.entry_id}_departure_short_garage")
    assert issue is not None
    assert issue.translation_placeholders["soc"] == "63"
    assert issue.translation_placeholders["device"] == "Garage"
    gateway.say(plan=plan(3000.0))
    await hass.async_block_till_done()
    assert issues.async_get_issue(DOMAIN, f"{loaded.entry_id}_departure_short_garage") is None


async def test_the_plan_is_a_picture_that_changes_with_the_plan(
    hass: HomeAssistant, loaded: MockConfigEntry, gateway: FakeGateway
) -> None:
    assert hass.states.get("image.house_plan").state == "unknown"
    told = plan(0.0, 3000.0, -2000.0)
    gateway.say(plan=told)
    await hass.async_block_till_done()
    assert hass.states.get("image.house_plan").state == told["made_at"]
    picture = await async_get_image(hass, "image.house_plan")
    assert picture.content_type == "image/svg+xml"
    drawn = ET.fromstring(picture.content)
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"Import price", "Planned grid power", "Garage", "EUR/kWh"} <= set(words)


def test_a_plan_without_prices_charges_or_grid_is_drawn_and_many_cars_as_one() -> None:
    told = plan(*[1000.0] * 8)
    for slot in told["slots"]:
        slot |= {"grid_power_w": None, "soc_pct": {}}
        slot["device_power_w"] = {f"bay{n}": 500.0 for n in range(200)}
    cars = frozenset(f"bay{n}" for n in range(200))
    words = Words("Price", "EUR/kWh", "Grid", {"bay0": "Bay <0>"})
    drawn = ET.fromstring(draw(read(Plan, told), (), cars, words, ZoneInfo("Europe/Berlin")))
    said = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert "+ 196" in said
    assert "Bay <0>" in said
