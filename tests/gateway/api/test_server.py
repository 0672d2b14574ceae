"""The API over real TLS: who may do what, and that everything that goes wrong is a problem with a stable code."""

import asyncio
import json
import ssl
from dataclasses import replace

import aiohttp
import pytest

from gateway.api.problems import PROBLEMS
from gateway.api.routes import ALLOWED, ROUTES, Permission
from gateway.api.schema import Role
from gateway.api.server import ApiServer, Bounds
from gateway.faults import ConfigError, Refused, Unreachable
from gateway.model import PLAN_REASONS, ActiveFault
from tests.gateway.api.fake_site import FakeSite
from tests.gateway.api.serving import BOUNDS, serving


async def test_a_new_gateway_is_paired_by_its_code_and_then_closed(tmp_path):
    async with serving(tmp_path) as client:
        _, info = await client.ask("GET", "/v1/info")
        assert (info["paired"], info["pairing_open"], info["serial"]) == (False, True, "NE-0001")
        code = (tmp_path / "pairing_code").read_text().strip()
        status, paired = await client.ask("POST", "/v1/pair", {"code": code, "client_name": "Home Assistant"})
        assert (status, paired["role"], paired["fingerprint"]) == (201, "owner", info["fingerprint"])
        status, _ = await client.ask("GET", "/v1/state", token=paired["token"])
        assert status == 200
        _, info = await client.ask("GET", "/v1/info")
        assert (info["paired"], info["pairing_open"]) == (True, False)
        status, problem = await client.ask("POST", "/v1/pair", {"code": code, "client_name": "thief"})
        assert (status, problem["code"]) == (409, "pairing_closed")


async def test_five_wrong_codes_close_the_pairing_even_to_the_right_one(tmp_path):
    async with serving(tmp_path) as client:
        code = (tmp_path / "pairing_code").read_text().strip()
        wrong = "000000" if code != "000000" else "111111"
        for _ in range(5):
            status, problem = await client.ask("POST", "/v1/pair", {"code": wrong, "client_name": "x"})
            assert (status, problem["code"]) == (403, "wrong_code")
        status, problem = await client.ask("POST", "/v1/pair", {"code": code, "client_name": "x"})
        assert (status, problem["code"]) == (429, "too_many_attempts")


async def test_tokens_survive_a_restart_and_the_identity_stays(tmp_path):
    async with serving(tmp_path) as client:
        code, pin = (tmp_path / "pairing_code").read_text().strip(), client.server.identity.fingerprint
        _, paired = await client.ask("POST", "/v1/pair", {"code": code, "client_name": "Home Assistant"})
    async with serving(tmp_path) as client:
        assert client.server.identity.fingerprint == pin
        assert (await client.ask("GET", "/v1/state", token=paired["token"]))[0] == 200
        assert not (await client.ask("GET", "/v1/info"))[1]["pairing_open"]


BODIES = {
    "pair": {"code": "123456", "client_name": "x"},
    "patch_owner": {"control_on": True},
    "request": {"mode": "charge_now"},
    "set_need": {"energy_wh": 5000, "departs_at": "2026-01-01T00:00:00Z"},
    "offer_reserve": {
        "product": "fcr",
        "power_w": 1000,
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2026-01-01T01:00:00Z",
    },
    "add_utility": {"name": "Grid Co"},
    "add_token": {"name": "Tablet", "role": "viewer"},
}
FILL = {"{device}": "garage", "{event}": "e1", "{client}": "u1", "{reserve}": "nothing", "{token}": "nobody"}


@pytest.mark.parametrize("role", [None, *Role])
async def test_each_role_may_do_what_the_table_says_and_nothing_else(tmp_path, role):
    async with serving(tmp_path) as client:
        token = client.token(role) if role else "wrong"
        for route in ROUTES:
            path = route.path
            for name, value in FILL.items():
                path = path.replace(name, value)
            query = "?device=garage" if route.name == "history" else ""
            _, answer = await client.ask(route.method, path + query, BODIES.get(route.name), token)
            code = answer.get("code") if isinstance(answer, dict) else None
            if route.permission is Permission.PUBLIC:
                assert code in {None, "wrong_code", "pairing_closed"}
            elif role is None:
                assert code == "unauthorized"
            elif route.permission in ALLOWED[role]:
                assert code not in {"unauthorized", "forbidden", "internal_error"}, (route.name, answer)
            else:
                assert code == "forbidden", route.name


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/", None, 404, "not_found"),
        ("GET", "/v1/nothing", None, 404, "not_found"),
        ("PUT", "/v1/state", None, 405, "method_not_allowed"),
        ("GET", "/v1/ws", None, 400, "bad_request"),
        ("POST", "/v1/devices/garage/request", b"{", 400, "malformed_json"),
        ("POST", "/v1/devices/garage/request", b"", 400, "malformed_json"),
        ("POST", "/v1/devices/garage/request", b"x" * 70_000, 413, "body_too_large"),
        ("POST", "/v1/devices/garage/request", {"mode": "explode"}, 422, "invalid_request"),
        ("POST", "/v1/devices/garage/request", {"mode": "boost", "extra": 1}, 422, "invalid_request"),
        ("POST", "/v1/devices/garage/request", {"mode": "boost", "power_w": -1}, 422, "invalid_request"),
        ("POST", "/v1/devices/garage/request", {"mode": "pause", "power_w": 1}, 422, "invalid_request"),
        ("POST", "/v1/devices/grid/request", {"mode": "pause"}, 422, "invalid_request"),
        ("POST", "/v1/devices/yacht/request", {"mode": "pause"}, 404, "unknown_device"),
        ("DELETE", "/v1/devices/yacht/request", None, 404, "unknown_device"),
        ("PATCH", "/v1/owner", {"devices": {"yacht": {}}}, 404, "unknown_device"),
        ("PATCH", "/v1/owner", {"control_on": "yes"}, 422, "invalid_request"),
        (
            "PATCH",
            "/v1/owner",
            {"devices": {"garage": {"floor_soc_pct": 90, "target_soc_pct": 80}}},
            422,
            "invalid_request",
        ),
        ("GET", "/v1/history", None, 422, "invalid_request"),
        ("GET", "/v1/history?device=yacht", None, 404, "unknown_device"),
        ("GET", "/v1/history?device=grid&from=yesterday", None, 422, "invalid_request"),
        (
            "GET",
            "/v1/history?device=grid&from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            None,
            422,
            "invalid_request",
        ),
        ("GET", "/v1/decisions?limit=0", None, 422, "invalid_request"),
        ("POST", "/v1/grid-events/none/opt-out", None, 404, "unknown_event"),
        ("DELETE", "/v1/utilities/none", None, 404, "unknown_utility"),
        ("DELETE", "/v1/tokens/none", None, 404, "unknown_token"),
    ],
)
async def test_every_error_is_a_problem_with_its_code(tmp_path, method, path, body, status, code):
    async with serving(tmp_path) as client:
        got, problem = await client.ask(method, path, body, client.token())
        assert (got, problem["code"]) == (status, code)
        assert PROBLEMS[code][0] == status


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (Unreachable("the fast path is away"), 503, "unavailable"),
        (Refused("no"), 409, "refused"),
        (ZeroDivisionError("secret"), 500, "internal_error"),
    ],
)
async def test_a_site_that_fails_is_told_without_its_inside(tmp_path, error, status, code):
    class Failing(FakeSite):
        async def stop(self, on):
            raise error

    async with serving(tmp_path, Failing()) as client:
        got, problem = await client.ask("POST", "/v1/stop", token=client.token())
        assert (got, problem["code"]) == (status, code)
        assert "secret" not in json.dumps(problem)


async def test_a_site_that_does_not_answer_is_timed_out(tmp_path):
    class Stuck(FakeSite):
        async def stop(self, on):
            await asyncio.Event().wait()

    async with serving(tmp_path, Stuck(), replace(BOUNDS, answer_s=0.05)) as client:
        assert (await client.ask("POST", "/v1/stop", token=client.token()))[1]["code"] == "timed_out"


async def test_without_devices_wishes_are_unavailable_rather_than_unknown(tmp_path):
    async with serving(tmp_path) as client:
        await client.site.put(snapshot=None)
        got = await client.ask("POST", "/v1/devices/garage/request", {"mode": "pause"}, client.token())
        assert got[1]["code"] == "unavailable"


async def test_too_many_requests_are_told_when_to_come_back(tmp_path):
    async with serving(tmp_path, bounds=Bounds(rate=1.0, burst=3.0)) as client:
        answers = [await client.ask("GET", "/v1/info") for _ in range(4)]
        assert [status for status, _ in answers] == [200, 200, 200, 429]
        async with client.session.get(client.url + "/v1/info", ssl=client.pin) as response:
            assert int(response.headers["Retry-After"]) >= 1


async def test_an_owner_commands_and_sees_what_came_of_it(tmp_path):
    async with serving(tmp_path) as client:
        token = client.token()
        _, owner = await client.ask(
            "PATCH",
            "/v1/owner",
            {"control_on": True, "devices": {"garage": {"departure": "07:30:00", "target_soc_pct": 90}}},
            token,
        )
        assert owner["control_on"] is True
        assert owner["devices"]["garage"]["departure"] == "07:30:00"
        assert owner["devices"]["garage"]["floor_soc_pct"] == 30.0
        assert owner["devices"]["battery"]["target_soc_pct"] == 80.0
        body = {"mode": "discharge_now", "power_w": 2000, "until_soc_pct": 40, "duration_s": 600}
        status, request = await client.ask("POST", "/v1/devices/garage/request", body, token)
        assert (status, request["mode"], request["power_w"]) == (202, "discharge_now", 2000.0)
        state = (await client.ask("GET", "/v1/state", token=token))[1]
        assert state["requests"] == [request]
        assert state["site"]["observing"] is False
        assert await client.ask("DELETE", "/v1/devices/garage/request", token=token) == (204, None)
        assert await client.ask("POST", "/v1/stop", token=token) == (202, None)
        assert (await client.ask("GET", "/v1/state", token=token))[1]["owner"]["stopped"] is True
        assert await client.ask("DELETE", "/v1/stop", token=token) == (204, None)
        assert await client.ask("PATCH", "/v1/owner", {"devices": {"garage": {"departure": None}}}, token)
        assert client.site.view().owner.of("garage").departure is None


async def test_utilities_events_and_tokens_are_the_owners(tmp_path):
    async with serving(tmp_path) as client:
        token = client.token()
        status, utility = await client.ask("POST", "/v1/utilities", {"name": "Grid Co"}, token)
        assert (status, set(utility)) == (201, {"client_id", "client_secret", "vtn_url"})
        assert "client_secret" not in json.dumps((await client.ask("GET", "/v1/state", token=token))[1])
        assert (await client.ask("DELETE", f"/v1/utilities/{utility['client_id']}", token=token))[0] == 204
        assert (await client.ask("POST", "/v1/grid-events/e1/opt-out", token=token))[0] == 204
        assert (await client.ask("GET", "/v1/grid-events", token=token))[1][0]["status"] == "opted_out"
        assert (await client.ask("DELETE", "/v1/grid-events/e1/opt-out", token=token))[0] == 204
        _, made = await client.ask("POST", "/v1/tokens", {"name": "Tablet", "role": "viewer"}, token)
        assert (await client.ask("POST", "/v1/stop", token=made["token"]))[1]["code"] == "forbidden"
        shown = (await client.ask("GET", "/v1/tokens", token=token))[1]
        assert {t["name"]: t["role"] for t in shown} == {"test": "owner", "Tablet": "viewer"}
        assert (await client.ask("DELETE", f"/v1/tokens/{made['id']}", token=token))[0] == 204
        assert (await client.ask("GET", "/v1/state", token=made["token"]))[0] == 401


async def test_an_idempotency_key_makes_one_request_of_many(tmp_path):
    async with serving(tmp_path) as client:
        token, path, key = client.token(), "/v1/devices/garage/request", {"Idempotency-Key": "k1"}
        body = {"mode": "charge_now"}
        answers = await asyncio.gather(
            *(client.ask("POST", path, body, token, headers=key) for _ in range(3))
        )
        assert len({answer["id"] for _, answer in answers}) == 1
        _, other = await client.ask("POST", path, {"mode": "pause"}, token, headers=key)
        assert other["code"] == "idempotency_key_reused"
        _, without = await client.ask("POST", path, body, token)
        assert without["id"] != answers[0][1]["id"]


async def test_a_failed_request_may_be_tried_again_under_its_key(tmp_path):
    class Once(FakeSite):
        tried = 0

        async def add_request(self, request):
            self.tried += 1
            if self.tried == 1:
                raise Unreachable("away")
            await super().add_request(request)

    async with serving(tmp_path, Once()) as client:
        token, key = client.token(), {"Idempotency-Key": "k1"}
        asked = ("POST", "/v1/devices/garage/request", {"mode": "pause"}, token)
        assert (await client.ask(*asked, headers=key))[0] == 503
        assert (await client.ask(*asked, headers=key))[0] == 202


async def test_reading_gives_plan_decisions_history_and_faults(tmp_path):
    async with serving(tmp_path) as client:
        token = client.token(Role.VIEWER)
        assert (await client.ask("GET", "/v1/plan", token=token))[1]["id"] == "p1"
        assert (await client.ask("GET", "/v1/decisions?device=garage&limit=5", token=token))[1][0][
            "device"
        ] == "garage"
        assert len((await client.ask("GET", "/v1/history?device=grid&limit=3", token=token))[1]) == 3
        assert (await client.ask("GET", "/v1/faults", token=token))[1] == []
        assert (await client.ask("GET", "/v1/openapi.json"))[1]["openapi"] == "3.1.0"


async def test_the_plan_says_its_reasons_in_words(tmp_path):
    async with serving(tmp_path) as client:
        plan = (await client.ask("GET", "/v1/plan", token=client.token(Role.VIEWER)))[1]
        assert plan["reasons"] == {"cheap_hours": PLAN_REASONS["cheap_hours"]}
        assert (plan["made"], plan["bound"], len(plan["load_w"])) == ("optimal", 1.5, 24)
        assert plan["scores"][0]["what"] == "load"


async def test_forecasts_are_handed_in_by_those_who_may_command_and_read_back(tmp_path):
    span = {"starts_at": "2026-11-24T12:00:00+01:00", "ends_at": "2026-11-24T12:15:00+01:00"}
    trip = {"device": "garage", "leaves_at": "2026-11-25T06:30:00Z", "energy_wh": 8000.0}
    bodies = {
        "prices": {"slots": [{**span, "import_per_kwh": -0.02}]},
        "solar": {"slots": [{**span, "value": 2500.0, "p10": 900.0}]},
        "load": {"slots": [{**span, "value": 400.0}]},
        "carbon": {"slots": [{**span, "value": 310.0}]},
        "trips": {"trips": [trip]},
    }
    async with serving(tmp_path) as client:
        token = client.token(Role.INSTALLER)
        for kind, body in bodies.items():
            assert (await client.ask("PUT", f"/v1/forecasts/{kind}", body, client.token(Role.VIEWER)))[
                0
            ] == 403
            assert (await client.ask("PUT", f"/v1/forecasts/{kind}", body, token))[0] == 204
        told = (await client.ask("GET", "/v1/forecasts", token=token))[1]
        assert told["prices"][0]["import_per_kwh"] == -0.02
        assert told["solar"][0] | {"p90": None} == told["solar"][0]
        assert told["solar"][0]["starts_at"] == "2026-11-24T11:00:00Z"
        assert told["trips"][0]["device"] == "garage"


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("prices", {"lists": "rubbish"}),
        ("prices", {"slots": []}),
        (
            "solar",
            {
                "slots": [
                    {"starts_at": "2026-11-24T12:00:00Z", "ends_at": "2026-11-24T12:00:00Z", "value": 1.0}
                ]
            },
        ),
        (
            "load",
            {
                "slots": [
                    {"starts_at": "2026-11-24T12:00:00", "ends_at": "2026-11-24T13:00:00Z", "value": 1.0}
                ]
            },
        ),
        ("trips", {"trips": [{"device": "battery", "leaves_at": "2026-11-25T06:30:00Z"}]}),
    ],
)
async def test_a_forecast_that_cannot_be_is_refused_by_name(tmp_path, kind, body):
    async with serving(tmp_path) as client:
        status, answer = await client.ask("PUT", f"/v1/forecasts/{kind}", body, client.token(Role.OWNER))
        assert (status, answer["code"]) == (422, "invalid_request")


async def test_only_tls_is_spoken_and_another_certificate_is_noticed(tmp_path):
    async with serving(tmp_path) as client:
        with pytest.raises(aiohttp.ServerFingerprintMismatch):
            async with client.session.get(client.url + "/v1/info", ssl=aiohttp.Fingerprint(b"x" * 32)):
                pass
        with pytest.raises(aiohttp.ClientError):
            async with client.session.get(client.url.replace("https", "http") + "/v1/info"):
                pass


async def test_local_tools_find_the_address(tmp_path):
    async with serving(tmp_path) as client:
        address = json.loads((tmp_path / "api.json").read_text())
        assert address["port"] == client.server.port
        assert address["fingerprint"] == client.server.identity.fingerprint
    assert not (tmp_path / "api.json").exists()


async def test_what_is_not_http_or_packed_harms_nobody_and_fills_no_log(tmp_path, caplog):
    async with serving(tmp_path) as client:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        for sent in (
            b"garbage\r\n\r\n",
            b"GET http://[ HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /v1/pair HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /v1/pair HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}",
        ):
            reader, writer = await asyncio.open_connection("127.0.0.1", client.server.port, ssl=context)
            writer.write(sent)
            status = await asyncio.wait_for(reader.readline(), 5)
            assert status.split()[1] in {b"400", b"422"}
            writer.transport.abort()
        assert (await client.ask("GET", "/v1/info"))[0] == 200
    assert [r for r in caplog.records if r.levelname in {"WARNING", "ERROR"}] == []


async def test_a_port_that_is_taken_is_said_in_one_line(tmp_path):
    async with serving(tmp_path) as client:
        (tmp_path / "second").mkdir()
        second = ApiServer(FakeSite(), tmp_path / "second", "127.0.0.1", client.server.port, advertise=False)
        with pytest.raises(ConfigError, match="cannot listen on 127"):
            await second.run()


async def test_an_inspection_is_passed_on_only_for_a_fault_that_is_raised(tmp_path):
    async with serving(tmp_path) as client:
        token, site = client.token(Role.INSTALLER), client.site
        path = "/v1/devices/garage/inspected"
        said = {"code": "contactor_welded"}
        assert (await client.ask("POST", path, said, token))[0] == 422
        welded = ActiveFault("contactor_welded", "garage", site.view().utc)
        await site.put(snapshot=replace(site.view().snapshot, faults=(welded,)))
        status, told = await client.ask("POST", path, said, token)
        assert (status, site.acknowledged.id) == (202, told["id"])
        assert (await client.ask("POST", path, said, client.token(Role.VIEWER)))[0] == 403
