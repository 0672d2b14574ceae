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
from pathlib import Path

from gateway.commissioning.rig import Rig, rig
from gateway.config import load

LOOK_S = 0.2


async def hold(site: Path, device: str, power_w: float) -> None:
    """Hold until told to stop, then release."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)

    def look() -> None:
        if not os.read(0, 1):
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, look)
    async with rig(load(site), lambda info: info.id == device, guarded=False) as bench:
        bench.order(device, 0.0)
        while not stop.is_set():
            _tell(bench, device)
            if _able(bench, device):
                bench.order(device, power_w)
            await bench.until(stop.is_set, LOOK_S)


def _able(bench: Rig, device: str) -> bool:
    snapshot = bench.snapshot()
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return sample is not None and sample.charge_max_w > 0


def _tell(bench: Rig, device: str) -> None:
    print(json.dumps({"power_w": bench.power_w(device)}), flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    logging.basicConfig(level=logging.ERROR)
    asyncio.run(hold(Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])))
