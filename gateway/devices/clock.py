"""The clock of everything that touches wires: the kernel's monotonic one, or the virtual one of a replay."""

import asyncio


def monotonic() -> float:
    """Return the time of the running loop."""
    return asyncio.get_running_loop().time()
