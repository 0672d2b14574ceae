"""The recorder: a process of its own that takes the fast path's lines and keeps them in files."""

import asyncio
import contextlib
import fcntl
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gateway.devices.recording.blanking import Blanker
from gateway.devices.recording.rotation import RotatingFiles
from gateway.devices.recording.tap import DATAGRAM_BYTES, SOCKET
from gateway.faults import ConfigError, Unreachable

PROGRESS_S = 1.0
STOP_S = 12.0

type Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Order:
    """What to record. ``seconds`` None is until Ctrl-C; ``names_kept`` leaves VIN and pack serial in."""

    site: Path
    state_dir: Path
    lock: Path
    out: Path
    max_mib: int = 200
    seconds: float | None = None
    names_kept: bool = False


async def record(order: Order, say: Say, progress: Say) -> tuple[Path, ...]:
    """Record a site until the time is over or a signal comes; return the files.

    Where no gateway runs on the site, a fast path is started that only observes. Raises ConfigError or Unreachable.
    """
    _folder(order.state_dir, 0o700)
    _folder(order.out, 0o755)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    files = RotatingFiles(order.out, order.max_mib << 20)
    inbox = _Inbox(files, Blanker() if not order.names_kept else None)
    with _bound(order.state_dir / SOCKET) as listening, inbox.reading(listening):
        runs = _is_held(order.lock)
        say(
            "listening to the running gateway"
            if runs
            else "no gateway runs here: starting one that only observes"
        )
        async with _nothing() if runs else _observer(order.site) as observer:
            await _until(stop, order.seconds, inbox, progress, observer)
        inbox.drain(listening)
    files.close()
    if not files.lines:
        raise Unreachable("nothing was heard: does the gateway run as another user, or an older one?")
    return tuple(files.paths)


async def _until(
    stop: asyncio.Event,
    seconds: float | None,
    inbox: _Inbox,
    progress: Say,
    observer: asyncio.subprocess.Process | None,
) -> None:
    clock = asyncio.get_running_loop().time
    began = clock()
    while not stop.is_set() and (seconds is None or clock() - began < seconds):
        left_s = PROGRESS_S if seconds is None else min(PROGRESS_S, began + seconds - clock())
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), max(left_s, 0.0))
        if inbox.failed is not None:
            raise inbox.failed
        if observer is not None and observer.returncode is not None:
            raise Unreachable(
                f"the observing fast path ended with {observer.returncode}; its line above says why"
            )
        inbox.files.flush()
        progress(f"{clock() - began:6.0f} s  {inbox}")


class _Inbox:
    """What has come in."""

    def __init__(self, files: RotatingFiles, blanker: Blanker | None) -> None:
        self.files = files
        self.failed: Unreachable | None = None
        self._blanker = blanker
        self._frames = self._exchanges = self._dropped = 0

    def __str__(self) -> str:
        """Return the progress in words."""
        told = f"{self._frames} frames, {self._exchanges} Modbus requests, {self.files.written_bytes / 2**20:.1f} MiB"
        return f"{told}, {self._dropped} lines dropped" if self._dropped else told

    @contextlib.contextmanager
    def reading(self, listening: socket.socket) -> Iterator[None]:
        """Read while this is open."""
        loop = asyncio.get_running_loop()
        loop.add_reader(listening, self.drain, listening)
        try:
            yield
        finally:
            loop.remove_reader(listening)

    def drain(self, listening: socket.socket) -> None:
        """Take what is there."""
        try:
            while self.failed is None:
                for line in listening.recv(2 * DATAGRAM_BYTES).decode("utf-8", "replace").splitlines():
                    self._take(line)
        except BlockingIOError:
            pass
        except Unreachable as error:
            self.failed = error

    def _take(self, line: str) -> None:
        self.files.write(self._blanker.line(line) if self._blanker else line)
        words = line.split(" ", 4)
        if line.startswith("("):
            self._frames += 1
        elif len(words) > 3 and words[2] in {"read", "write"}:
            self._exchanges += 1
        elif len(words) > 3 and words[2] == "dropped":
            self._dropped += int(words[3])


@contextlib.contextmanager
def _bound(path: Path) -> Iterator[socket.socket]:
    """Hold the socket that the fast path looks for. Raises ConfigError when somebody else does."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as listening:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.connect(str(path))
            raise ConfigError(f"{path}: another recorder is running; stop it first")
        previous = os.umask(0o177)
        try:
            path.unlink(missing_ok=True)
            listening.bind(str(path))
        except OSError as error:
            raise ConfigError(f"site.state_dir: {path} cannot be made ({error.strerror})") from None
        finally:
            os.umask(previous)
        try:
            yield listening
        finally:
            path.unlink(missing_ok=True)


@contextlib.asynccontextmanager
async def _observer(site: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a fast path of our own; without services nobody turns its control on. It ends when we do, however we end."""
    command = (sys.executable, "-m", "gateway", "fastpath", str(site))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, process_group=0)
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), STOP_S)
        except TimeoutError:
            process.kill()
            await process.wait()


@contextlib.asynccontextmanager
async def _nothing() -> AsyncIterator[None]:
    yield None


def _is_held(lock: Path) -> bool:
    """Tell whether a fast path holds the site."""
    try:
        with lock.open("r") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except OSError:
        return True
    return False


def _folder(path: Path, mode: int) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True, mode=mode)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be made ({error.strerror})") from None
