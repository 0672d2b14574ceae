"""Both processes are kept alive, each by itself, and ended in order."""

import asyncio
from dataclasses import replace

import pytest

from gateway import supervisor
from gateway.faults import ConfigError
from gateway.supervisor import LONGEST_PAUSE_S, Child, pause_s


def test_pauses_double_up_to_a_minute():
    assert [pause_s(n) for n in (1, 2, 3, 20)] == [0.5, 1.0, 2.0, LONGEST_PAUSE_S]


class Scripted(Child):
    """A child that runs a line of shell instead of the gateway."""

    script = "exit 1"

    @property
    def command(self):
        return "/bin/sh", "-c", self.script


def child(tmp_path, script, name="services"):
    kind = type("Scripted", (Scripted,), {"script": script, "__slots__": ()})
    return kind(name, tmp_path)


async def test_a_child_that_dies_is_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    stop = asyncio.Event()
    count = tmp_path / "starts"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor._keep(child(tmp_path, f"echo x >> {count}; exit 1"), stop))
        async with asyncio.timeout(10):
            while not count.exists() or len(count.read_text().split()) < 3:
                await asyncio.sleep(0.02)
        stop.set()


async def test_a_child_is_ended_by_sigterm_and_awaited(tmp_path):
    stop = asyncio.Event()
    ended, ready = tmp_path / "ended", tmp_path / "ready"
    script = f"trap 'touch {ended}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor._keep(child(tmp_path, script), stop))
        async with asyncio.timeout(10):
            while not ready.exists():
                await asyncio.sleep(0.02)
        stop.set()
    assert ended.exists()


async def test_a_child_that_lives_but_no_longer_works_is_killed_and_started_again(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    monkeypatch.setattr(supervisor, "HUNG_S", 0.3)
    monkeypatch.setattr(supervisor, "FIRST_TICK_S", 0.6)
    monkeypatch.setattr(supervisor, "HUNG_LOOK_S", 0.02)
    stop, count, beat = asyncio.Event(), tmp_path / "starts", tmp_path / "beat"
    stuck = replace(child(tmp_path, f"trap '' TERM; echo x >> {count}; exec sleep 60"), heartbeat=beat)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor._keep(stuck, stop))
        async with asyncio.timeout(10):
            while not count.exists() or len(count.read_text().split()) < 2:
                await asyncio.sleep(0.02)
        monkeypatch.setattr(supervisor, "STOP_TIMEOUT_S", 0.1)
        stop.set()


async def test_a_child_whose_heart_beats_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "HUNG_S", 0.3)
    monkeypatch.setattr(supervisor, "FIRST_TICK_S", 0.6)
    monkeypatch.setattr(supervisor, "HUNG_LOOK_S", 0.02)
    stop, count, beat = asyncio.Event(), tmp_path / "starts", tmp_path / "beat"
    script = f"echo x >> {count}; while :; do touch {beat}; sleep 0.05; done"
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor._keep(replace(child(tmp_path, script), heartbeat=beat), stop))
        await asyncio.sleep(1.0)
        stop.set()
    assert count.read_text().split() == ["x"]


async def test_a_site_that_the_fast_path_cannot_run_is_not_tried_again(tmp_path):
    with pytest.raises(ConfigError):
        await supervisor._keep(child(tmp_path, "exit 2", "fastpath"), asyncio.Event())


async def test_a_child_is_ended_in_order_when_the_other_cannot_be_run(tmp_path):
    ended, ready = tmp_path / "ended", tmp_path / "ready"
    script = f"trap 'touch {ended}; exit 0' TERM; touch {ready}; while :; do sleep 0.05; done"
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        keeping = tasks.create_task(supervisor._keep(child(tmp_path, script), asyncio.Event()))
        while not ready.exists():
            await asyncio.sleep(0.02)
        keeping.cancel()
    assert ended.exists()


async def test_a_machine_that_cannot_start_a_process_is_asked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_PAUSE_S", 0.01)
    stop, tries, start = asyncio.Event(), [], asyncio.create_subprocess_exec

    async def out_of_memory(*command, **more):
        tries.append(command)
        if len(tries) < 3:
            raise BlockingIOError("no more processes")
        return await start(*command, **more)

    monkeypatch.setattr(asyncio, "create_subprocess_exec", out_of_memory)
    started = tmp_path / "started"
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        tasks.create_task(supervisor._keep(child(tmp_path, f"touch {started}; sleep 9"), stop))
        while not started.exists():
            await asyncio.sleep(0.02)
        stop.set()
