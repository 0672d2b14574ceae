"""A Leaf that is heard on its own bus while it hangs on the charger, at home, asleep, and away."""

import pytest

pytestmark = pytest.mark.slow


async def test_what_the_car_tells_of_itself_is_what_is_so(scene):
    await scene.ask("set_load", w=500.0)

    async def told():
        return await scene.sample("leaf")

    async def asleep():
        return (await told()).get("awake") is False

    await scene.until(asleep, 20)
    assert (await scene.physics())["car"]["wakes"] == 0, "listening wakes nobody"
    await scene.control()
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 3000.0})

    async def agrees():
        sample, car = await told(), (await scene.physics())["car"]
        flows = car["current_a"] > 5 and abs((sample.get("current_a") or 0.0) - car["current_a"]) < 1.0
        is_it = (sample.get("generation"), sample.get("charging")) == ("ZE1", "v2x")
        return flows and is_it and sample["dash_soc_pct"] == pytest.approx(car["soc_pct"], abs=1)

    await scene.until(agrees, 40)

    async def polled():
        return (await told()).get("cell_min_v") is not None

    await scene.until(polled, 60)
    await scene.owner.ask("POST", "stop")
    await scene.until(asleep, 40)
    await scene.ask("away", on=True)
    await scene.ask("car_on", on=True)
    await scene.until(asleep, 15)
    assert (await scene.physics())["car"]["wakes"] == 1
