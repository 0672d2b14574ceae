"""Stories of a lease: when an order is written, renewed and ended, and when it counts as ignored."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.following import Following
from gateway.devices.storage.order import Standing, Step, differs, next_step
from gateway.model import Reason, Rung, Setpoint, StorageSample, StorageState

LEASE_S = 30.0


def setpoint(power_w, expires_at):
    return Setpoint("battery", power_w, expires_at, Reason(Rung.PLAN, "test"))


def test_the_first_setpoint_is_written_with_a_whole_lease():
    assert next_step(0.0, setpoint(500, 10.0), 500, None, LEASE_S) == (Step.RENEW, None)


def test_another_power_is_a_change_and_the_same_power_waits_until_its_renewal():
    standing = Standing(500.0, 0.0)
    assert next_step(1.0, setpoint(700, 11.0), 700, standing, LEASE_S) == (Step.CHANGE, None)
    assert next_step(1.0, setpoint(500, 60.0), 500, standing, LEASE_S) == (Step.WAIT, 10.0)
    assert next_step(1.0, setpoint(500, 6.0), 500, standing, LEASE_S) == (Step.WAIT, 6.0)
    assert next_step(10.0, setpoint(500, 60.0), 500, standing, LEASE_S) == (Step.RENEW, None)


def test_what_is_not_verified_is_written_again_as_a_whole():
    assert next_step(1.0, setpoint(500, 60.0), 500, Standing(None, 0.0), LEASE_S) == (Step.RENEW, None)


def test_an_expired_setpoint_ends_the_order_and_is_never_written():
    assert next_step(10.0, setpoint(500, 10.0), 500, Standing(500.0, 0.0), LEASE_S) == (Step.END, None)
    assert next_step(10.0, setpoint(500, 10.0), 500, None, LEASE_S) == (Step.WAIT, None)
    assert next_step(10.0, None, 0, None, LEASE_S) == (Step.WAIT, None)


@given(
    now=st.floats(0, 1e6),
    left_s=st.floats(-100, 100),
    power_w=st.floats(-5000, 5000),
    standing=st.none() | st.builds(Standing, st.none() | st.floats(-5000, 5000), st.floats(0, 1e6)),
)
def test_an_expired_setpoint_never_leads_to_an_order(now, left_s, power_w, standing):
    step, until = next_step(now, setpoint(power_w, now + left_s), power_w, standing, LEASE_S)
    if now >= now + left_s:
        assert step in (Step.END, Step.WAIT)
    if step is Step.WAIT and until is not None:
        assert now < until <= now + left_s


def sample(at, power_w, applied_w, soc_pct=50.0):
    return StorageSample(at, power_w, soc_pct, StorageState.RUNNING, 5000, 5000, applied_w=applied_w)


def broken_after(seconds, *args, **kwargs):
    following = Following()
    for at in range(seconds + 1):
        now = sample(float(at), *args, **kwargs)
        following = following.after(now.at, differs=differs(now))
    return following.broken(float(seconds))


def test_an_order_that_is_not_followed_for_half_a_minute_is_told():
    assert not broken_after(30, 0, 3000)
    assert broken_after(31, 0, 3000)
    assert broken_after(31, 500, 0)


def test_small_differences_full_and_empty_batteries_are_no_disobedience():
    assert not broken_after(60, 2750, 3000)
    assert not broken_after(60, 150, 0)
    assert not broken_after(60, 0, None)
    assert not broken_after(60, 0, 3000, soc_pct=96)
    assert not broken_after(60, 0, -3000, soc_pct=9)


def test_following_again_forgets():
    following = Following(differs_since=0.0).after(40.0, differs=differs(sample(40.0, 3000, 3000)))
    assert not following.broken(80.0)


def test_what_carries_the_house_alone_follows_no_order():
    assert not differs(replace(sample(0.0, -1500, 0), islanded=True))
    assert differs(replace(sample(0.0, -1500, 0), islanded=False))
