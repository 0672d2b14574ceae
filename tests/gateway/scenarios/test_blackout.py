"""The grid goes, on the wire: what is shed, who carries the house, and that all of it comes back without a person."""

import asyncio
import os
import signal

import pytest

from tests.gateway.scenarios.scene import scene_of

DETECTED_WITHIN_S = 1.0
SHED_WITHIN_S = 2.0
TOLD_WITHIN_S = 10.0
SETTLES_S = 20.0
BACK_WITHIN_S = 10.0 + 60.0 + 20.0
"""The site's reconnect_s, the spread of sites, and the transfer switch with some polls."""


@pytest.fixture
async def scene(tmp_path):
    async with scene_of(tmp_path, "--backup", "--battery-soc", "70", "--car-soc", "55") as built:
        await built.ask("set_load", w=800.0)
        await built.ask("set_pv", w=0.0)
        yield built


async def phase(scene):
    """Return the phase of backup as the owner sees it: by the notice of the lost grid, and by why devices stand still."""
    state = await scene.state()
    notices = [f["detail"] for f in state["faults"] if f["code"] == "grid_lost"]
    if notices:
        return notices[0].partition(",")[0]
    return "resync" if state["decisions"]["battery"]["reason"]["code"] == "resync" else "grid"


def said(scene, record_property, what, seconds):
    print(f"{what}: {seconds:.2f} s")
    record_property(what, round(seconds, 2))


async def charging(scene):
    await scene.control()
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 4000.0})

    async def charges():
        return await scene.car_current_a() > 8.0

    await scene.until(charges, 30)


async def shed(scene, record_property, what):
    """Wait until the car stands still and the loads are off, which may take no longer than is promised."""

    def is_shed(physics):
        return abs(physics["car"]["current_a"]) < 0.5 and not any(physics["loads"].values())

    took_s = await scene.took_s(is_shed, 20)
    said(scene, record_property, what, took_s)
    assert took_s <= DETECTED_WITHIN_S + SHED_WITHIN_S


async def test_the_car_stops_the_loads_go_and_the_house_is_carried_and_all_comes_back(scene, record_property):
    await charging(scene)
    assert sum((await scene.physics())["loads"].values()) == 3500.0
    await scene.ask("grid_lost")
    await shed(scene, record_property, "shed after")

    async def islanded():
        return await phase(scene) == "islanded"

    said(scene, record_property, "told after", await scene.until(islanded, TOLD_WITHIN_S))
    physics = await scene.really(
        lambda p: p["battery"]["power_w"] == pytest.approx(-800.0, abs=120.0), SETTLES_S
    )
    assert physics["mains"]["carried"]
    await asyncio.sleep(3)  # so long nothing may be complained of
    assert abs(await scene.car_current_a()) < 0.5
    assert "setpoint_not_followed" not in await scene.faults()

    await scene.ask("grid_back")

    async def normal():
        physics = await scene.physics()
        return await phase(scene) == "grid" and sum(physics["loads"].values()) == 3500.0

    said(scene, record_property, "normal again after", await scene.until(normal, BACK_WITHIN_S))
    assert "grid_lost" not in await scene.faults()

    async def charges_again():
        return await scene.car_current_a() > 0.5

    await scene.until(charges_again, 60)


async def test_a_silent_meter_alone_is_no_outage_and_with_a_lost_grid_it_hides_nothing(
    scene, record_property
):
    await charging(scene)
    await scene.ask("meter_silent", on=True)
    await asyncio.sleep(5)
    assert await phase(scene) == "grid"
    await scene.ask("meter_silent", on=False)
    await asyncio.sleep(2)
    await scene.ask("grid_lost", meter="silent")
    await shed(scene, record_property, "shed after, meter silent")

    async def islanded():
        return await phase(scene) == "islanded"

    await scene.until(islanded, TOLD_WITHIN_S)


async def test_the_car_carries_the_house_when_the_battery_has_little_and_keeps_what_it_needs(scene):
    await scene.control()
    await scene.ask("set_soc", battery=30.0)
    await scene.ask("grid_lost")

    async def helped():
        physics = await scene.physics()
        return physics["converter"]["ac_w"] < -400.0 and physics["battery"]["power_w"] > -350.0

    await scene.until(helped, 60)
    await scene.ask("set_soc", car=19.0)

    async def spared():
        return (await scene.physics())["converter"]["ac_w"] > -50.0

    await scene.until(spared, 120)


async def test_at_its_reserve_the_battery_says_so_and_a_dark_house_is_started_again(scene):
    await scene.control()
    await scene.ask("unplug")
    await scene.ask("grid_lost")
    await scene.ask("set_soc", battery=6.0)
    await scene.ask("set_soc", battery=5.0)

    async def low():
        return await phase(scene) in ("reserve", "dark") and await scene.faults() & {
            "backup_low",
            "backup_dark",
        }

    await scene.until(low, 90)
    await scene.ask("grid_back")

    async def back():
        return await phase(scene) == "grid"

    await scene.until(back, BACK_WITHIN_S)


async def test_it_works_with_its_services_dead(scene, record_property):
    await charging(scene)
    services = scene.pid_of("services")
    os.kill(services, signal.SIGSTOP)
    try:
        await scene.ask("grid_lost")
        await shed(scene, record_property, "shed after, services dead")
        await scene.ask("grid_back")

        async def loads_are_back():
            return sum((await scene.physics())["loads"].values()) == 3500.0

        said(
            scene,
            record_property,
            "loads back, services dead",
            await scene.until(loads_are_back, BACK_WITHIN_S),
        )
    finally:
        os.kill(services, signal.SIGCONT)
