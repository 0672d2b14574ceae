"""What the ladder decides, as short stories, and what holds for any site."""

from dataclasses import replace
from datetime import time, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.config import ControlTables, GridTable
from gateway.control.balance import House, follow
from gateway.control.dispatch import NO_CLIMB, dispatch
from gateway.control.ladder import RUNGS, climb, climbed, speaking
from gateway.control.site_limits import fit, group_limits
from gateway.faults import FaultCode
from gateway.model import (
    ActiveFault,
    ControlStatus,
    DeviceSettings,
    Dynamics,
    GridWindow,
    Interval,
    OwnerSettings,
    Plan,
    PlanSlot,
    Request,
    RequestMode,
    Rung,
    WindowKind,
    Wishes,
)

HOUR = timedelta(hours=1)
ALIKE = {name: Dynamics(0.3, 5000.0, steps=5) for name in ("battery", "garage")}


def decide(house):
    snapshot = replace(house.snapshot(), control=ControlStatus(dynamics=ALIKE))
    outcome = dispatch(snapshot, ControlTables(house.grid), follow(House(), snapshot).balance)
    return {d.device: d for d in outcome.decisions}, outcome.faults


def request(house, mode, device="garage", **more):
    utc = house.snapshot().utc
    house.wishes = replace(house.wishes, requests=(Request("r1", device, mode, utc + HOUR, **more),))


def window(house, kind, value):
    utc = house.snapshot().utc
    house.wishes = replace(
        house.wishes, windows=(GridWindow(kind, value, utc - HOUR, utc + HOUR, "e1", "utility"),)
    )


def planned(house, powers):
    utc = house.snapshot().utc
    slot = PlanSlot(utc - HOUR, utc + HOUR, None, powers, dict.fromkeys(powers, "cheap_hours"))
    house.wishes = replace(house.wishes, plan=Plan("p1", utc, utc + HOUR, "test", (slot,)))


def test_car_and_battery_carry_the_house_together(house):
    decided, _ = decide(house(load_w=3000.0))
    assert decided["battery"].power_w + decided["garage"].power_w == pytest.approx(-3000.0)
    assert decided["battery"].power_w < 0 > decided["garage"].power_w
    assert decided["garage"].reason.rung is Rung.SELF_CONSUMPTION


def test_a_small_load_is_carried_by_the_battery_alone(house):
    decided, _ = decide(house(load_w=400.0))
    assert decided["battery"].power_w == pytest.approx(-400.0)
    assert decided["garage"].power_w == 0.0


def test_sun_is_stored_in_both_but_the_car_only_to_its_target(house):
    decided, _ = decide(house(load_w=-4000.0))
    assert decided["battery"].power_w > 0 < decided["garage"].power_w
    full_enough, _ = decide(house(load_w=-4000.0, car_soc_pct=80.0))
    assert full_enough["garage"].power_w == 0.0
    assert full_enough["battery"].power_w == pytest.approx(4000.0)


def test_a_car_whose_charge_nobody_knows_is_left_alone_and_that_is_what_is_said(house):
    for load_w in (-4000.0, 4000.0):
        decided, _ = decide(house(load_w=load_w, car_soc_pct=None))
        car = decided["garage"]
        assert car.power_w == 0.0
        assert (car.max_by.code, car.engage) == ("soc_unknown", True)


def test_below_the_owners_floor_nothing_is_discharged(house):
    site = house(load_w=3000.0, car_soc_pct=30.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w == 0.0
    assert decided["battery"].power_w == pytest.approx(-3000.0)


def test_a_car_far_below_its_floor_is_charged_at_once_as_fast_as_the_fuse_allows(house):
    decided, _ = decide(house(load_w=600.0, car_soc_pct=12.0))
    assert decided["garage"].power_w > 5000.0
    assert decided["garage"].reason.code == "below_floor"
    assert decided["garage"].power_w + 200.0 <= 25.0 * 230.0


def test_a_car_far_below_its_floor_is_charged_although_a_market_call_sheds_load(house):
    site = house(load_w=600.0, car_soc_pct=12.0)
    window(site, WindowKind.SHED, 3.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w > 5000.0
    assert decided["garage"].reason.code == "below_floor"


def test_a_charge_request_is_held_back_by_the_fuse_of_its_own_phase(house):
    site = house(load_w=(4000.0, 0.0, 0.0))
    request(site, RequestMode.CHARGE)
    decided, _ = decide(site)
    assert decided["garage"].power_w == pytest.approx(25 * 230 * 0.97 - 4000.0)
    assert decided["garage"].limited_by.code == "fuse_l1"
    assert decided["garage"].reason.code == "charge_now"


def test_an_overload_on_another_phase_does_not_touch_the_car(house):
    site = house(load_w=(0.0, 0.0, 6500.0), grid=replace(house().grid, import_limit_w=None))
    request(site, RequestMode.CHARGE, power_w=3000.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w == pytest.approx(3000.0)


def test_the_import_limit_of_a_utility_lowers_charging_and_says_so(house):
    site = house(load_w=1000.0)
    request(site, RequestMode.CHARGE)
    window(site, WindowKind.IMPORT_LIMIT, 3000.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w + decided["battery"].power_w + 1000.0 <= 3000.0 + 1e-6
    assert decided["garage"].limited_by.rung is Rung.PROTECTIVE_LIMIT
    assert decided["garage"].limited_by.source == "e1"


def test_the_export_limit_charges_the_battery_rather_than_exceed(house):
    site = house(load_w=-7000.0, car_soc_pct=95.0)
    request(site, RequestMode.DISCHARGE, power_w=3000.0)
    decided, _ = decide(site)
    assert -7000.0 + decided["garage"].power_w + decided["battery"].power_w >= -4000.0 - 1e-6


def test_a_charging_car_is_never_fed_from_the_battery(house):
    site = house(load_w=800.0)
    request(site, RequestMode.CHARGE, power_w=3000.0)
    decided, _ = decide(site)
    assert decided["battery"].power_w == pytest.approx(-800.0)


def test_what_a_car_gives_on_request_is_not_stored_in_the_battery(house):
    site = house(load_w=500.0)
    request(site, RequestMode.DISCHARGE, power_w=3000.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w == pytest.approx(-3000.0)
    assert decided["battery"].power_w == 0.0


def test_pause_opens_the_contactors_and_outranks_a_utility(house):
    site = house(load_w=3000.0)
    request(site, RequestMode.PAUSE)
    window(site, WindowKind.DISPATCH, 0.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w == 0.0
    assert not decided["garage"].engage
    assert decided["garage"].limited_by.code == "paused"


def test_the_owners_stop_stops_everything(house):
    site = house(load_w=3000.0)
    site.wishes = replace(site.wishes, owner=replace(site.wishes.owner, stopped=True))
    decided, _ = decide(site)
    assert [d.power_w for d in decided.values()] == [0.0, 0.0]
    assert {d.limited_by.code for d in decided.values()} == {"owner_stop"}


def test_a_dispatch_call_outranks_request_and_plan(house):
    site = house(load_w=1000.0)
    request(site, RequestMode.CHARGE, power_w=3000.0)
    window(site, WindowKind.DISPATCH, -2000.0)
    decided, _ = decide(site)
    assert 1000.0 + sum(d.power_w for d in decided.values()) == pytest.approx(-2000.0)
    assert decided["garage"].reason.rung is Rung.DISPATCH_CALL


@pytest.mark.parametrize(("level", "charging"), [(0, True), (1, False), (2, False), (3, False)])
def test_shed_levels(house, level, charging):
    site = house(load_w=1000.0)
    request(site, RequestMode.CHARGE, power_w=3000.0)
    window(site, WindowKind.SHED, level)
    decided, _ = decide(site)
    assert (decided["garage"].power_w > 0) is charging
    assert (decided["garage"].reason.code == "shed") is not charging


def test_a_request_outranks_the_plan_and_the_plan_outranks_self_consumption(house):
    site = house(load_w=1000.0)
    planned(site, {"garage": 2500.0})
    decided, _ = decide(site)
    assert decided["garage"].power_w == pytest.approx(2500.0)
    assert decided["garage"].reason.rung is Rung.PLAN
    request(site, RequestMode.DISCHARGE, power_w=1500.0)
    decided, _ = decide(site)
    assert decided["garage"].power_w == pytest.approx(-1500.0)


def test_an_expired_request_and_a_stale_plan_fall_back_to_self_consumption(house):
    site = house(load_w=1500.0)
    request(site, RequestMode.CHARGE)
    planned(site, {"garage": 2500.0})
    late = replace(site.snapshot(), utc=site.snapshot().utc + 2 * HOUR)
    outcome = dispatch(late, ControlTables(site.grid), follow(House(), late).balance)
    assert {d.reason.rung for d in outcome.decisions} == {Rung.SELF_CONSUMPTION}


def test_a_silent_grid_meter_never_leaves_more_than_one_phase_carries(house):
    site = house(load_w=300.0, stale=frozenset({"grid"}), grid=GridTable(main_fuse_a=6.0))
    request(site, RequestMode.CHARGE)
    decided, _ = decide(site)
    assert sum(d.power_w for d in decided.values()) == pytest.approx(0.97 * 6.0 * 230.0)


def test_a_silent_grid_meter_leaves_a_proven_draw_and_no_discharge(house):
    site = house(load_w=3000.0, stale=frozenset({"grid"}))
    decided, faults = decide(site)
    assert [d.power_w for d in decided.values()] == [0.0, 0.0]
    assert FaultCode.GRID_METER_STALE in faults
    request(site, RequestMode.CHARGE)
    decided, _ = decide(site)
    assert sum(d.power_w for d in decided.values()) == pytest.approx(site.grid.blind_draw_w)
    assert decided["garage"].limited_by.code == "grid_meter_stale"


@pytest.mark.parametrize(("kind", "value"), [(WindowKind.IMPORT_LIMIT, 3000.0), (WindowKind.SHED, 1.0)])
def test_a_limit_of_a_utility_that_cannot_be_measured_is_held_by_drawing_nothing(house, kind, value):
    site = house(load_w=1000.0, stale=frozenset({"grid"}))
    request(site, RequestMode.CHARGE, power_w=3000.0)
    window(site, kind, value)
    decided, _ = decide(site)
    assert sum(d.power_w for d in decided.values()) == 0.0
    assert decided["garage"].limited_by.source == "e1"


def test_without_the_meter_no_more_is_drawn_than_the_connection_allows(house):
    site = house(load_w=1000.0, stale=frozenset({"grid"}), grid=replace(house().grid, import_limit_w=1000.0))
    request(site, RequestMode.CHARGE)
    decided, _ = decide(site)
    assert sum(d.power_w for d in decided.values()) == pytest.approx(1000.0)


def test_a_car_whose_soc_is_unknown_is_not_discharged(house):
    decided, _ = decide(house(load_w=3000.0, car_soc_pct=None))
    assert decided["garage"].power_w == 0.0


def test_a_fault_stops_its_device_alone(house):
    site = house(load_w=3000.0)
    site.faults = (ActiveFault("device_fault", "battery", site.snapshot().utc, "code 7"),)
    decided, _ = decide(site)
    assert decided["battery"].power_w == 0.0
    assert decided["battery"].limited_by.source == "device_fault"
    assert decided["garage"].power_w == pytest.approx(-3000.0)


def test_an_unproven_fail_safe_forbids_discharge_only(house):
    site = house(load_w=-3000.0)
    site.faults = (ActiveFault("fail_safe_unproven", "battery", site.snapshot().utc),)
    decided, _ = decide(site)
    assert decided["battery"].power_w > 0
    site.load_w = 3000.0
    decided, _ = decide(site)
    assert decided["battery"].power_w == 0.0


def test_a_rung_that_raises_closes_its_device_and_names_itself(house):
    def broken(bid, known, scene):
        raise ZeroDivisionError("sum of nothing")

    bid, failure = climb(house().snapshot(), "battery", (*RUNGS[:3], broken, *RUNGS[3:]))
    assert bid.interval == Interval(0.0, 0.0)
    assert not bid.engage
    assert "broken" in failure


def test_power_at_the_floor_does_not_flutter(house):
    site = house(load_w=3000.0, car_soc_pct=30.0)
    decided, _ = decide(site)
    starts = 0
    for _ in range(200):
        site.car_soc_pct = 30.4 if site.car_soc_pct < 30.2 else 29.9
        site.decisions = decided
        before = decided["garage"].power_w
        decided, _ = decide(site)
        starts += before == 0.0 and decided["garage"].power_w != 0.0
    assert starts == 0


def test_a_device_that_should_rest_rests_and_does_not_linger_at_a_few_watts(house):
    site = house(load_w=0.0, battery_w=-5.0)
    planned(site, {"garage": 5.0, "battery": 5.0})
    site.decisions, _ = decide(site)
    planned(site, {"garage": 0.0, "battery": 0.0})
    decided, _ = decide(site)
    assert [d.power_w for d in decided.values()] == [0.0, 0.0]


powers = st.floats(-12_000, 12_000)
socs = st.floats(0, 100)


@st.composite
def houses(draw):
    from datetime import UTC, datetime

    utc = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
    requests = ()
    if draw(st.booleans()):
        mode = draw(st.sampled_from(RequestMode))
        size = draw(st.none() | st.floats(0, 20_000))
        requests = (Request("r", draw(st.sampled_from(["garage", "battery"])), mode, utc + HOUR, size),)
    windows = tuple(
        GridWindow(
            draw(st.sampled_from(WindowKind)), draw(st.floats(0, 8000)), utc - HOUR, utc + HOUR, f"e{i}", "u"
        )
        for i in range(draw(st.integers(0, 2)))
    )
    devices = {
        name: DeviceSettings(draw(socs), draw(socs), draw(st.none() | st.just(time(7))), draw(st.booleans()))
        for name in ("garage", "battery")
    }
    wishes = Wishes(OwnerSettings(control_on=True, devices=devices), requests, windows)
    return {
        "load_w": (draw(powers), draw(powers), draw(powers)),
        "battery_w": draw(st.floats(-5000, 5000)),
        "car_w": draw(st.floats(-6000, 6000)),
        "battery_soc_pct": draw(socs),
        "car_soc_pct": draw(st.none() | socs),
        "plugged": draw(st.booleans()),
        "stale": frozenset(draw(st.sets(st.sampled_from(["grid", "battery", "garage"])))),
        "wishes": wishes,
    }


anything = settings(
    max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)


@anything
@given(arguments=houses())
def test_no_device_leaves_its_interval_and_no_floor_is_broken_for_any_site(house, arguments):
    site = house(**arguments)
    decided, _ = decide(site)
    for name, decision in decided.items():
        assert decision.interval.min_w - 1e-6 <= decision.power_w <= decision.interval.max_w + 1e-6
        assert -6000.0 <= decision.power_w <= 6000.0
        soc = site.battery_soc_pct if name == "battery" else site.car_soc_pct
        wishes = site.wishes.owner.of(name)
        if name in site.stale or soc is None or soc <= wishes.floor_soc_pct or not wishes.discharge_allowed:
            assert decision.power_w >= 0.0
    if "grid" in site.stale:
        assert sum(d.power_w for d in decided.values()) <= site.grid.blind_draw_w + 1e-6
        assert all(d.power_w >= -1e-6 for d in decided.values())


@anything
@given(arguments=houses())
def test_a_rung_that_is_not_asked_had_nothing_to_say(house, arguments):
    snapshot = house(**arguments).snapshot()
    for device in (*snapshot.storages, *snapshot.evses):
        assert climb(snapshot, device, speaking(snapshot)) == climb(snapshot, device)


@anything
@given(earlier=houses(), arguments=houses())
def test_what_stands_of_the_last_climb_is_what_a_new_one_would_bring(house, earlier, arguments):
    one, other = house(**earlier), house(**arguments)
    before = NO_CLIMB
    for snapshot in (one.snapshot(), replace(one, decisions=decide(one)[0]).snapshot(), other.snapshot()):
        found = climbed(before, snapshot)
        assert found.bids == climbed(NO_CLIMB, snapshot).bids
        before = found


def test_a_bid_is_not_made_anew_while_the_same_is_known(house):
    first = climbed(NO_CLIMB, house(at=100.0).snapshot())
    later = climbed(first, house(at=100.1, load_w=3000.0, car_w=500.0).snapshot())
    assert later.bids["garage"] is first.bids["garage"]
    fuller = climbed(later, house(at=100.2, car_soc_pct=99.0).snapshot())
    assert fuller.bids["garage"].high.code == "target_reached"


def test_a_bid_that_failed_is_tried_again_and_fails_again(house):
    site = house(plugged=True)
    snapshot = replace(site.snapshot(), storages={"battery": object()})
    before = NO_CLIMB
    for _ in range(2):
        before = climbed(before, snapshot)
        assert before.bids["battery"].interval == Interval(0.0, 0.0)
        assert not before.bids["battery"].engage
        assert "battery" not in before.kept
        assert before.failure
        assert before.bids["garage"].engage


@anything
@given(arguments=houses(), tighter=st.floats(0, 9000))
def test_a_tighter_import_limit_never_admits_more(house, arguments, tighter):
    site = house(**arguments)
    loose, _ = decide(site)
    site.grid = replace(site.grid, import_limit_w=tighter)
    tight, _ = decide(site)
    assert sum(d.power_w for d in tight.values()) <= sum(d.power_w for d in loose.values()) + 10.0


@anything
@given(arguments=houses())
def test_limits_hold_whenever_the_devices_could_hold_them(house, arguments):
    site = house(**{**arguments, "stale": frozenset()})
    snapshot = site.snapshot()
    balance = follow(House(), snapshot).balance
    outcome = dispatch(snapshot, ControlTables(site.grid), balance)
    windows = tuple(w for w in site.wishes.windows if w.active(snapshot.utc))
    limits = group_limits(
        site.grid, balance, {d.device: snapshot.devices[d.device] for d in outcome.decisions}, windows
    )
    intervals = {d.device: d.interval for d in outcome.decisions}
    for limit in limits[:1]:  # the highest rung always stands, as far as its devices reach
        total = sum(
            w * p.power_w for d, w in limit.weights.items() for p in outcome.decisions if p.device == d
        )
        lowest = sum(w * intervals[d].min_w for d, w in limit.weights.items() if d in intervals)
        highest = sum(w * intervals[d].max_w for d, w in limit.weights.items() if d in intervals)
        assert total <= max(limit.interval.max_w, lowest) + 10.0
        assert total >= min(limit.interval.min_w, highest) - 10.0


def test_fitting_nothing_changes_nothing():
    assert fit({"a": 5.0}, {"a": Interval(-9, 9)}, ()).powers_w == {"a": 5.0}
