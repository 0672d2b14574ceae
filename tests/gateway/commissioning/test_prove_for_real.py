"""The one story with a house and a dying gateway as processes of their own, on real sockets and in real time."""

import json

import pytest

from gateway.commissioning.check import Request, check
from gateway.commissioning.prove import Wanted
from gateway.config import load
from tests.bench.house_and_gateway import ask_house, house
from tests.gateway.commissioning.indoors import PACE

pytestmark = pytest.mark.slow


async def test_a_battery_is_proven_by_a_process_that_is_frozen_and_one_that_is_killed(tmp_path):
    said = []
    async with house(tmp_path, "--time-of-day", "02:00") as endpoints:
        for deed, watts in (("set_load", 600.0), ("set_pv", 0.0)):
            assert (await ask_house(endpoints, do=deed, w=watts))["ok"]
        site = tmp_path / "site.toml"
        site.write_text(site.read_text().replace("lease_s = 30", "lease_s = 3"))
        request = Request(listen_s=1.5, prove=Wanted(("battery",), pace=PACE), agreed=True)
        assert await check(load(site), request, said.append, None) == 0, "\n".join(said)
        assert abs((await ask_house(endpoints, do="status"))["battery"]["power_w"]) < 100.0
    proofs = {
        p["check"]: p["text_key"]
        for p in json.loads((tmp_path / "state/commissioning.json").read_text())["proofs"]
    }
    assert proofs == {
        "wiring_proof": "wiring_right",
        "timer_proof": "timer_works",
        "fail_safe_proof": "fail_safe_holds",
    }
