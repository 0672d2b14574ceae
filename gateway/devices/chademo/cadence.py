"""A steady beat by absolute deadlines, from the kernel's timer where there is one."""

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Iterator


@contextlib.contextmanager
def _kernel_timer(period_s: float, beat: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)

    def expired() -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(timer, 8)
        beat.set()

    loop.add_reader(timer, expired)
    os.timerfd_settime(timer, initial=period_s, interval=period_s)
    try:
        yield
    finally:
        loop.remove_reader(timer)
        os.close(timer)


async def beats(period_s: float) -> AsyncIterator[None]:
    """Yield every ``period_s`` without drift; beats that were missed are left out, never made up for."""
    if not hasattr(os, "timerfd_create") or _virtual():
        async for _ in _slept(period_s):
            yield
    beat = asyncio.Event()
    with _kernel_timer(period_s, beat):
        while True:
            await beat.wait()
            beat.clear()
            yield


def _virtual() -> bool:
    """Whether the loop keeps another time than the kernel, as in a replay."""
    return type(asyncio.get_running_loop()).time is not asyncio.BaseEventLoop.time


async def _slept(period_s: float) -> AsyncIterator[None]:
    clock = asyncio.get_running_loop().time
    due = clock()
    while True:
        due = max(due + period_s, clock())
        await asyncio.sleep(due - clock())
        yield
