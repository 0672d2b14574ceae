"""Price coordination: which prices make the stores, each for itself, do together what is best for the site (Dantzig-Wolfe).

Each round asks all stores for their answer to prices; the site's programme mixes the answers so far, stores of like hours together, and
its duals are the next prices. They are kept in a box around the best prices known, which is widened as the mix converges: duals of few
answers swing widely. What the stores do at given prices, and the site at the same, no schedule undercuts: that is the bound.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from gateway.planning.fleet.answers import Answers, Asker
from gateway.planning.fleet.cars import Cars, Places
from gateway.planning.fleet.site import Site
from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.solver import SCALE
from gateway.planning.problem import Series

STAY = 0.4
"""How far new prices stay at the best ones so far."""
BOX, WIDER = 0.1, 4.0
"""Half the box, as a share of the mean price, and how it grows."""
PRIMAL_SIMPLEX = 4
LEAST_WEIGHT = 1e-6

type Powers = NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Duals:
    """Prices per kWh, and what the site alone would cost at them."""

    per_kwh: Series
    site_cost: float


class Mixture:
    """The site's programme over the answers of ``groups`` of stores. ``cost`` is that of the best mix, ``weights`` [answer, group] its shares."""

    def __init__(self, site: Facts, groups: int, around: Series) -> None:
        whole, steps = Site.of(site), np.arange(site.steps, dtype=np.int32)
        program = whole.program
        self._hours = np.maximum(site.hours, 1e-9)
        self._less, self._more = program.columns(site.steps), program.columns(site.steps)
        self._net = whole.join(np.zeros(site.steps), (self._more, 1.0, steps), (self._less, -1.0, steps))
        self._one = program.rows(groups, 1.0, 1.0)
        self._first = program.width
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        highs = self._highs
        highs.setOptionValue("output_flag", False)
        highs.setOptionValue("simplex_strategy", PRIMAL_SIMPLEX)
        m = program.matrix()
        highs.passModel(
            len(m.cost),
            len(m.row_lower),
            len(m.value),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            m.cost * SCALE,
            m.lower,
            m.upper,
            m.row_lower,
            m.row_upper,
            m.start,
            m.index,
            m.value,
            np.zeros(len(m.cost), np.int32),
        )
        self._box = BOX * max(float(np.abs(around).mean()), 1e-3)
        self._keep_within(around)
        self.cost, self.boxed = np.inf, True
        self.weights = np.zeros((0, groups))

    def _keep_within(self, around: Series) -> None:
        """Let no price leave the box around ``around``: nowhere takes more at its floor, and gives what lacks at its ceiling."""
        high, low = (around + self._box) * self._hours * SCALE, -(around - self._box) * self._hours * SCALE
        self._highs.changeColsCost(len(low), self._more, low)
        self._highs.changeColsCost(len(high), self._less, high)

    def widen(self, around: Series) -> None:
        """Give the prices more room."""
        self._box *= WIDER
        self._keep_within(around)

    def add(self, net_kw: NDArray[np.float64], own_cost: Series) -> None:
        """Add an answer: power by group and step, and what it costs each group beside the site's prices."""
        groups, steps = net_kw.shape
        some = np.abs(net_kw) > 1e-9
        counts = some.sum(1) + 1
        group, step = np.nonzero(np.column_stack([some, np.ones(groups, bool)]))
        rows = np.where(step < steps, self._net[np.minimum(step, steps - 1)], self._one[group]).astype(
            np.int32
        )
        values = np.column_stack([-net_kw, np.ones(groups)])[group, step]
        starts = np.concatenate([[0], np.cumsum(counts)[:-1]]).astype(np.int32)
        endless = np.full(groups, highspy.kHighsInf)
        self._highs.addCols(
            groups, own_cost * SCALE, np.zeros(groups), endless, len(rows), starts, rows, values
        )

    def mix(self) -> Duals | None:
        """Mix the answers; return the prices of the best mix."""
        self._highs.run()
        if self._highs.getModelStatus() != highspy.HighsModelStatus.kOptimal:
            return None
        solution = self._highs.getSolution()
        values, duals = np.array(solution.col_value), np.array(solution.row_dual) / SCALE
        self.cost = self._highs.getInfo().objective_function_value / SCALE
        self.weights = values[self._first :].reshape(-1, len(self._one))
        self.boxed = bool(values[self._more].sum() + values[self._less].sum() > 1e-6)
        return Duals(duals[self._net] / self._hours, self.cost - float(duals[self._one].sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Coordination:
    """The best prices and their bound; the answers, with the weight of each for each group of stores."""

    per_kwh: Series
    bound: float
    answers: tuple[Powers, ...]
    weights: NDArray[np.float64]
    groups: tuple[Places, ...]


def groups_of(cars: Cars, most: int) -> tuple[Places, ...]:
    """Return at most ``most`` groups of stores that are here at like times."""
    here = (cars.charge_kw > 0) | (cars.discharge_kw > 0)
    arrives, stays = here.argmax(1), here.sum(1)
    order = np.lexsort((stays, arrives // 4))
    return tuple(part for part in np.array_split(order, most) if len(part))


def coordinate(
    site: Facts,
    asker: Asker,
    groups: tuple[Places, ...],
    start: Duals,
    rounds: int,
    gap: float,
    left_s: Callable[[], float],
) -> Coordination:
    """Return prices whose bound is within ``gap`` of a mix of the answers to them, or the best of ``rounds``.

    ``left_s`` tells how much time there is: three quarters of it at most are used.
    """
    time_s = left_s()
    order = np.concatenate(groups)
    begins = np.concatenate([[0], np.cumsum([len(g) for g in groups])[:-1]])
    mixture, best, bound, asked = Mixture(site, len(groups), start.per_kwh), start, -np.inf, start
    answers: list[Powers] = []
    for _ in range(rounds):
        answer: Answers = asker.ask(asked.per_kwh)
        found = asked.site_cost + float(answer.cost.sum())
        if found > bound:
            best, bound = asked, found
        net = answer.charge_kw - answer.discharge_kw
        answers.append(net.astype(np.float32))
        mixture.add(np.add.reduceat(net[order], begins), np.add.reduceat(answer.own_cost[order], begins))
        mixed = mixture.mix()
        if mixed is None or left_s() < time_s / 4:
            break
        if mixture.cost - bound <= gap * abs(mixture.cost):
            if not mixture.boxed:
                break
            mixture.widen(best.per_kwh)
        asked = _between(best, mixed)
    return Coordination(best.per_kwh, bound, tuple(answers), mixture.weights, groups)


def _between(best: Duals, mixed: Duals) -> Duals:
    """Return prices between the two; a mean of duals costs the site at least the mean of what they cost it."""
    if not np.isfinite(best.site_cost):
        return mixed
    return Duals(
        STAY * best.per_kwh + (1 - STAY) * mixed.per_kwh,
        STAY * best.site_cost + (1 - STAY) * mixed.site_cost,
    )


def whole_answers(found: Coordination) -> Powers:
    """Return each store's power when it does one of the answers alone, chosen so that the sum stays close to the mix."""
    chosen = np.zeros_like(found.answers[0])
    off = np.zeros(chosen.shape[1])
    for group, cars in enumerate(found.groups):
        mixed = np.flatnonzero(found.weights[:, group] > LEAST_WEIGHT)
        if len(mixed) <= 1:
            chosen[cars] = found.answers[int(mixed[0]) if len(mixed) else -1][cars]
            continue
        weights = found.weights[mixed, group] / found.weights[mixed, group].sum()
        options = np.stack([found.answers[k][cars] for k in mixed], 1).astype(np.float64)
        off_after = options - np.einsum("k,ckt->ct", weights, options)[:, None, :]
        for place, car in enumerate(cars):
            left = off + off_after[place]
            pick = int((left * left).sum(1).argmin())
            chosen[car], off = options[place, pick], left[pick]
    return chosen
