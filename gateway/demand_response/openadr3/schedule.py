"""When each interval of an event holds (reference/demand-response.md 1.5), by arithmetic.

The intervals of the first pass are resolved once; a loop, also an endless one, is computed from the time that is asked for.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from itertools import accumulate

from gateway.demand_response.openadr3.objects import Event, Interval, Payload, Period
from gateway.demand_response.openadr3.times import FOREVER, NOW, shifted
from gateway.faults import Malformed

_DIVIDED = frozenset({"PRICE", "EXPORT_PRICE", "GHG"})
_INSTANT = timedelta()
_BARE = Interval(0, Period(), ())


@dataclass(frozen=True, slots=True)
class Slot:
    """One interval in time: from ``starts_at`` up to ``ends_at``, never empty."""

    starts_at: datetime
    ends_at: datetime
    interval_id: int
    payloads: tuple[Payload, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """One value of one payload type in time."""

    starts_at: datetime
    ends_at: datetime
    value: object


@dataclass(frozen=True, slots=True)
class Schedule:
    """An event's intervals: one pass in order of start, repeated every ``cycle`` (zero: never) until ``ends_at``."""

    starts_at: datetime
    ends_at: datetime
    cycle: timedelta
    slots: tuple[Slot, ...]
    reach: tuple[datetime, ...]
    """The latest end among the slots up to each one: what ended before a time is found by bisection."""

    def between(self, since: datetime, until: datetime) -> Iterator[Slot]:
        """Yield, in order of start, the slots that overlap ``since`` .. ``until``; lazily, however often they repeat."""
        until = min(until, self.ends_at)
        turn = max((since - self.starts_at) // self.cycle, 0) if self.cycle else 0
        while shifted(self.starts_at, turn * self.cycle) < until:
            by = turn * self.cycle
            for index in range(bisect_right(self.reach, shifted(since, -by)), len(self.slots)):
                slot = self.slots[index]
                starts_at = shifted(slot.starts_at, by)
                if starts_at >= until:
                    break
                ends_at = min(shifted(slot.ends_at, by), self.ends_at)
                if ends_at > since:
                    yield replace(slot, starts_at=starts_at, ends_at=ends_at)
            if not self.cycle:
                return
            turn += 1

    def spans(self, payload_type: str, since: datetime, until: datetime) -> Iterator[Span]:
        """Yield the values of one payload type that overlap ``since`` .. ``until``.

        Several prices share their interval in equal parts; of any other type the first value counts.
        """
        for slot in self.between(since, until):
            for payload in slot.payloads:
                if payload.type != payload_type or not payload.values:
                    continue
                values = payload.values if payload_type in _DIVIDED else payload.values[:1]
                part = (slot.ends_at - slot.starts_at) / len(values)
                for n, value in enumerate(values):
                    starts_at = slot.starts_at + n * part
                    ends_at = slot.ends_at if n == len(values) - 1 else starts_at + part
                    if starts_at < until and ends_at > since:
                        yield Span(starts_at, ends_at, value)


def expand(event: Event, event_id: str) -> Schedule:
    """Place the event's intervals in time; an event without any has its own period. Raises Malformed when a start or a duration
    is missing.

    ``event_id`` alone decides the random start, so that it survives a restart.
    """
    found: list[Slot] = []
    begins = FOREVER
    follows: datetime | None = None
    for index, interval in enumerate(event.intervals or (_BARE,)):
        starts_at, ends_at = _place(event, interval, index, follows, draw(event_id))
        begins = min(begins, starts_at)
        follows = ends_at
        if ends_at > starts_at:
            found.append(Slot(starts_at, ends_at, interval.id, interval.payloads))
    slots = tuple(sorted(found, key=lambda slot: slot.starts_at))
    reach = tuple(accumulate((slot.ends_at for slot in slots), max))
    return _repeated(Schedule(begins, reach[-1] if reach else begins, _INSTANT, slots, reach), event)


def draw(event_id: str) -> float:
    """Return the event's one random number, uniform in -1 .. 1."""
    return int.from_bytes(sha256(event_id.encode()).digest()[:8]) / 2**63 - 1.0


def _place(
    event: Event, interval: Interval, index: int, follows: datetime | None, luck: float
) -> tuple[datetime, datetime]:
    where = f"intervals[{index}]"
    start = interval.period.start
    if start == NOW and follows is not None:  # on a later interval: right after the previous one
        start = None
    if start is None and follows is not None:
        starts_at = follows
    else:
        absolute = event.period.start if start is None else start
        if absolute is None:
            raise Malformed(f"{where}: neither the interval nor the event says when it starts")
        starts_at = absolute
        randomize = interval.period.randomize if start is not None else None
        randomize = event.period.randomize if randomize is None else randomize
        if randomize is not None and absolute != NOW:
            starts_at = shifted(absolute, luck * (randomize.after(absolute) - absolute))
    duration = event.period.duration if interval.period.duration is None else interval.period.duration
    if duration is None and len(event.intervals) <= 1:
        duration = event.duration
    if duration is None:
        raise Malformed(f"{where}: neither the interval nor the event says how long it lasts")
    return starts_at, duration.after(starts_at)


def _repeated(once: Schedule, event: Event) -> Schedule:
    """Cut the pass short or repeat it, as ``event.duration`` says; a lone interval that fills its cycle just lasts."""
    if event.duration is None:
        return once
    ends_at = event.duration.after(once.starts_at)
    if ends_at <= once.ends_at or not once.slots or once.ends_at == FOREVER:
        return replace(once, ends_at=min(ends_at, once.ends_at))
    first = once.slots[0]
    if len(once.slots) == 1 and first.starts_at == once.starts_at and not _divided(first):
        lasting = replace(first, ends_at=ends_at)
        return replace(once, ends_at=ends_at, slots=(lasting,), reach=(ends_at,))
    return replace(once, ends_at=ends_at, cycle=once.ends_at - once.starts_at)


def _divided(slot: Slot) -> bool:
    return any(payload.type in _DIVIDED and len(payload.values) > 1 for payload in slot.payloads)
