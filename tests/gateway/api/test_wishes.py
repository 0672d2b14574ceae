"""Whatever comes in is understood exactly or refused with a code."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.problems import ProblemError
from gateway.api.wishes import (
    HistoryQuery,
    NeedBody,
    NewestQuery,
    OwnerPatch,
    PairBody,
    RequestBody,
    ReserveBody,
    TokenBody,
    UtilityBody,
    new_request,
    parse_body,
    parse_query,
    patched,
)
from gateway.model import DeviceSettings, OwnerSettings, RequestMode
from tests.gateway.api.fake_site import INFOS

UTC_NOW = datetime(2026, 11, 1, tzinfo=UTC)
BODIES = [PairBody, TokenBody, UtilityBody, OwnerPatch, RequestBody, ReserveBody, NeedBody]
words = st.sampled_from(
    ["mode", "power_w", "devices", "garage", "code", "name", "role", "boost", "control_on", "owner"]
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | words,
    lambda inner: st.lists(inner) | st.dictionaries(words | st.text(), inner),
)


def problem_of(parse, data, kind):
    try:
        parse(data, kind)
    except ProblemError as error:
        return error.code
    return None


@given(st.sampled_from(BODIES), json_values)
def test_any_json_is_parsed_or_a_problem(kind, value):
    assert problem_of(parse_body, json.dumps(value).encode(), kind) in {
        None,
        "invalid_request",
        "malformed_json",
    }


@given(st.sampled_from(BODIES), st.binary())
def test_any_bytes_are_parsed_or_a_problem(kind, body):
    assert problem_of(parse_body, body, kind) in {None, "invalid_request", "malformed_json"}


@pytest.mark.parametrize(
    "body", [b"[" * 65_000, b'{"devices":' * 20_000, b'{"\xff":1}', b'{"power_w":1e999}', b""]
)
def test_hostile_bodies_are_problems(body):
    for kind in BODIES:
        with pytest.raises(ProblemError):
            parse_body(body, kind)


@given(
    st.sampled_from([HistoryQuery, NewestQuery]),
    st.dictionaries(st.text() | st.sampled_from(["device", "limit", "from", "to"]), st.text()),
)
def test_any_query_is_parsed_or_a_problem(kind, query):
    assert problem_of(parse_query, query, kind) in {None, "invalid_request"}


@given(
    st.sampled_from([RequestMode.CHARGE, RequestMode.DISCHARGE, RequestMode.BOOST]),
    st.none() | st.floats(1, 1e6),
    st.none() | st.floats(0, 100),
    st.floats(1, 7 * 86400),
)
def test_a_valid_request_becomes_the_lease_it_asks_for(mode, power_w, until_soc_pct, duration_s):
    body = {"mode": mode, "power_w": power_w, "until_soc_pct": until_soc_pct, "duration_s": duration_s}
    lease = new_request("r1", "garage", parse_body(json.dumps(body).encode(), RequestBody), UTC_NOW)
    assert (lease.mode, lease.power_w, lease.until_soc_pct) == (mode, power_w, until_soc_pct)
    assert lease.expires_at == UTC_NOW + timedelta(seconds=duration_s)


def test_a_patch_changes_what_it_names_and_keeps_the_rest():
    owner = OwnerSettings(grid_events_allowed=False, devices={"garage": DeviceSettings(floor_soc_pct=40.0)})
    patch = parse_body(b'{"control_on":true,"devices":{"garage":{"target_soc_pct":95}}}', OwnerPatch)
    assert patched(owner, patch, INFOS, UTC_NOW) == OwnerSettings(
        control_on=True,
        grid_events_allowed=False,
        devices={"garage": DeviceSettings(floor_soc_pct=40.0, target_soc_pct=95.0)},
    )


def test_an_empty_patch_changes_nothing():
    owner = OwnerSettings(control_on=True)
    assert patched(owner, OwnerPatch(), INFOS, UTC_NOW) == owner


def test_null_is_no_value_where_null_has_no_meaning():
    with pytest.raises(ProblemError):
        parse_body(b'{"control_on":null}', OwnerPatch)
