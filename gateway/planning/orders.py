"""Pure: a ``Schedule`` → the ``Plan`` that control follows and the owner reads."""

from datetime import datetime, timedelta

from gateway.model import DeviceId, Exchange, Plan, PlanShortfall, PlanSlot
from gateway.planning.problem import Lack, Problem, Schedule, Shortfall, Store

VALID_FOR = timedelta(hours=2)
"""A plan is remade every quarter of an hour; one that is not remade is not trusted longer than this."""
KINK_W = 50.0
"""So near to 0 the site lives of its own energy."""
LEAST_W = 1.0
LEAST_WH = 10.0


def plan_of(
    problem: Problem,
    schedule: Schedule,
    because: str,
    notes: tuple[str, ...] = (),
    made_at: datetime | None = None,
) -> Plan | None:
    """Return the plan of a schedule over its whole horizon, None where it moves no device."""
    if not problem.stores:
        return None
    horizon = problem.horizon
    utc = made_at or horizon.starts_at
    edges = [horizon.at(step) for step in range(horizon.steps + 1)]
    stores = {s.id: s for s in problem.stores}
    slots = tuple(
        _slot(stores, schedule, step, edges[step], edges[step + 1]) for step in range(horizon.steps)
    )
    return Plan(
        id=f"{utc:%Y%m%dT%H%M%SZ}",
        made_at=utc,
        expires_at=min(utc + VALID_FOR, edges[-1]),
        because=because,
        slots=slots,
        made=str(schedule.made),
        cost=round(schedule.cost, 4),
        bound=None if schedule.bound is None else round(schedule.bound, 4),
        seconds=round(schedule.seconds, 4),
        shortfalls=tuple(
            _shortfall(s, stores, schedule, edges) for s in schedule.shortfalls if s.energy_wh >= LEAST_WH
        ),
        notes=notes,
    )


def _slot(
    stores: dict[DeviceId, Store], schedule: Schedule, step: int, starts_at: datetime, ends_at: datetime
) -> PlanSlot:
    present = [d for d, s in stores.items() if s.charge_max_w[step] > 0 or s.discharge_max_w[step] > 0]
    grid_w = float(schedule.grid_w[step])
    return PlanSlot(
        starts_at,
        ends_at,
        round(grid_w, 1),
        {d: _clean(float(schedule.power_w[d][step])) for d in present},
        {d: schedule.codes[d][step] for d in stores},
        _exchange(grid_w),
        {
            d: round(100 * float(schedule.energy_wh[d][step + 1]) / s.capacity_wh, 1)
            for d, s in stores.items()
        },
    )


def _exchange(grid_w: float) -> Exchange:
    """Where the site imports or exports anyway, the grid is where a surprise costs least; at 0 it is the battery."""
    if grid_w > KINK_W:
        return Exchange.IMPORT
    return Exchange.EXPORT if grid_w < -KINK_W else Exchange.HELD


def _clean(power_w: float) -> float:
    return round(power_w, 1) if abs(power_w) >= LEAST_W else 0.0


def _shortfall(
    lack: Shortfall, stores: dict[DeviceId, Store], schedule: Schedule, edges: list[datetime]
) -> PlanShortfall:
    store = stores.get(lack.device) if lack.device else None
    soc_pct = target_pct = None
    if store is not None:
        held_wh = schedule.energy_wh[store.id][min(lack.step, len(edges) - 1)]
        soc_pct = round(100 * float(held_wh) / store.capacity_wh, 1)
        wanted = next((d for d in store.departures if d.step == lack.step), None)
        if lack.lack is Lack.DEPARTURE and wanted is not None:
            target_pct = round(100 * wanted.energy_wh / store.capacity_wh, 1)
    return PlanShortfall(
        str(lack.lack),
        edges[min(lack.step, len(edges) - 1)],
        round(lack.energy_wh, 1),
        round(lack.minutes, 1),
        lack.device or "",
        soc_pct,
        target_pct,
    )
