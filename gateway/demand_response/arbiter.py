"""All calls together → what holds when, and what the owner sees of each call.

The precedence, published. A higher class never yields to a lower one; the ladder of ``control`` follows the same order.

=====  ================  ======================  =====================================================  =================
class  window            payload type            when several hold at once                              owner may opt out
=====  ================  ======================  =====================================================  =================
1      ``IMPORT_LIMIT``  IMPORT_CAPACITY_LIMIT   the smallest value; priority has no say                no
1      ``EXPORT_LIMIT``  EXPORT_CAPACITY_LIMIT   the smallest value; priority has no say                no
2      ``DISPATCH``      DISPATCH_SETPOINT       lowest priority number (none counts as the highest),   yes
                                                 then the later modification, then the lower id
3      ``SHED``          SIMPLE                  as DISPATCH                                            yes
4      ``STORM``         ALERT_POSSIBLE_OUTAGE,  any of them holds                                      yes
                         _FIRE, _FREEZING,
                         _TSUNAMI, _WIND
5      ``PRICE``         PRICE                   as DISPATCH                                            yes
5      ``EXPORT_PRICE``  EXPORT_PRICE            as DISPATCH                                            yes
=====  ================  ======================  =====================================================  =================

A call that loses resumes when the winner ends. Powers are kW unless the payload descriptor says W or MW; DISPATCH_SETPOINT is
site power, import positive. An alert's value is a text for people; that it was sent is the order. Prices are per
kWh unless the descriptor says MWH; they are for the planner, and no window. A call with any value that cannot be executed is rejected as a whole, and hurts no other.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from heapq import heappop, heappush
from itertools import groupby, islice, pairwise

from gateway.demand_response.openadr3.objects import Descriptor, Event, Payload, Problem, number
from gateway.demand_response.openadr3.schedule import Schedule, expand
from gateway.demand_response.openadr3.times import FOREVER, NOW
from gateway.faults import Malformed
from gateway.model import EventStatus, GridEvent, GridWindow, PriceSlot, WindowKind

HORIZON = timedelta(hours=48)
REMEMBERED = timedelta(hours=24)
"""How long an ended, cancelled or rejected call stays in the owner's sight."""

_SPANS_PER_KIND = 1024
_FEWEST_SPANS_PER_CALL = 16
_HIGHEST_W = 1e9
_DEAREST = 1e4
_WATTS = {"": 1e3, "KW": 1e3, "W": 1.0, "MW": 1e6}
_PER_KWH = {"": 1.0, "KWH": 1.0, "MWH": 1e-3}


@dataclass(frozen=True, slots=True)
class Order:
    """One row of the precedence table, and the range of values that makes sense; a ``told`` one has a text instead."""

    kind: WindowKind
    payload_type: str
    market: bool
    lowest: float
    highest: float
    told: bool = False


def _alert(name: str) -> Order:
    return Order(WindowKind.STORM, f"ALERT_{name}", market=True, lowest=1.0, highest=1.0, told=True)


ORDERS = (
    Order(WindowKind.IMPORT_LIMIT, "IMPORT_CAPACITY_LIMIT", market=False, lowest=0.0, highest=_HIGHEST_W),
    Order(WindowKind.EXPORT_LIMIT, "EXPORT_CAPACITY_LIMIT", market=False, lowest=0.0, highest=_HIGHEST_W),
    Order(WindowKind.DISPATCH, "DISPATCH_SETPOINT", market=True, lowest=-_HIGHEST_W, highest=_HIGHEST_W),
    Order(WindowKind.SHED, "SIMPLE", market=True, lowest=0.0, highest=3.0),
    *(_alert(name) for name in ("POSSIBLE_OUTAGE", "FIRE", "FREEZING", "TSUNAMI", "WIND")),
    Order(WindowKind.PRICE, "PRICE", market=True, lowest=-_DEAREST, highest=_DEAREST),
    Order(WindowKind.EXPORT_PRICE, "EXPORT_PRICE", market=True, lowest=-_DEAREST, highest=_DEAREST),
)
PRICES = frozenset({WindowKind.PRICE, WindowKind.EXPORT_PRICE})


@dataclass(frozen=True, slots=True)
class Call:
    """A stored event, whose it is, and since when. ``descriptors`` are the program's, where the event has none."""

    id: str
    client_id: str
    utility: str
    program: str
    content: Event | Problem
    created_at: datetime
    modified_at: datetime
    program_modified_at: datetime | None = None
    withdrawn_at: datetime | None = None
    descriptors: Mapping[str, Descriptor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reading:
    """A call understood: what it orders, when, or why it cannot be executed. ``scale`` turns its values into W or levels."""

    call: Call
    orders: tuple[Order, ...] = ()
    scale: Mapping[str, float] = field(default_factory=dict)
    schedule: Schedule | None = None
    problem: str = ""
    cancelled: bool = False

    @property
    def market(self) -> bool:
        """Tell whether the owner may opt out of any of it."""
        return any(order.market for order in self.orders)

    def over(self, utc: datetime) -> bool:
        """Tell whether the call can have no effect from ``utc`` on."""
        if self.cancelled or self.call.withdrawn_at is not None:
            return True
        return self.schedule is not None and self.schedule.ends_at <= utc


@dataclass(frozen=True, slots=True)
class Consent:
    """What the owner lets the market classes do."""

    market_allowed: bool = True
    opted_out: frozenset[str] = frozenset()

    def refuses(self, call_id: str) -> bool:
        """Tell whether the market part of the call is refused."""
        return not self.market_allowed or call_id in self.opted_out


@dataclass(frozen=True, slots=True, order=True)
class _Bid:
    """One value of one call in time; the lowest ``rank`` wins."""

    rank: tuple[float, ...]
    call_id: str
    starts_at: datetime
    ends_at: datetime
    value: float
    utility: str


def read(call: Call) -> Reading:
    """Understand a call; never raises."""
    if isinstance(call.content, Problem):
        return Reading(call, problem=call.content.reason)
    try:
        return _understood(call, call.content)
    except Malformed as bad:
        return Reading(call, problem=str(bad))


def windows(readings: Collection[Reading], consent: Consent, utc: datetime) -> tuple[GridWindow, ...]:
    """Return what holds now and in the next 48 h: per kind in order and without overlap, empty when nothing is called.

    Very many short intervals shorten the horizon, never the truth; later ones come into sight as time goes on.
    """
    ordered = (order for order in ORDERS if order.kind not in PRICES)
    return _held(readings, consent, utc, ordered)


def prices(readings: Collection[Reading], consent: Consent, utc: datetime) -> tuple[PriceSlot, ...]:
    """Return what is called as prices, now and in the next 48 h; export earns nothing where only import is priced."""
    held = _held(readings, consent, utc, (order for order in ORDERS if order.kind in PRICES))
    bought = [w for w in held if w.kind is WindowKind.PRICE]
    sold = [w for w in held if w.kind is WindowKind.EXPORT_PRICE]
    edges = sorted({edge for w in held for edge in (w.starts_at, w.ends_at)})
    slots = []
    for starts_at, ends_at in pairwise(edges):
        price = next((w.value for w in bought if w.active(starts_at)), None)
        if price is not None:
            earned = next((w.value for w in sold if w.active(starts_at)), 0.0)
            slots.append(PriceSlot(starts_at, ends_at, price, earned))
    return tuple(slots)


def _held(
    readings: Collection[Reading], consent: Consent, utc: datetime, ordered: Iterable[Order]
) -> tuple[GridWindow, ...]:
    until = utc.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1) + HORIZON
    found: list[GridWindow] = []
    for kind, orders in groupby(ordered, lambda order: order.kind):
        bids: list[_Bid] = []
        for order in orders:
            bidding = [r for r in readings if order in r.orders and not r.over(utc)]
            if order.market:
                bidding = [r for r in bidding if not consent.refuses(r.call.id)]
            bids += _bids(bidding, order, utc, until)
        found.extend(window for window in _arbitrated(kind, bids) if window.ends_at > utc)
    return tuple(found)


def events(readings: Iterable[Reading], consent: Consent, utc: datetime) -> tuple[GridEvent, ...]:
    """Return every call that is ahead, at work, or was over less than ``REMEMBERED`` ago, in order of creation."""
    recent = (r for r in readings if _last_of_interest(r) + REMEMBERED > utc)
    ordered = sorted(recent, key=lambda r: (r.call.created_at, r.call.id))
    return tuple(_grid_event(reading, consent, utc) for reading in ordered)


def status(reading: Reading, consent: Consent, utc: datetime) -> EventStatus:
    """Return where the call stands at ``utc``."""
    if reading.cancelled or reading.call.withdrawn_at is not None:
        return EventStatus.CANCELLED
    if reading.problem:
        return EventStatus.REJECTED
    if reading.over(utc):
        return EventStatus.ENDED
    if reading.market and consent.refuses(reading.call.id):
        return EventStatus.OPTED_OUT
    if reading.schedule is not None and utc < reading.schedule.starts_at:
        return EventStatus.SCHEDULED
    return EventStatus.ACTIVE


def _understood(call: Call, event: Event) -> Reading:
    asked = dict.fromkeys(payload.type for interval in event.intervals for payload in interval.payloads)
    orders = tuple(order for order in ORDERS if order.payload_type in asked)
    if not orders and asked:
        raise Malformed(f"nothing that this gateway acts on: {', '.join(islice(asked, 3))}")
    if not orders and event.reports:
        return Reading(call, schedule=_report_period(event, call.id))
    schedule = expand(event, call.id)
    if schedule.ends_at <= schedule.starts_at:
        if schedule.starts_at == NOW:  # the guide's way to cancel
            return Reading(call, orders, cancelled=True)
        raise Malformed("the call lasts no time at all")
    if not orders:
        raise Malformed("intervals: no payloads")
    scale = {order.payload_type: _scale(order, event, call) for order in orders}
    for order in orders:
        _check(event, order, scale[order.payload_type])
    return Reading(call, orders, scale, schedule)


def _report_period(event: Event, call_id: str) -> Schedule | None:
    """When a call that only asks for reports is at work; None is always."""
    try:
        schedule = expand(event, call_id)
    except Malformed:
        return None
    return schedule if schedule.ends_at > schedule.starts_at else None


def _scale(order: Order, event: Event, call: Call) -> float:
    if order.told or order.kind is WindowKind.SHED:
        return 1.0
    kind = order.payload_type
    descriptor = event.descriptors.get(kind) or call.descriptors.get(kind) or Descriptor(kind)
    units, what = (_PER_KWH, "energy") if order.kind in PRICES else (_WATTS, "power")
    if (scale := units.get(descriptor.units.upper())) is None:
        raise Malformed(f"{kind}: unit {descriptor.units} is no {what}")
    return scale


def _check(event: Event, order: Order, scale: float) -> None:
    if order.told:
        return
    for index, interval in enumerate(event.intervals):
        for payload in interval.payloads:
            if payload.type == order.payload_type:
                _check_values(payload, order, scale, f"intervals[{index}] {payload.type}")


def _check_values(payload: Payload, order: Order, scale: float, where: str) -> None:
    if order.kind in PRICES and payload.values:
        for raw in payload.values:
            if abs(number(raw, where) * scale) > order.highest:
                raise Malformed(f"{where}: {raw} is out of range")
        return
    if len(payload.values) != 1:
        raise Malformed(f"{where}: {len(payload.values)} values where one is expected")
    value = number(payload.values[0], where) * scale
    if not order.lowest <= value <= order.highest:
        raise Malformed(f"{where}: {payload.values[0]} is out of range")
    if order.kind is WindowKind.SHED and not value.is_integer():
        raise Malformed(f"{where}: {payload.values[0]} is no level")


def _bids(readings: Collection[Reading], order: Order, utc: datetime, until: datetime) -> list[_Bid]:
    """Return the bids of all calls from ``utc`` on, up to the first that was left out for their number."""
    share = max(_SPANS_PER_KIND // max(len(readings), 1), _FEWEST_SPANS_PER_CALL)
    bids: list[_Bid] = []
    for reading in readings:
        if reading.schedule is None:
            continue
        spans = reading.schedule.spans(order.payload_type, utc, until)
        bids.extend(
            _bid(reading, order, span.starts_at, span.ends_at, span.value) for span in islice(spans, share)
        )
        if left_out := next(spans, None):
            until = min(until, left_out.starts_at)
    return [_cut(bid, until) for bid in bids if bid.starts_at < until]


def _cut(bid: _Bid, until: datetime) -> _Bid:
    if bid.ends_at <= until:
        return bid
    return _Bid(bid.rank, bid.call_id, bid.starts_at, until, bid.value, bid.utility)


def _bid(reading: Reading, order: Order, starts_at: datetime, ends_at: datetime, raw: object) -> _Bid:
    call = reading.call
    value = 1.0 if order.told else number(raw, order.payload_type) * reading.scale[order.payload_type]
    rank = _rank(call) if order.market else (value,)
    return _Bid(rank, call.id, max(starts_at, call.created_at), ends_at, value, call.utility)


def _rank(call: Call) -> tuple[float, ...]:
    priority = call.content.priority if isinstance(call.content, Event) else None
    return (float("inf") if priority is None else float(priority), -call.modified_at.timestamp())


def _arbitrated(kind: WindowKind, bids: list[_Bid]) -> list[GridWindow]:
    """Sweep over time: between two edges the best bid holds; neighbours of one call and value become one window."""
    waiting = sorted(
        (b for b in bids if b.ends_at > b.starts_at), key=lambda bid: bid.starts_at, reverse=True
    )
    edges = sorted({edge for bid in waiting for edge in (bid.starts_at, bid.ends_at)})
    holding: list[_Bid] = []
    found: list[GridWindow] = []
    for starts_at, ends_at in pairwise(edges):
        while waiting and waiting[-1].starts_at <= starts_at:
            heappush(holding, waiting.pop())
        while holding and holding[0].ends_at <= starts_at:
            heappop(holding)
        if not holding:
            continue
        best = holding[0]
        window = GridWindow(kind, best.value, starts_at, ends_at, best.call_id, best.utility)
        last = found[-1] if found else None
        if last and (last.ends_at, last.event_id, last.value) == (starts_at, window.event_id, window.value):
            found[-1] = GridWindow(kind, best.value, last.starts_at, ends_at, best.call_id, best.utility)
        else:
            found.append(window)
    return found


def _grid_event(reading: Reading, consent: Consent, utc: datetime) -> GridEvent:
    call, schedule = reading.call, reading.schedule
    event = call.content if isinstance(call.content, Event) else None
    stands = status(reading, consent, utc)
    problem = reading.problem or ("; ".join(event.notes) if event else "")
    if stands is EventStatus.OPTED_OUT and not all(order.market for order in reading.orders):
        problem = "the capacity limits of this call stay in force"
    return GridEvent(
        id=call.id,
        program=call.program,
        utility=call.utility,
        name=event.name if event else "",
        kinds=tuple(dict.fromkeys(order.kind for order in reading.orders)),
        status=stands,
        starts_at=max(schedule.starts_at, call.created_at) if schedule else None,
        ends_at=schedule.ends_at if schedule and schedule.ends_at < FOREVER else None,
        priority=event.priority if event else None,
        problem=problem,
    )


def _last_of_interest(reading: Reading) -> datetime:
    """Return until when the call mattered, at most a day before the end of time."""
    if reading.call.withdrawn_at is not None:
        return reading.call.withdrawn_at
    if reading.cancelled or reading.problem:
        return reading.call.modified_at
    return min(reading.schedule.ends_at if reading.schedule else FOREVER, FOREVER - REMEMBERED)
