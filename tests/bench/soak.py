"""A long run: does memory grow, is a tick missed, does grid power stay near zero while the devices have headroom?"""

import asyncio
import contextlib
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from .house_and_gateway import ask_house, family, house, owner, process, rss_mib, until

NEAR_ZERO_W = 100.0
WARM_UP_S = 120.0
SAMPLE_S = 0.5


async def soak(seconds: float, *house_options: str) -> dict[str, Any]:
    """Run a house and a gateway for ``seconds`` and return what a long run shows."""
    folder = Path(tempfile.mkdtemp(prefix="nissan-energy-soak-"))
    try:
        async with house(folder, *house_options) as endpoints:
            command = ("-m", "gateway", "run", str(folder / "site.toml"))
            async with (
                process(*command, log=folder / "gateway.log") as gateway,
                owner(folder / "state") as client,
            ):
                await asyncio.sleep(5)
                floors = {"garage": {"floor_soc_pct": 20.0}, "battery": {"floor_soc_pct": 10.0}}
                await client.ask("PATCH", "owner", {"control_on": True, "devices": floors})
                async with asyncio.TaskGroup() as tasks:
                    reading = tasks.create_task(client.follow())
                    figures = await _watch(seconds, endpoints, gateway.pid, client, folder / "state")
                    reading.cancel()
                    return figures
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _watch(seconds: float, endpoints: Any, pid: int, client: Any, state: Path) -> dict[str, Any]:
    await asyncio.sleep(min(WARM_UP_S, seconds / 4))
    pids, grid, began_at = family(pid), [], time.monotonic()
    rss = [rss_mib(pids)]
    able, checked_at = False, 0.0
    while time.monotonic() - began_at < seconds:
        if time.monotonic() - checked_at > 5.0:
            able, checked_at = await _headroom(client), time.monotonic()
        physics = await ask_house(endpoints, do="status")
        if able:
            grid.append(abs(physics["house"]["grid_w"]))
        if time.monotonic() - began_at > 60.0 * len(rss):
            rss.append(rss_mib(pids))
        await asyncio.sleep(SAMPLE_S)
    await until((state / "tick_lateness.json").exists, 15, "no lateness was written")
    ticks = json.loads((state / "tick_lateness.json").read_text(encoding="utf-8"))
    half = len(rss) // 2
    return {
        "seconds": round(time.monotonic() - began_at),
        "near_zero_pct": round(100 * sum(w <= NEAR_ZERO_W for w in grid) / max(1, len(grid)), 2),
        "grid_samples": len(grid),
        "rss_first_mib": round(rss[0], 1),
        "rss_middle_mib": round(rss[half], 1),
        "rss_last_mib": round(rss[-1], 1),
        "growth_pct": round(100 * (rss[-1] / rss[0] - 1), 2),
        "tick_max_ms": ticks["max_ms"],
        "tick_p999_ms": ticks["p999_ms"],
        "ticks": ticks["ticks"],
    }


async def _headroom(client: Any) -> bool:
    """Tell whether the devices could hold the grid at zero: a session is open and nothing holds them back."""
    with contextlib.suppress(KeyError):
        view = await client.ask("GET", "state")
        ready = (view["devices"]["garage"]["sample"] or {}).get("state") == "ready"
        return ready and not any(d["limited_by"] for d in view["decisions"].values())
    return False
