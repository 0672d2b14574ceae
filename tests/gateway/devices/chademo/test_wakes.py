"""Waking a parked car: how often, for whom, and on how much 12 V (reference/needs.md 1, row 25, and 2.12)."""

from copy import replace

import pytest

from gateway.devices.chademo import limits
from gateway.devices.chademo.causes import MEANINGS, QUICK_RETRIES, QUICK_RETRY_S, Cause
from gateway.devices.chademo.frames import CarStatus
from gateway.devices.chademo.moment import RESTING, State
from gateway.devices.chademo.wakes import DAY_S, HOUR_S, MOST_A_DAY, PAYS_AFTER_S, Wakes
from tests.gateway.devices.chademo.bench import Bench, PaperCar


def wakes_of(bench: Bench, hours: float) -> int:
    """Count how often d1 comes on in that time."""
    bench.history.clear()
    return bench.sleep(hours * HOUR_S).visited.count(State.WAKING)


def test_the_budget_is_one_an_hour_and_twelve_a_day():
    wakes = Wakes()
    assert wakes.allowed(0.0)
    for hour in range(MOST_A_DAY):
        assert wakes.allowed(hour * HOUR_S)
        wakes = wakes.after(hour * HOUR_S)
        assert not wakes.allowed(hour * HOUR_S + HOUR_S - 1)
    assert not wakes.allowed(13 * HOUR_S)
    assert wakes.allowed(DAY_S)
    assert wakes.today(13 * HOUR_S) == MOST_A_DAY
    assert wakes.repaid().today(13 * HOUR_S) == MOST_A_DAY - 1


def test_a_car_that_never_answers_is_woken_once_an_hour_and_twelve_times_a_day():
    bench = Bench(car=PaperCar(silent=True))
    assert wakes_of(bench, 5.5) == 6
    assert wakes_of(bench, 18) == MOST_A_DAY - 6
    assert bench.progress.wakes.today(bench.inputs.now) == MOST_A_DAY


def test_a_control_that_wavers_wakes_no_more_often():
    bench = Bench(car=PaperCar(silent=True)).until(State.DONE)
    for _ in range(20):
        bench.see(engage=False).run(1)
        bench.see(engage=True).run(10)
    assert bench.progress.wakes.today(bench.inputs.now) == 1


def test_the_owners_own_wish_wakes_beyond_the_budget_and_once_only():
    bench = Bench(car=PaperCar(silent=True)).until(State.DONE).run(30)
    bench.see(owner_asked=True).until(State.WAKING, within=5)
    bench.until(State.DONE)
    assert bench.sleep(600).progress.state is State.DONE
    bench.see(owner_asked=False).run(1).see(owner_asked=True).until(State.WAKING, within=5)


def test_who_plugs_in_is_there_and_the_car_may_be_woken():
    bench = Bench(car=PaperCar(silent=True)).until(State.DONE)
    bench.inserted = False
    bench.run(2)
    bench.inserted = True
    bench.until(State.WAKING, within=5)


def test_a_wake_that_a_session_came_of_costs_nothing():
    bench = Bench().until(State.ENERGISED)
    assert bench.progress.wakes.today(bench.inputs.now) == 0
    bench.release().until(State.IDLE)
    bench.see(engage=True).until(State.ENERGISED)


@pytest.mark.parametrize("refusals", [1, QUICK_RETRIES])
def test_a_random_refusal_is_tried_again_at_once_with_d1_off_for_some_seconds_as_one_wake(refusals):
    bench = Bench(car=PaperCar(refusals=refusals))
    for _ in range(refusals):
        bench.until(State.DONE, within=20)
        assert bench.progress.cause is Cause.VEHICLE_REFUSED
        assert bench.progress.wakes.today(bench.inputs.now) == 1
        slept_at = bench.inputs.now
        bench.until(State.WAKING, within=15)
        assert bench.inputs.now - slept_at > QUICK_RETRY_S
    bench.until(State.ENERGISED).run(PAYS_AFTER_S)
    assert bench.progress.retries == 0


def test_a_car_that_goes_on_refusing_is_left_alone_for_an_hour():
    bench = Bench(car=PaperCar(refusals=100))
    woken = wakes_of(bench, 0.9)
    assert woken == 1 + QUICK_RETRIES
    assert bench.progress.wakes.today(bench.inputs.now) == 1
    assert wakes_of(bench, 1.0) == 1 + QUICK_RETRIES


def test_a_full_car_that_ends_each_session_soon_is_not_woken_all_day():
    bench = Bench()
    for _ in range(MOST_A_DAY):
        bench.until(State.ENERGISED, within=60)
        bench.car.wants_stop = True
        bench.until(State.DONE)
        bench.car.wants_stop = False
        bench.sleep(HOUR_S)
    assert wakes_of(bench, 5) == 0
    assert bench.progress.wakes.today(bench.inputs.now) == MOST_A_DAY


def test_a_start_that_we_ourselves_lost_is_tried_again_soon_as_one_wake_but_not_for_ever():
    bench = Bench().until(State.NEGOTIATING)
    for _ in range(QUICK_RETRIES):
        bench.converter_answers = False
        bench.until(State.ISOLATING).run(1)
        bench.converter_answers = True
        bench.until(State.NEGOTIATING)
    assert bench.progress.wakes.today(bench.inputs.now) == 1
    bench.converter_answers = False
    bench.until(State.ISOLATING).run(1)
    bench.converter_answers = True
    assert wakes_of(bench, 0.9) == 0
    assert wakes_of(bench, 0.2) == 1


@pytest.mark.parametrize("mishap", ["refusal", "converter"])
def test_what_ends_each_session_soon_is_not_tried_all_day(mishap):
    bench = Bench()
    for _ in range(1 + QUICK_RETRIES):
        bench.until(State.ENERGISED, within=30).run(5)
        if mishap == "refusal":
            bench.car.extra = CarStatus.STOP_BEFORE_CHARGING
        else:
            bench.converter_answers = False
        bench.until(State.OPENING, State.ISOLATING).run(0.2)
        bench.car.extra, bench.converter_answers = CarStatus(0), True
        bench.until(*RESTING)
    assert wakes_of(bench, 0.9) == 0
    assert wakes_of(bench, 0.2) == 1


def test_a_wish_of_the_owner_that_a_running_session_serves_wakes_nobody_after_it():
    bench = Bench().until(State.ENERGISED).see(owner_asked=True).run(1)
    bench.car.wants_stop = True
    bench.until(State.DONE)
    assert wakes_of(bench, 0.9) == 0


def test_a_car_that_could_not_be_paused_is_woken_when_charging_is_wished_again():
    bench = Bench()
    bench.progress = replace(bench.progress, state=State.DONE, since=-10.0, cause=Cause.PAUSE_IMPOSSIBLE)
    assert wakes_of(bench, 0.5) == 0
    bench.see(charge_wished=True).until(State.WAKING, within=5)


# ── 12 V ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_no_contactor_moves_below_11_8_v():
    bench = Bench().until(State.NEGOTIATING).see(aux_voltage_v=11.7).until(State.FAULT, within=20)
    assert bench.progress.cause is Cause.AUX_BATTERY_LOW
    assert MEANINGS[bench.progress.cause].fault == "aux_battery_low"
    assert State.CLOSING not in bench.visited


def test_12_v_that_falls_during_the_test_keeps_the_contactor_open():
    bench = Bench().until(State.BLEEDING).see(aux_voltage_v=11.0).until(State.FAULT, within=20)
    assert State.CLOSING not in bench.visited


def test_a_session_ends_in_order_when_12_v_stays_low_for_a_minute():
    bench = Bench().until(State.ENERGISED).see(aux_voltage_v=11.9).run(55).see(aux_voltage_v=12.6).run(10)
    assert bench.progress.state is State.ENERGISED
    bench.see(aux_voltage_v=11.9).run(limits.AUX_BATTERY.give_up_s + 5).until(State.FAULT)
    assert bench.progress.cause is Cause.AUX_BATTERY_LOW
    assert State.ABORTING not in bench.visited


def test_nobody_but_the_owner_wakes_a_car_below_12_2_v():
    bench = Bench().see(aux_voltage_v=12.1)
    assert bench.run(60).progress.state is State.IDLE
    bench.see(owner_asked=True).until(State.WAKING, within=1)


# ── renewal before the car's own time is over ───────────────────────────────────────────────────────────────────────


def late(bench: Bench, left_s: float) -> Bench:
    """Let the session be that close to the car's end; nothing else passes."""
    now = bench.inputs.now
    bench.progress = replace(bench.progress, since=now - 3600 + left_s, ends_at=now + left_s)
    return bench


def test_a_quiet_session_is_renewed_some_minutes_before_the_cars_time_is_over():
    bench = Bench().until(State.ENERGISED).want(0).run(1)
    assert late(bench, limits.RENEWAL_QUIET.keep_s + 10).run(5).progress.state is State.ENERGISED
    late(bench, limits.RENEWAL_QUIET.keep_s - 1).run(0.1)
    assert bench.progress.cause is Cause.RENEWAL
    assert MEANINGS[Cause.RENEWAL].fault is None
    bench.history.clear()
    bench.until(State.ENERGISED, within=40)
    assert State.ABORTING not in bench.visited
    assert bench.progress.cause is Cause.NONE


def test_a_busy_session_is_renewed_in_the_last_minute_and_goes_on():
    bench = Bench().until(State.ENERGISED).want(12).run(2)
    assert late(bench, limits.RENEWAL_FORCED.keep_s + 30).run(5).progress.state is State.ENERGISED
    late(bench, limits.RENEWAL_FORCED.keep_s - 1).run(0.1)
    assert bench.progress.cause is Cause.RENEWAL
    bench.until(State.ENERGISED, within=40)
    assert bench.run(2).current_a == pytest.approx(12)


def test_renewals_need_no_wake_budget():
    bench = Bench().until(State.ENERGISED)
    for _ in range(15):
        late(bench, 10).run(0.1)
        assert bench.progress.cause is Cause.RENEWAL
        bench.until(State.ENERGISED, within=40)


def test_a_car_that_gives_little_time_is_not_renewed_but_asked_again_after_an_hour():
    bench = Bench(car=PaperCar(minutes=2)).until(State.ENERGISED).until(State.DONE, within=140)
    assert bench.progress.cause is Cause.TIME_OVER
    assert bench.run(60).progress.state is State.DONE
