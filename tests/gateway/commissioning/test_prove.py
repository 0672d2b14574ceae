"""The active proofs against a simulated house: what is right is proven, and each fault of an installer is found."""

import asyncio
import json
import os
import signal

import pytest

from gateway.commissioning.check import NOT_PROVEN, Request, check
from gateway.commissioning.prove import Wanted
from gateway.commissioning.stepping import Pace
from gateway.config import load
from gateway.fastpath import sole_master
from gateway.faults import ConfigError
from tests.gateway.commissioning.indoors import indoors

pytestmark = pytest.mark.slow


async def at_rest(bench):
    """Nothing is left commanded, and what was has ramped down."""
    async with asyncio.timeout(3):
        while abs((truth := await bench.do("status"))["battery"]["power_w"]) > 100.0:
            await asyncio.sleep(0.1)
    assert truth["converter"]["command"] == 0
    assert not truth["pilot"]["d1"]
    assert not truth["pilot"]["d2"]


@indoors
async def test_a_battery_that_is_right_is_proven_and_nothing_is_left_commanded(bench):
    assert await bench.prove("battery") == 0
    assert bench.proof("battery", "wiring_proof") == ("pass", "wiring_right")
    assert bench.proof("battery", "timer_proof") == ("pass", "timer_works")
    assert bench.proof("battery", "fail_safe_proof") == ("pass", "fail_safe_holds")
    await at_rest(bench)
    report = "\n".join(bench.said)
    assert "xStorage (battery): passed" in report
    assert "Grid meter (grid): passed" in report


@indoors
async def test_a_meter_mounted_the_wrong_way_round_is_found(bench):
    await bench.do("meter_flip", on=True)
    assert await bench.prove("battery") == 1
    assert bench.proof("battery", "wiring_proof") == ("fail", "wiring_flipped")
    assert bench.proof("battery", "fail_safe_proof")[0] == "unknown"
    assert "Set invert = true" in "\n".join(bench.said)
    await at_rest(bench)


@indoors
async def test_a_battery_on_another_phase_than_configured_is_found(bench):
    bench.rewrite("phases = [2]", "phases = [3]")
    assert await bench.prove("battery") == 1
    assert bench.proof("battery", "wiring_proof") == ("fail", "wiring_wrong_phase")
    assert "showed on L2, configured is L3" in "\n".join(bench.said)


@indoors
async def test_a_timer_that_does_nothing_is_found_by_its_trial_and_by_silence(bench):
    bench.patch.setattr("gateway.commissioning.silence.NO_CARD_S", 6.0)
    bench.patch.setattr("gateway.commissioning.silence.GRACE_S", 2.0)
    await bench.do("revert_works", on=False)
    assert await bench.prove("battery") == 1
    assert bench.proof("battery", "timer_proof") == ("fail", "timer_dead")
    assert bench.proof("battery", "fail_safe_proof") == ("fail", "fail_safe_none")
    await at_rest(bench)


@indoors
async def test_a_charger_that_is_right_is_proven_with_its_pilot_lines_and_its_emergency_stop(bench):
    pressed = asyncio.Event()

    async def person(question):
        if "Try" in question:
            pressed.set()
            return "y"
        if "Release" in question:
            await bench.do("e_stop", on=False)
            return ""
        return "g" if "fuse" in question else "yes"

    async def press():
        await pressed.wait()
        while (await bench.do("status"))["converter"]["ac_w"] < 1000.0:
            await asyncio.sleep(0.1)
        await bench.do("e_stop", on=True)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(press())
        assert await bench.prove("garage", ask=person) == 0
    assert bench.proof("garage", "wiring_proof") == ("pass", "wiring_right")
    assert bench.proof("garage", "lines_proof") == ("pass", "lines_right")
    assert bench.proof("garage", "fail_safe_proof") == ("pass", "fail_safe_holds")
    assert bench.proof("garage", "fuse_guard") == ("pass", "guard_gateway")
    assert (await bench.do("status"))["car"]["faults"] == 0
    await at_rest(bench)


@indoors
async def test_no_emergency_stop_is_tried_where_there_is_no_room_for_the_current(bench):
    async def person(question):
        if "Try" in question:
            await bench.do("set_load", w=14_000.0)
            await asyncio.sleep(2.0)
            return "y"
        return "g" if "fuse" in question else "yes"

    await bench.prove("garage", ask=person)
    said = "\n".join(bench.said)
    assert "emergency stop: not tried, L1 would come over its fuse" in said
    assert bench.proof("garage", "lines_proof")[0] == "unknown"
    await at_rest(bench)


@indoors
async def test_a_converter_whose_lease_does_nothing_is_found(bench):
    await bench.do("converter_lease", on=False)
    assert await bench.prove("garage") == 1
    assert bench.proof("garage", "wiring_proof") == ("pass", "wiring_right")
    assert bench.proof("garage", "fail_safe_proof") == ("fail", "lease_dead")
    await at_rest(bench)


@indoors
async def test_without_a_car_nothing_is_said_of_the_charger(bench):
    await bench.do("unplug")
    assert await bench.prove("garage") == NOT_PROVEN
    assert bench.proof("garage", "wiring_proof") == ("unknown", "no_room")
    await at_rest(bench)


@indoors
async def test_a_meter_that_falls_silent_leaves_it_unknown_and_the_device_at_rest(bench):
    async def silence():
        while not any("ordering" in line for line in bench.said):
            await asyncio.sleep(0.1)
        await bench.do("meter_silent", on=True)

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(silence())
        assert await bench.prove("battery") == 1
    assert bench.proof("battery", "wiring_proof") == ("pass", "wiring_right")
    assert bench.proof("battery", "fail_safe_proof") == ("unknown", "no_room")
    await at_rest(bench)


@indoors
async def test_interrupted_everything_is_brought_back_to_zero(bench):
    bench.rewrite("lease_s = 3", "lease_s = 30")
    async with asyncio.TaskGroup() as tasks:
        proving = tasks.create_task(bench.prove("battery"))
        while (await bench.do("status"))["battery"]["power_w"] < 1000.0:
            await asyncio.sleep(0.1)
        proving.cancel()
    assert "back at 0 W" in bench.said[-1]
    await at_rest(bench)


@indoors
async def test_told_to_end_twice_it_still_brings_everything_back_to_zero(bench):
    bench.rewrite("lease_s = 3", "lease_s = 30")
    async with asyncio.TaskGroup() as tasks:
        proving = tasks.create_task(bench.prove("battery"))
        while (await bench.do("status"))["battery"]["power_w"] < 1000.0:
            await asyncio.sleep(0.1)
        for _ in range(2):
            os.kill(os.getpid(), signal.SIGTERM)
    assert proving.cancelled()
    assert "back at 0 W" in bench.said[-1]
    await at_rest(bench)


@indoors
async def test_who_does_not_say_yes_has_touched_nothing(bench):
    async def person(_question):
        return "no"

    assert await bench.prove("battery", ask=person) == NOT_PROVEN
    assert bench.said[-1] == "Nothing was touched."
    assert not (bench.folder / "state/commissioning.json").exists()


@indoors
async def test_a_running_gateway_is_not_disturbed(bench):
    config = load(bench.site)
    async with sole_master(config):
        with pytest.raises(ConfigError, match="another gateway"):
            await bench.prove("battery")


@indoors
async def test_the_report_is_for_people_programs_and_the_installers_file(bench):
    config, pack = load(bench.site), bench.folder / "pack.md"
    said = []
    request = Request(listen_s=2.0, as_json=True, report=pack)
    assert await check(config, request, said.append, None) == 0
    told = json.loads(said[0])
    assert told["devices"]["battery"]["verdict"] == "not_proven"
    assert told["devices"]["garage"]["findings"][0]["text"]
    assert "SIM-BAT-0001" in pack.read_text()
    assert "- [ ] certificate of xStorage" in pack.read_text()


@indoors
async def test_an_unknown_device_is_named_before_anything_is_touched(bench):
    with pytest.raises(ConfigError, match="--device attic: write one of: battery, garage"):
        await check(load(bench.site), Request(prove=Wanted(("attic",))), print, None)


# ── whatever happens, and whatever the owner said ────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("device", "after_s"),
    [
        *(("battery", s) for s in (0.05, 1.0, 5.0, 9.0, 13.0)),
        *(("garage", s) for s in (0.05, 4.0, 12.0, 21.0, 34.0)),
    ],
)
def test_interrupted_at_any_moment_it_leaves_nothing_commanded(tmp_path, monkeypatch, device, after_s):
    @indoors
    async def story(bench):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(after_s):
                await bench.prove(device)
        await at_rest(bench)

    story(tmp_path, monkeypatch)


def wishes(bench, **battery):
    (bench.folder / "state").mkdir(exist_ok=True)
    (bench.folder / "state/owner.json").write_text(json.dumps({"owner": {"devices": {"battery": battery}}}))


def discharged(bench):
    return any("discharge 1/" in line for line in bench.said)


@indoors
async def test_it_does_not_discharge_below_the_owners_floor(bench):
    wishes(bench, floor_soc_pct=50.0)
    assert await bench.prove("battery") == 0
    assert not discharged(bench)
    assert any("discharge: not tried, it is at 45 %, the owner keeps 50 %" in line for line in bench.said)


@indoors
async def test_it_does_not_discharge_what_the_owner_does_not_allow(bench):
    wishes(bench, discharge_allowed=False)
    assert await bench.prove("battery") == 0
    assert not discharged(bench)


@indoors
async def test_wishes_that_cannot_be_read_allow_no_discharge(bench):
    (bench.folder / "state").mkdir()
    (bench.folder / "state/owner.json").write_text("{")
    assert await bench.prove("battery") == 0
    assert not discharged(bench)
    assert (bench.folder / "state/owner.json").read_text() == "{"


@indoors
async def test_while_the_owner_has_stopped_everything_nothing_is_touched(bench):
    (bench.folder / "state").mkdir()
    (bench.folder / "state/owner.json").write_text('{"owner": {"stopped": true}}')
    with pytest.raises(ConfigError, match="stopped everything"):
        await bench.prove("battery")
    assert not any("ordered" in line for line in bench.said)


@indoors
async def test_a_phase_over_its_fuse_ends_the_trial_of_the_fail_safe_at_once(bench):
    async def oven():
        while not any("ordering" in line for line in bench.said):
            await asyncio.sleep(0.1)
        while (await bench.do("status"))["battery"]["power_w"] < 1000.0:
            await asyncio.sleep(0.1)
        await bench.do("set_load", w=3 * 25.0 * 230.0)
        await asyncio.sleep(2.5)
        assert abs((await bench.do("status"))["battery"]["power_w"]) < 100.0
        await bench.do("set_load", w=600.0)

    bench.rewrite("lease_s = 3", "lease_s = 30")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(oven())
        tasks.create_task(bench.prove("battery"))
    assert bench.proof("battery", "fail_safe_proof") == ("unknown", "no_room")


@indoors
async def test_a_step_that_would_bring_a_phase_over_its_fuse_is_not_tried_in_either_direction(bench):
    bench.rewrite("main_fuse_a = 25.0", "main_fuse_a = 6.0")
    assert await bench.prove("battery", pace=Pace(step_w=1800.0)) == NOT_PROVEN
    assert bench.proof("battery", "wiring_proof") == ("unknown", "no_room")
    assert not any("ordered" in line for line in bench.said)


@indoors
async def test_a_proof_that_could_not_be_tried_takes_nothing_away(bench):
    assert await bench.prove("battery") == 0
    wishes(bench, floor_soc_pct=50.0)
    await bench.do("set_soc", battery=97.0)
    await bench.do("meter_silent", on=True)
    await bench.prove("battery")
    assert bench.proof("battery", "wiring_proof") == ("pass", "wiring_right")
    assert bench.proof("battery", "fail_safe_proof") == ("pass", "fail_safe_holds")
    assert any("still holds" in line for line in bench.said)


@indoors
async def test_results_that_cannot_be_read_are_named(bench):
    (bench.folder / "state").mkdir()
    (bench.folder / "state/commissioning.json").write_text("{")
    await check(load(bench.site), Request(), bench.said.append, None)
    assert any("commissioning.json" in line and "nothing counts as proven" in line for line in bench.said)
