import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.demand_response.openadr3.objects import (
    Event,
    Problem,
    Program,
    Report,
    decode,
    number,
    parse_event,
    parse_program,
    parse_report,
)
from gateway.demand_response.openadr3.times import FOREVER, NOW, parse_duration, parse_instant
from gateway.faults import Malformed

KEYS = st.sampled_from(
    ["programID", "programName", "eventID", "clientName", "resources", "resourceName", "intervals", "intervalPeriod", "start",
     "duration", "randomizeStart", "payloads", "type", "values", "id", "priority", "targets", "payloadDescriptors",
     "reportDescriptors", "payloadType", "units", "eventName"]
)  # fmt: skip
TEXTS = st.sampled_from(
    ["p", "0001-01-01", "2026-11-24T12:00:00Z", "2026-02-30T12:00:00Z", "9999-12-31T23:59:59-12:00", "P9999Y", "PT1H", "-PT1H", "P999999999Y",
     "SIMPLE", "IMPORT_CAPACITY_LIMIT", "KW", "\ud800"]
) | st.text(max_size=200)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=3), inner, max_size=8)
    ),
    max_leaves=40,
)


@given(JSON)
def test_any_json_becomes_an_object_or_a_problem_that_says_why(raw: object) -> None:
    for parse in (parse_event, parse_program, parse_report):
        parsed = parse(raw)
        assert parsed.reason if isinstance(parsed, Problem) else isinstance(parsed, Event | Program | Report)


@given(st.binary(max_size=200))
def test_any_bytes_are_json_or_malformed(body: bytes) -> None:
    with suppress(Malformed):
        decode(body)


@pytest.mark.parametrize("body", ["NaN", "[Infinity]", "1e999", '{"a": -1e999}', "9" * 5000, "[" * 200_000])
def test_what_no_json_number_or_document_can_be_is_refused(body: str) -> None:
    with pytest.raises(Malformed):
        decode(body)


@pytest.mark.parametrize(
    "raw", [True, False, None, "3", float("nan"), float("inf"), -float("inf"), 10**400, [], {}]
)
def test_what_is_no_quantity_is_refused(raw: object) -> None:
    with pytest.raises(Malformed):
        number(raw, "value")


def test_explicit_nulls_count_as_absent() -> None:
    optional = (
        "eventName",
        "priority",
        "targets",
        "reportDescriptors",
        "payloadDescriptors",
        "intervalPeriod",
        "intervals",
        "duration",
    )
    assert parse_event({"programID": "p", **dict.fromkeys(optional)}) == Event("p")


def test_a_wrong_name_or_report_request_is_set_aside_with_a_note() -> None:
    parsed = parse_event(
        {
            "programID": "p",
            "eventName": 7,
            "reportDescriptors": [{"payloadType": "USAGE"}, {"payloadType": 1}],
        }
    )
    assert isinstance(parsed, Event)
    assert [r.payload_type for r in parsed.reports] == ["USAGE"]
    assert [note.split(":")[0] for note in parsed.notes] == ["eventName", "reportDescriptors[1].payloadType"]


def test_targets_are_read_in_both_dialects() -> None:
    for targets in (["house-7"], [{"type": "VEN_NAME", "values": ["house-7"]}]):
        parsed = parse_event({"programID": "p", "targets": targets})
        assert isinstance(parsed, Event)
        assert parsed.targets == ("house-7",)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"programID": None}, "programID"),
        ({"programID": "../x"}, "programID"),
        ({"priority": -1}, "priority"),
        ({"priority": True}, "priority"),
        ({"priority": 0.5}, "priority"),
        ({"intervals": {}}, "intervals"),
        ({"intervals": [None]}, "intervals[0]"),
        ({"intervals": [{"payloads": [{"type": "X", "values": 3}]}]}, "intervals[0].payloads[0].values"),
        ({"intervalPeriod": {"start": "2026-11-24T12:00:00"}}, "intervalPeriod.start"),
        ({"intervalPeriod": {"start": "2026-02-30T12:00:00Z"}}, "intervalPeriod.start"),
        ({"intervalPeriod": {"duration": "1h"}}, "intervalPeriod.duration"),
        ({"duration": "-PT1H"}, "duration"),
        ({"intervals": [{}] * 20_001}, "intervals"),
    ],
)
def test_a_problem_begins_with_its_place(change: dict[str, object], where: str) -> None:
    parsed = parse_event({"programID": "p", **change})
    assert isinstance(parsed, Problem)
    assert parsed.reason.split(": ")[0] == where


@pytest.mark.parametrize(
    "text",
    ["0001-01-01", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+01:00", "0000-01-01"],
)
def test_every_spelling_of_now_is_understood(text: str) -> None:
    assert parse_instant(text, "start") == NOW


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("PT90M", "2026-01-31T13:30:00Z"),
        ("P1D", "2026-02-01T12:00:00Z"),
        ("P2W", "2026-02-14T12:00:00Z"),
        ("P1M", "2026-02-28T12:00:00Z"),
        ("P1Y1M", "2027-02-28T12:00:00Z"),
        ("P1DT0.5S", "2026-02-01T12:00:00.5Z"),
    ],
)
def test_durations_follow_the_calendar(text: str, end: str) -> None:
    start = parse_instant("2026-01-31T12:00:00Z", "start")
    assert parse_duration(text, "duration").after(start) == parse_instant(end, "end")


@pytest.mark.parametrize("text", ["P9999Y", "P10000Y", "P999999999Y", "P999999999W", "PT999999999H"])
def test_what_is_longer_than_the_calendar_never_ends(text: str) -> None:
    for start in (NOW, parse_instant("2026-11-24T12:00:00Z", "start"), FOREVER):
        assert parse_duration(text, "duration").after(start) == FOREVER


@given(st.text(max_size=80) | TEXTS)
def test_any_text_is_an_instant_and_a_duration_or_malformed(text: str) -> None:
    with suppress(Malformed):
        assert NOW <= parse_instant(text, "there") <= FOREVER
    with suppress(Malformed):
        assert parse_duration(text, "there").after(FOREVER) == FOREVER


def test_a_megabyte_of_intervals_is_read() -> None:
    intervals = [{"id": n, "payloads": [{"type": "SIMPLE", "values": [n % 4]}]} for n in range(10_000)]
    parsed = parse_event(decode(json.dumps({"programID": "p", "intervals": intervals})))
    assert isinstance(parsed, Event)
    assert len(parsed.intervals) == 10_000
