"""The fast path's figures: ticks, reaction on the wire, CHAdeMO cadence, CPU, memory, start."""

import asyncio
import contextlib
import json
import shutil
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

from .house_and_gateway import (
    Owner,
    ask_house,
    be_an_instrument,
    cpu_s,
    family,
    house,
    owner,
    process,
    rss_mib,
    tapped,
    until,
)
from .sent_frames import status_times
from .wire_taps import jitter_ms

REQUESTS_PER_S = 15.0
LOW_W, HIGH_W = 900.0, 3300.0
ALONE = {"garage": {"discharge_allowed": False}, "battery": {"floor_soc_pct": 5.0}}
"""The battery follows the load by itself, so that each step must show on its wire; the car's session stays open."""


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie; raises ValueError when there are none."""
    if not values:
        raise ValueError("nothing was measured")
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def measure(seconds: float, *, loaded: bool) -> dict[str, Any]:
    """Run a house and a gateway for ``seconds`` and return the figures; ``loaded`` adds API traffic and a plan being solved."""
    folder = Path(tempfile.mkdtemp(prefix="nissan-energy-bench-"))
    try:
        async with house(folder) as endpoints, tapped(endpoints, folder) as (passed, site):
            await ask_house(endpoints, do="set_load", w=LOW_W)
            be_an_instrument(endpoints["pid"])
            started_at = time.monotonic()
            command = ("-m", "gateway", "run", str(site))
            async with (
                process(*command, log=folder / "gateway.log") as gateway,
                owner(folder / "state") as client,
            ):
                await client.ask("PATCH", "owner", {"control_on": True, "devices": ALONE})
                await _battery_moves(endpoints)
                start_s = time.monotonic() - started_at
                await _settle(client)
                async with _load(client) if loaded else contextlib.nullcontext():
                    return await _observe(seconds, endpoints, gateway.pid, passed, folder / "state", start_s)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _battery_moves(endpoints: Any) -> None:
    """Wait until the battery really does something: the first setpoint has arrived and is obeyed."""
    async with asyncio.timeout(30):
        while abs((await ask_house(endpoints, do="status"))["battery"]["power_w"]) < 100.0:
            await asyncio.sleep(0.02)


async def _settle(client: Owner) -> None:
    for _ in range(240):
        state = await client.ask("GET", "state")
        if (state["devices"]["garage"]["sample"] or {}).get("state") == "ready":
            return
        await asyncio.sleep(0.5)
    raise TimeoutError("no charging session within two minutes")


async def _observe(
    seconds: float, endpoints: Any, pid: int, passed: Any, state: Path, start_s: float
) -> dict[str, Any]:
    resident_mib = rss_mib(
        family(pid)
    )  # while the planner's process is there, which ends when it has nothing to do
    for seen in (passed.meter_changes, passed.battery_writes, passed.chademo_status):
        seen.clear()
    (state / "tick_lateness.json").unlink(missing_ok=True)
    used_s, began_at = cpu_s(family(pid)), time.monotonic()
    steps: list[float] = []
    while time.monotonic() - began_at < seconds:
        steps.append(time.monotonic())
        await ask_house(endpoints, do="set_load", w=HIGH_W if len(steps) % 2 else LOW_W)
        await asyncio.sleep(1.5 + 0.137 * (len(steps) % 7))  # no multiple of any period on the wire
    elapsed_s, used_s = time.monotonic() - began_at, cpu_s(family(pid)) - used_s
    await until((state / "tick_lateness.json").exists, 15, "no lateness was written")
    ticks = json.loads((state / "tick_lateness.json").read_text(encoding="utf-8"))
    reactions, behind_pty = passed.reactions_ms(steps), jitter_ms(passed.chademo_status)
    sent = jitter_ms(await status_times(state, seconds))
    return {
        "tick_lateness_p50_ms": round(ticks["p50_ms"], 3),
        "tick_lateness_p99_ms": round(ticks["p99_ms"], 3),
        "tick_lateness_p999_ms": round(ticks["p999_ms"], 3),
        "meter_to_setpoint_p50_ms": round(percentile(reactions, 0.5), 2),
        "meter_to_setpoint_p99_ms": round(percentile(reactions, 0.99), 2),
        "chademo_jitter_p99_ms": round(percentile(sent, 0.99), 2),
        "chademo_jitter_behind_pty_p99_ms": round(percentile(behind_pty, 0.99), 2),
        "cpu_pct": round(100 * used_s / elapsed_s, 1),
        "rss_mib": round(resident_mib, 1),
        "start_s": round(start_s, 2),
        "ticks": ticks["ticks"],
        "steps": len(reactions),
        "seconds": round(elapsed_s, 1),
    }


@contextlib.asynccontextmanager
async def _load(client: Owner) -> Any:
    """API traffic near the gateway's own limit, and one core that never stops solving plans."""
    address, token = client.door()
    start = partial(asyncio.create_subprocess_exec, sys.executable, "-m")
    solving = await start("tests.bench.solving")
    asking = await start("tests.bench.asking", address, str(REQUESTS_PER_S), stdin=asyncio.subprocess.PIPE)
    assert asking.stdin is not None
    asking.stdin.write(f"{token}\n".encode())
    try:
        yield
        assert asking.returncode is None, "the API's load has ended"
    finally:
        for process_ in (solving, asking):
            with contextlib.suppress(ProcessLookupError):
                process_.kill()
            await process_.wait()
