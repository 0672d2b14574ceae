"""One line of the house for a person at a terminal."""

import asyncio
import shutil
import sys
from datetime import datetime
from typing import Any

import aiohttp

from .dashboard import BATTERY, CAR
from .home_assistant import Refusal
from .start import Demo


def line(truth: dict[str, Any], reasons: dict[str, str]) -> str:
    """Return the house in one line: powers as they are at the wires, and why car and battery do what they do."""
    house, car, battery = truth["house"], truth["car"], truth["battery"]
    car_w = truth["converter"]["ac_w"]
    plugged = f"{_flow(car_w)} at {car['soc_pct']:.0f} %" if car["plugged"] else "unplugged"
    return "  ".join((
        f"{datetime.now().astimezone():%H:%M:%S}",
        f"grid {house['grid_w']:+6.0f} W",
        f"house {house['load_w']:5.0f} W",
        f"sun {house['pv_w']:5.0f} W",
        f"car {plugged} ({reasons[CAR]})",
        f"battery {_flow(battery['power_w'])} at {battery['soc_pct']:.0f} % ({reasons[BATTERY]})",
    ))  # fmt: skip


def _flow(power_w: float) -> str:
    if abs(power_w) < 30:
        return "rests"
    return f"{'takes' if power_w > 0 else 'gives'} {abs(power_w):4.0f} W"


async def watch(demo: Demo) -> None:
    """Print the line each second, in place where the terminal allows it, until cancelled or a program ends by itself."""
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(demo.house.simulator.stay())
        tasks.create_task(demo.house.gateway.stay())
        tasks.create_task(demo.home_assistant.stay())
        tasks.create_task(_show(demo))


async def _show(demo: Demo) -> None:
    in_place = sys.stdout.isatty()
    while True:
        text = line(await demo.control_port.do("status"), {d: await _reason(demo, d) for d in (CAR, BATTERY)})
        if in_place:
            print(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="", flush=True)
        else:
            print(text, flush=True)
        await asyncio.sleep(1 if in_place else 5)


async def _reason(demo: Demo, device: str) -> str:
    """Return why the device does what it does, as Home Assistant tells it; a question mark while that restarts."""
    try:
        return (await demo.session.state(demo.catalog.entity_id("sensor", "reason", device))).replace(
            "_", " "
        )
    except aiohttp.ClientError, Refusal:
        return "?"
