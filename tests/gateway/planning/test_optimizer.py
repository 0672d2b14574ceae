"""What the optimizer makes of small problems that a person can check."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from gateway.planning.optimizer import Solver, solve
from gateway.planning.problem import (
    Band,
    CircuitLimit,
    Converter,
    DemandCharge,
    Departure,
    GridSide,
    Horizon,
    Lack,
    Made,
    Problem,
    ReserveBand,
    Store,
    Tier,
    Trip,
    Wear,
)

LOSSLESS = Converter(1.0, 1.0)


def each(value, steps=4):
    return np.full(steps, float(value)) if np.isscalar(value) else np.array(value, float)


def store(name="battery", steps=4, **given):
    defaults = {
        "capacity_wh": 10_000,
        "energy_wh": 5_000,
        "charge_max_w": each(2_000, steps),
        "discharge_max_w": each(2_000, steps),
        "converter": LOSSLESS,
        "end_wh": 5_000,
        "end_shortfall_per_kwh": 1.0,
    }
    return Store(name, **{**defaults, **given})


def problem(*stores, buy=0.3, sell=0.05, load=0, sun=0, steps=4, grid=None, **given):
    side = GridSide(
        each(buy, steps), each(sell, steps), each(9_000, steps), each(9_000, steps), **(grid or {})
    )
    hours = Horizon(datetime(2026, 5, 1, tzinfo=UTC), np.ones(steps))
    return Problem(hours, side, Band.sure(each(load, steps)), Band.sure(each(sun, steps)), stores, **given)


def powers(plan, name="battery"):
    return np.round(plan.power_w[name]).tolist()


def test_a_battery_buys_cheap_and_carries_the_house_through_the_dear_hour():
    plan = solve(problem(store(), buy=[0.3, 0.1, 0.5, 0.3], load=[0, 0, 1_500, 0]))
    assert plan.made is Made.OPTIMAL
    assert powers(plan) == [0, 1_500, -1_500, 0]
    assert plan.codes["battery"] == ("no_benefit", "cheap_hours", "self_use", "no_benefit")
    assert plan.energy_wh["battery"].tolist() == pytest.approx([5_000, 5_000, 6_500, 5_000, 5_000])
    assert plan.grid_w.tolist() == pytest.approx([0, 1_500, 0, 0])
    assert plan.cost == pytest.approx(0.15)
    assert plan.bound == pytest.approx(0.15, abs=1e-4)


def test_what_sells_high_is_sold():
    plan = solve(problem(store(), buy=[0.1, 0.1, 0.5, 0.5], sell=[0.05, 0.05, 0.4, 0.3]))
    assert powers(plan)[2] == -2_000
    assert plan.codes["battery"][2] == "sell_high"


def test_wear_dearer_than_the_spread_leaves_the_battery_alone():
    dear = replace(store(), wear=Wear(per_kwh=0.3))
    plan = solve(problem(dear, buy=[0.3, 0.2, 0.4, 0.3], load=1_000))
    assert powers(plan) == [0, 0, 0, 0]
    assert "wear_too_dear" in plan.codes["battery"]


def test_of_two_equal_hours_the_earlier_is_taken():
    plan = solve(problem(store(end_wh=7_000), buy=0.2))
    assert powers(plan) == [2_000, 0, 0, 0]


def test_a_car_is_ready_when_it_leaves_and_pays_its_trip_when_it_is_back():
    here = [1, 1, 0, 1]
    car = store(
        "car", charge_max_w=2_000 * each(here), discharge_max_w=0 * each(0), is_car=True, end_wh=0,
        departures=(Departure(2, 8_000, 0.8),), trips=(Trip(3, 3_000, 2.0),),
    )  # fmt: skip
    plan = solve(problem(car, buy=[0.3, 0.2, 0.1, 0.3]))
    assert powers(plan, "car") == [1_000, 2_000, 0, 0]
    assert plan.energy_wh["car"].tolist() == pytest.approx([5_000, 6_000, 8_000, 5_000, 5_000])
    assert plan.codes["car"][2] == "away"
    assert plan.codes["car"][0] == "ready_for_departure"
    assert plan.shortfalls == ()


def test_a_departure_that_cannot_be_met_is_named_in_kwh_and_minutes():
    car = store("car", departures=(Departure(1, 9_000, 0.8),), end_wh=0, is_car=True)
    plan = solve(problem(car))
    assert powers(plan, "car")[0] == 2_000
    (lack,) = plan.shortfalls
    assert (lack.lack, lack.step, lack.device) == (Lack.DEPARTURE, 1, "car")
    assert (lack.energy_wh, lack.minutes) == (pytest.approx(2_000), pytest.approx(60))


def test_a_trip_beyond_the_pack_was_charged_on_the_road():
    away = each([0, 0, 0, 1])
    car = store(
        "car",
        charge_max_w=2_000 * away,
        discharge_max_w=0 * away,
        trips=(Trip(3, 7_000, 0.6),),
        end_wh=0,
        is_car=True,
    )
    plan = solve(problem(car))
    assert plan.energy_wh["car"].tolist() == pytest.approx([5_000, 5_000, 5_000, 0, 0])
    assert plan.cost == pytest.approx(2 * 0.6)


def test_the_reserve_gives_way_to_the_departure_and_the_floor_to_the_reserve():
    limit = CircuitLimit("board", each(2_000))
    car = store(
        "car",
        departures=(Departure(4, 12_000, 0.4),),
        end_wh=0,
        is_car=True,
        circuit="board",
        discharge_max_w=each(0),
    )
    battery = store(energy_wh=0, end_wh=0, reserve_wh=each(4_000), circuit="board")
    plan = solve(problem(car, battery, circuits=(limit,), steps=4))
    assert plan.energy_wh["car"][-1] == pytest.approx(10_000, abs=1)
    lacks = {s.lack for s in plan.shortfalls}
    assert lacks == {Lack.DEPARTURE, Lack.RESERVE}


def test_a_reserve_for_a_blackout_is_refilled_at_any_price():
    battery = store(energy_wh=1_000, end_wh=0, reserve_wh=each(3_000))
    plan = solve(problem(battery, buy=[0.9, 0.1, 0.1, 0.1]))
    assert powers(plan)[0] == 2_000
    assert plan.codes["battery"][0] == "keep_reserve"


def test_a_full_car_is_not_dumped_to_its_ceiling_but_never_charged_above_it():
    full = store("car", energy_wh=10_000, ceiling_wh=8_000, end_wh=0, worth_per_kwh=0.1, is_car=True)
    assert powers(solve(problem(full, sell=0.05)), "car") == [0, 0, 0, 0]
    low = replace(full, energy_wh=7_000.0, worth_per_kwh=0.9)
    assert solve(problem(low)).energy_wh["car"].max() == pytest.approx(8_000)
    leaves = replace(low, departures=(Departure(4, 9_500, 0.9),), worth_per_kwh=0.1)
    assert solve(problem(leaves)).energy_wh["car"][-1] == pytest.approx(9_500)


def test_the_peak_of_the_month_is_not_raised_for_a_cheap_hour():
    demand = {"demand": DemandCharge(per_kw=5.0, peak_so_far_w=1_000)}
    plan = solve(problem(store(end_wh=9_000), buy=[0.1, 0.3, 0.3, 0.3], grid=demand))
    assert plan.grid_w.max() == pytest.approx(1_000, abs=1)
    shaved = solve(problem(store(), load=[0, 2_500, 0, 0], grid=demand))
    assert shaved.codes["battery"][1] == "avoid_peak"


def test_a_tier_makes_import_dearer_above_it():
    plan = solve(
        problem(store(end_wh=8_000, end_shortfall_per_kwh=0.5), buy=0.3, grid={"tiers": (Tier(1_000, 0.4),)})
    )
    assert plan.energy_wh["battery"][-1] == pytest.approx(6_000)


def test_a_price_on_carbon_moves_charging_to_a_clean_hour():
    carbon = {"carbon_g_per_kwh": each([500, 50, 500, 500]), "carbon_per_kg": 0.2}
    plan = solve(problem(store(end_wh=6_000), buy=0.3, grid=carbon))
    assert powers(plan) == [0, 1_000, 0, 0]
    assert plan.codes["battery"][1] == "clean_hours"


def test_a_cap_and_a_promise_of_the_utility_are_kept_and_named():
    capped = solve(problem(store(), load=2_500, grid={"import_cap_w": each([np.inf, 1_000, np.inf, np.inf])}))
    assert capped.grid_w[1] == pytest.approx(1_000)
    assert capped.codes["battery"][1] == "grid_event"
    promised = solve(problem(store(), grid={"obliged_w": each([np.nan, -1_500, np.nan, np.nan])}))
    assert promised.grid_w[1] == pytest.approx(-1_500)
    beyond = solve(problem(store(), grid={"obliged_w": each([np.nan, -5_000, np.nan, np.nan])}))
    assert [(s.lack, round(s.energy_wh)) for s in beyond.shortfalls] == [(Lack.OBLIGATION, 3_000)]


def test_sold_reserve_keeps_power_and_energy_free_both_ways():
    band = ReserveBand(each([0, 1_500, 0, 0]), hold_h=1.0)
    plan = solve(problem(store(end_wh=5_000), buy=[0.5, 0.01, 0.5, 0.5], load=1_000, reserves=(band,)))
    assert abs(plan.power_w["battery"][1]) <= 500 + 1
    assert plan.codes["battery"][1] in {"reserve_sold", "cheap_hours"}


def test_a_board_and_the_connection_hold_all_stores_together():
    board = CircuitLimit("board", each(3_000), other_w=each(500), within="house")
    house = CircuitLimit("house", each(4_000))
    cars = [store(name, end_wh=9_000, circuit="board", is_car=True) for name in ("a", "b")]
    plan = solve(problem(*cars, circuits=(board, house)))
    assert (plan.power_w["a"] + plan.power_w["b"]).max() <= 2_500 + 1
    own = replace(problem(*cars, load=8_000), circuits=())
    assert solve(own).grid_w.max() <= 9_000 + 1


def test_a_battery_does_not_feed_a_car_unless_it_may():
    car = store("car", energy_wh=0, end_wh=4_000, is_car=True, discharge_max_w=each(0))
    battery = store(energy_wh=9_000, end_wh=0, worth_per_kwh=0.1)
    kept = solve(problem(car, battery, buy=0.3, load=500))
    charging = kept.power_w["car"] > 1
    assert (-kept.power_w["battery"][charging]).max() <= 500 + 1
    fed = solve(problem(car, battery, buy=0.3, load=500, battery_may_charge_car=True))
    assert fed.cost < kept.cost - 0.1


def test_near_full_a_pack_charges_no_faster_than_its_taper():
    pack = store(energy_wh=7_000, end_wh=10_000, taper=((80, 2_000), (100, 0)))
    plan = solve(problem(pack))
    mean_pct = (plan.energy_wh["battery"][:-1] + plan.energy_wh["battery"][1:]) / 200
    allowed = np.minimum(2_000, (100 - mean_pct) / 20 * 2_000)
    assert (plan.power_w["battery"] <= allowed + 1).all()
    assert plan.energy_wh["battery"][-1] > 9_000


def test_negative_prices_never_make_a_store_charge_and_discharge_at_once():
    burning = store(converter=Converter(0.9, 0.9))
    plan = solve(problem(burning, buy=-0.2, sell=-0.3, sun=[4_000, 4_000, 4_000, 4_000]))
    change = np.diff(plan.energy_wh["battery"])
    power = plan.power_w["battery"]
    assert change == pytest.approx(np.where(power > 0, power * 0.9, power / 0.9), abs=1)
    assert plan.binaries > 0
    assert plan.cost >= plan.bound - 1e-6


def test_sun_that_costs_is_curtailed_where_it_may_be():
    plan = solve(problem(store(energy_wh=10_000), sell=-0.1, sun=3_000, pv_curtailable=True))
    assert plan.curtailed_w.tolist() == pytest.approx([3_000] * 4)
    assert plan.cost == pytest.approx(0, abs=1e-4)


def test_a_least_power_is_kept_or_nothing_runs():
    car = store(
        "car",
        is_car=True,
        end_wh=5_500,
        converter=Converter(1, 1, 50, 1_400, 1_000),
        charge_max_w=each(6_000),
    )
    plan = solve(problem(car, sun=[500, 900, 900, 500]))
    assert all(power == 0 or power >= 1_399 for power in plan.power_w["car"])


def test_a_day_that_may_be_bad_leaves_room_under_the_import_limit():
    sure = problem(store(end_wh=9_000, charge_max_w=each(9_000)), buy=[0.1, 0.1001, 0.1002, 0.4], load=5_000)
    doubtful = replace(sure, load_w=Band(each(5_000), each(5_000), each(7_000)))
    assert solve(sure).grid_w[0] == pytest.approx(9_000)
    assert solve(doubtful).grid_w[:3].max() <= 7_000 + 1


def test_a_solver_that_is_kept_gives_the_same_plan_again():
    one, kept = problem(store(), buy=[0.3, 0.1, 0.5, 0.3], load=1_000), Solver()
    kept.solve(one)
    other = problem(store(energy_wh=6_000), buy=[0.1, 0.3, 0.2, 0.6], load=700)
    assert kept.solve(other).cost == pytest.approx(solve(other).cost)
    assert solve(one, warm=kept).cost == pytest.approx(solve(one).cost)


def test_without_time_there_is_still_a_plan():
    plan = solve(problem(store("car", is_car=True, end_wh=9_000), load=1_000), within_s=0.0)
    assert len(plan.power_w["car"]) == 4


def test_a_horizon_of_no_length_has_an_empty_plan():
    plan = solve(problem(store(steps=0), steps=0))
    assert plan.energy_wh["battery"].tolist() == [5_000]
    assert plan.codes["battery"] == ()
