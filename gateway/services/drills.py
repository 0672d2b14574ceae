"""The blackout on paper, once a month by itself: `gateway drill` as a child process, and what became of it in a small file.

A child, because it is minutes of work for a small machine and the house must not notice: it has the lowest priority and
a time limit, and whatever becomes of it is no event here.
"""

import asyncio
import contextlib
import logging
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from gateway.api.access import write_private
from gateway.api.site import Drill, DrillProblem
from gateway.config import BackupTable
from gateway.faults import ConfigError, GatewayError, Malformed, Unreachable
from gateway.model import DeviceId

LOGGER = logging.getLogger(__name__)

FILE = "drill.json"
MONTH, DAY = timedelta(days=30), timedelta(days=1)
SETTLE_S = 600.0
"""After a start the journal first learns what the house draws."""
LOOK_S = 60.0
LIMIT_S = 900.0
LOWEST_PRIORITY = 19

type Hours = Annotated[float, Meta(ge=0.0, le=1e6)]
type Command = Sequence[str]


class Told(msgspec.Struct, forbid_unknown_fields=True):
    """What `gateway drill --json` prints; see rehearsal's Outcome."""

    autonomy_h: Hours | None
    reserve_h: Hours | None
    dark_h: Hours | None
    shed_s: Mapping[DeviceId, Annotated[float, Meta(ge=0.0)]]
    cars_pct: Mapping[DeviceId, Annotated[float, Meta(ge=0.0, le=100.0)]]
    can_leave: Mapping[DeviceId, bool]
    load_w: Annotated[float, Meta(ge=0.0)]
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is on disk: ``tried_at`` is of the newest try, also of one that came to nothing."""

    tried_at: Annotated[datetime, Meta(tz=True)] | None = None
    newest: Drill | None = None


class Drills:
    """``newest`` is the newest drill that was played to its end; ``changed`` is called with it."""

    def __init__(
        self,
        backup: BackupTable,
        site_toml: Path,
        state_dir: Path,
        changed: Callable[[Drill], None],
        clock: Callable[[], datetime],
        play: Callable[[Command], Awaitable[bytes]] | None = None,
    ) -> None:
        self._backup = backup
        self._command = (sys.executable, "-m", "gateway", "drill", "--json", str(site_toml))
        self._path = state_dir / FILE
        self._changed = changed
        self._clock = clock
        self._play = play or play_child
        self._kept = _load(self._path)
        self._lost = False

    @property
    def newest(self) -> Drill | None:
        """The newest drill, None before the first."""
        return self._kept.newest

    async def run(self) -> None:
        """Drill when it is time, until cancelled."""
        await asyncio.sleep(SETTLE_S)
        while True:
            await self.look()
            await asyncio.sleep(LOOK_S)

    def due(self, utc: datetime) -> bool:
        """Tell whether it is time: monthly, daily while there is none yet or the newest found a problem."""
        tried_at, newest = self._kept.tried_at, self._kept.newest
        if tried_at is None or tried_at > utc:  # the latter was written by a clock that was wrong
            return True
        well = newest is not None and not newest.problems and newest.played_at == tried_at
        return utc - tried_at >= (MONTH if well else DAY)

    async def look(self) -> None:
        """Drill if it is time. The try is on disk before it begins, so that one that ends the process is not repeated."""
        utc = self._clock()
        if not self.due(utc):
            return
        self._keep(replace(self._kept, tried_at=utc))
        try:
            drill = _judged(await self._play(self._command), utc, self._backup)
        except GatewayError as error:
            if not self._lost:
                LOGGER.warning("no drill of a blackout: %s; tried again daily", error)
            self._lost = True
            return
        if self._lost:
            LOGGER.info("the drill of a blackout works again")
        self._lost = False
        self._keep(Kept(utc, drill))
        self._changed(drill)

    def _keep(self, kept: Kept) -> None:
        self._kept = kept
        try:
            write_private(self._path, msgspec.json.encode(kept))
        except ConfigError as error:
            LOGGER.error("the drill is forgotten at the next start: %s", error)


def _judged(printed: bytes, utc: datetime, backup: BackupTable) -> Drill:
    """Return what the command printed, and what of it the owner should mend. Raises Malformed."""
    try:
        told = msgspec.json.decode(printed, type=Told)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise Malformed(f"its answer cannot be read: {error}") from None
    problems = []
    if told.dark_h is not None and told.dark_h < backup.should_last_h:
        problems.append(DrillProblem.SHORT)
    if not all(told.can_leave.values()):
        problems.append(DrillProblem.CAR_STAYS)
    return Drill(
        utc,
        told.autonomy_h,
        told.reserve_h,
        told.dark_h,
        backup.should_last_h,
        told.load_w,
        told.can_leave,
        tuple(problems),
        told.assumed,
    )


def _load(path: Path) -> Kept:
    """Return what was kept; what cannot be read is as if there had been none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Kept)
    except FileNotFoundError:
        return Kept()
    except (OSError, UnicodeDecodeError, msgspec.DecodeError, msgspec.ValidationError) as error:
        LOGGER.warning("%s: %s; there will be a new drill", path.name, error)
        return Kept()


async def play_child(command: Command, limit_s: float = LIMIT_S) -> bytes:
    """Run ``command`` and return what it printed. Raises Unreachable; ends the child, also when cancelled."""
    try:
        child = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=PIPE)
    except OSError as error:
        raise Unreachable(f"it could not be started: {error.strerror}") from None
    try:
        with contextlib.suppress(OSError):  # it may have ended already
            os.setpriority(os.PRIO_PROCESS, child.pid, LOWEST_PRIORITY)
        async with asyncio.timeout(limit_s):
            printed, complaint = await child.communicate()
    except TimeoutError:
        raise Unreachable(f"it was not done after {limit_s:.0f} s") from None
    finally:
        if child.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                child.kill()
            await child.wait()
    if child.returncode:
        lines = complaint.decode(errors="replace").split("\n")
        last = next((line for line in reversed(lines) if line.strip()), "no word of it")
        raise Unreachable(f"it ended with {child.returncode}: {last.strip()[:200]}")
    return printed
