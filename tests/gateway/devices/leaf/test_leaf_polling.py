"""Politeness: when nothing is asked, and that it is one question at a time."""

import struct
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.leaf.isotp import FLOW_CONTROL, single
from gateway.devices.leaf.polling import PACE_S, Outlook, Polling
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.uds import QUERIES, REQUEST_IDS
from tests.gateway.devices.leaf.control_units import cut, small

RESTING = Outlook(awake=True, parked=True, charging=False)
CHARGING = Outlook(awake=True, parked=True, charging=True)
FIRST = (0x79B, single(b"\x21\x01"))


def state(aux_v=13.0):
    return b"\x61\x01" + small(39, 380.92, aux_v, 901, 66.78, 60.15, 50.12)


def asked(polling, outlook=RESTING, now=0.0):
    frame = polling.question(outlook, now)
    assert frame == FIRST
    return polling


def answered(polling, payload, now, response_id=0x7BB):
    """Let a control unit answer; return what was sent meanwhile and what was learnt."""
    heard = [polling.heard(response_id, frame, now) for frame in cut(payload)]
    return [h.send for h in heard if h.send], [h.answer for h in heard if h.answer]


@pytest.mark.parametrize(
    ("outlook", "why"),
    [
        (Outlook(awake=False, parked=True, charging=False), "asleep"),
        (Outlook(awake=True, parked=False, charging=False), "not known to be parked"),
        (Outlook(awake=True, parked=None, charging=True), "not known to be parked"),
    ],
)
def test_a_sleeping_or_moving_car_is_not_asked(outlook, why):
    polling = Polling()
    assert polling.silence(outlook, 0.0) == why
    assert polling.question(outlook, 0.0) is None


def test_a_long_answer_is_let_through_once_and_understood():
    polling = asked(Polling())
    sent, answers = answered(polling, state(), 0.1)
    assert sent == [(0x79B, FLOW_CONTROL)]
    assert answers[0].values[Quantity.LBC_SOC_PCT] == 60.15


def test_an_answer_of_many_frames_is_let_through_only_once():
    polling = asked(Polling())
    sent, answers = answered(polling, b"\x61\x01" + bytes(300), 0.1)
    assert (len(sent), answers) == (1, [])
    assert "302 bytes" in polling.problem or "300 bytes" in polling.problem


def test_a_frame_that_is_no_part_of_the_answer_neither_repeats_a_word_nor_prolongs_the_wait():
    polling = asked(Polling())
    polling.heard(0x7BB, cut(state())[0], 0.1)
    assert polling.heard(0x7BB, FLOW_CONTROL, 0.9).send is None
    polling.question(RESTING, 1.2)
    assert "no answer" in polling.problem


def test_one_question_at_a_time_and_ten_seconds_between():
    polling = asked(Polling())
    assert polling.silence(RESTING, 0.5) == "waiting for an answer"
    answered(polling, state(), 0.6)
    assert polling.question(RESTING, PACE_S - 0.1) is None
    assert polling.question(RESTING, PACE_S) == (0x79B, single(b"\x21\x04"))


def test_the_next_question_waits_for_its_turn():
    polling, asked_at, now = Polling(), [], 0.0
    while now < 3 * 3600:
        frame = polling.question(CHARGING, now)
        if frame is not None:
            asked_at.append((now, frame))
            if frame == FIRST:
                answered(polling, state(), now + 0.2)
            else:
                polling.heard(
                    frame[0] + (0x20 if frame[0] == 0x79B else 3),
                    single(b"\x7f" + frame[1][1:2] + b"\x11"),
                    now,
                )
        now += 1.0
    times = [at for at, _ in asked_at]
    assert min(b - a for a, b in pairwise(times)) >= PACE_S
    firsts = [at for at, frame in asked_at if frame == FIRST]
    assert 3 * 120 - 20 <= len(firsts) <= 3 * 120
    others = [frame for _, frame in asked_at if frame != FIRST]
    assert len(others) == len(set(others)), "what was refused is not asked again"


def test_a_resting_car_is_asked_the_same_once_an_hour():
    polling, count = Polling(), 0
    for now in range(0, 24 * 3600, 5):
        frame = polling.question(RESTING, float(now))
        count += frame == FIRST
        if frame == FIRST:
            answered(polling, state(), now + 0.1)
    assert 23 <= count <= 24


def test_no_answer_within_a_second_is_given_up_and_three_of_them_are_a_pause():
    polling, times = Polling(), []
    for tenth in range(12_000):
        now = tenth / 10
        if polling.question(CHARGING, now) is not None:
            times.append(now)
    assert times[:3] == pytest.approx([0, 10, 20])
    assert times[3] == pytest.approx(621, abs=0.2)
    assert "no answer" in polling.problem


@pytest.mark.parametrize("can_id", sorted(REQUEST_IDS))
def test_another_tester_is_left_alone_for_100_s(can_id):
    polling = Polling()
    polling.heard(can_id, single(b"\x22\x01\x01"), 5.0)
    assert polling.silence(RESTING, 104.9) == "another tester asks"
    assert polling.question(RESTING, 105.0) == FIRST


def test_an_answer_to_somebody_else_tells_of_another_tester_too():
    polling = Polling()
    polling.heard(0x7BB, single(b"\x61\x01\x00"), 5.0)
    assert polling.silence(RESTING, 50) == "another tester asks"


def test_another_tester_in_the_middle_of_an_answer_ends_our_question():
    polling = asked(Polling())
    polling.heard(0x7BB, cut(state())[0], 0.1)
    polling.heard(0x79B, single(b"\x21\x02"), 0.15)
    assert [polling.heard(0x7BB, frame, 0.2).answer for frame in cut(state())[1:]] == [None] * 5
    assert polling.silence(RESTING, 90.0) == "another tester asks"


def test_our_own_echo_is_nobody():
    polling = asked(Polling())
    polling.heard(*FIRST, 0.01)
    first, *rest = cut(state())
    polling.heard(*polling.heard(0x7BB, first, 0.1).send, 0.11)
    assert [polling.heard(0x7BB, frame, 0.2).answer is not None for frame in rest][-1]
    polling.heard(*FIRST, 0.3)
    assert polling.silence(RESTING, 60.0) == "another tester asks", (
        "the same words a second time are not ours"
    )


def test_a_late_answer_is_no_other_tester():
    polling = asked(Polling())
    polling.question(RESTING, 1.5)
    answered(polling, state(), 2.0)
    assert polling.silence(RESTING, 12.0) == ""


def test_a_weak_battery_is_left_alone_for_an_hour():
    polling = asked(Polling())
    answered(polling, state(aux_v=12.1), 0.1)
    assert polling.silence(RESTING, 3599.0) == "12 V battery low"
    assert polling.question(RESTING, 3601.0) is not None


def test_under_current_only_the_weak_batterys_voltage_is_asked_for():
    polling = asked(Polling())
    answered(polling, state(aux_v=12.1), 0.1)
    frames = {polling.question(CHARGING, float(now)) for now in range(10, 90)}
    assert frames == {None, FIRST}


def test_a_lost_bus_ends_the_question_which_is_asked_again():
    polling = asked(Polling())
    polling.lost()
    assert polling.question(RESTING, PACE_S) == FIRST


def test_one_missed_answer_costs_a_minute_and_two_running_ten():
    polling, times = asked(Polling(), CHARGING), []
    for now in range(1, 1400):
        frame = polling.question(CHARGING, float(now))
        if frame == FIRST:
            times.append(now)
        elif frame is not None:
            polling.heard(
                frame[0] + (0x20 if frame[0] == 0x79B else 3), single(b"\x7f" + frame[1][1:2] + b"\x11"), now
            )
    assert times[0] == pytest.approx(61, abs=10)
    assert times[1] - times[0] == pytest.approx(601, abs=10)


def test_a_refusal_is_not_repeated_and_a_broken_answer_is_in_a_minute():
    polling = asked(Polling())
    answered(polling, struct.pack(">BB42x", 0x61, 0x01), 0.1)
    others = [polling.question(RESTING, at) for at in (10.0,)]
    assert others[0] != FIRST
    polling.heard(0x7BB, single(b"\x7f\x21\x12"), 10.1)
    assert polling.question(RESTING, 61.0) == FIRST


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x79B, 0x7BB, 0x79A, 0x763, 0x1DB]), st.binary(max_size=8), st.floats(0, 20)
        ),
        max_size=60,
    ),
    st.sampled_from(list(Car)),
)
def test_whatever_is_heard_nothing_is_raised_and_nothing_sent_too_often(frames, car):
    polling, now, spoken = Polling(), 0.0, []
    outlook = Outlook(awake=True, parked=True, charging=True, car=car)
    for can_id, data, pause in frames:
        now += pause
        heard = polling.heard(can_id, data, now)
        assert heard.answer is None or all(
            value is None or quantity.low <= value <= quantity.high
            for quantity, value in heard.answer.values.items()
        )
        if (frame := polling.question(outlook, now)) is not None:
            spoken.append(now)
            assert frame[0] in {query.unit.request_id for query in QUERIES}
    assert all(b - a >= PACE_S for a, b in pairwise(spoken))


@given(st.data())
def test_an_answer_with_losses_and_swaps_is_right_or_missing(data):
    polling = asked(Polling())
    frames = cut(state())
    order = data.draw(st.permutations(range(len(frames))))
    kept = data.draw(st.lists(st.sampled_from(order), max_size=8)) if data.draw(st.booleans()) else order
    for n in kept:
        answer = polling.heard(0x7BB, frames[n], 0.1).answer
        assert answer is None or answer.values[Quantity.CAPACITY_AH] == 50.12
