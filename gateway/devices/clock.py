"""The clock of everything that touches wires: the kernel's monotonic one, or the virtual one of a replay."""

import asyncio
import time


def monotonic() -> float:
    """Return the time of the running loop, the kernel's where none runs."""
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()
