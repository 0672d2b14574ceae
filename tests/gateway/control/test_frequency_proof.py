"""What must be proven before a reserve is armed: each want has its own code."""

from dataclasses import replace
from datetime import time, timedelta

import pytest

from gateway.config import ReserveTable
from gateway.faults import FaultCode
from gateway.model import (
    REFUSALS,
    Dynamics,
    FrequencyProfile,
    Need,
    OwnerSettings,
    Refusal,
    Request,
    RequestMode,
    ReservePhase,
    ReserveProduct,
)
from gateway.rehearsal.rehearsal import START
from tests.bench.reserve_site import fast_charger, floor, site, slow_charger, window


def after(r, seconds=3.0):
    r.run(seconds)
    return r.state.control.reserve


def sold(power_w=5000.0, **changes):
    return (window(power_w, **changes),)


def test_a_charger_that_is_able_is_armed_and_nothing_else_is_said():
    status = after(site(fast_charger(), reserves=sold()))
    assert (status.phase, status.refusals, status.devices) == (ReservePhase.ARMED, (), ("garage",))


@pytest.mark.parametrize(
    ("profile", "refusal"),
    [
        (None, Refusal.METER_UNPROVEN),
        (FrequencyProfile(0.001, 0.2, 0.025), Refusal.METER_COARSE),
        (FrequencyProfile(0.001, 2.0, 0.001), Refusal.METER_COARSE),
        (FrequencyProfile(0.1, 0.2, 0.001), Refusal.METER_COARSE),
    ],
)
def test_a_meter_must_prove_its_frequency(profile, refusal):
    status = after(site(fast_charger(), reserves=sold(), profile=profile))
    assert (status.phase, status.refusals) == (ReservePhase.REFUSED, (refusal,))


def test_a_meter_that_repeats_itself_proves_nothing():
    r = site(fast_charger(), reserves=sold())
    next(m for m in r._meters if m.id == "frequency").frozen = True
    assert after(r, 5.0).phase is ReservePhase.ARMED
    assert after(r, 10.0).refusals == (Refusal.METER_FROZEN,)


@pytest.mark.parametrize(
    ("measured", "refusal"),
    [
        (None, Refusal.UNMEASURED),
        (Dynamics(0.3, 9000.0), Refusal.UNMEASURED),
        (Dynamics(1.8, 9000.0, steps=5), Refusal.STARTS_LATE),
        (Dynamics(0.3, 150.0, steps=5), Refusal.FULL_LATE),
    ],
)
def test_a_device_must_have_been_measured_fast_enough(measured, refusal):
    dynamics = {} if measured is None else {"garage": measured}
    assert after(site(fast_charger(), reserves=sold(), dynamics=dynamics)).refusals == (refusal,)


def test_a_late_start_is_only_accepted_where_the_grid_operator_does():
    assert after(site(slow_charger(), reserves=sold())).refusals == (Refusal.STARTS_LATE,)
    accepted = site(slow_charger(), reserves=sold(), reserve=ReserveTable(start_s=5.0))
    assert after(accepted).phase is ReservePhase.ARMED
    nordic = site(slow_charger(), reserves=sold(product=ReserveProduct.FCR_N))
    assert after(nordic).phase is ReservePhase.ARMED


def test_the_recharge_needs_its_part_of_the_power():
    assert after(site(fast_charger(), reserves=sold(10_000.0))).phase is ReservePhase.ARMED
    assert after(site(fast_charger(), reserves=sold(10_500.0))).refusals == (Refusal.POWER_RANGE,)


@pytest.mark.parametrize(("soc_pct", "minutes", "armed"), [(50, 30, True), (34, 30, False), (34, 15, True)])
def test_the_energy_must_last_between_the_owners_floor_and_full(soc_pct, minutes, armed):
    r = site(
        fast_charger(soc_pct=soc_pct),
        reserves=sold(8000.0),
        settings=floor(25.0),
        reserve=ReserveTable(reservoir_min=minutes),
    )
    status = after(r)
    assert (status.phase is ReservePhase.ARMED) == armed
    assert armed or status.refusals == (Refusal.RESERVOIR,)


def test_a_nearly_full_car_may_give_but_not_take():
    car = fast_charger(soc_pct=94.0)
    assert after(site(car, reserves=sold())).refusals == (Refusal.RESERVOIR,)
    giving = site(fast_charger(soc_pct=94.0), reserves=sold(product=ReserveProduct.FCR_D_UP))
    assert after(giving).phase is ReservePhase.ARMED


def test_a_car_that_leaves_inside_the_window_sells_nothing():
    assert after(
        site(fast_charger(), reserves=sold(), settings=floor(30.0, departure=time(9, 0)))
    ).refusals == (Refusal.LEAVES,)
    later = site(fast_charger(), reserves=sold(), settings=floor(30.0, departure=time(13, 0)))
    assert after(later).phase is ReservePhase.ARMED


def test_what_the_driver_needs_and_cannot_be_charged_after_the_window_is_not_sold():
    need = Need("garage", 12_000.0, START + timedelta(hours=4, minutes=20))
    r = site(fast_charger(), reserves=sold())
    r.state.wishes = replace(r.state.wishes, needs=(need,))
    assert after(r).refusals == (Refusal.RESERVOIR,)
    r = site(fast_charger(), reserves=sold())
    r.state.wishes = replace(r.state.wishes, needs=(replace(need, departs_at=START + timedelta(hours=9)),))
    assert after(r).phase is ReservePhase.ARMED


def test_what_a_daily_departure_needs_soon_after_the_window_is_not_sold_either():
    leaves = time(START.hour + 4, 20)
    empty = site(fast_charger(soc_pct=45.0), reserves=sold(), settings=floor(20.0, departure=leaves))
    assert after(empty).refusals == (Refusal.RESERVOIR,)
    filled = site(fast_charger(soc_pct=78.0), reserves=sold(), settings=floor(20.0, departure=leaves))
    assert after(filled).phase is ReservePhase.ARMED


def test_a_driver_who_was_served_in_part_needs_only_the_rest():
    need = Need("garage", 8_000.0, START + timedelta(hours=4, minutes=30))
    later, coarse = sold(begins_s=3600.0, hours=3.0), {"step_s": 1.0, "tick_s": 1.0}
    r = site(fast_charger(soc_pct=40.0), reserves=later, settings=floor(20.0), **coarse)
    r.state.wishes = replace(r.state.wishes, needs=(need,))
    assert after(r).refusals == (Refusal.RESERVOIR,)
    now = Request("r", "garage", RequestMode.CHARGE, START + timedelta(hours=1), power_w=10_000.0)
    r.state.wishes = replace(r.state.wishes, requests=(now,))
    assert after(r, 3650.0).phase is ReservePhase.ARMED


@pytest.mark.parametrize(
    ("owner", "refusal"),
    [
        (OwnerSettings(), Refusal.CONTROL_OFF),
        (OwnerSettings(control_on=True, stopped=True), Refusal.OWNER_STOP),
        (OwnerSettings(control_on=True, storm_until=START + timedelta(hours=1)), Refusal.STORM),
        (
            OwnerSettings(control_on=True, devices=floor(30.0, discharge_allowed=False)),
            Refusal.DISCHARGE_NOT_ALLOWED,
        ),
    ],
)
def test_the_owner_decides(owner, refusal):
    assert refusal in after(site(fast_charger(), reserves=sold(), owner=owner)).refusals


def test_a_paused_device_sells_nothing():
    r = site(fast_charger(), reserves=sold())
    pause = Request("r", "garage", RequestMode.PAUSE, START + timedelta(days=1))
    r.state.wishes = replace(r.state.wishes, requests=(pause,))
    assert after(r).refusals == (Refusal.OWNER_STOP,)


def test_a_device_that_may_go_on_discharging_after_our_death_gives_nothing():
    r = site(fast_charger(), reserves=sold())
    r.state.fault(FaultCode.FAIL_SAFE_UNPROVEN, "for ever", "garage")
    assert after(r).refusals == (Refusal.FAIL_SAFE,)


def test_without_a_session_and_without_a_device_there_is_nothing_to_sell():
    r = site(fast_charger(plugged=False), reserves=sold())
    assert after(r).refusals == (Refusal.NO_SESSION,)
    assert after(site(reserves=sold())).refusals == (Refusal.NO_DEVICE,)
    assert after(site(fast_charger(), reserves=sold(devices=("pool",)))).refusals == (Refusal.NO_DEVICE,)


def test_the_house_must_leave_room_in_its_connection():
    r = site(fast_charger(), reserves=sold(10_000.0), load_w=35_000.0)
    assert after(r).refusals == (Refusal.CONNECTION,)
    one_phase = site(fast_charger(phases=(2,)), reserves=sold(10_000.0), load_w=15_000.0)
    assert after(one_phase).refusals == (Refusal.CONNECTION,)


def test_what_is_sold_later_is_judged_now():
    r = site(fast_charger(soc_pct=97.0), reserves=sold(begins_s=3600.0))
    status = after(r)
    assert (status.phase, status.window_id) == (ReservePhase.OFF, "lot-1")
    assert status.refusals == (Refusal.RESERVOIR,)
    assert not r.loop.proof()


def test_every_refusal_says_in_words_what_is_missing():
    assert set(REFUSALS) == set(Refusal)
