"""What is known of a site becomes its problem; what is missing is assumed and said."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.config import Cell, CircuitTable, PlanningTable
from gateway.model import (
    GridWindow,
    Need,
    OwnerSettings,
    PriceSlot,
    Request,
    RequestMode,
    ReserveProduct,
    ReserveWindow,
    ToldSlot,
    ToldTrip,
    Trip,
    VehicleSample,
    WindowKind,
)
from gateway.planning.ageing import wear
from gateway.planning.problem import Wear
from gateway.planning.question import Past, Question
from gateway.planning.situation import situation
from gateway.planning.steps import horizon_of, mean, quarters_told, repeated
from gateway.tariff_tables import TariffKind, TariffTable
from tests.gateway.planning.site_stories import BATTERY, CAR, DAY, HOUR, NOW, OWNER, PRICES, asked


def problem(**parts):
    return situation(asked(**parts)).problem


def store(name, **parts):
    return next(s for s in problem(**parts).stores if s.id == name)


def test_steps_lie_on_the_clocks_quarters_and_the_first_one_is_what_is_left():
    horizon = problem().horizon
    assert horizon.hours[0] == pytest.approx(8 / 60)
    assert horizon.at(1) == NOW.replace(minute=15)
    assert horizon.steps == 192
    assert horizon_of(NOW.replace(minute=14, second=30), 15, 48).hours[0] == pytest.approx(15.5 / 60)


def test_a_question_goes_over_a_pipe_unchanged():
    question = asked(past=Past(DAY, (1.0, float("nan")), (0.0, 0.0)))
    told = msgspec.msgpack.decode(msgspec.msgpack.encode(question), type=Question)
    assert told.wishes == question.wishes
    assert situation(told).problem.stores[0].energy_wh == situation(question).problem.stores[0].energy_wh


def test_a_car_is_there_until_it_leaves_and_must_then_hold_its_target():
    car = store("garage")
    leaves = next(d for d in car.departures)
    assert situation(asked()).problem.horizon.at(leaves.step) == NOW.replace(day=21, hour=7, minute=30)
    assert leaves.energy_wh == pytest.approx(0.8 * 36_000)
    assert car.charge_max_w[leaves.step - 1] == 6000.0
    assert car.charge_max_w[leaves.step] == 0.0
    assert len(car.departures) == 2


def test_trips_that_were_driven_tell_how_long_the_car_stays_away_and_what_it_uses():
    driven = tuple(
        Trip(
            "garage", DAY - d * timedelta(days=1), 80.0, DAY - d * timedelta(days=1) + 9 * HOUR, 60.0, 7200.0
        )
        for d in range(1, 5)
    )
    car = store("garage", driven=driven)
    back = car.trips[0].step
    assert car.trips[0].energy_wh == 7200.0
    assert back - car.departures[0].step == 36
    assert car.charge_max_w[back] == 6000.0


def test_an_announced_journey_stands_in_place_of_the_daily_one_near_to_it():
    told = ToldTrip("garage", NOW.replace(day=21, hour=6), NOW.replace(day=21, hour=12), 9000.0, 95.0)
    car = store("garage", trips=(told,))
    assert [round(d.energy_wh) for d in car.departures] == [34_200, 28_800]
    assert car.trips[0].energy_wh == 9000.0
    assert car.ceiling_wh == pytest.approx(34_200)


def test_what_packs_tell_of_themselves_prices_their_wear_unless_the_owner_does():
    old = replace(CAR, vehicle=replace(CAR.vehicle, soh_pct=80.0))
    assert store("garage").wear == wear(Cell.NMC622, 36_000, 36 * 170)
    assert store("garage", car=old).wear.per_kwh < store("garage").wear.per_kwh
    assert store("battery").wear.resting
    assert store("battery", site_planning=PlanningTable(battery_wear_per_kwh=0.03)).wear == Wear(0.03)


def test_a_told_need_is_for_the_time_it_names():
    need = Need("garage", 10_000.0, NOW + 3 * HOUR)
    car = store("garage", wishes_needs=(need,), owner=OwnerSettings(True))
    assert car.departures[0].energy_wh == pytest.approx(0.45 * 36_000 + 9000)


def test_a_car_that_tells_nothing_is_planned_by_its_need_and_without_one_left_out():
    silent = replace(CAR, vehicle=VehicleSample())
    need = Need("garage", 10_000.0, NOW + 3 * HOUR)
    car = store("garage", car=silent, wishes_needs=(need,))
    assert (car.energy_wh, car.capacity_wh, float(car.discharge_max_w.max())) == (0.0, 9000.0, 0.0)
    known = situation(asked(car=silent))
    assert [s.id for s in known.problem.stores] == ["battery"]
    assert "soc_unknown" in known.notes


def test_a_car_without_a_departure_is_wanted_full_at_the_end():
    car = store("garage", owner=OwnerSettings(True))
    assert not car.departures
    assert car.end_wh == pytest.approx(0.8 * 36_000)
    assert car.end_shortfall_per_kwh == PlanningTable().public_charging_per_kwh


def test_who_may_not_discharge_does_not():
    owner = replace(OWNER, devices={"garage": replace(OWNER.devices["garage"], discharge_allowed=False)})
    assert store("garage", owner=owner).discharge_max_w.max() == 0.0
    stiff = replace(CAR, vehicle=VehicleSample(45.0, 36_000.0, discharge_compatible=False))
    assert store("garage", car=stiff).discharge_max_w.max() == 0.0


def test_a_device_on_the_owners_lease_is_not_planned():
    lease = Request("r", "battery", RequestMode.CHARGE, NOW + HOUR)
    assert [s.id for s in problem(wishes_requests=(lease,)).stores] == ["garage"]


def test_unplugged_silent_and_broken_devices_are_not_planned():
    assert [s.id for s in problem(car=replace(CAR, plugged=False), battery=None).stores] == []


def window(kind, value, begin, end):
    return GridWindow(kind, value, NOW + begin * HOUR, NOW + end * HOUR, "e", "u")


def test_the_utilitys_windows_are_caps_promises_and_a_ban_on_charging():
    windows = (
        window(WindowKind.IMPORT_LIMIT, 4200.0, 1, 2),
        window(WindowKind.EXPORT_LIMIT, 0.0, 1, 2),
        window(WindowKind.DISPATCH, -3000.0, 3, 4),
        window(WindowKind.SHED, 2.0, 5, 6),
    )
    posed = problem(wishes_windows=windows)
    assert set(posed.grid.import_cap_w[np.isfinite(posed.grid.import_cap_w)]) == {4200.0}
    assert np.isfinite(posed.grid.export_cap_w).sum() in (4, 5)
    assert np.nanmin(posed.grid.obliged_w) == -3000.0
    assert (posed.stores[0].charge_max_w == 0).sum() in (4, 5)


def test_sold_reserve_is_a_band_with_its_energy():
    sold = ReserveWindow("w", ReserveProduct.FCR, 2000.0, NOW + HOUR, NOW + 2 * HOUR, "", ("battery",))
    (band,) = problem(wishes_reserves=(sold,)).reserves
    assert (band.power_w.max(), band.hold_h, band.stores) == (2000.0, 0.5, ("battery",))


def test_while_a_blackout_is_expected_all_of_it_is_kept():
    stormy = replace(OWNER, storm_until=NOW + 2 * HOUR)
    kept = store("battery", owner=stormy).reserve_wh
    assert (kept[0], kept[-1]) == (10_000.0, 0.0)


def test_circuits_limit_their_devices():
    tables = {"out": CircuitTable(20.0, ("gar*",), phases=(1,)), "all": CircuitTable(25.0)}
    posed = problem(site_circuits=tables)
    assert {c.id: c.max_w[0] for c in posed.circuits} == {"out": 4600.0, "all": 17_250.0}
    assert next(s.circuit for s in posed.stores if s.id == "garage") == "out"


def test_unknown_prices_are_assumed_and_said():
    known = situation(asked(prices=()))
    assert "price_unknown" in known.notes
    assert np.isfinite(known.problem.grid.import_per_kwh).all()
    assert "price_guessed" in situation(asked(prices=PRICES[:40])).notes


def test_a_fixed_tariff_needs_no_prices():
    tariff = TariffTable(TariffKind.FIXED, 0.28, 0.07)
    known = situation(asked(prices=(), site_tariff=tariff))
    assert "price_unknown" not in known.notes
    assert known.problem.grid.import_per_kwh == pytest.approx(0.28)


def test_a_silent_meter_and_an_empty_history_are_said():
    assert {"no_meter", "no_history"} <= set(situation(asked(meter=None)).notes)


def test_what_the_quarter_under_way_has_shown_holds_for_its_rest():
    past = Past(NOW.replace(hour=15, minute=45), (400.0, 2600.0), ())
    assert problem(past=past).load_w.p50[0] == 2600.0
    assert problem(past=past).load_w.p50[8] < 2000.0
    assert problem(past=Past(past.starts_at, (400.0,), ())).load_w.p50[0] < 2000.0


def test_a_sun_that_is_told_is_believed_and_doubted_within_reason():
    noon = DAY + timedelta(days=1, hours=12)
    posed = problem(solar=(ToldSlot(noon, noon + HOUR, 4000.0, 1500.0, 5000.0),))
    step = round((noon - NOW.replace(minute=15)) / timedelta(minutes=15)) + 1
    assert (posed.pv_w.p10[step], posed.pv_w.p50[step], posed.pv_w.p90[step]) == (1500.0, 4000.0, 5000.0)
    assert posed.pv_w.p50[0] == 0.0


def test_a_sun_that_was_told_too_bright_for_weeks_is_believed_less_and_its_quantiles_with_it():
    begin, noon = DAY - 14 * timedelta(days=1), DAY + timedelta(days=1, hours=12)
    shines = [2000.0 if 40 <= n % 96 < 56 else 0.0 for n in range(14 * 96 + 64)]
    past = Past(begin, (400.0,) * len(shines), tuple(shines))
    told = tuple(
        ToldSlot(begin + n * HOUR, begin + (n + 1) * HOUR, 4000.0 if 10 <= n % 24 < 14 else 0.0)
        for n in range(16 * 24)
    )
    posed = problem(past=past, solar=told)
    step = round((noon - NOW.replace(minute=15)) / timedelta(minutes=15)) + 1
    assert 2000.0 < posed.pv_w.p50[step] < 2600.0
    assert posed.pv_w.p10[step] <= posed.pv_w.p50[step] <= posed.pv_w.p90[step]
    bands = tuple(replace(s, p10=0.5 * s.value, p90=1.2 * s.value) for s in told)
    wide = problem(past=past, solar=bands).pv_w
    assert wide.p10[step] == pytest.approx(0.5 * wide.p50[step])
    assert wide.p90[step] == pytest.approx(1.2 * wide.p50[step])
    right = tuple(replace(s, value=s.value / 2) for s in told)
    assert problem(past=past, solar=right).pv_w.p50[step] == pytest.approx(2000.0, rel=0.03)


def test_what_was_told_in_any_steps_becomes_quarters_with_its_gaps():
    told = [
        ToldSlot(NOW + HOUR, NOW + 2 * HOUR, 400.0),
        *(ToldSlot(DAY + n * HOUR / 12, DAY + (n + 1) * HOUR / 12, 100.0 * n) for n in range(3)),
    ]
    history = quarters_told(told)
    assert history.starts_at == DAY
    assert history.w[0] == pytest.approx(100.0)
    at = round((NOW.replace(minute=0) + HOUR - DAY) / timedelta(minutes=15))
    assert np.isnan(history.w[1:at]).all()
    assert list(history.w[at : at + 4]) == [400.0] * 4
    assert np.isnan(history.w[at + 4])


def test_both_days_on_which_the_clock_is_moved_are_posed():
    for utc in (datetime(2026, 3, 27, 20, tzinfo=UTC), datetime(2026, 10, 23, 20, tzinfo=UTC)):
        posed = problem(utc=utc, site_time_zone="Europe/Amsterdam")
        leaves = [posed.horizon.at(d.step) for s in posed.stores for d in s.departures]
        local = {"03": (6, 5), "10": (5, 6)}[f"{utc:%m}"]
        assert [at.hour for at in leaves] == list(local)


def test_gaps_repeat_the_day_before():
    horizon = horizon_of(DAY, 15, 48)
    first = [(DAY + n * HOUR, DAY + (n + 1) * HOUR, float(n)) for n in range(24)]
    assert list(repeated(horizon, mean(horizon, first))[96::4]) == [float(n) for n in range(24)]


@settings(deadline=None, max_examples=40)
@given(
    soc=st.one_of(st.none(), st.floats(-50, 200)),
    price=st.lists(st.floats(-5, 5), max_size=30),
    power=st.floats(0, 30_000),
    hours=st.integers(0, 47),
    need_wh=st.floats(1, 1e6),
)
def test_no_site_is_too_strange_to_be_posed(soc, price, power, hours, need_wh):
    car = replace(CAR, vehicle=VehicleSample(soc, 24_000.0), charge_max_w=power, discharge_max_w=power)
    prices = tuple(PriceSlot(NOW + n * HOUR, NOW + (n + 1) * HOUR, p, -p) for n, p in enumerate(price))
    needs = (Need("garage", need_wh, NOW + hours * HOUR + timedelta(minutes=1)),)
    posed = situation(
        asked(car=car, prices=prices, wishes_needs=needs, battery=replace(BATTERY, soc_pct=soc or 0.0))
    )
    for store in posed.problem.stores:
        assert np.isfinite(store.charge_max_w).all()
        assert all(0 < d.step < posed.problem.horizon.steps for d in store.departures)


def test_a_car_that_leaves_each_morning_is_expected_to_do_so_again():
    driven = tuple(
        Trip(
            "garage",
            DAY - d * timedelta(days=1) + 7 * HOUR,
            80.0,
            DAY - d * timedelta(days=1) + 16 * HOUR,
            60.0,
            7200.0,
        )
        for d in range(1, 40)
    )
    owner = replace(OWNER, devices={})
    car = store("garage", driven=driven, owner=owner)
    first = min(d.step for d in car.departures if d.probability >= 0.5)
    leaves = situation(asked(driven=driven, owner=owner)).problem.horizon.at(first)
    assert abs(leaves - (DAY + 31 * HOUR)) <= HOUR
    assert car.charge_max_w[first] == 0.0
    assert car.trips


def test_gaps_of_told_carbon_are_what_is_usual_at_that_hour():
    told = tuple(
        ToldSlot(NOW + n * HOUR, NOW + (n + 1) * HOUR, 100.0 if n % 24 < 12 else 300.0) for n in range(24)
    )
    found = problem(carbon=told).grid.carbon_g_per_kwh
    assert found[:8] == pytest.approx(100.0)
    assert found[60] == pytest.approx(300.0)
    assert not np.isnan(found).any()
    assert found[100:140].max() < 200.0 < found[148:].min()  # a day later, when nothing is told
    assert problem().grid.carbon_g_per_kwh is None
