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
        def is_armed() -> bool:
            return self.reserve is not None and self.reserve.phase is ReservePhase.ARMED

        await until(is_armed, 40, "the reserve was not armed")

    async def flows(self, least_w: float, most_w: float) -> None:
        """Wait until the car's power is between the two."""
        async with asyncio.timeout(30):
            while not least_w < (await self.ask("status"))["converter"]["ac_w"] < most_w:
                await asyncio.sleep(0.05)

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
        await until((state / "link.sock").exists, 120, (tmp_path / "gateway.log").read_text)
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

    await until(lambda: car() and car().state == "ready", 180, "the car's session did not open")
    sold = lot()
    await fast_path.wish(sold)
    await fast_path.armed()
    for hz, power_w in ((49.8, -SOLD_W), (50.2, SOLD_W)):
        await fast_path.ask("set_frequency", hz=hz)
        for _ in range(5):  # it gets there, and stays there
            await fast_path.flows(power_w - 0.12 * SOLD_W, power_w + 0.12 * SOLD_W)
            await asyncio.sleep(0.5)

    fast_path.leave()  # the services restart, and no second is lost
    await fast_path.ask("set_frequency", hz=50.0)
    await asyncio.sleep(5)
    await fast_path.join()
    ended = replace(sold, ends_at=datetime.now(UTC))
    await fast_path.wish(ended)

    def proven():
        found = export(tmp_path / "state", sold.starts_at, sold.ends_at, tmp_path / "lot.csv", "csv")
        return found if found and found[0].last >= ended.ends_at - timedelta(seconds=2) else None

    [window] = await until(proven, 40, "the last second was not stored")
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
            shown = await scene.owner.ask("GET", "reserves")
            return [(r["id"], r["phase"], r["refusals"]) for r in shown] == [(sold["id"], phase, [])]

        await scene.until(lambda: shown_as("armed"), 40)
        armed_at = datetime.now(UTC)
        await scene.ask("set_frequency", hz=49.8)
        await scene.until(answers, 30)
        os.kill(scene.pid_of("services"), signal.SIGKILL)
        await asyncio.sleep(2)
        assert await answers()
        await scene.until(scene.owner_is_back, 60)
        await scene.until(lambda: shown_as("recovering"), 20)  # from an event that still lasts
        taken_back_at = datetime.now(UTC)
        await scene.owner.ask("DELETE", f"reserves/{sold['id']}")
        await scene.really(lambda physics: physics["converter"]["ac_w"] > -0.5 * SOLD_W, 20)
        assert await scene.owner.ask("GET", "reserves") == []
        await scene.published(lambda state: state["control"]["reserve"]["response_w"] == 0.0)
        seconds = []

        async def proven():
            seconds[:] = await ledger(tmp_path)
            return times_of(seconds)[-1] >= taken_back_at - timedelta(seconds=1)

        await scene.until(proven, 40)
    times = times_of(seconds)
    assert len(times) == (times[-1] - times[0]).total_seconds() + 1
    assert times[0] <= armed_at
    assert {s["window_id"] for s in seconds} == {sold["id"]}
    delivered_w = [float(s["delivered_w"]) for s in seconds if s["delivered_w"]]
    assert min(delivered_w) == pytest.approx(-SOLD_W, rel=0.12)


def times_of(seconds: list[dict[str, str]]) -> list[datetime]:
    return [datetime.fromisoformat(s["utc"]) for s in seconds]


async def ledger(folder: Path) -> list[dict[str, str]]:
    """Return the rows that the gateway's own command writes beside the running gateway."""
    rows = folder / "lot.csv"
    command = ("-m", "gateway", "ledger", "reserve", str(folder / "site.toml"), "--csv", str(rows))
    async with process(*command, log=folder / "ledger.log") as writing:
        assert await writing.wait() == 0, (folder / "ledger.log").read_text()
    return list(csv.DictReader(rows.read_text(encoding="utf-8").splitlines()))
