"""The house as its owner lives with it: on the wire, with the real gateway."""

import asyncio
import statistics
from datetime import UTC, datetime, timedelta

import pytest

from tests.gateway.scenarios.scene import PUBLISHED_WITHIN_S


async def test_a_new_site_only_observes(scene):
    async def sees():
        return bool(await scene.sample("grid")) and bool(await scene.sample("battery"))

    await scene.until(sees, 20)
    state = await scene.state()
    assert state["site"]["observing"]
    physics = await scene.physics()
    assert physics["converter"]["command"] == 0
    assert not physics["pilot"]["d1"]


async def test_the_car_and_the_battery_carry_the_house(scene):
    await scene.ask("set_load", w=3500.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control()

    await scene.really(lambda p: abs(p["house"]["grid_w"]) < 100.0, 30)
    await scene.really(lambda p: p["converter"]["ac_w"] < -500.0 > p["battery"]["power_w"], 90)

    async def balanced():
        grid_w = []
        for _ in range(60):
            grid_w.append((await scene.physics())["house"]["grid_w"])
            await asyncio.sleep(0.1)
        return abs(statistics.median(grid_w)) < 60.0

    await scene.until(balanced, 40)


async def test_a_click_changes_the_current_and_the_owner_sees_the_measured_power_and_why(scene):
    await scene.ask("set_load", w=600.0)
    await scene.control()
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 2500.0})

    async def charges():
        return (await scene.sample("garage")).get("power_w", 0.0) == pytest.approx(2500.0, abs=150.0)

    await scene.until(charges, 20)
    await scene.published(lambda state: state["decisions"]["garage"]["reason"]["code"] == "charge_now")
    assert await scene.car_current_a() > 4.0
    await scene.owner.ask("POST", "stop")

    async def stopped():
        physics = await scene.physics()
        return abs(physics["car"]["current_a"]) < 0.5 and not physics["car"]["contactor"]

    await scene.until(stopped, 20)


async def test_a_need_makes_the_car_charge_until_it_is_taken_back(scene):
    await scene.ask("set_load", w=600.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control()
    departs_at = datetime.now(UTC) + timedelta(hours=1)
    need = {"energy_wh": 4000.0, "departs_at": departs_at.isoformat()}
    await scene.owner.ask("PUT", "devices/garage/need", need)

    await scene.really(lambda physics: physics["converter"]["ac_w"] > 2500.0, 20)
    state = await scene.published(lambda s: s["decisions"]["garage"]["reason"]["code"] == "departure")
    assert [n["energy_wh"] for n in state["needs"]] == [4000.0]
    assert state["urgencies"]["garage"]["need_wh"] == pytest.approx(4000.0, abs=200.0)
    await scene.owner.ask("DELETE", "devices/garage/need")
    await scene.really(lambda physics: physics["converter"]["ac_w"] < 100.0, 20)
    await scene.published(lambda s: (s["needs"], s["urgencies"]) == ([], {}))


async def test_unplugging_is_seen_at_once_and_the_battery_takes_over(scene):
    await scene.ask("set_load", w=2500.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control()
    await scene.ask("unplug")

    async def gone():
        return (await scene.sample("garage")).get("state") == "unplugged"

    async def battery_alone():
        return (await scene.physics())["battery"]["power_w"] == pytest.approx(-2500.0, abs=150.0)

    await scene.until(gone, 15)
    await scene.until(battery_alone, 30)
    await scene.ask("plug")
    await scene.until(scene.ready, 60)


def no_discharge(physics):
    return physics["converter"]["ac_w"] > -150.0 and abs(physics["battery"]["power_w"]) < 100.0


async def test_a_silent_meter_stops_discharge_within_15_s_and_says_so(scene):
    await scene.ask("set_load", w=3000.0)
    await scene.control()
    await scene.ask("meter_silent", on=True)

    async def told():
        return "grid_meter_stale" in await scene.faults()

    assert await scene.took_s(no_discharge, 40) <= 15.0
    await scene.until(told, PUBLISHED_WITHIN_S)
    await scene.ask("meter_silent", on=False)

    async def well():
        return "grid_meter_stale" not in await scene.faults()

    await scene.until(well, 40)


async def test_a_frozen_meter_is_as_good_as_a_silent_one(scene):
    await scene.ask("set_load", w=3000.0)
    await scene.control()
    await scene.ask("meter_freeze", on=True)
    assert await scene.took_s(no_discharge, 40) <= 20.0


async def test_a_car_that_stops_by_itself_or_goes_silent_ends_in_an_open_contactor(scene):
    await scene.ask("set_load", w=2500.0)
    await scene.control()
    await scene.ask("car_silent", on=True)

    def open_and_dead(physics):
        return abs(physics["converter"]["current_a"]) < 0.5 and not physics["pilot"]["d2"]

    async def told():
        return "vehicle_silent" in await scene.faults()

    assert await scene.took_s(open_and_dead, 40) <= 15.0
    await scene.until(told, PUBLISHED_WITHIN_S)
    assert (await scene.physics())["car"]["hot_openings"] == 0


async def test_a_utilitys_limit_lowers_import_and_survives_kill_9(scene):
    await scene.ask("set_load", w=1000.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control()
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now"})

    async def charges():
        return (await scene.physics())["house"]["grid_w"] > 5000.0

    await scene.until(charges, 30)
    await scene.call_import_limit(kilowatts=3.0)

    assert await scene.took_s(lambda physics: physics["house"]["grid_w"] < 3050.0, 20) <= 5.0

    def explained(state):
        limiter = state["decisions"]["garage"]["limited_by"]
        return limiter is not None and limiter["rung"] == "protective_limit"

    await scene.published(explained)
    scene.kill_all()
    await scene.start_gateway()

    async def charges_again_within_the_limit():
        physics = await scene.physics()
        return 2000.0 < physics["house"]["grid_w"] < 3100.0 and physics["converter"]["ac_w"] > 500.0

    await scene.until(charges_again_within_the_limit, 90)


async def test_a_plug_that_slips_and_is_pushed_back_at_once_is_charging_again_by_itself(scene):
    await scene.ask("set_load", w=2500.0)
    await scene.control()
    await scene.ask("unplug")
    await asyncio.sleep(0.4)
    await scene.ask("plug")

    async def ended():
        return (await scene.sample("garage")).get("state") != "ready"

    await scene.until(ended, 10)
    await scene.until(scene.ready, 60)
