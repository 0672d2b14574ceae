import csv
import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from gateway.simulator.recorded_days import SEASONS, price_table

ZONE = ZoneInfo("Europe/Amsterdam")


def rows(season: str, now: datetime) -> list[tuple[datetime, float, float]]:
    table = csv.DictReader(io.StringIO(price_table(season, now)))
    return [
        (datetime.fromisoformat(r["starts_at"]), float(r["import_per_kwh"]), float(r["export_per_kwh"]))
        for r in table
    ]


@pytest.mark.parametrize(
    ("now", "hours"),
    [
        (datetime(2026, 6, 10, 12, tzinfo=ZONE), 96),
        (datetime(2026, 10, 24, 12, tzinfo=ZONE), 97),  # clocks go back on the 25th
        (datetime(2026, 3, 28, 23, 59, tzinfo=ZONE), 95),
    ],
)
def test_prices_cover_four_local_days_without_a_gap(now, hours):
    table = rows("spring", now)
    assert len(table) == hours
    yesterday = now.replace(hour=0, minute=0) - timedelta(days=1)
    assert table[0][0] == yesterday.astimezone(UTC)
    assert all(b[0] - a[0] == timedelta(hours=1) for a, b in pairwise(table))


@pytest.mark.parametrize("season", SEASONS)
def test_feeding_in_never_pays_more_than_drawing_costs(season):
    assert all(drawn > fed for _, drawn, fed in rows(season, datetime(2026, 6, 10, tzinfo=ZONE)))
