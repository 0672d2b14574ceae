"""The recorder writes what a running fast path tells, one recorder at a time, and says why when it cannot."""

import asyncio
import fcntl

import pytest

from gateway.devices.recording.events import Frame
from gateway.devices.recording.loaders import load
from gateway.devices.recording.record import Order, record
from gateway.devices.recording.tap import SOCKET, Tap
from gateway.faults import ConfigError, Unreachable


def order(tmp_path, **more):
    return Order(
        tmp_path / "site.toml", tmp_path / "state", tmp_path / "state/fastpath.lock", tmp_path / "out", **more
    )


@pytest.fixture
def running(tmp_path):
    """Hold the lock of a fast path that runs."""
    (tmp_path / "state").mkdir()
    with (tmp_path / "state/fastpath.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


async def test_a_running_gateway_is_listened_to(tmp_path, running, monkeypatch):
    monkeypatch.setattr("gateway.devices.recording.tap.LOOK_S", 0.02)
    tap, said, progress = Tap(tmp_path / "state" / SOCKET, {}), [], []
    async with asyncio.TaskGroup() as tasks:
        telling = tasks.create_task(tap.run())
        recording = tasks.create_task(record(order(tmp_path, seconds=0.5), said.append, progress.append))
        while not tap.observed:
            await asyncio.sleep(0.01)
        for n in range(50):
            tap.tell(Frame(float(n), "can0", 0x102, bytes([n])))
        (path,) = await recording
        telling.cancel()
    assert [frame.data[0] for frame in load(path).frames] == list(range(50))
    assert "running gateway" in said[0]
    assert "50 frames" in progress[-1]
    assert not (tmp_path / "state" / SOCKET).exists()


async def test_two_recorders_do_not_share_a_site(tmp_path, running):
    async with asyncio.TaskGroup() as tasks:
        first = tasks.create_task(record(order(tmp_path, seconds=30), lambda _: None, lambda _: None))
        while not (tmp_path / "state" / SOCKET).exists():
            await asyncio.sleep(0.01)
        with pytest.raises(ConfigError, match="another recorder"):
            await record(order(tmp_path, seconds=0.1), lambda _: None, lambda _: None)
        first.cancel()
    assert not (tmp_path / "state" / SOCKET).exists()


async def test_a_socket_that_a_dead_recorder_left_is_replaced_and_silence_is_said(tmp_path, running):
    (tmp_path / "state" / SOCKET).touch()
    with pytest.raises(Unreachable, match="nothing was heard"):
        await record(order(tmp_path, seconds=0.1), lambda _: None, lambda _: None)


async def test_a_site_that_cannot_run_ends_the_recording_at_once(tmp_path):
    with pytest.raises(Unreachable, match="ended with 2"):
        await record(order(tmp_path, seconds=60), lambda _: None, lambda _: None)
