from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import TestClient, TestServer

from gateway.demand_response.arbiter import Call, Reading, read
from gateway.demand_response.openadr3.objects import parse_event
from gateway.demand_response.room import DemandResponse
from gateway.demand_response.vtn import BASE_PATH, Vtn

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def event(
    kind: str = "IMPORT_CAPACITY_LIMIT",
    *values: Any,
    start: str = "2026-11-24T12:00:00Z",
    duration: str = "PT1H",
    **more: Any,
) -> dict[str, Any]:
    """An event whose intervals hold ``values`` one after the other."""
    return {
        "programID": "p",
        "intervalPeriod": {"start": start, "duration": duration},
        "intervals": [
            {"id": n, "payloads": [{"type": kind, "values": [value]}]} for n, value in enumerate(values)
        ],
        **more,
    }


def reading(
    raw: object,
    call_id: str = "e",
    *,
    created: datetime = NOON - timedelta(hours=1),
    modified: datetime | None = None,
    withdrawn: datetime | None = None,
) -> Reading:
    return read(
        Call(
            call_id,
            "u",
            "DSO",
            "Program",
            parse_event(raw),
            created,
            modified or created,
            withdrawn_at=withdrawn,
        )
    )


@dataclass
class House:
    """The room on a clock that the test moves, and the clients of its endpoint."""

    room: DemandResponse
    clock: list[datetime]
    changes: list[datetime] = field(default_factory=list)
    usage_wh: float | None = 500.0

    def pass_time(self, **length: float) -> None:
        self.clock[0] += timedelta(**length)
        self.room.watch()


@pytest.fixture
def open_house(tmp_path: Path) -> Iterator[Callable[[], House]]:
    opened: list[House] = []

    def make(clock: list[datetime] | None = None) -> House:
        clock = [NOON] if clock is None else clock
        room = DemandResponse(
            tmp_path,
            None,
            "127.0.0.1",
            0,
            usage_wh=lambda start, end: made.usage_wh,
            changed=lambda: made.changes.append(clock[0]),
            utc=lambda: clock[0],
        )
        made = House(room, clock)
        opened.append(made)
        return made

    yield make
    for each in opened:
        each.room.close()


@pytest.fixture
def house(open_house: Callable[[], House]) -> House:
    return open_house()


@dataclass
class Caller:
    """A utility's session; each call gives status and body."""

    client: TestClient[Any, Any]
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, **more: Any) -> tuple[int, Any]:
        headers = {**self.headers, **more.pop("headers", {})}
        async with self.client.request(method, BASE_PATH + path, headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None)

    async def log_in(self, client_id: str, secret: str, scope: str = "") -> None:
        form = {
            "grant_type": "client_credentials",
            "client_id": client_id,
            "client_secret": secret,
            "scope": scope,
        }
        status, body = await self.ask("POST", "/auth/token", data=form)
        assert status == 200, body
        self.headers["Authorization"] = f"Bearer {body['access_token']}"

    async def create(self, path: str, body: object) -> str:
        status, answer = await self.ask("POST", path, json=body)
        assert status == 201, answer
        return str(answer["id"])


type Callers = Callable[..., Any]


@pytest.fixture
async def utility(house: House) -> AsyncIterator[Callers]:
    """Make utilities that are logged in at ``house``."""
    vtn = Vtn(house.room._store, house.room._stored, lambda: house.clock[0])
    async with TestClient(TestServer(vtn.application()), timeout=aiohttp.ClientTimeout(total=10)) as client:

        async def logged_in(name: str = "DSO", scope: str = "") -> Caller:
            caller = Caller(client)
            await caller.log_in(*house.room.add_utility(name), scope)
            return caller

        yield logged_in
