"""HiGHS: the only file that knows it. A programme in, an answer out; what a solver cannot do is None."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import highspy
import numpy as np

from gateway.planning.optimizer.program import Matrix
from gateway.planning.problem import Series

SCALE = 100.0
"""Costs are solved in hundredths, so that the tie-breaks stand above HiGHS's dual tolerance of 1e-7."""

SMALL = 8_000
"""So few columns are solved sooner than they are presolved."""


@dataclass(frozen=True, slots=True, eq=False)
class Answer:
    """The value of each column and the dual of each row; ``complete`` is false where time ran out."""

    values: Series
    duals: Series
    complete: bool


@contextlib.contextmanager
def _nothing_printed() -> Iterator[None]:
    """Keep HiGHS's banner off the standard output: it writes it past Python, before it can be told not to."""
    try:
        kept = os.dup(1)
    except OSError:  # there is no standard output
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 1)
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


class Engine:
    """One HiGHS with the basis of its last answer: a programme of the same structure starts from there."""

    def __init__(self) -> None:
        with _nothing_printed():
            self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        self._highs.setOptionValue("output_flag", False)
        self._last: Matrix | None = None
        self.seconds = 0.0

    def run(self, matrix: Matrix, within_s: float, gap: float = 0.0) -> Answer | None:
        """Solve within ``within_s`` seconds; None where there is no answer at all.

        With switches an answer is complete within ``gap`` of the bound, and has no duals.
        """
        highs = self._highs
        self._give(matrix)
        before = highs.getRunTime()
        highs.setOptionValue("mip_rel_gap", gap)
        highs.setOptionValue("time_limit", before + max(within_s, 0.001))
        highs.run()
        self.seconds += highs.getRunTime() - before
        optimal = highs.getModelStatus() == highspy.HighsModelStatus.kOptimal
        feasible = highspy.SolutionStatus.kSolutionStatusFeasible
        if not optimal and highs.getInfo().primal_solution_status != feasible:
            self._last = None
            return None
        solution = highs.getSolution()
        duals = (
            np.array(solution.row_dual) / SCALE if solution.dual_valid else np.zeros(len(matrix.row_lower))
        )
        return Answer(np.array(solution.col_value), duals, optimal)

    def _give(self, matrix: Matrix) -> None:
        highs, last = self._highs, self._last
        self._last = matrix
        alike = last is not None and matrix.same_shape(last)
        if last is not None and alike and np.array_equal(matrix.value, last.value):
            columns, rows = (
                np.arange(len(matrix.cost), dtype=np.int32),
                np.arange(len(matrix.row_lower), dtype=np.int32),
            )
            highs.changeColsCost(len(columns), columns, matrix.cost * SCALE)
            highs.changeColsBounds(len(columns), columns, matrix.lower, matrix.upper)
            highs.changeRowsBounds(len(rows), rows, matrix.row_lower, matrix.row_upper)
            return
        basis = highs.getBasis() if alike else None
        highs.clearSolver()
        at_once = len(matrix.cost) < SMALL and not len(matrix.switches)
        highs.setOptionValue("presolve", "off" if at_once else "choose")
        whole = np.zeros(len(matrix.cost), np.int32)
        whole[matrix.switches] = 1
        highs.passModel(
            len(matrix.cost),
            len(matrix.row_lower),
            len(matrix.value),
            int(highspy.MatrixFormat.kRowwise),
            int(highspy.ObjSense.kMinimize),
            0.0,
            matrix.cost * SCALE,
            matrix.lower,
            matrix.upper,
            matrix.row_lower,
            matrix.row_upper,
            matrix.start,
            matrix.index,
            matrix.value,
            whole,
        )
        if basis is not None and basis.valid:
            highs.setBasis(basis)
