"""Some stores of a fleet planned together exactly, while all others keep what they do."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.fleet.boards import Left
from gateway.planning.fleet.cars import Cars, Table
from gateway.planning.fleet.site import Site
from gateway.planning.fleet.stores import Columns, add_stores
from gateway.planning.optimizer.facts import Facts
from gateway.planning.optimizer.program import Matrix, Program
from gateway.planning.optimizer.soft import PENALTY, sooner
from gateway.planning.optimizer.solver import Engine
from gateway.planning.problem import Lack, Series

type Range = tuple[Table, Table]
"""The least and the most, by store and step."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """The powers of the stores, the price per kWh by step at which they are best, and the cost of the site with them."""

    net_kw: Table
    per_kwh: Series
    cost: float


def plan_block(
    site: Facts,
    cars: Cars,
    others_kw: Series,
    within_s: float,
    allowed: tuple[Range, Range] | None = None,
    boards: tuple[Left, ...] = (),
    gap: float | None = None,
) -> Block | None:
    """Plan ``cars`` beside what others draw; None if time runs out.

    With a ``gap`` each power is nothing or at least the least, the best that is found so near to the optimum; such a plan has no prices.

    ``site`` has the whole fleet as one store. ``allowed`` are the ranges of charging and discharging power, ``boards`` what is left
    of the circuits for some of ``cars`` together.
    """
    connection, zero = Site.of(site), np.zeros_like(cars.charge_kw)
    charge, discharge = allowed or ((zero, cars.charge_kw), (zero, cars.discharge_kw))
    columns = add_stores(connection.program, cars, charge, discharge)
    for board in boards:
        _add_board(connection.program, columns, board, cars)
    net = connection.join(others_kw, *columns.parts())
    matrix = connection.program.matrix() if gap is None else _switched(connection.program, columns, cars)
    answer = Engine().run(matrix, within_s, gap or 0.0)
    if answer is None or not (answer.complete or gap is not None):
        return None
    into, out = columns.powers(answer.values, cars.charge_kw.shape)
    return Block(
        into - out, answer.duals[net] / np.maximum(site.hours, 1e-9), float(matrix.cost @ answer.values)
    )


def _add_board(program: Program, columns: Columns, board: Left, cars: Cars) -> None:
    """Keep some within what their circuit leaves; what it cannot bear costs as much as any limit of the site."""
    steps = len(cars.hours)
    below = np.zeros(cars.count, bool)
    below[board.cars] = True
    into, out = below[columns.charge_car], below[columns.discharge_car]
    cost = PENALTY[Lack.SAFETY] * cars.hours
    over, under = program.columns(steps, 0, np.inf, cost), program.columns(steps, 0, np.inf, cost)
    program.rows(
        steps,
        board.least_kw,
        board.most_kw,
        (columns.charge[into], 1.0, columns.charge_at[into]),
        (columns.discharge[out], -1.0, columns.discharge_at[out]),
        (over, -1.0),
        (under, 1.0),
    )


def _switched(program: Program, columns: Columns, cars: Cars) -> Matrix:
    """Return the programme in which each store charges at its least power or above, or gives so, or does nothing.

    Without tie-breaks: where hours of one price are alike, whole powers are found at once, and else hardly.
    """
    row, later = np.full(cars.charge_kw.size, -1, np.int32), sooner(cars.hours)
    running = []
    for flow, car, at, least, most in (
        (columns.charge, columns.charge_car, columns.charge_at, cars.charge_min_kw, cars.charge_kw),
        (
            columns.discharge,
            columns.discharge_car,
            columns.discharge_at,
            cars.discharge_min_kw,
            cars.discharge_kw,
        ),
    ):
        on = program.switches(len(flow))
        program.rows(len(flow), -np.inf, 0.0, (flow, 1.0), (on, -most[car, at]))
        program.rows(len(flow), 0.0, np.inf, (flow, 1.0), (on, -least[car]))
        running.append((on, car * len(cars.hours) + at))
    moments = np.unique(np.concatenate([moment for _, moment in running]))
    row[moments] = np.arange(len(moments))
    program.rows(len(moments), -np.inf, 1.0, *((on, 1.0, row[moment]) for on, moment in running))
    matrix = program.matrix()
    matrix.cost[columns.charge] -= later[columns.charge_at]
    matrix.cost[columns.discharge] -= later[columns.discharge_at]
    return matrix


def as_switched(cars: Cars, net_kw: Table) -> tuple[Range, Range]:
    """Return the ranges in which each store stays on or off, and in its direction, as in ``net_kw``."""
    on, back = net_kw > 0, net_kw < 0
    charge = (
        np.where(on, np.minimum(cars.charge_min_kw[:, None], cars.charge_kw), 0.0),
        np.where(on, cars.charge_kw, 0.0),
    )
    discharge = (
        np.where(back, np.minimum(cars.discharge_min_kw[:, None], cars.discharge_kw), 0.0),
        np.where(back, cars.discharge_kw, 0.0),
    )
    return charge, discharge
