"""An event loop that never sleeps: when there is nothing left to do now, its clock jumps to whatever comes next."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, override

from gateway.faults import Misuse

STARTS_AT_S = 1000.0
"""Like any monotonic clock it does not start at 0, which some take for never."""


class _Jumping(selectors.DefaultSelector):
    """Looks at its files without waiting, and lets the time pass instead."""

    now = STARTS_AT_S

    @override
    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if not ready:
            if timeout is None:
                raise Misuse("a replay waits for something that is not in it")
            self.now += max(timeout, 0.0)
        return ready


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """Deterministic as long as nothing on it waits for threads, sockets or other processes."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    @override
    def time(self) -> float:
        return self._jumping.now


def run_at_once[Result](main: Coroutine[Any, Any, Result]) -> Result:
    """Run ``main`` to its end in virtual time."""
    return asyncio.run(main, loop_factory=VirtualTimeLoop)
