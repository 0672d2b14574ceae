"""A price file: ordered, validated, and honest about gaps."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.faults import Malformed, Unreachable
from gateway.planning.prices import parse_prices, read_prices

START = datetime(2026, 10, 25, 0, 0, tzinfo=UTC)


def row(at, bought="0.2", sold="0.1"):
    return {
        "starts_at": at.isoformat() if isinstance(at, datetime) else at,
        "import_per_kwh": bought,
        "export_per_kwh": sold,
    }


def test_quarters_and_hours_mix_and_a_gap_stays_a_gap():
    times = [START, START + timedelta(minutes=15), START + timedelta(hours=5)]
    slots = parse_prices([row(t) for t in reversed(times)])
    assert [s.ends_at - s.starts_at for s in slots] == [
        timedelta(minutes=15),
        timedelta(minutes=15),
        timedelta(hours=1),
    ]
    assert slots[1].ends_at < slots[2].starts_at


@pytest.mark.parametrize(
    "bad", [row("2026-01-01T00:00:00"), row(START, "nan"), row(START, "cheap"), {"starts_at": "x"}]
)
def test_a_bad_row_is_named_by_its_line(bad):
    with pytest.raises(Malformed, match="line 3"):
        parse_prices([row(START), bad])


def test_a_missing_file_is_unreachable(tmp_path):
    with pytest.raises(Unreachable):
        read_prices(tmp_path / "prices.csv")


def test_a_year_beyond_the_calendar_is_malformed():
    with pytest.raises(Malformed):
        parse_prices([row("9999-12-31T23:30:00+00:00")])


def test_a_table_without_rows_has_no_prices():
    assert parse_prices([]) == ()
