"""Who is let in, and what lies on the disk."""

import os
import stat
from datetime import UTC, datetime, timedelta

import pytest

from gateway.api.access import PAIRING_FILE, Pairing, Tokens, open_pairing, write_private
from gateway.api.problems import ProblemError
from gateway.api.routes import ALLOWED, Permission
from gateway.api.schema import Role
from gateway.faults import ConfigError


def now():
    return datetime.now(UTC)


@pytest.fixture
def tokens(tmp_path):
    return Tokens(tmp_path / "tokens.json")


@pytest.fixture
def pairing(tmp_path, tokens):
    return Pairing(tmp_path, tokens)


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def refusal(pairing, code, utc=None):
    with pytest.raises(ProblemError) as error:
        pairing.redeem(code, utc or now())
    return error.value.code


def wrong(code):
    return f"{(int(code) + 1) % 10**6:06d}"


def test_the_shown_code_opens_once(tmp_path, pairing):
    code = open_pairing(tmp_path)
    assert pairing.is_open(now())
    pairing.redeem(code, now())
    assert not pairing.is_open(now())
    assert refusal(pairing, code) == "pairing_closed"


def test_while_nobody_is_paired_the_code_does_not_expire_and_later_it_does(tmp_path, tokens, pairing):
    code = open_pairing(tmp_path)
    assert pairing.is_open(now() + timedelta(days=365))
    tokens.add("Home Assistant", Role.OWNER, now())
    assert pairing.is_open(now() + timedelta(minutes=9))
    assert refusal(pairing, code, now() + timedelta(minutes=11)) == "pairing_closed"
    assert refusal(pairing, code, now() - timedelta(minutes=11)) == "pairing_closed"


def test_five_wrong_codes_lock_until_a_new_code_is_shown(tmp_path, pairing):
    code = open_pairing(tmp_path)
    assert [refusal(pairing, wrong(code)) for _ in range(5)] == ["wrong_code"] * 5
    assert refusal(pairing, code) == "too_many_attempts"
    assert not pairing.is_open(now())
    fresh = open_pairing(tmp_path)
    assert refusal(pairing, wrong(fresh)) == "wrong_code"
    pairing.redeem(fresh, now())


def test_an_empty_or_missing_code_file_opens_nothing(tmp_path, pairing):
    assert refusal(pairing, "") == "pairing_closed"
    (tmp_path / PAIRING_FILE).write_text("\n")
    assert refusal(pairing, "") == "pairing_closed"


def test_secrets_lie_in_files_that_only_the_owner_reads(tmp_path, tokens):
    os.umask(0o000)
    try:
        open_pairing(tmp_path)
        _, secret = tokens.add("Home Assistant", Role.OWNER, now())
    finally:
        os.umask(0o022)
    assert mode(tmp_path / PAIRING_FILE) == 0o600
    assert mode(tmp_path / "tokens.json") == 0o600
    assert secret not in (tmp_path / "tokens.json").read_text()


def test_a_token_is_found_by_its_secret_alone_and_after_a_restart(tmp_path, tokens):
    token, secret = tokens.add("Home Assistant", Role.VIEWER, now())
    assert len(secret) >= 43  # 256 bits in base 64
    assert tokens.find(secret) == token
    assert tokens.find(secret[:-1]) is None
    assert tokens.find("") is None
    assert tokens.find("\udcff") is None
    assert Tokens(tmp_path / "tokens.json").find(secret) == token


def test_a_removed_token_is_forgotten_for_good(tmp_path, tokens):
    token, secret = tokens.add("Tablet", Role.VIEWER, now())
    assert tokens.remove(token.id)
    assert not tokens.remove(token.id)
    assert Tokens(tmp_path / "tokens.json").find(secret) is None


def test_a_damaged_token_file_lets_nobody_in_and_says_what_to_do(tmp_path):
    (tmp_path / "tokens.json").write_text("{")
    with pytest.raises(ConfigError, match="delete it and pair again"):
        Tokens(tmp_path / "tokens.json")


def test_a_left_over_draft_does_not_stand_in_the_way(tmp_path):
    (tmp_path / "file.new").write_text("half")
    write_private(tmp_path / "file", b"whole")
    assert (tmp_path / "file").read_bytes() == b"whole"
    assert not (tmp_path / "file.new").exists()


def test_a_folder_that_cannot_be_written_is_said_in_one_line(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        write_private(tmp_path / "missing" / "file", b"")


def test_the_owner_may_all_and_the_viewer_only_reads():
    assert ALLOWED[Role.OWNER] == set(Permission)
    assert ALLOWED[Role.VIEWER] == {Permission.PUBLIC, Permission.READ}
    assert ALLOWED[Role.VIEWER] < ALLOWED[Role.INSTALLER] < ALLOWED[Role.OWNER]
    assert ALLOWED[Role.AGGREGATOR] == ALLOWED[Role.VIEWER] | {Permission.MARKET}
    assert Permission.MARKET not in ALLOWED[Role.INSTALLER]
