"""The journal survives what a house does to it."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from gateway.faults import FaultCode
from gateway.ledger.journal import Journal, Retention
from gateway.model import (
    ActiveFault,
    Decision,
    EnergyTotals,
    EventStatus,
    GridEvent,
    Interval,
    MeterSample,
    Plan,
    PlanSlot,
    Reason,
    Request,
    RequestMode,
    Rung,
    Snapshot,
    StorageSample,
    StorageState,
    WindowKind,
    Wishes,
)

START = datetime(2026, 11, 1, tzinfo=UTC)


class Faults:
    def __init__(self):
        self.said = []

    def fault(self, code, detail):
        self.said.append(("fault", code))

    def clear(self, code):
        self.said.append(("clear", code))


def after(seconds):
    return START + timedelta(seconds=seconds)


def snapshot(at, power_w=3600.0, import_wh=None, **parts):
    meter = MeterSample(at, power_w, (power_w, 0, 0), (230, 230, 230), (0, 0, 0), import_wh=import_wh)
    battery = StorageSample(at, -power_w, 50.0, StorageState.RUNNING, 5000, 5000)
    empty = Snapshot(at, after(at), {}, {"grid": meter}, {"battery": battery}, {"car": None}, Wishes(), {})
    return replace(empty, **parts)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.sqlite"


@pytest.fixture
def journal(path):
    journal = Journal(path, Faults())
    yield journal
    journal.close()


def test_ten_minutes_at_ten_hertz_become_a_few_rows_that_hold_the_energy(journal):
    for i in range(6001):
        journal.record(snapshot(i / 10))
    assert len(journal.history("grid", START, after(601), 10_000)) == 11
    usage = journal.usage_wh("grid", after(60), after(360))
    assert usage.in_wh == pytest.approx(300.0)
    assert usage.out_wh == 0.0
    assert journal.usage_wh("battery", after(65), after(95)).out_wh == pytest.approx(30.0)


def test_usage_reaches_to_the_newest_count_and_not_beyond(journal):
    for i in range(46):
        journal.record(snapshot(float(i)))
    assert journal.usage_wh("grid", after(0), after(45)).in_wh == pytest.approx(45.0)
    assert journal.usage_wh("grid", after(0), after(200)) is None
    assert journal.usage_wh("grid", after(-60), after(30)) is None
    assert journal.usage_wh("nobody", after(0), after(30)) is None


def test_what_was_used_since_a_moment_is_known_as_far_back_as_the_journal_reaches_and_after_a_restart(path):
    journal = Journal(path, Faults())
    assert journal.used_since("grid", after(0)).in_wh == 0.0
    for i in range(121):
        journal.record(snapshot(float(i)))
    assert journal.used_since("grid", after(60)).in_wh == pytest.approx(60.0)
    assert journal.used_since("grid", after(-86_400)).in_wh == pytest.approx(120.0)
    assert journal.used_since("grid", after(500)).in_wh == 0.0
    journal.close()
    again = Journal(path, Faults())
    assert again.used_since("grid", after(0)).in_wh == pytest.approx(120.0)
    again.close()


def test_history_gives_the_newest_rows_oldest_first(journal):
    for i in range(100):
        journal.record(snapshot(i * 10.0, power_w=100.0 * i))
    points = journal.history("battery", START, after(1000), 3)
    assert [p.power_w for p in points] == [-9700.0, -9800.0, -9900.0]
    assert points[0].soc_pct == 50.0
    assert points[0].utc == after(970)


def test_decisions_are_kept_when_the_reason_changes(journal, path):
    for i in range(100):
        rung = Rung.PLAN if i < 50 else Rung.IDLE
        made = Decision("car", i / 10, after(i / 10), 0, 0, Interval(-6000, 6000), Reason(rung, "why"))
        journal.record(snapshot(i / 10, decisions={"car": made}))
    assert [d.reason.rung for d in journal.decisions("car", 10)] == [Rung.IDLE, Rung.PLAN]
    assert journal.decisions(None, 1)[0].utc == after(5)
    assert journal.decisions("battery", 10) == []


def test_plans_requests_events_and_faults_are_written_once_with_their_end(journal, path):
    slot = PlanSlot(START, after(900), 0.0, {"car": 1000.0}, {"car": "cheap"})
    plan = Plan("p1", START, after(3600), "prices", (slot,))
    request = Request("r1", "car", RequestMode.CHARGE, after(3600))
    fault = ActiveFault("plan_stale", "", START, "no prices")
    event = GridEvent(
        "e1", "p", "u", "peak", (WindowKind.IMPORT_LIMIT,), EventStatus.SCHEDULED, START, after(60)
    )
    for i in range(5):
        wishes = Wishes(plan=plan, requests=(request,))
        journal.record(snapshot(float(i), wishes=wishes, faults=(fault,)))
        journal.record_events([event], after(i))
    journal.record_events([replace(event, status=EventStatus.ACTIVE)], after(9))
    journal.record(snapshot(10.0))
    journal.close()
    with sqlite3.connect(path) as db:
        count = {
            t: db.execute(f"SELECT count(*) FROM {t}").fetchone()[0]
            for t in ("plans", "requests", "grid_events")
        }
        until = db.execute("SELECT until FROM faults").fetchall()
    db.close()
    assert count == {"plans": 1, "requests": 1, "grid_events": 2}
    assert until == [(after(10).timestamp(),)]


def test_a_fault_that_ended_while_we_were_down_gets_its_end(path):
    fault = ActiveFault("plan_stale", "", START)
    first = Journal(path, Faults())
    first.record(snapshot(0.0, faults=(fault,)))
    first.close()
    second = Journal(path, Faults())
    second.record(snapshot(100.0))
    second.close()
    with sqlite3.connect(path) as db:
        assert db.execute("SELECT until FROM faults").fetchall() == [(after(100).timestamp(),)]
    db.close()


def test_each_table_forgets_after_its_days(path):
    journal = Journal(path, Faults(), Retention(samples=1))
    for i in range(20):
        journal.record(snapshot(i * 3600.0 * 4))
    assert len(journal.history("grid", START, after(1e7), 100)) == 7
    journal.close()


def test_totals_go_on_where_they_were_after_a_restart(path):
    first = Journal(path, Faults())
    for i in range(61):
        first.record(snapshot(float(i)))
    first.close()
    second = Journal(path, Faults())
    assert second.totals()["grid"].in_wh == pytest.approx(60.0)
    second.record(snapshot(0.5))  # the machine was restarted: monotonic time begins anew
    second.record(snapshot(1.5))
    second.close()
    third = Journal(path, Faults())
    assert third.totals()["grid"].in_wh == pytest.approx(61.0)
    third.close()


WRITER = """
import sys, itertools
sys.path.insert(0, {root!r})
from tests.gateway.ledger.test_journal import *
journal = Journal(Path({path!r}), Faults())
for i in itertools.count():
    journal.record(snapshot(i / 10))
    if i % 100 == 0:
        print(journal.totals()["grid"].in_wh, flush=True)
"""


def test_kill_9_takes_back_nothing_that_was_shown(path):
    root = str(Path(__file__).parents[3])
    for _ in range(2):
        code = WRITER.format(root=root, path=str(path))
        with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as writer:
            shown = [float(writer.stdout.readline()) for _ in range(30)]
            os.kill(writer.pid, signal.SIGKILL)
        journal = Journal(path, Faults())
        assert journal.totals()["grid"].in_wh >= shown[-1] > 0.0
        assert journal.history("grid", START, after(1e6), 10)
        journal.close()
        with sqlite3.connect(path) as db:
            assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        db.close()


def test_a_full_disk_is_one_fault_and_is_got_over(path):
    faults = Faults()
    journal = Journal(path, faults)
    journal.record(snapshot(0.0))
    journal._db.execute("PRAGMA max_page_count = 1")
    for i in range(1, 9):
        plan = Plan(f"p{i}", START, after(3600), "x" * 10_000, ())
        journal.record(snapshot(float(i), wishes=Wishes(plan=plan)))
    assert faults.said == [("fault", FaultCode.JOURNAL_UNWRITABLE)]
    shown = journal.totals()["grid"]
    for i in range(9, 60):
        journal.record(snapshot(float(i)))
    assert faults.said[1:] == [("clear", FaultCode.JOURNAL_UNWRITABLE)]
    assert journal.totals()["grid"].in_wh > shown.in_wh
    assert journal.history("grid", after(10), after(61), 100)
    journal.close()


def test_a_disk_that_is_missing_at_start_harms_nobody(tmp_path):
    faults = Faults()
    journal = Journal(tmp_path / "not_there" / "journal.sqlite", faults)
    for i in range(50):
        journal.record(snapshot(float(i)))
    assert journal.history("grid", START, after(100), 10) == []
    assert journal.usage_wh("grid", START, after(10)) is None
    assert journal.totals() == {}
    assert faults.said == [("fault", FaultCode.JOURNAL_UNWRITABLE)]
    (tmp_path / "not_there").mkdir()
    for i in range(50, 90):
        journal.record(snapshot(float(i)))
    assert faults.said[1:] == [("clear", FaultCode.JOURNAL_UNWRITABLE)]
    assert journal.history("grid", START, after(100), 10)
    journal.close()


def test_a_file_that_is_no_database_is_a_fault(path):
    path.write_bytes(b"not a database, but long enough to be taken for one" * 100)
    faults = Faults()
    journal = Journal(path, faults)
    journal.record(snapshot(0.0))
    journal.close()
    assert faults.said == [("fault", FaultCode.JOURNAL_UNWRITABLE)]


def test_the_devices_counter_is_what_is_shown(journal):
    journal.record(snapshot(0.0, import_wh=7000.0))
    assert journal.totals()["grid"] == EnergyTotals(7000.0, 0.0)
