"""Pure: who may do what while the grid is gone. The grid-forming inverter balances by itself; the rest must not burden it.

Cars are charged from surplus sun alone, and only once the house battery is nearly full; they help the battery when it has
little left, or when the inverter carries too much, never below what they need to drive away. Flexible loads are all shed at
once, and given back one by one from the end of the order, while there is sun for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf

from gateway.config import BackupTable
from gateway.model import (
    ZERO,
    BackupPhase,
    Bound,
    DeviceId,
    DeviceInfo,
    EvseSample,
    Interval,
    LoadSample,
    Snapshot,
    StorageSample,
)

LOADED_SHARE, RELIEVED_SHARE = 0.8, 0.7
"""Of what the inverter can carry for ever (reference/needs.md 2.6): from the one on cars relieve it, to the other they go on."""
FULL_PCT, NO_LONGER_FULL_PCT = 95.0, 88.0
CURTAILED_PCT = 98.0
"""From here on the sun is held back by the frequency, so how much of it there is must be tried."""
TRY_W = 300.0
HELP_PCT, HELPED_PCT = 50.0, 60.0
DRIVE_AWAY_MARGIN_PCT = 2.0
KEPT_W = 150.0
"""Left to the house battery by a helping car, lest one feeds the other."""
LEAST_W = 300.0
"""A car's converter loses more than it gives below this."""
OPEN_W = 1e6
STEP_S = 20.0
"""Between two loads given back."""
SHED_STEP_S = 1.0


@dataclass(frozen=True, slots=True)
class Island:
    """What is decided of an island, carried from tick to tick: ``shed`` in the order of going; ``at`` of the last change."""

    shed: tuple[DeviceId, ...] = ()
    changed_at: float = -inf
    full: bool = False
    helping: bool = False
    overloaded: bool = False
    bounds: Mapping[DeviceId, Bound] = field(default_factory=dict)


def carry(before: Island, snapshot: Snapshot, table: BackupTable, phase: BackupPhase) -> Island:
    """Return what holds while an inverter carries the house."""
    inverters = {d: s for d, s in snapshot.storages.items() if s is not None and s.islanded}
    most_pct = max((s.soc_pct for s in inverters.values()), default=0.0)
    carried_w = -sum(s.power_w for s in inverters.values())
    too_much_w = carried_w - LOADED_SHARE * table.continuous_w
    full = most_pct >= (NO_LONGER_FULL_PCT if before.full else FULL_PCT)
    helping = most_pct <= (HELPED_PCT if before.helping else HELP_PCT)
    helping |= _unhelped_w(snapshot, carried_w) > table.continuous_w * (
        RELIEVED_SHARE if before.helping else LOADED_SHARE
    )
    loads, changed_at = _shed(before, snapshot, table, full=full, carried_w=carried_w)
    bounds: dict[DeviceId, Bound] = {d: Bound(ZERO, "islanded", 0.0) for d in snapshot.storages}
    bounds |= _cars(
        snapshot, table, carried_w, most_pct, full=full and too_much_w <= 0, helping=helping, phase=phase
    )
    held = {*loads, *(d for d in snapshot.evses if bounds[d].interval.max_w <= 0)}
    shed = tuple(dict.fromkeys(d for d in (*before.shed, *_order(snapshot, table)) if d in held))
    overloaded = too_much_w > 0 and held >= set(snapshot.loads)
    return Island(shed, changed_at, full, helping, overloaded, bounds)


def _unhelped_w(snapshot: Snapshot, carried_w: float) -> float:
    """Return what the inverter would carry without the cars, so that a car's help is not what ends it."""
    return carried_w + sum(max(0.0, -s.power_w) for s in snapshot.evses.values() if s is not None)


def _order(snapshot: Snapshot, table: BackupTable) -> tuple[DeviceId, ...]:
    """Return loads and chargers, the first to go first: those that the owner does not name go before those he names."""
    known = (*snapshot.evses, *snapshot.loads)
    named = [d for d in table.shed_order if d in known]
    return (*(d for d in known if d not in named), *named)


def _shed(
    before: Island, snapshot: Snapshot, table: BackupTable, *, full: bool, carried_w: float
) -> tuple[tuple[DeviceId, ...], float]:
    """Return the loads that are held off, and when that last changed."""
    order, now = [d for d in _order(snapshot, table) if d in snapshot.loads], snapshot.at
    if not before.bounds or not full:
        return tuple(order), now
    given = [d for d in order if d not in before.shed]
    room_w = LOADED_SHARE * table.continuous_w - carried_w
    if given and room_w < 0 and now - before.changed_at >= SHED_STEP_S:
        return tuple(d for d in order if d not in given[1:]), now
    waiting = [d for d in order if d in before.shed]
    if waiting and now - before.changed_at >= STEP_S:
        power_w = _drawn_w(snapshot, waiting[-1])
        sunny = carried_w <= -power_w or (carried_w <= KEPT_W and _curtails(snapshot))
        if power_w <= room_w and sunny and _leg_bears(snapshot, table, waiting[-1], power_w):
            return tuple(waiting[:-1]), now
    return tuple(waiting), before.changed_at


def _curtails(snapshot: Snapshot) -> bool:
    """Tell whether the battery is so full that the sun is held back."""
    return any(
        s is not None and s.islanded and s.soc_pct >= CURTAILED_PCT for s in snapshot.storages.values()
    )


def _drawn_w(snapshot: Snapshot, load: DeviceId) -> float:
    return max(snapshot.devices[load].rated.max_w, 0.0)


def _load_w(snapshot: Snapshot, load: DeviceId, sample: LoadSample) -> float:
    """Return what a load that is on draws, its rating where nobody measures it."""
    return _drawn_w(snapshot, load) if sample.power_w is None else sample.power_w


def _leg_bears(snapshot: Snapshot, table: BackupTable, device: DeviceId, power_w: float) -> bool:
    """Tell whether each leg that the device hangs on has room for it; the rest of the house is taken as spread evenly."""
    if table.leg_w is None:
        return True
    house_w = max(0.0, house_load_w(snapshot)) / 3
    wired = snapshot.devices[device].phases
    return all(
        house_w + _flexible_w(snapshot, leg) + power_w / len(wired) <= LOADED_SHARE * table.leg_w
        for leg in wired
    )


def _flexible_w(snapshot: Snapshot, leg: int) -> float:
    """Return what the known devices draw from one leg now."""
    drawn: list[tuple[DeviceInfo, float]] = [
        (snapshot.devices[d], max(0.0, s.power_w)) for d, s in snapshot.evses.items() if s is not None
    ]
    drawn += [
        (snapshot.devices[d], _load_w(snapshot, d, s))
        for d, s in snapshot.loads.items()
        if s is not None and s.on
    ]
    return sum(power_w / len(info.phases) for info, power_w in drawn if leg in info.phases)


def house_load_w(snapshot: Snapshot) -> float:
    """Return what the house draws besides batteries, cars and switched loads, sun not deducted."""
    grid, pv = snapshot.grid(), snapshot.pv()
    drawn_w = grid.power_w if grid is not None else 0.0
    drawn_w -= sum(s.power_w for s in snapshot.storages.values() if s is not None)
    drawn_w -= sum(s.power_w for s in snapshot.evses.values() if s is not None)
    drawn_w -= sum(_load_w(snapshot, d, s) for d, s in snapshot.loads.items() if s is not None and s.on)
    return max(0.0, drawn_w - (pv.power_w if pv is not None else 0.0))


def _cars(
    snapshot: Snapshot,
    table: BackupTable,
    carried_w: float,
    most_pct: float,
    *,
    full: bool,
    helping: bool,
    phase: BackupPhase,
) -> dict[DeviceId, Bound]:
    """Return what each car may do: take surplus sun, help, or nothing."""
    sun_w = -carried_w - KEPT_W + (TRY_W if most_pct >= CURTAILED_PCT else 0.0)
    give_w = carried_w - KEPT_W if phase is BackupPhase.ISLANDED else carried_w
    bounds: dict[DeviceId, Bound] = {}
    for device, sample in snapshot.evses.items():
        now_w = sample.power_w if sample is not None else 0.0
        takes_w = max(0.0, now_w) + sun_w
        gives_w = max(0.0, -now_w) + give_w
        if helping and can_help(snapshot, device, sample):
            most_w = sample.discharge_max_w if sample is not None and sample.discharge_max_w else OPEN_W
            worth = gives_w >= (0.0 if phase is BackupPhase.RESERVE else LEAST_W)
            asked_w = min(gives_w, most_w) if worth else 0.0
            bounds[device] = Bound(Interval(-asked_w, 0.0), "island_support", -asked_w)
            give_w -= max(0.0, asked_w - max(0.0, -now_w))
        elif full and takes_w >= max(LEAST_W, snapshot.devices[device].min_charge_w):
            most_w = min(takes_w, _leg_room_w(snapshot, table, device, now_w))
            bounds[device] = Bound(Interval(0.0, max(0.0, most_w)), "island_surplus", max(0.0, most_w))
            sun_w -= max(0.0, takes_w - max(0.0, now_w))
        else:
            bounds[device] = Bound(ZERO, "island_shed", 0.0, engage=full)
    return bounds


def charge_pct(sample: EvseSample | StorageSample | None) -> float | None:
    """Return the charge of a battery or of the car at an EVSE, None where it is not known."""
    if isinstance(sample, EvseSample):
        return sample.vehicle.soc_pct if sample.vehicle else None
    return sample.soc_pct if sample else None


def can_help(snapshot: Snapshot, device: DeviceId, sample: EvseSample | StorageSample | None) -> bool:
    """Tell whether a car may give to the house: the owner allows it, and it can still drive away afterwards."""
    settings, has_pct = snapshot.wishes.owner.of(device), charge_pct(sample)
    if has_pct is None or not settings.discharge_allowed or snapshot.devices[device].rated.min_w >= 0:
        return False
    before = snapshot.control.backup.bounds.get(device)
    helps = before is not None and before.code == "island_support"
    return has_pct > settings.drive_away_soc_pct + (0.0 if helps else DRIVE_AWAY_MARGIN_PCT)


def _leg_room_w(snapshot: Snapshot, table: BackupTable, device: DeviceId, now_w: float) -> float:
    if table.leg_w is None:
        return OPEN_W
    wired, house_w = snapshot.devices[device].phases, max(0.0, house_load_w(snapshot)) / 3
    own_w = max(0.0, now_w) / len(wired)
    used = (house_w + _flexible_w(snapshot, leg) - own_w for leg in wired)
    return len(wired) * min(LOADED_SHARE * table.leg_w - leg_w for leg_w in used)
