"""The optimizer against a full mixed-integer programme that is written here again, with a binary for everything."""

from datetime import UTC, datetime
from pathlib import Path

import highspy
import numpy as np
import pytest

from gateway.planning import problem_file
from gateway.planning.optimizer import solve
from gateway.planning.problem import Band, Converter, Departure, GridSide, Horizon, Made, Problem, Store, Trip

FILES = Path(__file__).parents[3].parent / "shared" / "data" / "energy" / "problems"
KNOWN = {"2024-05-11_15min": 0.78315, "2024-04-16_15min": -0.09933, "2024-01-16_15min": 10.90343}
"""Costs of a full mixed-integer programme, of the files' own model."""


def home(seed, *, runs, steps=10):
    random = np.random.default_rng(seed)
    mean = random.uniform(-0.05, 0.3)
    buy = mean + random.normal(0, 0.1, steps)
    converter = Converter(0.93, 0.91, 60.0, 1_200.0, 900.0) if runs else Converter(0.93, 0.91)
    here = np.ones(steps)
    here[5:7] = 0
    battery = Store(
        "battery", 5_000, random.uniform(0, 5_000), np.full(steps, 3_000.0), np.full(steps, 3_000.0), converter,
        end_wh=2_500, end_shortfall_per_kwh=0.3,
    )  # fmt: skip
    car = Store(
        "car", 20_000, random.uniform(5_000, 12_000), here * 6_000, here * 6_000, converter, is_car=True,
        departures=(Departure(5, 13_000, 0.6),), trips=(Trip(7, 4_000, 2.0),), worth_per_kwh=0.12,
    )  # fmt: skip
    return Problem(
        Horizon(datetime(2026, 5, 1, tzinfo=UTC), np.full(steps, 0.5)),
        GridSide(buy, buy - 0.08, np.full(steps, 9_000.0), np.full(steps, np.inf)),
        Band.sure(random.uniform(200, 2_500, steps)),
        Band.sure(np.maximum(0, random.normal(1_500, 2_000, steps))),
        (battery, car),
        battery_may_charge_car=True,
    )


class Full:
    """Every decision a binary; W and Wh; the slow way, to be sure."""

    def __init__(self, problem):
        self.problem, self.highs = problem, highspy.Highs()
        self.highs.setOptionValue("output_flag", False)
        self.highs.setOptionValue("mip_rel_gap", 1e-7)
        self.hours, self.cost = problem.horizon.hours, 0.0
        self.net = [float(problem.load_w.p50[t] - problem.pv_w.p50[t]) for t in range(problem.horizon.steps)]

    def optimum(self):
        for store in self.problem.stores:
            self._store(store)
        for t, net in enumerate(self.net):
            bought, sold = (
                self.highs.addVariable(0, float(self.problem.grid.import_max_w[t])),
                self.highs.addVariable(0, 1e5),
            )
            buys = self.highs.addBinary()
            self.highs.addConstr(bought <= 1e5 * buys)
            self.highs.addConstr(sold <= 1e5 - 1e5 * buys)
            self.highs.addConstr(bought - sold == net)
            kwh = float(self.hours[t]) / 1e3
            self.cost = self.cost + kwh * float(self.problem.grid.import_per_kwh[t]) * bought
            self.cost = self.cost - kwh * float(self.problem.grid.export_per_kwh[t]) * sold
        self.highs.minimize(self.cost)
        return self.highs.getInfo().objective_function_value

    def _store(self, store):
        add, c, energy = self.highs.addVariable, store.converter, store.energy_wh
        for t, hours in enumerate(self.hours):
            due = [d for d in store.departures if d.step == t]
            for departure in due:
                short = add(0, 1e6)
                self.highs.addConstr(energy + short >= departure.energy_wh)
                self.cost = self.cost + departure.relief_per_kwh / 1e3 * short
            for trip in store.trips:
                if trip.step == t:
                    relief, after = add(0, trip.energy_wh), add(0, store.capacity_wh)
                    self.highs.addConstr(after - relief == energy - trip.energy_wh)
                    self.cost, energy = self.cost + trip.relief_per_kwh / 1e3 * relief, after
            charge, discharge, on, off = (
                add(0, 1e5),
                add(0, 1e5),
                self.highs.addBinary(),
                self.highs.addBinary(),
            )
            self.highs.addConstr(charge <= float(store.charge_max_w[t]) * on)
            self.highs.addConstr(charge >= c.charge_min_w * on)
            self.highs.addConstr(discharge <= float(store.discharge_max_w[t]) * off)
            self.highs.addConstr(discharge >= c.discharge_min_w * off)
            self.highs.addConstr(on + off <= 1)
            after = add(0, store.capacity_wh)
            into = float(hours) * c.charge_efficiency * (charge - c.idle_w * on)
            out = float(hours) / c.discharge_efficiency * (discharge + c.idle_w * off)
            self.highs.addConstr(after == energy + into - out)
            energy = after
            self.net[t] = self.net[t] + charge - discharge
        short = add(0, 1e6)
        self.highs.addConstr(energy + short >= store.end_wh)
        self.cost = self.cost + store.end_shortfall_per_kwh / 1e3 * short - store.worth_per_kwh / 1e3 * energy


@pytest.mark.parametrize("seed", range(8))
def test_what_either_charges_or_discharges_is_planned_at_the_exact_optimum(seed):
    problem = home(seed, runs=False)
    exact = Full(problem).optimum()
    plan = solve(problem)
    assert plan.made is Made.OPTIMAL
    assert plan.cost == pytest.approx(exact, abs=1e-4 * max(abs(exact), 0.5))


@pytest.mark.parametrize("seed", range(8))
def test_least_powers_and_fixed_losses_cost_next_to_nothing_more_than_the_exact_optimum(seed):
    problem = home(seed, runs=True)
    exact = Full(problem).optimum()
    plan = solve(problem)
    assert plan.cost >= exact - 1e-4
    assert plan.cost <= exact + 0.02 * max(abs(exact), 0.5)


@pytest.mark.skipif(not FILES.is_dir(), reason="the shared data is not beside the repository")
@pytest.mark.parametrize(("name", "cost"), KNOWN.items())
def test_recorded_homes_are_planned_at_their_known_optimum(name, cost):
    plan = solve(problem_file.read(FILES / f"home_{name}.json"))
    assert plan.cost == pytest.approx(cost, abs=2e-5)
    assert not plan.shortfalls
