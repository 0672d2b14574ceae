"""The car's side of a charging session as a table. Times: reference/can.md 3.7 (columns A and B) and 3.8."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    ASLEEP = "asleep"
    WAKING = "waking"
    PERMITTED = "permitted"
    CLOSING = "closing"
    CONNECTED = "connected"
    REQUESTING = "requesting"
    ENERGISED = "energised"
    YIELDING = "yielding"
    STOPPING = "stopping"
    CHECKING = "checking"
    ENDED = "ended"
    FAREWELL = "farewell"


class Event(StrEnum):
    """Conditions, most urgent first: of those that hold, the first with an entry in the table acts."""

    UNPLUGGED = "unplugged"
    D1_OFF = "d1_off"
    D2_OFF = "d2_off"
    CAR_FAULT = "car_fault"
    EVSE_FAULT = "evse_fault"
    EVSE_SILENT = "evse_silent"
    CAR_STOP = "car_stop"
    EVSE_OFF = "evse_off"
    EVSE_STOP = "evse_stop"
    EVSE_ON = "evse_on"
    D1_ON = "d1_on"
    D2_ON = "d2_on"
    NO_CURRENT = "no_current"
    TIME_UP = "time_up"


@dataclass(frozen=True, slots=True)
class Pose:
    """What the car shows and does in a state: ``permits`` is k and 102.5.0, ``reports_open`` is 102.5.3."""

    talks: bool = True
    permits: bool = False
    contactor: bool = False
    reports_open: bool = True
    requests: bool = False
    time_s: float | None = None


S, E = State, Event

POSES: dict[State, Pose] = {
    S.ASLEEP: Pose(talks=False),
    S.WAKING: Pose(time_s=3.42),
    S.PERMITTED: Pose(permits=True, time_s=30.0),
    S.CLOSING: Pose(permits=True, time_s=1.2),
    S.CONNECTED: Pose(permits=True, contactor=True, reports_open=False, time_s=1.7),
    S.REQUESTING: Pose(permits=True, contactor=True, reports_open=False, requests=True, time_s=1.0),
    S.ENERGISED: Pose(permits=True, contactor=True, reports_open=False, requests=True),
    S.YIELDING: Pose(permits=True, contactor=True, reports_open=False, time_s=0.28),
    S.STOPPING: Pose(contactor=True, reports_open=False, time_s=2.5),
    S.CHECKING: Pose(reports_open=False, time_s=0.9),
    S.ENDED: Pose(),
    S.FAREWELL: Pose(time_s=0.3),
}

# The contactor is opened without current no earlier than this after the car withdrew its permission.
QUIET_AFTER_S = 2.0

_CLOSED = (S.CONNECTED, S.REQUESTING, S.ENERGISED, S.YIELDING, S.STOPPING)
_LEAVING_UNDER_LOAD = (S.CONNECTED, S.REQUESTING, S.ENERGISED, S.YIELDING)
_AWAKE = tuple(state for state in State if POSES[state].talks)

TRANSITIONS: dict[tuple[State, Event], State] = {
    **{(state, E.UNPLUGGED): S.ASLEEP for state in _AWAKE},
    **{(state, E.D1_OFF): S.FAREWELL for state in _AWAKE if state is not S.FAREWELL},
    **{(state, E.D2_OFF): S.CHECKING for state in _CLOSED},
    (S.CLOSING, E.D2_OFF): S.ENDED,
    **{
        (state, event): S.STOPPING
        for state in _LEAVING_UNDER_LOAD
        for event in (E.CAR_FAULT, E.EVSE_FAULT, E.EVSE_SILENT, E.CAR_STOP)
    },
    **{
        (state, event): S.ENDED
        for state in (S.PERMITTED, S.CLOSING)
        for event in (E.CAR_FAULT, E.EVSE_FAULT, E.EVSE_SILENT, E.CAR_STOP)
    },
    **{(S.WAKING, event): S.ENDED for event in (E.CAR_FAULT, E.EVSE_FAULT, E.CAR_STOP)},
    (S.ENERGISED, E.EVSE_OFF): S.STOPPING,
    (S.YIELDING, E.EVSE_OFF): S.STOPPING,
    (S.ENERGISED, E.EVSE_STOP): S.YIELDING,
    (S.REQUESTING, E.EVSE_ON): S.ENERGISED,
    (S.ASLEEP, E.D1_ON): S.WAKING,
    (S.FAREWELL, E.D1_ON): S.WAKING,
    (S.PERMITTED, E.D2_ON): S.CLOSING,
    (S.STOPPING, E.NO_CURRENT): S.CHECKING,
    (S.WAKING, E.TIME_UP): S.PERMITTED,
    (S.PERMITTED, E.TIME_UP): S.ENDED,
    (S.CLOSING, E.TIME_UP): S.CONNECTED,
    (S.CONNECTED, E.TIME_UP): S.REQUESTING,
    (S.REQUESTING, E.TIME_UP): S.STOPPING,
    (S.YIELDING, E.TIME_UP): S.STOPPING,
    (S.STOPPING, E.TIME_UP): S.CHECKING,
    (S.CHECKING, E.TIME_UP): S.ENDED,
    (S.FAREWELL, E.TIME_UP): S.ASLEEP,
}


def next_state(state: State, events: frozenset[Event]) -> State | None:
    """Return where the most urgent event that matters leads, None when ``state`` stays."""
    for event in Event:
        if event in events and (state, event) in TRANSITIONS:
            return TRANSITIONS[state, event]
    return None
