"""Recorded CAN traffic → frames with seconds from the first: SavvyCAN CSV, candump with and without -L, tolerant of remarks."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from gateway.faults import Malformed, Unreachable

_LOG = re.compile(r"\((\d+\.\d+)\)\s+\S+\s+([0-9A-Fa-f]{3})#([0-9A-Fa-f]{0,16})")
_SCREEN = re.compile(r"\(([^)]+)\)\s+\S+\s+([0-9A-Fa-f]{3})\s+\[(\d)\]((?:\s+[0-9A-Fa-f]{2}){0,8})")


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame of a recording."""

    at_s: float
    can_id: int
    data: bytes


def read_recording(path: Path) -> tuple[Heard, ...]:
    """Return the frames of a recording in order. Raises Unreachable, or Malformed when there are none in it."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            first = file.readline()
            file.seek(0)
            frames = tuple(_savvycan(file) if first.startswith("Time Stamp") else _candump(file))
    except OSError as error:
        raise Unreachable(f"{path}: {error.strerror}") from None
    if not frames:
        raise Malformed(f"{path}: no CAN frame found; SavvyCAN CSV and candump logs are understood")
    start = frames[0].at_s
    return tuple(Heard(f.at_s - start, f.can_id, f.data) for f in frames)


def _savvycan(lines: Iterable[str]) -> Iterator[Heard]:
    for row in csv.DictReader(lines):
        try:
            data = bytes.fromhex("".join(row[f"D{i}"] for i in range(1, int(row["LEN"]) + 1)))
            yield Heard(int(row["Time Stamp"]) / 1e6, int(row["ID"], 16), data)
        except KeyError, TypeError, ValueError:
            continue


def _candump(lines: Iterable[str]) -> Iterator[Heard]:
    for line in lines:
        if log := _LOG.search(line):
            if len(log[3]) % 2 == 0:
                yield Heard(float(log[1]), int(log[2], 16), bytes.fromhex(log[3]))
        elif screen := _SCREEN.search(line):
            try:
                at_s = datetime.fromisoformat(screen[1]).timestamp()
            except ValueError:
                continue
            yield Heard(at_s, int(screen[2], 16), bytes.fromhex(screen[4]))
