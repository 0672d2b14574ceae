"""The simulated house is recorded while its car charges; the recording, played to the drivers, gives the same session."""

import asyncio

import pytest

from gateway.devices.recording.events import Dropped, Exchange, Said
from gateway.devices.recording.loaders import joined, load
from gateway.devices.recording.replay import cast_of, replay
from tests.bench.house_and_gateway import process

pytestmark = pytest.mark.slow


async def recorded_session(scene):
    """Record from before the car is asked until the session has ended."""
    out = scene.folder / "recordings"
    command = ("-m", "gateway", "record", str(scene.folder / "site.toml"), "--out", str(out))
    async with process(*command, log=scene.folder / "record.log"):

        async def listening():
            return bool(list(out.glob("*.log")))

        async def charging():
            return await scene.car_current_a() > 3

        async def ended():
            return (await scene.sample("garage")).get("state") == "plugged"

        await scene.until(listening, 20)
        await scene.control()
        await scene.owner.ask("POST", "devices/garage/request", {"mode": "charge_now", "power_w": 3000.0})
        await scene.until(charging, 20)
        await asyncio.sleep(1.0)
        await scene.owner.ask("PATCH", "owner", {"control_on": False})
        await scene.until(ended, 40)
    return joined(load(file) for file in sorted(out.glob("*.log")))


async def test_a_recorded_session_is_replayed_with_the_same_states_and_currents(scene):
    recording = await recorded_session(scene)
    assert recording.not_understood == 0
    assert not [event for event in recording.events if isinstance(event, Dropped)]
    assert {frame.sent for frame in recording.frames} == {True, False}
    assert any(isinstance(event, Exchange) and event.writes for event in recording.events)
    told: list[str] = []
    outcome = await asyncio.to_thread(replay, recording, cast_of(recording), 0.0, told.append)
    story = "\n".join(told)
    garage = outcome.followed["garage"]
    states = [state for _, state in garage.states.recorded]
    assert [state for _, state in garage.states.ours] == states, story
    assert {"plugged", "starting", "ready", "stopping"} <= set(states)
    assert [s for _, s in outcome.statuses.ours] == [s for _, s in outcome.statuses.recorded], story
    assert (
        max(
            float(e.sample["current_a"])
            for e in recording.events
            if isinstance(e, Said) and e.device == "garage" and e.kind == "EvseSample"
        )
        > 3
    )
    assert sum(garage.apart()) / len(garage.apart()) < 0.1, story
