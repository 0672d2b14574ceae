"""What commissioning keeps: readable again, one proof of a kind, and nothing believed that cannot be read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.faults import Malformed
from gateway.model import VehicleSample
from gateway.supply.findings import Check, Verdict
from gateway.supply.record import FILE, Proof, Record, encode, load

PROOF = Proof(
    "garage",
    Check.FAIL_SAFE_PROOF,
    Verdict.PASS,
    "fail_safe_holds",
    datetime(2026, 11, 25, tzinfo=UTC),
    "evse.chademo serial=1",
    {"silence_s": 2.4, "how": "silence", "close_s": 2.3, "allowed_s": 3.0},
)


def test_what_is_kept_is_read_again(tmp_path):
    record = Record(site="NE-1", proofs=(PROOF,), cars={"garage": VehicleSample(50.0, protocol=2)})
    (tmp_path / FILE).write_bytes(encode(record))
    assert load(tmp_path) == record


def test_a_newer_proof_takes_the_place_of_an_older_one_of_its_kind():
    later = replace(PROOF, verdict=Verdict.FAIL)
    other = replace(PROOF, check=Check.WIRING_PROOF)
    record = Record().proven(PROOF).proven(other).proven(later)
    assert record.proof("garage", Check.FAIL_SAFE_PROOF) == later
    assert record.proof("garage", Check.WIRING_PROOF) == other
    assert record.proof("battery", Check.WIRING_PROOF) is None


def test_what_could_not_be_tried_takes_nothing_away_from_what_still_counts():
    untried = replace(PROOF, verdict=Verdict.UNKNOWN, text_key="no_room", figures={"why": "no car"})
    for before in (PROOF, replace(PROOF, verdict=Verdict.FAIL)):
        assert Record().proven(before).proven(untried).proofs == (before,)
    assert Record().proven(untried).proofs == (untried,)
    other = replace(untried, identity="evse.chademo serial=2")
    assert Record().proven(PROOF).proven(other).proofs == (other,)


@pytest.mark.parametrize(
    "unsayable",
    [
        replace(PROOF, text_key="no_such_sentence"),
        replace(PROOF, remedy_key="no_such_remedy"),
        replace(PROOF, figures={}),
        replace(PROOF, figures={"silence_s": "soon", "close_s": 1.0, "allowed_s": 3.0}),
    ],
)
def test_a_proof_that_cannot_be_said_is_malformed(tmp_path, unsayable):
    (tmp_path / FILE).write_bytes(encode(Record(proofs=(unsayable,))))
    with pytest.raises(Malformed, match=FILE):
        load(tmp_path)


def test_where_nothing_was_kept_nothing_is_proven(tmp_path):
    assert load(tmp_path) == Record()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"version": 2}', b'{"proofs": [{}]}', b"\xff"])
def test_what_cannot_be_read_is_malformed(tmp_path, content):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(Malformed, match=FILE):
        load(tmp_path)
