"""A Quasar that keeps its habits, and the hands of people, installers and other programs on it."""

import asyncio

import pytest

from gateway.devices.quasar import MEANINGS, SocReading, State, error_text
from gateway.faults import FaultCode
from gateway.model import EvseState, Reason, Rung, Setpoint
from tests.gateway.devices.modbus_charger.paper import on_paper

CONTROL, AUTO_START, SETPOINT_TYPE, LEASE, ACTION, CURRENT, POWER = 81, 82, 83, 88, 257, 258, 260
TAKE = [(CONTROL, (1,)), (AUTO_START, (0,)), (SETPOINT_TYPE, (1,)), (LEASE, (30,))]


def word(power_w):
    return (power_w & 0xFFFF,)


# ── a session ────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_paper("quasar")
async def test_control_is_taken_in_the_makers_order_and_a_session_begins_at_one_watt(house):
    house.wish = -3000.0
    await house.until(lambda: house.last.state is EvseState.READY, 20)
    assert house.writes()[:6] == [*TAKE, (POWER, (1,)), (ACTION, (1,))]
    assert house.last.vehicle.soc_pct == 62.0
    await house.until(lambda: house.truth.ac_w < -2500, 5)
    assert house.writes()[6:] == [(POWER, word(-3000))]
    await asyncio.sleep(2)
    assert house.last.applied_w == -3000.0
    assert -3000 < house.last.power_w < -0.81 * 3000
    assert house.faults == {}


@on_paper("quasar")
async def test_identity_and_rating_are_read_and_registers_that_are_not_there_are_no_error(house):
    (info,) = house.slot.infos
    assert (info.maker, info.model, info.serial, info.version) == ("Wallbox", "QSX3-DEMO01", "347339", "3400")
    assert (info.rated.min_w, info.rated.max_w) == (-7400, 7400)


@on_paper("quasar", max_charge_w=4000, max_discharge_w=0)
async def test_options_narrow_it_and_no_discharge_means_none(house):
    house.wish = -3000.0
    await house.until(lambda: house.last.state is EvseState.READY, 20)
    await asyncio.sleep(10)
    assert (house.last.charge_max_w, house.last.discharge_max_w) == (4000, 0)
    assert not house.last.vehicle.discharge_compatible
    assert house.truth.ac_w > -20


@on_paper("quasar")
async def test_the_state_of_charge_is_told_under_current_alone(house):
    assert house.last.vehicle.soc_pct is None
    await house.flow(2000.0)
    assert house.last.vehicle.soc_pct == 62.0
    house.wish = 0.0
    await house.until(lambda: house.last.power_w < 100, 6)
    await asyncio.sleep(2)
    assert house.last.state is EvseState.READY
    assert house.last.vehicle.soc_pct is None


@on_paper("quasar", soc_pct=0.0)
async def test_without_a_state_of_charge_a_session_waits_a_minute_and_not_for_ever(house):
    house.wish = 2000.0
    took_s = await house.until(lambda: house.last.state is EvseState.READY, 70)
    assert 59 < took_s < 65
    assert house.last.vehicle.soc_pct is None
    assert next(values for address, values in house.writes() if address == POWER) == (1,)
    await house.until(lambda: house.truth.ac_w > 1600, 6)


@on_paper("quasar")
async def test_what_is_too_little_to_flow_is_not_ordered_and_told_as_nothing(house):
    await house.flow(1500.0)
    for wish_w in (689.0, -400.0, 1.0):
        house.wish = wish_w
        await asyncio.sleep(6)
        assert house.last.applied_w == 0.0
        assert abs(house.truth.ac_w) < 20
    assert house.faults == {}


@on_paper("quasar")
async def test_ten_minutes_without_a_change_are_only_renewals_of_what_flows(house):
    await house.flow(-2000.0)
    await asyncio.sleep(30)
    since = house.now
    await asyncio.sleep(600)
    assert set(house.writes(since)) == {(POWER, word(house.kept(POWER) - 0x10000))}
    assert len(house.writes(since)) <= 600 / 7.5
    assert house.truth.ac_w == pytest.approx(-2000, abs=30), "what is lost on the way was added"


@on_paper("quasar")
async def test_at_rest_nothing_is_written(house):
    await house.flow(-2000.0)
    house.wish = 0.0
    await asyncio.sleep(30)
    since = house.now
    await asyncio.sleep(600)
    assert house.writes(since) == []


@pytest.mark.parametrize("charger", ["quasar", "bidipro"])
def test_an_unchanged_order_stays_alive_at_a_charger_whose_timeout_reading_does_not_feed(charger):
    @on_paper(charger)
    async def story(house):
        house.unit.fed_by_reads = False
        await house.flow(-3000.0)
        since = house.now
        while house.now < since + 300:
            assert house.truth.ac_w < -2300
            await asyncio.sleep(1)
        assert house.faults == {}
        house.wish = 0.0
        await asyncio.sleep(120)
        await house.flow(-3000.0)

    story()


@on_paper("quasar")
async def test_a_renewal_does_not_write_over_what_another_has_ordered(house):
    await house.flow(2000.0)
    await asyncio.sleep(20)
    ordered, since = house.kept(POWER), house.now
    house.unit.write_registers(POWER, word(1000))
    await house.device._panel.renew(ordered)
    assert house.writes(since) == []


@on_paper("quasar")
async def test_a_wandering_wish_is_written_once_the_charger_has_settled(house):
    await house.flow(2000.0)
    since = house.now
    for step in range(100):
        house.wish = 2000.0 + step % 3
        await asyncio.sleep(0.1)
    assert len(house.writes(since)) <= 5


@on_paper("quasar", soc_pct=0.0)
async def test_a_state_of_charge_that_was_not_to_be_had_is_sought_again_in_a_quarter_of_an_hour(house):
    house.wish = 0.0
    await house.until(lambda: house.last.state is EvseState.READY, 70)
    house.pack.soc_pct = 62.0
    await house.until(lambda: house.last.vehicle.soc_pct == 62.0, 920)
    await house.until(lambda: house.last.state is EvseState.READY and house.kept(POWER) == 0, 5)


@on_paper("quasar")
async def test_after_a_long_silence_the_state_of_charge_is_sought_again(house):
    await house.flow(-2000.0)
    house.wish = 0.0
    house.unit.silent = True
    await asyncio.sleep(120)
    house.unit.silent = False
    since = house.now
    await house.until(lambda: house.last.at > since and house.last.vehicle.soc_pct is not None, 60)


@pytest.mark.parametrize("power_w", [7400.0, -7400.0])
def test_stop_takes_the_current_away_within_five_seconds(power_w):
    @on_paper("quasar")
    async def story(house):
        await house.flow(power_w)
        house.wish, house.engage = 0.0, False
        assert await house.until(lambda: abs(house.truth.current_a) <= 1, 5) < 5
        await house.until(lambda: not house.truth.engaged, 5)
        await asyncio.sleep(60)
        assert house.unit.remote, "control is kept, so that the app starts nothing"
        assert house.last.state is EvseState.PLUGGED

    story()


@on_paper("quasar")
async def test_a_set_point_that_cannot_be_written_does_not_keep_the_charger_from_being_stopped(house):
    await house.flow(-3000.0)
    house.bus.no = lambda address, values: address == POWER
    house.wish, house.engage = 0.0, False
    assert await house.until(lambda: abs(house.truth.current_a) <= 1, 5) < 5


@pytest.mark.parametrize("charger", ["quasar", "bidipro"])
def test_a_charger_that_takes_no_end_is_left_in_silence_until_its_lease_ends(charger):
    @on_paper(charger)
    async def story(house):
        await house.flow(-3000.0)
        await asyncio.sleep(10)
        house.bus.no = lambda address, values: True
        house.wish = 0.0
        took_s = await house.until(lambda: abs(house.truth.current_a) <= 1, 60)
        assert took_s < 60
        assert FaultCode.DEVICE_UNREACHABLE in house.faults
        assert "0 W" in house.faults[FaultCode.DEVICE_UNREACHABLE]
        house.bus.no = lambda address, values: False
        house.wish = -3000.0
        await house.until(lambda: house.truth.ac_w < -2500, 90)
        assert house.faults == {}

    story()


@on_paper("quasar")
async def test_a_charger_in_its_error_state_that_takes_no_write_is_told_as_that_and_not_as_lost(house):
    await house.flow(-3000.0)
    house.bus.no = lambda address, values: True
    house.unit.errors = 0x0004
    await house.until(lambda: FaultCode.DEVICE_FAULT in house.faults, 3)
    since = house.now
    while house.now < since + 60:
        assert FaultCode.DEVICE_UNREACHABLE not in house.faults
        await asyncio.sleep(1)


@on_paper("quasar")
async def test_what_a_predecessor_left_and_cannot_be_ended_is_left_in_silence_as_well(house):
    await house.flow(-3000.0)
    await house.die()
    house.start()
    house.bus.no = lambda address, values: True
    await house.until(lambda: abs(house.truth.current_a) <= 1, 60)


@on_paper("quasar")
async def test_a_pause_outlives_unplugging_and_ends_with_the_next_wish(house):
    await house.flow(3000.0)
    house.wish, house.engage = 0.0, False
    await asyncio.sleep(5)
    house.plugged = False
    await house.until(lambda: house.last.state is EvseState.UNPLUGGED, 10)
    house.plugged = True
    await asyncio.sleep(30)
    assert house.truth.ac_w < 20
    house.engage = True
    await house.flow(3000.0)


@on_paper("quasar")
async def test_unplugging_leaves_no_order_behind(house):
    await house.flow(3000.0)
    house.plugged = False
    await house.until(lambda: house.last.state is EvseState.UNPLUGGED, 3)
    await asyncio.sleep(1)
    assert house.writes()[-2:] == [(POWER, (0,)), (ACTION, (2,))]
    assert house.last.vehicle is None


# ── leaving ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_paper("quasar")
async def test_release_ends_session_and_control(house):
    await house.flow(-3000.0)
    since = house.now
    async with asyncio.timeout(5):
        await house.device.release()
    assert house.writes(since) == [(POWER, (0,)), (ACTION, (2,)), (CONTROL, (0,))]
    await house.until(lambda: abs(house.truth.current_a) < 1, 5)
    await asyncio.sleep(10)
    assert len(house.writes(since)) == 3, "later wishes are ignored"


@on_paper("quasar")
async def test_cancellation_hands_it_back_as_well(house):
    await house.flow(-3000.0)
    await house.end()
    assert not house.unit.remote
    await house.until(lambda: abs(house.truth.current_a) < 1, 5)


@on_paper("quasar")
async def test_an_expired_wish_is_nothing_at_once_and_hands_back_after_half_a_minute(house):
    await house.flow(-3000.0)
    house.wish = None
    await house.until(lambda: abs(house.truth.current_a) <= 1, 3 + 5)
    assert house.unit.remote
    await house.until(lambda: not house.unit.remote, 32)


@on_paper("quasar")
async def test_control_that_is_turned_off_hands_back_at_once(house):
    await house.flow(-3000.0)
    house.wish = None
    house.device.apply(Setpoint("garage", 0.0, house.now, Reason(Rung.IDLE, "off"), engage=False))
    await house.until(lambda: not house.unit.remote, 1)


# ── a predecessor ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("power_w", [7400.0, -7400.0])
def test_death_leaves_no_current_after_the_time_on_the_card(power_w):
    @on_paper("quasar")
    async def story(house):
        await house.flow(power_w)
        at_most_s = house.device.card.discharging_at_most_s
        await house.die()
        await house.until(lambda: abs(house.truth.current_a) < 0.5, at_most_s)

    story()


@on_paper("quasar")
async def test_what_a_dead_predecessor_ordered_is_ended_before_anything_else_is_written(house):
    await house.flow(-3000.0)
    await house.die()
    house.start()
    await house.until(house.writes, 5)
    assert house.writes() == [(POWER, (0,))]
    await house.until(lambda: house.truth.ac_w < -2500, 30)


@on_paper("quasar")
async def test_what_another_program_left_running_by_its_current_is_ended_at_once(house):
    await house.end()
    for address, value in ((CONTROL, 1), (SETPOINT_TYPE, 0), (CURRENT, 10), (ACTION, 1)):
        house.unit.write_registers(address, (value,))
    await house.until(lambda: house.truth.ac_w > 1500, 20)
    house.start()
    await house.until(lambda: abs(house.truth.current_a) < 1, 5)
    assert house.writes() == [(ACTION, (2,))]


@on_paper("quasar")
async def test_a_predecessors_control_is_handed_back_when_nobody_asks_for_anything(house):
    await house.flow(-3000.0)
    house.wish = None
    await house.die()
    house.start()
    await house.until(lambda: not house.unit.remote, 35)
    assert house.writes()[0] == (POWER, (0,))


@on_paper("quasar")
async def test_who_only_observes_writes_nothing(house):
    await asyncio.sleep(120)
    assert house.bus.written == []
    assert house.last.state is EvseState.PLUGGED
    assert house.last.charge_max_w == 0


# ── other hands ──────────────────────────────────────────────────────────────────────────────────────────────────────


@on_paper("quasar")
async def test_a_discharge_that_is_acknowledged_and_not_done_is_named_within_half_a_minute(house):
    house.unit.refuses_discharge = True
    house.wish = -3000.0
    await house.until(lambda: house.last.state is EvseState.READY, 20)
    await house.until(lambda: FaultCode.DEVICE_REFUSED in house.faults, 30)
    assert "grid code" in house.faults[FaultCode.DEVICE_REFUSED]
    assert house.last.discharge_max_w == 0
    assert house.last.charge_max_w == 7400
    assert not house.last.vehicle.discharge_compatible
    await asyncio.sleep(120)
    assert house.kept(POWER) == 0
    house.unit.refuses_discharge = False
    house.plugged = False
    await house.until(lambda: house.last.state is EvseState.UNPLUGGED, 10)
    house.plugged = True
    await house.flow(-3000.0)
    assert house.faults == {}


@on_paper("quasar")
async def test_a_discharge_that_is_answered_no_is_named_after_the_second_no_and_tried_again_in_an_hour(house):
    house.bus.no = lambda address, values: address == POWER and values[0] >= 0x8000
    house.wish = -3000.0
    await house.until(lambda: FaultCode.DEVICE_REFUSED in house.faults, 30)
    await house.until(lambda: house.last.discharge_max_w == 0 and house.last.state is EvseState.READY, 10)
    tries = len([1 for address, values in house.writes() if address == POWER and values[0] >= 0x8000])
    assert tries == 2
    await house.flow(2000.0)
    house.wish = -3000.0
    house.bus.no = lambda address, values: False
    house.hurry()
    await house.until(lambda: house.truth.ac_w < -2500, 3700)


@on_paper("quasar")
async def test_the_owner_takes_control_in_the_app_and_keeps_it(house):
    await house.flow(2000.0)
    house.unit.app(True)
    await house.until(lambda: FaultCode.SECOND_MASTER in house.faults, 7)
    since = house.now
    await asyncio.sleep(600)
    assert house.writes(since) == []
    assert (house.last.state, house.last.charge_max_w) == (EvseState.PLUGGED, 0)
    house.plugged = False
    await house.until(lambda: house.last.state is EvseState.UNPLUGGED, 10)
    house.plugged = True
    await house.flow(2000.0)
    assert house.faults == {}


@on_paper("quasar")
async def test_a_pause_and_a_new_wish_take_control_from_the_app(house):
    await house.flow(2000.0)
    house.unit.app(True)
    await house.until(lambda: FaultCode.SECOND_MASTER in house.faults, 7)
    house.engage = False
    await asyncio.sleep(2)
    house.engage = True
    await house.flow(2000.0)


@on_paper("quasar")
async def test_after_an_hour_the_app_had_its_time(house):
    await house.flow(2000.0)
    house.unit.app(True)
    await house.until(lambda: house.truth.ac_w < 20, 5)
    house.hurry()
    assert await house.until(lambda: house.truth.ac_w > 1600, 3700) > 3580


@on_paper("quasar")
async def test_a_foreign_write_is_undone_once_and_the_second_within_a_minute_means_another_master(house):
    await house.flow(2000.0)
    await asyncio.sleep(20)
    ordered = house.kept(POWER)
    house.unit.write_registers(POWER, word(-4000))
    await house.until(lambda: house.kept(POWER) == ordered, 6)
    assert house.faults == {}
    await asyncio.sleep(20)
    house.unit.write_registers(POWER, word(-4000))
    await house.until(lambda: FaultCode.SECOND_MASTER in house.faults, 6)
    await house.until(lambda: not house.unit.remote and abs(house.truth.current_a) < 1, 5)
    since = house.now
    await asyncio.sleep(300)
    assert house.writes(since) == []


@on_paper("quasar")
async def test_a_foreign_write_that_an_order_of_ours_replaced_is_told_once_by_the_next_look(house):
    await house.flow(2000.0)
    await asyncio.sleep(20)
    ordered, panel = house.kept(POWER), house.device._panel
    house.unit.write_registers(POWER, word(1000))
    await panel.order(ordered)
    assert [(await panel.look(0.0)).kept_w for _ in range(2)] == [1000.0, ordered]


@on_paper("quasar")
async def test_foreign_writes_an_hour_apart_are_only_undone(house):
    await house.flow(2000.0)
    await asyncio.sleep(20)
    for _ in range(3):
        house.unit.write_registers(POWER, word(1000))
        await house.until(lambda: house.kept(POWER) != 1000, 6)
        await asyncio.sleep(100)
    assert house.faults == {}


@on_paper("quasar")
async def test_a_lost_idle_timeout_is_armed_again_within_seconds(house):
    await house.flow(-2000.0)
    house.unit.write_registers(LEASE, (0,))
    await house.until(lambda: house.kept(LEASE) == 30, 6)
    await house.flow(-2000.0)
    assert house.faults == {}


@on_paper("quasar")
async def test_a_charger_without_an_idle_timeout_is_never_commanded(house):
    house.bus.no = lambda address, values: address == LEASE
    house.wish = 2000.0
    await house.until(lambda: FaultCode.DEVICE_REFUSED in house.faults, 10)
    await asyncio.sleep(60)
    assert house.truth.ac_w < 20
    assert ACTION not in {address for address, _ in house.writes()}


# ── its own troubles ─────────────────────────────────────────────────────────────────────────────────────────────────


@on_paper("quasar")
async def test_after_a_restart_control_is_taken_anew_and_its_passing_error_is_no_fault(house):
    await house.flow(-3000.0)
    house.unit.reboot()
    await house.until(lambda: FaultCode.DEVICE_UNREACHABLE in house.faults, 10)
    assert "stop button" in house.faults[FaultCode.DEVICE_UNREACHABLE]
    await house.until(lambda: house.last.state is EvseState.FAULT, 30)
    assert FaultCode.DEVICE_FAULT not in house.faults
    await house.until(lambda: house.truth.ac_w < -2500, 60)
    assert house.faults == {}


@on_paper("quasar")
async def test_an_error_that_stays_after_a_restart_is_told_after_five_minutes(house):
    await house.flow(-3000.0)
    house.unit.reboot()
    house.unit.errors = 0x0004
    await house.until(lambda: house.last.state is EvseState.FAULT, 40)
    took_s = await house.until(lambda: FaultCode.DEVICE_FAULT in house.faults, 310)
    assert took_s > 250


@on_paper("quasar")
async def test_an_error_out_of_the_blue_is_named_at_once_and_ends_the_session(house):
    await house.flow(-3000.0)
    house.unit.errors = 0x0004
    await house.until(lambda: FaultCode.DEVICE_FAULT in house.faults, 3)
    assert "register 539: 0x0004" in house.faults[FaultCode.DEVICE_FAULT]
    assert house.last.discharge_max_w == 0
    house.unit.errors = 0
    await house.until(lambda: house.truth.ac_w < -2500 and not house.faults, 30)


@on_paper("quasar")
async def test_a_hanging_server_is_told_with_what_to_do_and_control_comes_back_after_a_look(house):
    await house.flow(-3000.0)
    house.unit.silent = True
    assert await house.until(lambda: FaultCode.DEVICE_UNREACHABLE in house.faults, 15) < 5
    assert "known to hang" in house.faults[FaultCode.DEVICE_UNREACHABLE]
    await house.until(lambda: abs(house.truth.current_a) < 0.5, 35)
    await asyncio.sleep(300)
    house.unit.silent = False
    since = house.now
    await house.until(lambda: FaultCode.DEVICE_UNREACHABLE not in house.faults, 35)
    assert house.writes(since)[0] == (POWER, (0,))
    await house.until(lambda: house.truth.ac_w < -2500, 30)


@on_paper("quasar")
async def test_an_order_that_is_not_followed_is_told(house):
    await house.flow(2000.0)
    house.pack.soc_pct = 97.5
    house.truth.soc_pct = 97.5
    await house.until(lambda: FaultCode.SETPOINT_NOT_FOLLOWED in house.faults, 40)


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_state_has_a_meaning():
    assert set(MEANINGS) == set(State)
    assert [s for s in State if MEANINGS[s].state is EvseState.UNPLUGGED] == [
        State.NO_CAR,
        State.NO_CAR_AND_LOCKED,
    ]
    for state in (State.ERROR, State.POWER_SHARING_UNCONFIGURED):
        assert error_text(state, dict.fromkeys(range(539, 543), 0))


def test_error_registers_are_named_whatever_the_state():
    assert error_text(State.CHARGING, {539: 0, 540: 0x10, 541: 0, 542: 0x8000}) == (
        "register 540: 0x0010, register 542: 0x8000"
    )
    assert error_text(State.CHARGING, dict.fromkeys(range(539, 543), 0)) == ""


@pytest.mark.parametrize(
    ("state", "told", "passed_on"),
    [
        (State.CHARGING, 55, 55.0),
        (State.DISCHARGING, 97, 97.0),
        (State.PAUSED, 55, None),
        (State.CHARGING, 0, None),
        (State.CHARGING, 98, None),
        (State.CHARGING, 101, None),
    ],
)
def test_only_what_can_be_true_is_passed_on(state, told, passed_on):
    assert SocReading().of(0.0, state, told) == passed_on


def test_a_car_that_came_full_is_believed_after_a_minute():
    reading = SocReading()
    assert reading.of(0.0, State.DISCHARGING, 99) is None
    assert reading.of(59.0, State.DISCHARGING, 99) is None
    assert reading.of(60.0, State.DISCHARGING, 99) == 99.0
    assert reading.of(61.0, State.DISCHARGING, 97) == 97.0
    assert reading.of(62.0, State.DISCHARGING, 99) is None, "a glitch begins its minute anew"
