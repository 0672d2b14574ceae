"""Each row of reference/can.md 3.9 and 3.8 that ends a session: what is seen, what is told to the car, in which order."""

from copy import replace

import pytest

from gateway.devices.chademo import limits
from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import MEANINGS, Cause
from gateway.devices.chademo.frames import (
    CarDischarge,
    CarFault,
    CarLimits,
    CarRequest,
    CarStatus,
    EvseCapability,
    EvseState,
    EvseStatus,
)
from gateway.devices.chademo.moment import RESTING, Charger, Inputs, Mode, Moment, Output, Progress, State
from gateway.devices.chademo.orders import Coils, ConverterOrder
from gateway.devices.chademo.session import inspected
from tests.gateway.devices.chademo.bench import STEP_S, Bench, PaperCar

OWN_FAULTS = [
    ("converter_fault", 4, Cause.CONVERTER_FAULT, EvseStatus.CHARGER_FAULT),
    ("converter_answers", False, Cause.CONVERTER_LOST, EvseStatus.CHARGER_FAULT),
    ("pilot_answers", False, Cause.PILOT_LOST, EvseStatus.CHARGER_FAULT),
    ("lock_stuck_open", True, Cause.LOCK_FAILED, EvseStatus.CHARGER_FAULT),
    ("emergency_stop", True, Cause.EMERGENCY_STOP, EvseStatus.SYSTEM_FAULT),
    ("insulation_ohm", 100.0, Cause.INSULATION, EvseStatus.SYSTEM_FAULT),
    ("inserted", False, Cause.UNPLUGGED, EvseStatus.SYSTEM_FAULT),
]


def charging(**switches) -> Bench:
    return Bench(**switches).until(State.ENERGISED).want(12).run(2)


def told(bench: Bench) -> list[int]:
    """The status bytes from now on, each once, until the session rests."""
    seen = [bench.status]
    while bench.progress.state not in RESTING:
        bench.tick()
        if bench.status not in (seen[-1], -1):
            seen.append(bench.status)
    return seen


def test_a_stop_of_the_owner_is_05_25_24_20():
    assert told(charging().release()) == [0x05, 0x25, 0x24, 0x20]


def test_a_stop_of_the_car_is_the_same():
    bench = charging()
    bench.car.wants_stop = True
    assert told(bench) == [0x05, 0x25, 0x24, 0x20]


def test_a_car_is_told_of_the_stop_for_longer_than_a_cycle_though_no_current_flows():
    bench = Bench().until(State.ENERGISED).want(0).run(1).release()
    told_s = 0.0
    while bench.progress.state is not State.OPENING:
        bench.tick()
        told_s += STEP_S * (bench.status == 0x25)
    assert told_s >= 0.1


def test_stop_and_charging_change_in_the_same_frame():
    bench = charging().release().run(STEP_S)
    assert bench.status & (EvseStatus.STOP | EvseStatus.CHARGING) == EvseStatus.STOP | EvseStatus.CHARGING
    assert bench.orders().converter.current_a == 0


def test_a_contactor_that_opens_under_permission_is_0_a_at_once_and_an_emergency():
    bench = charging()
    bench.car.opens_under_current = True
    bench.run(STEP_S)
    assert bench.orders().converter == ConverterOrder()
    bench.until(State.FAULT)
    assert bench.progress.cause is Cause.PERMISSION_WITHDRAWN


def test_a_car_that_was_faulty_stays_so_whatever_happens_to_us_afterwards():
    bench = charging()
    bench.car.faults = CarFault.OVER_VOLTAGE
    bench.until(State.STOPPING)
    bench.converter_answers = False
    bench.until(State.ISOLATING)
    bench.converter_answers = True
    bench.until(State.FAULT).run(30)
    assert (bench.progress.state, bench.progress.cause) == (State.FAULT, Cause.VEHICLE_FAULT)


def test_a_converter_that_is_lost_at_the_very_end_does_not_keep_the_car_awake():
    bench = charging().release().until(State.RELEASING)
    bench.converter_answers = False
    bench.run(limits.D1_OFF.keep_s + 2 * STEP_S)
    assert bench.orders().coils == Coils(lock=True)
    bench.converter_answers = True
    bench.until(State.IDLE, within=limits.BLEEDING.give_up_s + 20)


@pytest.mark.parametrize(
    ("mishap", "statuses"),
    [("converter_fault", [0x05, 0x27, 0x26, 0x22]), ("emergency_stop", [0x05, 0x35, 0x34, 0x30])],
)
def test_after_an_emergency_the_car_is_told_that_its_connector_is_unlocked(mishap, statuses):
    bench = charging()
    setattr(bench, mishap, True)
    assert told(bench) == statuses
    assert bench.progress.state is State.FAULT


def test_a_car_that_sends_all_but_102_is_silent():
    bench = charging()
    bench.car.forgets = CarRequest
    bench.run(limits.CAN_SILENT.give_up_s)
    assert bench.progress.state is State.ENERGISED
    bench.until(State.FAULT, within=5)
    assert bench.progress.cause is Cause.VEHICLE_SILENT


def test_a_discharge_ends_when_200_is_heard_no_longer():
    bench = Bench().until(State.ENERGISED).want(-8).run(2)
    assert bench.current_a == pytest.approx(-8)
    bench.car.forgets = CarDischarge
    bench.run(limits.FRAME_STALE.give_up_s + 2 * STEP_S)
    assert (bench.progress.state, bench.current_a) == (State.ENERGISED, 0.0)


@pytest.mark.parametrize("bit", range(8))
def test_a_fault_bit_stops_even_while_the_car_keeps_k_and_enable_until_the_current_is_0(bit):
    bench = charging(car=PaperCar(clings=True))
    bench.current_stuck = True
    bench.car.faults = CarFault(1 << bit)
    bench.run(0.5)
    assert bench.car.enabled
    assert bench.orders().converter.current_a == 0
    bench.current_stuck = False
    bench.until(State.FAULT)
    assert bench.progress.cause is Cause.VEHICLE_FAULT
    assert State.ABORTING not in bench.visited


@pytest.mark.parametrize(("switch", "value", "cause", "bit"), OWN_FAULTS)
def test_an_own_fault_says_stop_and_whose_fault_it_is_and_ends_in_the_order_that_protects_contactors(
    switch, value, cause, bit
):
    bench = charging()
    setattr(bench, switch, value)
    while bench.progress.state is State.ENERGISED:
        bench.tick()
    assert bench.progress.cause is cause
    assert bench.status & (EvseStatus.STOP | bit) == EvseStatus.STOP | bit
    assert bench.orders().converter.mode is Mode.OFF
    while bench.orders().coils.d2:
        bench.tick()
    assert abs(bench.current_a) <= 5
    assert bench.orders().coils.d1
    bench.run(limits.D1_OFF.keep_s + 0.1)
    assert not bench.orders().coils.d1


def test_k_that_opens_alone_is_0_a_at_once_and_at_most_5_a_within_half_a_second():
    bench = charging()
    bench.permits_override = False
    opened_at = bench.inputs.now
    bench.tick()
    assert bench.orders().converter.current_a == 0
    while abs(bench.current_a) > 5:
        bench.tick()
    assert bench.inputs.now - opened_at <= limits.CURRENT_END.keep_s
    bench.until(State.ABORTING, within=limits.K_ALONE.give_up_s + 0.1)
    assert bench.progress.cause is Cause.PERMISSION_WITHDRAWN
    assert bench.status == 0x35
    bench.until(State.FAULT, within=4)


def test_k_that_opens_shortly_before_the_cars_stop_is_a_stop():
    bench = charging()
    bench.permits_override = False
    bench.run(limits.K_ALONE.give_up_s - 0.1)
    bench.car.wants_stop = True
    bench.until(State.DONE)
    assert bench.progress.cause is Cause.VEHICLE_STOP


@pytest.mark.parametrize(
    ("charger", "car"),
    [
        (Charger(max_voltage_v=400.0), PaperCar()),
        (Charger(min_voltage_v=440.0), PaperCar()),
        (Charger(), PaperCar(min_current_a=16)),
    ],
    ids=["its target is above our voltage", "its maximum is below our minimum", "no current in common"],
)
def test_incompatible_is_decided_after_k_and_said_in_109_5_3(charger, car):
    bench = Bench(charger=charger, car=car)
    while bench.progress.state is not State.UNLOCKING:
        bench.tick()
        if not bench.car.permits:
            assert bench.progress.cause is Cause.NONE
    assert bench.progress.cause is Cause.INCOMPATIBLE
    assert bench.status == EvseStatus.STOP | EvseStatus.INCOMPATIBLE
    assert bench.until(State.FAULT).sleep(7200).progress.state is State.FAULT


def test_a_car_that_tells_no_maximum_yet_gets_our_own_as_threshold():
    half_filled = Car().heard(CarLimits(0, 0, 0, 0, 0xF0), 0.0)
    assert Moment(Progress(), Inputs(0.0, car=half_filled), Charger()).ceiling_v == 500


# ── the times of 3.8 that are ours to keep ──────────────────────────────────────────────────────────────────────────


def test_the_car_is_answered_soon_after_it_asks_for_current():
    bench = Bench().until(State.PRECHARGING)
    while not bench.car.current_a:
        bench.tick()
    asked_at = bench.inputs.now
    bench.until(State.ENERGISED)
    assert bench.inputs.now - asked_at <= limits.START.keep_s


def test_a_converter_that_is_not_ready_when_the_car_asks_is_our_fault_and_not_the_cars():
    bench = Bench(converter_stays_off=True).until(State.RELEASING)
    assert bench.progress.cause is Cause.NOT_READY
    assert bench.status & EvseStatus.CHARGER_FAULT
    bench.until(State.FAULT)


def test_d2_comes_within_20_s_of_k_or_not_at_all():
    bench = Bench().until(State.TESTING)
    bench.external_v = 0.0
    bench.charger = replace(bench.charger, max_voltage_v=1000.0)
    bench.voltage_held = 300.0
    bench.until(State.ISOLATING, within=25)
    assert State.CLOSING not in bench.visited
    assert bench.inputs.now - bench.progress.permitted_at <= limits.PREPARATION.give_up_s + 0.2


def test_the_unlock_waits_for_10_v_and_d1_goes_half_a_second_after_d2():
    bench = charging().release()
    d2_off_at = None
    while bench.progress.state is not State.DONE:
        was = bench.orders().coils
        bench.tick()
        coils = bench.orders().coils
        if was.d2 and not coils.d2:
            d2_off_at = bench.inputs.now
        if was.lock and not coils.lock:
            assert bench.voltage_v <= 10
        if was.d1 and not coils.d1:
            assert bench.inputs.now - d2_off_at >= limits.D1_OFF.keep_s
    assert d2_off_at is not None


@pytest.mark.parametrize("never_opens", [False, True])
def test_a_car_before_1_0_does_not_tell_of_its_contactor_and_the_voltage_decides(never_opens):
    bench = Bench(car=PaperCar(protocol=1, discharge_compatible=False)).until(State.ENERGISED).want(8).run(1)
    bench.car.never_opens = never_opens
    stopped_at = bench.release().inputs.now
    bench.until(State.DONE, State.WELDED, within=12)
    assert bench.progress.state is (State.WELDED if never_opens else State.DONE)
    assert bench.inputs.now - stopped_at >= limits.OPENING_UNTOLD.keep_s


# ── cars without dynamic control ────────────────────────────────────────────────────────────────────────────────────


def offer(bench: Bench) -> float:
    return next(f.current_a for f in bench.orders().frames if isinstance(f, EvseCapability))


def test_what_a_car_without_dynamic_control_was_offered_is_never_taken_back():
    bench = Bench(car=PaperCar(dynamic=False)).until(State.ENERGISED)
    assert offer(bench) == 10
    bench.want(4).run(1)
    was = offer(bench)
    for wanted_a in (12, 3, 9, 2):
        bench.want(wanted_a)
        for _ in range(20):
            bench.tick()
            assert offer(bench) >= was
            was = offer(bench)
    assert bench.progress.state is State.ENERGISED


def test_a_pause_that_such_a_car_would_take_for_a_fault_is_an_orderly_stop():
    bench = Bench(car=PaperCar(dynamic=False)).until(State.ENERGISED).want(8).run(2).want(0)
    bench.run(limits.DEVIATION.give_up_s - 0.2)
    assert bench.progress.state is State.ENERGISED
    bench.until(State.DONE, within=5)
    assert bench.progress.cause is Cause.PAUSE_IMPOSSIBLE
    assert MEANINGS[bench.progress.cause].fault is None
    assert State.ABORTING not in bench.visited


def test_far_less_than_such_a_car_asks_for_is_an_orderly_stop_too():
    charger = Charger(max_charge_a=60.0)
    bench = Bench(charger=charger, car=PaperCar(dynamic=False)).until(State.ENERGISED).want(40).run(4)
    assert bench.current_a == pytest.approx(40)
    bench.want(5).until(State.DONE, within=6)
    assert bench.progress.cause is Cause.PAUSE_IMPOSSIBLE


def test_a_car_that_asks_for_more_than_it_was_offered_gets_what_was_offered_and_goes_on():
    car = PaperCar(dynamic=False, ignores_offer=True, max_charge_a=200)
    bench = Bench(car=car).until(State.ENERGISED).want(4).run(15)
    assert car.current_a == 200
    assert (bench.current_a, offer(bench)) == (pytest.approx(4), 14)
    assert bench.want(20).run(3).current_a == pytest.approx(15)


def test_a_discharge_is_tolerated_by_any_car_that_consented():
    bench = Bench(car=PaperCar(dynamic=False)).until(State.ENERGISED).want(-8).run(20)
    assert bench.current_a == pytest.approx(-8)


def test_a_car_that_follows_is_offered_10_a_more_than_it_gets():
    bench = Bench(charger=Charger(max_charge_a=60.0)).until(State.ENERGISED).want(8).run(2)
    assert offer(bench) == 18


# ── a suspected weld ────────────────────────────────────────────────────────────────────────────────────────────────


def welded() -> Bench:
    bench = charging()
    bench.weld = True
    return bench.release().until(State.WELDED, within=12)


def look(bench: Bench) -> tuple:
    return inspected(Moment(bench.progress, bench.inputs, bench.charger))


def test_a_suspected_weld_lets_d1_go_half_a_second_after_d2_and_keeps_the_lock():
    bench = charging()
    bench.weld = True
    bench.release().until(State.ISOLATING, within=12)
    assert (bench.orders().coils.d1, bench.orders().coils.d2) == (True, False)
    off_at = bench.inputs.now
    bench.until(State.WELDED)
    assert bench.inputs.now - off_at >= limits.D1_OFF.keep_s
    assert bench.orders().coils == Coils(lock=True)


def test_an_inspection_releases_a_connector_only_after_some_time_without_voltage():
    bench = welded().run(60)
    assert look(bench) == (bench.progress, "the connector has not been without voltage for 10 s")
    bench.weld = False
    bench.run(5)
    assert "without voltage" in look(bench)[1]
    assert bench.run(8).orders().coils.lock
    bench.progress, refusal = look(bench.see(engage=True))
    assert refusal == ""
    assert not bench.orders().coils.lock
    assert bench.progress.cause is Cause.INSPECTED
    assert bench.sleep(7200).progress.state is State.DONE


def test_an_inspection_releases_nothing_else():
    bench = charging()
    assert look(bench)[1] == "no contactor is suspected of being welded"
    bench = welded()
    bench.weld = False
    bench.run(20)
    blind = replace(bench.inputs, output=None)
    assert "not known" in inspected(Moment(bench.progress, blind, bench.charger))[1]
    flowing = replace(bench.inputs, output=Output(current_a=3.0))
    assert "flows" in inspected(Moment(bench.progress, flowing, bench.charger))[1]


def test_a_refusing_car_says_so_in_102_5_4_and_no_contactor_moves():
    bench = Bench(car=PaperCar(extra=CarStatus.STOP_BEFORE_CHARGING)).until(State.DONE)
    assert bench.progress.cause is Cause.VEHICLE_REFUSED
    assert State.LOCKING not in bench.visited
    assert next((f for f in bench.orders().frames if isinstance(f, EvseState)), None) is None
