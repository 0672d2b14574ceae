from collections.abc import Sequence
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.demand_response.arbiter import HORIZON, ORDERS, Consent, Reading, events, prices, windows
from gateway.model import EventStatus, GridWindow, WindowKind
from tests.gateway.demand_response.conftest import NOON, event, reading

LIMIT, EXPORT, DISPATCH, SHED = (order.payload_type for order in ORDERS[:4])
WILLING = Consent()


def held(
    readings: Sequence[Reading], kind: WindowKind, hour: float, consent: Consent = WILLING
) -> float | None:
    at = NOON + timedelta(hours=hour)
    found = [w for w in windows(readings, consent, at) if w.kind is kind and w.active(at)]
    assert len(found) <= 1
    return found[0].value if found else None


def test_a_limit_holds_in_watts_for_its_time_and_names_its_call() -> None:
    (window,) = windows([reading(event(LIMIT, 3))], Consent(), NOON)
    hour = timedelta(hours=1)
    assert window == GridWindow(WindowKind.IMPORT_LIMIT, 3000.0, NOON, NOON + hour, "e", "DSO")


@pytest.mark.parametrize(("units", "watts"), [("KW", 4200.0), ("W", 4.2), (None, 4200.0), ("MW", 4.2e6)])
def test_the_unit_is_kilowatts_unless_the_descriptor_says_else(units: str | None, watts: float) -> None:
    raw = event(LIMIT, 4.2, payloadDescriptors=[{"payloadType": LIMIT, "units": units}])
    assert held([reading(raw)], WindowKind.IMPORT_LIMIT, 0) == pytest.approx(watts)


def test_limits_combine_by_minimum_whatever_their_priority() -> None:
    both = [
        reading(event(LIMIT, 5, priority=0), "a"),
        reading(event(LIMIT, 3, duration="PT30M", priority=9), "b"),
    ]
    assert [held(both, WindowKind.IMPORT_LIMIT, h) for h in (0, 0.4, 0.5, 0.9, 1)] == [
        3000,
        3000,
        5000,
        5000,
        None,
    ]


def test_the_lower_priority_number_dispatches_and_the_loser_resumes() -> None:
    calls = [
        reading(event(DISPATCH, 4, priority=5), "a"),
        reading(event(DISPATCH, -2, start="2026-11-24T12:15:00Z", duration="PT15M", priority=0), "b"),
        reading(event(DISPATCH, 9), "none-is-last"),
    ]
    assert [held(calls, WindowKind.DISPATCH, h) for h in (0, 0.25, 0.49, 0.5)] == [4000, -2000, -2000, 4000]


def test_of_equal_priority_the_later_modified_wins_and_then_the_lower_id() -> None:
    later = NOON - timedelta(minutes=1)
    calls = [reading(event(SHED, 1), "a"), reading(event(SHED, 2), "b", modified=later)]
    assert held(calls, WindowKind.SHED, 0) == 2
    calls = [reading(event(SHED, 2), "b"), reading(event(SHED, 1), "a")]
    assert held(calls, WindowKind.SHED, 0) == 1


@pytest.mark.parametrize("consent", [Consent(opted_out=frozenset({"e"})), Consent(market_allowed=False)])
def test_opting_out_ends_the_market_and_never_a_capacity_limit(consent: Consent) -> None:
    raw = event(LIMIT, 3)
    raw["intervals"][0]["payloads"].append({"type": SHED, "values": [2]})
    call = reading(raw)
    assert (held([call], WindowKind.SHED, 0), held([call], WindowKind.IMPORT_LIMIT, 0)) == (2, 3000)
    assert (held([call], WindowKind.SHED, 0, consent), held([call], WindowKind.IMPORT_LIMIT, 0, consent)) == (
        None,
        3000,
    )
    (seen,) = events([call], consent, NOON)
    assert seen.status is EventStatus.OPTED_OUT
    assert "stay in force" in seen.problem


def test_an_alert_of_a_blackout_to_come_is_a_storm_whatever_its_text_and_the_owner_may_refuse_it() -> None:
    calls = [
        reading(event("ALERT_POSSIBLE_OUTAGE", "gale from the west"), "a"),
        reading(event("ALERT_WIND", "", start="2026-11-24T12:30:00Z"), "b"),
    ]
    assert [held(calls, WindowKind.STORM, h) for h in (-0.1, 0, 0.9, 1.4, 1.5)] == [None, 1, 1, 1, None]
    assert held(calls, WindowKind.STORM, 0, Consent(market_allowed=False)) is None
    storms = [w for w in windows(calls, Consent(), NOON) if w.kind is WindowKind.STORM]
    assert all(one.ends_at <= other.starts_at for one, other in pairwise(storms))
    assert events(calls, Consent(), NOON)[0].kinds == (WindowKind.STORM,)


def test_prices_are_for_the_planner_the_higher_priority_over_the_lower_and_several_share_their_interval() -> (
    None
):
    quarters = event("PRICE", 0.3, priority=5)
    quarters["intervals"][0]["payloads"][0]["values"] = [0.1, 0.2, 0.3, 0.4]
    dear = event("PRICE", 900, start="2026-11-24T12:30:00Z", duration="PT15M", priority=0)
    dear["payloadDescriptors"] = [{"payloadType": "PRICE", "units": "MWH", "currency": "EUR"}]
    calls = [reading(quarters, "a"), reading(dear, "b"), reading(event("EXPORT_PRICE", 0.05), "c")]
    slots = prices(calls, Consent(), NOON)
    assert [s.import_per_kwh for s in slots] == pytest.approx([0.1, 0.2, 0.9, 0.4])
    assert {s.export_per_kwh for s in slots} == {0.05}
    assert not windows(calls, Consent(), NOON)
    assert not prices(calls, Consent(market_allowed=False), NOON)
    assert events(calls, Consent(), NOON)[0].kinds == (WindowKind.PRICE,)


POISON: list[dict[str, Any]] = [
    event(LIMIT, "3"),
    event(LIMIT, True),
    event(LIMIT, -1),
    event(LIMIT, 1e12),
    event(LIMIT, 3, None),
    event(SHED, 4),
    event(SHED, 1.5),
    event(LIMIT, 3, duration="PT0S"),
    event("GHG", 300),
    event("PRICE", "dear"),
    event("PRICE", 1e9),
    event("PRICE", 0.3, payloadDescriptors=[{"payloadType": "PRICE", "units": "KW"}]),
    event(LIMIT, 3, payloadDescriptors=[{"payloadType": LIMIT, "units": "AMPS"}]),
    event(LIMIT, 3) | {"intervalPeriod": None},
    {"programID": "p", "intervalPeriod": {"start": "2026-11-24T12:00:00Z", "duration": "PT1H"}},
    {"programID": "p", "intervals": [{"id": 0, "payloads": [{"type": LIMIT, "values": [1, 2]}]}]},
    {"programID": None},
]


@pytest.mark.parametrize("poison", POISON)
def test_a_poisonous_call_is_rejected_with_a_reason_and_hurts_no_other(poison: dict[str, Any]) -> None:
    calls = [
        reading(event(LIMIT, 5), "good-1"),
        reading(poison, "poison"),
        reading(event(LIMIT, 4), "good-2"),
    ]
    assert held(calls, WindowKind.IMPORT_LIMIT, 0) == 4000
    seen = {e.id: e for e in events(calls, Consent(), NOON)}
    assert seen["poison"].status is EventStatus.REJECTED
    assert seen["poison"].problem
    assert {seen["good-1"].status, seen["good-2"].status} == {EventStatus.ACTIVE}


def test_a_call_passes_from_scheduled_to_active_to_ended_and_out_of_sight() -> None:
    call = reading(event(LIMIT, 3))
    seen = [
        [e.status for e in events([call], Consent(), NOON + timedelta(hours=h))] for h in (-1, 0, 1, 24.9, 25)
    ]
    ended = [EventStatus.ENDED]
    assert seen == [[EventStatus.SCHEDULED], [EventStatus.ACTIVE], ended, ended, []]


def test_withdrawing_and_shrinking_both_cancel() -> None:
    withdrawn = reading(event(LIMIT, 3), "w", withdrawn=NOON)
    shrunk = reading(event(LIMIT, 3, start="0001-01-01", duration="PT0S"), "s")
    bare = reading({"programID": "p", "intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"}}, "b")
    assert windows([withdrawn, shrunk, bare], Consent(), NOON) == ()
    assert {e.status for e in events([withdrawn, shrunk, bare], Consent(), NOON)} == {EventStatus.CANCELLED}


def test_a_call_that_only_asks_for_reports_orders_nothing_and_is_no_problem() -> None:
    call = reading(
        {
            "programID": "p",
            "reportDescriptors": [{"payloadType": "USAGE"}],
            "intervalPeriod": {"start": "0001-01-01", "duration": "PT0S"},
        }
    )
    (seen,) = events([call], Consent(), NOON)
    assert (seen.status, seen.kinds, seen.problem) == (EventStatus.ACTIVE, (), "")


def test_now_for_ever_holds_from_its_arrival_to_the_horizon() -> None:
    call = reading(event(LIMIT, 3, start="0001-01-01", duration="P9999Y"))
    (window,) = windows([call], Consent(), NOON)
    assert window.starts_at == call.call.created_at
    assert HORIZON <= window.ends_at - NOON <= HORIZON + timedelta(hours=1)
    (seen,) = events([call], Consent(), NOON)
    assert seen.ends_at is None


def test_very_many_short_intervals_shorten_the_horizon_only() -> None:
    call = reading(event(LIMIT, *[n % 5 for n in range(10_000)], duration="PT1S") | {"duration": "P9999Y"})
    at = NOON + timedelta(days=700, seconds=3)
    found = windows([call], Consent(), at)
    assert len(found) <= 1024
    assert all(w.value == 1000.0 * ((w.starts_at - NOON).total_seconds() % 10_000 % 5) for w in found)
    assert found[0].active(at)


KINDS = st.sampled_from([LIMIT, EXPORT, DISPATCH, SHED, "PRICE"])
VALUES = st.integers(-1, 4) | st.floats() | st.sampled_from([True, None, "3"])
STARTS = st.sampled_from(
    [
        "0001-01-01",
        "2026-11-23T00:00:00Z",
        "2026-11-24T12:00:00Z",
        "2026-11-24T12:07:30+01:00",
        "2026-11-26T00:00:00Z",
    ]
)
DURATIONS = st.sampled_from(["PT0S", "PT1S", "PT15M", "PT1H", "P1M", "P9999Y", "PT0.000001S"])


@st.composite
def calls(draw: st.DrawFn) -> Reading:
    raw = event(
        draw(KINDS), *draw(st.lists(VALUES, max_size=4)), start=draw(STARTS), duration=draw(DURATIONS)
    )
    raw["duration"] = draw(st.none() | DURATIONS)
    raw["priority"] = draw(st.none() | st.integers(0, 2))
    raw["intervalPeriod"]["randomizeStart"] = draw(st.none() | DURATIONS)
    return reading(
        raw,
        draw(st.text("ab", min_size=1, max_size=3)),
        created=NOON - timedelta(minutes=draw(st.integers(0, 60))),
    )


@settings(max_examples=150, deadline=None)
@given(st.lists(calls(), max_size=8), st.integers(-3, 200), st.booleans())
def test_any_set_of_calls_gives_few_windows_in_order_and_without_overlap(
    readings: list[Reading], hour: int, allowed: bool
) -> None:
    at = NOON + timedelta(hours=hour)
    consent = Consent(market_allowed=allowed)
    found = windows(readings, consent, at)
    for order in ORDERS:
        own = [w for w in found if w.kind is order.kind]
        assert len(own) <= 2 * 1024 + 16
        assert all(w.starts_at < w.ends_at and w.ends_at > at for w in own)
        assert all(first.ends_at <= second.starts_at for first, second in pairwise(own))
        assert all(order.lowest <= w.value <= order.highest for w in own)
        assert allowed or not (order.market and own)
    assert len(events(readings, consent, at)) <= len(readings)
