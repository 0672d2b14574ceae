"""Export above the limit is counted on the wire, and the third time locks it out, through a kill and a restart."""

import asyncio
from datetime import UTC, datetime

import msgspec
import pytest

from gateway.control.excursions import SETTLED_S
from gateway.model import LOCK_OUT, Remembered
from tests.gateway.scenarios.scene import scene_of

pytestmark = pytest.mark.slow


def remembered(scene) -> Remembered:
    file = scene.folder / "state/remembered.json"
    return msgspec.json.decode(file.read_bytes(), type=Remembered) if file.exists() else Remembered()


async def export_too_much(scene, times):
    """The sun alone is more than the site may give away, and no device is left to take it."""
    await scene.ask("set_pv", w=20_000.0)

    async def counted():
        return len(remembered(scene).excursions.began) >= times

    await scene.until(counted, 40)
    await scene.ask("set_pv", w=0.0)

    await scene.really(lambda physics: physics["house"]["grid_w"] > 0.0, 10)
    await asyncio.sleep(2 * SETTLED_S)


async def test_the_third_excursion_locks_the_export_out_and_no_restart_clears_it(tmp_path):
    async with scene_of(tmp_path, "--battery-soc", "99") as scene:
        scene.kill_all()
        site = tmp_path / "site.toml"
        site.write_text(site.read_text().replace("[grid]\n", "[grid]\nexports_locked_out = true\n"))
        await scene.start_gateway()
        await scene.ask("set_load", w=500.0)
        for times in (1, 2):
            await export_too_much(scene, times)
            assert remembered(scene).excursions.locked_until is None
        await export_too_much(scene, 3)

        async def is_locked():
            return remembered(scene).excursions.locked_until is not None

        await scene.until(is_locked, 10)
        locked = remembered(scene).excursions
        assert LOCK_OUT * 0.99 < locked.locked_until - datetime.now(UTC) <= LOCK_OUT
        scene.kill_all()
        await scene.start_gateway()
        again = remembered(scene).excursions
        assert again.locked_until is not None
        assert again.locked_until >= locked.locked_until
