"""Child processes: each leads a session of its own, writes to its own log, and is ended by its own id."""

import asyncio
import contextlib
import os
import shutil
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class DemoError(Exception):
    """The demo cannot go on; the text tells a person why."""


class Child:
    """One program that the demo started. ``stop_signal`` is what asks it to end in order."""

    def __init__(
        self, name: str, log: Path, stop_signal: signal.Signals = signal.SIGTERM, patience_s: float = 20
    ) -> None:
        self.name, self.log = name, log
        self._stop_signal, self._patience_s = stop_signal, patience_s
        self._process: asyncio.subprocess.Process | None = None

    async def start(
        self, command: Sequence[str], *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
    ) -> None:
        """Start ``command``; its standard output and error go to the log, which begins anew."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *_dying_with_us(), *command, cwd=cwd, env={**os.environ, **(env or {})},
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    @property
    def running(self) -> bool:
        """Tell whether it was started and has not ended."""
        return self._process is not None and self._process.returncode is None

    async def ready[T](self, probe: Callable[[], T | None], within_s: float) -> T:
        """Return the first answer of ``probe`` that is not None. Raises DemoError when it ends or does not get there."""
        deadline = asyncio.get_running_loop().time() + within_s
        while (answer := probe()) is None:
            if not self.running:
                raise DemoError(f"the {self.name} ended at once:\n{self.last_lines()}")
            if asyncio.get_running_loop().time() > deadline:
                raise DemoError(f"the {self.name} was not ready after {within_s:g} s:\n{self.last_lines()}")
            await asyncio.sleep(0.05)
        return answer

    async def ended(self) -> int:
        """Wait for its end and return its exit status."""
        if self._process is None:
            raise DemoError(f"the {self.name} was not started")
        return await self._process.wait()

    async def stay(self) -> None:
        """Wait, and raise DemoError when it ends."""
        raise DemoError(f"the {self.name} ended with {await self.ended()}:\n{self.last_lines()}")

    async def stop(self) -> None:
        """End it in order; then, by force if need be, what it has left in its session."""
        if self._process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(self._stop_signal)
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._process.wait(), self._patience_s)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in _session(self._process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            for _ in range(100):
                if not _session(self._process.pid):
                    return
                await asyncio.sleep(0.1)

    def last_lines(self, count: int = 15) -> str:
        """Return the end of its log."""
        text = self.log.read_text(encoding="utf8", errors="replace") if self.log.exists() else ""
        return "\n".join(f"    {line}" for line in text.splitlines()[-count:])


def _dying_with_us() -> list[str]:
    """Let the kernel end a child when the demo itself is killed, where util-linux can ask for that."""
    return [setpriv, "--pdeathsig", "TERM", "--"] if (setpriv := shutil.which("setpriv")) else []


def _session(leader: int) -> list[int]:
    """Return the living processes of the session that ``leader`` began (proc(5), stat, fields 3 and 6)."""
    members = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            state, _, _, session, *_ = (
                stat.read_text(encoding="utf8", errors="replace").rpartition(")")[2].split()
            )
            if int(session) == leader and state != "Z":
                members.append(int(stat.parent.name))
    return members


def free_port(preferred: int) -> int:
    """Return ``preferred`` when nothing listens there, else a port that is free now."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind(("127.0.0.1", port))
                return int(probe.getsockname()[1])
    raise DemoError("no free port on 127.0.0.1")
