"""A charger that tells the car's state of charge under current alone, in a house that discharges no car without one."""

import pytest

from tests.gateway.scenarios.scene import scene_of

pytestmark = pytest.mark.slow


async def test_a_car_of_unknown_charge_runs_the_house_within_a_minute(tmp_path):
    async with scene_of(tmp_path, "--charger", "quasar") as scene:
        await scene.ask("set_load", w=9000.0)
        await scene.ask("set_pv", w=0.0)

        async def knows_no_charge():
            garage = await scene.sample("garage")
            car = garage.get("vehicle")
            return await scene.sample("grid") and car and car["soc_pct"] is None

        await scene.until(knows_no_charge, 30)
        await scene.owner.ask(
            "PATCH", "owner", {"control_on": True, "devices": {"garage": {"floor_soc_pct": 20.0}}}
        )
        assert await scene.took_s(lambda physics: physics["charger"]["ac_w"] < -1500.0, 120) <= 60.0
