import asyncio
import json
import socket
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gateway.demand_response.openadr3.objects import Report, parse_report
from gateway.demand_response.room import DemandResponse
from gateway.demand_response.store import Kind
from gateway.faults import ConfigError, Misuse
from gateway.model import EventStatus, WindowKind
from gateway.simulator import utility as simulated
from tests.gateway.demand_response.conftest import NOON, House, event


def call(house: House, raw: dict[str, Any]) -> str:
    """Store a call as the endpoint does."""
    made = house.room._store.create(Kind.EVENT, "u", "p", raw, house.clock[0])
    house.room._stored()
    return made.id


def told(house: House, event_id: str, name: str) -> list[tuple[str, object]]:
    """The payloads of one report, in order."""
    found = [
        r
        for r in house.room._store.owned(Kind.REPORT, "u")
        if (r.parent, r.body["reportName"]) == (event_id, name)
    ]
    if not found:
        return []
    (stored,) = found
    report = parse_report(stored.body)
    assert isinstance(report, Report)
    return [(i.payloads[0].type, i.payloads[0].values[0]) for i in report.resources["AGGREGATED_REPORT"]]


def asking(*values: float, **more: Any) -> dict[str, Any]:
    return event("IMPORT_CAPACITY_LIMIT", *values, reportDescriptors=[{"payloadType": "USAGE"}], **more)


def test_each_interval_is_reported_once_after_it_ended_also_over_a_restart(
    house: House, open_house: Callable[..., House]
) -> None:
    made = call(house, asking(3, 2, duration="PT15M"))
    house.pass_time(minutes=14)
    assert told(house, made, "USAGE") == []
    house.pass_time(minutes=1)
    assert told(house, made, "USAGE") == [("USAGE", 0.5)]
    again = open_house(house.clock)
    again.usage_wh = 250.0
    again.pass_time(minutes=15)
    again.pass_time(minutes=15)
    assert told(again, made, "USAGE") == [("USAGE", 0.5), ("USAGE", 0.25)]


def test_a_missing_measurement_is_waited_for_and_then_reported_as_missing(house: House) -> None:
    made = call(house, asking(3, duration="PT15M"))
    house.usage_wh = None
    house.pass_time(minutes=16)
    assert told(house, made, "USAGE") == []
    house.pass_time(minutes=5)
    assert told(house, made, "USAGE") == [("DATA_QUALITY", "MISSING")]


def test_a_call_withdrawn_in_its_middle_is_reported_for_the_part_delivered(house: House) -> None:
    made = call(house, asking(3))
    house.pass_time(minutes=20)
    stored = house.room._store.find(Kind.EVENT, "u", made)
    assert stored
    house.room._store.delete(stored, house.clock[0])
    house.room._stored()
    assert told(house, made, "USAGE") == [("USAGE", 0.5)]
    body = house.room._store.owned(Kind.REPORT, "u")[0].body
    assert '"duration": "PT1200S"' in json.dumps(body)


def test_endless_intervals_too_short_for_a_meter_cost_nothing(house: House) -> None:
    made = call(house, asking(3, 2, duration="PT0.000001S") | {"duration": "P9999Y"})
    house.pass_time(days=1)
    assert told(house, made, "USAGE") == []
    assert len(house.room.windows(house.clock[0])) <= 1024


def test_an_address_for_utilities_is_never_any_address(tmp_path: Path) -> None:
    room = DemandResponse(tmp_path, None, "0.0.0.0", 8444, lambda start, end: None, lambda: None)
    assert room.vtn_url == f"http://{socket.gethostname()}:8444/openadr3/3.1.0"
    room.close()


def test_opting_out_stops_the_market_is_reported_and_can_be_taken_back(house: House) -> None:
    made = call(house, event("SIMPLE", 2))
    assert [w.kind for w in house.room.windows(NOON)] == [WindowKind.SHED]
    house.room.opt_out(made)
    assert house.room.windows(NOON) == ()
    assert [e.status for e in house.room.events(NOON)] == [EventStatus.OPTED_OUT]
    house.room.opt_in(made)
    house.room.allow_market(False)
    assert house.room.windows(NOON) == ()
    states = [value for _, value in told(house, made, "OPERATING_STATE")]
    assert states == ["RUNNING_OPTED_OUT", "RUNNING_NORMAL", "RUNNING_OPTED_OUT"]


def test_an_opt_out_before_the_start_survives_a_restart(
    house: House, open_house: Callable[..., House]
) -> None:
    made = call(house, event("SIMPLE", 2, start="2026-11-24T13:00:00Z"))
    house.room.opt_out(made)
    assert told(house, made, "OPERATING_STATE") == [("OPERATING_STATE", "IDLE_OPTED_OUT")]
    assert [e.status for e in open_house(house.clock).room.events(NOON)] == [EventStatus.OPTED_OUT]


def test_a_capacity_limit_leaves_the_owner_no_choice(house: House) -> None:
    made = call(house, event("IMPORT_CAPACITY_LIMIT", 3))
    with pytest.raises(Misuse, match="no choice"):
        house.room.opt_out(made)
    for refused in (house.room.opt_out, house.room.opt_in, house.room.remove_utility):
        with pytest.raises(Misuse):
            refused("nothing-of-this-id")


def test_the_owner_hears_of_changes_and_of_time_passing_but_of_nothing_else(house: House) -> None:
    call(house, event("IMPORT_CAPACITY_LIMIT", 3, start="2026-11-24T12:10:00Z", duration="PT10M"))
    for _ in range(25):
        house.pass_time(minutes=1)
    assert [(at - NOON) // timedelta(minutes=1) for at in house.changes] == [0, 10, 20]


async def test_a_port_that_is_taken_is_a_config_error(house: House, open_house: Callable[..., House]) -> None:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(house.room.run())
        url = await served(house.room)
        other = open_house().room
        other._port = int(url.split(":")[2].split("/")[0])
        with pytest.raises(ConfigError, match=r"demand_response\.port"):
            await other.run()
        serving.cancel()


async def served(room: DemandResponse) -> str:
    async with asyncio.timeout(5):
        while ":0/" in room.vtn_url:
            await asyncio.sleep(0.01)
    return room.vtn_url


async def test_the_simulated_utility_calls_cancels_and_collects(house: House) -> None:
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(house.room.run())
        url = await served(house.room)
        client_id, secret = house.room.add_utility("DSO")
        async with simulated.Utility(url, client_id, secret, trust=True) as utility:
            made = await utility.call({"IMPORT_CAPACITY_LIMIT": 3.0}, NOON, timedelta(minutes=5))
            assert [w.value for w in house.room.windows(NOON)] == [3000.0]
            house.pass_time(minutes=5)
            (report,) = await utility.reports(made)
            assert report["resources"][0]["intervals"][0]["payloads"] == [{"type": "USAGE", "values": [0.5]}]
            second = await utility.call({"SIMPLE": 2}, house.clock[0], timedelta(minutes=5), priority=1)
            await utility.cancel(second)
            assert [e["id"] for e in await utility.events()] == [made]
            with pytest.raises(simulated.Declined, match="404"):
                await utility.cancel(second)
        with pytest.raises(simulated.Declined, match="invalid_client"):
            async with simulated.Utility(url, client_id, "wrong", trust=True):
                pass
        serving.cancel()


PROCESS = """
import asyncio, sys
from pathlib import Path
from gateway.demand_response.room import DemandResponse

async def main() -> None:
    room = DemandResponse(Path(sys.argv[1]), None, "127.0.0.1", 0, lambda start, end: None, lambda: None)
    async with asyncio.TaskGroup() as group:
        group.create_task(room.run())
        while ":0/" in room.vtn_url:
            await asyncio.sleep(0.01)
        print(room.vtn_url, *room.add_utility("DSO"), flush=True)

asyncio.run(main())
"""


async def test_a_call_that_was_answered_is_in_force_after_sigkill(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        PROCESS,
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        cwd=Path(__file__).parents[3],
    )
    try:
        assert process.stdout
        url, client_id, secret = (await process.stdout.readline()).decode().split()
        async with simulated.Utility(url, client_id, secret, trust=True) as utility:
            now = datetime.now(UTC)
            made = await utility.call({"IMPORT_CAPACITY_LIMIT": 3.0}, now, timedelta(minutes=5))
    finally:
        process.kill()
        await process.wait()
    room = DemandResponse(tmp_path, None, "127.0.0.1", 0, lambda start, end: None, lambda: None)
    assert [(w.event_id, w.value) for w in room.windows(now)] == [(made, 3000.0)]
    room.close()
