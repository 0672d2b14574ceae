import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from gateway.demand_response import store as store_module
from gateway.demand_response.store import Full, Kind, Store, Unstorable
from tests.gateway.demand_response.conftest import NOON


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    store = Store(tmp_path)
    yield store
    store.close()


def test_only_a_hash_of_the_secret_is_kept(store: Store, tmp_path: Path) -> None:
    client_id, secret = store.add_utility("DSO", NOON)
    assert store.authentic(client_id, secret)
    assert not store.authentic(client_id, secret[:-1])
    assert not store.authentic("", "")
    assert secret.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / "demand_response.sqlite").stat().st_mode & 0o077 == 0


def test_a_removed_utility_is_locked_out_and_its_calls_are_withdrawn(store: Store) -> None:
    client_id, secret = store.add_utility("DSO", NOON)
    made = store.create(Kind.EVENT, client_id, "p", {}, NOON)
    assert store.remove_utility(client_id, NOON + timedelta(seconds=1))
    assert not store.remove_utility(client_id, NOON)
    assert not store.authentic(client_id, secret)
    assert store.find(Kind.EVENT, client_id, made.id) is None
    (withdrawn,) = store.all_of(Kind.EVENT, NOON)
    assert withdrawn.deleted_at == NOON + timedelta(seconds=1)


def test_the_same_content_again_is_no_modification(store: Store) -> None:
    made = store.create(Kind.EVENT, "u", "p", {"a": 1}, NOON)
    later = NOON + timedelta(minutes=1)
    assert store.replace(made, "p", {"a": 1}, later).modified_at == NOON
    assert store.replace(made, "p", {"a": 2}, later).modified_at == later
    found = store.find(Kind.EVENT, "u", made.id)
    assert found is not None
    assert (found.body, found.created_at) == ({"a": 2}, NOON)


def test_a_utility_may_not_fill_the_disk(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MOST_OBJECTS", 2)
    monkeypatch.setattr(store_module, "MOST_CHARACTERS", 60)
    first = store.create(Kind.EVENT, "u", "p", {"a": "x" * 20}, NOON)
    with pytest.raises(Full):
        store.create(Kind.EVENT, "u", "p", {"a": "x" * 40}, NOON)
    with pytest.raises(Full):
        store.replace(first, "p", {"a": "x" * 60}, NOON)
    store.create(Kind.EVENT, "u", "p", {}, NOON)
    with pytest.raises(Full):
        store.create(Kind.EVENT, "u", "p", {}, NOON)
    store.create(Kind.EVENT, "another", "p", {}, NOON)


def test_who_did_what_is_kept(store: Store, tmp_path: Path) -> None:
    client_id, _ = store.add_utility("DSO", NOON)
    made = store.create(Kind.EVENT, client_id, "p", {}, NOON)
    store.delete(made, NOON)
    store.set_opt_out(made.id, out=True, utc=NOON)
    with closing(sqlite3.connect(tmp_path / "demand_response.sqlite")) as db:
        rows = db.execute("SELECT who, action FROM audit").fetchall()
    assert rows == [
        ("owner", "add utility"),
        (client_id, "create EVENT"),
        (client_id, "delete EVENT"),
        ("owner", "opt out"),
    ]


def test_a_broken_file_is_said_to_be_ours(tmp_path: Path) -> None:
    (tmp_path / "demand_response.sqlite").write_bytes(b"no database" * 1000)
    with pytest.raises(Unstorable):
        Store(tmp_path)


def test_what_was_stored_survives_sigkill(tmp_path: Path) -> None:
    program = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from gateway.demand_response.store import Kind, Store
store = Store(Path(sys.argv[1]))
made = store.create(Kind.EVENT, "u", "p", {"a": 1}, datetime(2026, 11, 24, 12, tzinfo=UTC))
print(made.id, flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        assert process.stdout
        made = process.stdout.readline().strip()
        os.kill(process.pid, signal.SIGKILL)
    store = Store(tmp_path)
    found = store.find(Kind.EVENT, "u", made)
    store.close()
    assert found is not None
    assert found.body == {"a": 1}
