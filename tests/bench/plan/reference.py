"""The least that any schedule can cost, by a programme of the bench's own: exact for homes, a lower bound for fleets."""

import highspy
import numpy as np

from .case import STRANDED_PER_KWH, Case, Pack

GAP = 1e-6
ROUNDS = 40


def least_cost(case: Case, *, exact: bool, within_s: float = 30.0) -> float:
    """Return what no schedule undercuts.

    ``exact`` forbids to charge and discharge, or to buy and sell, at once: by binaries, in the steps where a solution without them did.
    Where packs have least powers it has binaries for all of these too; if ``within_s`` is too short the bound is a lower one.
    """
    decided = _all_least_powers(case) if exact else set()
    for _ in range(ROUNDS):
        model = _Model(case, decided)
        bound, at_once = model.solve(within_s)
        fresh = at_once - decided
        if not exact or not fresh:
            return bound
        decided |= fresh
    return bound


def _all_least_powers(case: Case) -> set[tuple[int, int]]:
    return {
        (number, step)
        for number, pack in enumerate(case.packs)
        if pack.least_charge or pack.least_discharge
        for step in np.flatnonzero(pack.charge + pack.discharge).tolist()
    }


class _Model:
    """Columns are kept as numbers, rows as triples; the site counts as pack -1."""

    def __init__(self, case: Case, decided: set[tuple[int, int]]) -> None:
        self.case, self.decided = case, decided
        self.cost: list[float] = []
        self.upper: list[float] = []
        self.integer: list[int] = []
        self.rows: list[tuple[float, float, list[tuple[int, float]]]] = []
        self.flows: dict[int, tuple[list[int], list[int]]] = {}
        balance: list[list[tuple[int, float]]] = [[] for _ in case.hours]
        for number, pack in enumerate(case.packs):
            self._add_pack(number, pack, balance)
        self._add_site(balance)

    def column(self, upper: float = np.inf, cost: float = 0.0, *, integer: bool = False) -> int:
        self.cost.append(cost)
        self.upper.append(upper)
        self.integer.append(int(integer))
        return len(self.cost) - 1

    def row(self, lower: float, upper: float, *terms: tuple[int, float]) -> None:
        self.rows.append((lower, upper, list(terms)))

    def either(
        self, number: int, step: int, flows: tuple[int, int], least: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        """Let but one of two flows run, where that was decided, and that one at its least or not at all."""
        if (number, step) not in self.decided:
            return
        switches = []
        for flow, power in zip(flows, least, strict=True):
            switch = self.column(1.0, integer=True)
            switches.append((switch, 1.0))
            self.row(-np.inf, 0.0, (flow, 1.0), (switch, -self.upper[flow]))
            if power:
                self.row(0.0, np.inf, (flow, 1.0), (switch, -power))
        self.row(-np.inf, 1.0, *switches)

    def _add_pack(self, number: int, pack: Pack, balance: list[list[tuple[int, float]]]) -> None:
        trips, into, out, before = dict(pack.trips), [], [], None
        for step, hours in enumerate(self.case.hours):
            charge = self.column(float(pack.charge[step]))
            discharge = self.column(float(pack.discharge[step]), pack.wear / pack.out * hours)
            into.append(charge)
            out.append(discharge)
            self.either(number, step, (charge, discharge), (pack.least_charge, pack.least_discharge))
            balance[step] += [(charge, -1.0), (discharge, 1.0)]
            self._dues(pack, step, before)
            spent = trips.get(step, 0.0)
            level = self.column(pack.capacity - pack.floor)
            start = pack.energy if before is None else pack.floor
            terms = [(level, 1.0), (charge, -pack.into * hours), (discharge, hours / pack.out)]
            if before is not None:
                terms.append((before, -1.0))
            if spent:
                terms.append((self.column(spent, STRANDED_PER_KWH), -1.0))
            self.row(start - pack.floor - spent, start - pack.floor - spent, *terms)
            before = level
        self._dues(pack, len(self.case.hours), before)
        if pack.end_price and before is not None:
            self.row(pack.end - pack.floor, np.inf, (before, 1.0), (self.column(cost=pack.end_price), 1.0))
        self.flows[number] = into, out

    def _dues(self, pack: Pack, step: int, before: int | None) -> None:
        for at, kwh, price in pack.dues:
            if at == step and before is not None:
                self.row(kwh - pack.floor, np.inf, (before, 1.0), (self.column(cost=price), 1.0))

    def _add_site(self, balance: list[list[tuple[int, float]]]) -> None:
        case = self.case
        most = float(
            sum(p.charge.max() + p.discharge.max() for p in case.packs) + case.load.max() + case.sun.max()
        )
        peak = self.column(cost=case.peak_price)
        bought, sold = [], []
        for step, hours in enumerate(case.hours):
            buy, sell = self.column(most, case.buy[step] * hours), self.column(most, -case.sell[step] * hours)
            bought.append(buy)
            sold.append(sell)
            self.either(-1, step, (buy, sell))
            over = self.column(cost=case.over_price * hours)
            self.row(-np.inf, float(case.most_import[step]), (buy, 1.0), (over, -1.0))
            spilled = [(self.column(float(case.sun[step])), -1.0)] if case.spill else []
            net = float(case.load[step] - case.sun[step])
            self.row(net, net, (buy, 1.0), (sell, -1.0), *spilled, *balance[step])
            if case.peak_price:
                self.row(-np.inf, case.peak_so_far, (buy, 1.0), (peak, -1.0))
        self.flows[-1] = bought, sold

    def solve(self, within_s: float) -> tuple[float, set[tuple[int, int]]]:
        """Return the bound, and in which steps of which pack both flows run."""
        highs = highspy.Highs()
        for name, value in (("output_flag", False), ("mip_rel_gap", GAP), ("time_limit", within_s)):
            highs.setOptionValue(name, value)
        starts = np.cumsum([0, *(len(r[2]) for r in self.rows)]).astype(np.int32)
        terms = [term for row in self.rows for term in row[2]]
        highs.passModel(
            len(self.cost),
            len(self.rows),
            len(terms),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            np.array(self.cost),
            np.zeros(len(self.cost)),
            np.array(self.upper),
            np.array([r[0] for r in self.rows]),
            np.array([r[1] for r in self.rows]),
            starts,
            np.array([t[0] for t in terms], np.int32),
            np.array([t[1] for t in terms]),
            np.array(self.integer, np.int32),
        )
        highs.run()
        info, values = highs.getInfo(), highs.getSolution().col_value
        bound = info.mip_dual_bound if any(self.integer) else info.objective_function_value
        at_once = {
            (number, step)
            for number, (ones, others) in self.flows.items()
            for step, (one, other) in enumerate(zip(ones, others, strict=True))
            if values[one] > 1e-6 and values[other] > 1e-6
        }
        return float(bound), at_once
