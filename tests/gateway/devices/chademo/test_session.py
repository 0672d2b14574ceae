"""The charging sequence on virtual time: the way in and out, every limit of time, every cause, and no unsafe order ever."""

from copy import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import MEANINGS, Cause
from gateway.devices.chademo.frames import (
    CarDischarge,
    CarFault,
    CarLimits,
    CarRequest,
    CarStatus,
    CarTimes,
    EvseCapability,
    EvseDischarge,
    EvseState,
)
from gateway.devices.chademo.moment import (
    RESTING,
    Charger,
    Inputs,
    Mode,
    Moment,
    Output,
    PilotLines,
    Progress,
    State,
    leftover,
    restarted,
)
from gateway.devices.chademo.orders import POSTURES, orders
from gateway.devices.chademo.session import TABLE, step
from tests.gateway.devices.chademo.bench import Bench, PaperCar, check_interlocks

WAY_IN = [
    State.WAKING,
    State.NEGOTIATING,
    State.LOCKING,
    State.TESTING,
    State.BLEEDING,
    State.CLOSING,
    State.PRECHARGING,
    State.ENERGISED,
]
WAY_OUT = [State.STOPPING, State.OPENING, State.RELEASING, State.UNLOCKING, State.DONE]


def energised(**switches) -> Bench:
    return Bench(**switches).until(State.ENERGISED)


def frame(bench: Bench, kind):
    return next(f for f in bench.orders().frames if isinstance(f, kind))


# ── the normal way ──────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_session_starts_in_the_order_of_the_standard():
    assert energised().visited == WAY_IN


def test_the_owner_ends_a_session_in_the_order_that_protects_contactors():
    bench = energised().want(12).run(2)
    assert bench.current_a == pytest.approx(12)
    bench.history.clear()
    bench.release().until(State.DONE)
    assert bench.visited == WAY_OUT
    assert bench.progress.cause is Cause.OWNER_STOP
    assert bench.orders().coils.lock is False


def test_the_car_ends_a_session():
    bench = energised().want(5).run(1)
    bench.car.wants_stop = True
    bench.history.clear()
    bench.until(State.DONE)
    assert bench.visited == WAY_OUT
    assert bench.progress.cause is Cause.VEHICLE_STOP


def test_power_turns_around_without_a_new_state_or_a_moved_contactor():
    bench = energised().want(10).run(2)
    bench.want(-10).run(2)
    assert bench.current_a == pytest.approx(-10)
    assert bench.status == 0x05
    assert frame(bench, EvseState).current_a == 0
    assert frame(bench, EvseDischarge).current_a == pytest.approx(10)
    bench.want(10).run(2)
    assert bench.current_a == pytest.approx(10)
    assert frame(bench, EvseDischarge).current_a == 0
    assert bench.visited == WAY_IN


def test_current_rises_by_no_more_than_20_a_per_s():
    bench = energised().run(1).want(15)
    was = bench.current_a
    for _ in range(40):
        bench.tick()
        assert bench.current_a - was <= 20 * 0.05 + 1e-6
        was = bench.current_a
    assert was == pytest.approx(15)


def test_a_pause_offers_nothing_to_a_car_that_follows_and_the_session_survives():
    bench = energised().want(0).run(60)
    assert bench.progress.state is State.ENERGISED
    assert frame(bench, EvseCapability).current_a == 0
    assert bench.want(8).run(2).current_a == pytest.approx(8)


def test_a_car_without_consent_is_never_discharged():
    bench = energised(car=PaperCar(discharge_compatible=False)).want(-10).run(3)
    assert bench.current_a == 0


def test_a_charger_without_discharge_does_not_speak_of_it():
    bench = energised(charger=Charger(max_discharge_a=0)).want(-10).run(3)
    assert bench.current_a == 0
    assert len(bench.orders().frames) == 2
    assert frame(bench, EvseState).discharge_compatible is False


def test_the_remaining_time_runs_from_the_cars_maximum_and_ends_the_session():
    bench = energised(car=PaperCar(minutes=2)).want(5)
    assert frame(bench, EvseState).remaining_min == 2
    bench.run(70)
    assert frame(bench, EvseState).remaining_min == 1
    bench.until(State.DONE, within=90)
    assert bench.progress.cause is Cause.TIME_OVER


def test_a_charging_current_is_reported_now_and_then_only_when_asked_for():
    silent = energised().want(-8).run(1)
    nudging = energised(charger=Charger(report_current_workaround=True)).want(-8).run(1)
    reported = {False: 0, True: 0}
    for _ in range(1250):
        for bench in (silent, nudging):
            bench.tick()
            reported[bench is nudging] += frame(bench, EvseState).current_a > 0
    assert reported[False] == 0
    assert 1 <= reported[True] <= 3


def test_a_car_that_takes_less_than_it_is_offered_is_believed_for_a_while():
    bench = energised(car=PaperCar(max_charge_a=6)).want(12).run(3)
    moment = Moment(bench.progress, bench.inputs, bench.charger)
    assert bench.current_a == pytest.approx(6)
    assert moment.admitted_charge_a == 6
    bench.want(0).run(30)
    assert Moment(bench.progress, bench.inputs, bench.charger).admitted_charge_a == 6
    bench.run(40)
    assert Moment(bench.progress, bench.inputs, bench.charger).admitted_charge_a == 15


def test_the_car_gets_some_seconds_of_rest_between_two_sessions():
    bench = energised().release().until(State.IDLE)
    bench.inputs = replace(bench.inputs, engage=True)
    assert bench.run(2.5).progress.state is State.IDLE
    bench.until(State.WAKING, within=1)


# ── limits of time, each with its story ─────────────────────────────────────────────────────────────────────────────


def test_a_car_that_does_not_wake_is_left_alone_after_8_s():
    bench = Bench(car=PaperCar(silent=True)).until(State.DONE, within=9)
    assert bench.progress.cause is Cause.NO_ANSWER
    assert bench.sleep(600).progress.state is State.DONE


def test_a_car_that_never_permits_is_left_alone_after_8_s():
    bench = Bench(car=PaperCar(never_permits=True)).until(State.DONE, within=9)
    assert bench.progress.cause is Cause.NO_PERMISSION


def test_a_lock_that_does_not_close_ends_the_start_within_20_s_of_k():
    bench = Bench(lock_stuck_open=True).until(State.FAULT, within=25)
    assert bench.progress.cause is Cause.LOCK_FAILED
    assert State.CLOSING not in bench.visited


def test_bad_insulation_never_reaches_the_contactor():
    bench = Bench(insulation_ohm=10e3).until(State.FAULT)
    assert bench.progress.cause is Cause.INSULATION
    assert State.CLOSING not in bench.visited
    assert bench.voltage_v <= 10


def test_voltage_before_the_test_is_foreign_and_keeps_the_lock():
    bench = Bench(external_v=60).until(State.WELDED)
    assert State.TESTING not in bench.visited
    assert bench.orders().coils.lock


def test_a_contactor_that_stays_open_ends_the_start_after_4_s():
    bench = Bench(car=PaperCar(never_closes=True)).until(State.FAULT)
    assert bench.progress.cause is Cause.NO_CONTACTOR


def test_a_car_that_asks_for_nothing_ends_the_start_after_4_s():
    bench = Bench(car=PaperCar(never_requests=True)).until(State.FAULT)
    assert bench.progress.cause is Cause.NO_REQUEST


def test_current_that_does_not_end_is_cut_with_a_charger_fault():
    bench = energised().want(10).run(1)
    bench.current_stuck = True
    bench.release().until(State.ABORTING, within=3)
    assert bench.progress.cause is Cause.CURRENT_REMAINS
    assert bench.status == 0x27


def test_a_contactor_that_is_not_reported_open_in_10_s_keeps_the_lock():
    bench = energised()
    bench.car.never_opens = True
    bench.release().until(State.WELDED, within=12)
    assert MEANINGS[bench.progress.cause].fault == "contactor_welded"
    assert bench.orders().coils.lock
    assert not bench.orders().coils.d2


def test_voltage_that_stays_after_the_contactor_opened_is_welding():
    bench = energised()
    bench.weld = True
    bench.release().until(State.OPENING).until(State.WELDED, within=4)
    bench.sleep(600)
    assert bench.orders().coils.lock
    bench.weld = False
    bench.inserted = False
    assert bench.run(2).progress.state is State.IDLE


# ── causes of a stop ────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("fault", list(CarFault))
def test_any_fault_bit_of_the_car_stops_even_while_it_clings_to_k(fault):
    bench = energised(car=PaperCar(clings=True)).want(10).run(1)
    bench.car.faults = fault
    bench.run(0.1)
    assert bench.orders().converter.current_a == 0
    bench.until(State.FAULT)
    assert bench.progress.cause is Cause.VEHICLE_FAULT


@pytest.mark.parametrize(
    ("bit", "cause"),
    [
        (CarStatus.NOT_PARKED, Cause.VEHICLE_NOT_PARKED),
        (CarStatus.SYSTEM_FAULT, Cause.VEHICLE_FAULT),
        (CarStatus.STOP_BEFORE_CHARGING, Cause.VEHICLE_REFUSED),
    ],
)
def test_status_bits_of_the_car_stop_the_session(bit, cause):
    bench = energised().want(10).run(1)
    bench.car.extra = bit
    bench.until(State.DONE, State.FAULT)
    assert bench.progress.cause is cause


def test_a_car_that_refuses_before_charging_is_let_go_without_a_contactor_moving():
    bench = Bench(car=PaperCar(extra=CarStatus.STOP_BEFORE_CHARGING)).until(State.DONE)
    assert bench.progress.cause is Cause.VEHICLE_REFUSED
    assert State.LOCKING not in bench.visited


def test_k_alone_opening_is_an_emergency():
    bench = energised().want(10).run(1)
    bench.permits_override = False
    bench.tick()
    assert bench.orders().converter.current_a == 0
    bench.until(State.FAULT, within=4)
    assert bench.progress.cause is Cause.PERMISSION_WITHDRAWN


def test_a_silent_car_is_an_emergency_after_1_s():
    bench = energised().want(-10).run(1)
    bench.car.silent = True
    assert bench.run(0.9).progress.state is State.ENERGISED
    bench.run(0.3)
    assert bench.orders().converter.mode is Mode.OFF
    bench.until(State.FAULT, within=4)
    assert bench.progress.cause is Cause.VEHICLE_SILENT


def test_insulation_that_is_lost_under_current_ends_the_session_with_d2_off_after_the_current():
    bench = energised().want(12).run(2)
    bench.insulation_ohm = 1000.0
    bench.run(0.2)
    bench.insulation_ohm = 1e6
    assert bench.run(2).progress.state is State.ENERGISED
    bench.insulation_ohm = 1000.0
    bench.history.clear()
    while bench.progress.state is not State.FAULT:
        bench.tick()
        assert bench.orders().coils.d2 or abs(bench.current_a) <= 5
    assert bench.visited == [State.ABORTING, State.ISOLATING, State.FAULT]
    assert bench.progress.cause is Cause.INSULATION


def test_a_wish_that_nobody_renewed_ends_a_session_as_gently_and_says_so():
    bench = energised().want(12).run(2)
    bench.history.clear()
    bench.release()
    bench.inputs = replace(bench.inputs, lapsed=True)
    bench.until(State.DONE)
    assert bench.visited == WAY_OUT
    assert bench.progress.cause is Cause.SETPOINT_EXPIRED


def test_a_car_that_falls_silent_right_after_opening_its_contactor_ended_normally():
    bench = energised().release().until(State.OPENING)
    while bench.car.contactor:
        bench.tick()
    bench.car.silent = True
    bench.until(State.DONE, within=4)
    assert bench.progress.cause is Cause.OWNER_STOP


@pytest.mark.parametrize(
    ("switch", "value", "cause"),
    [
        ("emergency_stop", True, Cause.EMERGENCY_STOP),
        ("inserted", False, Cause.UNPLUGGED),
        ("pilot_answers", False, Cause.PILOT_LOST),
        ("converter_fault", 4, Cause.CONVERTER_FAULT),
        ("lock_stuck_open", True, Cause.LOCK_FAILED),
    ],
)
def test_trouble_on_our_side_ends_current_at_once_and_d2_within_seconds(switch, value, cause):
    bench = energised().want(10).run(1)
    setattr(bench, switch, value)
    bench.run(0.15)
    assert bench.orders().converter == replace(bench.orders().converter, mode=Mode.OFF, current_a=0)
    bench.until(State.FAULT, State.IDLE, within=4)
    assert bench.progress.cause is cause


def test_a_lost_converter_keeps_the_lock_until_its_voltage_is_known():
    bench = energised().want(10).run(1)
    bench.converter_answers = False
    bench.run(60)
    assert bench.progress.state is State.ISOLATING
    assert bench.orders().coils.lock
    assert not bench.orders().coils.d2
    assert not bench.orders().coils.d1
    bench.converter_answers = True
    bench.until(State.FAULT, within=2)
    bench.until(State.ENERGISED, within=60)


@pytest.mark.parametrize("target_v", [501, 600])
def test_a_car_that_does_not_fit_is_told_so_after_k(target_v):
    bench = Bench(car=PaperCar(target_v=target_v)).until(State.UNLOCKING)
    assert bench.progress.cause is Cause.INCOMPATIBLE
    assert bench.status == 0x28


def test_a_faulty_car_is_not_tried_again_until_it_was_unplugged():
    bench = energised()
    bench.car.faults = CarFault.BATTERY_HOT
    bench.until(State.FAULT)
    bench.car.faults = CarFault(0)
    bench.release().run(5)
    bench.inputs = replace(bench.inputs, engage=True)
    assert bench.sleep(7200).progress.state in RESTING
    bench.inserted = False
    bench.run(1)
    bench.inserted = True
    bench.until(State.ENERGISED)


def test_what_a_dead_predecessor_left_is_ended_before_a_new_session():
    bench = Bench(progress=leftover(100.0, d2=True))
    bench.car.contactor, bench.voltage_v = True, 375.0
    bench.until(State.FAULT, within=5)
    assert bench.visited == [State.ISOLATING, State.FAULT]
    bench.until(State.ENERGISED, within=60)


def test_a_session_whose_pilot_module_started_anew_never_switches_d2_on_again():
    bench = Bench().until(State.ENERGISED).want(10).run(2)
    bench.progress = restarted(bench.progress, bench.inputs.now, Cause.PILOT_LOST, d2=False)
    while bench.progress.state is not State.FAULT:
        bench.tick()
        assert not bench.orders().coils.d2
        assert not bench.orders().converter.current_a
    bench.until(State.ENERGISED, within=60)


# ── totality ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_state_has_rules_a_posture_and_a_way_in():
    assert set(TABLE) == set(POSTURES) == set(State)
    reached = {rule.then for rules in TABLE.values() for rule in rules} | {State.IDLE}
    assert reached == set(State)
    assert set(MEANINGS) == set(Cause)


byte = st.integers(0, 255)
cars = st.builds(
    Car,
    heard_at=st.none() | st.floats(90, 100),
    limits=st.none() | st.builds(CarLimits, byte, byte, byte, st.integers(0, 600), byte),
    times=st.none() | st.builds(CarTimes, st.integers(0, 20000), byte, st.integers(0, 90000)),
    request=st.none()
    | st.builds(CarRequest, byte, st.integers(0, 600), byte, byte.map(CarFault), byte.map(CarStatus), byte),
    discharge=st.none() | st.builds(CarDischarge, byte, st.integers(0, 600), byte, byte),
)
moments = st.builds(
    Inputs,
    now=st.just(100.0),
    car=cars,
    pilot=st.none() | st.builds(PilotLines, *[st.booleans()] * 4),
    output=st.none()
    | st.builds(
        Output, st.sampled_from(Mode), st.floats(-5, 600), st.floats(-200, 200), st.floats(0, 1e6), byte
    ),
    bus_up=st.booleans(),
    engage=st.booleans(),
    wanted_a=st.floats(-200, 200),
)
past = st.floats(0, 100)
progresses = st.builds(
    Progress,
    state=st.sampled_from(State),
    since=past,
    cause=st.sampled_from(Cause),
    woken_at=past,
    permitted_at=past,
    permission_lost_at=st.none() | past,
    tested_since=st.none() | past,
    insulated=st.booleans(),
    ends_at=st.floats(0, 4000),
    battery_v=st.floats(0, 500),
    opened_at=st.none() | past,
    current_a=st.floats(-15, 15),
    offered_a=st.floats(0, 15),
    stepped_at=past,
)


@settings(max_examples=1500, deadline=None)
@given(progresses, moments)
def test_no_state_and_no_event_raises_or_orders_anything_unsafe(progress, inputs):
    charger = Charger()
    after = step(progress, inputs, charger)
    check_interlocks(progress, after, inputs, charger)
    told = orders(after, inputs, charger)
    assert all(len(f.encode()) == 8 for f in told.frames)
    if after.state in RESTING:
        assert told.frames == ()
        assert not told.coils.d1
        assert told.converter.mode is Mode.OFF
