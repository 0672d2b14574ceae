"""What the referee counts, and what it lets pass."""

from dataclasses import replace

import pytest

from gateway.simulator.referee import MEANINGS, Referee, Sight, Violation

DT_S = 0.02
ASLEEP = Sight(
    plugged=True,
    permitted=False,
    d1=False,
    d2=False,
    locked=False,
    contactor=False,
    voltage_v=0.0,
    current_a=0.0,
    request_a=0.0,
    discharge_limit_a=0.0,
    insulation_kohm=2000.0,
)
PERMITTED = replace(ASLEEP, permitted=True, d1=True, locked=True)
TESTED = replace(PERMITTED, voltage_v=500.0)
CLOSED = replace(PERMITTED, d2=True, contactor=True, voltage_v=380.0)
CLOSING = replace(PERMITTED, d2=True)
FLOWING = replace(CLOSED, current_a=10.0, request_a=15.0, discharge_limit_a=15.0)


class Match:
    def __init__(self) -> None:
        self.referee = Referee()

    def see(self, sight: Sight, seconds: float = DT_S) -> Match:
        for _ in range(round(seconds / DT_S)):
            self.referee.look(sight, DT_S)
        return self

    @property
    def whistled(self) -> set[Violation]:
        return {violation for violation, count in self.referee.counts.items() if count}


@pytest.fixture
def match() -> Match:
    return Match()


def test_a_session_in_order_is_not_whistled(match):
    match.see(ASLEEP, 1.0).see(PERMITTED, 1.0).see(TESTED, 0.5).see(PERMITTED, 0.5).see(CLOSING, 1.2).see(
        CLOSED, 2.0
    )
    match.see(FLOWING, 5.0).see(replace(FLOWING, current_a=-10.0), 5.0).see(CLOSED, 1.0)
    match.see(replace(CLOSED, permitted=False), 2.0).see(replace(PERMITTED, permitted=False), 1.0).see(ASLEEP)
    assert match.whistled == set()


@pytest.mark.parametrize(
    ("before", "after", "violation"),
    [
        (FLOWING, replace(FLOWING, contactor=False), Violation.HOT_OPENING),
        (FLOWING, replace(FLOWING, plugged=False, contactor=False), Violation.ARC),
        (TESTED, replace(TESTED, locked=False), Violation.UNLOCKED_LIVE),
        (PERMITTED, replace(PERMITTED, d2=True), Violation.D2_UNTESTED),
    ],
)
def test_what_happens_in_a_moment_is_whistled_once(match, before, after, violation):
    match.see(before).see(after, 1.0)
    assert match.whistled == {violation}
    assert match.referee.counts[violation] == 1


def test_d2_under_voltage_and_without_permission_is_whistled_even_after_a_test(match):
    match.see(PERMITTED).see(TESTED, 0.5).see(replace(TESTED, d2=True, permitted=False))
    assert match.whistled == {Violation.D2_UNDER_VOLTAGE, Violation.D2_UNPERMITTED}


def test_a_test_does_not_count_for_the_next_session(match):
    match.see(TESTED, 0.5).see(ASLEEP).see(PERMITTED).see(CLOSING)
    assert match.whistled == {Violation.D2_UNTESTED}


@pytest.mark.parametrize(
    ("sight", "patience_s", "violation"),
    [
        (replace(FLOWING, current_a=18.0), 1.0, Violation.OVER_REQUEST),
        (replace(FLOWING, current_a=-18.0), 1.0, Violation.OVER_DISCHARGE_LIMIT),
        (replace(FLOWING, permitted=False), 0.6, Violation.SLOW_STOP),
        (replace(FLOWING, insulation_kohm=20.0), 1.0, Violation.UNINSULATED),
    ],
)
def test_what_lasts_is_whistled_once_when_patience_ends(match, sight, patience_s, violation):
    match.see(FLOWING).see(sight, patience_s - 0.1)
    assert match.whistled == set()
    match.see(sight, 2.0)
    assert match.whistled == {violation}
    assert match.referee.counts[violation] == 1


def test_every_violation_has_a_sentence():
    assert set(MEANINGS) == set(Violation)
