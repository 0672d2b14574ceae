"""Pure: what control carries from tick to tick, and the order in which each part is brought up to date."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.config import ControlTables
from gateway.control import (
    backup,
    demand_peak,
    dynamics,
    excursions,
    minimums,
    plausibility,
    quality,
    urgency,
)
from gateway.control.balance import Balance, House
from gateway.control.balance import follow as housed
from gateway.control.frequency import reserve
from gateway.control.vehicles import Followed, follow, judged
from gateway.model import ControlStatus, DeviceId, Remembered, Snapshot


@dataclass(frozen=True, slots=True)
class Memory:
    """``balance`` is None while the grid meter is silent, or not believed."""

    cars: Mapping[DeviceId, Followed] = field(default_factory=dict)
    balance: Balance | None = None
    status: ControlStatus = field(default_factory=ControlStatus)
    exports: excursions.Counter = field(default_factory=excursions.Counter)
    demand: demand_peak.Demand = field(default_factory=demand_peak.Demand)
    needs: urgency.Needs = field(default_factory=urgency.Needs)
    sold: reserve.Reserve = field(default_factory=reserve.Reserve)
    watch: plausibility.Watch = field(default_factory=plausibility.Watch)
    outage: backup.Backup = field(default_factory=backup.Backup)
    moves: dynamics.Movements = field(default_factory=dynamics.Movements)
    house: House = field(default_factory=House)
    watched: quality.Watched = field(default_factory=quality.Watched)


def recalled(remembered: Remembered) -> Memory:
    """Return what control starts with after a restart."""
    status = ControlStatus(
        excursions=remembered.excursions, peak=remembered.peak, dynamics=remembered.dynamics
    )
    return Memory(
        status=status,
        exports=excursions.recalled(remembered.excursions, remembered.as_of),
        demand=demand_peak.Demand(remembered.peak),
        outage=backup.recalled(remembered.backup_phase),
        moves=dynamics.recalled(remembered.dynamics),
    )


def to_remember(memory: Memory) -> Remembered:
    """Return what must survive a restart."""
    status = memory.status
    return Remembered(
        status.excursions, status.peak, status.dynamics, status.backup.phase, memory.exports.utc
    )


def advance(memory: Memory, told: Snapshot, tables: ControlTables) -> tuple[Memory, Snapshot]:
    """Return the memory after ``told``, and the snapshot as control judges it."""
    cars = follow(memory.cars, told)
    raw = quality.corrected(replace(judged(told, cars), control=memory.status), memory.watched.lag_s)
    watch = plausibility.follow(memory.watch, raw, tables.grid)
    seen = plausibility.believed(raw, watch)
    moves = dynamics.follow(memory.moves, seen)
    house = housed(memory.house, seen, moves.arriving_w, moves.reach_w)
    watched = quality.follow(memory.watched, raw, house)
    exports = excursions.follow(memory.exports, seen, tables.grid)
    demand = demand_peak.follow(memory.demand, seen, tables.grid, tables.time_zone)
    needs = urgency.follow(memory.needs, seen, tables.time_zone)
    outage = backup.follow(memory.outage, seen, tables)
    sold = reserve.follow(memory.sold, seen, tables)
    status = replace(
        memory.status,
        excursions=exports.told,
        peak=demand.peak,
        dynamics=moves.dynamics,
        quality=watched.quality,
        urgencies=needs.urgencies,
        reserve=sold.status,
        backup=outage.status,
        minimums=minimums.follow(memory.status.minimums, seen),
    )
    return Memory(
        cars, house.balance, status, exports, demand, needs, sold, watch, outage, moves, house, watched
    ), replace(seen, control=status)
