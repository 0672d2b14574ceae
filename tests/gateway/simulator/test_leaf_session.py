from itertools import chain, combinations

import pytest

from gateway.simulator.leaf_session import POSES, TRANSITIONS, Event, State, next_state

CLOSED = [state for state in State if POSES[state].contactor]
AWAKE = [state for state in State if POSES[state].talks]


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state_leads_to_a_state_or_nowhere(state, event):
    moved = next_state(state, frozenset({event}))
    assert moved == TRANSITIONS.get((state, event))
    assert moved is not state


@pytest.mark.parametrize("state", CLOSED)
@pytest.mark.parametrize("event", [Event.D1_OFF, Event.D2_OFF, Event.UNPLUGGED])
def test_contactor_opens_at_once_without_its_lines(state, event):
    for others in chain.from_iterable(combinations(Event, n) for n in range(3)):
        moved = next_state(state, frozenset({event, *others}))
        assert moved is not None
        assert not POSES[moved].contactor


def test_contactor_closes_only_from_closing():
    closing = {source for (source, _), target in TRANSITIONS.items() if POSES[target].contactor}
    assert {state for state in closing if not POSES[state].contactor} == {State.CLOSING}
    assert {
        event
        for (state, event), target in TRANSITIONS.items()
        if state is State.CLOSING and POSES[target].contactor
    } == {Event.TIME_UP}


@pytest.mark.parametrize("event", [Event.CAR_FAULT, Event.EVSE_FAULT, Event.EVSE_SILENT, Event.CAR_STOP])
def test_whatever_ends_a_session_takes_the_permission_back(event):
    for state in State:
        if POSES[state].permits:
            moved = next_state(state, frozenset({event}))
            assert moved is not None
            assert not POSES[moved].permits


@pytest.mark.parametrize("state", AWAKE)
def test_an_unplugged_car_sleeps(state):
    assert next_state(state, frozenset(Event)) is State.ASLEEP


def test_every_waiting_state_knows_where_its_time_leads():
    waiting = {state for state in State if POSES[state].time_s is not None}
    assert waiting == {state for state, event in TRANSITIONS if event is Event.TIME_UP}


def test_every_state_can_be_reached_from_sleep():
    reached, before = {State.ASLEEP}, set[State]()
    while reached != before:
        before = set(reached)
        reached |= {target for (state, _), target in TRANSITIONS.items() if state in before}
    assert reached == set(State)
