"""The part of the fail-safe proof that dies: holds one device at a power until it is stopped, frozen or killed.

``python -m gateway.commissioning.holder site.toml DEVICE POWER_W``: a JSON line per look at the device on standard
output; the end of standard input, SIGTERM or SIGHUP releases it in order.
"""

import asyncio
import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from gateway.commissioning.rig import Rig, rig
from gateway.config import load

LOOK_S = 0.2


async def hold(
    site: Path, device: str, power_w: float, stop: asyncio.Event, tell: Callable[[float | None], None]
) -> None:
    """Hold, telling at each look what flows, until ``stop`` is set; then release."""
    async with rig(load(site), lambda info: info.id == device, guarded=False) as bench:
        bench.order(device, 0.0)
        while not stop.is_set():
            tell(bench.power_w(device))
            if _able(bench, device):
                bench.order(device, power_w)
            await bench.until(stop.is_set, LOOK_S)


def _able(bench: Rig, device: str) -> bool:
    snapshot = bench.snapshot()
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return sample is not None and sample.charge_max_w > 0


def _stopped() -> asyncio.Event:
    """Return what is set once this process is told to stop, or nobody is left to tell it."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    def look() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, look)
    return stop


async def main(site: Path, device: str, power_w: float) -> None:
    """Hold as a process of its own."""
    stop = _stopped()

    def tell(flows_w: float | None) -> None:
        try:
            os.write(1, json.dumps({"power_w": flows_w}).encode() + b"\n")
        except BrokenPipeError:  # who would have read it is dead
            stop.set()

    await hold(site, device, power_w, stop, tell)


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
