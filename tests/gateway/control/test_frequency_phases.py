"""The phases of a reserve: every phase meets every event."""

from itertools import product

import pytest

from gateway.control.frequency.phases import NEXT, Event
from gateway.model import ReservePhase as P

E = Event
STAYS = [(P.OFF, E.NO_WINDOW), (P.REFUSED, E.UNPROVEN), (P.ARMED, E.PROVEN), (P.RECOVERING, E.DISTURBED)]


def test_every_phase_has_an_answer_to_every_event():
    assert set(NEXT) == set(product(P, Event))


@pytest.mark.parametrize(("phase", "event"), STAYS)
def test_what_goes_on_changes_nothing(phase, event):
    assert NEXT[phase, event] is phase


@pytest.mark.parametrize("phase", P)
def test_only_what_is_proven_answers(phase):
    answering = {P.ARMED, P.RECOVERING}
    assert NEXT[phase, E.PROVEN] in answering
    assert NEXT[phase, E.DISTURBED] is P.RECOVERING
    assert NEXT[phase, E.UNPROVEN] not in answering


def test_what_was_armed_is_withdrawn_and_what_never_was_is_refused():
    assert NEXT[P.ARMED, E.UNPROVEN] is NEXT[P.RECOVERING, E.UNPROVEN] is P.WITHDRAWN
    assert NEXT[P.OFF, E.UNPROVEN] is P.REFUSED


def test_the_end_of_a_window_ends_all_but_the_recovery():
    assert {p for p in P if NEXT[p, E.NO_WINDOW] is not P.OFF} == {P.RECOVERING}
    assert NEXT[P.RECOVERING, E.RECOVERED] is P.ARMED
