"""Files of bounded size: when one is full the next begins with what a reader has to know, and the oldest goes."""

import os
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from gateway.devices.recording.lines import HEADER
from gateway.faults import Unreachable

FILES = 8
SMALLEST_BYTES = 64 << 10


class RotatingFiles:
    """Takes lines; keeps at most about ``max_bytes`` in ``folder``. Raises Unreachable when the disk says no.

    What a reader has to know are the header, the wires' names, who the devices are, what chargers hear of their cars, and
    the newest answer to each question that was asked of a register, because nameplates are read only once.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.paths: deque[Path] = deque()
        self.written_bytes = 0
        self.lines = 0
        self._folder = folder
        self._file_bytes = max(max_bytes // FILES, SMALLEST_BYTES)
        self._kept = max(max_bytes // self._file_bytes, 2)
        self._stem = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
        self._header = ""
        self._known: dict[str, str] = {}
        self._file: TextIO | None = None
        self._size = 0
        self._number = 0

    def write(self, line: str) -> None:
        """Append a line."""
        if line.startswith(HEADER):
            self._begin(line)
            return
        if self._file is None or self._size > self._file_bytes:
            stamp = line.split(" ", 1)[0].strip("()")
            self._next()
            self._put(self._header)
            for rest in self._known.values():
                self._put(f"{stamp} {rest}")
        self._put(line)
        self._remember(line)
        self.lines += 1

    def close(self) -> None:
        """Finish the file."""
        file, self._file = self._file, None
        if file is not None:
            self._tried(file.close)

    def flush(self) -> None:
        """Let others see what was written."""
        if self._file is not None:
            self._tried(self._file.flush)

    def _begin(self, header: str) -> None:
        """Another run of the gateway begins, and with it another file."""
        self._header, self._known = header, {}
        self.close()

    def _remember(self, line: str) -> None:
        words = line.split(" ", 6)
        if len(words) < 3 or words[0].startswith("("):
            return
        _, _, verb, *more = words
        if verb in {"is", "hears"} or (verb == "says" and more[:1] == ["DeviceInfo"]):
            self._known[f"{words[1]} {verb}"] = line.split(" ", 1)[1]
        elif verb in {"read", "write"} and " ! " not in line:
            self._known[" ".join(words[1 : 6 if verb == "read" else 5])] = line.split(" ", 1)[1]

    def _next(self) -> None:
        self.close()
        self._number += 1
        path = self._folder / f"nissan-energy-{self._stem}-{self._number:03}.log"
        self._file = self._tried(lambda: _new(path))
        self._size = 0
        self.paths.append(path)
        while len(self.paths) > self._kept:
            self.paths.popleft().unlink(missing_ok=True)

    def _put(self, line: str) -> None:
        file = self._file
        if file is not None and line:
            self._tried(lambda: file.write(f"{line}\n"))
            self._size += len(line) + 1
            self.written_bytes += len(line) + 1

    def _tried[Result](self, do: Callable[[], Result]) -> Result:
        try:
            return do()
        except OSError as error:
            raise Unreachable(f"{self._folder} cannot be written: {error.strerror}") from None


def _new(path: Path) -> TextIO:
    """Begin a file that only its owner reads: it tells when somebody is at home."""
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8")
