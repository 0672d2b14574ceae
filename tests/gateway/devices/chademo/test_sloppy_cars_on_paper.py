"""Cars that do not keep to the book, on virtual time; and discharge by the rules of reference/can.md 3.10."""

from itertools import pairwise

import pytest

from gateway.devices.chademo import report
from gateway.devices.chademo.frames import EvseDischarge, EvseFunctions, EvseSequence, EvseState
from gateway.devices.chademo.moment import FLOOR_HYSTERESIS_V, Charger, Moment, State
from tests.gateway.devices.chademo.bench import Bench, PaperCar


def frame(bench: Bench, kind):
    return next((f for f in bench.orders().frames if isinstance(f, kind)), None)


def moment(bench: Bench) -> Moment:
    return Moment(bench.progress, bench.inputs, bench.charger)


SLOPPY = {
    "each id every 400 ms": {"slow": True},
    "frames doubled": {"doubled": True},
    "frames in reverse": {"reversed": True},
    "1 % of the frames lost": {"loss": 0.01},
    "10 % of the frames lost": {"loss": 0.1},
    "half of the frames lost, and doubled": {"loss": 0.5, "doubled": True},
    "asks for current before d2": {"asks_early": True},
    "clings to k": {"clings": True},
}


@pytest.mark.parametrize("habits", SLOPPY.values(), ids=SLOPPY.keys())
def test_a_sloppy_car_is_charged_discharged_and_let_go_in_order(habits):
    bench = Bench(car=PaperCar(**habits)).until(State.ENERGISED)
    assert bench.want(10).run(60).current_a == pytest.approx(10)
    assert bench.want(-10).run(60).current_a == pytest.approx(-10)
    bench.release().until(State.DONE)
    assert State.ABORTING not in bench.visited
    assert bench.visited.count(State.WAKING) == 1


@pytest.mark.parametrize("habits", SLOPPY.values(), ids=SLOPPY.keys())
def test_a_sloppy_car_that_stops_by_itself_has_stopped_and_not_failed(habits):
    bench = Bench(car=PaperCar(**habits)).until(State.ENERGISED).want(8).run(5)
    bench.car.wants_stop = True
    assert bench.until(State.DONE).progress.cause == "vehicle_stop"


def test_no_current_is_ordered_to_a_car_that_asks_before_d2():
    bench = Bench(car=PaperCar(asks_early=True)).want(10)
    while bench.progress.state is not State.ENERGISED:
        assert bench.orders().converter.current_a == 0
        bench.tick()
        assert not bench.orders().coils.d2 or bench.progress.insulated


def test_a_first_frame_that_claims_a_closed_contactor_is_not_believed():
    bench = Bench().until(State.NEGOTIATING)
    assert moment(bench).contactor_closed
    bench.until(State.CLOSING)
    assert not moment(bench).contactor_closed


def test_a_soc_that_jumps_is_told_only_after_k():
    bench = Bench()
    told = []
    while bench.progress.state is not State.ENERGISED:
        bench.tick()
        if (car := report.introduced(moment(bench))) is not None:
            told.append(report.vehicle(car).soc_pct)
    assert set(told) == {73}


def test_a_car_that_falls_silent_before_its_contactor_opened_is_an_emergency():
    bench = Bench().until(State.ENERGISED).want(8).run(1).release()
    bench.car.silent = bench.car.never_opens = True
    bench.until(State.WELDED, within=15)
    assert bench.orders().coils.lock
    assert not bench.orders().coils.d2


def test_a_car_that_falls_silent_while_its_connector_still_loses_voltage_ended_normally():
    bench = Bench().until(State.ENERGISED).want(8).run(1).release().until(State.OPENING)
    bench.car.silent = True
    while bench.car.contactor:
        bench.tick()
    bench.voltage_held = 60.0
    bench.run(1.5)
    assert bench.progress.state is State.OPENING
    bench.voltage_held = None
    assert bench.until(State.DONE).progress.cause == "owner_stop"


# ── discharge ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_both_limits_are_live_at_once_and_power_turns_through_0_in_one_state():
    bench = Bench().until(State.ENERGISED).want(10).run(2)
    assert moment(bench).charge_limit_a > 0 < moment(bench).discharge_limit_a
    flows = []
    for wanted in (10, -10, 10, -10):
        for _ in range(40):
            bench.want(wanted).tick()
            flows.append(bench.orders().converter.current_a)
            assert bench.status == 0x05
            assert bench.orders().coils.d2
            reported = frame(bench, EvseState).current_a, frame(bench, EvseDischarge).current_a
            assert 0 in reported
    assert all(a * b >= 0 for a, b in pairwise(flows))
    assert max(flows) == pytest.approx(10)
    assert min(flows) == pytest.approx(-10)


def test_209_says_five_minutes_while_current_may_flow_and_is_never_counted_down():
    bench = Bench().until(State.CLOSING)
    assert frame(bench, EvseSequence) == EvseSequence(2, 0)
    bench.until(State.ENERGISED)
    for _ in range(5):
        assert frame(bench.run(100), EvseSequence) == EvseSequence(2, 5)
    bench.release().until(State.OPENING)
    assert frame(bench, EvseSequence) == EvseSequence(2, 0)


def test_the_reminder_tells_1_a_of_charge_no_discharge_and_time_left_for_one_frame_a_minute():
    bench = Bench(charger=Charger(report_current_workaround=True)).until(State.ENERGISED).want(-8).run(0.5)
    reminders = 0
    for _ in range(6 * 60 * 10):
        bench.tick()
        bench.tick()  # a frame goes every 100 ms
        state, discharge = frame(bench, EvseState), frame(bench, EvseDischarge)
        if state.current_a:
            reminders += 1
            assert state.current_a == 1
            assert discharge.encode()[0] == 0xFF
            assert state.remaining_min * 60 >= 5
            assert bench.orders().converter.current_a == pytest.approx(-8)
        else:
            assert discharge.current_a == pytest.approx(8)
    assert reminders == 6


def test_at_its_lowest_voltage_a_battery_is_not_discharged_again_before_it_has_risen_well_above_it():
    bench = Bench(open_circuit_v=252.0, resistance_ohm=0.2).until(State.ENERGISED).want(-14)
    starts, was = 0, 0.0
    for _ in range(1200):
        bench.tick()
        starts += was == 0 > bench.current_a
        was = bench.current_a
    assert starts == 1
    assert bench.current_a == 0
    assert bench.progress.state is State.ENERGISED
    bench.open_circuit_v = 250 + FLOOR_HYSTERESIS_V + 1
    assert bench.run(3).current_a == pytest.approx(-14)


def test_the_higher_of_both_lowest_voltages_counts():
    bench = Bench(charger=Charger(min_voltage_v=380.0)).until(State.NEGOTIATING).run(1)
    assert frame(bench, EvseDischarge).threshold_v == 380
    bench = Bench().until(State.NEGOTIATING).run(1)
    assert frame(bench, EvseDischarge).threshold_v == 250


@pytest.mark.parametrize("answers", [False, True])
def test_110_is_answered_by_118_only_when_asked_for(answers):
    bench = Bench(charger=Charger(answer_functions=answers), car=PaperCar(sends_110=True)).until(
        State.ENERGISED
    )
    ids = [f"{f.CAN_ID:03X}" for f in bench.orders().frames]
    assert ids == (["108", "109", "118", "208", "209"] if answers else ["108", "109", "208", "209"])
    silent = Bench(charger=Charger(answer_functions=True)).until(State.ENERGISED)
    assert frame(silent, EvseFunctions) is None
