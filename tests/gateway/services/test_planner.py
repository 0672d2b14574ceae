"""When the planner plans, what it keeps, and what a failing or late optimiser changes."""

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.config import parse
from gateway.faults import FaultCode, Unreachable
from gateway.ledger.means import QuarterMean
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EnergyTotals,
    EvseSample,
    EvseState,
    GridWindow,
    MeterRole,
    OwnerSettings,
    Plan,
    PlanSlot,
    PriceSlot,
    VehicleSample,
    WindowKind,
    Wishes,
)
from gateway.planning.question import Answer, Expected
from gateway.planning.situation import situation
from gateway.services.fault_board import FaultBoard
from gateway.services.forecasts import Forecasts
from gateway.services.planner import Planner
from gateway.services.prices import Prices
from gateway.services.solver import SolverProcess
from gateway.state import SiteState

NOW = datetime(2026, 11, 24, 12, 1, tzinfo=UTC)
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
MONTH = datetime(2026, 10, 31, 23, tzinfo=UTC)
TABLES = {
    "site": {"name": "House", "serial": "NE-1", "time_zone": "Europe/Amsterdam"},
    "grid": {"main_fuse_a": 25.0},
    "devices": {},
}
CONFIG = parse(TABLES)


class Solver:
    """Answers at once with the plan that it was given, or fails."""

    running = False

    def __init__(self, answer):
        self.answer, self.questions, self.failing = answer, [], False

    async def ask(self, question):
        self.questions.append(question)
        if self.failing:
            raise Unreachable("the optimiser is gone")
        return self.answer(question)

    async def close(self):
        pass


class Past:
    def __init__(self):
        self.now, self.quarters = None, []

    def means(self, start, end):
        return self.quarters

    def mean_now(self, least_s):
        return self.now

    def trips(self, charger, limit):
        return []

    def used_since(self, device, start):
        return EnergyTotals(3000.0 if (device, start) == ("grid", MONTH) else 0.0)


class House:
    """What the services know, the clock, and the planner over both."""

    def __init__(self, tmp_path, notes=(), config=CONFIG):
        self.utc, self.wishes, self.soc_pct, self.notes = NOW, Wishes(), 50.0, notes
        self.past, self.made, self.plugged = Past(), [], True
        self.faults = FaultBoard(lambda: self.utc)
        self.prices = Prices(None)
        self.forecasts = Forecasts(tmp_path / "forecasts.json", lambda: self.utc)
        self.solver = Solver(self.answer)
        self.planner = Planner(
            config,
            self.prices,
            self.forecasts,
            self.past,
            lambda: (self.snapshot(), self.wishes),
            lambda: self.made.append(self.planner.plan),
            lambda: self.utc,
            self.faults,
            self.solver,
        )

    def snapshot(self):
        meter = DeviceInfo("grid", DeviceKind.METER, "M", "m", role=MeterRole.GRID)
        state = SiteState([DeviceInfo("garage", DeviceKind.EVSE, "L", "e"), meter], lambda: self.utc)
        car = VehicleSample(self.soc_pct, 36_000.0)
        state.put("garage", EvseSample(49.0, EvseState.READY, self.plugged, 0.0, 6000.0, 6000.0, vehicle=car))
        return state.snapshot(50.0)

    def answer(self, question):
        quarter = self.utc.replace(minute=self.utc.minute // 15 * 15)
        slots = tuple(
            PlanSlot(
                quarter + 15 * n * MINUTE,
                quarter + 15 * (n + 1) * MINUTE,
                0.0,
                {"garage": 0.0},
                {"garage": "self_use"},
                soc_pct={"garage": 50.0},
            )
            for n in range(192)
        )
        plan = Plan(
            f"{self.utc:%H%M%S}", self.utc, self.utc + 2 * HOUR, question.because, slots, notes=self.notes
        )
        band_w = ((450.0, 650.0),) * 192
        return Answer(plan, Expected((500.0,) * 192, (0.0,) * 192, band_w, ((0.0, 0.0),) * 192))

    async def plan(self):
        """Plan if that is due; return why, "" where it is not."""
        if because := self.planner.due():
            await self.planner.replan(because)
        return because


@pytest.fixture
def house(tmp_path):
    return House(tmp_path)


async def test_it_plans_at_the_start_and_then_at_each_quarter_of_an_hour(house):
    assert await house.plan() == "start"
    assert await house.plan() == ""
    house.utc = NOW.replace(minute=14, second=59)
    assert await house.plan() == ""
    house.utc = NOW.replace(minute=15)
    assert await house.plan() == "quarter of an hour"
    house.utc = NOW - timedelta(days=1)
    assert await house.plan() == "quarter of an hour"
    assert len(house.made) == 3


async def test_whatever_a_plan_rests_on_calls_for_a_new_one(house):
    await house.plan()
    house.wishes = Wishes(OwnerSettings(True, devices={"garage": DeviceSettings()}))
    assert await house.plan() == "wishes changed"
    window = GridWindow(WindowKind.IMPORT_LIMIT, 4200.0, NOW, NOW + HOUR, "e", "u")
    house.wishes = replace(house.wishes, windows=(window,))
    assert await house.plan() == "the utility called"
    house.plugged = False
    assert await house.plan() == "a car came or left"
    house.prices.hand_in((PriceSlot(NOW, NOW + HOUR, 0.3, 0.1),))
    assert await house.plan() == "new prices"
    house.forecasts.put("trips", ())
    assert await house.plan() == ""
    house.soc_pct = 44.0
    assert await house.plan() == "a charge is not as planned"


async def test_a_house_that_draws_far_more_than_expected_calls_for_a_plan_once_in_a_quarter(house):
    await house.plan()
    house.past.now = QuarterMean(NOW, 700.0, None)
    assert await house.plan() == ""
    house.past.now = QuarterMean(NOW, 3500.0, None)
    assert await house.plan() == "the house is not as expected"
    assert await house.plan() == ""


async def test_a_late_answer_never_overrides_a_newer_wish(house):
    wanted = Wishes(OwnerSettings(True))

    def slowly(question):
        house.wishes = wanted  # while the optimiser was at work
        return House.answer(house, question)

    house.solver.answer = slowly
    await house.plan()
    assert [q.wishes for q in house.solver.questions] == [Wishes(), wanted]
    assert [p.because for p in house.made] == ["wishes changed"]
    assert await house.plan() == ""


async def test_a_failing_optimiser_leaves_the_old_plan_and_is_told_until_it_works(house):
    await house.plan()
    house.solver.failing, house.utc = True, NOW.replace(minute=15)
    await house.plan()
    assert len(house.made) == 1
    assert [f.code for f in house.faults.active()] == [FaultCode.PLAN_STALE]
    assert house.planner.due() == "quarter of an hour"
    house.solver.failing = False
    await house.plan()
    assert not house.faults.active()
    assert len(house.made) == 2


async def test_no_price_for_this_hour_is_told_where_prices_are_expected(tmp_path):
    house = House(tmp_path, notes=("price_unknown",))
    await house.plan()
    assert not house.faults.active()
    house.prices.hand_in((PriceSlot(NOW - 2 * HOUR, NOW - HOUR, 0.3, 0.1),))
    await house.plan()
    assert [f.code for f in house.faults.active()] == [FaultCode.PLAN_STALE]
    house.notes = ()
    house.prices.hand_in((PriceSlot(NOW, NOW + HOUR, 0.3, 0.1),))
    await house.plan()
    assert not house.faults.active()


async def test_a_tariff_with_tiers_is_planned_from_what_was_imported_this_month(tmp_path):
    tiers = [{"from_kwh": 2.0, "extra_per_kwh": 0.1}, {"from_kwh": 5.0, "extra_per_kwh": 0.2}]
    tariff = {"kind": "fixed", "import_per_kwh": 0.3, "tiers": tiers}
    house = House(tmp_path, config=parse({**TABLES, "tariff": tariff}))
    await house.plan()
    question = house.solver.questions[-1]
    assert question.imported_wh == 3000.0
    assert [(t.from_wh, t.extra_per_kwh) for t in situation(question).problem.grid.tiers] == [
        (0.0, 0.1),
        (2000.0, 0.2),
    ]


async def test_gaps_in_the_past_stay_gaps(house):
    house.past.quarters = [QuarterMean(NOW - HOUR, 100.0, 5.0), QuarterMean(NOW - HOUR / 2, 300.0, None)]
    await house.plan()
    past = house.solver.questions[0].past
    assert past.load_w[0] == 100.0
    assert past.load_w[1] != past.load_w[1]
    assert past.pv_w[0] == 5.0
    assert past.pv_w[2] != past.pv_w[2]


async def test_forecasts_are_scored_against_what_came(house):
    await house.plan()
    for n in range(1, 12):
        house.utc = NOW + 15 * n * MINUTE
        begun = house.utc.replace(minute=house.utc.minute // 15 * 15) - 15 * MINUTE
        house.past.quarters = [QuarterMean(begun, 600.0, None)]
        await house.plan()
    (score,) = house.planner.outlook().scores
    assert (score.what, score.lead_h, score.bias_w, score.error_w) == ("load", 1.0, -100.0, 100.0)
    assert score.inside_pct == 100.0
    assert score.pinball_w == pytest.approx((0.1 * 150 + 0.5 * 100 + 0.1 * 50) / 3, abs=0.1)


async def test_a_mistake_in_planning_does_not_end_the_services(house, monkeypatch):
    looks = []

    def broken():
        looks.append(1)
        raise ZeroDivisionError("no quarter")

    monkeypatch.setattr("gateway.services.planner.RETRY_S", 0.01)
    house.planner._known = broken
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(house.planner.run())
        while len(looks) < 3:
            await asyncio.sleep(0.01)
        running.cancel()


async def test_the_optimisers_own_process_answers_again_after_it_was_killed(house):
    solver = SolverProcess()
    try:
        question = house.planner._question("test")
        assert (await solver.ask(question, patience_s=60.0)).plan is not None
        assert solver.running
        solver._process.kill()
        with pytest.raises(Unreachable):
            await solver.ask(question)
        assert (await solver.ask(question, patience_s=60.0)).plan.because == "test"
    finally:
        await solver.close()
    assert not solver.running


async def test_an_optimiser_that_says_nothing_or_rubbish_is_ended(house):
    question = replace(house.planner._question("test"), within_s=0.1)
    for program in ("import sys; sys.stdin.read()", "print('x' * 100, flush=True); input()"):
        solver = SolverProcess((sys.executable, "-c", program))
        with pytest.raises(Unreachable):
            await solver.ask(question, patience_s=2.0)
        assert not solver.running
