"""Price lists of Home Assistant's integrations and of suppliers become slots; what is no time or price is refused with its place."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.faults import Malformed
from gateway.planning.price_lists import understood

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NORD_POOL = {
    "state": "0.21",
    "attributes": {
        "unit": "kWh",
        "currency": "EUR",
        "tomorrow_valid": False,
        "raw_today": [
            {"start": "2026-10-25T00:00:00+02:00", "end": "2026-10-25T00:15:00+02:00", "value": 0.21},
            {"start": "2026-10-25T00:15:00+02:00", "end": "2026-10-25T00:30:00+02:00", "value": -0.02},
        ],
        "raw_tomorrow": [
            {"start": "2026-10-26T00:00:00+01:00", "end": "2026-10-26T00:15:00+01:00", "value": None}
        ],
    },
}
OCTOPUS = {
    "rates": [
        {"valid_from": "2026-06-01T00:30:00Z", "valid_to": "2026-06-01T01:00:00Z", "value_inc_vat": 0.2},
        {"valid_from": "2026-06-01T00:00:00Z", "valid_to": "2026-06-01T00:30:00Z", "value_inc_vat": 0.1},
    ]
}
OCTOPUS_ITSELF = {
    "results": [
        {"value_exc_vat": 19.0, "value_inc_vat": 20.0, "valid_from": "2026-06-01T00:00:00Z", "valid_to": None}
    ]
}
TIBBER = {
    "data": {
        "viewer": {
            "homes": [
                {
                    "currentSubscription": {
                        "priceInfo": {
                            "today": [
                                {"total": 0.3, "energy": 0.1, "startsAt": "2026-06-01T00:00:00.000+02:00"}
                            ],
                            "tomorrow": [],
                        }
                    }
                }
            ]
        }
    }
}
ENERGI_DATA = {
    "records": [
        {
            "HourUTC": "2026-06-01T00:00:00",
            "HourDK": "2026-06-01T02:00:00",
            "SpotPriceDKK": 746.0,
            "SpotPriceEUR": 100.0,
        }
    ]
}
AWATTAR = {
    "data": [
        {
            "start_timestamp": 1780272000000,
            "end_timestamp": 1780275600000,
            "marketprice": 80.0,
            "unit": "Eur/MWh",
        }
    ]
}
NORD_POOL_ACTION = {
    "NL": [{"start": "2026-06-01T00:00:00+00:00", "end": "2026-06-01T01:00:00+00:00", "price": 97.5}],
    "unit": "EUR/MWh",
}
MIDNIGHT = datetime(2026, 6, 1, tzinfo=UTC)


def test_nord_pool_has_quarters_and_a_price_that_is_not_known_yet_is_a_gap():
    slots = understood(NORD_POOL)
    assert [s.import_per_kwh for s in slots] == [0.21, -0.02]
    assert [s.ends_at - s.starts_at for s in slots] == [timedelta(minutes=15)] * 2
    assert slots[0].starts_at == datetime(2026, 10, 24, 22, 0, tzinfo=UTC)
    assert slots[0].export_per_kwh == 0.0


def test_half_hours_come_out_in_order():
    slots = understood(OCTOPUS)
    assert [s.import_per_kwh for s in slots] == [0.1, 0.2]
    assert slots[0].ends_at == slots[1].starts_at == MIDNIGHT + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("payload", "starts_at", "price"),
    [
        (OCTOPUS_ITSELF, MIDNIGHT, 0.20),
        (TIBBER, MIDNIGHT - timedelta(hours=2), 0.30),
        (ENERGI_DATA, MIDNIGHT, 0.10),
        (AWATTAR, MIDNIGHT, 0.08),
        (NORD_POOL_ACTION, MIDNIGHT, 0.0975),
        ([{"start": MIDNIGHT, "value": "0.25"}], MIDNIGHT, 0.25),
        ({"unit_of_measurement": "øre/kWh", "raw_today": [{"hour": MIDNIGHT, "price": 75}]}, MIDNIGHT, 0.75),
    ],
    ids=["octopus", "tibber", "energi_data", "awattar", "nord_pool_action", "generic", "hundredths"],
)
def test_each_list_has_its_unit_and_lasts_an_hour_unless_it_says(payload, starts_at, price):
    (slot,) = understood(payload)
    assert slot.starts_at == starts_at
    assert slot.ends_at == starts_at + timedelta(hours=1)
    assert slot.import_per_kwh == pytest.approx(price)


def test_the_currency_of_the_site_chooses_between_two_prices():
    (slot,) = understood(ENERGI_DATA, currency="DKK")
    assert slot.import_per_kwh == pytest.approx(0.746)


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
@pytest.mark.parametrize("step_min", [15, 30, 60])
def test_clock_times_without_a_zone_are_right_on_the_days_the_clocks_change(day, hours, step_min):
    begins = datetime.fromisoformat(day).replace(tzinfo=AMSTERDAM).astimezone(UTC)
    times = [begins + timedelta(minutes=m) for m in range(0, hours * 60, step_min)]
    shown = [t.astimezone(AMSTERDAM).replace(tzinfo=None).isoformat() for t in times]
    slots = understood([{"start": t, "value": i} for i, t in enumerate(shown)], AMSTERDAM)
    assert [s.starts_at for s in slots] == times
    assert [s.import_per_kwh for s in slots] == list(range(len(times)))


def nord_pool_entity(hours):
    """The custom integration: local times as Home Assistant writes them; in cents where the owner wants that."""
    raw = [{"start": a.isoformat(), "end": b.isoformat(), "value": round(100 * p, 3)} for a, b, p in hours]
    half = len(raw) // 2
    return {"raw_today": raw[:half], "raw_tomorrow": raw[half:], "unit_of_measurement": "Øre/kWh"}


def nord_pool_action(hours):
    """Home Assistant's own integration tells UTC, per MWh, and each day in an answer of its own."""
    area = [
        {"start": a.astimezone(UTC).isoformat(), "end": b.astimezone(UTC).isoformat(), "price": 1000 * p}
        for a, b, p in hours
    ]
    return {"unit_of_measurement": "EUR/MWh", "prices": [{"NL": area}, {"NL": []}]}


def tibber_action(hours):
    """No ends."""
    home = [{"start_time": a.isoformat(timespec="milliseconds"), "price": p} for a, _, p in hours]
    half = len(home) // 2
    return {"unit_of_measurement": "EUR/kWh", "prices": [{"Home": home[:half]}, {"Home": home[half:]}]}


def energi_data(hours):
    """No ends; the cheapest hour stands beside the list."""
    raw = [{"hour": a.isoformat(), "price": p} for a, _, p in hours]
    return {"raw_today": raw, "raw_tomorrow": None, "today_min": raw[0], "unit_of_measurement": "DKK/kWh"}


def octopus(hours):
    """Pounds including VAT, the newest first."""
    rates = [
        {"start": a.isoformat(), "end": b.isoformat(), "value_inc_vat": p, "is_capped": False}
        for a, b, p in hours
    ]
    return [{"rates": rates[::-1]}]


@pytest.mark.parametrize(("day", "hours"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-06-01", 24)])
@pytest.mark.parametrize("step_min", [15, 30, 60])
@pytest.mark.parametrize("told", [nord_pool_entity, nord_pool_action, tibber_action, energi_data, octopus])
def test_each_form_is_whole_on_every_day_and_in_any_step(told, day, hours, step_min):
    begins = datetime.fromisoformat(day).replace(tzinfo=AMSTERDAM).astimezone(UTC)
    step = timedelta(minutes=step_min)
    times = [begins + n * step for n in range(hours * 60 // step_min)]
    price = {t: 0.01 * (n % 30) - 0.05 for n, t in enumerate(times)}
    shown = [(t.astimezone(AMSTERDAM), (t + step).astimezone(AMSTERDAM), price[t]) for t in times]
    slots = understood(told(shown), AMSTERDAM)
    assert [s.starts_at for s in slots] == times
    assert [s.ends_at for s in slots] == [t + step for t in times]
    assert [s.import_per_kwh for s in slots] == pytest.approx(list(price.values()))


def test_of_two_that_begin_together_the_later_holds_and_none_overlaps():
    rows = [(0, 120, 0.1), (60, 120, 0.2), (60, 120, 0.3)]
    slots = understood(
        [
            {"start": MIDNIGHT + timedelta(minutes=a), "end": MIDNIGHT + timedelta(minutes=b), "value": v}
            for a, b, v in rows
        ]
    )
    assert [(s.import_per_kwh, s.ends_at - s.starts_at) for s in slots] == [
        (0.1, timedelta(hours=1)),
        (0.3, timedelta(hours=1)),
    ]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"start": "yesterday", "value": 1}, r"prices\.raw_today\[1\]\.start"),
        ({"start": MIDNIGHT.isoformat(), "value": "dear"}, r"prices\.raw_today\[1\]\.value"),
        ({"start": MIDNIGHT.isoformat(), "value": float("nan")}, r"prices\.raw_today\[1\]\.value"),
        ({"start": MIDNIGHT.isoformat(), "value": True}, r"prices\.raw_today\[1\]\.value"),
        (
            {"start": MIDNIGHT.isoformat(), "end": MIDNIGHT.isoformat(), "value": 1},
            r"prices\.raw_today\[1\]\.end",
        ),
        ({"start": "9999-12-31T23:00:00Z", "value": 1}, r"prices\.raw_today\[1\]\.start"),
    ],
)
def test_a_bad_entry_is_named_by_its_place(entry, place):
    good = {"start": MIDNIGHT.isoformat(), "value": 0.2}
    with pytest.raises(Malformed, match=place):
        understood({"raw_today": [good, entry]})


@pytest.mark.parametrize("payload", [None, 3, "prices", [], {}, {"raw_today": []}, [[[[]]]]])
def test_what_has_no_list_of_prices_is_refused(payload):
    with pytest.raises(Malformed, match="no list"):
        understood(payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["start", "end", "value", "total", "startsAt", "HourUTC", "unit", "results", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(JSON)
def test_anything_at_all_is_understood_or_refused(payload):
    try:
        slots = understood(payload, AMSTERDAM)
    except Malformed:
        return
    assert all(s.starts_at < s.ends_at for s in slots)
    assert all(a.ends_at <= b.starts_at for a, b in pairwise(slots))


@given(
    st.lists(
        st.tuples(st.integers(0, 300), st.sampled_from([15, 30, 60, None]), st.floats(-1, 5)),
        min_size=1,
        max_size=40,
    )
)
def test_slots_are_in_order_and_apart_whatever_overlaps(rows):
    entries = [
        {"start": MIDNIGHT + timedelta(minutes=15 * at), "value": price}
        | ({"end": MIDNIGHT + timedelta(minutes=15 * at + length)} if length else {})
        for at, length, price in rows
    ]
    slots = understood(entries)
    assert {s.starts_at for s in slots} == {e["start"] for e in entries}
    assert all(a.ends_at <= b.starts_at for a, b in pairwise(slots))
