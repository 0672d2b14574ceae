"""One master per site, and a place where the two processes can meet."""

import asyncio

import pytest

from gateway import fastpath
from gateway.config import parse
from gateway.faults import ConfigError

SITE = {
    "site": {"name": "House", "serial": "NE-1", "time_zone": "UTC"},
    "grid": {"main_fuse_a": 25.0},
    "devices": {},
}


async def test_a_second_gateway_on_the_same_site_is_refused_and_a_successor_is_not(tmp_path, monkeypatch):
    monkeypatch.setattr(fastpath, "HANDOVER_S", 0.2)
    config = parse(SITE, tmp_path / "site.toml")
    async with fastpath.sole_master(config):
        with pytest.raises(ConfigError, match="another gateway"):
            async with fastpath.sole_master(config):
                pass
    async with asyncio.timeout(5), fastpath.sole_master(config):
        pass


def test_a_folder_too_deep_for_a_socket_is_told_before_anything_starts(tmp_path):
    config = parse(SITE, tmp_path / ("deep" * 30) / "site.toml")
    with pytest.raises(ConfigError, match="at most 97 letters"):
        fastpath.FastPath(config, {})


async def test_a_fast_path_without_devices_starts_and_stops(tmp_path):
    stop = asyncio.Event()
    fast_path = fastpath.FastPath(parse(SITE, tmp_path / "site.toml"), {})
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(fast_path.run(stop))
        await asyncio.sleep(0.2)
        assert not running.done()
        stop.set()
