"""A house whose car hangs on a Japanese V2H unit over ECHONET Lite."""

import asyncio

import pytest

from tests.gateway.scenarios.scene import scene_of

pytestmark = pytest.mark.slow


@pytest.fixture
async def scene(tmp_path):
    async with scene_of(tmp_path, "--charger", "echonet") as built:
        yield built


async def power_w(scene):
    return (await scene.physics())["charger"]["ac_w"]


async def test_it_charges_discharges_stops_and_ends_by_itself_after_our_death(scene):
    await scene.ask("set_load", w=9000.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control(devices={"garage": {"floor_soc_pct": 20.0}})

    async def asked(mode, watts):
        await scene.owner.ask("POST", "devices/garage/request", {"mode": mode, "power_w": watts})

    async def charges():
        return abs(await power_w(scene) - 2500.0) < 150.0

    async def discharges():
        return await power_w(scene) < -4000.0

    await scene.ask("set_load", w=500.0)
    await asked("charge_now", 2500.0)
    await scene.until(charges, 20)
    await scene.ask("set_load", w=9000.0)
    await asked("discharge_now", 5000.0)
    await scene.until(discharges, 20)
    assert "garage" not in {fault["device"] for fault in (await scene.state())["faults"]}
    scene.kill_all()
    assert await scene.took_s(lambda physics: abs(physics["charger"]["ac_w"]) < 100.0, 90) < 40.0
    await scene.start_gateway()
    await scene.until(scene.ready, 60)


async def test_a_second_controller_is_told_to_the_owner(scene):
    await scene.ask("set_load", w=500.0)
    await scene.control()
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 3000.0})

    async def charges():
        return abs(await power_w(scene) - 3000.0) < 150.0

    async def refused():
        return "device_refused" in await scene.faults()

    async with asyncio.timeout(120):
        while not await refused():
            await scene.until(charges, 20)
            await scene.ask("unit_order", epc=0xE0, value=5000)
            await asyncio.sleep(3)  # the driver looks once a second
