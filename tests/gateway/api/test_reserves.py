"""Frequency reserve and cars' needs through the API: who sells what, what is refused, and what control says of it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.api import answers
from gateway.api.schema import Role
from gateway.model import (
    BackupPhase,
    BackupStatus,
    ControlQuality,
    ControlStatus,
    DeviceInfo,
    DeviceKind,
    LoadSample,
    QualityVerdict,
    ReservePhase,
    ReserveProduct,
    ReserveStatus,
    Urgency,
)
from tests.gateway.api.fake_site import FakeSite
from tests.gateway.api.serving import serving


class JudgingSite(FakeSite):
    """A site whose control refuses every window that is offered."""

    async def add_reserve(self, window):
        await super().add_reserve(window)
        status = ReserveStatus(ReservePhase.REFUSED, window.id, window.product, refusals=("reservoir",))
        shown = replace(self.view().snapshot, control=ControlStatus(reserve=status))
        await self.put(snapshot=shown)


def offer(site, from_h=1.0, hours=1.0, **more):
    start = site.view().utc + timedelta(hours=from_h)
    end = start + timedelta(hours=hours)
    told = {
        "product": "fcr",
        "power_w": 3000,
        "starts_at": start.isoformat(),
        "ends_at": end.isoformat(),
    }
    return told | more


async def test_a_sold_window_is_answered_with_controls_verdict_in_words(tmp_path):
    async with serving(tmp_path, JudgingSite()) as client:
        status, sold = await client.ask("POST", "/v1/reserves", offer(client.site), client.token())
        assert (status, sold["phase"], sold["product"]) == (201, "refused", "fcr")
        (refusal,) = sold["refusals"]
        assert (refusal["code"], bool(refusal["text"])) == ("reservoir", True)
        assert (await client.ask("GET", "/v1/reserves", token=client.token()))[1] == [sold]


async def test_a_window_without_a_verdict_is_answered_all_the_same(tmp_path, monkeypatch):
    monkeypatch.setattr(answers, "VERDICT_WAIT_S", 0.05)
    async with serving(tmp_path) as client:
        status, sold = await client.ask("POST", "/v1/reserves", offer(client.site), client.token())
        assert (status, sold["phase"], sold["refusals"]) == (201, None, [])


async def test_an_aggregator_sells_and_takes_back_its_own_window_and_no_other(tmp_path):
    async with serving(tmp_path, JudgingSite()) as client:
        owner, utc = client.token(), client.site.view().utc
        _, market = client.server._tokens.add("Aggregator", Role.AGGREGATOR, utc)
        _, owners = await client.ask("POST", "/v1/reserves", offer(client.site), owner)
        _, sold = await client.ask("POST", "/v1/reserves", offer(client.site, from_h=3), market)
        assert sold["source"] == "Aggregator"
        path = "/v1/reserves/"
        assert (await client.ask("DELETE", path + owners["id"], token=market))[1]["code"] == "forbidden"
        assert (await client.ask("DELETE", path + sold["id"], token=market))[0] == 204
        assert (await client.ask("DELETE", path + sold["id"], token=market))[1]["code"] == "unknown_reserve"
        assert (await client.ask("POST", "/v1/stop", token=market))[1]["code"] == "forbidden"
        assert (await client.ask("DELETE", path + owners["id"], token=owner))[0] == 204


async def test_windows_do_not_overlap_but_may_meet(tmp_path):
    async with serving(tmp_path, JudgingSite()) as client:
        token, first = client.token(), offer(client.site)
        assert (await client.ask("POST", "/v1/reserves", first, token))[0] == 201
        status, problem = await client.ask("POST", "/v1/reserves", offer(client.site, from_h=1.5), token)
        assert (status, problem["code"]) == (409, "refused")
        assert "sold already" in problem["detail"]
        end = {"starts_at": first["ends_at"], "ends_at": offer(client.site, from_h=4)["ends_at"]}
        assert (await client.ask("POST", "/v1/reserves", first | end, token))[0] == 201


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"hours": 0}, 422, "invalid_request"),
        ({"hours": -1}, 422, "invalid_request"),
        ({"hours": 200}, 422, "invalid_request"),
        ({"from_h": 800}, 422, "invalid_request"),
        ({"from_h": -3}, 422, "invalid_request"),
        ({"power_w": 0}, 422, "invalid_request"),
        ({"power_w": 1e9}, 422, "invalid_request"),
        ({"product": "perpetual"}, 422, "invalid_request"),
        ({"starts_at": "2026-01-01T00:00:00"}, 422, "invalid_request"),
        ({"devices": ["grid"]}, 422, "invalid_request"),
        ({"devices": ["yacht"]}, 404, "unknown_device"),
    ],
)
async def test_a_window_that_makes_no_sense_is_refused(tmp_path, more, status, code):
    async with serving(tmp_path) as client:
        got, problem = await client.ask("POST", "/v1/reserves", offer(client.site, **more), client.token())
        assert (got, problem["code"]) == (status, code)
        assert client.site.view().reserves == ()


async def test_a_need_is_set_shown_replaced_and_forgotten(tmp_path):
    async with serving(tmp_path) as client:
        token, path = client.token(), "/v1/devices/garage/need"
        leaves = (client.site.view().utc + timedelta(hours=8)).isoformat()
        for energy_wh in (9000.0, 7000.0):
            body = {"energy_wh": energy_wh, "departs_at": leaves}
            status, need = await client.ask("PUT", path, body, token)
            assert (status, need["energy_wh"]) == (200, energy_wh)
        assert (await client.ask("GET", "/v1/state", token=token))[1]["needs"] == [need]
        assert (await client.ask("DELETE", path, token=token))[0] == 204
        assert client.site.view().needs == ()
        late = {"energy_wh": 1.0, "departs_at": "2026-01-01T00:00:00Z"}
        assert (await client.ask("PUT", path, late, token))[1]["code"] == "invalid_request"
        status, problem = await client.ask("PUT", "/v1/devices/battery/need", body, token)
        assert (status, problem["detail"]) == (422, "battery is no charger")


async def test_a_storm_lasts_a_week_at_most_and_is_ended_by_null(tmp_path):
    async with serving(tmp_path) as client:
        token, utc = client.token(), client.site.view().utc
        for days, status in ((1, 200), (9, 422)):
            patch = {"storm_until": (utc + timedelta(days=days)).isoformat(), "battery_may_charge_car": True}
            assert (await client.ask("PATCH", "/v1/owner", patch, token))[0] == status
        owner = client.site.view().owner
        assert owner.battery_may_charge_car
        assert owner.storm_until is not None
        _, told = await client.ask("PATCH", "/v1/owner", {"storm_until": None}, token)
        assert told["storm_until"] is None


async def test_what_only_jitters_is_no_change_and_a_blackout_changes_its_part_alone(tmp_path):
    async with serving(tmp_path) as client, client.stream(client.token()) as socket:
        for _ in range(2):
            await socket.receive_json(timeout=10)  # hello and the snapshot

        async def say(**parts):
            shown = client.site.view().snapshot
            await client.site.put(snapshot=replace(shown, control=ControlStatus(**parts)))

        await say(quality=ControlQuality(QualityVerdict.STABLE, 31.0))
        while (message := await socket.receive_json(timeout=10))["type"] != "change":
            pass
        assert message["set"]["control.quality"]["rms_w"] == 30.0
        await say(quality=ControlQuality(QualityVerdict.STABLE, 29.0))
        await asyncio.sleep(0.1)
        dark = BackupStatus(BackupPhase.ISLANDED, client.site.view().utc, 7.123)
        await say(quality=ControlQuality(QualityVerdict.STABLE, 30.5), backup=dark)
        while (message := await socket.receive_json(timeout=10))["type"] != "change":
            pass
        assert message["set"].keys() == {"control.backup"}
        assert (message["set"]["control.backup"]["phase"], message["removed"]) == ("islanded", [])
        assert message["set"]["control.backup"]["autonomy_h"] == 7.1


async def test_loads_and_what_cars_need_are_part_of_the_state(tmp_path):
    async with serving(tmp_path) as client:
        view = client.site.view()
        boiler = DeviceInfo("boiler", DeviceKind.LOAD, "Boiler", "load.modbus_relay")
        urgent = Urgency(1234.0, 0.51, 8765.0, view.utc)
        shown = replace(
            view.snapshot,
            devices={**view.snapshot.devices, "boiler": boiler},
            loads={"boiler": LoadSample(view.now, True, 1800.0)},
            control=ControlStatus(
                urgencies={"garage": urgent},
                reserve=ReserveStatus(product=ReserveProduct.FFR, frequency_hz=49.987, response_w=1234.0),
            ),
        )
        await client.site.put(snapshot=shown)
        state = (await client.ask("GET", "/v1/state", token=client.token()))[1]
        assert state["devices"]["boiler"]["sample"]["on"] is True
        assert (state["urgencies"]["garage"]["must_w"], state["urgencies"]["garage"]["rank"]) == (1230.0, 0.5)
        assert state["control"]["reserve"]["frequency_hz"] == 49.99
        assert "boiler" not in state["owner"]["devices"]
