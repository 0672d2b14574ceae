"""What befalls a gateway's machine: Python imports this first where PYTHONPATH leads here.

In the folder of its site.toml, ``clock_offset_s`` moves the clock, and ``read_only`` makes the disk so. Both are looked at
each time, so that a test can let them come and go.
"""

import errno
import os
import sqlite3
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

PROCESSES = {"fastpath", "services"}


def folder_of(arguments: list[str]) -> Path | None:
    """Return where a gateway's process keeps its site, None for any other program."""
    if "gateway" not in arguments or not PROCESSES & set(arguments):
        return None
    return Path(arguments[-1]).parent


def move_clock(told: Path) -> None:
    """Let the gateway read a clock that is off by what ``told`` says, in s."""
    from gateway import clock  # not before this program is known to be a gateway

    def moved() -> datetime:
        try:
            offset_s = float(told.read_text())
        except OSError, ValueError:
            offset_s = 0.0
        return datetime.now(UTC) + timedelta(seconds=offset_s)

    clock.system_utc = moved


def protect_disk(told: Path) -> None:
    """Refuse to write files anew, and rows, while ``told`` is there."""
    open_file = os.open

    def guarded(path: str, flags: int, *more: object, **named: object) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and told.exists():
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return open_file(path, flags, *more, **named)  # type: ignore[arg-type]

    class Guarded(sqlite3.Connection):
        def commit(self) -> None:
            if told.exists():
                raise sqlite3.OperationalError("attempt to write a readonly database")
            super().commit()

    connect = sqlite3.connect

    def guarded_connect(*arguments: object, **named: object) -> sqlite3.Connection:
        return connect(*arguments, **{"factory": Guarded, **named})  # type: ignore[call-overload,no-any-return]

    os.open = guarded  # type: ignore[assignment]
    sqlite3.connect = guarded_connect


if (folder := folder_of(sys.orig_argv)) is not None:
    sys.path.insert(0, str(Path.cwd()))
    move_clock(folder / "clock_offset_s")
    protect_disk(folder / "read_only")
