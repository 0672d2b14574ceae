"""Whatever the problem, there is a plan, and it breaks no hard bound."""

import math
from datetime import UTC, datetime

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.planning.optimizer import solve
from gateway.planning.problem import (
    Band,
    CircuitLimit,
    Converter,
    DemandCharge,
    Departure,
    GridSide,
    Horizon,
    Made,
    Problem,
    ReserveBand,
    Store,
    Tier,
    Trip,
    Wear,
)

STARTS_AT = datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
TOLERANCE_W = 1.0
broken = st.sampled_from([math.nan, math.inf, -math.inf, -1e12, 1e12])


def number(least, most):
    return st.one_of(st.floats(least, most), st.just(0.0), broken)


@st.composite
def series(draw, steps, least, most):
    length = draw(st.sampled_from([steps, steps, steps, 1, 0, steps + 2]))
    return np.array(draw(st.lists(number(least, most), min_size=length, max_size=length)), float)


@st.composite
def stores(draw, steps, name):
    step = st.integers(-2, steps + 2)
    return Store(
        id=name,
        capacity_wh=draw(number(0, 60_000)),
        energy_wh=draw(number(-5_000, 80_000)),
        charge_max_w=draw(series(steps, 0, 11_000)),
        discharge_max_w=draw(series(steps, 0, 11_000)),
        converter=Converter(
            *(draw(number(0, 1)) for _ in range(2)), *(draw(number(0, 2_000)) for _ in range(3))
        ),
        floor_wh=draw(number(0, 20_000)),
        ceiling_wh=draw(st.none() | number(0, 60_000)),
        reserve_wh=draw(st.none() | series(steps, 0, 20_000)),
        taper=draw(st.lists(st.tuples(number(0, 100), number(0, 11_000)), max_size=3).map(tuple)),
        wear=Wear(draw(number(0, 0.1)), ((draw(number(0, 100)), draw(number(0, 0.01))),)),
        departures=tuple(
            Departure(draw(step), draw(number(0, 70_000)), draw(number(0, 1)), draw(number(0, 1)))
            for _ in range(draw(st.integers(0, 2)))
        ),
        trips=tuple(
            Trip(draw(step), draw(number(0, 40_000)), draw(number(0, 1)))
            for _ in range(draw(st.integers(0, 2)))
        ),
        end_wh=draw(number(0, 60_000)),
        end_shortfall_per_kwh=draw(number(0, 1)),
        worth_per_kwh=draw(number(-0.5, 0.5)),
        is_car=draw(st.booleans()),
        circuit=draw(st.sampled_from(["", "board", "garage"])),
    )


@st.composite
def problems(draw):
    steps = draw(st.integers(0, 7))
    price = series(steps, -0.5, 0.5)
    power = series(steps, 0, 12_000)
    names = draw(st.lists(st.sampled_from(["battery", "leaf", "env200"]), max_size=3))
    return Problem(
        horizon=Horizon(
            STARTS_AT, np.array([draw(st.sampled_from([0.25, 0.25, 0.5, 1.0, 0.0])) for _ in range(steps)])
        ),
        grid=GridSide(
            draw(price),
            draw(price),
            draw(power),
            draw(power),
            draw(st.none() | power),
            draw(st.none() | power),
            draw(st.none() | series(steps, -5_000, 5_000)),
            draw(st.none() | series(steps, 0, 500)),
            draw(number(0, 0.2)),
            draw(
                st.none()
                | st.builds(
                    DemandCharge,
                    number(0, 10),
                    number(0, 9_000),
                    st.integers(-1, 4),
                    st.none() | st.integers(-1, 9),
                )
            ),
            draw(st.lists(st.builds(Tier, number(0, 9_000), number(0, 0.2)), max_size=2).map(tuple)),
        ),
        load_w=Band(draw(power), draw(power), draw(power)),
        pv_w=Band(draw(power), draw(power), draw(power)),
        stores=tuple(draw(stores(steps, name)) for name in names),
        circuits=(
            CircuitLimit(
                "board", draw(power), draw(st.none() | power), draw(st.sampled_from(["", "garage"]))
            ),
            CircuitLimit("garage", draw(power), None, draw(st.sampled_from(["", "board"]))),
        ),
        reserves=tuple(
            ReserveBand(
                draw(power), draw(number(0, 1)), draw(st.sampled_from([(), ("leaf",), ("battery", "leaf")]))
            )
            for _ in range(draw(st.integers(0, 1)))
        ),
        pv_curtailable=draw(st.booleans()),
        battery_may_charge_car=draw(st.booleans()),
    )


def clean(series, steps, missing):
    given = np.atleast_1d(np.asarray(series, float))[:steps]
    if len(given) < steps:
        given = np.append(given, np.full(steps - len(given), given[-1] if len(given) else missing))
    return np.where(np.isnan(given), missing, given)


@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(problems())
def test_every_problem_has_a_plan_within_its_hard_bounds(problem):
    plan = solve(problem, within_s=2.0)
    steps = problem.horizon.steps
    assert steps == 0 or plan.made is not Made.BY_RULE
    first = {}
    for store in problem.stores:
        first.setdefault(store.id, store)
    assert set(plan.power_w) == set(plan.energy_wh) == set(plan.codes) == set(first)
    total = np.zeros(steps)
    for name, store in first.items():
        power, energy = plan.power_w[name], plan.energy_wh[name]
        assert power.shape == (steps,)
        assert energy.shape == (steps + 1,)
        assert len(plan.codes[name]) == steps
        assert np.isfinite(power).all()
        for able, way in ((store.charge_max_w, 1), (store.discharge_max_w, -1)):
            assert (way * power <= np.maximum(clean(able, steps, 0.0), 0) + TOLERANCE_W).all()
        capacity = 0 if math.isnan(store.capacity_wh) else max(0.0, store.capacity_wh)
        assert (energy >= 0).all()
        assert (energy <= capacity + 1).all()
        total += power
    assert plan.grid_w.shape == plan.curtailed_w.shape == (steps,)
    load, sun = (np.clip(clean(b.p50, steps, 0.0), -1e8, 1e8) for b in (problem.load_w, problem.pv_w))
    sun = np.maximum(sun, 0)
    assert np.allclose(plan.grid_w, load - sun + total + plan.curtailed_w, atol=1)
    limit = np.maximum(clean(problem.grid.import_max_w, steps, math.inf), 0)
    assert (plan.grid_w <= np.maximum(limit, np.maximum(load - sun, 0)) + TOLERANCE_W).all() or (
        total <= TOLERANCE_W
    ).all()
