"""Decisions imposed on a programme: it is laid out once, and only its bounds and what running loses change."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.program import Index, Matrix
from gateway.planning.optimizer.site import Layout, lay_out
from gateway.planning.optimizer.store import FREE, StoreColumns, rates


@dataclass(frozen=True, slots=True, eq=False)
class Decisions:
    """What a linear programme cannot know.

    Per store and step its mode, and whether its least power is ``firm``; per step the direction of the grid.
    """

    modes: NDArray[np.int8]
    firm: NDArray[np.bool_]
    grid: NDArray[np.int8]

    @classmethod
    def none(cls, facts: Facts) -> Decisions:
        """Return nothing decided."""
        shape = (len(facts.packs), facts.steps)
        return cls(np.full(shape, FREE, np.int8), np.zeros(shape, bool), np.full(facts.steps, FREE, np.int8))

    def same(self, other: Decisions) -> bool:
        """Tell whether both decide the same."""
        pairs = ((self.modes, other.modes), (self.firm, other.firm), (self.grid, other.grid))
        return all(np.array_equal(one, two) for one, two in pairs)

    @property
    def count(self) -> int:
        """How many are made."""
        return int((self.modes != FREE).sum() + (self.grid != FREE).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Undecided:
    """The programme of a problem with everything left open, and where each store's powers stand in its balance."""

    facts: Facts
    layout: Layout
    matrix: Matrix
    places: tuple[tuple[Index, Index], ...]

    @classmethod
    def of(cls, facts: Facts) -> Undecided:
        """Lay out ``facts``."""
        program, layout = lay_out(facts)
        matrix = program.matrix()
        return cls(facts, layout, matrix, tuple(_places(matrix, store) for store in layout.stores))

    def decided(self, decisions: Decisions) -> Matrix:
        """Return the programme under ``decisions``."""
        layout, matrix = self.layout, self.matrix
        lower, upper, value = matrix.lower.copy(), matrix.upper.copy(), matrix.value.copy()
        row_lower, row_upper = matrix.row_lower.copy(), matrix.row_upper.copy()
        upper[layout.bought] *= decisions.grid != -1
        upper[layout.sold] *= decisions.grid != 1
        for number, (store, places) in enumerate(zip(layout.stores, self.places, strict=True)):
            pack, modes, firm = self.facts.packs[number], decisions.modes[number], decisions.firm[number]
            into, out, lost = rates(pack, modes)
            for columns, at, place, way, least, per_kwh in (
                (store.charge, store.charge_at, places[0], 1, pack.converter.charge_min_w, -into),
                (store.discharge, store.discharge_at, places[1], -1, pack.converter.discharge_min_w, out),
            ):
                lower[columns] = least * (firm & (modes == way))[at]
                upper[columns] *= ((modes == FREE) | (modes == way))[at]
                value[place] = (per_kwh * self.facts.hours)[at]
            row_lower[store.balance] -= lost * self.facts.hours
            row_upper[store.balance] -= lost * self.facts.hours
        return replace(
            matrix, lower=lower, upper=upper, row_lower=row_lower, row_upper=row_upper, value=value
        )


def _places(matrix: Matrix, store: StoreColumns) -> tuple[Index, Index]:
    """Return where the coefficients of charging and of discharging are among the values of the balance rows."""
    first, last = matrix.start[store.balance[0]], matrix.start[store.balance[-1] + 1]
    place = np.zeros(len(matrix.cost), np.int32)
    place[matrix.index[first:last]] = np.arange(first, last)
    return place[store.charge], place[store.discharge]
