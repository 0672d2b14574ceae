"""Sub-boards and groups of chargers that may bind: who is below each, and what is left of it for some beside the others."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from gateway.planning.fleet.cars import Cars, Places, Table
from gateway.planning.optimizer.facts import Circuit, Facts
from gateway.planning.problem import Series


@dataclass(frozen=True, slots=True, eq=False)
class Left:
    """What ``cars`` of a block may draw together, by step."""

    cars: Places
    least_kw: Series
    most_kw: Series


@dataclass(frozen=True, slots=True, eq=False)
class Boards:
    """The circuits that can bind, and which of them each store is nearest below (-1: none)."""

    circuits: tuple[Circuit, ...]
    below: tuple[Places, ...]
    nearest: Places

    @classmethod
    def of(cls, facts: Facts, cars: Cars) -> Boards:
        """Return the circuits whose stores could do more than they may."""
        circuits: list[Circuit] = []
        below: list[Places] = []
        nearest, size = np.full(cars.count, -1), np.full(cars.count, cars.count + 1)
        for circuit in facts.circuits:
            members = np.array(circuit.packs, np.int64)
            over = cars.charge_kw[members].sum(0) > circuit.most_kw + 1e-9
            under = -cars.discharge_kw[members].sum(0) < circuit.least_kw - 1e-9
            if not (over | under).any():
                continue
            closer = members[size[members] > len(members)]
            nearest[closer], size[closer] = len(circuits), len(members)
            circuits.append(circuit)
            below.append(members)
        return cls(tuple(circuits), tuple(below), nearest)

    @property
    def bind(self) -> bool:
        """Tell whether any may."""
        return bool(self.circuits)

    @property
    def turns(self) -> int:
        """How many blocks it takes until every store was planned within its boards."""
        return len(list(self.blocks(80))) if self.bind else 1

    def blocks(self, most: int) -> Iterator[Places]:
        """Yield all stores, those of a board together, boards as many as make ``most`` stores."""
        order = np.argsort(self.nearest, kind="stable")
        parts = np.split(order, np.flatnonzero(np.diff(self.nearest[order])) + 1)
        block: list[Places] = []
        for part in parts:
            for piece in np.array_split(part, -(-len(part) // most)):
                if block and sum(map(len, block)) + len(piece) > most:
                    yield np.concatenate(block)
                    block = []
                block.append(piece)
        if block:
            yield np.concatenate(block)

    def around(self, chosen: Places, net_kw: Table) -> tuple[Left, ...]:
        """Return what the boards leave to ``chosen`` while all others do as in ``net_kw``."""
        place = np.full(len(net_kw), -1)
        place[chosen] = np.arange(len(chosen))
        left = []
        for circuit, members in zip(self.circuits, self.below, strict=True):
            ours = members[place[members] >= 0]
            if len(ours):
                others = net_kw[members].sum(0) - net_kw[ours].sum(0)
                left.append(Left(place[ours], circuit.least_kw - others, circuit.most_kw - others))
        return tuple(left)
