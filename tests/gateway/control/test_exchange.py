"""A plan's exchange while the house does what was not foreseen: who moves, how far, and who does not."""

from datetime import timedelta
from itertools import pairwise

import pytest

from gateway.config import ControlTables, GridTable
from gateway.model import DeviceKind, DeviceSettings, Exchange, OwnerSettings, Plan, PlanSlot, Wishes
from gateway.rehearsal import Plant, Rehearsal
from gateway.rehearsal.rehearsal import START

TABLES = ControlTables(GridTable(25.0))
OWNER = OwnerSettings(
    True, devices={"battery": DeviceSettings(10.0, 100.0), "garage": DeviceSettings(30.0, 80.0)}
)
HELD, IMPORT, EXPORT = Exchange.HELD, Exchange.IMPORT, Exchange.EXPORT


def lived(
    exchange, grid_w, shares_w, load, pv=None, *, seconds=120.0, car=None, battery_pct=50.0, valid_s=7200.0
):
    """Let a house live by a plan of one slot; ``load`` and ``pv`` are functions of the second."""
    slot = PlanSlot(
        START, START + timedelta(hours=4), grid_w, shares_w, dict.fromkeys(shares_w, "self_use"), exchange
    )
    plan = Plan("p", START, START + timedelta(seconds=valid_s), "test", (slot,))
    plants = [Plant("battery", soc_pct=battery_pct)] if "battery" in shares_w else []
    if "garage" in shares_w:
        garage = {"capacity_wh": 36_000.0, "dead_time_s": 1.5, "ramp_w_per_s": 1000.0} | (car or {})
        plants.append(Plant("garage", DeviceKind.EVSE, **garage))
    house = Rehearsal(TABLES, plants, load, pv=pv, wishes=Wishes(OWNER, plan=plan))
    house.run(seconds)
    return house.trace


def at(column, second):
    return column[round(second * 10) - 1]


def turns(column, band_w=100.0):
    """Count how often a power changes its direction by more than ``band_w``."""
    extremes = [column[0]]
    for value in column:
        if abs(value - extremes[-1]) > band_w:
            extremes.append(value)
    steps = [b - a for a, b in pairwise(extremes)]
    return sum(a * b < 0 for a, b in pairwise(steps))


def test_a_cloud_passes_and_the_battery_keeps_the_exchange():
    sun = lambda s: 1000.0 if 60 < s < 120 else 4000.0  # noqa: E731
    trace = lived(HELD, 0.0, {"battery": 3000.0}, lambda s: 1000.0, sun, seconds=180)
    assert at(trace.power_w["battery"], 55) == pytest.approx(3000.0, abs=60.0)
    assert at(trace.power_w["battery"], 110) == pytest.approx(0.0, abs=60.0)
    for second in (55, 80, 110, 140, 175):
        assert at(trace.grid_w, second) == pytest.approx(0.0, abs=60.0)
    assert turns(trace.power_w["battery"]) <= 2


def test_more_is_drawn_than_foreseen_and_the_battery_absorbs_it():
    load = lambda s: 800.0 if s < 60 else 2800.0  # noqa: E731
    trace = lived(HELD, 0.0, {"battery": -800.0}, load)
    assert at(trace.power_w["battery"], 115) == pytest.approx(-2800.0, abs=60.0)
    assert at(trace.grid_w, 115) == pytest.approx(0.0, abs=60.0)


def test_in_a_cheap_hour_an_oven_is_not_fed_from_the_battery():
    load = lambda s: 500.0 if s < 60 else 3000.0  # noqa: E731
    trace = lived(IMPORT, 2500.0, {"battery": 2000.0}, load)
    assert at(trace.power_w["battery"], 115) == pytest.approx(2000.0, abs=30.0)
    assert at(trace.grid_w, 115) == pytest.approx(5000.0, abs=60.0)
    assert turns(trace.power_w["battery"], 30.0) == 0


def test_in_a_cheap_hour_a_surplus_is_taken_before_it_is_given_away():
    sun = lambda s: 0.0 if s < 60 else 4500.0  # noqa: E731
    trace = lived(IMPORT, 1500.0, {"battery": 1000.0}, lambda s: 500.0, sun)
    assert at(trace.grid_w, 115) == pytest.approx(0.0, abs=60.0)
    assert at(trace.power_w["battery"], 115) == pytest.approx(4000.0, abs=60.0)


def test_what_is_sold_dear_goes_on_being_sold_though_the_house_draws_more():
    load = lambda s: 500.0 if s < 60 else 1500.0  # noqa: E731
    trace = lived(EXPORT, -2500.0, {"battery": -3000.0}, load)
    assert at(trace.power_w["battery"], 115) == pytest.approx(-3000.0, abs=30.0)
    assert at(trace.grid_w, 115) == pytest.approx(-1500.0, abs=60.0)


def test_while_energy_sells_well_none_is_bought():
    load = lambda s: 500.0 if s < 60 else 4000.0  # noqa: E731
    trace = lived(EXPORT, -1500.0, {"battery": -2000.0}, load)
    assert at(trace.grid_w, 115) == pytest.approx(0.0, abs=60.0)
    assert at(trace.power_w["battery"], 115) == pytest.approx(-4000.0, abs=60.0)


def test_a_car_that_is_to_rest_never_begins_to_give():
    load = lambda s: 500.0 if s < 30 else 7000.0  # noqa: E731
    trace = lived(HELD, 0.0, {"battery": -500.0, "garage": 0.0}, load)
    assert min(trace.power_w["garage"]) >= -1.0
    assert at(trace.power_w["battery"], 115) == pytest.approx(-5000.0, abs=60.0)


def test_a_car_that_charges_from_the_sun_yields_to_a_lasting_cloud_and_the_battery_covers_the_way():
    sun = lambda s: 4000.0 if s < 60 else 1000.0  # noqa: E731
    trace = lived(HELD, 0.0, {"battery": 0.0, "garage": 3000.0}, lambda s: 1000.0, sun, seconds=240)
    assert at(trace.power_w["garage"], 55) == pytest.approx(3000.0, abs=60.0)
    assert at(trace.power_w["garage"], 235) == pytest.approx(0.0, abs=150.0)
    assert at(trace.grid_w, 235) == pytest.approx(0.0, abs=150.0)


def test_a_pan_on_the_stove_moves_the_battery_and_not_the_car():
    load = lambda s: 3000.0 if 60 < s < 75 else 1000.0  # noqa: E731
    trace = lived(HELD, 0.0, {"battery": 0.0, "garage": -1000.0}, load)
    assert max(abs(w + 1000.0) for w in trace.power_w["garage"][300:]) < 150.0
    assert at(trace.power_w["battery"], 72) == pytest.approx(-2000.0, abs=100.0)


def test_without_a_battery_the_car_that_gives_follows_the_house():
    load = lambda s: 800.0 if s < 60 else 2500.0  # noqa: E731
    trace = lived(HELD, 0.0, {"garage": -800.0}, load)
    assert at(trace.grid_w, 115) == pytest.approx(0.0, abs=80.0)
    assert turns(trace.power_w["garage"], 200.0) <= 1


def test_the_owners_floor_holds_whatever_the_plan_says():
    trace = lived(EXPORT, -3000.0, {"battery": -3500.0}, lambda s: 500.0, battery_pct=9.5)
    assert min(trace.power_w["battery"]) >= -1.0


def test_a_plan_that_is_too_old_is_not_followed():
    trace = lived(IMPORT, 2500.0, {"battery": 2000.0}, lambda s: 500.0, valid_s=60.0)
    assert at(trace.power_w["battery"], 55) == pytest.approx(2000.0, abs=30.0)
    assert at(trace.power_w["battery"], 115) == pytest.approx(-500.0, abs=60.0)


def test_a_hundred_small_surprises_start_a_resting_battery_only_where_it_pays():
    load = lambda s: 40.0 if int(s / 5) % 2 else 90.0  # noqa: E731
    trace = lived(HELD, 40.0, {"battery": 0.0}, load, seconds=100)
    assert max(abs(w) for w in trace.power_w["battery"]) < 1.0
