"""The journal: SQLite in ``state_dir``, written from the services' loop in short batches.

WAL with synchronous NORMAL: ``kill -9`` loses at most the two seconds that were not committed yet, a power cut at most what
came after the last checkpoint. Energy totals are shown only once they are checkpointed, so no restart takes them back.
"""

import logging
import math
import sqlite3
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

import msgspec

from gateway.faults import FaultCode
from gateway.ledger.energy import Account, Register, Sample, advance
from gateway.ledger.means import QuarterMean, Running, follow
from gateway.ledger.tables import SCHEMA, Retention
from gateway.ledger.thinning import decision_worth, sample_worth
from gateway.ledger.trips import TripWatch, is_one
from gateway.model import (
    ActiveFault,
    Decision,
    DeviceId,
    EnergyTotals,
    EvseSample,
    GridEvent,
    HistoryPoint,
    MeterSample,
    Plan,
    Request,
    Snapshot,
    StorageSample,
    Trip,
)

LOGGER = logging.getLogger(__name__)

COMMIT_S = 2.0
CHECKPOINT_S = 10.0
RETRY_S = 10.0
NEWEST_S = 60.0
PURGE_ROWS = 500


@dataclass(slots=True)
class _Written:
    """What the file already has, since it was opened."""

    samples: dict[DeviceId, tuple[datetime, float, float | None]] = field(default_factory=dict)
    decisions: dict[DeviceId, Decision] = field(default_factory=dict)
    plan: str = ""
    requests: set[str] = field(default_factory=set)
    events: dict[str, bytes] = field(default_factory=dict)
    faults: set[tuple[str, str, float]] = field(default_factory=set)


class Faults(Protocol):
    """Who is told when the journal cannot be written, and when it can again."""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault."""

    def clear(self, code: FaultCode) -> None:
        """Clear a fault."""


class Journal:
    """Never raises what the disk does: it tells ``faults`` once, drops rows, and tries again every 10 s.

    Queries return nothing while the disk is away.
    """

    def __init__(self, path: Path, faults: Faults, retention: Retention | None = None) -> None:
        self._path = path
        self._faults = faults
        self._retention = retention or Retention()
        self._db: sqlite3.Connection | None = None
        self._failed = False
        self._tried_at = self._committed_at = self._checkpointed_at = -math.inf
        self._written = _Written()
        self._accounts: dict[DeviceId, Account] | None = None
        self._counted: dict[DeviceId, tuple[float, float, float]] = {}
        self._shown: dict[DeviceId, EnergyTotals] = {}
        self._trips = TripWatch()
        self._last_trips: dict[DeviceId, Trip] = {}
        self._running = Running()
        with self._disk():
            self._open()

    # ── writing ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def record(self, snapshot: Snapshot) -> None:
        """Take what is worth remembering from ``snapshot``; commits every 2 s."""
        self._count(snapshot)
        self._running, ended = follow(self._running, snapshot)
        if self._db is None and not _due(self._tried_at, snapshot.at, RETRY_S):
            return
        self._tried_at = snapshot.at
        with self._disk():
            db = self._db or self._open()
            self._record_samples(db, snapshot)
            self._record_decisions(db, snapshot.decisions.values())
            self._record_plan(db, snapshot.wishes.plan)
            self._record_requests(db, snapshot.wishes.requests, snapshot.utc)
            self._record_faults(db, snapshot.faults, snapshot.utc)
            self._record_trips(db, snapshot)
            if ended is not None:
                row = (ended.utc.timestamp(), ended.load_w, ended.pv_w)
                db.execute("INSERT OR REPLACE INTO means VALUES (?, ?, ?)", row)
            if _due(self._committed_at, snapshot.at, COMMIT_S):
                self._commit(db, snapshot.at, snapshot.utc)

    def record_events(self, events: Iterable[GridEvent], utc: datetime) -> None:
        """Remember each grid event whenever something about it changed."""
        if self._db is None:
            return
        with self._disk():
            for event in events:
                body = msgspec.json.encode(event)
                if self._last_event(self._db, event.id) != body:
                    row = (utc.timestamp(), event.id, body)
                    self._db.execute("INSERT INTO grid_events VALUES (?, ?, ?)", row)
                    self._written.events[event.id] = body

    def close(self) -> None:
        """Write what is pending and close the file."""
        with self._disk():
            if self._db is not None:
                self._store_energy(self._db)
                self._db.commit()
                self._db.close()
        self._db = None

    def totals(self) -> Mapping[DeviceId, EnergyTotals]:
        """Return the lifetime energy of each device; no later call, not even after a restart, returns less."""
        return self._shown

    def _count(self, snapshot: Snapshot) -> None:
        """Advance the accounts; not before the stored ones are known, lest they be forgotten."""
        if self._accounts is None:
            return
        for device, sample in _samples(snapshot):
            account = advance(self._accounts.get(device, Account()), sample, snapshot.utc)
            self._accounts[device] = account
            totals = account.totals()
            self._counted[device] = (snapshot.utc.timestamp(), totals.in_wh, totals.out_wh)

    def _record_samples(self, db: sqlite3.Connection, snapshot: Snapshot) -> None:
        for device, sample in _samples(snapshot):
            point = (snapshot.utc, sample.power_w, _soc_pct(sample))
            if device in self._counted and sample_worth(self._written.samples.get(device), point):
                utc, into_wh, out_wh = self._counted[device]
                row = (device, utc, *point[1:], into_wh, out_wh)
                db.execute("INSERT OR REPLACE INTO samples VALUES (?, ?, ?, ?, ?, ?)", row)
                self._written.samples[device] = point

    def _record_decisions(self, db: sqlite3.Connection, decisions: Iterable[Decision]) -> None:
        for decision in decisions:
            if decision_worth(self._written.decisions.get(decision.device), decision):
                row = (decision.utc.timestamp(), decision.device, msgspec.json.encode(decision))
                db.execute("INSERT INTO decisions VALUES (?, ?, ?)", row)
                self._written.decisions[decision.device] = decision

    def _record_plan(self, db: sqlite3.Connection, plan: Plan | None) -> None:
        if plan is not None and plan.id != self._written.plan:
            row = (plan.id, plan.made_at.timestamp(), msgspec.json.encode(plan, enc_hook=dict))
            db.execute("INSERT OR REPLACE INTO plans VALUES (?, ?, ?)", row)
            self._written.plan = plan.id

    def _record_requests(self, db: sqlite3.Connection, requests: Iterable[Request], utc: datetime) -> None:
        current = {request.id: request for request in requests}
        for request_id in current.keys() - self._written.requests:
            body = msgspec.json.encode(current[request_id])
            db.execute("INSERT OR IGNORE INTO requests VALUES (?, ?, ?)", (request_id, utc.timestamp(), body))
        self._written.requests = set(current)

    def _record_faults(self, db: sqlite3.Connection, faults: Iterable[ActiveFault], utc: datetime) -> None:
        current = {(f.code, f.device, f.since.timestamp()): f for f in faults}
        for key in current.keys() - self._written.faults:
            db.execute("INSERT OR IGNORE INTO faults VALUES (?, ?, ?, NULL, ?)", (*key, current[key].detail))
        for key in self._written.faults - current.keys():
            ended = (utc.timestamp(), *key)
            db.execute("UPDATE faults SET until = ? WHERE code = ? AND device = ? AND utc = ?", ended)
        self._written.faults = set(current)

    def _record_trips(self, db: sqlite3.Connection, snapshot: Snapshot) -> None:
        watch, changed = self._trips.after(snapshot)
        for trip in changed:
            key = (trip.charger, trip.left_at.timestamp())
            if is_one(trip):
                db.execute("INSERT OR REPLACE INTO trips VALUES (?, ?, ?)", (*key, msgspec.json.encode(trip)))
            else:
                db.execute("DELETE FROM trips WHERE device = ? AND utc = ?", key)
        self._trips = watch
        if changed:
            self._last_trips = _newest_trips(db)

    def _last_event(self, db: sqlite3.Connection, event_id: str) -> bytes | None:
        if event_id not in self._written.events:
            query = "SELECT body FROM grid_events WHERE id = ? ORDER BY utc DESC, rowid DESC LIMIT 1"
            row = db.execute(query, (event_id,)).fetchone()
            return row[0] if row else None
        return self._written.events[event_id]

    # ── reading ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def history(self, device: DeviceId, start: datetime, end: datetime, limit: int) -> list[HistoryPoint]:
        """Return the newest ``limit`` samples in [start, end), oldest first."""
        rows = self._query(
            "SELECT utc, power_w, soc_pct, in_wh, out_wh FROM samples"
            " WHERE device = ? AND utc >= ? AND utc < ? ORDER BY utc DESC LIMIT ?",
            (device, start.timestamp(), end.timestamp(), limit),
        )
        return [HistoryPoint(datetime.fromtimestamp(utc, UTC), *rest) for utc, *rest in reversed(rows)]

    def decisions(self, device: DeviceId | None, limit: int) -> list[Decision]:
        """Return the newest ``limit`` decisions of one device, or of all, newest first."""
        query = "SELECT body FROM decisions WHERE ?1 IS NULL OR device = ?1 ORDER BY utc DESC, rowid DESC LIMIT ?2"
        rows = self._query(query, (device, limit))
        return [msgspec.json.decode(body, type=Decision) for (body,) in rows]

    def trips(self, charger: DeviceId | None, limit: int) -> list[Trip]:
        """Return the newest ``limit`` trips of the car of one charger, or of all, newest first."""
        query = "SELECT body FROM trips WHERE ?1 IS NULL OR device = ?1 ORDER BY utc DESC LIMIT ?2"
        return [msgspec.json.decode(body, type=Trip) for (body,) in self._query(query, (charger, limit))]

    def means(self, start: datetime, end: datetime) -> list[QuarterMean]:
        """Return the house's and the sun's means of the quarters that begin in [start, end), oldest first."""
        rows = self._query(
            "SELECT utc, load_w, pv_w FROM means WHERE utc >= ? AND utc < ? ORDER BY utc",
            (start.timestamp(), end.timestamp()),
        )
        return [QuarterMean(datetime.fromtimestamp(utc, UTC), *rest) for utc, *rest in rows]

    def mean_now(self, least_s: float) -> QuarterMean | None:
        """Return the mean of the quarter under way, None while less than ``least_s`` of it was watched."""
        return self._running.mean(least_s)

    def last_trips(self) -> Mapping[DeviceId, Trip]:
        """Return the newest trip of each car, under way or ended."""
        return self._last_trips

    def usage_wh(self, device: DeviceId, start: datetime, end: datetime) -> EnergyTotals | None:
        """Return the energy in [start, end), between rows by straight lines; None where the journal does not reach."""
        first, last = self._reading(device, start.timestamp()), self._reading(device, end.timestamp())
        if first is None or last is None:
            return None
        return EnergyTotals(max(0.0, last[0] - first[0]), max(0.0, last[1] - first[1]))

    def used_since(self, device: DeviceId, start: datetime) -> EnergyTotals:
        """Return the energy since ``start`` to the newest count, as far back as the journal reaches."""
        query = "SELECT in_wh, out_wh FROM samples WHERE device = ? AND utc >= ? ORDER BY utc {} LIMIT 1"
        oldest, newest = (
            self._query(query.format(way), (device, start.timestamp())) for way in ("ASC", "DESC")
        )
        first = self._reading(device, start.timestamp()) or next(iter(oldest), None)
        last = self._counted[device][1:] if device in self._counted else next(iter(newest), None)
        if first is None or last is None:
            return EnergyTotals()
        return EnergyTotals(max(0.0, last[0] - first[0]), max(0.0, last[1] - first[1]))

    def _reading(self, device: DeviceId, utc: float) -> tuple[float, float] | None:
        """Return the totals at ``utc``: between its two neighbours, of which the later may be the newest count."""
        query = "SELECT utc, in_wh, out_wh FROM samples WHERE device = ? AND utc {} ? ORDER BY utc {} LIMIT 1"
        before = self._query(query.format("<=", "DESC"), (device, utc))
        after = self._query(query.format(">=", "ASC"), (device, utc))
        newest = self._counted.get(device)
        if not after and newest is not None and utc - newest[0] <= NEWEST_S:
            after = [newest]
        if not before or not after:
            return None
        (t0, in0, out0), (t1, in1, out1) = before[0], after[0]
        share = min(1.0, (utc - t0) / (t1 - t0)) if t1 > t0 else 0.0
        return in0 + share * (in1 - in0), out0 + share * (out1 - out0)

    def _query(self, sql: str, arguments: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._disk():
            if self._db is not None:
                return self._db.execute(sql, arguments).fetchall()
        return []

    # ── the disk ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def _open(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=0.2)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = NORMAL")
            db.executescript(SCHEMA)
            still_open = db.execute("SELECT code, device, utc FROM faults WHERE until IS NULL").fetchall()
            if self._accounts is None:
                stored = db.execute("SELECT device, body FROM energy").fetchall()
                self._accounts = {device: _account(body) for device, body in stored}
                self._show()
                self._last_trips = _newest_trips(db)
                self._trips = TripWatch.resumed(
                    t for t in self._last_trips.values() if t.returned_soc_pct is None
                )
        except BaseException:
            db.close()
            raise
        self._db = db
        self._written = _Written(faults=set(still_open))
        return db

    def _commit(self, db: sqlite3.Connection, at: float, utc: datetime) -> None:
        durable = _due(self._checkpointed_at, at, CHECKPOINT_S)
        if durable:
            self._store_energy(db)
            self._purge(db, utc)
        db.commit()
        self._committed_at = at
        if durable:
            db.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self._checkpointed_at = at
            self._show()
        if self._failed:
            self._failed = False
            LOGGER.info("The journal is written again")
            self._faults.clear(FaultCode.JOURNAL_UNWRITABLE)

    def _store_energy(self, db: sqlite3.Connection) -> None:
        rows = [(i, msgspec.json.encode((a.into, a.out))) for i, a in (self._accounts or {}).items()]
        db.executemany("INSERT OR REPLACE INTO energy VALUES (?, ?)", rows)

    def _purge(self, db: sqlite3.Connection, utc: datetime) -> None:
        """Delete what is too old, a few rows at a time."""
        for table, days in asdict(self._retention).items():
            old = f"SELECT rowid FROM {table} WHERE utc < ? LIMIT {PURGE_ROWS}"  # noqa: S608 - the names are ours
            oldest = (utc - timedelta(days=days)).timestamp()
            db.execute(f"DELETE FROM {table} WHERE rowid IN ({old})", (oldest,))  # noqa: S608 - as above

    def _show(self) -> None:
        self._shown = {device: account.totals() for device, account in (self._accounts or {}).items()}

    @contextmanager
    def _disk(self) -> Iterator[None]:
        """Turn what the disk does into one fault, and let go of the file."""
        try:
            yield
        except (sqlite3.Error, OSError, msgspec.MsgspecError) as error:
            if self._db is not None:
                with suppress(sqlite3.Error):
                    self._db.close()
            self._db = None
            if not self._failed:
                self._failed = True
                LOGGER.warning("The journal cannot be written: %s", error)
                self._faults.fault(FaultCode.JOURNAL_UNWRITABLE, str(error))


def _due(last: float, at: float, period_s: float) -> bool:
    return not 0.0 <= at - last < period_s


def _samples(snapshot: Snapshot) -> Iterator[tuple[DeviceId, Sample]]:
    for slots in (snapshot.meters, snapshot.storages, snapshot.evses):
        for device, sample in slots.items():
            if sample is not None:
                yield device, sample


def _soc_pct(sample: Sample) -> float | None:
    match sample:
        case MeterSample():
            return None
        case StorageSample():
            return sample.soc_pct
        case EvseSample():
            return sample.vehicle.soc_pct if sample.vehicle else None


def _account(body: bytes) -> Account:
    into, out = msgspec.json.decode(body, type=tuple[Register, Register])
    return Account(into, out)


def _newest_trips(db: sqlite3.Connection) -> dict[DeviceId, Trip]:
    newest = db.execute("SELECT body, max(utc) FROM trips GROUP BY device").fetchall()
    trips = (msgspec.json.decode(body, type=Trip) for body, _ in newest)
    return {trip.charger: trip for trip in trips}
