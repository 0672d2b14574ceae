"""The whole gateway dies without a word, in every state of a session and at every kind of charger.

The limits are the fail-safe cards' own promises, seen at the simulated devices; a restart clears up what is left.
"""

import asyncio
import tomllib
from contextlib import AsyncExitStack

import pytest

from gateway.devices import open_device
from tests.gateway.scenarios.scene import scene_of
from tests.gateway.scenarios.side_by_side import side_by_side

pytestmark = [pytest.mark.slow, pytest.mark.many_houses]

CHARGERS = ("chademo", "quasar", "bidipro", "echonet")
LATE_S = 20.0
"""A look at the house may be so late; how long it took is told by the house."""
DISOBEYED = {"over_request", "over_discharge_limit", "slow_stop"}
"""A car takes its permission back 1.1 s after our death, and the converter's lease ends 0.9 s after that: no harm yet."""


def card_s(scene, device: str) -> float:
    """How long a device may go on after our death, by its own card."""
    table = dict(tomllib.loads((scene.folder / "site.toml").read_text())["devices"][device])
    return open_device(device, table.pop("driver"), table).card.discharging_at_most_s


async def idle(scene):
    """Nobody has turned control on."""

    async def sees():
        return bool(await scene.sample("garage"))

    await scene.until(sees, 30)


async def holding(scene):
    """The session is open, nothing flows."""
    await scene.ask("set_load", w=0.0)
    await scene.ask("set_pv", w=0.0)
    await scene.control()


async def charging(scene):
    await flowing(scene, "charge_now", 6000.0)


async def discharging(scene):
    await scene.ask("set_load", w=10_000.0)
    await flowing(scene, "discharge_now", -6000.0)

    async def battery_helps():
        return (await scene.physics())["battery"]["power_w"] < -500.0

    await scene.until(battery_helps, 20)


async def stopping(scene):
    """The owner has just said stop, and the current falls."""
    await charging(scene)
    await scene.owner.ask("POST", "stop")

    async def falls():
        return (await scene.physics())["charger"]["ac_w"] < 4000.0

    await scene.until(falls, 5)


async def flowing(scene, mode, power_w):
    await scene.control(devices={"garage": {"floor_soc_pct": 20.0}, "battery": {"floor_soc_pct": 10.0}})
    await scene.owner.ask("POST", "devices/garage/request", {"mode": mode, "power_w": abs(power_w)})

    async def flows():
        return abs((await scene.physics())["charger"]["ac_w"] - power_w) < 0.2 * abs(power_w)

    await scene.until(flows, 30)


async def ends_by_its_card(scene, device, is_off):
    """Wait until ``is_off``; in the house's own time that takes no longer than the device's card promises."""
    assert await scene.took_s(is_off, card_s(scene, device) + LATE_S) <= card_s(scene, device)


async def left_alone(scene):
    await ends_by_its_card(scene, "garage", lambda physics: abs(physics["charger"]["current_a"]) < 0.5)


async def left_alone_for_long(scene):
    """Nobody comes to help: every device has to keep its card by itself."""

    def disconnected(physics):
        return not physics["car"]["contactor"] and not any(physics["pilot"][line] for line in ("d1", "d2"))

    async def battery_ends():
        await ends_by_its_card(scene, "battery", lambda physics: abs(physics["battery"]["power_w"]) < 50.0)

    async with asyncio.TaskGroup() as tasks:
        for end in (left_alone(scene), battery_ends()):
            tasks.create_task(end)
    await scene.really(disconnected, 20)


async def at_rest(scene):
    async def rests():
        physics = await scene.physics()
        lines_off = not any(physics["pilot"].values())
        return lines_off and not physics["car"]["contactor"] and abs(physics["charger"]["current_a"]) < 0.5

    await scene.until(rests, 30)


async def at_work(scene):
    await scene.until(scene.ready, 90)


STORIES = {
    "idle": (idle, left_alone, at_rest),
    "holding": (holding, left_alone, at_work),
    "charging": (charging, left_alone, at_work),
    "discharging": (discharging, left_alone_for_long, at_work),
    "stopping": (stopping, left_alone, at_rest),
}


async def story(folder, state, charger, starts):
    """``starts``: who starts a program waits for its turn, for only that keeps the processor busy."""
    before, meanwhile, after = STORIES[state]
    folder.mkdir()
    async with AsyncExitStack() as stack:
        async with starts:
            scene = await stack.enter_async_context(scene_of(folder, "--charger", charger))
        await before(scene)
        scene.kill_all()
        await meanwhile(scene)
        async with starts:
            await scene.start_gateway()
        await after(scene)
        violations = {name for name, count in (await scene.physics())["violations"].items() if count}
        assert violations <= DISOBEYED


async def test_kill_9_ends_in_zero_within_the_cards_time_and_a_restart_clears_up(tmp_path):
    """The stories mostly wait for a card's time, so many are told at once."""
    starts = asyncio.Semaphore(2)
    stories = {
        f"{charger}, {state}": story(tmp_path / f"{charger}-{state}", state, charger, starts)
        for state in reversed(STORIES)
        for charger in CHARGERS
    }
    await side_by_side(stories, at_once=8)
