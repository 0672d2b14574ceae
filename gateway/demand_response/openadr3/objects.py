"""Programs, events and reports of OpenADR 3.1, read tolerantly.

Each object stands alone: ``parse_*`` returns it, or the ``Problem`` that says where and why it cannot be read, and never raises.
Explicit nulls count as absent and unknown fields are ignored. What decides about power or time is read strictly (a boolean, an
infinity or a text is no number); what does not is set aside with a note.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.demand_response.openadr3.times import Duration, parse_duration, parse_instant
from gateway.faults import Malformed

MAX_INTERVALS = 20_000

_OBJECT_ID = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_LONGEST_NAME = 128
_GREATEST = 1e15
_MOST_ITEMS = 1000


@dataclass(frozen=True, slots=True)
class Problem:
    """Why an object cannot be read, as a text that begins with the place."""

    reason: str


@dataclass(frozen=True, slots=True)
class Payload:
    """A type and its values as they came; ``number`` reads one strictly."""

    type: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True)
class Descriptor:
    payload_type: str
    units: str = ""


@dataclass(frozen=True, slots=True)
class Period:
    start: datetime | None = None
    duration: Duration | None = None
    randomize: Duration | None = None


@dataclass(frozen=True, slots=True)
class Interval:
    id: int
    period: Period
    payloads: tuple[Payload, ...]


@dataclass(frozen=True, slots=True)
class Program:
    name: str
    descriptors: Mapping[str, Descriptor] = field(default_factory=dict)
    targets: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """``reports`` are the payload types that the utility asks to be reported; ``notes`` tell what was set aside."""

    program_id: str
    name: str = ""
    priority: int | None = None
    targets: tuple[str, ...] = ()
    descriptors: Mapping[str, Descriptor] = field(default_factory=dict)
    reports: tuple[Descriptor, ...] = ()
    period: Period = Period()
    duration: Duration | None = None
    intervals: tuple[Interval, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """``resources`` maps each resource's name to its intervals."""

    event_id: str
    client: str
    resources: Mapping[str, tuple[Interval, ...]]


def decode(body: bytes | str) -> object:
    """Return the value of a JSON text. Raises Malformed, also for NaN and numbers beyond a double."""
    try:
        return json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as bad:
        raise Malformed(f"not JSON: {bad}") from None


def parse_program(raw: object) -> Program | Problem:
    """Return the program, or why it cannot be read."""
    return _guarded(_program, raw)


def parse_event(raw: object) -> Event | Problem:
    """Return the event, or why it cannot be read."""
    return _guarded(_event, raw)


def parse_report(raw: object) -> Report | Problem:
    """Return the report, or why it cannot be read."""
    return _guarded(_report, raw)


def number(raw: object, where: str) -> float:
    """Return a finite number. Raises Malformed for anything else, booleans and texts included."""
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise Malformed(f"{where}: not a number")
    if not abs(raw) <= _GREATEST:  # also of NaN
        raise Malformed(f"{where}: beyond any real quantity")
    return float(raw)


def _guarded[T](parse: Callable[[object], T], raw: object) -> T | Problem:
    try:
        return parse(raw)
    except Malformed as bad:
        return Problem(str(bad))


def _program(raw: object) -> Program:
    table = _table(raw, "program")
    return Program(
        name=_name(table.get("programName"), "programName"),
        descriptors=_descriptors(table.get("payloadDescriptors")),
        targets=_targets(table.get("targets")),
    )


def _event(raw: object) -> Event:
    table = _table(raw, "event")
    notes: list[str] = []
    duration = table.get("duration")
    items = _items(table.get("intervals"), "intervals", most=MAX_INTERVALS)
    return Event(
        program_id=_object_id(table.get("programID"), "programID"),
        name=_optional_name(table.get("eventName"), notes),
        priority=_priority(table.get("priority")),
        targets=_targets(table.get("targets")),
        descriptors=_descriptors(table.get("payloadDescriptors")),
        reports=_report_requests(table.get("reportDescriptors"), notes),
        period=_period(table.get("intervalPeriod"), "intervalPeriod"),
        duration=None if duration is None else parse_duration(duration, "duration"),
        intervals=tuple(_interval(item, index, f"intervals[{index}]") for index, item in enumerate(items)),
        notes=tuple(notes),
    )


def _report(raw: object) -> Report:
    table = _table(raw, "report")
    resources = {}
    for index, item in enumerate(_items(table.get("resources"), "resources")):
        where = f"resources[{index}]"
        resource = _table(item, where)
        intervals = _items(resource.get("intervals"), f"{where}.intervals", most=MAX_INTERVALS)
        resources[_name(resource.get("resourceName"), f"{where}.resourceName")] = tuple(
            _interval(interval, n, f"{where}.intervals[{n}]") for n, interval in enumerate(intervals)
        )
    event_id = _object_id(table.get("eventID"), "eventID")
    return Report(event_id, _name(table.get("clientName"), "clientName"), resources)


def _interval(raw: object, index: int, where: str) -> Interval:
    table = _table(raw, where)
    interval_id = table.get("id")
    if interval_id is None:
        interval_id = index
    return Interval(
        id=_whole(interval_id, f"{where}.id"),
        period=_period(table.get("intervalPeriod"), f"{where}.intervalPeriod"),
        payloads=tuple(
            _payload(item, f"{where}.payloads[{n}]")
            for n, item in enumerate(_items(table.get("payloads"), f"{where}.payloads"))
        ),
    )


def _payload(raw: object, where: str) -> Payload:
    table = _table(raw, where)
    payload_type = _name(table.get("type"), f"{where}.type")
    return Payload(payload_type, tuple(_items(table.get("values"), f"{where}.values")))


def _period(raw: object, where: str) -> Period:
    if raw is None:
        return Period()
    table = _table(raw, where)
    start, duration, randomize = (table.get(key) for key in ("start", "duration", "randomizeStart"))
    return Period(
        start=None if start is None else parse_instant(start, f"{where}.start"),
        duration=None if duration is None else parse_duration(duration, f"{where}.duration"),
        randomize=None if randomize is None else parse_duration(randomize, f"{where}.randomizeStart"),
    )


def _descriptors(raw: object) -> Mapping[str, Descriptor]:
    found = (
        _descriptor(item, f"payloadDescriptors[{n}]")
        for n, item in enumerate(_items(raw, "payloadDescriptors"))
    )
    return {descriptor.payload_type: descriptor for descriptor in found}


def _report_requests(raw: object, notes: list[str]) -> tuple[Descriptor, ...]:
    requests = []
    for n, item in enumerate(_items(raw, "reportDescriptors")):
        try:
            requests.append(_descriptor(item, f"reportDescriptors[{n}]"))
        except Malformed as bad:
            notes.append(str(bad))
    return tuple(requests)


def _descriptor(raw: object, where: str) -> Descriptor:
    table = _table(raw, where)
    units = table.get("units")
    return Descriptor(
        payload_type=_name(table.get("payloadType"), f"{where}.payloadType"),
        units="" if units is None else _name(units, f"{where}.units"),
    )


def _targets(raw: object) -> tuple[str, ...]:
    """Texts, as in 3.1; the values of typed lists, as in 3.0.1."""
    found: list[str] = []
    for n, item in enumerate(_items(raw, "targets")):
        where = f"targets[{n}]"
        if isinstance(item, dict):
            found.extend(_name(value, where) for value in _items(item.get("values"), f"{where}.values"))
        else:
            found.append(_name(item, where))
    return tuple(found)


def _optional_name(raw: object, notes: list[str]) -> str:
    try:
        return "" if raw is None else _name(raw, "eventName")
    except Malformed as bad:
        notes.append(str(bad))
        return ""


def _priority(raw: object) -> int | None:
    if raw is None:
        return None
    priority = _whole(raw, "priority")
    if priority < 0:
        raise Malformed("priority: below 0")
    return priority


def _whole(raw: object, where: str) -> int:
    value = number(raw, where)
    if not value.is_integer():
        raise Malformed(f"{where}: not a whole number")
    return int(value)


def _table(raw: object, where: str) -> Mapping[str, object]:
    if not isinstance(raw, dict):
        raise Malformed(f"{where}: expected an object")
    return raw


def _items(raw: object, where: str, most: int = _MOST_ITEMS) -> list[object]:
    if raw is None:
        return []
    if not isinstance(raw, list):
        raise Malformed(f"{where}: expected a list")
    if len(raw) > most:
        raise Malformed(f"{where}: more than {most} items")
    return raw


def _name(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not 1 <= len(raw) <= _LONGEST_NAME:
        raise Malformed(f"{where}: expected a text of 1 to {_LONGEST_NAME} characters")
    if any("\ud800" <= character <= "\udfff" for character in raw):
        raise Malformed(f"{where}: not Unicode text")
    return raw


def _object_id(raw: object, where: str) -> str:
    if not isinstance(raw, str) or not _OBJECT_ID.fullmatch(raw):
        raise Malformed(f"{where}: expected an object id")
    return raw


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no JSON number")


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError("a number beyond a double")
    return value
