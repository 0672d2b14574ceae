"""What clients see, and that changes lose nothing."""

import copy
import json
from dataclasses import replace
from types import MappingProxyType

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.schema import KEYED, _timeless, change, encode, site_view, to_json
from gateway.model import (
    ActiveFault,
    DeviceSettings,
    EnergyTotals,
    GridEvent,
    OwnerSettings,
    Plan,
    PriceSlot,
    Provenance,
    Request,
    Trip,
    VehicleSource,
    VehicleState,
)
from tests.gateway.api.fake_site import FakeSite


def apply_change(state, message):
    """What a client does with a change."""
    state = copy.deepcopy(state) | {"seq": message["seq"], "at": message["at"]}
    for key in message["removed"]:
        table, _, entry = key.partition(".")
        del state[table][entry]
    for key, value in message["set"].items():
        table, dot, entry = key.partition(".")
        if dot:
            state[table][entry] = value
        else:
            state[key] = value
    return state


def timeless(state):
    parts = {k: _timeless(v) for k, v in state.items() if k not in {"seq", "at"}}
    return parts | {k: {i: _timeless(v) for i, v in state[k].items()} for k in KEYED}


async def view(**parts):
    return replace(FakeSite().view(), **parts)


def seen(view):
    return to_json(site_view(FakeSite().identity, view))


async def test_a_device_whose_sample_is_old_stays_and_is_unavailable():
    now = await view()
    later = seen(replace(now, now=now.now + 60.0))
    assert set(later["devices"]) == {"grid", "pv", "battery", "garage"}
    assert {d["available"] for d in later["devices"].values()} == {False}
    assert {d["sample"] for d in later["devices"].values()} == {None}


async def test_nothing_is_available_while_the_fast_path_is_dead():
    state = seen(await view(fast_path_alive=False))
    assert {d["available"] for d in state["devices"].values()} == {False}
    assert state["site"]["fast_path_alive"] is False


async def test_counters_are_the_guarded_ones_or_none():
    state = seen(await view(energy={"garage": EnergyTotals(7.0, 3.0)}))
    garage, grid = state["devices"]["garage"]["sample"], state["devices"]["grid"]["sample"]
    assert (garage["charged_wh"], garage["discharged_wh"]) == (7.0, 3.0)
    assert grid["import_wh"] is None


async def test_without_a_snapshot_there_are_no_devices_and_it_says_that_the_fast_path_is_dead():
    state = seen(await view(snapshot=None, fast_path_alive=False))
    assert state["devices"] == {}
    assert state["site"]["fast_path_alive"] is False


async def test_faults_of_both_processes_come_with_text_and_remedy_and_unknown_ones_do_not_hurt():
    now = await view()
    faults = (
        ActiveFault("journal_unwritable", "", now.utc, "disk full"),
        ActiveFault("new_one", "x", now.utc),
    )
    state = seen(replace(now, faults=faults))
    assert state["faults"][0]["remedy"]
    assert state["faults"][1]["text"] == "new_one"


async def test_an_expired_request_is_not_shown_and_the_price_now_is_the_slot_that_holds():
    now = await view()
    request = Request("r", "garage", "pause", now.utc)
    state = seen(replace(now, requests=(request,)))
    assert state["requests"] == []
    assert state["price_now"] == state["prices"][0]
    assert seen(replace(now, prices=()))["price_now"] is None


async def test_read_only_mappings_and_infinities_can_be_told():
    now = await view()
    state = seen(
        replace(
            now, energy=MappingProxyType({}), snapshot=replace(now.snapshot, devices=MappingProxyType({}))
        )
    )
    assert state["devices"] == {}
    assert json.loads(encode({"x": float("nan")})) == {"x": None}


async def test_what_is_told_reads_back_as_the_same_values():
    now = await view(owner=OwnerSettings(devices={"garage": DeviceSettings(floor_soc_pct=20.0)}))
    for value, kind in [
        (now.plan, Plan),
        (now.owner, OwnerSettings),
        (now.prices, tuple[PriceSlot, ...]),
        (now.events, tuple[GridEvent, ...]),
    ]:
        assert msgspec.json.decode(encode(value), type=kind) == value


async def test_time_alone_makes_no_change():
    now = await view()
    assert change(seen(now), seen(replace(now, now=now.now + 0.5, services_uptime_s=99.0, seq=99))) is None


ids = st.sampled_from(["grid", "garage", "battery"])
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
samples = st.none() | st.fixed_dictionaries({"at": st.floats(0, 9), "power_w": st.integers(0, 3)})
devices = st.fixed_dictionaries({"sample": samples, "age_s": st.floats(0, 9), "available": st.booleans()})
decisions = st.fixed_dictionaries(
    {"at": st.floats(0, 9), "utc": st.text(max_size=2), "power_w": st.integers(0, 3)}
)
states = st.fixed_dictionaries(
    {
        "api_version": st.just(1),
        "seq": st.integers(0, 100),
        "at": st.text(max_size=3),
        "site": st.fixed_dictionaries({"services_uptime_s": st.floats(0, 9), "observing": st.booleans()}),
        "devices": st.dictionaries(ids, devices),
        "vehicles": st.dictionaries(ids, devices),
        "equipment": st.dictionaries(ids, decisions),
        "control": st.dictionaries(ids, decisions),
        "urgencies": st.dictionaries(ids, decisions),
        "dynamics": st.dictionaries(ids, decisions),
        "decisions": st.dictionaries(ids, decisions),
        "requests": st.lists(json_values, max_size=2),
        "plan": json_values,
    }
)


@given(states, states)
def test_a_change_laid_over_the_old_state_is_the_new_one(old, new):
    message = change(old, new)
    if message is None:
        assert timeless(old) == timeless(new)
    else:
        assert timeless(apply_change(old, message)) == timeless(new)
        assert change(apply_change(old, message), new) is None


async def test_a_car_is_shown_with_the_source_and_the_age_of_what_it_tells():
    now = await view()
    told = {"soc_pct": Provenance(VehicleSource.CHADEMO, now.now - 42.0)}
    car = VehicleState("garage", True, 61.0, capacity_wh=36_000.0, provenance=told)
    trip = Trip("garage", now.utc, 80.0)
    at_hand = replace(now, snapshot=replace(now.snapshot, vehicles={"garage": car}), trips={"garage": trip})
    shown = to_json(site_view(FakeSite().identity, at_hand))["vehicles"]["garage"]
    assert (shown["soc_pct"], shown["sources"]) == (61.0, {"soc_pct": {"source": "chademo", "age_s": 42.0}})
    assert shown["last_trip"]["left_soc_pct"] == 80.0
