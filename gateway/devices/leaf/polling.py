"""When to ask the car, and what: one question at a time, of an awake, parked car, while nobody else asks. Pure.

The sending is the driver's; everything here takes ``now``.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from gateway.devices.leaf.isotp import FLOW_CONTROL, FRAME_BYTES, Partial, receive, single
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.uds import QUERIES, REQUEST_IDS, STATE, Answer, Query, Unit
from gateway.faults import Malformed, Refused

ANSWER_S = 1.0
PACE_S = 10.0
OTHER_TESTER_S = 100.0
LATE_S = 5.0
"""An answer that nobody of us waits for, later than this, is an answer to somebody else."""
ECHO_S = 1.0
LOW_AUX_V = 12.2
LOW_AUX_PAUSE_S = 3600.0
"""A weak 12 V battery is left alone; under current the car feeds it, and only its voltage is still asked for."""
AGAIN_S = 60.0
"""After an answer that could not be used, or the first that did not come."""
UNANSWERED = 3
UNANSWERED_PAUSE_S = 600.0
"""For an item that was not answered twice running, and for all of them after three questions without an answer."""
REFUSED_S = 7 * 86_400.0

type Frame = tuple[int, bytes]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the traffic says of asking."""

    awake: bool
    parked: bool | None
    charging: bool
    car: Car | None = None


@dataclass(frozen=True, slots=True)
class Heard:
    """What follows from a frame: frames to send, and what was learnt."""

    send: Frame | None = None
    answer: Answer | None = None


NOTHING = Heard()


class Polling:
    """``question`` gives the next frame to send, when one is due and nothing speaks against it."""

    def __init__(self, queries: Sequence[Query] = QUERIES) -> None:
        self.problem = ""
        self._queries = queries
        self._units = {query.unit.response_id: query.unit for query in queries}
        self._asked_at: dict[bytes, float] = {}
        self._not_before: dict[bytes, float] = {}
        self._missed: set[bytes] = set()
        self._asking: Query | None = None
        self._partial: Partial | None = None
        self._give_up_at = 0.0
        self._spoke_at: float | None = None
        self._quiet_until = 0.0
        self._low_until: float | None = None
        self._unanswered = 0
        self._pause_until = 0.0
        self._sent: deque[tuple[float, Frame]] = deque(maxlen=8)

    def silence(self, outlook: Outlook, now: float) -> str:
        """Say why nothing may be asked now; empty when something may."""
        if not outlook.awake:
            return "asleep"
        if outlook.parked is not True:
            return "not known to be parked"
        if now < self._quiet_until:
            return "another tester asks"
        if self._asking is not None:
            return "waiting for an answer"
        if self._spoke_at is not None and now - self._spoke_at < PACE_S:
            return "pausing"
        if now < self._pause_until:
            return "no answers"
        if self._low(now) and not outlook.charging:
            return "12 V battery low"
        return ""

    def question(self, outlook: Outlook, now: float) -> Frame | None:
        """Return the next question as a frame to be sent at once, None when nothing is due or allowed."""
        self._watch(now)
        if self.silence(outlook, now):
            return None
        due = next((query for query in self._queries if self._due(query, outlook, now)), None)
        if due is None:
            return None
        self._asking, self._partial = due, None
        self._asked_at[_key(due)] = self._spoke_at = now
        self._give_up_at = now + ANSWER_S
        return self._saying((due.unit.request_id, single(due.request)), now)

    def heard(self, can_id: int, data: bytes, now: float) -> Heard:
        """Take a frame of any kind."""
        if can_id in REQUEST_IDS:
            self._somebody_asks((can_id, data), now)
        unit = self._units.get(can_id)
        if unit is None:
            return NOTHING
        self._watch(now)
        if self._asking is None or self._asking.unit != unit:
            if self._spoke_at is None or now - self._spoke_at > LATE_S:
                self._be_quiet(now)
            return NOTHING
        return self._received(self._asking, unit, data, now)

    def lost(self) -> None:
        """Forget the question under way, to ask it again: the bus is gone."""
        if self._asking is not None:
            self._asked_at.pop(_key(self._asking), None)
        self._asking = self._partial = None

    def _received(self, query: Query, unit: Unit, data: bytes, now: float) -> Heard:
        try:
            message = receive(self._partial, data)
            if message is None or message is self._partial:
                return NOTHING
            self._give_up_at = now + ANSWER_S
            if isinstance(message, Partial):
                self._partial = message
                begins = len(message.data) < FRAME_BYTES
                return Heard(self._saying((unit.request_id, FLOW_CONTROL), now)) if begins else NOTHING
            self._partial = None
            answer = query.answer(message)
        except Malformed as error:
            self._end(query, now + AGAIN_S, str(error))
            return NOTHING
        except Refused as error:
            self._end(query, now + REFUSED_S, str(error))
            self._unanswered = 0
            return NOTHING
        if answer is None:
            return NOTHING
        self._unanswered, self._asking, self.problem = 0, None, ""
        self._missed.discard(_key(query))
        self._note_aux(answer, now)
        return Heard(answer=answer)

    def _due(self, query: Query, outlook: Outlook, now: float) -> bool:
        if not query.suits(outlook.car) or now < self._not_before.get(_key(query), now):
            return False
        if self._low(now) and query is not STATE:
            return False
        asked_at = self._asked_at.get(_key(query))
        return asked_at is None or now - asked_at >= query.interval_s(charging=outlook.charging)

    def _watch(self, now: float) -> None:
        """Give up a question that is not answered; the unit may have been switched off, or not be there."""
        if self._asking is None or now < self._give_up_at:
            return
        key = _key(self._asking)
        pause_s = UNANSWERED_PAUSE_S if key in self._missed else AGAIN_S
        self._missed.add(key)
        self._end(self._asking, now + pause_s, f"no answer to {self._asking.request.hex(' ')}")
        self._unanswered += 1
        if self._unanswered >= UNANSWERED:
            self._unanswered, self._pause_until = 0, now + UNANSWERED_PAUSE_S

    def _end(self, query: Query, not_before: float, problem: str) -> None:
        self._asking = self._partial = None
        self._asked_at.pop(_key(query), None)
        self._not_before[_key(query)] = not_before
        self.problem = problem

    def _note_aux(self, answer: Answer, now: float) -> None:
        aux_v = answer.values.get(Quantity.AUX_VOLTAGE_V)
        if aux_v is not None:
            self._low_until = now + LOW_AUX_PAUSE_S if aux_v < LOW_AUX_V else None

    def _low(self, now: float) -> bool:
        return self._low_until is not None and now < self._low_until

    def _saying(self, frame: Frame, now: float) -> Frame:
        self._sent.append((now, frame))
        return frame

    def _somebody_asks(self, frame: Frame, now: float) -> None:
        """Tell our own words, which some adapters echo, from those of another tester."""
        for sent in self._sent:
            if sent[1] == frame and now - sent[0] <= ECHO_S:
                self._sent.remove(sent)
                return
        self._be_quiet(now)

    def _be_quiet(self, now: float) -> None:
        self.lost()
        self._quiet_until = now + OTHER_TESTER_S


def _key(query: Query) -> bytes:
    return query.unit.request_id.to_bytes(2) + query.request
