"""Starts the two processes, watches them and starts them again; tells the service manager that they live.

The fast path is started first and stopped last. A process that ends is started again after a pause that doubles up to
a minute and is forgotten after two quiet minutes; the other process is left alone.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import time
from asyncio.subprocess import PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.faults import ConfigError

LOGGER = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
QUIET_S = 120.0
STOP_TIMEOUT_S = 12.0
HUNG_S, FIRST_TICK_S = 20.0, 60.0
"""Every device has let go by itself long before; a start, on a busy machine, may wait for a predecessor to hand over."""
HUNG_LOOK_S = 1.0
CONFIG_EXIT = 2
"""Exit status of a child whose site.toml cannot be run; the fast path is then not started again."""
FAST_PATH, SERVICES = "fastpath", "services"


@dataclass(frozen=True, slots=True)
class Child:
    """One process: its name is the gateway's own sub-command; one with a ``heartbeat`` touches that file while it works."""

    name: str
    site: Path
    heartbeat: Path | None = None

    @property
    def command(self) -> tuple[str, ...]:
        """Return the command line."""
        return sys.executable, "-m", "gateway", self.name, str(self.site)


def pause_s(failures: int) -> float:
    """Return how long to wait before the next start after so many quick ends in a row."""
    return min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** max(0, failures - 1))


async def _keep(child: Child, stop: asyncio.Event) -> None:
    """Run a child, again and again, until ``stop``; then end it gently."""
    failures = 0
    while not stop.is_set():
        started_at = time.monotonic()
        status: int | OSError | None
        try:
            status = await _run_once(child, stop)
        except OSError as error:  # no memory or no process left: that passes
            status = error
        if stop.is_set():
            return
        if status == CONFIG_EXIT and child.name == FAST_PATH:
            raise ConfigError("the fast path cannot run it; its own line above says why")
        failures = 1 if time.monotonic() - started_at > QUIET_S else failures + 1
        LOGGER.error("%s ended with %s; starting it again in %.1f s", child.name, status, pause_s(failures))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), pause_s(failures))


async def _run_once(child: Child, stop: asyncio.Event) -> int | None:
    """Run a child until it ends, or until ``stop`` or cancellation, which end it gently; return its exit status."""
    # The child ends when its standard input does: the kernel closes it when this process dies, however it dies.
    process = await asyncio.create_subprocess_exec(*child.command, stdin=PIPE, process_group=0)
    LOGGER.info("%s started, pid %d", child.name, process.pid)
    try:
        async with asyncio.TaskGroup() as waiting:
            tasks: list[asyncio.Task[Any]] = [
                waiting.create_task(process.wait()),
                waiting.create_task(stop.wait()),
            ]
            if child.heartbeat is not None:
                tasks.append(waiting.create_task(_hangs(child.heartbeat, process)))
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                task.cancel()
    finally:
        if process.returncode is None:
            await _end(process)
    return process.returncode


async def _hangs(heartbeat: Path, process: asyncio.subprocess.Process) -> None:
    """Kill a process whose heartbeat has stood still for too long; the wall clock has no say in it."""
    seen, changed_at, patience_s = _last_beat(heartbeat), time.monotonic(), FIRST_TICK_S
    while True:
        await asyncio.sleep(HUNG_LOOK_S)
        if (beat := _last_beat(heartbeat)) != seen:
            seen, changed_at, patience_s = beat, time.monotonic(), HUNG_S
        if time.monotonic() - changed_at > patience_s:
            LOGGER.error("pid %d hangs: no tick for %.0f s", process.pid, patience_s)
            process.kill()
            return


def _last_beat(heartbeat: Path) -> int:
    try:
        return heartbeat.stat().st_mtime_ns
    except OSError:
        return -1


async def _end(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _notify(message: str) -> None:
    """Tell systemd, where it listens (sd_notify protocol)."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
            notify.sendto(message.encode(), address.replace("@", "\0", 1))


async def _beat(stop: asyncio.Event) -> None:
    _notify("READY=1")
    while not stop.is_set():
        _notify("WATCHDOG=1")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), 5.0)
    _notify("STOPPING=1")


async def run(site: Path, heartbeat: Path) -> None:
    """Run both processes until SIGINT or SIGTERM; the services end first, so that the fast path releases in peace."""
    loop = asyncio.get_running_loop()
    services_stop, fast_stop = asyncio.Event(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, services_stop.set)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_beat(services_stop))
        tasks.create_task(_keep(Child(FAST_PATH, site, heartbeat), fast_stop))
        services = tasks.create_task(_keep(Child(SERVICES, site), services_stop))
        await services_stop.wait()
        await asyncio.wait((services,))
        fast_stop.set()
