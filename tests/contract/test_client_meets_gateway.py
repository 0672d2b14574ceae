"""The integration's client against the gateway's real API over TLS, on loopback; Home Assistant is not needed."""

import asyncio
import importlib.util
import json
import re
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from datetime import time, timedelta
from pathlib import Path
from types import ModuleType

import pytest

from gateway.api.site import Drill, DrillProblem, EquipmentVerdict
from gateway.devices import DRIVERS, driver_class
from gateway.faults import FaultCode
from gateway.model import (
    PLAN_REASONS,
    BackupPhase,
    BackupStatus,
    ControlStatus,
    EventStatus,
    EvseState,
    QualityVerdict,
    RequestMode,
    ReservePhase,
    ReserveProduct,
    Rung,
    StorageState,
    Urgency,
)
from gateway.supply.findings import Check
from tests.gateway.api.fake_site import snapshot
from tests.gateway.api.serving import Client, serving

ROOT = Path(__file__).parents[2]
INTEGRATION = ROOT / "custom_components/nissan_energy"


def load_client() -> ModuleType:
    """Import the client by its path, for its package would import Home Assistant."""
    folder = INTEGRATION / "client"
    spec = importlib.util.spec_from_file_location(
        "nissan_energy_client", folder / "__init__.py", submodule_search_locations=[str(folder)]
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


theirs = load_client()


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Client]:
    async with serving(tmp_path) as client:
        yield client


def code_of(served: Client) -> str:
    return (served.state_dir / "pairing_code").read_text().strip()


def client(served: Client, token: str | None = None, fingerprint: str | None = None):
    pin = fingerprint or served.server.identity.fingerprint
    return theirs.GatewayClient(served.session, "127.0.0.1", served.server.port, token, pin)


async def paired(served: Client):
    pairing = await client(served).pair(code_of(served), "Home Assistant")
    return client(served, pairing.token)


async def test_a_stranger_learns_who_it_is_and_pairs_with_the_shown_code(served: Client) -> None:
    stranger = theirs.GatewayClient(served.session, "127.0.0.1", served.server.port)
    info = await stranger.info()
    assert (info.serial, info.name, info.pairing_open) == ("NE-0001", "Maple Street", True)
    pairing = await stranger.pinned(info.fingerprint).pair(code_of(served), "Home Assistant")
    assert (pairing.serial, pairing.role) == ("NE-0001", "owner")
    assert (await client(served, pairing.token).state()).site.serial == "NE-0001"


async def test_a_wrong_code_is_refused_and_too_many_close_the_pairing(served: Client) -> None:
    wrong = "000000" if code_of(served) != "000000" else "111111"
    codes = []
    for _ in range(7):
        with pytest.raises(theirs.InvalidRequest) as told:
            await client(served).pair(wrong, "Home Assistant")
        codes.append(told.value.code)
    assert codes[0] == "wrong_code"
    assert set(codes) <= {"wrong_code", "too_many_attempts", "pairing_closed"}
    assert codes[-1] != "wrong_code"


async def test_another_certificate_is_refused_before_anything_is_said(served: Client) -> None:
    other = client(served, "secret", "ab" * 32)
    with pytest.raises(theirs.FingerprintMismatch):
        await other.state()
    with pytest.raises(theirs.FingerprintMismatch):
        await anext(other.listen())


async def test_a_wrong_token_is_refused_everywhere(served: Client) -> None:
    stranger = client(served, "not-a-token")
    with pytest.raises(theirs.AuthFailed):
        await stranger.state()
    with pytest.raises(theirs.AuthFailed):
        await anext(stranger.listen())


async def test_nobody_there_cannot_be_connected(served: Client, unused_tcp_port: int) -> None:
    nobody = theirs.GatewayClient(served.session, "127.0.0.1", unused_tcp_port)
    with pytest.raises(theirs.CannotConnect):
        await nobody.info()


async def test_the_whole_state_is_understood(served: Client) -> None:
    view = await (await paired(served)).state()
    assert view.devices.keys() == {"grid", "pv", "battery", "garage"}
    assert {(i, d.info.kind, d.info.role) for i, d in view.devices.items()} == {
        ("grid", "meter", "grid"),
        ("pv", "meter", "pv"),
        ("battery", "storage", None),
        ("garage", "evse", None),
    }
    grid, battery, garage = (view.devices[i].sample for i in ("grid", "battery", "garage"))
    assert (grid.power_w, grid.import_wh, grid.export_wh) == (800.0, 1000.0, 200.0)
    assert (battery.soc_pct, battery.state, battery.charged_wh) == (55.0, "running", 1000.0)
    assert (garage.plugged, garage.state, garage.vehicle.soc_pct) == (True, "ready", 62.0)
    assert view.decisions["garage"].reason.rung == "self_consumption"
    assert view.limits.import_limit_w == 17_250.0
    assert view.site.observing
    assert view.owner.devices["garage"].target_soc_pct == 80.0
    assert view.price_now is not None
    assert len(view.prices) == 24
    assert view.grid_events[0].status == "scheduled"
    assert view.plan.slots[0].device_power_w == {"garage": 1000.0}


async def test_the_equipment_check_is_understood(served: Client) -> None:
    garage = (await (await paired(served)).state()).equipment["garage"]
    (flipped,) = garage.findings
    assert (garage.verdict, flipped.check, flipped.verdict) == ("failed", "wiring_proof", "failed")
    assert garage.proven_at is not None
    assert flipped.text
    assert flipped.remedy


async def test_the_stream_is_a_snapshot_and_then_what_changes(served: Client) -> None:
    listener = await paired(served)
    async with asyncio.timeout(10), aclosing(listener.listen()) as views:
        first = await anext(views)
        view = served.site.view()
        await served.site.put(snapshot=snapshot(view.now, view.utc, 1600.0))
        async for seen in views:
            if seen.devices["grid"].sample.power_w == 1600.0 and seen.faults:
                break
        assert seen.seq > first.seq
        assert seen.devices["pv"] == first.devices["pv"]
        (stale,) = seen.faults
        assert (stale.code, bool(stale.text), bool(stale.remedy)) == ("plan_stale", True, True)
        await served.site.put(plan=None, prices=())
        async for seen in views:
            if seen.plan is None:
                break
        assert seen.prices == ()


async def test_a_heartbeat_is_heard_while_nothing_changes(served: Client) -> None:
    listener = await paired(served)
    async with asyncio.timeout(10), aclosing(listener.listen()) as views:
        first = await anext(views)
        for _ in range(3):
            assert (await anext(views)).devices == first.devices


async def test_a_gateway_that_goes_away_ends_the_stream(served: Client) -> None:
    listener = await paired(served)
    async with asyncio.timeout(10), aclosing(listener.listen()) as views:
        await anext(views)
        for socket in list(served.server._sockets):
            await socket.close()
        with pytest.raises(theirs.CannotConnect):
            async for _ in views:
                pass


async def test_a_request_is_accepted_shown_and_taken_back(served: Client) -> None:
    owner = await paired(served)
    accepted = await owner.request("garage", "boost", power_w=3000.0, until_soc_pct=90.0, duration_s=3600.0)
    assert (accepted.device, accepted.mode, accepted.power_w) == ("garage", "boost", 3000.0)
    assert (await owner.state()).requests == (accepted,)
    await owner.clear_request("garage")
    assert (await owner.state()).requests == ()


async def test_what_the_gateway_refuses_has_a_code(served: Client) -> None:
    owner = await paired(served)
    for device, mode, code in (
        ("attic", "boost", "unknown_device"),
        ("garage", "levitate", "invalid_request"),
    ):
        with pytest.raises(theirs.InvalidRequest) as told:
            await owner.request(device, mode)
        assert (told.value.code, bool(told.value.detail)) == (code, True)


async def test_the_owners_wishes_are_taken_and_kept(served: Client) -> None:
    owner = await paired(served)
    garage = {
        "target_soc_pct": 90.0,
        "floor_soc_pct": 20.0,
        "departure": "07:30:00",
        "discharge_allowed": False,
    }
    settings = await owner.patch_owner({"control_on": True, "devices": {"garage": garage}})
    assert settings.control_on
    assert settings.devices["garage"] == theirs.DeviceSettings(
        20.0, 90.0, time(7, 30), discharge_allowed=False, drive_away_soc_pct=20.0
    )
    settings = await owner.patch_owner({"devices": {"garage": {"departure": None}}})
    assert settings.devices["garage"].departure is None
    assert settings.devices["garage"].target_soc_pct == 90.0


async def test_stop_resume_opt_out_and_plan_are_understood(served: Client) -> None:
    owner = await paired(served)
    await owner.stop()
    assert (await owner.state()).owner.stopped
    await owner.resume()
    assert not (await owner.state()).owner.stopped
    await owner.opt_out("e1")
    assert (await owner.state()).grid_events[0].status == "opted_out"
    with pytest.raises(theirs.InvalidRequest):
        await owner.opt_out("../stop")
    assert (await owner.plan()).because == "prices"
    await served.site.put(plan=None)
    assert await owner.plan() is None


def test_every_word_of_the_gateway_has_a_text_in_the_integration() -> None:
    texts = json.loads((INTEGRATION / "translations/en.json").read_text())["entity"]
    sources = "\n".join(path.read_text() for path in (ROOT / "gateway/control").rglob("*.py"))
    codes = set(re.findall(r'Rung\.\w+,\s*"(\w+)"', sources))
    reasons = texts["sensor"]["reason"]["state"].keys()
    assert len(codes) > 10
    codes |= {f"{group}_l{phase}" for group in ("fuse", "circuit") for phase in (1, 2, 3)}
    codes |= set(re.findall(r'Bound\([^"]*"(\w+)"', sources))
    planned = set(PLAN_REASONS)
    assert texts["sensor"]["next_action"]["state_attributes"]["reason"]["state"].keys() == planned
    assert codes | planned | set(Rung) | set(RequestMode) - {RequestMode.PAUSE} <= reasons
    assert texts["sensor"]["charger_state"]["state"].keys() == set(EvseState)
    chargers = [driver_class(name, name) for name in DRIVERS if name.startswith("evse.")]
    causes = set[str]().union(*(charger.stop_causes for charger in chargers))
    assert texts["sensor"]["stop_cause"]["state"].keys() == causes
    assert texts["sensor"]["battery_state"]["state"].keys() == set(StorageState)
    assert texts["select"]["charge_mode"]["state"].keys() == {"auto", *RequestMode}


def test_every_state_of_control_has_a_text_in_the_integration() -> None:
    texts = json.loads((INTEGRATION / "translations/en.json").read_text())
    sensors = texts["entity"]["sensor"]
    assert sensors["control_quality"]["state"].keys() == set(QualityVerdict)
    assert sensors["backup_state"]["state"].keys() == set(BackupPhase)
    assert sensors["reserve_state"]["state"].keys() == set(ReservePhase)
    assert texts["selector"]["reserve_product"]["options"].keys() == set(ReserveProduct)
    assert {key for key in texts["issues"] if key.startswith("drill_")} == {
        f"drill_{p}" for p in DrillProblem
    }


async def test_control_is_understood_and_its_parts_change_alone(served: Client) -> None:
    listener = await paired(served)
    async with asyncio.timeout(10), aclosing(listener.listen()) as views:
        assert (await anext(views)).control == theirs.Control()
        utc = served.site.view().utc
        backup = BackupStatus(BackupPhase.ISLANDED, utc, 7.5, ("garage",))
        status = ControlStatus(backup, urgencies={"garage": Urgency(2000.0, 0.5, 9000.0, utc)})
        shown = replace(served.site.view().snapshot, control=status)
        await served.site.put(snapshot=shown)
        async for seen in views:
            if seen.control.backup.phase == "islanded":
                break
        assert seen.control.backup == theirs.Backup("islanded", utc, 7.5, ("garage",))
        assert seen.urgencies["garage"].need_wh == 9000.0
        drill = Drill(utc, 3.0, 2.8, 3.1, 4.0, 900.0, {"garage": False}, tuple(DrillProblem), ("a",))
        await served.site.put(drill=drill)
        async for seen in views:
            if seen.control.drill is not None:
                break
        assert seen.control.drill == theirs.Drill(
            utc, 3.0, 2.8, 3.1, 4.0, {"garage": False}, ("short", "car_stays"), ("a",)
        )


async def test_reserve_and_needs_are_taken_shown_and_taken_back(served: Client) -> None:
    owner = await paired(served)
    start = served.site.view().utc + timedelta(hours=1)
    end = start + timedelta(hours=1)
    window = await owner.offer_reserve("fcr_n", 3000.0, start, end, ["garage"])
    assert (window.product, window.starts_at, window.devices) == ("fcr_n", start, ("garage",))
    need = await owner.set_need("garage", 9000.0, end)
    state = await owner.state()
    assert (state.reserves, state.needs) == ((window,), (need,))
    with pytest.raises(theirs.InvalidRequest, match="sold already"):
        await owner.offer_reserve("fcr", 1000.0, start, end)
    await owner.withdraw_reserve(window.id)
    await owner.clear_need("garage")
    state = await owner.state()
    assert (state.reserves, state.needs) == ((), ())


def test_every_check_of_the_equipment_has_a_name_in_the_integration() -> None:
    texts = json.loads((INTEGRATION / "translations/en.json").read_text())["entity"]["sensor"][
        "equipment_check"
    ]
    assert texts["state"].keys() == set(EquipmentVerdict)
    assert texts["state_attributes"].keys() == {*Check, "proven_at", "texts", "remedies"}


def test_the_integration_knows_no_fault_and_no_event_status_that_the_gateway_has_not() -> None:
    issues = (INTEGRATION / "issues.py").read_text().split("OWNERS_FAULTS", 2)[1]
    named = set(re.findall(r'"(\w+)"', issues.split(")", 1)[0]))
    assert len(named) > 5
    assert named <= set(FaultCode)
    became = (INTEGRATION / "event.py").read_text().split("BECAME = {", 1)[1].split("}", 1)[0]
    assert set(re.findall(r'"(\w+)":', became)) == set(EventStatus)
