"""A solution of the programme → a schedule, and what it costs by the problem's own prices."""

from collections.abc import Sequence

import numpy as np

from gateway.model import DeviceId
from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.site import Layout
from gateway.planning.optimizer.soft import PENALTY, Slack, sooner
from gateway.planning.problem import Lack, Made, Schedule, Series, Shortfall

LEAST_KWH = 1e-3
"""What lacks less than this is met."""


def schedule_of(facts: Facts, layout: Layout, values: Series, codes: Sequence[tuple[str, ...]]) -> Schedule:
    """Return the schedule that ``values`` describe, without its cost."""
    flows = [store.flow(values) for store in layout.stores]
    curtailed = values[layout.curtailed] if len(layout.curtailed) else np.zeros(facts.steps)
    grid = facts.load_kw - facts.pv_kw + curtailed + sum((c - d for c, d in flows), np.zeros(facts.steps))
    short = [lack for slack in _slacks(layout) for lack in _lacks(facts, slack, values)]
    power_w: dict[DeviceId, Series] = {}
    energy_wh: dict[DeviceId, Series] = {}
    for pack, store, (charge, discharge) in zip(facts.packs, layout.stores, flows, strict=True):
        power_w[pack.id] = (charge - discharge) * 1e3
        energy_wh[pack.id] = (
            np.concatenate([[pack.energy_kwh], np.clip(values[store.energy], 0, pack.capacity_kwh) + 0.0])
            * 1e3
        )
    return Schedule(
        made=Made.OPTIMAL,
        power_w=power_w,
        energy_wh=energy_wh,
        grid_w=grid * 1e3,
        curtailed_w=curtailed * 1e3,
        cost=0.0,
        bound=None,
        codes={pack.id: code for pack, code in zip(facts.packs, codes, strict=True)},
        shortfalls=in_order(short),
    )


def in_order(shortfalls: list[Shortfall]) -> tuple[Shortfall, ...]:
    """Return the gravest first, of the same kind the first."""
    return tuple(sorted(shortfalls, key=lambda s: (list(Lack).index(s.lack), s.step)))


def charging_minutes(pack: Pack, kwh: float) -> float:
    """Return how long ``pack`` would have to charge for ``kwh``."""
    kw = float(pack.charge_kw.max(initial=0.0)) * pack.converter.charge_efficiency
    return kwh / kw * 60 if kw > 0 else 0.0


def paid(facts: Facts, layout: Layout, cost: Series) -> Series:
    """Return ``cost`` per column without the penalties and tie-breaks: what is truly paid."""
    paid = cost.copy()
    paid[layout.unpriced] = 0.0
    for slack in _slacks(layout):
        if slack.lack in PENALTY:
            paid[slack.columns] = 0.0
    later = sooner(facts.hours)
    for store in layout.stores:
        paid[store.charge] -= later[store.charge_at]
        paid[store.discharge] -= later[store.discharge_at]
    return paid


def gives_way(layout: Layout, values: Series) -> bool:
    """Tell whether ``values`` break anything that is not paid for by a price of its own."""
    columns = [s.columns for s in _slacks(layout) if s.lack in PENALTY]
    return bool((values[np.concatenate([layout.unpriced, *columns])] > LEAST_KWH).any())


def _slacks(layout: Layout) -> list[Slack]:
    return [*layout.slacks, *(slack for store in layout.stores for slack in store.slacks)]


def _lacks(facts: Facts, slack: Slack, values: Series) -> list[Shortfall]:
    pack = facts.packs[slack.pack] if slack.pack is not None else None
    short = values[slack.columns] * (1.0 if slack.hours is None else slack.hours)
    return [
        Shortfall(
            slack.lack,
            int(slack.steps[i]),
            float(short[i] * 1e3),
            _minutes(facts, slack, pack, i, float(short[i])),
            pack.id if pack else None,
        )
        for i in np.flatnonzero(short > LEAST_KWH).tolist()
    ]


def _minutes(facts: Facts, slack: Slack, pack: Pack | None, at: int, kwh: float) -> float:
    """Return how long the store would have had to charge for ``kwh``; of the exchange, how long it lasted."""
    return charging_minutes(pack, kwh) if pack else float(facts.hours[slack.steps[at]] * 60)
