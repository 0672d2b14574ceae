"""Pure: who may do what while the grid is gone. The grid-forming inverter balances by itself; the rest must not burden it.

Cars are charged from surplus sun alone, and only once the house battery is nearly full; they help the battery when it has
little left, or when the inverter carries too much, never below what they need to drive away. Flexible loads are all shed at
once, and given back one by one from the end of the order, while there is sun for them. What went for want of sun rests, so
that no cloud switches anything more than twice an hour.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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
TRIED_S = 60.0
"""So long the sun may take to come up to what is tried, and so long it must be gone before a load goes for it."""
REST_S = 1800.0
START_MARGIN_W = 200.0
"""More than a car's least must show before it begins; it goes on while its least is there."""
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
class Loads:
    """Which loads are held off, when that last changed, since when the sun is too little for those that are on, and until
    when none comes back for that."""

    off: tuple[DeviceId, ...] = ()
    changed_at: float = -inf
    sunless_since: float | None = None
    rests_until: float = -inf


@dataclass(frozen=True, slots=True)
class Turn:
    """A car's turn in the sun: until when it lasts whatever shows, for a trial's sake, and when it ended."""

    tried_until: float
    ended_at: float | None = None


@dataclass(frozen=True, slots=True)
class Island:
    """What is decided of an island, carried from tick to tick: ``shed`` in the order of going."""

    shed: tuple[DeviceId, ...] = ()
    loads: Loads = field(default_factory=Loads)
    turns: Mapping[DeviceId, Turn] = field(default_factory=dict)
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
    loads = _shed(before, snapshot, table, full=full, carried_w=carried_w)
    bounds: dict[DeviceId, Bound] = {d: Bound(ZERO, "islanded", 0.0) for d in snapshot.storages}
    cars, turns = _cars(
        before, snapshot, table, carried_w, full=full and too_much_w <= 0, helping=helping, phase=phase
    )
    bounds |= cars
    held = {*loads.off, *(d for d in snapshot.evses if bounds[d].interval.max_w <= 0)}
    shed = tuple(dict.fromkeys(d for d in (*before.shed, *_order(snapshot, table)) if d in held))
    overloaded = too_much_w > 0 and held >= set(snapshot.loads)
    return Island(shed, loads, turns, full, helping, overloaded, bounds)


def _unhelped_w(snapshot: Snapshot, carried_w: float) -> float:
    """Return what the inverter would carry without the cars, so that a car's help is not what ends it."""
    return carried_w + sum(max(0.0, -s.power_w) for s in snapshot.evses.values() if s is not None)


def _without_cars_w(snapshot: Snapshot, carried_w: float) -> float:
    """Return what the inverter would carry with all cars at rest."""
    return carried_w - sum(s.power_w for s in snapshot.evses.values() if s is not None)


def _order(snapshot: Snapshot, table: BackupTable) -> tuple[DeviceId, ...]:
    """Return loads and chargers, the first to go first: those that the owner does not name go before those he names."""
    known = (*snapshot.evses, *snapshot.loads)
    named = [d for d in table.shed_order if d in known]
    return (*(d for d in known if d not in named), *named)


def _shed(before: Island, snapshot: Snapshot, table: BackupTable, *, full: bool, carried_w: float) -> Loads:
    """Return which loads are held off."""
    order, now, loads = [d for d in _order(snapshot, table) if d in snapshot.loads], snapshot.at, before.loads
    if not before.bounds or not full:
        return Loads(tuple(order), now, rests_until=loads.rests_until)
    given, waiting = [d for d in order if d not in loads.off], [d for d in order if d in loads.off]
    room_w = LOADED_SHARE * table.continuous_w - carried_w
    if given and room_w < 0 and now - loads.changed_at >= SHED_STEP_S:
        return Loads((*waiting, given[0]), now, rests_until=loads.rests_until)
    sunless = bool(given) and _without_cars_w(snapshot, carried_w) > KEPT_W
    since = (now if loads.sunless_since is None else loads.sunless_since) if sunless else None
    if since is not None and now - since >= TRIED_S:
        return Loads((*waiting, given[0]), now, rests_until=now + REST_S)
    if waiting and now >= max(loads.changed_at + STEP_S, loads.rests_until):
        power_w = _drawn_w(snapshot, waiting[-1])
        sunny = carried_w <= -power_w or (carried_w <= KEPT_W and _curtails(snapshot))
        if power_w <= room_w and sunny and _leg_bears(snapshot, table, waiting[-1], power_w):
            return Loads(tuple(waiting[:-1]), now)
    return replace(loads, off=tuple(waiting), sunless_since=since)


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
    before: Island,
    snapshot: Snapshot,
    table: BackupTable,
    carried_w: float,
    *,
    full: bool,
    helping: bool,
    phase: BackupPhase,
) -> tuple[dict[DeviceId, Bound], dict[DeviceId, Turn]]:
    """Return what each car may do, take surplus sun, help, or nothing; and its turn in the sun."""
    curtails, now = _curtails(snapshot), snapshot.at
    trial = any(t.ended_at is None and now < t.tried_until for t in before.turns.values())
    tries = curtails and carried_w <= KEPT_W and not trial
    sun_w = -carried_w - KEPT_W + (TRY_W if curtails else 0.0)
    give_w = carried_w - KEPT_W if phase is BackupPhase.ISLANDED else carried_w
    bounds: dict[DeviceId, Bound] = {}
    turns: dict[DeviceId, Turn] = {}
    for device, sample in snapshot.evses.items():
        now_w = sample.power_w if sample is not None else 0.0
        takes_w, gives_w = max(0.0, now_w) + sun_w, max(0.0, -now_w) + give_w
        least_w = max(LEAST_W, snapshot.devices[device].min_charge_w)
        helps = helping and can_help(snapshot, device, sample)
        may = full and not helps and sample is not None and sample.plugged
        shown_w = (takes_w, max(0.0, now_w) - carried_w) if may else (0.0, 0.0)
        turn = _turn(before.turns.get(device), now, shown_w, least_w, tries=tries and may)
        if turn is not None and (sample is None or sample.plugged):
            turns[device] = turn
        if helps:
            most_w = sample.discharge_max_w if sample is not None and sample.discharge_max_w else OPEN_W
            worth = gives_w >= (0.0 if phase is BackupPhase.RESERVE else LEAST_W)
            asked_w = min(gives_w, most_w) if worth else 0.0
            bounds[device] = Bound(Interval(-asked_w, 0.0), "island_support", -asked_w)
            give_w -= max(0.0, asked_w - max(0.0, -now_w))
        elif turn is not None and turn.ended_at is None:
            takes_w = max(takes_w, least_w)
            most_w = max(0.0, min(takes_w, _leg_room_w(snapshot, table, device, now_w)))
            bounds[device] = Bound(Interval(0.0, most_w), "island_surplus", most_w)
            sun_w, tries = sun_w - max(0.0, takes_w - max(0.0, now_w)), False
        else:
            bounds[device] = Bound(ZERO, "island_shed", 0.0, engage=full)
    return bounds, turns


def _turn(
    before: Turn | None, now: float, shown_w: tuple[float, float], least_w: float, *, tries: bool
) -> Turn | None:
    """Return a car's turn; ``shown_w`` is the sun that shows for it, with something left over and with nothing.

    ``tries``: the sun is held back, so that more may come up than shows.
    """
    spare_w, bare_w = shown_w
    if before is not None and before.ended_at is None:
        lasts = bare_w >= least_w or now < before.tried_until
        return before if lasts else replace(before, ended_at=now)
    rested = before is None or before.ended_at is None or now - before.ended_at >= REST_S
    if rested and spare_w >= least_w + START_MARGIN_W:
        return Turn(now)
    return Turn(now + TRIED_S) if rested and tries else before


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
