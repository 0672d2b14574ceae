"""The WebSocket: a client that follows it always knows the state, and knows when it does not."""

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from aiohttp import WSMsgType, WSServerHandshakeError

from gateway.api.server import Bounds
from gateway.model import OwnerSettings
from tests.gateway.api.fake_site import snapshot
from tests.gateway.api.serving import BOUNDS, PACE, serving
from tests.gateway.api.test_schema import apply_change, timeless


async def receive(socket):
    message = await asyncio.wait_for(socket.receive(), 5)
    assert message.type is WSMsgType.TEXT, message
    return json.loads(message.data)


async def test_hello_then_snapshot_then_the_change_and_only_that(tmp_path):
    async with serving(tmp_path) as client, client.stream(client.token()) as socket:
        hello = await receive(socket)
        assert hello == {"type": "hello", "api_version": 1, "api_min_version": 1, "serial": "NE-0001"}
        first = await receive(socket)
        assert first["type"] == "snapshot"
        await client.site.set_owner(OwnerSettings(control_on=True))
        change = await receive(socket)
        assert change["type"] == "change"
        assert set(change["set"]) == {"owner", "site"}
        assert change["set"]["site"]["observing"] is False
        assert change["seq"] > first["state"]["seq"]
        assert change["removed"] == []


async def test_a_follower_has_the_state_that_get_tells(tmp_path):
    async with serving(tmp_path) as client:
        token = client.token()
        async with client.stream(token) as socket:
            await receive(socket)
            state = (await receive(socket))["state"]
            for house_w in (100.0, 900.0, 1800.0, 400.0):
                await client.site.put(snapshot=snapshot(time.monotonic(), datetime.now(UTC), house_w))
                state = apply_change(state, await receive(socket))
            _, told = await client.ask("GET", "/v1/state", token=token)
            assert timeless(state) == timeless(told)


async def test_a_quiet_house_gets_heartbeats(tmp_path):
    bounds = replace(BOUNDS, pace=replace(PACE, heartbeat_s=0.05))
    async with serving(tmp_path, bounds=bounds) as client, client.stream(client.token()) as socket:
        kinds = [(await receive(socket))["type"] for _ in range(4)]
        assert kinds == ["hello", "snapshot", "heartbeat", "heartbeat"]


async def test_a_silent_device_becomes_unavailable_without_any_news_from_the_site(tmp_path):
    async with serving(tmp_path) as client:
        old = snapshot(time.monotonic() - 2.7, datetime.now(UTC), 500.0)
        await client.site.put(snapshot=old)
        async with client.stream(client.token()) as socket:
            await receive(socket)
            state = (await receive(socket))["state"]
            assert state["devices"]["grid"]["available"] is True
            while (message := await receive(socket))["type"] == "heartbeat":
                pass
            grid = message["set"]["devices.grid"]
            assert (grid["available"], grid["sample"], message["removed"]) == (False, None, [])


async def test_many_changes_at_once_are_told_as_one(tmp_path):
    async with serving(tmp_path) as client, client.stream(client.token()) as socket:
        await receive(socket)
        await receive(socket)
        for house_w in range(50):
            await client.site.put(snapshot=snapshot(time.monotonic(), datetime.now(UTC), float(house_w)))
        assert (await receive(socket))["set"]["devices.grid"]["sample"]["power_w"] == 49.0


async def test_a_device_that_was_taken_away_is_removed(tmp_path):
    async with serving(tmp_path) as client, client.stream(client.token()) as socket:
        await receive(socket)
        await receive(socket)
        now = client.site.view().snapshot
        fewer = {i: d for i, d in now.devices.items() if i != "pv"}
        await client.site.put(snapshot=replace(now, devices=fewer))
        assert (await receive(socket))["removed"] == ["devices.pv"]


async def test_a_withdrawn_token_ends_its_stream(tmp_path):
    async with serving(tmp_path) as client:
        owner, _ = client.token(), client.token()
        async with client.stream(owner) as socket:
            await receive(socket)
            for token in client.server._tokens.views():
                client.server._tokens.remove(token.id)
            while (message := await asyncio.wait_for(socket.receive(), 5)).type is WSMsgType.TEXT:
                pass
            assert (message.type, socket.close_code) == (WSMsgType.CLOSE, 4401)


async def test_streams_are_counted(tmp_path):
    async with serving(tmp_path, bounds=replace(BOUNDS, streams=1)) as client:
        token = client.token()
        async with client.stream(token):
            with pytest.raises(WSServerHandshakeError) as error:
                await client.stream(token)
            assert error.value.status == 503
        for _ in range(100):  # the place is free again once the server has seen the close
            if not client.server._sockets:
                break
            await asyncio.sleep(0.02)
        async with client.stream(token) as socket:
            assert (await receive(socket))["type"] == "hello"


async def test_a_stream_without_a_token_is_refused(tmp_path):
    async with serving(tmp_path) as client:
        with pytest.raises(WSServerHandshakeError) as error:
            await client.stream("wrong")
        assert error.value.status == 401


async def test_a_client_that_never_reads_is_let_go_and_hurts_nobody(tmp_path):
    pace = replace(PACE, patience_s=0.2)
    async with serving(tmp_path, bounds=replace(BOUNDS, pace=pace)) as client:
        token = client.token()
        await client.site.put(utilities=())
        stalled = await client.stream(token)
        stalled._conn.transport.pause_reading()
        big = "x" * 200_000
        for round_ in range(200):
            await client.site.put(
                faults=(), prices=(), plan=replace(client.site.view().plan, because=f"{round_}{big}")
            )
            await asyncio.sleep(0.03)
            if not client.server._sockets:
                break
        assert not client.server._sockets
        assert (await client.ask("GET", "/v1/info"))[0] == 200
        stalled._conn.transport.abort()
        await stalled.close()


async def test_a_gateway_that_stops_says_so(tmp_path):
    async with serving(tmp_path, bounds=Bounds(pace=PACE)) as client:
        socket = await client.stream(client.token())
        await receive(socket)
        await client.server._close_streams(None)
        while (message := await asyncio.wait_for(socket.receive(), 5)).type is WSMsgType.TEXT:
            pass
        assert (message.type, socket.close_code) == (WSMsgType.CLOSE, 1001)
