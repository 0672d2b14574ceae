"""Several strategies through the same year, each in a process of its own, from forecasts that are made once."""

import multiprocessing
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future, ProcessPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from queue import Empty, Queue
from typing import Any

import numpy as np

from gateway.planning.problem import Series
from gateway.year.driving import Driving, driven
from gateway.year.house import Order
from gateway.year.loop import Decide, Trace, run
from gateway.year.outlook import Outlook, Sight, outlook
from gateway.year.planned import Planner
from gateway.year.record import DAY, Record
from gateway.year.result import Result, Worth, result
from gateway.year.rules import by_rule
from gateway.year.site import Site
from gateway.year.strategy import Strategy

type Tell = Callable[[str, float], None]
"""Hears what is being done, and what share of all is done."""


@dataclass(frozen=True, slots=True, eq=False)
class Study:
    """A site, its year, and how it is looked at: plans are made anew every ``every`` quarters; ``parts`` sub-steps a quarter."""

    site: Site
    record: Record
    worth: Worth = field(default_factory=Worth)
    every: int = 4
    parts: int = 3
    sight: Sight = field(default_factory=lambda: Sight(horizon=144, fine=4))
    seed: int = 1

    @property
    def driving(self) -> Driving:
        """The journeys of the year."""
        return driven(self.record, self.site.habit, self.seed)


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """What a strategy did, and what it comes to."""

    result: Result
    trace: Trace


def simulate(study: Study, strategies: Iterable[Strategy], tell: Tell, jobs: int = 2) -> dict[Strategy, Run]:
    """Return the year of each strategy. ``jobs`` processes at a time."""
    wanted = list(dict.fromkeys(strategies))
    moments = range(0, study.record.steps, study.every) if any(s.planned for s in wanted) else range(0)
    days = study.record.steps / DAY
    context = multiprocessing.get_context("forkserver")
    with context.Manager() as shared, ProcessPoolExecutor(jobs, context) as workers:
        news = shared.Queue()
        total = days * (len(wanted) + (1 if moments else 0))
        chunks = [moments[at : at + 24 * 14] for at in range(0, len(moments), 24 * 14)]
        looks = [workers.submit(_outlooks, study, chunk, news) for chunk in chunks]
        _watch(looks, news, tell, "forecasts", 0.0, total)
        seen = [found for look in looks for found in look.result()]
        runs = {s: workers.submit(_one, study, s, seen if s.planned else [], news) for s in wanted}
        _watch(list(runs.values()), news, tell, "the year", days if moments else 0.0, total)
        return {strategy: future.result() for strategy, future in runs.items()}


def _watch(work: list[Future[Any]], news: Any, tell: Tell, what: str, done: float, total: float) -> None:
    """Tell of progress until all of ``work`` is done; what fails is raised."""
    pending: set[Future[Any]] = set(work)
    tell(what, done / max(total, 1e-9))
    while pending:
        finished, pending = wait(pending, timeout=0.3)
        for future in finished:
            future.result()
        before = done
        with suppress(Empty):
            while True:
                done += news.get_nowait()
        if done > before:
            tell(what, min(1.0, done / max(total, 1e-9)))


def _outlooks(study: Study, moments: range, news: Queue[float]) -> list[Outlook]:
    found = [outlook(study.record, now, study.site.habit, study.sight) for now in moments]
    news.put(len(moments) * study.every / DAY)
    return found


def _one(study: Study, strategy: Strategy, seen: list[Outlook], news: Queue[float]) -> Run:
    return year(study, strategy, seen, lambda _: news.put(1.0))


def year(
    study: Study, strategy: Strategy, seen: list[Outlook], tell: Callable[[int], None] = lambda _: None
) -> Run:
    """Simulate one strategy here; ``seen`` are the outlooks of every ``study.every``-th quarter."""
    site, record, driving = study.site, study.record, study.driving
    income, drain_w, sold_w = (
        _reserve(site, record, driving) if strategy is Strategy.FCR else (0.0, None, None)
    )
    decide: Decide
    planner = Planner(site, driving, strategy, reserve_w=sold_w)
    if strategy.planned:
        decide = partial(_by_plan, planner, seen, study.every)
    else:
        decide = by_rule(strategy, site, record, driving)
    trace = run(site, record, driving, decide, parts=study.parts, tell=tell, idle_drain_w=drain_w)
    sums = result(
        strategy,
        site,
        record,
        trace,
        study.worth,
        reserve=income,
        plugged_pct=driving.plugged_pct,
        plans_by_rule=planner.by_rule,
    )
    return Run(sums, trace)


def _by_plan(
    planner: Planner, seen: list[Outlook], every: int, step: int, energy_wh: Mapping[str, float]
) -> Order:
    if step % every == 0:
        planner.plan(step, seen[step // every], energy_wh)
    return planner.order(step)


def _reserve(site: Site, record: Record, driving: Driving) -> tuple[float, Series, Series]:
    """Return what reserve earns after the wear of its activation, what it drains from the pack, and the power sold, per quarter.

    Sold are the blocks that the habit lets expect to be plugged in throughout; paid are those that were.
    """
    terms, steps = site.reserve, record.steps
    sold_w, drain_w = np.zeros(steps), np.zeros(steps)
    power_w = min(terms.power_w, 0.8 * site.car.charge_max_w, 0.8 * site.car.discharge_max_w)
    kw, eta = power_w / 1000, site.car.converter.discharge_efficiency
    each_way_kwh = kw * terms.moved_kwh_per_kw_day / 2
    lost_w = each_way_kwh * (1 / eta - eta) * 1000 / 24 + site.car.converter.idle_w
    expected = np.ones(steps, bool)
    for leaves, returns in driving.usual:
        expected[max(0, leaves - driving.habit.caution - 4) : returns + driving.habit.caution] = False
    block, income = terms.block_h * 4, 0.0
    first = -record.slot_of_day(0) % block
    for begin in range(first, steps - block + 1, block):
        part = slice(begin, begin + block)
        if not (expected[part].all() and driving.plugged[begin]):
            continue
        sold_w[part] = power_w
        if driving.plugged[part].all():
            paid = kw / 1000 * terms.per_mw_h * terms.block_h * terms.kept_share
            income += paid - each_way_kwh / eta * terms.block_h / 24 * site.car_wear.per_kwh
            drain_w[part] = lost_w
    return income, drain_w, sold_w
