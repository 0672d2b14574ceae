"""Pure: the physics of a site in one sub-step. Set-points are clipped to power, energy, presence and the connection.

It shares no code with any optimizer: what a plan promised and physics refuses is seen in the bill.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from gateway.planning.problem import Converter


@dataclass(frozen=True, slots=True)
class Pack:
    """A battery, or a car at its charger. Powers are AC magnitudes; ``floor_wh`` binds discharge alone."""

    id: str
    capacity_wh: float
    charge_max_w: float
    discharge_max_w: float
    converter: Converter = field(default_factory=Converter)
    floor_wh: float = 0.0
    ceiling_wh: float | None = None
    is_car: bool = False

    @property
    def top_wh(self) -> float:
        """How far it may be charged."""
        return self.capacity_wh if self.ceiling_wh is None else self.ceiling_wh

    def cell_w(self, ac_w: float) -> float:
        """Return the power into the cell for an AC power; the idle loss is there whenever it runs."""
        if ac_w > 0:
            return max(0.0, ac_w - self.converter.idle_w) * self.converter.charge_efficiency
        if ac_w < 0:
            return (ac_w - self.converter.idle_w) / self.converter.discharge_efficiency
        return 0.0

    def bounds_w(self, energy_wh: float, hours: float) -> tuple[float, float]:
        """Return between which AC powers it can be held for ``hours``."""
        room_w = max(0.0, self.top_wh - energy_wh) / hours
        high = min(self.charge_max_w, room_w / self.converter.charge_efficiency + self.converter.idle_w)
        given_w = max(0.0, energy_wh - self.floor_wh) / hours * self.converter.discharge_efficiency
        low = min(self.discharge_max_w, given_w - self.converter.idle_w)
        return -max(0.0, low), high if room_w > 0 else 0.0


class Follow(StrEnum):
    """What the fast path holds within a slot."""

    POWER = "power"
    EXCHANGE = "exchange"
    SIDE = "side"


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of a slot: AC power per pack, the grid exchange, and which of them is held.

    ``SIDE`` holds the powers as long as the site stays on the planned side of the meter, else an exchange of 0. Packs of
    ``steady`` keep to their power, but for the connection's sake.
    """

    power_w: Mapping[str, float]
    grid_w: float = 0.0
    follow: Follow = Follow.POWER
    steady: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Connection:
    """Limits of the grid connection as magnitudes."""

    import_max_w: float = 9000.0
    export_max_w: float = 9000.0


@dataclass(frozen=True, slots=True)
class Flow:
    """What a sub-step did: means in W, and what each pack holds at its end."""

    grid_w: float
    power_w: Mapping[str, float]
    energy_wh: Mapping[str, float]
    curtailed_w: float = 0.0


NEAR_ZERO_W = 50.0


def flow(
    packs: Sequence[Pack],
    energy_wh: Mapping[str, float],
    base_w: float,
    order: Order,
    connection: Connection,
    hours: float,
) -> Flow:
    """Return what happens for ``hours`` with ``packs`` (those that are here, first to follow first) beside ``base_w``."""
    bounds = {p.id: p.bounds_w(energy_wh[p.id], hours) for p in packs}
    power = {p.id: _clamp(order.power_w.get(p.id, 0.0), bounds[p.id]) for p in packs}
    grid_w = base_w + sum(power.values())
    wanted_w = _clamp(_wanted_w(order, grid_w), (-connection.export_max_w, connection.import_max_w))
    grid_w = _share([p for p in packs if p.id not in order.steady], power, bounds, grid_w, wanted_w)
    if grid_w > connection.import_max_w:
        grid_w = _share(packs[::-1], power, bounds, grid_w, connection.import_max_w)
    after = {p.id: energy_wh[p.id] + p.cell_w(power[p.id]) * hours for p in packs}
    curtailed_w = max(0.0, -connection.export_max_w - grid_w)
    return Flow(grid_w + curtailed_w, power, {**energy_wh, **after}, curtailed_w)


def _wanted_w(order: Order, grid_w: float) -> float:
    if order.follow is Follow.EXCHANGE:
        return order.grid_w
    if order.follow is Follow.POWER:
        return grid_w
    if abs(order.grid_w) <= NEAR_ZERO_W:
        return 0.0
    return max(grid_w, 0.0) if order.grid_w > 0 else min(grid_w, 0.0)


def _share(
    packs: Sequence[Pack],
    power: dict[str, float],
    bounds: Mapping[str, tuple[float, float]],
    grid_w: float,
    wanted_w: float,
) -> float:
    """Move packs one after the other until the exchange is ``wanted_w``; return what it is then."""
    for pack in packs:
        moved = _clamp(power[pack.id] + wanted_w - grid_w, bounds[pack.id])
        grid_w += moved - power[pack.id]
        power[pack.id] = moved
    return grid_w


def _clamp(value: float, bounds: tuple[float, float]) -> float:
    return min(max(value, bounds[0]), bounds[1])
