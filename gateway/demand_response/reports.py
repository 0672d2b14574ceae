"""What the utility is told back, pure: the energy of each interval that ended, and the owner's refusals.

One report per call and payload type, which grows interval by interval; what it already holds says what is still to come, so a
restart repeats nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import islice

from gateway.demand_response.arbiter import Consent, Reading, status
from gateway.demand_response.openadr3.objects import Descriptor, Event, Interval, Report, parse_report
from gateway.demand_response.openadr3.schedule import Slot
from gateway.demand_response.openadr3.times import FOREVER, NOW, Duration, duration_text, instant_text
from gateway.model import EventStatus

type Body = Mapping[str, object]
type UsageWh = Callable[[datetime, datetime], float | None]

USAGE = "USAGE"
OPERATING_STATE = "OPERATING_STATE"
AGGREGATED = "AGGREGATED_REPORT"
CLIENT_NAME = "nissan-energy-gateway"

PATIENCE = timedelta(minutes=5)
"""How long a missing measurement is waited for before the interval is reported as missing."""

MOST_INTERVALS = 1000
_MOST_SLOTS = 1000
_SHORTEST = timedelta(seconds=1)
_REFUSALS = ("IDLE_OPTED_OUT", "RUNNING_OPTED_OUT")


def usage_due(reading: Reading, report: Body | None, utc: datetime) -> list[Slot]:
    """Return the intervals of a call that ended and are not yet in its USAGE report, the part delivered when it was withdrawn."""
    event, schedule, call = reading.call.content, reading.schedule, reading.call
    if schedule is None or not isinstance(event, Event) or reading.problem or usage_request(event) is None:
        return []
    since = max(reported_until(report), call.created_at)
    until = min(utc, call.withdrawn_at or FOREVER)
    due: list[Slot] = []
    for slot in islice(schedule.between(since, until), _MOST_SLOTS):
        starts_at = max(slot.starts_at, since)
        ends_at = min(slot.ends_at, call.withdrawn_at or FOREVER)
        if ends_at <= utc and ends_at - starts_at >= _SHORTEST:
            due.append(Slot(starts_at, ends_at, slot.interval_id, ()))
    return due


def usage_report(
    reading: Reading, report: Body | None, due: Sequence[Slot], usage_wh: UsageWh, utc: datetime
) -> Body | None:
    """Return the USAGE report with the due intervals added, in kWh; None when no measurement is there yet."""
    event = reading.call.content
    request = usage_request(event) if isinstance(event, Event) else None
    if request is None:
        return None
    added = []
    for slot in due:
        energy_wh = usage_wh(slot.starts_at, slot.ends_at)
        if energy_wh is None and utc < slot.ends_at + PATIENCE:
            break
        added.append(
            _interval(slot.interval_id, slot.starts_at, slot.ends_at, *_energy(energy_wh, request.units))
        )
    if not added:
        return None
    descriptor = {"payloadType": USAGE, "readingType": "DIRECT_READ", "units": request.units or "KWH"}
    return _grown(report, reading, USAGE, added, [descriptor])


def refusal_report(reading: Reading, report: Body | None, consent: Consent, utc: datetime) -> Body | None:
    """Return the OPERATING_STATE report with the owner's newest word on a market call added; None when nothing is new."""
    if not reading.market or reading.problem or reading.over(utc):
        return None
    refused = consent.refuses(reading.call.id)
    told = _told(report)
    if not told and not refused:
        return None
    if told and refused == (told[-1].payloads[0].values[0] in _REFUSALS):
        return None
    at_work = status(reading, Consent(), utc) is EventStatus.ACTIVE
    state = f"{'RUNNING' if at_work else 'IDLE'}_{'OPTED_OUT' if refused else 'NORMAL'}"
    return _grown(
        report, reading, OPERATING_STATE, [_interval(len(told), utc, utc, OPERATING_STATE, state)], []
    )


def usage_request(event: Event) -> Descriptor | None:
    """Return the call's request for USAGE in a unit that we can give."""
    asked = (r for r in event.reports if r.payload_type == USAGE and r.units in ("", "KWH", "WH"))
    return next(asked, None)


def reported_until(report: Body | None) -> datetime:
    """Return the end of the last interval in a report of ours, NOW when there is none."""
    told = _told(report)
    if not told or (start := told[-1].period.start) is None:
        return NOW
    return (told[-1].period.duration or Duration()).after(start)


def _told(report: Body | None) -> tuple[Interval, ...]:
    parsed = None if report is None else parse_report(report)
    return parsed.resources.get(AGGREGATED, ()) if isinstance(parsed, Report) else ()


def _energy(energy_wh: float | None, units: str) -> tuple[str, object]:
    if energy_wh is None:
        return "DATA_QUALITY", "MISSING"
    return USAGE, round(energy_wh if units == "WH" else energy_wh / 1000.0, 4)


def _interval(number: int, starts_at: datetime, ends_at: datetime, payload_type: str, value: object) -> Body:
    return {
        "id": number,
        "intervalPeriod": {"start": instant_text(starts_at), "duration": duration_text(ends_at - starts_at)},
        "payloads": [{"type": payload_type, "values": [value]}],
    }


def _grown(
    report: Body | None,
    reading: Reading,
    payload_type: str,
    added: Sequence[Body],
    descriptors: Sequence[Body],
) -> Body:
    intervals: list[object] = []
    match report:
        case {"resources": [{"intervals": [*told]}]}:
            intervals = told
    return {
        "eventID": reading.call.id,
        "clientName": CLIENT_NAME,
        "reportName": payload_type,
        "payloadDescriptors": list(descriptors) or None,
        "resources": [{"resourceName": AGGREGATED, "intervals": [*intervals, *added][-MOST_INTERVALS:]}],
    }
