"""What a kWh costs by the owner's tariff, right to the quarter hour on the days on which the clocks change."""

from datetime import UTC, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.config import parse
from gateway.decoding import decode
from gateway.faults import ConfigError
from gateway.model import PriceSlot
from gateway.planning.charges import demand, tiers
from gateway.planning.problem import Horizon, Tier
from gateway.planning.tariffs import priced
from gateway.tariff_tables import TariffTable

AMSTERDAM = ZoneInfo("Europe/Amsterdam")
NIGHT = {"begins": time(23), "ends": time(7), "import_per_kwh": 0.15}
SPRING, AUTUMN, USUAL = datetime(2026, 3, 29), datetime(2026, 10, 25), datetime(2026, 6, 1)


def tariff(**table):
    return decode(TariffTable, table, "tariff")


def local_day(day):
    return tuple(d.replace(tzinfo=AMSTERDAM).astimezone(UTC) for d in (day, day + timedelta(days=1)))


def hours_at(slots, price):
    return sum((s.ends_at - s.starts_at) / timedelta(hours=1) for s in slots if s.import_per_kwh == price)


def test_a_fixed_price_is_one_slot_for_as_long_as_asked():
    (slot,) = priced(
        tariff(kind="fixed", import_per_kwh=0.3, export_per_kwh=0.1), (), *local_day(USUAL), AMSTERDAM
    )
    assert (slot.starts_at, slot.ends_at) == local_day(USUAL)
    assert (slot.import_per_kwh, slot.export_per_kwh) == (0.3, 0.1)


@pytest.mark.parametrize(("day", "cheap_hours"), [(USUAL, 8), (SPRING, 7), (AUTUMN, 9)])
def test_a_night_window_keeps_to_the_clock_on_the_wall(day, cheap_hours):
    slots = priced(
        tariff(kind="time_of_use", import_per_kwh=0.3, windows=[NIGHT]), (), *local_day(day), AMSTERDAM
    )
    assert hours_at(slots, 0.15) == cheap_hours
    assert hours_at(slots, 0.3) == 16
    assert [s.starts_at.astimezone(AMSTERDAM).hour for s in slots] == [0, 7, 23]


def test_a_window_past_midnight_is_of_the_day_on_which_it_begins():
    friday_night = NIGHT | {"days": ["fri"]}
    week = priced(
        tariff(kind="time_of_use", import_per_kwh=0.3, windows=[friday_night]),
        (),
        datetime(2026, 6, 1, tzinfo=UTC),
        datetime(2026, 6, 8, tzinfo=UTC),
        AMSTERDAM,
    )
    (cheap,) = [s for s in week if s.import_per_kwh == 0.15]
    assert cheap.starts_at.astimezone(AMSTERDAM) == datetime(2026, 6, 5, 23, tzinfo=AMSTERDAM)
    assert cheap.ends_at.astimezone(AMSTERDAM) == datetime(2026, 6, 6, 7, tzinfo=AMSTERDAM)


def test_the_first_window_that_fits_holds_and_may_have_its_own_export_price():
    both = [NIGHT | {"export_per_kwh": 0.02, "months": [6]}, NIGHT | {"import_per_kwh": 0.2}]
    table = tariff(kind="time_of_use", import_per_kwh=0.3, export_per_kwh=0.1, windows=both)
    first = [priced(table, (), *local_day(d), AMSTERDAM)[0] for d in (USUAL, SPRING)]
    assert [(s.import_per_kwh, s.export_per_kwh) for s in first] == [(0.15, 0.02), (0.2, 0.1)]


def test_a_dynamic_tariff_marks_up_the_spot_price_and_knows_no_more_than_it():
    starts_at, ends_at = local_day(USUAL)
    spot = [PriceSlot(starts_at, starts_at + timedelta(hours=1), 0.1, 0.0)]
    table = tariff(
        kind="dynamic", vat_pct=21.0, taxed_markup_per_kwh=0.1, markup_per_kwh=0.02, export_fee_per_kwh=0.01
    )
    (slot,) = priced(table, spot, starts_at, ends_at, AMSTERDAM)
    assert slot.import_per_kwh == pytest.approx(0.2 * 1.21 + 0.02)
    assert slot.export_per_kwh == pytest.approx(0.09)
    (paid,) = priced(tariff(kind="dynamic", export_per_kwh=0.05), spot, starts_at, ends_at, AMSTERDAM)
    assert (paid.import_per_kwh, paid.export_per_kwh) == (0.1, 0.05)
    assert priced(None, spot, starts_at, ends_at, AMSTERDAM) == tuple(spot)


@given(
    st.datetimes(datetime(2026, 3, 20), datetime(2026, 11, 1)).map(lambda t: t.replace(tzinfo=UTC)),
    st.integers(1, 4000),
    st.integers(0, 95),
    st.integers(0, 95),
)
def test_slots_cover_the_time_asked_for_without_a_gap(starts_at, minutes, begins, ends):
    window = {
        "begins": time(begins // 4, begins % 4 * 15),
        "ends": time(ends // 4, ends % 4 * 15),
        "import_per_kwh": 0.1,
    }
    ends_at = starts_at + timedelta(minutes=minutes)
    slots = priced(
        tariff(kind="time_of_use", import_per_kwh=0.3, windows=[window]), (), starts_at, ends_at, AMSTERDAM
    )
    assert (slots[0].starts_at, slots[-1].ends_at) == (starts_at, ends_at)
    assert all(a.ends_at == b.starts_at and a.import_per_kwh != b.import_per_kwh for a, b in pairwise(slots))


@pytest.mark.parametrize(
    ("table", "where"),
    [
        ({"kind": "fixed"}, "tariff.import_per_kwh: missing"),
        ({"kind": "dynamic", "import_per_kwh": 0.3}, "tariff.import_per_kwh: a dynamic"),
        ({"kind": "time_of_use", "import_per_kwh": 0.3}, "tariff.windows"),
        ({"kind": "fixed", "import_per_kwh": float("nan")}, "tariff.import_per_kwh"),
        ({"kind": "fixed", "import_per_kwh": 0.3, "demand_interval_min": 20.0}, "tariff.demand_interval_min"),
        (
            {"kind": "time_of_use", "import_per_kwh": 0.3, "windows": [NIGHT | {"ends": time(7, 10)}]},
            r"tariff.windows\[0\].ends",
        ),
        (
            {"kind": "time_of_use", "import_per_kwh": 0.3, "windows": [NIGHT | {"months": [13]}]},
            r"tariff.windows\[0\].months",
        ),
        (
            {
                "kind": "fixed",
                "import_per_kwh": 0.3,
                "tiers": [
                    {"from_kwh": 300.0, "extra_per_kwh": 0.1},
                    {"from_kwh": 100.0, "extra_per_kwh": 0.2},
                ],
            },
            r"tariff.tiers\[1\]",
        ),
    ],
)
def test_an_impossible_tariff_is_one_line_that_says_where(table, where):
    with pytest.raises(ConfigError, match=where):
        decode(TariffTable, table, "tariff")


def test_a_site_has_a_tariff_only_where_it_says_so():
    site = {
        "site": {"name": "x", "serial": "1", "time_zone": "UTC"},
        "grid": {"main_fuse_a": 25},
        "devices": {},
    }
    assert parse(site).tariff is None
    assert parse(site | {"tariff": {"kind": "fixed", "import_per_kwh": 0.3}}).tariff == tariff(
        kind="fixed", import_per_kwh=0.3
    )


def test_a_demand_charge_counts_the_steps_that_are_still_of_this_month():
    table = tariff(kind="fixed", import_per_kwh=0.3, demand_per_kw=5.0, demand_interval_min=30.0)
    horizon = Horizon(datetime(2026, 6, 30, 12, tzinfo=UTC), np.full(192, 0.25))
    charge = demand(table, horizon, AMSTERDAM, 3000.0)
    assert (charge.per_kw, charge.peak_so_far_w, charge.interval_steps, charge.until_step) == (
        5.0,
        3000.0,
        2,
        40,
    )
    early = Horizon(datetime(2026, 6, 3, tzinfo=UTC), np.full(192, 0.25))
    assert demand(table, early, AMSTERDAM, 0.0).until_step is None
    assert demand(tariff(kind="fixed", import_per_kwh=0.3), early, AMSTERDAM, 0.0) is None


def test_tiers_are_as_far_away_as_the_month_has_left_of_them():
    table = tariff(
        kind="fixed",
        import_per_kwh=0.3,
        tiers=[{"from_kwh": 100.0, "extra_per_kwh": 0.1}, {"from_kwh": 300.0, "extra_per_kwh": 0.2}],
    )
    assert tiers(table, 50_000.0) == (Tier(50_000.0, 0.1), Tier(250_000.0, 0.2))
    assert tiers(table, 200_000.0) == (Tier(0.0, 0.1), Tier(100_000.0, 0.2))
    assert tiers(table, 400_000.0) == (Tier(0.0, 0.2),)
    assert tiers(None, 0.0) == ()
