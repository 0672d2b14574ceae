from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest

from gateway.demand_response.openadr3.objects import Event, parse_event
from gateway.demand_response.openadr3.schedule import Schedule, draw, expand
from gateway.demand_response.openadr3.times import FOREVER, NOW
from gateway.faults import Malformed
from tests.gateway.demand_response.conftest import NOON, event

KIND = "IMPORT_CAPACITY_LIMIT"


def schedule(raw: dict[str, Any], event_id: str = "e") -> Schedule:
    parsed = parse_event(raw)
    assert isinstance(parsed, Event), parsed
    return expand(parsed, event_id)


def value_at(plan: Schedule, at: datetime, kind: str = KIND) -> object:
    return next((span.value for span in plan.spans(kind, at, at + timedelta(microseconds=1))), None)


def hours(n: float) -> datetime:
    return NOON + timedelta(hours=n)


def test_intervals_follow_each_other_and_end() -> None:
    plan = schedule(event(KIND, 1, 2, 3))
    assert [value_at(plan, hours(h)) for h in (-0.1, 0, 0.99, 1, 2, 2.99, 3)] == [None, 1, 1, 2, 3, 3, None]


def test_an_interval_without_a_start_follows_the_one_before_not_the_default() -> None:
    raw = event(KIND, 1, 2, start="2026-11-24T10:00:00Z")
    raw["intervals"][0]["intervalPeriod"] = {"start": "2026-11-24T12:00:00Z"}
    assert [value_at(schedule(raw), hours(h)) for h in (-2, 0, 1, 2)] == [None, 1, 2, None]


def test_now_on_a_later_interval_means_right_after() -> None:
    raw = event(KIND, 1, 2)
    raw["intervals"][1]["intervalPeriod"] = {"start": "0001-01-01", "duration": "PT30M"}
    assert [value_at(schedule(raw), hours(h)) for h in (0, 1, 1.49, 1.5)] == [1, 2, 2, None]


def test_intervals_out_of_order_and_with_gaps_hold_at_their_own_times() -> None:
    raw = event(KIND, 1, 2, duration="PT30M")
    raw["intervals"][0]["intervalPeriod"] = {"start": "2026-11-24T15:00:00Z"}
    raw["intervals"][1]["intervalPeriod"] = {"start": "2026-11-24T12:00:00Z"}
    assert [value_at(schedule(raw), hours(h)) for h in (0, 0.5, 2.9, 3, 3.5)] == [2, None, None, 1, None]


def test_now_for_ever_is_at_work_but_now_for_an_hour_is_long_over() -> None:
    assert value_at(schedule(event(KIND, 1, start="0001-01-01", duration="P9999Y")), NOON) == 1
    over = schedule(event(KIND, 1, start="0001-01-01T00:00:00", duration="PT1H"))
    assert (over.starts_at, value_at(over, NOON)) == (NOW, None)


def test_a_longer_event_repeats_its_intervals_also_for_ever() -> None:
    plan = schedule(event(KIND, 1, 2, duration="PT1H") | {"duration": "PT5H"})
    assert [value_at(plan, hours(h)) for h in (0, 1, 2, 3, 4, 5)] == [1, 2, 1, 2, 1, None]
    endless = schedule(event(KIND, 1, 2, 3, duration="PT1M") | {"duration": "P9999Y"})
    far = NOON + timedelta(days=365 * 1000)
    assert [value_at(endless, far + timedelta(minutes=n)) for n in range(4)] == [1, 2, 3, 1]
    assert endless.ends_at == FOREVER


def test_a_shorter_event_cuts_its_intervals_off() -> None:
    plan = schedule(event(KIND, 1, 2) | {"duration": "PT90M"})
    assert [value_at(plan, hours(h)) for h in (0, 1, 1.49, 1.5)] == [1, 2, 2, None]


def test_ten_thousand_intervals_for_ever_are_looked_up_not_walked() -> None:
    plan = schedule(event(KIND, *range(10_000), duration="PT0.001S") | {"duration": "P9999Y"})
    far = NOON + timedelta(days=365 * 5000, milliseconds=7)
    assert [span.value for span in islice(plan.spans(KIND, far, FOREVER), 3)] == [7, 8, 9]


def test_several_prices_share_their_interval_and_several_limits_do_not() -> None:
    raw = event("PRICE", 0)
    raw["intervals"][0]["payloads"] = [
        {"type": "PRICE", "values": [0.1, 0.2]},
        {"type": KIND, "values": [5, 6]},
    ]
    plan = schedule(raw)
    assert [value_at(plan, hours(h), "PRICE") for h in (0, 0.49, 0.5, 0.99)] == [0.1, 0.1, 0.2, 0.2]
    assert [value_at(plan, hours(h)) for h in (0, 0.99)] == [5, 5]


def test_the_random_start_is_the_events_own_and_stays() -> None:
    raw = event(KIND, 1, 2)
    raw["intervalPeriod"]["randomizeStart"] = "PT10M"
    starts = {schedule(raw, event_id).starts_at for event_id in map(str, range(200))}
    assert all(abs(start - NOON) <= timedelta(minutes=10) for start in starts)
    assert len(starts) > 190
    assert min(starts) < NOON - timedelta(minutes=8) < NOON + timedelta(minutes=8) < max(starts)
    assert schedule(raw, "x") == schedule(raw, "x")
    first, second = schedule(raw, "x").slots
    assert first.ends_at == second.starts_at


def test_an_absolute_interval_moves_along_unless_it_brings_its_own_range() -> None:
    raw = event(KIND, 1, 2)
    raw["intervalPeriod"]["randomizeStart"] = "PT10M"
    raw["intervals"][1]["intervalPeriod"] = {"start": "2026-11-24T14:00:00Z"}
    moved = draw("e") * timedelta(minutes=10)
    assert schedule(raw).slots[1].starts_at == hours(2) + moved
    raw["intervals"][1]["intervalPeriod"]["randomizeStart"] = "PT0S"
    assert schedule(raw).slots[1].starts_at == hours(2)


def test_an_offset_is_converted_so_that_summer_time_does_not_matter() -> None:
    plan = schedule(event(KIND, *range(25), start="2026-10-25T00:00:00+02:00"))
    assert plan.ends_at - plan.starts_at == timedelta(hours=25)
    assert plan.slots[24].ends_at.isoformat() == "2026-10-25T23:00:00+00:00"


@pytest.mark.parametrize("period", [None, {"start": "2026-11-24T12:00:00Z"}, {"duration": "PT1H"}])
def test_an_interval_that_cannot_be_placed_is_malformed(period: object) -> None:
    with pytest.raises(Malformed, match=r"intervals\[0\]: neither"):
        schedule(event(KIND, 1) | {"intervalPeriod": period})
