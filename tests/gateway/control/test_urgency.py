"""What a car still needs before it leaves: told or from the owner's settings, counted down, and pressing in time."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.urgency import SLACK, Needs, follow
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EvseSample,
    EvseState,
    Interval,
    Need,
    OwnerSettings,
    Snapshot,
    VehicleSample,
    Wishes,
)

NOON = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
GARAGE = DeviceInfo("garage", DeviceKind.EVSE, "Garage", "evse", rated=Interval(-7400, 7400))


def site(*needs, power_w=0.0, soc_pct=50.0, settings=None, after_s=0.0, plugged=True, max_w=7000.0):
    at, utc = 100.0 + after_s, NOON + timedelta(seconds=after_s)
    car = VehicleSample(soc_pct=soc_pct, capacity_wh=36_000)
    sample = EvseSample(at, EvseState.READY, plugged, power_w, max_w, max_w, vehicle=car)
    owner = OwnerSettings(devices={"garage": settings} if settings else {})
    wishes = Wishes(owner, needs=needs)
    return Snapshot(at, utc, {"garage": GARAGE}, {}, {}, {"garage": sample}, wishes, {})


def need(energy_wh=14_000.0, hours=4.0):
    return Need("garage", energy_wh, NOON + timedelta(hours=hours))


def test_a_need_waits_while_there_is_time_and_presses_when_there_is_none():
    waiting = follow(Needs(), site(need(hours=4)), "UTC").urgencies["garage"]
    assert (waiting.must_w, waiting.need_wh) == (0.0, 14_000.0)
    assert waiting.rank == pytest.approx(2 / (4 - SLACK / timedelta(hours=1)))
    pressing = follow(Needs(), site(need(hours=2)), "UTC").urgencies["garage"]
    assert (pressing.must_w, pressing.rank) == (7000.0, 1.0)


def test_what_was_taken_is_counted_and_a_met_need_stays_met():
    wanted = need(energy_wh=100.0)
    needs = follow(Needs(), site(wanted, power_w=6000.0), "UTC")
    for second in range(1, 60):
        needs = follow(needs, site(wanted, power_w=6000.0, after_s=second), "UTC")
    assert needs.urgencies["garage"].need_wh == pytest.approx(100 - 6000 * 59 / 3600)
    needs = follow(needs, site(wanted, power_w=6000.0, after_s=62), "UTC")
    assert (needs.urgencies["garage"].need_wh, needs.urgencies["garage"].must_w) == (0.0, 0.0)


def test_energy_that_was_given_away_is_needed_again():
    wanted = need(energy_wh=5000.0)
    needs = follow(Needs(), site(wanted, power_w=-3600.0), "UTC")
    needs = follow(needs, site(wanted, power_w=-3600.0, after_s=10), "UTC")
    assert needs.urgencies["garage"].need_wh == pytest.approx(5010.0)


def test_another_need_starts_anew():
    needs = follow(Needs(), site(need(), power_w=6000.0), "UTC")
    needs = follow(needs, site(need(), power_w=6000.0, after_s=10), "UTC")
    needs = follow(needs, site(need(energy_wh=9000.0), power_w=6000.0, after_s=11), "UTC")
    assert needs.urgencies["garage"].need_wh == 9000.0


def test_a_need_is_over_when_its_car_has_left_or_should_have():
    assert follow(Needs(), site(need(), plugged=False), "UTC").urgencies == {}
    assert follow(Needs(), site(need(hours=-1)), "UTC") == Needs()


def test_a_pressing_need_does_not_flutter():
    wanted = need(energy_wh=14_000.0, hours=2)
    needs = follow(Needs(), site(wanted), "UTC")
    needs = follow(needs, site(wanted, after_s=1, max_w=8000.0), "UTC")
    assert 0.9 < needs.urgencies["garage"].rank < 1.0
    assert needs.urgencies["garage"].must_w == 8000.0
    needs = follow(needs, site(wanted, after_s=2, max_w=9500.0), "UTC")
    assert needs.urgencies["garage"].must_w == 0.0


@pytest.mark.parametrize(
    ("departure", "expected"),
    [
        (time(13, 30), datetime(2026, 11, 25, 12, 30, tzinfo=UTC)),
        (time(12, 30), datetime(2026, 11, 26, 11, 30, tzinfo=UTC)),
    ],
)
def test_the_owners_departure_is_on_his_own_clock(departure, expected):
    settings = DeviceSettings(target_soc_pct=80.0, departure=departure)
    urgency = follow(Needs(), site(settings=settings), "Europe/Amsterdam").urgencies["garage"]
    assert urgency.departs_at == expected
    assert urgency.need_wh == pytest.approx(0.3 * 36_000 / 0.9)


def test_who_has_no_departure_or_an_unknown_charge_needs_nothing():
    assert follow(Needs(), site(), "UTC").urgencies == {}
    settings = DeviceSettings(departure=time(15))
    assert follow(Needs(), site(settings=settings, soc_pct=None), "UTC").urgencies == {}
    assert follow(Needs(), site(settings=settings, soc_pct=90.0), "UTC").urgencies == {}


@given(st.floats(0, 1e5), st.floats(-10, 60), st.floats(0, 2e4), st.floats(0, 22_000))
def test_rank_is_a_share_and_nothing_must_flow_that_cannot(energy_wh, hours, power_w, max_w):
    snapshot = replace(site(need(energy_wh, hours), power_w=power_w, max_w=max_w))
    for urgency in follow(Needs(), snapshot, "UTC").urgencies.values():
        assert 0.0 <= urgency.rank <= 1.0
        assert urgency.must_w in (0.0, max_w or GARAGE.rated.max_w)
        assert (urgency.must_w > 0) == (urgency.rank >= 1.0)
