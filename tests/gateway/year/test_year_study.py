"""Three days of a made-up home under each strategy: who is ready, who pays less, and what is said of it."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gateway.__main__ import main
from gateway.config import Cell, load
from gateway.planning.ageing import wear
from gateway.planning.problem import Wear
from gateway.year import command, options, plots, report, synthetic
from gateway.year.driving import Habit
from gateway.year.loop import bill
from gateway.year.outlook import Sight, outlook
from gateway.year.record import DAY
from gateway.year.rules import WINDOW, cheapest_window
from gateway.year.site import CAR, home
from gateway.year.strategy import Strategy
from gateway.year.study import Study, year
from gateway.year.tariff import TARIFFS, under
from gateway.year.what_if import variants

HABIT = Habit(target_wh=24_000, caution=3, spread=1.0, energy_spread=0.2)


@pytest.fixture(scope="module")
def study():
    market = synthetic.year(3, synthetic.Household(year=2025), seed=4)
    site = replace(home(), habit=HABIT, car_wear=Wear(0.02), battery_wear=Wear(0.02))
    return Study(site, under(market, TARIFFS["dynamic"]), every=8, parts=1, sight=Sight(horizon=96, fine=8))


@pytest.fixture(scope="module")
def seen(study):
    return [outlook(study.record, k, HABIT, study.sight) for k in range(0, study.record.steps, study.every)]


@pytest.fixture(scope="module")
def runs(study, seen):
    wanted = (Strategy.UNMANAGED, Strategy.TIMER, Strategy.SMART, Strategy.V1G, Strategy.V2G)
    return {s: year(study, s, seen if s.planned else []) for s in wanted}


def test_every_strategy_is_ready_at_every_departure(runs):
    assert {r.result.departures_met_pct for r in runs.values()} == {100.0}
    assert {r.result.departures for r in runs.values()} == {3}


def test_a_plan_pays_less_than_a_timer_and_a_timer_less_than_no_thought(runs):
    net = {s: r.result.bill - r.result.left for s, r in runs.items()}
    assert net[Strategy.V2G] < net[Strategy.SMART] < net[Strategy.UNMANAGED]


def test_only_v2g_takes_energy_out_of_the_car(runs):
    lent = {s: r.result.car_out_kwh for s, r in runs.items()}
    assert all(lent[s] == 0 for s in lent if s is not Strategy.V2G)


def test_the_same_seed_gives_the_same_pennies(study, runs):
    again = year(study, Strategy.SMART, [])
    assert again.result == runs[Strategy.SMART].result


def test_energy_of_a_run_adds_up(study, runs):
    trace, car = runs[Strategy.V2G].trace, study.site.car
    stored = trace.end_wh[CAR] - trace.energy_wh[CAR][0]
    cell_wh = sum(car.cell_w(float(w)) for w in trace.power_w[CAR]) / 4
    driven_wh = sum(j.energy_wh for j in study.driving.journeys)
    assert stored == pytest.approx(cell_wh - driven_wh + trace.road_wh, abs=1.0)


def test_the_bill_is_what_the_meter_says(study, runs):
    bought, sold = bill(study.record, np.full(study.record.steps, 1000.0))
    assert bought == pytest.approx(float(study.record.simulated(study.record.import_per_kwh).sum()) / 4)
    assert sold == 0.0


def test_reserve_earns_only_where_the_car_stays_plugged_in_and_costs_energy(study, seen):
    run = year(study, Strategy.FCR, seen)
    assert 0 < run.result.reserve < 3 * 24 * 4.8 * 0.015
    assert run.result.departures_met_pct == 100.0


def test_the_timers_window_is_in_the_night_and_known_beforehand(study):
    assert (cheapest_window(study.record) - 80) % DAY <= 48 - WINDOW


def test_it_says_so_where_lending_does_not_pay(study, seen):
    dear = replace(study, site=replace(study.site, car_wear=wear(Cell.LMO, 36_000, 20_000)))
    results = [year(dear, s, seen).result for s in (Strategy.V1G, Strategy.V2G)]
    assert "does not pay" in report.verdict(results, "EUR")


def test_pictures_and_files_show_every_strategy(study, runs):
    results = [r.result for r in runs.values()]
    assert plots.money(results, "EUR").count("<rect") >= 2 * len(results)
    assert plots.day(runs, study.record).startswith("<svg")
    assert "unmanaged" in plots.months(runs, study.record, "EUR")
    assert report.as_csv({"as it is": results}).count("\n") == len(results) + 1
    assert len(json.loads(json.dumps(report.as_json(results)))) == len(results)


def test_every_what_if_is_a_year_of_its_own(study):
    market = synthetic.year(3, synthetic.Household(year=2025), seed=4)
    found = {
        v.name: year(v.study, Strategy.SMART, []).result for v in variants(study, market, TARIFFS["dynamic"])
    }
    assert len(found) == 11
    assert found["no solar roof"].bill > found["as it is"].bill
    assert (
        found["plugged in 28 % of all hours"].plugged_pct < found["plugged in 75 % of all hours"].plugged_pct
    )
    assert all(r.departures_met_pct == 100.0 for r in found.values())


def test_what_changes_is_told_in_one_table_with_where_lending_pays(runs):
    results = [r.result for r in runs.values()]
    poor = [replace(r, bought=r.bought - 10.0) if r.strategy is Strategy.V2G else r for r in results]
    text = report.what_if({"as it is": results, "other": poor}, "EUR")
    assert len(text.splitlines()) == 6
    assert text.splitlines()[3].startswith("| other | ")
    assert "pays with: other." in text
    assert report.gains(poor)[1] - report.gains(results)[1] == pytest.approx(10 * 365 / 3)
    assert plots.what_if({"as it is": (1.0, -2.0), "<other>": (0.0, 30.0)}, "EUR").count("<rect") == 5


def test_plans_that_were_made_by_rule_are_told(runs):
    results = [replace(r.result, plans_by_rule=2) for r in runs.values()]
    assert "plans were made by rule" in report.verdict(results, "EUR")
    assert sum(r.result.plans_by_rule for r in runs.values()) == 0


def test_the_site_says_what_its_devices_can(tmp_path):
    charger = '[devices.garage]\ndriver = "evse.quasar"\nmax_charge_w = 3600.0\nmax_discharge_w = 2000.0\n'
    battery = '[devices.battery]\ndriver = "storage.sunspec"\ncapacity_wh = 4200.0\n'
    table = "[site]\nname='x'\nserial='x'\ntime_zone='UTC'\n[grid]\nmain_fuse_a=25.0\n"
    (tmp_path / "site.toml").write_text(table + charger + battery, encoding="utf-8")
    site = command.site_of(load(tmp_path / "site.toml"), 36_000.0)
    assert (site.car.charge_max_w, site.car.discharge_max_w) == (3600.0, 2000.0)
    assert site.battery is not None
    assert site.battery.capacity_wh == 4200.0
    assert site.connection.import_max_w == pytest.approx(17_250.0)


def test_the_command_line_knows_what_there_is():
    assert tuple(TARIFFS) == options.READY_TARIFFS


def test_the_command_answers_in_one_json_document(capfd, tmp_path):
    order = [
        "simulate",
        "--days",
        "2",
        "--strategies",
        "unmanaged,smart",
        "--json",
        "-",
        "--plots",
        str(tmp_path),
    ]
    assert main(order) == 0
    found = json.loads(capfd.readouterr().out)
    assert [each["strategy"] for each in found] == ["unmanaged", "smart"]
    assert {p.name for p in tmp_path.iterdir()} == {"money.svg", "day.svg", "months.svg"}


def test_an_unknown_strategy_is_one_line(capsys):
    assert main(["simulate", "--days", "1", "--strategies", "magic"]) == 1
    assert "magic" in capsys.readouterr().err
