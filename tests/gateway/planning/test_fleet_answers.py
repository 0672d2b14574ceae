"""Each store's answer to prices is its optimum: as cheap as a programme of its own, and possible."""

from datetime import UTC, datetime

import highspy
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.planning.fleet.answers import Asker
from gateway.planning.fleet.cars import cars_of
from gateway.planning.fleet.least_power import levels
from gateway.planning.optimizer.facts import facts_of
from gateway.planning.problem import (
    Band,
    Converter,
    Departure,
    GridSide,
    Horizon,
    Problem,
    Store,
    Trip,
    Wear,
)

STEPS = 12
NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@st.composite
def stores(draw, name: str):
    power = st.sampled_from([0.0, 3000.0, 6000.0])
    capacity = draw(st.sampled_from([8000.0, 20000.0]))
    within = st.floats(0, 1).map(lambda share: share * capacity)
    relief = draw(st.sampled_from([0.2, 5.0]))
    departures = draw(st.lists(st.tuples(st.integers(1, STEPS), within), max_size=2))
    trips = draw(st.lists(st.tuples(st.integers(1, STEPS - 1), within), max_size=1))
    return Store(
        name,
        capacity,
        draw(within),
        np.array(draw(st.lists(power, min_size=STEPS, max_size=STEPS))),
        np.array(draw(st.lists(power, min_size=STEPS, max_size=STEPS))),
        Converter(draw(st.sampled_from([0.9, 1.0])), draw(st.sampled_from([0.85, 1.0]))),
        wear=Wear(draw(st.sampled_from([0.0, 0.05]))),
        departures=tuple(Departure(step, wh, relief) for step, wh in departures),
        trips=tuple(Trip(step, wh, draw(st.sampled_from([0.3, 6.0]))) for step, wh in trips),
        end_wh=draw(within),
        end_shortfall_per_kwh=draw(st.sampled_from([0.0, 0.3])),
        worth_per_kwh=draw(st.sampled_from([0.0, 0.1])),
    )


def problem(*cars: Store) -> Problem:
    flat = np.zeros(STEPS)
    grid = GridSide(flat, flat, flat + 1e6, flat + 1e6)
    return Problem(Horizon(NOON, flat + 0.5), grid, Band.sure(flat), Band.sure(flat), cars)


def least_cost(store: Store, price: np.ndarray) -> float:
    """Return the optimum of one store by a programme written out step by step."""
    model = highspy.Highs()
    model.setOptionValue("output_flag", False)
    cap, into, out = (
        store.capacity_wh / 1e3,
        store.converter.charge_efficiency,
        store.converter.discharge_efficiency,
    )
    cost, level = [], store.energy_wh / 1e3
    for step in range(STEPS + 1):
        for due in (d for d in store.departures if d.step == step):
            lacks = model.addVariable(0, 1e3)
            model.addConstr(level + lacks >= due.energy_wh / 1e3)
            cost.append(due.relief_per_kwh * lacks)
        for trip in (t for t in store.trips if t.step == step):
            relief, after = model.addVariable(0, trip.energy_wh / 1e3), model.addVariable(0, cap)
            model.addConstr(after - level - relief == -trip.energy_wh / 1e3)
            cost.append(trip.relief_per_kwh * relief)
            level = after
        if step == STEPS:
            break
        charge = model.addVariable(0, store.charge_max_w[step] / 1e3)
        discharge = model.addVariable(0, store.discharge_max_w[step] / 1e3)
        after = model.addVariable(0, cap)
        model.addConstr(after - level - 0.5 * into * charge + 0.5 / out * discharge == 0)
        cost += [0.5 * price[step] * charge, 0.5 * (store.wear.per_kwh / out - price[step]) * discharge]
        level = after
    lacks = model.addVariable(0, 1e3)
    model.addConstr(level + lacks >= store.end_wh / 1e3)
    cost += [store.end_shortfall_per_kwh * lacks, -store.worth_per_kwh * level]
    model.minimize(sum(cost))
    return model.getObjectiveValue()


@settings(max_examples=60, deadline=None)
@given(
    stores("a"),
    st.lists(st.floats(0.01, 0.6).map(lambda p: round(p, 2)), min_size=STEPS, max_size=STEPS),
)
def test_an_answer_costs_as_little_as_a_programme_of_its_own(store, prices):
    price = np.array(prices)
    answer = Asker(cars_of(facts_of(problem(store)))).ask(price)
    assert answer.cost[0] == pytest.approx(least_cost(store, price), abs=1e-5)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(stores("a"), min_size=1, max_size=1),
    st.lists(st.floats(-0.3, 0.6), min_size=STEPS, max_size=STEPS),
)
def test_an_answer_is_possible_whatever_the_prices(given_stores, prices):
    cars = cars_of(facts_of(problem(*given_stores)))
    answer = Asker(cars).ask(np.array(prices))
    assert (answer.charge_kw >= -1e-9).all()
    assert (answer.charge_kw <= cars.charge_kw + 1e-9).all()
    assert (answer.discharge_kw <= cars.discharge_kw + 1e-9).all()
    held = levels(cars, answer.charge_kw - answer.discharge_kw)
    assert held.min() >= -1e-6
    assert (held <= cars.ceiling_kwh[:, None] + 1e-6).all()


def test_a_car_charges_in_the_cheap_hours_and_feeds_the_dear_ones():
    always = np.full(STEPS, 6000.0)
    car = Store(
        "car",
        20000.0,
        10000.0,
        always,
        always,
        Converter(1.0, 1.0),
        departures=(Departure(STEPS, 10000.0, 5.0),),
    )
    price = np.array([0.1] * 4 + [0.5] * 4 + [0.2] * 4)
    answer = Asker(cars_of(facts_of(problem(car)))).ask(price)
    net = (answer.charge_kw - answer.discharge_kw)[0]
    assert net[:4].sum() * 0.5 == pytest.approx(10.0)
    assert net[4:8].sum() * 0.5 == pytest.approx(-12.0)
    assert net[8:].sum() * 0.5 == pytest.approx(2.0)
