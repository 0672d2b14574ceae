"""What is decided for stores that run or do not: their courses, and decisions imposed on the programme."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from gateway.planning import problem_file
from gateway.planning.optimizer import solve
from gateway.planning.optimizer.dynamic import Extra, Seeker
from gateway.planning.optimizer.facts import facts_of
from gateway.planning.optimizer.imposed import Decisions, Undecided
from gateway.planning.problem import Band, Converter, Departure, GridSide, Horizon, Made, Problem, Store
from tests.bench.plan.everything import everything

FILES = Path(__file__).parents[3].parent / "shared" / "data" / "energy" / "problems"
STEPS = 8
PRICES = np.array([0.3, 0.1, 0.1, 0.3, 0.5, 0.5, 0.5, 0.3])


def store(name, *, car=False, **told):
    power = np.full(STEPS, 4_000.0)
    least = Converter(0.9, 0.9, charge_min_w=1_000.0, discharge_min_w=1_000.0)
    return Store(name, 10_000, told.pop("energy_wh", 5_000), power, power, least, is_car=car, **told)


def home(*stores, **told):
    limit = np.full(STEPS, 20_000.0)
    return Problem(
        Horizon(datetime(2026, 5, 1, tzinfo=UTC), np.full(STEPS, 1.0)),
        GridSide(PRICES, PRICES - 0.09, limit, limit),
        Band.sure(np.full(STEPS, 500.0)),
        Band.sure(np.zeros(STEPS)),
        stores,
        **told,
    )


def course(problem, number=0, others=None):
    facts = facts_of(problem)
    beside = np.zeros((len(facts.packs), STEPS)) if others is None else others
    return Seeker(facts, number).course(beside, Extra(np.zeros(STEPS), np.inf, 0.0))


def test_a_course_buys_cheap_and_sells_dear_at_no_less_than_the_least_power():
    power = course(home(store("battery")))
    assert power[1:3].sum() > 3
    assert power[4:7].sum() < -3
    assert np.all((power == 0) | (np.abs(power) >= 1 - 1e-9) | np.isclose(power, -0.5))


def test_a_course_charges_no_faster_than_its_taper_lets_it():
    dues = (Departure(4, 10_000, 5.0),)
    fast, slow = (
        course(home(store("car", departures=dues, taper=taper)))
        for taper in ((), ((50, 4_000), (100, 1_000)))
    )
    energy = 5 + np.cumsum(np.append(0, np.where(slow > 0, slow * 0.9, slow / 0.9)[:4]))
    most = np.interp((energy[:-1] + energy[1:]) / 2, (5, 10), (4, 1))
    assert fast.max() == pytest.approx(4, abs=0.3)
    assert np.all(slow[:4] <= most + 0.01)


def test_a_course_of_the_battery_feeds_no_car():
    cheap = np.zeros((2, STEPS))
    cheap[1] = 3.0
    stores = store("battery"), store("car", car=True)
    assert course(home(*stores, battery_may_charge_car=True), 0, cheap).min() < -1
    assert course(home(*stores), 0, cheap).min() >= -0.5 - 1e-9


def test_decisions_change_bounds_and_losses_and_nothing_else():
    facts = facts_of(home(store("battery")))
    undecided, none = Undecided.of(facts), Decisions.none(facts)
    free = undecided.decided(none)
    for name in ("cost", "lower", "upper", "row_lower", "row_upper", "index", "value"):
        assert np.array_equal(getattr(free, name), getattr(undecided.matrix, name))
    modes, firm = none.modes.copy(), none.firm.copy()
    modes[0, :2], firm[0, 1] = (0, 1), True
    decided, battery = undecided.decided(replace(none, modes=modes, firm=firm)), undecided.layout.stores[0]
    assert decided.upper[battery.charge[0]] == 0
    assert decided.upper[battery.discharge[0]] == 0
    assert decided.lower[battery.charge[1]] == 1
    assert decided.upper[battery.discharge[1]] == 0
    assert np.array_equal(decided.upper[battery.charge[2:]], free.upper[battery.charge[2:]])


@pytest.mark.skipif(not FILES.is_dir(), reason="the shared data is not beside the repository")
@pytest.mark.parametrize("day", ["2024-05-11", "2024-07-16"])
def test_a_recorded_home_with_everything_on_is_planned_within_its_bounds(day):
    problem = everything(problem_file.read(FILES / f"home_{day}_15min.json"), 3)
    plan = solve(problem, within_s=60)
    assert plan.made is Made.OPTIMAL
    assert plan.bound is not None
    assert plan.bound <= plan.cost <= plan.bound + 0.4
    for one in problem.stores:
        power, limits = plan.power_w[one.id], one.converter
        assert np.all((power <= 0.1) | (power >= limits.charge_min_w - 0.1))
        assert np.all((power >= -0.1) | (power <= -limits.discharge_min_w + 0.1))
    assert np.all(np.abs(plan.power_w["car"] + 300) <= 7_000.1)
    house = np.maximum(0, problem.load_w.p50 - problem.pv_w.p50 + plan.curtailed_w)
    lent = (plan.power_w["battery"] < -house - 1) & (plan.power_w["car"] > 1) & (plan.grid_w > 1)
    assert not lent.any()
