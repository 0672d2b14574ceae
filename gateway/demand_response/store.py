"""What utilities told us, on disk before they are answered: SQLite, WAL, every commit synced, so that it survives a power cut.

Each object belongs to the utility that made it and is found by no other. Deleted objects stay as evidence, with the audit of who did what.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256
from hmac import compare_digest
from pathlib import Path
from secrets import token_bytes, token_hex
from uuid import uuid7

from gateway.faults import Ours

MOST_OBJECTS = 1000
MOST_CHARACTERS = 8 << 20
"""How many programs and events one utility may keep, and how much text they may hold together."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS utilities (
    client_id TEXT PRIMARY KEY, name TEXT NOT NULL, secret_sha256 TEXT NOT NULL, created_at TEXT NOT NULL, removed_at TEXT
) STRICT;
CREATE TABLE IF NOT EXISTS objects (
    id TEXT PRIMARY KEY, kind TEXT NOT NULL, client_id TEXT NOT NULL, parent TEXT NOT NULL, body TEXT NOT NULL,
    created_at TEXT NOT NULL, modified_at TEXT NOT NULL, deleted_at TEXT
) STRICT;
CREATE INDEX IF NOT EXISTS objects_live ON objects (kind, client_id, id) WHERE deleted_at IS NULL;
CREATE TABLE IF NOT EXISTS opt_outs (event_id TEXT PRIMARY KEY, at TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS audit (at TEXT NOT NULL, who TEXT NOT NULL, action TEXT NOT NULL, object_id TEXT NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS secrets (name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT;
"""
_OWNER = "owner"


class Unstorable(Ours):
    """The disk did not take it; nothing was changed."""


class Full(Unstorable):
    """The utility has used up what it may keep."""


class Kind(StrEnum):
    PROGRAM = "PROGRAM"
    EVENT = "EVENT"
    REPORT = "REPORT"


@dataclass(frozen=True, slots=True)
class Utility:
    client_id: str
    name: str


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it was sent; ``parent`` is an event's program or a report's event."""

    id: str
    kind: Kind
    client_id: str
    parent: str
    body: Mapping[str, object]
    created_at: datetime
    modified_at: datetime
    deleted_at: datetime | None = None


class Store:
    """The file ``demand_response.sqlite`` in ``state_dir``. Each method is one transaction; raises Unstorable."""

    def __init__(self, state_dir: Path) -> None:
        state_dir.mkdir(parents=True, exist_ok=True)
        path = state_dir / "demand_response.sqlite"
        self._db = sqlite3.connect(path, isolation_level=None, timeout=2.0)
        try:
            path.chmod(0o600)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except sqlite3.Error as error:
            self._db.close()
            raise Unstorable(f"{path}: {error}") from error

    def close(self) -> None:
        """Close the file; nothing is pending."""
        self._db.close()

    def signing_key(self) -> bytes:
        """Return the key that signs tokens, made at first use and kept over restarts."""
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO secrets VALUES ('signing_key', ?)", (token_bytes(32),))
            (key,) = db.execute("SELECT value FROM secrets WHERE name = 'signing_key'").fetchone()
        return bytes(key)

    def add_utility(self, name: str, utc: datetime) -> tuple[str, str]:
        """Return a new utility's client id and secret; only a hash of the secret is kept."""
        client_id, secret = f"utility-{uuid7().hex[-12:]}", token_hex(32)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO utilities VALUES (?, ?, ?, ?, NULL)",
                (client_id, name, _hash(secret), _text(utc)),
            )
            _audit(db, utc, _OWNER, "add utility", client_id)
        return client_id, secret

    def remove_utility(self, client_id: str, utc: datetime) -> bool:
        """Forget a utility and withdraw all that it asked for; False when there is none of this id."""
        with self._transaction() as db:
            at = _text(utc)
            gone = db.execute(
                "UPDATE utilities SET removed_at = ? WHERE client_id = ? AND removed_at IS NULL",
                (at, client_id),
            )
            db.execute(
                "UPDATE objects SET deleted_at = ? WHERE client_id = ? AND deleted_at IS NULL",
                (at, client_id),
            )
            _audit(db, utc, _OWNER, "remove utility", client_id)
        return gone.rowcount == 1

    def utilities(self) -> tuple[Utility, ...]:
        """Return the utilities that may call, in order of creation."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT client_id, name FROM utilities WHERE removed_at IS NULL ORDER BY created_at"
            ).fetchall()
        return tuple(Utility(*row) for row in rows)

    def authentic(self, client_id: str, secret: str) -> bool:
        """Tell whether the secret is this utility's."""
        with self._reading() as db:
            row = db.execute(
                "SELECT secret_sha256 FROM utilities WHERE client_id = ? AND removed_at IS NULL", (client_id,)
            ).fetchone()
        return compare_digest(row[0] if row else "", _hash(secret))

    def create(
        self, kind: Kind, client_id: str, parent: str, body: Mapping[str, object], utc: datetime
    ) -> StoredObject:
        """Store a new object under a new id, in order of time. Raises Full."""
        new = StoredObject(uuid7().hex, kind, client_id, parent, body, utc, utc)
        text = json.dumps(body)
        with self._transaction() as db:
            if kind is not Kind.REPORT:
                _check_room(db, client_id, new.id, len(text))
            values = (new.id, kind, client_id, parent, text, _text(utc), _text(utc))
            db.execute("INSERT INTO objects VALUES (?, ?, ?, ?, ?, ?, ?, NULL)", values)
            _audit(db, utc, client_id, f"create {kind}", new.id)
        return new

    def replace(
        self, old: StoredObject, parent: str, body: Mapping[str, object], utc: datetime
    ) -> StoredObject:
        """Store new content under the old id; the same content again changes nothing, not even the time. Raises Full."""
        if (parent, body) == (old.parent, old.body):
            return old
        text = json.dumps(body)
        with self._transaction() as db:
            if old.kind is not Kind.REPORT:
                _check_room(db, old.client_id, old.id, len(text))
            db.execute(
                "UPDATE objects SET parent = ?, body = ?, modified_at = ? WHERE id = ?",
                (parent, text, _text(utc), old.id),
            )
            _audit(db, utc, old.client_id, f"replace {old.kind}", old.id)
        return StoredObject(old.id, old.kind, old.client_id, parent, body, old.created_at, utc)

    def delete(self, old: StoredObject, utc: datetime) -> None:
        """Take the object out of everybody's sight; it stays as evidence."""
        with self._transaction() as db:
            db.execute("UPDATE objects SET deleted_at = ? WHERE id = ?", (_text(utc), old.id))
            _audit(db, utc, old.client_id, f"delete {old.kind}", old.id)

    def find(self, kind: Kind, client_id: str, object_id: str) -> StoredObject | None:
        """Return a utility's object; None also when it is another utility's."""
        with self._reading() as db:
            row = db.execute(
                "SELECT * FROM objects WHERE id = ? AND kind = ? AND client_id = ? AND deleted_at IS NULL",
                (object_id, kind, client_id),
            ).fetchone()
        return _stored(row) if row else None

    def owned(self, kind: Kind, client_id: str) -> tuple[StoredObject, ...]:
        """Return a utility's objects of one kind in order of creation."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT * FROM objects WHERE kind = ? AND client_id = ? AND deleted_at IS NULL ORDER BY id",
                (kind, client_id),
            ).fetchall()
        return tuple(_stored(row) for row in rows)

    def all_of(self, kind: Kind, since: datetime) -> tuple[StoredObject, ...]:
        """Return all utilities' objects of one kind, also those that were deleted after ``since``."""
        with self._reading() as db:
            rows = db.execute(
                "SELECT * FROM objects WHERE kind = ? AND (deleted_at IS NULL OR deleted_at > ?) ORDER BY id",
                (kind, _text(since)),
            ).fetchall()
        return tuple(_stored(row) for row in rows)

    def set_opt_out(self, event_id: str, out: bool, utc: datetime) -> None:
        """Keep, or lift, the owner's refusal of one call."""
        with self._transaction() as db:
            if out:
                db.execute("INSERT OR IGNORE INTO opt_outs VALUES (?, ?)", (event_id, _text(utc)))
            else:
                db.execute("DELETE FROM opt_outs WHERE event_id = ?", (event_id,))
            _audit(db, utc, _OWNER, "opt out" if out else "opt in", event_id)

    def opt_outs(self) -> frozenset[str]:
        """Return the ids of the calls that the owner refuses."""
        with self._reading() as db:
            return frozenset(event_id for (event_id,) in db.execute("SELECT event_id FROM opt_outs"))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        try:
            yield self._db
        except sqlite3.Error as error:
            raise Unstorable(str(error)) from error

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._reading() as db:
            db.execute("BEGIN IMMEDIATE")
            try:
                yield db
                db.execute("COMMIT")
            finally:
                if db.in_transaction:
                    db.execute("ROLLBACK")


def _check_room(db: sqlite3.Connection, client_id: str, object_id: str, characters: int) -> None:
    objects, kept = db.execute(
        "SELECT count(*), coalesce(sum(length(body)), 0) FROM objects"
        " WHERE client_id = ? AND kind <> 'REPORT' AND id <> ? AND deleted_at IS NULL",
        (client_id, object_id),
    ).fetchone()
    if objects >= MOST_OBJECTS or kept + characters > MOST_CHARACTERS:
        raise Full(
            f"at most {MOST_OBJECTS} objects and {MOST_CHARACTERS} characters are kept; delete old ones"
        )


def _audit(db: sqlite3.Connection, utc: datetime, who: str, action: str, object_id: str) -> None:
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?)", (_text(utc), who, action, object_id))


def _hash(secret: str) -> str:
    """A secret of 256 random bits needs no slow hash."""
    return sha256(secret.encode(errors="replace")).hexdigest()


def _text(utc: datetime) -> str:
    return utc.isoformat(timespec="microseconds")


def _stored(row: tuple[str, str, str, str, str, str, str, str | None]) -> StoredObject:
    object_id, kind, client_id, parent, body, created_at, modified_at, deleted_at = row
    return StoredObject(
        id=object_id,
        kind=Kind(kind),
        client_id=client_id,
        parent=parent,
        body=json.loads(body),
        created_at=datetime.fromisoformat(created_at),
        modified_at=datetime.fromisoformat(modified_at),
        deleted_at=datetime.fromisoformat(deleted_at) if deleted_at else None,
    )
