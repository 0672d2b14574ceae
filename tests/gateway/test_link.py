"""The joint: what goes in comes out, nonsense is refused, and either end may vanish."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.faults import Malformed, Unreachable
from gateway.link import FastEnd, Order, Report, connect, decode, encode
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    GridWindow,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Plan,
    PlanSlot,
    Request,
    RequestMode,
    WindowKind,
    Wishes,
)
from gateway.state import SiteState

UTC_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
WISHES = Wishes(
    OwnerSettings(control_on=True, devices={"garage": DeviceSettings(floor_soc_pct=20.0)}),
    (Request("r", "garage", RequestMode.BOOST, UTC_NOW + HOUR, until_soc_pct=90.0),),
    (GridWindow(WindowKind.IMPORT_LIMIT, 3000.0, UTC_NOW, UTC_NOW + HOUR, "e", "utility"),),
    Plan(
        "p", UTC_NOW, UTC_NOW + HOUR, "test", (PlanSlot(UTC_NOW, UTC_NOW + HOUR, None, {"garage": 1.0}, {}),)
    ),
)


def snapshot():
    state = SiteState([DeviceInfo("grid", DeviceKind.METER, "Grid", "m", MeterRole.GRID)], lambda: UTC_NOW)
    state.slot("grid").sample(MeterSample(1.0, 5.0, (5.0, 0.0, 0.0), (230.0,) * 3, (0.0,) * 3))
    return state.snapshot(1.0)


def test_a_snapshot_and_wishes_survive_the_journey():
    assert decode(encode(Report(snapshot(), (0.1, 0.2)))[4:]).snapshot.grid() == snapshot().grid()
    assert decode(encode(Order(WISHES))[4:]) == Order(WISHES)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_message_are_malformed(body):
    with pytest.raises(Malformed):
        decode(body)


def test_a_name_that_is_no_text_is_malformed():
    with pytest.raises(Malformed):
        decode(encode(Order(WISHES))[4:].replace(b"garage", b"ga\xf9age"))


async def ends(path):
    heard, present = [], []
    fast = FastEnd(path, heard.append, present.append)
    return fast, heard, present


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


async def test_wishes_go_down_reports_go_up_and_presence_is_told(tmp_path):
    path = tmp_path / "link.sock"
    fast, heard, present = await ends(path)
    async with asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(fast.run())
        await until(path.exists)
        assert path.stat().st_mode & 0o077 == 0
        services = await connect(path)
        await services.send(WISHES)
        await until(lambda: heard == [WISHES])
        fast.report(Report(snapshot()))
        async for report in services.reports():
            assert report.snapshot.grid().power_w == 5.0
            break
        services.close()
        await until(lambda: present == [True, False])
        fast.report(Report(snapshot()))  # nobody listens: no error
        again = await connect(path)
        await until(lambda: present == [True, False, True])
        again.close()
        serving.cancel()


async def test_without_a_fast_path_connecting_is_unreachable(tmp_path):
    with pytest.raises(Unreachable):
        await connect(tmp_path / "none.sock")


async def test_a_fast_path_that_says_nothing_is_unreachable_and_the_connection_closed(tmp_path, monkeypatch):
    monkeypatch.setattr("gateway.link.HELLO_S", 0.1)
    path, closed = tmp_path / "link.sock", asyncio.Event()

    async def mute(reader, writer):
        await reader.read()
        writer.close()
        closed.set()

    async with asyncio.timeout(5), await asyncio.start_unix_server(mute, path):
        with pytest.raises(Unreachable):
            await connect(path)
        await closed.wait()


async def test_a_report_that_no_frame_can_hold_is_left_out_and_the_link_stays(tmp_path, caplog):
    path = tmp_path / "link.sock"
    fast, _, present = await ends(path)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(fast.run())
        await until(path.exists)
        services = await connect(path)
        await until(lambda: present == [True])
        fast.report(Report(snapshot(), (0.1,) * 1_000_000))
        fast.report(Report(snapshot(), (0.2,)))
        async for report in services.reports():
            assert report.tick_lateness_ms == (0.2,)
            break
        assert "left out" in caplog.text
        services.close()
        serving.cancel()
