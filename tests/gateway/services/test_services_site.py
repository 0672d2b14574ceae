"""The site as the services know it: wishes on disk first, requests that end by themselves, limits that hold now."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.config import PricesTable, parse
from gateway.faults import FaultCode, Malformed, Refused
from gateway.link import MAX_BACKLOG_BYTES, Order, Report, encode
from gateway.model import (
    BackupPhase,
    BackupStatus,
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    GridWindow,
    Need,
    OwnerSettings,
    Plan,
    PlanSlot,
    PriceSlot,
    Request,
    RequestMode,
    ReserveProduct,
    ReserveWindow,
    ToldSlot,
    VehicleSample,
    WindowKind,
    Wishes,
)
from gateway.services.fault_board import FaultBoard
from gateway.services.forecasts import Forecasts
from gateway.services.prices import Prices
from gateway.services.site import ServicesSite
from gateway.services.store import OwnerStore
from gateway.state import SiteState

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
CONFIG = parse(
    {
        "site": {"name": "House", "serial": "NE-1", "time_zone": "Europe/Amsterdam"},
        "grid": {"main_fuse_a": 25.0, "import_limit_w": 9000.0},
        "devices": {},
    }
)


class Past:
    def __init__(self):
        self.recorded = []

    def record(self, snapshot):
        self.recorded.append(snapshot)

    def last_trips(self):
        return {}

    def totals(self):
        return {}

    def decisions(self, device, limit):
        return []

    def history(self, device, start, end, limit):
        return []


class Calls:
    def __init__(self, *windows):
        self.held = windows
        self.market = None

    def windows(self, utc):
        return self.held

    def events(self, utc):
        return ()

    def utilities(self):
        return ()

    def allow_market(self, allowed):
        self.market = allowed


@pytest.fixture
def store(tmp_path):
    return OwnerStore(tmp_path / "owner.json")


def build(store, calls=None):
    forecasts = Forecasts(store._path.with_name("forecasts.json"), lambda: NOW)
    return ServicesSite(
        CONFIG,
        store,
        Prices(None),
        forecasts,
        Past(),
        calls,
        FaultBoard(lambda: NOW),
        lambda: NOW,
        lambda: 50.0,
    )


def report(soc_pct):
    state = SiteState([DeviceInfo("garage", DeviceKind.EVSE, "L", "e")], lambda: NOW)
    vehicle = VehicleSample(soc_pct, 36_000.0)
    state.put("garage", EvseSample(49.0, EvseState.READY, True, 0.0, 6000.0, 6000.0, vehicle=vehicle))
    return Report(state.snapshot(50.0))


async def test_a_wish_is_on_disk_and_on_its_way_before_it_is_answered(store):
    site = build(store)
    await site.set_owner(OwnerSettings(control_on=True))
    assert site.wanted.is_set()
    assert site.wishes().owner.control_on
    assert OwnerStore(store._path).kept.owner.control_on


async def test_a_wish_that_the_disk_refuses_does_not_hold(store, tmp_path):
    site = build(store)
    store._path = tmp_path / "gone" / "owner.json"
    with pytest.raises(Refused):
        await site.set_owner(OwnerSettings(control_on=True))
    assert not site.view().owner.control_on


async def test_a_file_that_cannot_be_read_is_set_aside_and_the_site_observes(tmp_path):
    path = tmp_path / "owner.json"
    path.write_text('{"owner": {"control_on": "yes"}}')
    assert not OwnerStore(path).kept.owner.control_on
    assert path.with_suffix(".unreadable").exists()


async def test_sold_reserve_and_needs_survive_a_restart_and_go_down_until_they_are_over(store):
    site = build(store)
    sold = ReserveWindow("w1", ReserveProduct.FCR, 3000.0, NOW, NOW + HOUR)
    await site.add_reserve(ReserveWindow("w0", ReserveProduct.FCR, 3000.0, NOW - 2 * HOUR, NOW - HOUR))
    await site.add_reserve(sold)
    await site.set_need(Need("garage", 9000.0, NOW - HOUR))
    await site.set_need(Need("garage", 5000.0, NOW + HOUR))
    again = build(OwnerStore(store._path))
    assert again.wishes().reserves == again.view().reserves == (sold,)
    assert again.wishes().needs == again.view().needs == (Need("garage", 5000.0, NOW + HOUR),)
    await again.remove_reserve("w1")
    await again.clear_need("garage")
    assert (again.wishes().reserves, again.wishes().needs) == ((), ())


async def test_a_boost_ends_when_its_soc_is_reached(store):
    site = build(store)
    await site.add_request(Request("r", "garage", RequestMode.BOOST, NOW + HOUR, until_soc_pct=80.0))
    site.take(report(79.0))
    assert site.view().requests
    site.take(report(80.0))
    assert not site.view().requests


@pytest.mark.parametrize("phase", BackupPhase)
async def test_without_a_grid_no_market_call_is_taken_whatever_the_owner_allows(store, phase):
    calls = Calls()
    site, heard = build(store, calls), report(50.0)
    control = replace(heard.snapshot.control, backup=BackupStatus(phase))
    site.take(Report(replace(heard.snapshot, control=control)))
    assert calls.market == (phase is BackupPhase.GRID)
    await site.set_owner(OwnerSettings(control_on=True))
    assert calls.market == (phase is BackupPhase.GRID)


async def test_the_owners_stop_holds_although_the_disk_is_full(store, tmp_path):
    site = build(store)
    store._path = tmp_path / "gone" / "owner.json"
    await site.stop(True)
    assert site.wishes().owner.stopped
    assert site.wanted.is_set()
    with pytest.raises(Refused):
        await site.stop(False)
    assert site.wishes().owner.stopped


async def test_a_boost_that_ended_stays_ended_although_the_disk_is_full(store, tmp_path):
    site = build(store)
    await site.add_request(Request("r", "garage", RequestMode.BOOST, NOW + HOUR, until_soc_pct=80.0))
    store._path = tmp_path / "gone" / "owner.json"
    site.take(report(80.0))
    assert not site.wishes().requests


async def test_one_request_per_device_and_none_after_its_time(store):
    site = build(store)
    await site.add_request(Request("a", "garage", RequestMode.CHARGE, NOW + HOUR))
    await site.add_request(Request("b", "garage", RequestMode.PAUSE, NOW + HOUR))
    assert [r.id for r in site.wishes().requests] == ["b"]
    await site.add_request(Request("c", "garage", RequestMode.PAUSE, NOW - HOUR))
    assert not site.wishes().requests


async def test_the_limit_shown_is_the_one_that_holds(store):
    window = GridWindow(WindowKind.IMPORT_LIMIT, 3000.0, NOW - HOUR, NOW + HOUR, "e", "u")
    site = build(store, Calls(window, replace(window, value=1000.0, starts_at=NOW + HOUR)))
    assert site.view().limits.import_limit_w == 3000.0
    assert len(site.wishes().windows) == 2


async def test_opting_out_of_markets_reaches_the_utilitys_room(store):
    calls = Calls()
    site = build(store, calls)
    assert calls.market is True
    await site.set_owner(OwnerSettings(grid_events_allowed=False))
    assert calls.market is False


async def test_a_silent_fast_path_is_told(store):
    site = build(store)
    assert not site.view().fast_path_alive
    site.take(report(50.0))
    assert site.view().fast_path_alive


async def test_faults_of_the_services_are_shown_until_cleared(store):
    site = build(store)
    site._faults.fault(FaultCode.JOURNAL_UNWRITABLE, "disk full")
    assert [f.detail for f in site.view().faults] == ["disk full"]
    site._faults.clear(FaultCode.JOURNAL_UNWRITABLE)
    assert not site.view().faults


async def test_restarted_services_keep_the_plan_that_the_fast_path_still_follows(store):
    site = build(store)
    followed = Plan("p", NOW, NOW + HOUR, "test", ())
    heard = report(50.0)
    site.take(Report(replace(heard.snapshot, wishes=Wishes(plan=followed))))
    assert site.wishes().plan == followed
    site.replan(None)
    assert site.wishes().plan is None
    site.take(Report(replace(heard.snapshot, wishes=Wishes(plan=followed))))
    assert site.wishes().plan is None


async def test_of_very_many_windows_the_soonest_are_sent(store):
    first = GridWindow(WindowKind.IMPORT_LIMIT, 3000.0, NOW, NOW + HOUR, "e", "u")
    many = [replace(first, starts_at=NOW + i * HOUR, ends_at=NOW + (i + 1) * HOUR) for i in range(50_000)]
    sent = build(store, Calls(*reversed(many))).wishes()
    assert sent.windows[0] == first
    assert len(encode(Order(sent))) < MAX_BACKLOG_BYTES


def test_a_utilitys_prices_stand_over_the_files_and_a_clients_over_both(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text(
        "starts_at,import_per_kwh,export_per_kwh\n"
        + "".join(f"2026-11-24T{h}:00:00Z,0.3,0.1\n" for h in (12, 13, 14))
    )
    noon, hour = datetime(2026, 11, 24, 12, tzinfo=UTC), timedelta(hours=1)
    called = [PriceSlot(noon, noon + 2 * hour, 0.2, 0.0)]
    prices = Prices(PricesTable(file), (PriceSlot(noon, noon + hour, 0.1, 0.0),), lambda: tuple(called))
    prices.refresh()
    assert [s.import_per_kwh for s in prices.slots] == [0.1, 0.2, 0.3]
    prices.hand_in(())
    assert [s.import_per_kwh for s in prices.slots] == [0.2, 0.3]
    called.clear()
    prices.refresh()
    assert [s.import_per_kwh for s in prices.slots] == [0.3, 0.3, 0.3]


async def test_prices_that_turn_bad_leave_the_old_ones(tmp_path):
    file = tmp_path / "prices.csv"
    file.write_text("starts_at,import_per_kwh,export_per_kwh\n2026-11-24T12:00:00Z,0.3,0.1\n")
    prices = Prices(PricesTable(file))
    prices.refresh()
    prices.refresh()
    assert prices.version == 1
    file.write_text("rubbish\n1\n")
    import os

    os.utime(file, (1, 1))
    prices.refresh()
    assert prices.version == 1
    assert len(prices.slots) == 1


async def test_prices_that_are_handed_in_are_known_at_once_and_after_a_restart(store):
    site = build(store)
    told = [PriceSlot(NOW + h * HOUR, NOW + (h + 1) * HOUR, 0.1 * h, 0.05) for h in range(4)]
    assert await site.hand_in_prices(told, None) == 4
    assert site.view().prices == tuple(told)
    again = [replace(p, import_per_kwh=9.0) for p in told[1:2]]
    await site.hand_in_prices(again, None)
    assert [p.import_per_kwh for p in site.view().prices] == [0.0, 9.0, 0.2, pytest.approx(0.3)]
    assert Forecasts(store._path.with_name("forecasts.json"), lambda: NOW).told.prices == site.view().prices


async def test_a_list_of_a_provider_is_understood_and_rubbish_is_refused(store):
    site = build(store)
    lists = {
        "raw_today": [
            {"start": "2026-11-24T12:00:00+00:00", "end": "2026-11-24T13:00:00+00:00", "value": 0.21}
        ]
    }
    assert await site.hand_in_prices((), lists) == 1
    assert site.view().prices[0].import_per_kwh == pytest.approx(0.21)
    with pytest.raises(Malformed):
        await site.hand_in_prices((), {"raw_today": [{"start": "soon", "value": 0.21}]})


async def test_a_forecast_replaces_what_was_told_from_its_start_on(store):
    site = build(store)
    told = [ToldSlot(NOW + h * HOUR, NOW + (h + 1) * HOUR, 100.0 * h) for h in range(4)]
    await site.hand_in("solar", told)
    await site.hand_in("solar", [replace(told[2], value=7.0)])
    assert [s.value for s in site._forecasts.told.solar] == [0.0, 100.0, 7.0]


def test_of_the_sun_that_came_stays_what_was_told_before_and_clients_see_what_is_to_come(tmp_path):
    now = NOW
    kept = Forecasts(tmp_path / "forecasts.json", lambda: now)
    told = [ToldSlot(NOW + h * HOUR, NOW + (h + 1) * HOUR, 100.0 * h) for h in range(4)]
    kept.put("solar", [ToldSlot(NOW - HOUR, NOW, 9.0), *told])
    now = NOW + 2 * HOUR
    kept.put("solar", [replace(s, value=7.0) for s in told])
    assert [s.value for s in kept.told.solar] == [0.0, 100.0, 7.0, 7.0]
    kept.put("solar", ())
    assert [s.value for s in Forecasts(tmp_path / "forecasts.json", lambda: now).told.solar] == [0.0, 100.0]
    now = NOW + timedelta(days=29)
    kept.put("solar", [ToldSlot(now, now + HOUR, 1.0)])
    assert [s.value for s in kept.told.solar] == [1.0]


async def test_the_link_carries_only_the_part_of_a_plan_that_is_trusted(store):
    site = build(store)
    slots = tuple(
        PlanSlot(NOW + n * HOUR, NOW + (n + 1) * HOUR, 0.0, {"garage": 0.0}, {"garage": "self_use"})
        for n in range(48)
    )
    site.replan(Plan("p", NOW, NOW + 2 * HOUR, "test", slots))
    assert len(site.view().plan.slots) == 48
    assert len(site.wishes().plan.slots) == 2


async def test_a_plan_that_the_owner_does_not_follow_is_shown_and_stays_here(store):
    site = build(store)
    site._config = replace(CONFIG, planning=replace(CONFIG.planning, followed=False))
    slot = PlanSlot(NOW, NOW + HOUR, 0.0, {"garage": 0.0}, {"garage": "self_use"})
    site.replan(Plan("p", NOW, NOW + 2 * HOUR, "test", (slot,)))
    assert site.view().plan.slots
    assert site.wishes().plan is None
