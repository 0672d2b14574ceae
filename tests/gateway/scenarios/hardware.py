"""Simulated hardware is never short of CPU, however busy this machine is; whoever waits for a gateway has patience."""

import contextlib
import os
from collections.abc import Iterator

PATIENCE = 3.0
"""So many times longer may anything take on a busy machine. What is promised is timed by the simulated house itself."""
_SOON = os.sched_param(5)
_AS_USUAL = os.sched_param(0)


@contextlib.contextmanager
def undisturbed(pid: int = 0) -> Iterator[None]:
    """Let a process, by default this one, run before ordinary ones, where that is permitted; its children do not."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, _SOON)
    try:
        yield
    finally:
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.sched_setscheduler(pid, os.SCHED_OTHER, _AS_USUAL)
