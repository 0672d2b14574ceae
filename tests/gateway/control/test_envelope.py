"""The last gate: it believes no decision."""

from copy import replace
from math import inf, nan

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.control.envelope import LEASE_S, RAMP_W_PER_S, admit, hold_blind, hold_fuse
from gateway.model import ActiveFault, Decision, Interval, Reason, Rung, Setpoint

REASON = Reason(Rung.PLAN, "plan")


def decision(snapshot, power_w, device="garage"):
    return Decision(device, snapshot.at, snapshot.utc, power_w, power_w, Interval(-inf, inf), REASON)


def admitted(house, power_w, device="garage", before_w=0.0, elapsed_s=10.0):
    snapshot = house.snapshot()
    before = Setpoint(device, before_w, snapshot.at + 5, REASON)
    return admit(decision(snapshot, power_w, device), before, snapshot, elapsed_s)


def test_a_decision_beyond_the_nameplate_is_cut(house):
    assert admitted(house(), 50_000.0).power_w == 6000.0
    assert admitted(house(), -50_000.0).power_w == -6000.0
    assert admitted(house(), -50_000.0).limited_by.rung is Rung.ENVELOPE


def test_what_is_no_number_is_zero(house):
    assert admitted(house(), nan).power_w == 0.0
    assert admitted(house(), inf).power_w == 6000.0


def test_a_silent_device_an_unknown_soc_or_a_blind_site_is_not_discharged(house):
    assert admitted(house(stale=frozenset({"garage"})), -3000.0).power_w == 0.0
    assert admitted(house(car_soc_pct=None), -3000.0).power_w == 0.0
    assert admitted(house(car_soc_pct=4.9), -3000.0).power_w == 0.0
    assert admitted(house(stale=frozenset({"grid"})), -3000.0).power_w == 0.0


def test_a_reading_that_is_no_number_admits_nothing(house):
    assert admitted(house(car_soc_pct=nan), -3000.0).power_w == 0.0
    snapshot = house().snapshot()
    battery = replace(snapshot.storages["battery"], discharge_max_w=nan)
    unread = replace(snapshot, storages={"battery": battery})
    assert admit(decision(unread, -3000.0, "battery"), None, unread, 10.0).power_w == 0.0


def test_a_device_without_proven_fail_safe_is_not_discharged(house):
    site = house()
    site.faults = (ActiveFault("fail_safe_unproven", "battery", site.snapshot().utc),)
    assert admitted(site, -3000.0, "battery").power_w == 0.0
    assert admitted(site, 3000.0, "battery").power_w == 3000.0


def test_power_grows_on_a_ramp_and_falls_at_once(house):
    assert admitted(house(), -6000.0, before_w=-1000.0, elapsed_s=0.1).power_w == -1000.0 - RAMP_W_PER_S * 0.1
    assert admitted(house(), 0.0, before_w=-6000.0, elapsed_s=0.1).power_w == 0.0
    assert admitted(house(), 2000.0, before_w=-6000.0, elapsed_s=0.1).power_w == RAMP_W_PER_S * 0.1


def test_an_expired_predecessor_counts_as_zero(house):
    snapshot = house().snapshot()
    before = Setpoint("garage", -6000.0, snapshot.at - 1, REASON)
    assert admit(decision(snapshot, -6000.0), before, snapshot, 0.1).power_w == -RAMP_W_PER_S * 0.1


def test_a_phase_that_is_over_its_fuse_admits_no_more_than_flows_now(house):
    site = house(load_w=(4000.0, 0.0, 0.0), car_w=3000.0)
    snapshot = site.snapshot()
    held = hold_fuse({"garage": Setpoint("garage", 6000.0, 200.0, REASON)}, snapshot, site.grid)
    assert held["garage"].power_w == 3000.0
    assert held["garage"].limited_by.code == "fuse_l1"
    other = replace(
        snapshot, devices={**snapshot.devices, "garage": replace(snapshot.devices["garage"], phases=(3,))}
    )
    free = hold_fuse({"garage": Setpoint("garage", 6000.0, 200.0, REASON)}, other, site.grid)
    assert free["garage"].power_w == 6000.0


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    power_w=st.floats(),
    before_w=st.floats(-10_000, 10_000),
    elapsed_s=st.floats(0, 5),
    soc=st.none() | st.floats(0, 100),
    stale=st.sets(st.sampled_from(["grid", "garage"])),
    plugged=st.booleans(),
)
def test_nothing_leaves_the_envelope_whatever_was_decided(
    house, power_w, before_w, elapsed_s, soc, stale, plugged
):
    site = house(car_soc_pct=soc, stale=frozenset(stale), plugged=plugged)
    setpoint = admitted(site, power_w, before_w=before_w, elapsed_s=elapsed_s)
    assert -6000.0 <= setpoint.power_w <= 6000.0
    assert site.at < setpoint.expires_at <= site.at + LEASE_S
    if "garage" in stale or not plugged:
        assert setpoint.power_w == 0.0
    if soc is None or soc <= 5.0 or "grid" in stale:
        assert setpoint.power_w >= 0.0
    if setpoint.power_w * before_w > 0:
        assert abs(setpoint.power_w) <= abs(before_w) + RAMP_W_PER_S * elapsed_s + 1e-6


def test_only_the_owners_request_is_passed_on_as_the_owners_asking(house):
    snapshot = house().snapshot()
    for rung in Rung:
        asked = replace(decision(snapshot, 1000.0), reason=Reason(rung, "why"))
        assert admit(asked, None, snapshot, 10.0).owner_asked is (rung is Rung.OWNER_REQUEST)


# ── without a meter that can be believed ─────────────────────────────────────────────────────────────────────────────

POWERS = st.floats(-6000, 6000)
ANYTHING = Interval(-inf, inf)


def held_blind(site, asked_w, *, doubted, interval=ANYTHING):
    snapshot = site.snapshot()
    decisions = [replace(decision(snapshot, w, d), interval=interval) for d, w in asked_w.items()]
    setpoints = {d: Setpoint(d, w, 200.0, REASON) for d, w in asked_w.items()}
    held = hold_blind(setpoints, decisions, snapshot, site.grid, doubted=doubted)
    return {d: s.power_w for d, s in held.items()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(load_w=POWERS, car_w=POWERS, battery_w=POWERS, car=st.floats(0, 6000), battery=st.floats(0, 6000))
def test_while_the_meter_is_doubted_nothing_draws_more_than_it_does_nor_gives_more(
    house, load_w, car_w, battery_w, car, battery
):
    site = house(load_w=(load_w, 0.0, 0.0), car_w=car_w, battery_w=battery_w)
    held = held_blind(site, {"garage": car, "battery": battery}, doubted=True)
    for device, before_w in (("garage", car_w), ("battery", battery_w)):
        assert min(0.0, before_w) <= held[device] <= max(0.0, before_w)
    assert sum(held.values()) <= max(0.0, car_w + battery_w) + 1e-6


def test_a_battery_keeps_carrying_a_car_until_that_has_let_go(house):
    asked_w = {"garage": 0.0, "battery": 0.0}
    for car_w, battery_w in ((5000.0, -3000.0), (3000.0, -3000.0), (1000.0, -1000.0)):
        site = house(car_w=car_w, battery_w=-3000.0)
        assert held_blind(site, asked_w, doubted=True) == {"garage": 0.0, "battery": battery_w}
    assert held_blind(house(car_w=0.0, battery_w=-3000.0), asked_w, doubted=True)["battery"] == 0.0
    at_rest = house(car_w=1400.0, battery_w=-1400.0, stale=frozenset({"grid"}))
    assert held_blind(at_rest, {"garage": 1400.0, "battery": 0.0}, doubted=False)["battery"] == 0.0
    stopped = held_blind(site, asked_w, doubted=True, interval=Interval(0.0, 0.0))
    assert stopped["battery"] == 0.0


def test_a_meter_that_is_not_believed_can_still_forbid_a_draw(house):
    asked_w = {"garage": 1400.0}
    for sign in (1.0, -1.0):
        full = house(load_w=(sign * 5700.0, 0.0, 0.0), car_w=0.0)
        assert held_blind(full, asked_w, doubted=False) == {"garage": 0.0}
    assert held_blind(house(load_w=(1000.0, 0.0, 0.0)), asked_w, doubted=False) == asked_w
    assert held_blind(house(stale=frozenset({"grid"})), asked_w, doubted=False) == asked_w
