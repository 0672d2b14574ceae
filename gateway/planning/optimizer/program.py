"""A linear programme as it grows: blocks of columns and of rows, and their sparse matrix."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gateway.planning.problem import Series

type Index = NDArray[np.int32]
type Term = tuple[Index, ArrayLike] | tuple[Index, ArrayLike, Index]
"""Columns, their coefficients, and which row of the block each belongs to (the n-th to the n-th, where it is not said)."""


@dataclass(frozen=True, slots=True, eq=False)
class Matrix:
    """What a solver reads, row by row; ``switches`` are columns that are 0 or 1."""

    cost: Series
    lower: Series
    upper: Series
    row_lower: Series
    row_upper: Series
    start: Index
    index: Index
    value: Series
    switches: Index

    def same_shape(self, other: Matrix) -> bool:
        """Tell whether rows and columns meet at the same places, whatever stands there."""
        return np.array_equal(self.start, other.start) and np.array_equal(self.index, other.index)


class Program:
    """Collects blocks; ``matrix()`` joins them. It can grow on after that."""

    def __init__(self) -> None:
        self.width = self.height = 0
        self._columns: list[tuple[Series, Series, Series]] = []
        self._rows: list[tuple[Series, Series]] = []
        self._terms: list[tuple[Index, Index, Series]] = []
        self._switches: list[Index] = []

    def columns(
        self,
        count: int,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = np.inf,
        cost: ArrayLike = 0.0,
    ) -> Index:
        """Add ``count`` columns and return where they stand."""
        self._columns.append((_full(lower, count), _full(upper, count), _full(cost, count)))
        self.width += count
        return np.arange(self.width - count, self.width, dtype=np.int32)

    def switches(self, count: int) -> Index:
        """Add ``count`` columns that are 0 or 1, and return where they stand."""
        self._switches.append(self.columns(count, 0.0, 1.0))
        return self._switches[-1]

    def rows(self, count: int, lower: ArrayLike, upper: ArrayLike, *terms: Term) -> Index:
        """Add ``count`` rows and return where they stand."""
        self._rows.append((_full(lower, count), _full(upper, count)))
        at = np.arange(self.height, self.height + count, dtype=np.int32)
        for columns, coefficients, *rows in terms:
            self._terms.append((at[rows[0]] if rows else at, columns, _full(coefficients, len(columns))))
        self.height += count
        return at

    def matrix(self) -> Matrix:
        """Return everything so far."""
        rows = _joined([t[0] for t in self._terms], np.int32)
        order = np.argsort(rows, kind="stable")
        start = np.zeros(self.height + 1, np.int32)
        np.cumsum(np.bincount(rows, minlength=self.height), out=start[1:])
        return Matrix(
            _joined([c[2] for c in self._columns], np.float64),
            _joined([c[0] for c in self._columns], np.float64),
            _joined([c[1] for c in self._columns], np.float64),
            _joined([r[0] for r in self._rows], np.float64),
            _joined([r[1] for r in self._rows], np.float64),
            start,
            _joined([t[1] for t in self._terms], np.int32)[order],
            _joined([t[2] for t in self._terms], np.float64)[order],
            _joined(self._switches, np.int32),
        )


def _full(value: ArrayLike, count: int) -> Series:
    if isinstance(value, np.ndarray) and value.shape == (count,):
        return value.astype(np.float64, copy=False)
    return np.full(count, value, np.float64)


def _joined[T: np.generic](parts: list[NDArray[T]], kind: type[T]) -> NDArray[T]:
    return np.concatenate(parts) if parts else np.zeros(0, kind)
