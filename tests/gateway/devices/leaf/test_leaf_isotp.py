"""Long answers out of short frames: whole, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.leaf.isotp import FLOW_CONTROL, Partial, receive, single
from gateway.faults import Malformed, Misuse
from tests.gateway.devices.leaf.control_units import cut


def gathered(frames):
    """Return every message that comes out, as the driver would take them."""
    partial, messages = None, []
    for frame in frames:
        try:
            partial = receive(partial, frame)
        except Malformed:
            partial = None
        if isinstance(partial, bytes):
            messages.append(partial)
            partial = None
    return messages


@given(st.binary(min_size=1, max_size=400))
def test_what_is_cut_comes_together_again(payload):
    assert gathered(cut(payload)) == [payload]


def test_question_and_flow_control_are_those_of_the_recorded_tester():
    assert single(b"\x21\x01").hex() == "0221015555555555"
    assert FLOW_CONTROL.hex() == "3000000000000000"
    with pytest.raises(Misuse):
        single(bytes(8))


@given(st.binary(min_size=8, max_size=200), st.data())
def test_a_message_with_losses_doubles_and_swaps_is_whole_or_nothing(payload, data):
    frames = cut(payload)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, max(len(frames) - 1, 0)))
        match data.draw(st.sampled_from(["lose", "double", "swap"])):
            case "lose" if frames:
                del frames[at]
            case "double" if frames:
                frames.insert(at, frames[at])
            case "swap" if len(frames) > 1:
                at = min(at, len(frames) - 2)
                frames[at : at + 2] = reversed(frames[at : at + 2])
    assert all(message == payload for message in gathered(frames))


@given(st.lists(st.binary(max_size=8), max_size=40))
def test_garbage_raises_nothing_but_malformed_and_stays_small(frames):
    for message in gathered(frames):
        assert len(message) <= 4095


@pytest.mark.parametrize("frame", ["00", "08", "0521", "1005616101020304", "10ff6101"])
def test_frames_that_contradict_themselves_are_refused(frame):
    with pytest.raises(Malformed):
        receive(None, bytes.fromhex(frame))


def test_the_rest_of_a_message_whose_beginning_was_missed_is_nothing():
    assert receive(None, bytes.fromhex("2101020304050607")) is None


def test_a_new_beginning_ends_what_was_under_way():
    half = Partial(50, bytes(20), 3)
    assert receive(half, cut(bytes(range(30)))[0]) == Partial(30, bytes(range(6)))


def test_a_short_last_frame_is_enough_but_a_short_one_between_is_not():
    whole = bytes(range(9))
    partial = receive(None, cut(whole)[0])
    assert receive(partial, b"\x21" + whole[6:]) == whole
    with pytest.raises(Malformed):
        receive(Partial(30, bytes(6)), b"\x21\x00")
