"""What measured steps and silences come to, as tables of what an installer can get wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.commissioning.judging import Fall, Step, judge_fall, judge_lines, judge_steps
from gateway.devices.chademo.causes import Cause
from gateway.supply.findings import Verdict
from gateway.supply.texts import REMEDIES, TEXTS


def steps(*seen, did=1500.0):
    """Three steps up and three down that the meter saw like this, for one up."""
    up = Step(1500.0, did, seen)
    return [up] * 3 + [Step(-1500.0, -did, tuple(-w for w in seen))] * 3


@pytest.mark.parametrize(
    ("seen", "phases", "expected"),
    [
        ((1500, 0, 0), (1,), "wiring_right"),
        ((500, 500, 500), (1, 2, 3), "wiring_right"),
        ((1440, 10, -8), (1,), "wiring_right"),
        ((-1500, 0, 0), (1,), "wiring_flipped"),
        ((-500, -500, -500), (1, 2, 3), "wiring_flipped"),
        ((500, 500, -500), (1, 2, 3), "wiring_phase_flipped"),
        ((0, 0, 1500), (1,), "wiring_wrong_phase"),
        ((1500, 0, 0), (1, 2, 3), "wiring_wrong_phase"),
        ((500, 500, 500), (1,), "wiring_not_seen"),
        ((0, 0, -1500), (1,), "wiring_flipped"),
        ((1900, 0, 0), (1,), "wiring_wrong_size"),
        ((3000, 0, 0), (1,), "wiring_wrong_size"),
        ((5, -3, 0), (1,), "wiring_not_seen"),
    ],
)
def test_how_a_step_shows_tells_how_the_meter_is_wired(seen, phases, expected):
    judged = judge_steps(steps(*seen), phases)
    assert judged.text_key == expected
    assert (judged.verdict is Verdict.PASS) == (expected == "wiring_right")
    assert TEXTS[judged.text_key].format_map(judged.figures)
    assert judged.verdict is Verdict.PASS or REMEDIES[judged.remedy_key]


def test_a_meter_that_reads_a_little_more_works_and_one_that_reads_double_does_not():
    assert judge_steps(steps(1900, 0, 0), (1,)).verdict is Verdict.ATTENTION
    assert judge_steps(steps(3000, 0, 0), (1,)).verdict is Verdict.FAIL


def test_one_kettle_among_the_steps_changes_nothing():
    disturbed = [*steps(1500, 0, 0)[:5], Step(-1500.0, -1500.0, (500.0, 0.0, 0.0))]
    assert judge_steps(disturbed, (1,)).text_key == "wiring_right"


def test_steps_of_different_size_are_each_held_against_what_they_did():
    uneven = [Step(700.0, 700.0, (655.0, 0.0, 0.0)), Step(-1500.0, -1500.0, (-1542.0, 0.0, 0.0))]
    judged = judge_steps(uneven, (1,))
    assert (judged.verdict, judged.text_key) == (Verdict.PASS, "wiring_right")


def test_a_restless_house_leaves_it_unknown():
    restless = [Step(1500.0, 1500.0, (w, 0.0, 0.0)) for w in (1500.0, -400.0, 3600.0)]
    judged = judge_steps(restless, (1,))
    assert (judged.verdict, judged.remedy_key) == (Verdict.UNKNOWN, "calm_house")


def test_a_device_that_does_not_do_what_it_was_told_is_named():
    assert judge_steps(steps(200, 0, 0, did=200.0), (1,)).text_key == "not_following"


@given(
    st.lists(st.tuples(*[st.floats(-5000, 5000)] * 3), min_size=1, max_size=6),
    st.sampled_from([(1,), (2,), (1, 2, 3)]),
    st.floats(0, 5000),
)
def test_whatever_was_measured_is_judged_and_can_be_said(seen, phases, did):
    judged = judge_steps([Step(1500.0, did, s) for s in seen], phases)
    assert TEXTS[judged.text_key].format_map(judged.figures)


@pytest.mark.parametrize(
    ("silence_s", "close_s", "card_s", "expected"),
    [
        (2.4, 2.3, 3.0, (Verdict.PASS, "fail_safe_holds")),
        (29.0, 4.0, 32.0, (Verdict.PASS, "fail_safe_holds")),
        (8.0, 2.3, 3.0, (Verdict.FAIL, "fail_safe_late")),
        (2.0, 9.0, 3.0, (Verdict.FAIL, "fail_safe_late")),
        (None, None, 3.0, (Verdict.FAIL, "fail_safe_none")),
        (2.0, None, 3.0, (Verdict.FAIL, "fail_safe_none")),
    ],
)
def test_a_silence_is_compared_with_the_card(silence_s, close_s, card_s, expected):
    judged = judge_fall(silence_s, close_s, card_s, card_s + 12.0)
    assert (judged.verdict, judged.text_key) == expected
    assert TEXTS[judged.text_key].format_map(judged.figures)


def test_a_dip_of_the_house_is_not_the_end_of_the_step():
    fall = Fall(750.0)
    for at, power_w in ((0.0, 1500.0), (0.2, 400.0), (0.4, 1500.0), (0.6, 20.0), (1.0, 25.0)):
        fall = fall.after(at, power_w)
        assert not fall.settled(at)
    fall = fall.after(1.7, 22.0)
    assert fall.settled(1.7)
    assert fall.below_since == 0.6


@pytest.mark.parametrize("cause", Cause)
def test_a_session_that_did_not_come_about_points_at_a_wire_or_at_its_cause(cause):
    judged = judge_lines(cause, None, 0.0)
    assert judged.verdict is not Verdict.PASS
    assert TEXTS[judged.text_key].format_map(judged.figures)


def test_the_emergency_stop_must_be_seen():
    assert judge_lines("", 0.3, 60.0).verdict is Verdict.PASS
    assert judge_lines("", None, 60.0).text_key == "lines_stop_dead"
    assert judge_lines("", None, 0.0).verdict is Verdict.UNKNOWN
