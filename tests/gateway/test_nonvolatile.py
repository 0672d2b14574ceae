"""What is kept, when it is written, and what a disk may do to it."""

import errno
import logging
import os
from datetime import UTC, datetime, timedelta

import pytest

from gateway.faults import FaultCode
from gateway.model import (
    LOCK_OUT,
    BackupPhase,
    DemandPeak,
    Dynamics,
    Excursions,
    Remembered,
)
from gateway.nonvolatile import FILE, PERIOD_S, Nonvolatile

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
COUNTED = Remembered(excursions=Excursions((NOON - timedelta(hours=1),), NOON + LOCK_OUT), as_of=NOON)


class Board:
    def __init__(self):
        self.said = []

    def fault(self, code, detail):
        self.said.append((code, detail))

    def clear(self, code):
        self.said.append((code, None))


def opened(folder) -> Nonvolatile:
    return Nonvolatile(folder, lambda: NOON)


def full_disk(monkeypatch, number=errno.ENOSPC):
    def refuse(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)


def test_a_new_site_remembers_nothing_and_is_not_locked_out(tmp_path):
    assert opened(tmp_path / "new").load() == Remembered()


def test_what_was_saved_is_loaded(tmp_path):
    everything = Remembered(
        COUNTED.excursions,
        DemandPeak(NOON.replace(day=1), 7300.0),
        {"battery": Dynamics(0.4, 3300.0, 12.0, 9)},
        BackupPhase.ISLANDED,
        NOON,
    )
    assert opened(tmp_path).save(everything, 0.0) == ""
    assert opened(tmp_path).load() == everything
    assert {p.name for p in tmp_path.iterdir()} == {FILE, "remembered.once"}
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b'{"excursions": 1}',
        b"[]",
        b"\0" * 4096,
        b'{"as_of": "2026-06-01T12:00:00"}',
        b'{"excursions": {"began": ["2026-06-01T12:00:00"]}}',
        b'{"peak": {"month": "2026-06-01T00:00:00"}}',
    ],
)
def test_a_damaged_file_is_set_aside_and_the_export_is_locked_out(tmp_path, damage, caplog):
    opened(tmp_path).save(COUNTED, 0.0)
    (tmp_path / FILE).write_bytes(damage)
    loaded = opened(tmp_path).load()
    assert loaded.excursions.locked_until == NOON + LOCK_OUT
    assert loaded.as_of == NOON
    assert (tmp_path / "remembered.unreadable").read_bytes() == damage
    assert len(caplog.records) == 1


def test_a_file_that_went_missing_locks_the_export_out(tmp_path):
    opened(tmp_path).save(COUNTED, 0.0)
    (tmp_path / FILE).unlink()
    assert opened(tmp_path).load().excursions.locked_until == NOON + LOCK_OUT


def test_a_draft_of_a_power_cut_harms_nobody(tmp_path):
    opened(tmp_path).save(COUNTED, 0.0)
    (tmp_path / "remembered.new").write_bytes(b"half of it")
    kept = opened(tmp_path)
    assert kept.load() == COUNTED
    assert kept.save(COUNTED, 0.0) == ""


def test_an_excursion_is_written_at_once_and_the_rest_every_minute(tmp_path):
    kept = opened(tmp_path)
    remembered = kept.load()
    assert not kept.due(remembered, 0.0), "nothing to keep yet"
    peak = Remembered(peak=DemandPeak(NOON, 5000.0))
    assert kept.due(peak, 1.0)
    kept.save(peak, 1.0)
    higher = Remembered(peak=DemandPeak(NOON, 5100.0))
    assert not kept.due(higher, 2.0)
    assert kept.due(higher, 1.0 + PERIOD_S)
    assert kept.due(Remembered(peak=peak.peak, excursions=COUNTED.excursions), 2.0)
    assert kept.due(Remembered(peak=peak.peak, backup_phase=BackupPhase.ISLANDED), 2.0)
    assert not kept.due(Remembered(peak=peak.peak, as_of=NOON), 1.0 + PERIOD_S), "time alone is no news"


def test_while_excursions_count_their_age_is_written_every_minute(tmp_path):
    kept = opened(tmp_path)
    kept.save(COUNTED, 0.0)
    later = Remembered(excursions=COUNTED.excursions, as_of=NOON + timedelta(seconds=PERIOD_S))
    assert not kept.due(later, PERIOD_S - 1.0)
    assert kept.due(later, PERIOD_S)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_refuses_is_told_once_and_its_return_once(tmp_path, monkeypatch, caplog, number):
    caplog.set_level(logging.INFO)
    kept, board = opened(tmp_path), Board()
    with monkeypatch.context() as broken:
        full_disk(broken, number)
        for minute in range(3):
            now = minute * PERIOD_S
            assert kept.due(COUNTED, now)
            kept.tell(kept.save(COUNTED, now), board)
            assert not kept.due(COUNTED, now + 1.0), "a disk that refuses is left in peace for a minute"
    kept.tell(kept.save(COUNTED, 4 * PERIOD_S), board)
    assert [r.getMessage() for r in caplog.records] == [
        f"remembered.json cannot be written: {os.strerror(number)}",
        "remembered.json is written again",
    ]
    assert board.said[-1] == (FaultCode.NONVOLATILE_UNWRITABLE, None)
    assert opened(tmp_path).load() == COUNTED


def test_a_save_that_fails_leaves_the_old_content(tmp_path, monkeypatch):
    opened(tmp_path).save(COUNTED, 0.0)
    with monkeypatch.context() as broken:
        full_disk(broken)
        assert opened(tmp_path).save(Remembered(), 1.0) == "No space left on device"
    assert opened(tmp_path).load() == COUNTED
