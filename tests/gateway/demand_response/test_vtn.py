import gzip
import json
from collections.abc import Callable
from typing import Any

import aiohttp
import pytest

from gateway.demand_response.access import SCOPES, TokenBucket, make_token, read_token
from gateway.model import EventStatus, WindowKind
from tests.gateway.demand_response.conftest import NOON, Caller, House, event


async def with_program(utility: Callable[..., Any], name: str = "DSO") -> tuple[Caller, str]:
    caller = await utility(name)
    return caller, await caller.create("/programs", {"programName": "limits"})


async def test_a_utility_finds_the_token_server_and_gets_a_token(
    house: House, utility: Callable[..., Any]
) -> None:
    caller = await utility()
    status, answer = await caller.ask("GET", "/auth/server")
    assert status == 200
    assert answer["tokenURL"].endswith("/openadr3/3.1.0/auth/token")
    client_id, secret = house.room.add_utility("by the Basic header")
    status, answer = await caller.ask(
        "POST",
        "/auth/token",
        data={"grant_type": "client_credentials"},
        headers={"Authorization": aiohttp.encode_basic_auth(client_id, secret)},
    )
    assert (status, answer["token_type"], answer["scope"]) == (200, "Bearer", " ".join(SCOPES))


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"client_secret": "wrong"}, 401, "invalid_client"),
        ({"client_id": "nobody"}, 401, "invalid_client"),
        ({"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({"scope": "write_reports"}, 400, "invalid_scope"),
    ],
)
async def test_a_bad_token_request_is_refused_as_oauth_says(
    house: House, utility: Callable[..., Any], change: dict[str, str], status: int, error: str
) -> None:
    caller = await utility()
    client_id, secret = house.room.add_utility("B")
    form = {"grant_type": "client_credentials", "client_id": client_id, "client_secret": secret, **change}
    assert await caller.ask("POST", "/auth/token", data=form) == (status, {"error": error})


async def test_guessing_secrets_is_slowed_down(utility: Callable[..., Any]) -> None:
    caller = await utility()
    form = {"grant_type": "client_credentials", "client_id": "x", "client_secret": "y"}
    answers = [(await caller.ask("POST", "/auth/token", data=form))[0] for _ in range(25)]
    assert answers[0] == 401
    assert answers[-1] == 429


@pytest.mark.parametrize(
    "header",
    [{}, {"Authorization": "Bearer x.y.z"}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer é"}],
)
async def test_without_a_good_token_nothing_is_told(
    utility: Callable[..., Any], header: dict[str, str]
) -> None:
    caller = await utility()
    caller.headers.clear()
    for path in ("/programs", "/events", "/reports", "/vens", "/notifiers", "/events/x"):
        status, answer = await caller.ask("GET", path, headers=header)
        assert (status, answer["status"], answer["title"]) == (401, 401, "Unauthorized")


def test_a_token_of_another_key_or_of_no_algorithm_is_no_token() -> None:
    token = make_token(b"k" * 32, "u", SCOPES)
    assert read_token(b"k" * 32, token) is not None
    assert read_token(b"o" * 32, token) is None
    assert (
        read_token(
            b"k" * 32, "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1IiwiYXVkIjoib3BlbmFkcjMiLCJleHAiOjk5OTk5OTk5OTl9."
        )
        is None
    )


def test_a_token_bucket_refills_with_time_for_each_source_alone() -> None:
    now = [0.0]
    bucket = TokenBucket(burst=2, period_s=10.0, clock=lambda: now[0])
    assert [bucket.admits("a") for _ in range(3)] == [True, True, False]
    assert bucket.admits("b")
    now[0] = 10.0
    assert [bucket.admits("a") for _ in range(2)] == [True, False]


async def test_what_the_scope_does_not_cover_is_forbidden(utility: Callable[..., Any]) -> None:
    reader = await utility("reader", "read_all")
    assert (await reader.ask("GET", "/events"))[0] == 200
    for path in ("/programs", "/events", "/reports", "/vens", "/subscriptions"):
        assert (await reader.ask("POST", path, json={}))[0] == 403


async def test_a_limit_is_stored_answered_shown_and_in_force(
    house: House, utility: Callable[..., Any]
) -> None:
    caller, program = await with_program(utility)
    sent = event("IMPORT_CAPACITY_LIMIT", 3, eventName="peak") | {
        "programID": program,
        "targets": None,
        "unknown": [1],
    }
    status, made = await caller.ask("POST", "/events", json=sent)
    assert status == 201
    assert {key: made[key] for key in sent} == sent
    assert (made["objectType"], made["createdDateTime"]) == ("EVENT", "2026-11-24T12:00:00.000Z")
    assert (await caller.ask("GET", f"/events/{made['id']}"))[1] == made
    (window,) = house.room.windows(NOON)
    assert (window.kind, window.value, window.event_id, window.source) == (
        WindowKind.IMPORT_LIMIT,
        3000.0,
        made["id"],
        "DSO",
    )
    (seen,) = house.room.events(NOON)
    assert (seen.status, seen.program, seen.name) == (EventStatus.ACTIVE, "limits", "peak")
    assert house.changes


async def test_a_limit_changes_in_mid_interval_and_ends_when_it_is_withdrawn(
    house: House, utility: Callable[..., Any]
) -> None:
    caller, program = await with_program(utility)
    sent = event("IMPORT_CAPACITY_LIMIT", 3) | {"programID": program}
    made = await caller.create("/events", sent)
    house.pass_time(minutes=10)
    status, changed = await caller.ask(
        "PUT", f"/events/{made}", json=event("IMPORT_CAPACITY_LIMIT", 2) | {"programID": program}
    )
    assert (status, changed["modificationDateTime"]) == (200, "2026-11-24T12:10:00.000Z")
    assert [w.value for w in house.room.windows(house.clock[0])] == [2000.0]
    assert (await caller.ask("DELETE", f"/events/{made}"))[1]["id"] == made
    assert house.room.windows(house.clock[0]) == ()
    assert [e.status for e in house.room.events(house.clock[0])] == [EventStatus.CANCELLED]
    assert (await caller.ask("GET", f"/events/{made}"))[0] == 404


async def test_what_cannot_be_executed_is_stored_and_shown_as_rejected(
    house: House, utility: Callable[..., Any]
) -> None:
    caller, program = await with_program(utility)
    await caller.create("/events", event("IMPORT_CAPACITY_LIMIT", "three") | {"programID": program})
    await caller.create("/events", event("IMPORT_CAPACITY_LIMIT", 4) | {"programID": program})
    assert [w.value for w in house.room.windows(NOON)] == [4000.0]
    rejected, accepted = house.room.events(NOON)
    assert (rejected.status, accepted.status) == (EventStatus.REJECTED, EventStatus.ACTIVE)
    assert rejected.problem == "intervals[0] IMPORT_CAPACITY_LIMIT: not a number"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff",
        b'{"programName": NaN}',
        b'{"programName": ""}',
        b"[" * 100_000,
        b'{"programName": "\\ud800"}',
    ],
)
async def test_what_breaks_the_schema_is_a_bad_request_with_a_reason(
    utility: Callable[..., Any], body: bytes
) -> None:
    caller = await utility()
    status, answer = await caller.ask(
        "POST", "/programs", data=body, headers={"Content-Type": "application/json"}
    )
    assert (status, answer["type"]) == (400, "about:blank")
    assert answer["detail"]
    assert "Traceback" not in json.dumps(answer)


async def test_a_huge_body_is_refused_also_when_it_is_small_on_the_wire(utility: Callable[..., Any]) -> None:
    caller = await utility()
    huge = b'{"programName": "' + b"x" * (2 << 20) + b'"}'
    assert (await caller.ask("POST", "/programs", data=huge))[0] == 413
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    assert (await caller.ask("POST", "/programs", data=gzip.compress(huge), headers=packed))[0] in (400, 413)


async def test_one_utility_neither_sees_nor_touches_anothers(utility: Callable[..., Any]) -> None:
    mine, program = await with_program(utility, "mine")
    made = await mine.create("/events", event("SIMPLE", 1) | {"programID": program})
    theirs = await utility("theirs")
    assert (await theirs.ask("GET", "/events"))[1] == (await theirs.ask("GET", "/programs"))[1] == []
    body = event("SIMPLE", 3) | {"programID": program}
    assert (await theirs.ask("POST", "/events", json=body))[0] == 404
    for path in (f"/events/{made}", f"/programs/{program}"):
        assert (await theirs.ask("GET", path))[0] == 404
        assert (await theirs.ask("DELETE", path))[0] == 404
    assert (await mine.ask("GET", f"/events/{made}"))[0] == 200
    assert await theirs.create("/programs", {"programName": "limits"})


async def test_a_removed_utility_is_locked_out_at_once(house: House, utility: Callable[..., Any]) -> None:
    caller, program = await with_program(utility)
    await caller.create("/events", event("IMPORT_CAPACITY_LIMIT", 3) | {"programID": program})
    house.room.remove_utility(house.room.utilities()[0].client_id)
    assert (await caller.ask("GET", "/events"))[0] == 401
    assert house.room.windows(NOON) == ()


async def test_conflicts_are_told(utility: Callable[..., Any]) -> None:
    caller, program = await with_program(utility)
    assert (await caller.ask("POST", "/programs", json={"programName": "limits"}))[0] == 409
    assert (await caller.ask("PUT", f"/programs/{program}", json={"programName": "limits", "targets": []}))[
        0
    ] == 200
    made = await caller.create("/events", event("SIMPLE", 1) | {"programID": program})
    assert (await caller.ask("DELETE", f"/programs/{program}"))[0] == 409
    await caller.ask("DELETE", f"/events/{made}")
    assert (await caller.ask("DELETE", f"/programs/{program}"))[0] == 200


async def test_lists_are_paged_and_filtered(house: House, utility: Callable[..., Any]) -> None:
    caller, program = await with_program(utility)
    for hour in range(5):
        more = {"programID": program, "targets": ["even" if hour % 2 == 0 else "odd"]}
        await caller.create("/events", event("SIMPLE", 1, start=f"2026-11-24T1{hour}:00:00Z") | more)

    async def starts(**query: Any) -> list[str]:
        _, found = await caller.ask("GET", "/events", params=query)
        return [e["intervalPeriod"]["start"][11:13] for e in found]

    assert await starts() == ["10", "11", "12", "13", "14"]
    assert await starts(skip=1, limit=2) == ["11", "12"]
    assert await starts(active="true") == ["12", "13", "14"]
    assert await starts(active="false", programID=program) == ["10", "11"]
    assert await starts(targets="odd") == ["11", "13"]
    assert await starts(programID="another") == []
    for query in ({"limit": 51}, {"limit": -1}, {"skip": "x"}, {"active": "maybe"}):
        assert (await caller.ask("GET", "/events", params=query))[0] == 400


async def test_unknown_paths_and_methods_are_problems_too(utility: Callable[..., Any]) -> None:
    caller = await utility()
    for method, path, status in (
        ("GET", "/nowhere", 404),
        ("PATCH", "/events", 405),
        ("PUT", "/events/x", 400),
    ):
        found, answer = await caller.ask(method, path)
        assert (found, answer["status"]) == (status, status)


async def test_vens_and_subscriptions_are_empty_and_webhooks_are_not_promised(
    utility: Callable[..., Any],
) -> None:
    caller = await utility()
    assert await caller.ask("GET", "/notifiers") == (200, {"WEBHOOK": False})
    for path in ("/vens", "/resources", "/subscriptions"):
        assert await caller.ask("GET", path) == (200, [])
