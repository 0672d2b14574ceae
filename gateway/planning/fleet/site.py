"""What a whole fleet meets at the connection: the optimizer's own site, with the fleet as one store without bounds of its own."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from gateway.planning.optimizer.facts import Facts, Pack
from gateway.planning.optimizer.program import Index, Program, Term
from gateway.planning.optimizer.reading import paid, schedule_of
from gateway.planning.optimizer.site import Layout, lay_out
from gateway.planning.optimizer.solver import Engine
from gateway.planning.problem import Converter, Series, Shortfall

VAST_KWH = 1e6


@dataclass(frozen=True, slots=True, eq=False)
class Site:
    """A programme that has the connection in it, and the fleet as a store; its parts are added and then ``join``ed."""

    facts: Facts
    program: Program
    layout: Layout

    @classmethod
    def of(cls, facts: Facts) -> Site:
        """Return the connection of ``facts``, which have the fleet as one store."""
        return cls(facts, *lay_out(facts))

    def join(self, fixed_kw: Series, *parts: Term) -> Index:
        """Make the fleet's power ``fixed_kw`` and the sum of ``parts``; return the rows, by step."""
        (one,) = self.layout.stores
        taken = [cast("Term", (columns, -np.asarray(values), *at)) for columns, values, *at in parts]
        return self.program.rows(
            self.facts.steps,
            fixed_kw,
            fixed_kw,
            (one.charge, 1.0, one.charge_at),
            (one.discharge, -1.0, one.discharge_at),
            *taken,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Exchange:
    """What comes of the fleet's power at the connection: ``cost`` is paid, ``objective`` has the prices of what lacks in it."""

    grid_kw: Series
    curtailed_kw: Series
    cost: float
    objective: float
    shortfalls: tuple[Shortfall, ...]


def exchange_of(facts: Facts, fleet_kw: Series) -> Exchange | None:
    """Return the cheapest exchange when the fleet draws ``fleet_kw``; None where there is none."""
    site = Site.of(facts)
    site.join(fleet_kw)
    matrix = site.program.matrix()
    answer = Engine().run(matrix, 5.0)
    if answer is None:
        return None
    values, layout = answer.values, site.layout
    curtailed = values[layout.curtailed] if len(layout.curtailed) else np.zeros(facts.steps)
    return Exchange(
        facts.load_kw - facts.pv_kw + curtailed + fleet_kw,
        curtailed,
        float(paid(facts, layout, matrix.cost) @ values),
        float(matrix.cost @ values),
        schedule_of(facts, layout, values, [("",) * facts.steps]).shortfalls,
    )


def kept_apart(facts: Facts) -> Facts:
    """Return ``facts`` with batteries that feed no car, where the owner wants that: while any car may charge, they give the house
    alone, each its part of what that draws. They then export nothing, which the optimizer of homes would let them do.
    """
    if facts.battery_may_charge_car:
        return facts
    zero = np.zeros(facts.steps)
    charging = sum((p.charge_kw for p in facts.packs if p.is_car), zero) > 0
    given = sum((p.discharge_kw for p in facts.packs if not p.is_car), zero)
    house = np.where(charging, np.maximum(facts.load_kw - facts.pv_kw, 0.0), np.inf)
    share = np.minimum(1.0, np.divide(house, given, out=np.ones(facts.steps), where=given > 0))
    packs = (p if p.is_car else replace(p, discharge_kw=p.discharge_kw * share) for p in facts.packs)
    return replace(facts, packs=tuple(packs))


def with_one_store(facts: Facts) -> Facts:
    """Return ``facts`` with the whole fleet as one store."""
    # The odd kilowatt keeps what is rounded in the sum possible.
    charge = sum((p.charge_kw for p in facts.packs), np.ones(facts.steps))
    discharge = sum((p.discharge_kw for p in facts.packs), np.ones(facts.steps))
    one = Pack(
        id="fleet",
        capacity_kwh=VAST_KWH,
        energy_kwh=VAST_KWH / 2,
        charge_kw=charge,
        discharge_kw=discharge,
        converter=Converter(1.0, 1.0),
        floor_kwh=0.0,
        ceiling_kwh=VAST_KWH,
        reserve_kwh=np.zeros(facts.steps),
        taper=(),
        wear_per_kwh=0.0,
        resting=(),
        departures=(),
        trips=(),
        end_kwh=0.0,
        end_shortfall_per_kwh=0.0,
        worth_per_kwh=0.0,
        is_car=True,
        circuit="",
    )
    return replace(facts, packs=(one,), circuits=(), sold=())


def share_of(facts: Facts, share: float) -> Facts:
    """Return the connection of a site of the same kind, ``share`` as large."""
    return replace(
        facts,
        load_kw=facts.load_kw * share,
        pv_kw=facts.pv_kw * share,
        doubt_kw=facts.doubt_kw * share,
        import_kw=facts.import_kw * share,
        export_kw=facts.export_kw * share,
        import_cap_kw=facts.import_cap_kw * share,
        export_cap_kw=facts.export_cap_kw * share,
        obliged_kw=facts.obliged_kw * share,
        peak_so_far_kw=facts.peak_so_far_kw * share,
        tiers=tuple((above * share, extra) for above, extra in facts.tiers),
    )
