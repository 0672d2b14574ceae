"""The proof of sold frequency reserve, one row a second: a SQLite file of its own in ``state_dir``.

A row counts as stored once it is on the disk (synchronous FULL, in batches); until then the fast path sends it again, so
that no restart of the services loses a second. What comes twice is stored once.
"""

import logging
import math
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from gateway.faults import FaultCode
from gateway.model import ReservePhase, ReserveProduct, ReserveSecond

LOGGER = logging.getLogger(__name__)

FILE = "reserve.sqlite"
STORE_S = 5.0
RETENTION = timedelta(days=92)
PURGE_ROWS = 2000

SCHEMA = """
CREATE TABLE IF NOT EXISTS seconds (
  utc INTEGER, window_id TEXT, product TEXT, phase TEXT, sold_w REAL, frequency_hz REAL, baseline_w REAL, response_w REAL,
  asked_w REAL, delivered_w REAL, soc_pct REAL, available INTEGER, devices TEXT, refusals TEXT, PRIMARY KEY (utc, window_id)
) WITHOUT ROWID;
"""
NUMBERS = ("sold_w", "frequency_hz", "baseline_w", "response_w", "asked_w", "delivered_w", "soc_pct")
INSERT = "INSERT OR IGNORE INTO seconds VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"


class Faults(Protocol):
    """Who is told when the proof cannot be written, and when it can again."""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault."""

    def clear(self, code: FaultCode) -> None:
        """Clear a fault."""


class ReserveProof:
    """Never raises what the disk does: it tells ``faults``, and takes the rows again later."""

    def __init__(self, path: Path, faults: Faults) -> None:
        self._path = path
        self._faults = faults
        self._db: sqlite3.Connection | None = None
        self._stored_at = -math.inf
        self._failed = False

    def take(self, seconds: Sequence[ReserveSecond], at: float) -> datetime | None:
        """Store ``seconds`` at monotonic ``at``, unless that was done just now; return up to when all is on the disk."""
        if not seconds or 0.0 <= at - self._stored_at < STORE_S:
            return None
        self._stored_at = at
        newest = max(s.utc for s in seconds)
        try:
            db = self._db or self._open()
            with db:
                db.executemany(INSERT, map(_row, seconds))
                oldest = (newest - RETENTION).timestamp()
                db.execute(
                    "DELETE FROM seconds WHERE (utc, window_id) IN"
                    " (SELECT utc, window_id FROM seconds WHERE utc < ? ORDER BY utc LIMIT ?)",
                    (oldest, PURGE_ROWS),
                )
        except (sqlite3.Error, OSError) as error:
            self._lost(error)
            return None
        if self._failed:
            self._failed = False
            LOGGER.info("the proof of reserve is written again")
            self._faults.clear(FaultCode.RESERVE_PROOF_UNWRITABLE)
        return newest

    def close(self) -> None:
        """Close the file."""
        if self._db is not None:
            self._db.close()
        self._db = None

    def _open(self) -> sqlite3.Connection:
        self._db = connected(self._path)
        self._db.executescript(SCHEMA)
        return self._db

    def _lost(self, error: Exception) -> None:
        self.close()
        if not self._failed:
            self._failed = True
            LOGGER.warning("the proof of reserve cannot be written: %s", error)
            self._faults.fault(FaultCode.RESERVE_PROOF_UNWRITABLE, str(error))


def connected(path: Path) -> sqlite3.Connection:
    """Open the file. Raises sqlite3.Error."""
    db = sqlite3.connect(path, timeout=0.2)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
    except BaseException:
        db.close()
        raise
    return db


def stored(db: sqlite3.Connection, start: datetime, end: datetime) -> Iterator[ReserveSecond]:
    """Yield the seconds of [start, end), oldest first."""
    rows = db.execute(
        "SELECT * FROM seconds WHERE utc >= ? AND utc < ? ORDER BY utc", (start.timestamp(), end.timestamp())
    )
    yield from map(_second, rows)


def _second(row: tuple[Any, ...]) -> ReserveSecond:
    utc, window_id, product, phase, *told = row
    moment = datetime.fromtimestamp(utc, UTC)
    fields = dict(zip(NUMBERS, told, strict=False))
    available, devices, refusals = told[len(NUMBERS) :]
    return ReserveSecond(
        moment,
        window_id,
        ReserveProduct(product),
        ReservePhase(phase),
        **fields,
        available=bool(available),
        devices=tuple(devices.split()),
        refusals=tuple(refusals.split()),
    )


def _row(second: ReserveSecond) -> tuple[object, ...]:
    return (
        int(second.utc.timestamp()), second.window_id, second.product, second.phase, second.sold_w, second.frequency_hz,
        second.baseline_w, second.response_w, second.asked_w, second.delivered_w, second.soc_pct, second.available,
        " ".join(second.devices), " ".join(second.refusals),
    )  # fmt: skip
