"""A sold reserve on the rehearsal's clock: answered, held, withdrawn, recovered from, and witnessed."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import CircuitTable, ReserveTable
from gateway.control.frequency import recovery
from gateway.control.frequency.reserve import _measured
from gateway.model import (
    DeviceSettings,
    Interval,
    MeterSample,
    Need,
    Refusal,
    Request,
    RequestMode,
    ReservePhase,
    ReserveProduct,
    Rung,
)
from gateway.rehearsal import Plant
from gateway.rehearsal.rehearsal import START
from tests.bench.reserve_site import fast_charger, floor, site, slow_charger, window

COARSE = {"step_s": 1.0, "tick_s": 1.0}
ACCEPTED = ReserveTable(start_s=5.0)
BOTH = {"garage": DeviceSettings(floor_soc_pct=20.0), "battery": DeviceSettings(floor_soc_pct=10.0)}


def stepping(at_s, hz, back_s=1e9):
    return lambda second: hz if at_s <= second < back_s else 50.0


def reached(trace, device, since_s, power_w):
    """Seconds from ``since_s`` until 98 % of ``power_w`` flow."""
    for second, w in zip(trace.second, trace.power_w[device], strict=True):
        if second >= since_s and w / power_w >= 0.98:
            return second - since_s
    raise AssertionError("never")


@pytest.mark.parametrize(("make", "within_s"), [(slow_charger, 8.0), (fast_charger, 1.5)])
@pytest.mark.parametrize("sign", [-1, 1])
def test_a_step_of_200_mhz_is_answered_in_full(make, within_s, sign):
    r = site(make(), reserve=ACCEPTED, frequency=stepping(60.0, 50.0 + 0.2 * sign))
    r.run(90)
    assert reached(r.trace, "garage", 60.0, sign * 10_000.0) <= within_s
    assert r.state.control.reserve.response_w == pytest.approx(sign * 10_000.0, abs=20.0)


def test_our_own_part_is_one_tick():
    r = site(fast_charger(), frequency=stepping(60.0, 49.9))
    r.run(59.9)
    before_w = r.plants["garage"].ordered_w
    r.run(0.2)
    assert r.plants["garage"].ordered_w < before_w - 900.0


def test_the_others_do_not_fight_the_response():
    r = site(
        fast_charger(),
        Plant("battery", soc_pct=60.0),
        reserves=(window(4000.0, devices=("garage",)),),
        settings=BOTH,
        frequency=stepping(60.0, 49.8),
        load_w=1500.0,
    )
    r.run(58)
    calm_w = r.plants["battery"].power_w
    r.run(32)
    assert r.plants["garage"].power_w == pytest.approx(-4000.0, abs=150.0)
    assert r.plants["battery"].power_w == pytest.approx(calm_w, abs=200.0)
    assert r.state.snapshot(r.now).decisions["battery"].reason.rung is Rung.SELF_CONSUMPTION


def test_a_zero_point_error_is_learned_and_corrected():
    r = site(fast_charger(offset_w=740.0), reserves=(window(6000.0),), frequency=stepping(5.0, 49.9))
    r.run(180)
    status = r.state.control.reserve
    assert r.plants["garage"].power_w == pytest.approx(status.response_w + status.offset_w, abs=60.0)
    assert r.plants["garage"].ordered_w == pytest.approx(
        status.response_w + status.offset_w - 740.0, abs=80.0
    )


def test_the_correction_is_bounded_and_learns_nothing_from_a_limit():
    r = site(fast_charger(offset_w=3000.0), reserves=(window(6000.0),), frequency=stepping(5.0, 49.9))
    r.run(200)
    asked_w = r.state.control.reserve.asked_w["garage"]
    assert abs(asked_w - r.state.control.reserve.response_w - r.state.control.reserve.offset_w) <= 1000.0
    limited = site(fast_charger(), reserves=(window(6000.0),), frequency=stepping(5.0, 50.2))
    limited.run(20)
    limited.load = lambda second: 42_000.0
    limited.run(60)
    status = limited.state.control.reserve
    assert limited.state.snapshot(limited.now).decisions["garage"].limited_by is not None
    assert abs(status.asked_w["garage"] - status.response_w - status.offset_w) < 100.0


def test_two_devices_share_and_one_that_leaves_is_replaced_within_a_second():
    r = site(
        fast_charger(rated=Interval(-7000.0, 7000.0)),
        Plant("battery", capacity_wh=30_000.0, rated=Interval(-7000.0, 7000.0)),
        Plant("spare", capacity_wh=20_000.0, rated=Interval(-7000.0, 7000.0)),
        reserves=(window(8000.0),),
        settings=BOTH,
        frequency=stepping(10.0, 49.9),
    )
    r.run(30)
    before = set(r.state.control.reserve.devices)
    assert len(before) == 2
    assert r.state.control.reserve.delivered_w == pytest.approx(-4000.0, abs=300.0)
    r.plants["battery"].silent = True
    r.run(7)
    status = r.state.control.reserve
    assert status.phase in {ReservePhase.ARMED, ReservePhase.RECOVERING}
    assert set(status.devices) == {"garage", "spare"}
    r.run(20)
    assert (
        abs(r.state.control.reserve.offset_w) < 1.0
    )  # the store is another now, and no charge was lost with the old


def test_when_the_grid_is_lost_the_reserve_is_withdrawn_within_10_s_and_says_why():
    r = site(fast_charger(), Plant("battery", islands=True), reserves=(window(5000.0, devices=("garage",)),))
    r.run(10)
    assert r.state.control.reserve.phase is ReservePhase.ARMED
    r.plants["battery"].islanded = True
    r.run(3)
    status = r.state.control.reserve
    assert status.phase is ReservePhase.WITHDRAWN
    assert Refusal.ISLANDED in status.refusals
    assert not status.asked_w


def test_a_withdrawn_reserve_is_armed_again_once_all_was_sound_for_half_a_minute():
    r = site(fast_charger())
    meter = next(m for m in r._meters if m.id == "frequency")
    r.run(10)
    meter.silent = True
    r.run(2)
    assert r.state.control.reserve.phase is ReservePhase.ARMED  # for a moment it goes on with what it knows
    r.run(4)
    assert r.state.control.reserve.phase is ReservePhase.WITHDRAWN
    meter.silent = False
    r.run(20)
    assert r.state.control.reserve.phase is ReservePhase.WITHDRAWN
    r.run(20)
    assert r.state.control.reserve.phase is ReservePhase.ARMED


def test_a_long_event_is_served_down_to_the_owners_floor_and_never_below():
    r = site(
        fast_charger(capacity_wh=6000.0, soc_pct=57.0),
        reserves=(window(5000.0),),
        settings=floor(30.0),
        reserve=ReserveTable(reservoir_min=15),
        frequency=stepping(5.0, 49.8),
        load_w=0.0,
        **COARSE,
    )
    r.run(600)
    assert r.state.control.reserve.phase is ReservePhase.RECOVERING
    r.run(1200)
    assert r.state.control.reserve.phase is ReservePhase.WITHDRAWN
    assert Refusal.RESERVOIR in r.state.control.reserve.refusals
    assert min(r.trace.soc_pct["garage"]) >= 29.5


def after_an_event(**more):
    """An event of five minutes, a weak grid for nine more; the window ends one minute after the event. The sun shines."""
    return site(
        fast_charger(),
        reserves=(window(5000.0, hours=0.1),),
        settings=floor(24.0),
        frequency=lambda s: 49.75 if 60 <= s < 360 else 49.93 if s < 900 else 50.0,
        load_w=-6000.0,
        reserve=ReserveTable(reservoir_min=15.0, quiet_min=2.0),
        **more,
    )


def test_nothing_is_put_back_while_the_grid_is_weak_and_then_late_and_slowly():
    """Not as in Canberra."""
    r = after_an_event(**COARSE)
    r.run(2700)
    charging = [w for s, w in zip(r.trace.second, r.trace.power_w["garage"], strict=True) if s > 363]
    began_s = 363 + next(n for n, w in enumerate(charging) if w > 100)
    assert 900 + 120 <= began_s <= 900 + 120 + recovery.STAGGER_S + 30
    steepest_w = max(b - a for a, b in pairwise(charging))
    assert steepest_w < 60.0  # in a second
    assert charging[-1] == pytest.approx(6000.0, abs=100.0)
    assert r.state.control.reserve.phase is ReservePhase.OFF


def test_the_owner_may_take_it_back_at_once():
    r = after_an_event()
    r.run(420)
    assert r.state.snapshot(r.now).decisions["garage"].limited_by.code == "recovery_hold"
    now = Request("r", "garage", RequestMode.CHARGE, START + timedelta(days=1), power_w=3000.0)
    r.state.wishes = replace(r.state.wishes, requests=(now,))
    r.run(10)
    assert r.plants["garage"].power_w == pytest.approx(3000.0, abs=50.0)


def test_recharge_waits_for_the_grid_inside_the_window_too():
    r = site(
        fast_charger(capacity_wh=20_000.0),
        reserves=(window(5000.0),),
        frequency=lambda s: 49.8 if 60 <= s < 960 else 49.94,
        reserve=ReserveTable(reservoir_min=15.0, quiet_min=1.0),
        **COARSE,
    )
    r.run(3600)
    assert r.state.control.reserve.phase is ReservePhase.RECOVERING
    assert r.state.control.reserve.offset_w == 0.0
    r.frequency = lambda second: 50.0 + 0.0001 * (second % 7)
    r.run(3000)
    assert r.state.control.reserve.phase is ReservePhase.ARMED
    assert r.state.control.reserve.offset_w == pytest.approx(500.0, abs=1.0)


def test_each_site_waits_its_own_time():
    waits = {recovery.stagger_s(f"NE-{n}", "lot") for n in range(50)}
    assert len(waits) == 50
    assert all(0 <= w < recovery.STAGGER_S for w in waits)
    assert recovery.stagger_s("NE-1", "lot") == recovery.stagger_s("NE-1", "lot")


def test_every_second_of_the_window_is_witnessed_once_and_kept_until_it_is_stored():
    r = site(fast_charger(), reserves=(window(5000.0, hours=60 / 3600),), frequency=stepping(20.0, 49.95))
    r.run(90)
    seconds = r.loop.proof()
    assert [s.utc for s in seconds] == [START + timedelta(seconds=n) for n in range(60)]
    assert {s.phase for s in seconds[2:]} == {ReservePhase.ARMED}
    assert seconds[40].response_w == pytest.approx(-1250.0, abs=5.0)
    assert seconds[40].delivered_w == pytest.approx(seconds[40].asked_w, abs=60.0)
    assert all(s.available for s in seconds[2:])
    r.loop.proof_stored(START + timedelta(seconds=30))
    assert len(r.loop.proof()) == 29


def test_what_holds_a_device_back_is_no_availability():
    r = site(fast_charger(), reserves=(window(8000.0),), frequency=stepping(10.0, 50.2))
    r.run(20)
    r.load = lambda second: 41_000.0
    r.run(30)
    last = r.loop.proof()[-1]
    assert not last.available
    assert last.refusals


def test_an_own_meter_of_the_device_is_believed_before_the_device():
    r = site(fast_charger(), reserves=(window(5000.0),))
    r.run(2)
    snapshot = r.state.snapshot(r.now)
    own = MeterSample(r.now, 123.0, (41.0,) * 3, (230.0,) * 3, (0.2,) * 3)
    snapshot = replace(snapshot, meters={**snapshot.meters, "own": own})
    measured = replace(r.tables, circuits={"garage": CircuitTable(32.0, ("garage",), meter="own")})
    assert _measured(snapshot, "garage", measured) == (r.now, 123.0)
    assert _measured(snapshot, "garage", r.tables)[1] != 123.0


@pytest.mark.parametrize(
    ("power_w", "hz", "answers"),
    [(2000.0, 49.55, False), (2000.0, 49.48, True), (5000.0, 49.65, False), (5000.0, 49.58, True)],
)
def test_a_fast_reserve_acts_at_the_rarest_level_that_the_device_can_serve(power_w, hz, answers):
    r = site(
        fast_charger(),
        reserves=(window(power_w, product=ReserveProduct.FFR),),
        frequency=stepping(20.0, hz, 20.5),
    )
    r.run(30)
    if not answers:
        assert max(r.trace.power_w["garage"]) - min(r.trace.power_w["garage"][50:]) < 700.0
        return
    assert reached(r.trace, "garage", 20.0, -power_w) <= 1.3
    r.run(20)
    assert r.plants["garage"].power_w == pytest.approx(-power_w, abs=60.0)  # held for 30 s
    r.run(8)
    assert abs(r.plants["garage"].power_w) < 60.0


def test_one_sided_reserve_answers_one_side():
    r = site(
        fast_charger(),
        reserves=(window(8000.0, product=ReserveProduct.FCR_D_DOWN),),
        frequency=lambda s: 50.3 if 10 <= s < 20 else 49.6 if s >= 30 else 50.0,
    )
    r.run(18)
    assert r.plants["garage"].power_w == pytest.approx(4000.0, abs=100.0)
    r.run(30)
    assert abs(r.plants["garage"].power_w) < 100.0


def test_the_recharge_is_part_of_what_was_asked_and_of_the_proof():
    r = site(
        fast_charger(capacity_wh=16_000.0, soc_pct=38.0),
        reserves=(window(4000.0),),
        settings=floor(20.0),
        **COARSE,
    )
    r.run(2500)
    status = r.state.control.reserve
    assert status.offset_w == pytest.approx(400.0, abs=1.0)
    last = r.loop.proof()[-1]
    assert last.asked_w == pytest.approx(last.baseline_w + last.response_w)
    assert last.available


def test_one_window_follows_another_without_a_gap_where_the_energy_still_lasts():
    first = window(5000.0, hours=60 / 3600)
    second = replace(first, id="lot-2", starts_at=first.ends_at, ends_at=first.ends_at + timedelta(hours=1))
    r = site(fast_charger(), reserves=(first, second), frequency=stepping(20.0, 49.9))
    r.run(90)
    answered = r.trace.power_w["garage"][250:]
    assert max(answered) < -2400.0
    seconds = r.loop.proof()
    assert {s.window_id for s in seconds} == {"lot-1", "lot-2"}
    assert all(s.available for s in seconds[2:])


@settings(max_examples=20, deadline=None)
@given(
    course=st.lists(st.floats(47.5, 52.0), min_size=1, max_size=12),
    product=st.sampled_from(ReserveProduct),
    soc_pct=st.floats(5.0, 100.0),
)
def test_whatever_the_frequency_no_more_is_asked_than_was_sold_and_nothing_beyond_the_floor(
    course, product, soc_pct
):
    r = site(
        fast_charger(soc_pct=soc_pct),
        reserves=(window(2000.0, product=product),),
        settings=floor(40.0),
        load_w=0.0,
        **COARSE,
    )
    r.run(3)
    for hz in course:
        r.frequency = lambda second, hz=hz: hz
        r.run(4)
        status = r.state.control.reserve
        assert abs(status.response_w) <= 2000.0
        assert abs(status.offset_w) <= 200.0
        assert all(abs(w) <= 2000.0 + 200.0 + 1000.0 for w in status.asked_w.values())
        assert bool(status.asked_w) == (status.phase in {ReservePhase.ARMED, ReservePhase.RECOVERING})
        if soc_pct <= 40.0:
            assert r.plants["garage"].power_w >= -1.0


def test_a_device_that_was_measured_at_its_work_can_be_sold():
    r = site(
        slow_charger(poll_s=0.5), reserves=(window(5000.0, begins_s=85.0),), dynamics={}, reserve=ACCEPTED
    )
    r.run(2)
    assert r.state.control.reserve.refusals == (Refusal.UNMEASURED,)
    for number, power_w in enumerate((3000.0, 100.0, 2500.0)):
        request = Request(
            f"r{number}", "garage", RequestMode.CHARGE, START + timedelta(days=1), power_w=power_w
        )
        r.state.wishes = replace(r.state.wishes, requests=(request,))
        r.run(25)
    r.run(15)
    assert r.state.control.reserve.phase is ReservePhase.ARMED


def test_a_frequency_that_nobody_measures_any_more_holds_no_device_for_ever():
    r = after_an_event(**COARSE)
    r.run(400)
    r.frequency = lambda second: None
    r.run(600)
    assert r.state.snapshot(r.now).decisions["garage"].limited_by.code == "recovery_hold"
    r.run(3 * 3600)
    assert r.state.control.reserve.held == {}
    assert r.state.control.reserve.phase is ReservePhase.OFF
    assert r.plants["garage"].power_w > 3000.0


def test_a_driver_who_must_leave_does_not_wait_for_the_grid():
    r = after_an_event(**COARSE)
    r.run(420)
    assert r.plants["garage"].power_w <= 0.0
    need = Need("garage", 6000.0, START + timedelta(seconds=420 + 2400))
    r.state.wishes = replace(r.state.wishes, needs=(need,))
    r.run(10)
    assert r.plants["garage"].power_w > 5000.0


def test_a_pause_that_is_over_keeps_no_device_from_the_reserve():
    r = site(fast_charger(), reserves=(window(5000.0),))
    until = START + timedelta(seconds=10)
    r.state.wishes = replace(r.state.wishes, requests=(Request("r", "garage", RequestMode.PAUSE, until),))
    r.run(5)
    assert r.state.control.reserve.refusals
    r.run(10)
    assert r.state.control.reserve.phase is ReservePhase.ARMED
