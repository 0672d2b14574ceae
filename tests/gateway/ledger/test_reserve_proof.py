"""The proof of sold reserve: stored once, kept over what the disk does, and told to the grid operator."""

import csv
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.faults import FaultCode, Refused
from gateway.ledger.reserve_export import COLUMNS, export
from gateway.ledger.reserve_proof import FILE, ReserveProof
from gateway.model import ReservePhase, ReserveProduct, ReserveSecond

START = datetime(2026, 11, 25, 8, 0, tzinfo=UTC)
LATER = START + timedelta(days=1)
FIRST = ReserveSecond(
    utc=START,
    window_id="lot-7",
    product=ReserveProduct.FCR,
    phase=ReservePhase.ARMED,
    sold_w=5000.0,
    frequency_hz=49.9876,
    baseline_w=120.0,
    response_w=-310.0,
    asked_w=-190.0,
    delivered_w=-188.5,
    soc_pct=54.25,
    available=True,
    devices=("battery", "garage"),
)


class Board:
    def __init__(self):
        self.raised = set()

    def fault(self, code, detail):
        self.raised.add(code)

    def clear(self, code):
        self.raised.discard(code)


def seconds(count, after=0):
    return tuple(replace(FIRST, utc=START + timedelta(seconds=after + n)) for n in range(count))


def test_what_comes_twice_is_stored_once_and_what_is_stored_is_told(tmp_path):
    proof = ReserveProof(tmp_path / FILE, Board())
    assert proof.take(seconds(10), at=100.0) == START + timedelta(seconds=9)
    assert proof.take(seconds(12), at=101.0) is None  # in batches
    assert proof.take(seconds(15), at=106.0) == START + timedelta(seconds=14)
    proof.close()
    [window] = export(tmp_path, START, LATER, tmp_path / "lot.csv", "csv")
    assert (window.witnessed, window.available_pct) == (15, 100.0)


def test_a_disk_that_refuses_is_told_of_and_nothing_counts_as_stored(tmp_path):
    board = Board()
    folder = tmp_path / "away"
    proof = ReserveProof(folder / FILE, board)
    assert proof.take(seconds(5), at=0.0) is None
    assert board.raised == {FaultCode.RESERVE_PROOF_UNWRITABLE}
    folder.mkdir()
    assert proof.take(seconds(9), at=10.0) == START + timedelta(seconds=8)
    assert not board.raised
    proof.close()


def test_a_second_that_nobody_witnessed_was_not_available(tmp_path):
    proof = ReserveProof(tmp_path / FILE, Board())
    proof.take(seconds(50) + seconds(40, after=60), at=0.0)
    proof.close()
    [window] = export(tmp_path, START, LATER, tmp_path / "lot.csv", "csv")
    assert window.available_pct == pytest.approx(90.0)


def test_csv_and_parquet_say_the_same(tmp_path):
    parquet = pytest.importorskip("pyarrow.parquet")
    withdrawn = replace(
        FIRST,
        utc=START + timedelta(seconds=1),
        phase=ReservePhase.WITHDRAWN,
        delivered_w=None,
        soc_pct=None,
        available=False,
        devices=(),
        refusals=("islanded", "reservoir"),
    )
    proof = ReserveProof(tmp_path / FILE, Board())
    proof.take((FIRST, withdrawn), at=0.0)
    proof.close()
    export(tmp_path, START, LATER, tmp_path / "lot.csv", "csv")
    export(tmp_path, START, LATER, tmp_path / "lot.parquet", "parquet")
    with (tmp_path / "lot.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "lot.parquet").to_pylist()
    assert tuple(rows[0]) == COLUMNS
    assert rows[0]["utc"] == "2026-11-25T08:00:00+00:00"
    assert [r["frequency_hz"] for r in rows] == ["49.9876", "49.9876"]
    assert (rows[1]["delivered_w"], rows[1]["available"], rows[1]["refusals"]) == (
        "",
        "0",
        "islanded reservoir",
    )
    assert table[0]["utc"] == START
    assert table[0]["devices"] == "battery garage"
    assert (table[1]["delivered_w"], table[1]["available"]) == (None, False)


def test_only_the_asked_time_is_written(tmp_path):
    proof = ReserveProof(tmp_path / FILE, Board())
    proof.take(seconds(30), at=0.0)
    proof.close()
    [window] = export(
        tmp_path, START + timedelta(seconds=10), START + timedelta(seconds=20), tmp_path / "x.csv", "csv"
    )
    assert (window.witnessed, window.first) == (10, START + timedelta(seconds=10))


def test_a_site_that_never_sold_a_reserve_says_so(tmp_path):
    with pytest.raises(Refused, match="no reserve was sold"):
        export(tmp_path, START, LATER, tmp_path / "x.csv", "csv")
