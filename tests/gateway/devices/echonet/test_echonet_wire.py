"""The real driver against the simulated V2H unit, over UDP on the loopback."""

import asyncio
import socket

import pytest

from gateway.devices import open_device
from gateway.devices.echonet import evse, order
from gateway.devices.echonet.properties import Epc
from gateway.faults import FaultCode
from gateway.model import EvseState
from gateway.simulator.echonet_unit import CHARGE, DISCHARGE, STANDBY, EchonetUnit
from tests.gateway.devices.echonet.unit_on_wire import Scene, UnitOnWire
from tests.gateway.devices.slot import Slot

RELEASES = ["P", "N", "J"]


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Let the slow patience of real units pass quickly; their order is what matters."""
    monkeypatch.setattr(order, "SETTLE_S", 0.4)
    monkeypatch.setattr(order, "AGAIN_S", 0.8)
    monkeypatch.setattr(order, "CHANGE_GAP_S", 0.1)
    monkeypatch.setattr(order, "_BOUNDS", {Epc.CHARGE_BOUND: 0.4, Epc.DISCHARGE_BOUND: 0.05})


@pytest.fixture
def unused_port():
    with socket.socket(type=socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        return unused.getsockname()[1]


@pytest.fixture(params=RELEASES)
async def scene(request):
    async with Scene(EchonetUnit(request.param)) as built:
        yield built


@pytest.fixture
async def newest():
    async with Scene(EchonetUnit()) as built:
        yield built


async def running(scene, power_w, **options):
    scene.start(**options)
    scene.wish(power_w)
    await scene.until(lambda: near(scene, power_w))


def near(scene, power_w):
    return abs(scene.unit.charger.ac_w - power_w) < 100


def ready(scene):
    return scene.last is not None and scene.last.state is EvseState.READY


async def test_it_charges_and_discharges_as_each_release_allows(scene):
    await running(scene, 3000.0)
    await scene.until(lambda: scene.last.power_w == pytest.approx(3000, abs=50))
    scene.wish(-2000.0)
    await scene.until(lambda: near(scene, -2000))
    await scene.until(lambda: scene.last.applied_w == -2000)
    assert scene.last.vehicle.soc_pct == pytest.approx(60, abs=1)
    assert scene.last.vehicle.capacity_wh == 35_400
    assert scene.slot.infos[-1].rated.min_w == -6000
    assert scene.slot.faults == {}


async def test_a_watched_unit_is_never_written_to(newest):
    newest.start()
    await newest.until(lambda: newest.last is not None)
    await asyncio.sleep(0.6)
    assert newest.unit.orders == []
    assert newest.last.state is EvseState.PLUGGED


async def test_the_car_is_confirmed_before_the_session(newest):
    newest.start()
    newest.wish(0.0)
    await newest.until(lambda: newest.last is not None and newest.last.state is EvseState.STARTING)
    assert newest.last.charge_max_w == 0
    await newest.until(lambda: ready(newest))
    assert [epc for epc, _ in newest.unit.orders] == [0xCD]
    assert (newest.last.charge_max_w, newest.last.discharge_max_w) == (6000, 6000)


async def test_the_owners_stop_ends_the_session(newest):
    await running(newest, 3000.0)
    newest.wish(0.0, engage=False)
    await newest.until(lambda: not newest.unit.charger.engaged)
    await newest.until(lambda: newest.last.state is EvseState.PLUGGED)


async def test_a_unit_that_knows_no_idle_mode_is_stopped_in_standby(newest):
    await running(newest, 3000.0)
    newest.unit.refused_values = {(0xDA, 0x47)}
    newest.wish(0.0, engage=False)
    await newest.until(lambda: newest.unit.mode == STANDBY)
    await newest.until(lambda: FaultCode.DEVICE_REFUSED not in newest.slot.faults)


@pytest.mark.parametrize("what", ["ignores", "says_no"])
async def test_a_refusal_is_named(newest, what):
    newest.start()
    newest.wish(0.0)
    await newest.until(lambda: ready(newest))
    setattr(newest.unit, what, {0xE0})
    newest.wish(3000.0)
    await newest.until(lambda: FaultCode.DEVICE_REFUSED in newest.slot.faults)
    assert "0xE0" in newest.slot.faults[FaultCode.DEVICE_REFUSED]
    assert newest.last.applied_w is None
    setattr(newest.unit, what, set())
    await newest.until(lambda: near(newest, 3000) and FaultCode.DEVICE_REFUSED not in newest.slot.faults)


async def test_a_discharge_that_is_not_done_is_noticed(newest, monkeypatch):
    monkeypatch.setattr("gateway.devices.following.FOLLOW_WITHIN_S", 0.5)
    await running(newest, -3000.0)
    newest.unit.charger.rated_w = 1.0
    await newest.until(lambda: FaultCode.SETPOINT_NOT_FOLLOWED in newest.slot.faults)


async def test_lost_datagrams_cost_time_and_nothing_else(newest):
    newest.unit.loss = 0.1
    newest.start()
    newest.driver._node._answer_s = 0.05
    newest.wish(3000.0)
    await newest.until(lambda: near(newest, 3000))
    newest.wish(-3000.0)
    await newest.until(lambda: near(newest, -3000))


async def test_a_silent_unit_is_lost_and_looked_at_anew_before_it_is_ordered(newest):
    await running(newest, 3000.0)
    newest.unit.silent = True
    await newest.until(lambda: FaultCode.DEVICE_UNREACHABLE in newest.slot.faults)
    newest.unit.reboot()
    newest.unit.orders.clear()
    newest.unit.silent = False
    await newest.until(lambda: FaultCode.DEVICE_UNREACHABLE not in newest.slot.faults)
    await newest.until(lambda: near(newest, 3000))
    assert newest.unit.orders[0][0] == 0xCD


async def test_another_controller_that_insists_is_let_and_told(newest):
    await running(newest, 3000.0)
    for _ in range(2):
        await newest.until(lambda: newest.last is not None and newest.last.applied_w == 3000)
        newest.slot.samples.clear()
        newest.unit.meddle(0xE0, 5000)
        await newest.until(lambda: any(s.applied_w is None for s in newest.slot.samples))
    await newest.until(lambda: "another controller" in newest.slot.faults.get(FaultCode.DEVICE_REFUSED, ""))
    before = len(newest.unit.orders)
    await asyncio.sleep(0.5)
    assert len(newest.unit.orders) == before
    assert newest.last.state is EvseState.PLUGGED


async def test_a_stop_at_the_unit_holds_until_the_car_was_unplugged(newest):
    await running(newest, 3000.0)
    newest.unit.app(True)
    await newest.until(lambda: newest.last.stop_cause == "owner_stop")
    await asyncio.sleep(0.5)
    assert newest.unit.mode == STANDBY
    newest.plugged = False
    await newest.until(lambda: newest.last.state is EvseState.UNPLUGGED)
    newest.plugged = True
    await newest.until(lambda: near(newest, 3000))


async def test_a_renewed_setpoint_is_no_reason_to_ask_the_unit(newest, monkeypatch):
    monkeypatch.setattr(order, "_BOUNDS", {Epc.CHARGE_BOUND: 2.0, Epc.DISCHARGE_BOUND: 2.0})
    await running(newest, 3000.0, poll_s=1.0)
    await newest.until(lambda: newest.last.applied_w == 3000)
    newest.slot.samples.clear()
    await asyncio.sleep(2.0)  # twenty renewals
    assert len(newest.slot.samples) <= 6


async def test_a_property_of_a_wrong_size_costs_a_reading_and_no_session(newest, monkeypatch):
    await running(newest, 3000.0)
    monkeypatch.setattr(newest.unit, "_read", lambda epc: b"\x01\x02\x03")
    await newest.until(lambda: FaultCode.IMPLAUSIBLE_READING in newest.slot.faults)
    monkeypatch.undo()
    await newest.until(lambda: FaultCode.IMPLAUSIBLE_READING not in newest.slot.faults)
    assert near(newest, 3000)
    assert FaultCode.DEVICE_UNREACHABLE not in newest.slot.faults


async def test_a_unit_that_cannot_be_read_any_more_is_set_to_standby_in_five_seconds(newest, monkeypatch):
    await running(newest, 3000.0)
    newest.hurry = 1.0
    monkeypatch.setattr(newest.unit, "_read", lambda epc: b"\x01\x02\x03")
    await newest.until(lambda: newest.unit.mode == STANDBY, 5)
    assert FaultCode.IMPLAUSIBLE_READING in newest.slot.faults


async def test_an_unplugged_car_is_seen_by_the_units_own_word(newest):
    await running(newest, 3000.0, poll_s=4.0)
    newest.plugged = False
    await newest.until(lambda: newest.last.state is EvseState.UNPLUGGED, 2)


async def test_without_a_proven_bound_it_never_discharges(newest):
    await running(newest, 2000.0, bounded=False)
    assert FaultCode.FAIL_SAFE_UNPROVEN in newest.slot.faults
    assert newest.driver.card.discharging_at_most_s is None
    newest.wish(-2000.0)
    await newest.until(lambda: newest.unit.mode == STANDBY)
    await asyncio.sleep(0.3)
    assert DISCHARGE.to_bytes() not in {edt for epc, edt in newest.unit.orders if epc == 0xDA}


async def test_a_unit_without_an_energy_bound_is_not_taken_for_bounded(newest, monkeypatch):
    monkeypatch.setattr("gateway.simulator.echonet_unit._SETTABLE", {0xCD, 0xDA, 0xEB, 0xEC})
    await running(newest, 2000.0)
    assert newest.driver.card.discharging_at_most_s is None
    assert FaultCode.FAIL_SAFE_UNPROVEN in newest.slot.faults


async def die(scene, monkeypatch):
    """End the driver without a word to the unit, as our death does."""

    async def say_nothing(_):
        await asyncio.sleep(0)

    monkeypatch.setattr(evse.EchonetEvse, "_make_safe", say_nothing)
    scene.running.cancel()
    await scene.until(scene.running.done)
    scene.setpoint = None


@pytest.mark.parametrize("power_w", [5000.0, -5000.0])
async def test_after_our_death_the_bound_ends_current_within_the_cards_time(scene, monkeypatch, power_w):
    await running(scene, power_w)
    scene.hurry = 40.0
    await die(scene, monkeypatch)
    moved_wh = scene.unit.charger.charged_wh + scene.unit.charger.discharged_wh
    await scene.until(lambda: scene.unit.mode == STANDBY and near(scene, 0))
    moved_wh = scene.unit.charger.charged_wh + scene.unit.charger.discharged_wh - moved_wh
    assert moved_wh * 3600 / abs(power_w) < scene.driver.card.discharging_at_most_s


@pytest.mark.parametrize("car_takes_w", [500.0, 2000.0])
async def test_a_death_just_after_the_order_ends_in_a_minute_however_little_the_car_gives(
    newest, monkeypatch, car_takes_w
):
    newest.unit.charger.rated_w = car_takes_w
    await running(newest, -500.0)
    newest.wish(-5000.0)
    await newest.until(lambda: near(newest, -car_takes_w) and newest.unit._kept[0xE0] == -5000)
    await die(newest, monkeypatch)
    moved_wh = newest.unit.charger.discharged_wh
    newest.hurry = 40.0
    await newest.until(lambda: newest.unit.mode == STANDBY)
    moved_wh = newest.unit.charger.discharged_wh - moved_wh
    assert moved_wh * 3600 / car_takes_w < newest.driver.card.discharging_at_most_s


async def test_a_unit_that_tells_no_least_power_is_charged_alone(newest, monkeypatch):
    monkeypatch.setattr("gateway.simulator.echonet_unit.LEAST_W", 0)
    await running(newest, 2000.0)
    newest.wish(-2000.0)
    await newest.until(lambda: near(newest, 0))
    assert "0xC9" in newest.slot.faults[FaultCode.FAIL_SAFE_UNPROVEN]
    assert newest.last.discharge_max_w == 0


async def test_where_the_bound_does_nothing_the_order_goes_on(newest, monkeypatch):
    newest.unit.bound_works = False
    await running(newest, -5000.0)
    newest.hurry = 40.0
    await die(newest, monkeypatch)
    await asyncio.sleep(2.0)  # 80 s for the unit
    assert near(newest, -5000)


async def test_renewals_keep_an_order_alive(newest):
    newest.unit.bound_counts_down = True
    await running(newest, -5000.0)
    await asyncio.sleep(3.0)  # half a minute for the unit
    assert near(newest, -5000)
    assert newest.slot.faults == {}


@pytest.mark.parametrize("release", RELEASES)
async def test_what_a_dead_predecessor_left_is_ended_first(release):
    async with Scene(EchonetUnit(release)) as scene:
        for epc, value in ((0xDC, 3), (0xDD, 3), (0xEC, 4000), (0xDA, DISCHARGE)):
            scene.unit.meddle(epc, value)
        await scene.until(lambda: near(scene, -4000))
        scene.start()
        await scene.until(lambda: near(scene, 0))
        assert scene.unit.orders[0] == (0xDA, STANDBY.to_bytes())


async def test_a_programme_of_the_units_own_is_left_alone_until_control_is_on(newest):
    newest.unit.meddle(0xDA, CHARGE)
    newest.start()
    await newest.until(lambda: newest.last is not None and newest.last.power_w > 5000)
    await asyncio.sleep(0.4)
    assert newest.unit.orders == []


async def test_an_expired_wish_and_a_shutdown_leave_standby_and_the_units_own_methods(newest):
    await running(newest, 3000.0)
    await newest.driver.release()
    assert newest.unit.mode == STANDBY
    assert newest.unit._kept[0xDC] == 1
    assert newest.unit._kept[0xDD] == 2
    assert newest.unit._kept[0xE7] == 0


async def test_cancellation_leaves_standby(newest):
    await running(newest, -3000.0)
    newest.running.cancel()
    await newest.until(lambda: newest.unit.mode == STANDBY)


async def test_two_units_that_answer_to_the_same_port_are_heard_apart(newest, unused_port):
    there = EchonetUnit()
    there.errors = 0x0102
    async with UnitOnWire(there, host="127.0.0.2") as wire:
        newest.start(listen_port=unused_port)
        other = Slot()
        table = {"name": "V2H", "host": "127.0.0.2", "port": wire.port, "listen": "127.0.0.1"}
        second = open_device("barn", "evse.echonet", table | {"listen_port": unused_port, "poll_s": 0.2})
        task = newest.tasks.create_task(second.run(other))
        await newest.until(lambda: newest.last and len(other.samples) > 3)
        assert FaultCode.DEVICE_FAULT in other.faults
        assert FaultCode.DEVICE_FAULT not in newest.slot.faults
        task.cancel()
        await asyncio.wait([task])
        newest.slot.samples.clear()
        await newest.until(lambda: len(newest.slot.samples) > 3)


async def test_the_units_own_fault_is_told_with_its_code(newest):
    await running(newest, 3000.0)
    newest.unit.errors = 0x0102
    await newest.until(lambda: newest.slot.faults.get(FaultCode.DEVICE_FAULT) == "fault 0x0102")
    await newest.until(lambda: newest.last.state is EvseState.FAULT)
