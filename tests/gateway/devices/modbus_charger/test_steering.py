"""What a charger is told next: every wish in every stand, without a wire and without a clock."""

import itertools
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.modbus_charger.steering import (
    RENEW_S,
    SEEK_S,
    SEEK_W,
    Act,
    Look,
    Make,
    Standing,
    Wish,
    asked_anew,
    attuned,
    done,
    next_act,
    refused,
    target_w,
)
from gateway.devices.modbus_charger.watching import REFUSED_AFTER_S, SEEK_AGAIN_S, SOC_LASTS_S, differs, seen
from gateway.model import EvseState

NOW = 1000.0
MAKE = Make(settle_s=2.5, least_share=0.75, starts_sessions=True, seeks_soc=True, trims=True, restart_s=300.0)
READY = Look(NOW, EvseState.READY, 0.0, 7400.0, 7400.0, 0.0, least_charge_w=690.0, least_discharge_w=690.0)
HELD = Standing(remote=True, held=True, session=True, soc_known=True, soc_at=NOW, renewed_at=float("inf"))
FREE = Standing()
LOST = replace(HELD, order_w=None)
LATER = 1e9
ASKS, LEAVES, PAUSES = Wish(2000.0, engage=True, at=LATER), Wish(leave=True), Wish()
STANDINGS = {
    "free": FREE,
    "left behind": Standing(remote=True),
    "taken": Standing(remote=True, held=True),
    "in session": HELD,
    "flowing": replace(HELD, order_w=2000.0),
    "unknown": LOST,
    "yielded, still in control": replace(HELD, yielded="app"),
    "yielded": Standing(yielded="app"),
    "discharge refused": replace(HELD, refusal="no"),
}
LOOKS = {state: replace(READY, state=state) for state in EvseState}
WISHES = {"asks": ASKS, "gives": Wish(-2000.0, engage=True, at=LATER), "holds": Wish(0.0, engage=True, at=LATER), "leaves": LEAVES, "pauses": PAUSES}  # fmt: skip


def act(wish, look=READY, standing=HELD, now=NOW):
    return next_act(now, wish, look, standing, MAKE)


# ── every wish in every stand at every look ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("wish", "look", "standing"), list(itertools.product(WISHES, LOOKS, STANDINGS)), ids=str
)
def test_it_comes_to_rest_and_only_where_it_may(wish, look, standing):
    """Carry out what is asked for until nothing is: that is soon, and no power stands that was not asked for."""
    asked, seen_now, stands, now = WISHES[wish], LOOKS[look], STANDINGS[standing], NOW
    for _ in range(8):
        what, value = next_act(now, asked, seen_now, stands, MAKE)
        if what is Act.WAIT:
            break
        stands, now = done(now, what, value, stands), now + MAKE.settle_s
    else:
        pytest.fail("it never comes to rest")
    may_flow = asked.engage and seen_now.plugged and look is not EvseState.FAULT and not stands.yielded
    if not may_flow:
        assert not stands.session or not stands.remote
        assert stands.order_w == 0.0 or not stands.remote
    elif stands.seeking(now):
        assert stands.order_w == SEEK_W
    else:
        refused_w = 0.0 if stands.refusal and asked.power_w < 0 else asked.power_w
        assert (stands.held, stands.order_w) == (True, refused_w)
    if asked.leave:
        assert not stands.remote


@pytest.mark.parametrize("standing", STANDINGS)
def test_nothing_is_written_to_a_charger_that_is_not_ours_and_not_wanted(standing):
    stands = STANDINGS[standing]
    what, _ = act(PAUSES, standing=stands)
    assert what is Act.WAIT or stands.remote


# ── the set-point ────────────────────────────────────────────────────────────────────────────────────────────────────


@given(
    st.floats(-1e6, 1e6),
    st.floats(0, 12_000),
    st.floats(0, 12_000),
    st.floats(0, 1500),
    st.booleans(),
)
def test_a_set_point_never_leaves_the_window_never_grows_and_is_whole(wish_w, most_in, most_out, least_w, no):
    look = replace(
        READY,
        charge_max_w=most_in,
        discharge_max_w=most_out,
        least_charge_w=least_w,
        least_discharge_w=least_w,
    )
    power_w = target_w(NOW, Wish(wish_w, engage=True), look, replace(HELD, refusal="no" if no else ""))
    assert -(0.0 if no else most_out) <= power_w <= most_in
    assert abs(power_w) <= abs(wish_w)
    assert power_w * wish_w >= 0
    assert power_w == int(power_w)
    assert power_w == 0 or abs(power_w) >= least_w


@pytest.mark.parametrize(
    ("before_w", "wish_w", "waits_s"),
    [
        (2000.0, 3000.0, 2.5),
        (2000.0, 1900.0, 1.5),
        (2000.0, -2000.0, 1.5),
        (2000.0, 400.0, 1.5),
        (2000.0, 0.0, 0.0),
        (-2000.0, -1900.0, 1.5),
        (-2000.0, -2100.0, 2.5),
        (0.0, 2000.0, 2.5),
        (None, 2000.0, 0.0),
    ],
)
def test_more_waits_until_the_charger_has_settled_less_a_little_and_zero_not_at_all(
    before_w, wish_w, waits_s
):
    stands = replace(HELD, order_w=before_w, written_at=NOW)
    asked, written_w = Wish(wish_w, engage=True, at=LATER), wish_w if abs(wish_w) >= 690 else 0.0
    for after_s in (0.0, waits_s - 0.1, waits_s):
        look = replace(READY, at=NOW + after_s)
        what, value = act(asked, look, stands, NOW + after_s)
        assert what is (Act.ORDER if after_s >= waits_s or not waits_s else Act.WAIT)
        assert what is Act.WAIT or value == written_w


def test_more_waits_for_a_look_that_was_taken_after_settling():
    stands = replace(HELD, order_w=1000.0, written_at=NOW)
    assert act(ASKS, replace(READY, at=NOW + 2.4), stands, NOW + 2.6) == (Act.WAIT, float("inf"))
    assert act(ASKS, replace(READY, at=NOW + 2.6), stands, NOW + 2.6) == (Act.ORDER, 2000.0)


@pytest.mark.parametrize(("before_w", "looked_s"), [(1000.0, 2.5), (3000.0, 1.5)])
def test_a_wish_that_has_not_seen_the_look_is_given_the_time_to(before_w, looked_s):
    stands, look = replace(HELD, order_w=before_w, written_at=NOW), replace(READY, at=NOW + looked_s)
    old = replace(ASKS, at=look.at)
    assert act(old, look, stands, look.at) == (Act.WAIT, look.at + 0.5)
    assert act(old, look, stands, look.at + 0.5) == (Act.ORDER, 2000.0)
    assert act(replace(old, at=look.at + 0.1), look, stands, look.at + 0.1) == (Act.ORDER, 2000.0)


def test_less_waits_for_such_a_look_only_until_the_charger_has_settled():
    stands = replace(HELD, order_w=3000.0, written_at=NOW)
    assert act(ASKS, READY, stands, NOW + 2.4) == (Act.WAIT, NOW + 2.5)
    assert act(ASKS, READY, stands, NOW + 2.5) == (Act.ORDER, 2000.0)


@pytest.mark.parametrize(("before_w", "written"), [(1991.0, False), (1990.0, True), (2001.0, True)])
def test_a_few_watts_more_are_not_worth_a_write_and_a_watt_less_is(before_w, written):
    what, _ = act(ASKS, replace(READY, at=NOW + 9), replace(HELD, order_w=before_w), NOW + 9)
    assert (what is Act.ORDER) is written


@pytest.mark.parametrize("sign", [1, -1])
def test_a_wish_at_the_edge_of_what_the_charger_can_do_does_not_start_and_stop_it(sign):
    stands, flows = HELD, []
    for step in range(100):
        wish = Wish(sign * (690.0 + (40.0 if step % 2 else -40.0)), engage=True, at=LATER)
        stands = attuned(NOW, wish, READY, stands)
        flows.append(stands.asked_w)
    assert set(flows) == {0.0}
    begun = attuned(NOW, Wish(sign * 863.0, engage=True, at=LATER), READY, stands)
    assert begun.asked_w == sign * 863.0
    assert attuned(NOW, Wish(sign * 700.0, engage=True, at=LATER), READY, begun).asked_w == sign * 700.0
    assert attuned(NOW, Wish(sign * 689.0, engage=True, at=LATER), READY, begun).asked_w == 0.0


def test_a_window_that_is_hardly_wider_than_the_least_is_used():
    narrow = replace(READY, charge_max_w=700.0)
    assert target_w(NOW, Wish(5000.0, engage=True), narrow, HELD) == 700.0


def test_what_flows_is_written_again_in_time_and_what_rests_is_not():
    stands = done(NOW, Act.ORDER, 2000.0, HELD)
    assert act(ASKS, standing=stands, now=NOW + RENEW_S - 1) == (Act.WAIT, NOW + RENEW_S)
    assert act(ASKS, standing=stands, now=NOW + RENEW_S) == (Act.RENEW, 2000.0)
    renewed = done(NOW + RENEW_S, Act.RENEW, 2000.0, stands)
    assert act(ASKS, standing=renewed, now=NOW + RENEW_S) == (Act.WAIT, NOW + 2 * RENEW_S)
    assert renewed.written_at == NOW, "a renewal is no change that would have to settle"
    assert act(WISHES["holds"], now=LATER) == (Act.WAIT, float("inf"))
    no = refused(NOW + RENEW_S, Act.RENEW, 2000.0, stands, "busy")
    assert (no.order_w, act(ASKS, standing=no, now=NOW + RENEW_S)) == (2000.0, (Act.WAIT, NOW + RENEW_S + 5))


# ── the trim ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def settle(asked_w, share, make=MAKE, rounds=12):
    """Let a charger settle of which ``share`` of the set-point flows; return what stands and what flows."""
    stands, now, power_w = HELD, NOW, 0.0
    for _ in range(rounds):
        look = replace(READY, at=now, power_w=power_w, kept_w=stands.order_w)
        wish = Wish(asked_w, engage=True, at=LATER)
        stands = attuned(now, wish, look, seen(now, look, stands, make))
        what, value = next_act(now, wish, look, stands, make)
        if what is Act.ORDER:
            stands = done(now, what, value, stands)
        power_w, now = share * stands.order_w, now + 3.0
    return stands, power_w


@pytest.mark.parametrize("asked_w", [1500.0, -1500.0, 4000.0, -4000.0])
@pytest.mark.parametrize("share", [0.84, 0.97, 1.0])
def test_what_is_seen_to_lack_is_added_until_the_wish_flows_and_never_more(asked_w, share):
    stands, power_w = settle(asked_w, share)
    assert abs(power_w) == pytest.approx(abs(asked_w), abs=30)
    assert stands.trim_w == pytest.approx(abs(asked_w) * (1 / share - 1), abs=30)


def test_a_charger_that_gives_half_is_not_asked_for_twice_as_much():
    stands, _ = settle(4000.0, 0.5)
    assert stands.order_w == pytest.approx(1.2 * 4000.0, abs=1)


def test_a_make_that_does_not_need_it_is_not_trimmed():
    assert settle(4000.0, 0.9, replace(MAKE, trims=False))[0].order_w == 4000.0


def test_the_trim_ends_with_the_window_and_with_the_direction():
    stands, _ = settle(7300.0, 0.9)
    assert stands.order_w == 7400.0
    turned = attuned(NOW, WISHES["gives"], READY, stands)
    assert (turned.asked_w, turned.trim_w) == (-2000.0, 0.0)


@pytest.mark.parametrize("fallen_w", [700.0, 2000.0, 5900.0])
def test_a_limit_that_comes_down_takes_the_trim_down_with_it(fallen_w):
    stands, _ = settle(6000.0, 0.85)
    lowered = attuned(NOW, Wish(fallen_w, engage=True, at=LATER), READY, stands)
    assert lowered.trim_w / fallen_w <= stands.trim_w / 6000.0
    raised = attuned(NOW, Wish(6000.0, engage=True, at=LATER), READY, lowered)
    assert raised.trim_w == lowered.trim_w, "what less power lost is no ground to add more"


def test_what_is_too_much_is_taken_away_in_one_step():
    stands, _ = settle(4000.0, 0.85)
    look = replace(READY, at=NOW + 100, power_w=stands.order_w, kept_w=stands.order_w)
    assert seen(NOW + 100, look, stands, MAKE).trim_w == 0.0


# ── a session ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_an_unknown_charge_is_sought_for_a_minute_once_per_session():
    stands = replace(HELD, session=False, soc_known=False)
    assert act(ASKS, standing=stands) == (Act.START, SEEK_W)
    stands = done(NOW, Act.START, SEEK_W, stands)
    assert act(ASKS, standing=stands) == (Act.WAIT, NOW + RENEW_S)
    later = replace(READY, at=NOW + SEEK_S)
    assert act(ASKS, later, stands, NOW + SEEK_S) == (Act.ORDER, 2000.0)
    again = replace(stands, session=False)
    assert act(ASKS, standing=again, now=NOW + SEEK_S) == (Act.START, 0.0)
    told = replace(READY, at=NOW + 5, soc_pct=50.0, kept_w=SEEK_W)
    assert act(ASKS, told, seen(NOW + 5, told, stands, MAKE), NOW + 5) == (Act.ORDER, 2000.0)


BLIND = replace(HELD, soc_known=False, seeking_since=NOW)


def test_a_charge_that_was_not_to_be_had_is_sought_again_while_nothing_flows():
    late = NOW + SEEK_AGAIN_S
    assert not seen(late - 1, READY, BLIND, MAKE).seeking(late - 1)
    assert seen(late, READY, BLIND, MAKE).seeking(late)
    flowing = replace(BLIND, order_w=2000.0)
    assert not seen(late, replace(READY, kept_w=2000.0, power_w=1900.0), flowing, MAKE).seeking(late)
    assert not seen(late, READY, replace(BLIND, session=False), MAKE).seeking(late)
    assert not seen(late, READY, BLIND, replace(MAKE, seeks_soc=False)).seeking(late)


def test_a_charge_that_was_told_hours_ago_is_sought_again():
    told = seen(NOW, replace(READY, soc_pct=62.0), BLIND, MAKE)
    late = NOW + SOC_LASTS_S
    assert seen(late - 1, READY, told, MAKE).soc_known
    assert seen(late, READY, told, MAKE).seeking(late)


def test_a_session_that_the_charger_has_ended_is_begun_again_after_a_while():
    stands = replace(HELD, order_w=2000.0, written_at=NOW)
    stands = seen(NOW, RESTING, stands, MAKE)
    assert seen(NOW + 9, RESTING, stands, MAKE).session
    assert not seen(NOW + 10, RESTING, stands, MAKE).session
    assert seen(NOW + 10, replace(RESTING, kept_w=0.0), HELD, MAKE).session, "0 W is a rest as well"


RESTING = replace(READY, resting=True, kept_w=2000.0)


def starts(until_s, order_w=2000.0, handshake_s=0):
    """Let a charger rest whatever it is told; return when sessions were begun, and what stands."""
    wish, stands, begun = Wish(order_w, engage=True, at=LATER), done(NOW, Act.START, order_w, HELD), [0]
    for after_s in range(1, until_s):
        shakes = after_s < begun[-1] + handshake_s
        look = replace(RESTING, at=NOW + after_s, kept_w=stands.order_w)
        look = replace(look, state=EvseState.STARTING, resting=False) if shakes else look
        stands = seen(NOW + after_s, look, stands, MAKE)
        what, power_w = next_act(NOW + after_s, wish, look, stands, MAKE)
        if what is Act.START:
            begun.append(after_s)
        if what is not Act.WAIT:
            stands = done(NOW + after_s, what, order_w if what is Act.START else power_w, stands)
    return begun[1:], stands


def test_a_charger_that_rests_all_the_same_is_started_ever_more_seldom():
    begun, _ = starts(3600)
    assert begun[0] < 12
    assert len(begun) < 9


def test_a_session_that_ended_is_begun_again_however_the_wish_wanders():
    stands = seen(NOW, RESTING, replace(HELD, order_w=2000.0), MAKE)
    for after_s in range(1, 10):
        stands = done(NOW + after_s, Act.ORDER, 2000.0 + after_s, stands)
        look = replace(RESTING, at=NOW + after_s, kept_w=2000.0 + after_s)
        stands = seen(NOW + after_s, look, stands, MAKE)
    assert not seen(NOW + 10, look, stands, MAKE).session


@pytest.mark.parametrize("handshake_s", [0, 5])
def test_a_discharge_that_only_makes_the_charger_rest_is_named_a_refusal_in_half_a_minute(handshake_s):
    assert starts(30 + 1, -2000.0, handshake_s)[1].refusal


# ── refusals ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_first_no_to_a_discharge_is_tried_again_and_the_second_holds():
    once = refused(NOW, Act.ORDER, -2000.0, HELD, "illegal value")
    assert (once.refusal, once.order_w) == ("", None)
    assert act(WISHES["gives"], standing=once) == (Act.WAIT, NOW + 5)
    twice = refused(NOW + 5, Act.ORDER, -2000.0, once, "illegal value")
    assert "illegal value" in twice.refusal
    assert act(WISHES["gives"], standing=twice, now=NOW + 5) == (Act.ORDER, 0.0)
    assert seen(NOW + 5 + 3600, READY, replace(twice, order_w=0.0), MAKE).refusal == ""


def test_a_no_never_holds_back_a_stop():
    no = refused(NOW, Act.ORDER, 2000.0, replace(HELD, order_w=1000.0), "busy")
    assert act(WISHES["holds"], standing=no) == (Act.ORDER, 0.0)
    assert act(PAUSES, standing=no) == (Act.STOP, 0.0)
    stop = refused(NOW, Act.STOP, 0.0, HELD, "busy")
    assert act(PAUSES, standing=stop) == (Act.WAIT, NOW + 1)


def test_a_dry_discharge_is_named_in_time_and_a_short_lull_is_not():
    stands = replace(HELD, order_w=-2000.0, written_at=NOW)
    dry, wet = replace(READY, kept_w=-2000.0), replace(READY, kept_w=-2000.0, power_w=-1800.0)
    stands = seen(NOW, dry, stands, MAKE)
    stands = seen(NOW + REFUSED_AFTER_S - 1, wet, stands, MAKE)
    stands = seen(NOW + REFUSED_AFTER_S, dry, stands, MAKE)
    assert not stands.refusal
    assert seen(NOW + 2 * REFUSED_AFTER_S, dry, stands, MAKE).refusal


def test_the_owner_who_asks_anew_is_not_told_of_old_refusals():
    assert asked_anew(replace(HELD, refusal="no", yielded="app", disturbed_at=(1.0,))) == HELD


# ── other hands ──────────────────────────────────────────────────────────────────────────────────────────────────────


def test_control_that_falls_while_a_car_is_plugged_in_was_taken_by_a_person():
    gone = replace(READY, ours=False)
    assert seen(NOW, gone, HELD, MAKE).yielded
    unplugged = seen(NOW, replace(gone, state=EvseState.UNPLUGGED), HELD, MAKE)
    assert (unplugged.yielded, unplugged.held, unplugged.remote) == ("", False, False)


def test_two_foreign_writes_count_only_within_a_minute():
    foreign = replace(READY, kept_w=5.0)
    once = seen(NOW, foreign, HELD, MAKE)
    assert (once.yielded, once.order_w) == ("", None)
    assert not seen(NOW + 61, foreign, replace(once, order_w=0.0), MAKE).yielded
    assert seen(NOW + 59, foreign, replace(once, order_w=0.0), MAKE).yielded


def test_what_stands_is_not_judged_while_it_is_not_known():
    assert seen(NOW, replace(READY, kept_w=5.0), LOST, MAKE) == LOST


# ── following ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("order_w", "power_w", "told"),
    [
        (2000.0, 1700.0, False),
        (2000.0, 1300.0, True),
        (2000.0, 2200.0, True),
        (-2000.0, -1600.0, False),
        (-2000.0, -2400.0, True),
        (0.0, 100.0, False),
        (0.0, -400.0, True),
        (None, 400.0, False),
    ],
)
def test_81_to_97_percent_of_an_order_is_what_was_ordered(order_w, power_w, told):
    stands = replace(HELD, order_w=order_w, written_at=NOW)
    look = replace(READY, power_w=power_w)
    assert differs(NOW + 2.5, look, stands, MAKE) is told
    assert not differs(NOW + 2.4, look, stands, MAKE), "it has not settled yet"


def test_a_full_car_may_take_less():
    stands = replace(HELD, order_w=2000.0, written_at=NOW)
    assert not differs(NOW + 60, replace(READY, soc_pct=96.0), stands, MAKE)
