"""Losing half of the gateway is safe, and so is stopping it; the death of the whole is in test_death_in_every_state.py."""

import os
import signal
from pathlib import Path


async def discharging(scene, power_w=6000.0):
    await scene.ask("set_load", w=power_w + 4000.0)
    await scene.control(devices={"garage": {"floor_soc_pct": 20.0}, "battery": {"floor_soc_pct": 10.0}})
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "discharge_now", "power_w": power_w})

    async def flows():
        physics = await scene.physics()
        return physics["converter"]["ac_w"] < -0.8 * power_w and physics["battery"]["power_w"] < -500.0

    await scene.until(flows, 30)


async def test_kill_9_of_the_services_is_no_event_for_the_house(scene):
    await discharging(scene, 3000.0)
    fast_path, services = scene.pid_of("fastpath"), scene.pid_of("services")
    os.kill(services, signal.SIGKILL)

    async def back():
        assert (await scene.physics())["converter"]["ac_w"] < -2000.0
        return await scene.owner_is_back() and scene.pid_of("services") != services

    await scene.until(back, 60)
    assert scene.pid_of("fastpath") == fast_path
    assert (await scene.physics())["converter"]["ac_w"] < -2000.0
    await scene.published(lambda state: "discharge_now" in {r["mode"] for r in state["requests"]})


async def test_kill_9_of_the_fast_path_is_safe_and_it_comes_back_with_the_owners_wishes(scene):
    await discharging(scene, 3000.0)
    os.kill(scene.pid_of("fastpath"), signal.SIGKILL)

    assert await scene.took_s(lambda physics: abs(physics["car"]["current_a"]) < 0.5, 30) <= 10.0
    await scene.really(lambda physics: physics["converter"]["ac_w"] < -2000.0, 90)


async def test_a_stopped_gateway_leaves_nothing_commanded(scene):
    await discharging(scene, 3000.0)
    scene.gateway.send_signal(signal.SIGTERM)
    await scene.gateway.wait()
    physics = await scene.physics()
    assert abs(physics["car"]["current_a"]) < 0.5
    assert physics["converter"]["command"] == 0
    assert not any(physics["pilot"][line] for line in ("d1", "d2"))
    await scene.really(lambda physics: abs(physics["battery"]["power_w"]) < 100.0, 10)


async def test_kill_9_of_the_supervisor_alone_ends_both_processes_in_order(scene):
    await discharging(scene, 3000.0)
    pids = [scene.pid_of("fastpath"), scene.pid_of("services")]
    os.kill(scene.gateway.pid, signal.SIGKILL)

    async def all_gone():
        return not any(Path(f"/proc/{pid}/cmdline").exists() for pid in pids)

    await scene.until(all_gone, 40)
    physics = await scene.physics()
    assert abs(physics["car"]["current_a"]) < 0.5
    assert physics["car"]["hot_openings"] == 0
    assert not physics["pilot"]["d1"]
