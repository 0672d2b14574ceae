"""The owner's own series: any step, any order, gaps filled and told; what is missing is said."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from gateway.faults import Malformed, Refused
from gateway.tariff_tables import TariffKind, TariffTable
from gateway.year import data
from gateway.year.tariff import TARIFFS, under

START = datetime(2024, 1, 1, tzinfo=UTC)


def written(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, r)) for r in rows)]), encoding="utf-8")
    return path


def hours(days, *values):
    return [((START + timedelta(hours=h)).isoformat(), *values) for h in range(24 * days)]


def test_hourly_prices_and_five_minute_loads_become_quarters(tmp_path):
    prices = written(tmp_path / "p.csv", "starts_at,spot_per_kwh", hours(1, 0.1))
    loads = [((START + timedelta(minutes=5 * i)).isoformat(), 300 * (i % 3)) for i in range(288)]
    found = data.read([prices, written(tmp_path / "l.csv", "starts_at,load_w", loads)])
    assert found.series["spot_per_kwh"] == pytest.approx(np.full(96, 0.1))
    assert found.series["load_w"] == pytest.approx(np.full(96, 300.0))
    assert found.gaps() == {"spot_per_kwh": 0, "load_w": 0}


def test_a_gap_is_counted_and_takes_the_day_before(tmp_path):
    rows = hours(10, 500, 0.2)
    del rows[30:33]
    found = data.read([written(tmp_path / "a.csv", "starts_at,load_w,spot_per_kwh", rows)])
    assert found.gaps() == {"load_w": 12, "spot_per_kwh": 12}
    record = data.record_of(found, ZoneInfo("UTC"))
    assert not np.isnan(record.load_w).any()
    assert record.steps == 3 * 96


def test_parquet_is_read_like_csv(tmp_path):
    parquet, arrow = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow")
    rows = {"starts_at": [START + timedelta(hours=h) for h in range(24)], "load_w": [400.0] * 24}
    parquet.write_table(arrow.table(rows), tmp_path / "a.parquet")
    assert data.read([tmp_path]).series["load_w"] == pytest.approx(np.full(96, 400.0))


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(Malformed, match="row 2"):
        data.read([written(tmp_path / "a.csv", "starts_at,load_w", [("yesterday", 1)])])
    with pytest.raises(Malformed, match="load_w"):
        data.read([written(tmp_path / "b.csv", "starts_at,load_w", [(START.isoformat(), "many")])])
    with pytest.raises(Refused, match="starts_at"):
        data.read([written(tmp_path / "c.csv", "when,what", [(1, 2)])])
    with pytest.raises(Refused, match="prices"):
        data.record_of(
            data.read([written(tmp_path / "d.csv", "starts_at,load_w", hours(10, 1))]), ZoneInfo("UTC")
        )


def test_a_tariff_makes_prices_of_the_markets(tmp_path):
    found = data.read([written(tmp_path / "a.csv", "starts_at,load_w,spot_per_kwh", hours(9, 500, 0.1))])
    market = data.record_of(found, ZoneInfo("Europe/Amsterdam"))
    dynamic = under(market, TARIFFS["dynamic"])
    assert dynamic.import_per_kwh == pytest.approx((0.1 + 0.1288) * 1.21)
    assert dynamic.export_per_kwh == pytest.approx(0.09)
    fixed = under(market, TariffTable(TariffKind.FIXED, import_per_kwh=0.3))
    assert set(fixed.import_per_kwh) == {0.3}
    night = under(market, TARIFFS["night"])
    assert {round(float(p), 3) for p in night.import_per_kwh} == {0.29, 0.085}
