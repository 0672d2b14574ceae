"""Frequency reserve on the wire: a meter, a car on CHAdeMO, and nobody but the grid to say what to do."""

import asyncio
import contextlib
import csv
import os
import signal
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway import link
from gateway.ledger.reserve_export import export
from gateway.ledger.reserve_proof import FILE, ReserveProof
from gateway.model import (
    DeviceSettings,
    Dynamics,
    OwnerSettings,
    Remembered,
    ReservePhase,
    ReserveProduct,
    ReserveWindow,
    Wishes,
)
from gateway.nonvolatile import Nonvolatile
from gateway.services.fault_board import FaultBoard
from tests.bench.house_and_gateway import ask_house, house, process, until
from tests.gateway.scenarios.hardware import undisturbed
from tests.gateway.scenarios.scene import scene_of

SOLD_W = 3000.0
MEASURED = Dynamics(dead_time_s=0.6, ramp_w_per_s=4000.0, steps=9)


class FastPath:
    """The fast path of a simulated house, and we in the place of its services."""

    def __init__(self, folder: Path, endpoints: dict, tasks: asyncio.TaskGroup) -> None:
        self.report: link.Report | None = None
        self.proof = ReserveProof(folder / FILE, FaultBoard())
        self._folder, self._endpoints, self._tasks = folder, endpoints, tasks

    @property
    def reserve(self):
        return self.report.snapshot.control.reserve if self.report else None

    async def join(self) -> None:
        self._end = await link.connect(self._folder / "link.sock")
        self._following = self._tasks.create_task(self._follow())

    async def _follow(self) -> None:
        async for report in self._end.reports():
            self.report = report
            if (stored := self.proof.take(report.proof, report.snapshot.at)) is not None:
                self._end.stored(stored)

    def leave(self) -> None:
        self._following.cancel()
        self._end.close()

    async def wish(self, *reserves: ReserveWindow) -> None:
        await self._end.send(
            Wishes(
                OwnerSettings(control_on=True, devices={"garage": DeviceSettings(floor_soc_pct=20.0)}),
                reserves=reserves,
            )
        )

    async def armed(self) -> None:
        for _ in range(150):
            if self.reserve.phase is ReservePhase.ARMED:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(self.reserve)

    async def ask(self, do: str, **more):
        return await ask_house(self._endpoints, do=do, **more)


@pytest.fixture
async def fast_path(tmp_path: Path) -> AsyncIterator[FastPath]:
    state = tmp_path / "state"
    state.mkdir()
    assert not Nonvolatile(state).save(Remembered(dynamics={"garage": MEASURED}), 0.0)
    async with contextlib.AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(
            house(tmp_path, "--time-of-day", "12:00", "--frequency-meter")
        )
        stack.enter_context(undisturbed(endpoints["pid"]))
        command = ("-m", "gateway", "fastpath", str(tmp_path / "site.toml"))
        await stack.enter_async_context(process(*command, log=tmp_path / "gateway.log"))
        await until((state / "link.sock").exists, 20, (tmp_path / "gateway.log").read_text)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        fast = FastPath(state, endpoints, tasks)
        await fast.join()
        try:
            yield fast
        finally:
            fast.leave()
            fast.proof.close()


def lot(hours: float = 1.0) -> ReserveWindow:
    now = datetime.now(UTC)
    return ReserveWindow(
        "lot-1", ReserveProduct.FCR, SOLD_W, now, now + timedelta(hours=hours), devices=("garage",)
    )


async def test_the_cars_current_follows_the_frequency_and_every_second_is_stored(fast_path, tmp_path):
    await fast_path.ask("set_frequency", hz=50.0)
    await fast_path.ask("set_load", w=1000.0)
    await fast_path.ask("set_pv", w=0.0)
    await fast_path.wish()

    def car():
        return fast_path.report and fast_path.report.snapshot.evses["garage"]

    await until(lambda: car() and car().state == "ready", 60, "the car's session did not open")
    sold = lot()
    await fast_path.wish(sold)
    await fast_path.armed()
    for hz, power_w in ((49.8, -SOLD_W), (50.2, SOLD_W)):
        began = asyncio.get_running_loop().time()
        await fast_path.ask("set_frequency", hz=hz)
        while True:
            flows_w = (await fast_path.ask("status"))["converter"]["ac_w"]
            if flows_w / power_w > 0.9:
                break
            assert asyncio.get_running_loop().time() - began < 15, (flows_w, fast_path.reserve)
            await asyncio.sleep(0.05)
        await asyncio.sleep(3)
        flows_w = (await fast_path.ask("status"))["converter"]["ac_w"]
        assert flows_w == pytest.approx(power_w, abs=0.12 * SOLD_W)

    fast_path.leave()  # the services restart, and no second is lost
    await fast_path.ask("set_frequency", hz=50.0)
    await asyncio.sleep(5)
    await fast_path.join()
    await fast_path.wish(replace(sold, ends_at=datetime.now(UTC)))
    await asyncio.sleep(7)
    fast_path.proof.close()
    [window] = export(tmp_path / "state", sold.starts_at, sold.ends_at, tmp_path / "lot.csv", "csv")
    assert window.witnessed == (window.last - window.first).total_seconds() + 1
    assert window.witnessed >= 12
    assert window.available_pct > 90.0


async def test_what_the_owner_sells_is_answered_taken_back_and_proven_over_the_death_of_the_services(
    tmp_path,
):
    state = tmp_path / "state"
    state.mkdir()
    Nonvolatile(state).save(Remembered(dynamics={"garage": MEASURED}), 0.0)
    async with scene_of(tmp_path, "--frequency-meter") as scene:
        for deed in (
            {"do": "set_frequency", "hz": 50.0},
            {"do": "set_load", "w": 1000.0},
            {"do": "set_pv", "w": 0.0},
        ):
            await scene.ask(**deed)
        await scene.control(devices={"garage": {"floor_soc_pct": 20.0}})
        now = datetime.now(UTC)
        times = {"starts_at": now.isoformat(), "ends_at": (now + timedelta(hours=1)).isoformat()}
        offer = {"product": "fcr", "power_w": SOLD_W, "devices": ["garage"], **times}
        sold = await scene.owner.ask("POST", "reserves", offer)

        async def answers():
            return (await scene.physics())["converter"]["ac_w"] < -0.9 * SOLD_W

        async def shown_as(phase):
            [shown] = await scene.owner.ask("GET", "reserves")
            return (shown["id"], shown["phase"], shown["refusals"]) == (sold["id"], phase, [])

        await scene.until(lambda: shown_as("armed"), 15)
        armed_at = datetime.now(UTC)
        await scene.ask("set_frequency", hz=49.8)
        await scene.until(answers, 10)
        os.kill(scene.pid_of("services"), signal.SIGKILL)
        await asyncio.sleep(2)
        assert await answers()
        await scene.until(scene.owner_is_back, 40)
        await scene.until(lambda: shown_as("recovering"), 10)  # from an event that still lasts

        async def is_left_alone():
            return (await scene.physics())["converter"]["ac_w"] > -0.5 * SOLD_W

        taken_back_at = datetime.now(UTC)
        await scene.owner.ask("DELETE", f"reserves/{sold['id']}")
        await scene.until(is_left_alone, 10)
        assert await scene.owner.ask("GET", "reserves") == []
        assert (await scene.state())["control"]["reserve"]["response_w"] == 0.0
        await asyncio.sleep(5)
        seconds = await ledger(tmp_path)
    times = [datetime.fromisoformat(s["utc"]) for s in seconds]
    assert len(times) == (times[-1] - times[0]).total_seconds() + 1
    assert times[0] <= armed_at
    assert times[-1] >= taken_back_at - timedelta(seconds=1)
    assert {s["window_id"] for s in seconds} == {sold["id"]}
    delivered_w = [float(s["delivered_w"]) for s in seconds if s["delivered_w"]]
    assert min(delivered_w) == pytest.approx(-SOLD_W, rel=0.12)


async def ledger(folder: Path) -> list[dict[str, str]]:
    """Return the rows that the gateway's own command writes beside the running gateway."""
    rows = folder / "lot.csv"
    command = ("-m", "gateway", "ledger", "reserve", str(folder / "site.toml"), "--csv", str(rows))
    async with process(*command, log=folder / "ledger.log") as writing:
        assert await writing.wait() == 0, (folder / "ledger.log").read_text()
    return list(csv.DictReader(rows.read_text(encoding="utf-8").splitlines()))
