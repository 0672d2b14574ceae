"""A simulated house is recorded while its car charges; the recording, played to the drivers, gives the same session."""

import asyncio
from itertools import dropwhile
from statistics import mean

import pytest

from gateway.devices.recording.events import Dropped, Said
from gateway.devices.recording.loaders import joined, load
from gateway.devices.recording.replay import cast_of, replay
from tests.bench.house_and_gateway import process
from tests.gateway.scenarios.scene import scene_of

pytestmark = pytest.mark.slow

POLLED_S = 1.1
"""The slowest of the chargers is asked twice a second, and an order is sent on one poll and confirmed on the next; when its
polls fall is nobody's decision."""


@pytest.fixture(params=["chademo", "quasar", "echonet"])
async def scene(request, tmp_path):
    async with scene_of(tmp_path, "--charger", request.param) as built:
        yield built


async def recorded_session(scene):
    """Record from before the car is asked until the session has ended."""
    out = scene.folder / "recordings"
    command = ("-m", "gateway", "record", str(scene.folder / "site.toml"), "--out", str(out))
    async with process(*command, log=scene.folder / "record.log"):

        async def listening():
            return bool(list(out.glob("*.log")))

        async def charging():
            return (await scene.sample("garage")).get("power_w", 0.0) > 1000

        async def ended():
            return (await scene.sample("garage")).get("state") == "plugged"

        await scene.until(listening, 20)
        await scene.control()
        await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 3000.0})
        await scene.until(charging, 40)
        await asyncio.sleep(1.0)
        await scene.owner.ask("PATCH", "owner", {"control_on": False})
        await scene.until(ended, 40)
    return joined(load(file) for file in sorted(out.glob("*.log")))


def since_its_start(steps):
    return list(dropwhile(lambda state: state != "starting", (state for _, state in steps)))


async def test_a_recorded_session_is_replayed_with_the_same_states_and_currents(scene):
    recording = await recorded_session(scene)
    assert recording.not_understood == 0
    assert not [event for event in recording.events if isinstance(event, Dropped)]
    told: list[str] = []
    outcome = await asyncio.to_thread(replay, recording, cast_of(recording), 0.0, told.append)
    story = "\n".join(told)
    garage = outcome.followed["garage"]
    states = since_its_start(garage.states.recorded)
    assert "ready" in states
    assert since_its_start(garage.states.ours) == states, story
    assert [s for _, s in outcome.statuses.ours] == [s for _, s in outcome.statuses.recorded], story
    samples = [e.sample for e in recording.events if isinstance(e, Said) and e.kind == "EvseSample"]
    assert max(sample["power_w"] for sample in samples) > 1000
    assert mean(garage.apart("current_a", POLLED_S)) < 0.1, story
    assert mean(garage.apart("power_w", POLLED_S)) < 30, story
