"""The clock of everything that touches wires: the kernel's monotonic one, or the virtual one of a replay."""

import asyncio
import time


def monotonic() -> float:
    """Return the time of the running loop, the kernel's where none runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


async def signalled(event: asyncio.Event, until: float | None) -> None:
    """Wait for ``event``, which is set at ``until`` of the loop's time at the latest: a timeout without its exception."""
    loop = asyncio.get_running_loop()
    timer = None if until is None else loop.call_at(until, event.set)
    try:
        await event.wait()
    finally:
        if timer is not None:
            timer.cancel()
