"""Pure: can this reserve be armed? Every reason against it has a code.

A device proves that it can by what was measured of it (dead time, ramp), by the power that it may use now, and by the
energy that is neither the driver's nor the blackout's.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gateway.config import ControlTables, GridTable
from gateway.control.frequency.products import Product
from gateway.control.frequency.reservoir import Reservoir, exhausted, leaves_inside, reservoir_of, sustained_w
from gateway.faults import FAULTS, FaultCode, Response
from gateway.model import (
    BackupPhase,
    DeviceId,
    DeviceInfo,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    MeterSample,
    Refusal,
    RequestMode,
    ReserveWindow,
    Snapshot,
    StorageSample,
    StorageState,
)

ACCURATE_HZ = 0.01
"""Regulation (EU) 2017/1485, annex V, for Continental Europe and the Nordics alike."""
OLDEST_S = 1.0
OWN_S = 0.3
"""Measure, decide, send: our part of every response."""
STEEPEST_W_PER_S = 10_000.0
"""No setpoint moves away from zero faster (envelope.py)."""
COARSE_W = 400.0
"""A gap around zero in which a device can do nothing makes its response no line."""


AT_ONCE = frozenset({Refusal.CONTROL_OFF, Refusal.OWNER_STOP, Refusal.ISLANDED, Refusal.FAIL_SAFE})
"""Refusals that end an armed reserve without patience."""


@dataclass(frozen=True, slots=True)
class Able:
    """A device that could carry some of the reserve: the most that it may sell, and the energy behind it."""

    device: DeviceId
    most_w: float
    reservoir: Reservoir
    steep: float
    dead_time_s: float


@dataclass(frozen=True, slots=True)
class Proof:
    """``bands_w`` is how the sold power is shared among devices, empty when it cannot be; ``refusals`` say why."""

    bands_w: Mapping[DeviceId, float]
    refusals: tuple[Refusal, ...]
    ables: Mapping[DeviceId, Able]


def frequency_meter(snapshot: Snapshot) -> tuple[DeviceInfo, MeterSample | None] | None:
    """Return the meter whose frequency is proven: one for frequency alone before the grid meter."""
    proven = [d for d in snapshot.devices.values() if d.frequency is not None]
    for role in (MeterRole.FREQUENCY, MeterRole.GRID):
        for info in proven:
            if info.role is role:
                return info, snapshot.meters.get(info.id)
    return None


def meter_refusals(snapshot: Snapshot, still_s: float) -> tuple[Refusal, ...]:
    """Judge the source of frequency; ``still_s``: so long its reading has been the very same."""
    found = frequency_meter(snapshot)
    if found is None or found[0].frequency is None:
        return (Refusal.METER_UNPROVEN,)
    info, sample = found
    profile = info.frequency
    assert profile is not None
    if (
        profile.accuracy_hz > ACCURATE_HZ
        or profile.resolution_hz > ACCURATE_HZ
        or profile.update_s > OLDEST_S
    ):
        return (Refusal.METER_COARSE,)
    if sample is None or sample.frequency_hz is None or snapshot.at - sample.at > OLDEST_S:
        return (Refusal.METER_SILENT,)
    # The grid moves about 1 mHz each second; the coarser the reading, the longer it may rightly stand still.
    if still_s > 5.0 + 25_000 * profile.resolution_hz:
        return (Refusal.METER_FROZEN,)
    return ()


def site_refusals(snapshot: Snapshot) -> tuple[Refusal, ...]:
    """Judge what concerns the whole site."""
    owner = snapshot.wishes.owner
    backup = snapshot.control.backup
    storm = backup.storm or snapshot.wishes.storm(snapshot.utc)
    checks = {
        Refusal.CONTROL_OFF: not owner.control_on,
        Refusal.OWNER_STOP: owner.stopped,
        Refusal.ISLANDED: backup.phase is not BackupPhase.GRID
        or any(s is not None and s.islanded for s in snapshot.storages.values()),
        Refusal.STORM: storm,
        Refusal.GRID_METER_SILENT: snapshot.grid() is None,
    }
    return tuple(refusal for refusal, found in checks.items() if found)


def device_refusal(
    snapshot: Snapshot, device: DeviceId, product: Product, window: ReserveWindow, tables: ControlTables
) -> Refusal | None:
    """Return the first reason why a device cannot carry any of it."""
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    settings = snapshot.wishes.owner.of(device)
    if sample is None:
        return Refusal.DEVICE_SILENT
    codes = {f.code for f in snapshot.faults if f.device == device}
    if product.up and any(_response(c) is Response.NO_DISCHARGE for c in codes):
        return Refusal.FAIL_SAFE
    if any(_response(c) is Response.DEVICE_TO_ZERO for c in codes):
        return Refusal.DEVICE_FAULT
    if not _runs(sample):
        return Refusal.NO_SESSION
    if device in snapshot.control.backup.bounds:
        return Refusal.RECONNECTING
    if any(
        r.device == device and r.mode is RequestMode.PAUSE and snapshot.utc < r.expires_at
        for r in snapshot.wishes.requests
    ):
        return Refusal.OWNER_STOP
    if product.up and not settings.discharge_allowed:
        return Refusal.DISCHARGE_NOT_ALLOWED
    if snapshot.devices[device].min_charge_w > COARSE_W and product.down:
        return Refusal.COARSE_POWER
    if leaves_inside(snapshot, device, window, tables.time_zone):
        return Refusal.LEAVES
    measured = snapshot.control.dynamics.get(device)
    return Refusal.UNMEASURED if measured is None or not measured.steps else None


def able(
    snapshot: Snapshot,
    device: DeviceId,
    product: Product,
    window: ReserveWindow,
    tables: ControlTables,
    *,
    armed: bool,
) -> Able | Refusal:
    """Return what a device could sell.

    One that is ``armed`` has proven its speed and goes on until its reservoir is used up: small steps measure badly.
    """
    if (refusal := device_refusal(snapshot, device, product, window, tables)) is not None:
        return refusal
    reservoir = reservoir_of(snapshot, device, window.ends_at)
    if reservoir is None:
        return Refusal.CHARGE_UNKNOWN
    measured = snapshot.control.dynamics[device]
    steep = min(max(measured.ramp_w_per_s, 1.0), STEEPEST_W_PER_S)
    most_w = _power_w(snapshot, device, product) / (1 + tables.reserve.recharge_share)
    if armed:
        going = Able(device, most_w, reservoir, steep, measured.dead_time_s)
        return Refusal.RESERVOIR if exhausted(reservoir, product) else going
    begins_s = OWN_S + measured.dead_time_s
    if product.start_s is not None and begins_s > max(product.start_s, tables.reserve.start_s or 0.0):
        return Refusal.STARTS_LATE
    in_time_w = min(((within - begins_s) * steep / share for share, within in _steps(product)), default=0.0)
    if in_time_w <= 0:
        return Refusal.FULL_LATE
    sustained = sustained_w(reservoir, product, product.reservoir_min or tables.reserve.reservoir_min)
    if sustained <= 0:
        return Refusal.RESERVOIR
    return Able(device, min(most_w, in_time_w, sustained), reservoir, steep, measured.dead_time_s)


def level_hz(product: Product, ables: Iterable[Able], bands_w: Mapping[DeviceId, float]) -> float:
    """Return the level at which a triggered product acts: the lowest, so the rarest, that the slowest device can serve."""
    slowest_s = max((OWN_S + a.dead_time_s + bands_w[a.device] / a.steep for a in ables), default=0.0)
    return min((hz for hz, within in product.levels if slowest_s <= within), default=product.levels[0][0])


def prove(
    snapshot: Snapshot,
    product: Product,
    window: ReserveWindow,
    tables: ControlTables,
    armed: frozenset[DeviceId] = frozenset(),
) -> Proof:
    """Judge the devices, and share the offer among as few as can carry it, those that carry it first.

    At a mean activation of 8 % a converter shared by many is at its worst, so few carry it.
    """
    refusals: list[Refusal] = []
    names = window.devices or tuple(d.id for d in snapshot.devices.values() if d.kind.steered)
    ables, against = _judge([n for n in names if n in armed], snapshot, product, window, tables, armed=True)
    if sum(a.most_w for a in ables.values()) < window.power_w:
        others = [n for n in names if n not in armed]
        more, also_against = _judge(others, snapshot, product, window, tables, armed=False)
        ables, against = {**ables, **more}, [*against, *also_against]
    chosen: list[Able] = []
    for candidate in sorted(ables.values(), key=lambda a: (a.device not in armed, -a.most_w, a.device)):
        if sum(c.most_w for c in chosen) < window.power_w:
            chosen.append(candidate)
    total_w = sum(c.most_w for c in chosen)
    if not names:
        refusals.append(Refusal.NO_DEVICE)
    elif total_w < window.power_w * (0.95 if armed else 1.0):
        refusals += against or [_shortage(snapshot, ables, product, window, tables)]
    bands_w = {c.device: window.power_w * c.most_w / total_w for c in chosen} if total_w else {}
    if not refusals and not armed and not _connected(snapshot, product, bands_w, tables.grid):
        refusals.append(Refusal.CONNECTION)
    return Proof({} if refusals else bands_w, tuple(dict.fromkeys(refusals)), ables)


def _judge(
    names: Iterable[DeviceId],
    snapshot: Snapshot,
    product: Product,
    window: ReserveWindow,
    tables: ControlTables,
    *,
    armed: bool,
) -> tuple[dict[DeviceId, Able], list[Refusal]]:
    ables: dict[DeviceId, Able] = {}
    against: list[Refusal] = []
    for device in names:
        if device not in snapshot.devices:
            against.append(Refusal.NO_DEVICE)
        elif isinstance(found := able(snapshot, device, product, window, tables, armed=armed), Able):
            ables[device] = found
        else:
            against.append(found)
    return ables, against


def _shortage(
    snapshot: Snapshot,
    ables: Mapping[DeviceId, Able],
    product: Product,
    window: ReserveWindow,
    tables: ControlTables,
) -> Refusal:
    """All devices are able, but not together able enough: say for want of what."""
    share = 1 + tables.reserve.recharge_share
    if sum(_power_w(snapshot, d, product) / share for d in ables) < window.power_w:
        return Refusal.POWER_RANGE
    minutes = product.reservoir_min or tables.reserve.reservoir_min
    if sum(sustained_w(a.reservoir, product, minutes) for a in ables.values()) < window.power_w:
        return Refusal.RESERVOIR
    return Refusal.FULL_LATE


def _power_w(snapshot: Snapshot, device: DeviceId, product: Product) -> float:
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    if sample is None:
        return 0.0
    rated = snapshot.devices[device].rated
    live = Interval(-sample.discharge_max_w, sample.charge_max_w)
    if rated.max_w > rated.min_w:
        live = live.narrow(rated)
    return max(
        0.0, min(-live.min_w if product.up else live.max_w, live.max_w if product.down else -live.min_w)
    )


def _steps(product: Product) -> tuple[tuple[float, float], ...]:
    """Share and time of a step; of a triggered product that of the level which leaves the most time."""
    if product.levels:
        return ((1.0, max(within for _, within in product.levels)),)
    return product.steps


def _connected(
    snapshot: Snapshot, product: Product, bands_w: Mapping[DeviceId, float], grid: GridTable
) -> bool:
    """Tell whether the grid connection leaves room for all of it, at what the house draws now."""
    meter = snapshot.grid()
    if meter is None:
        return False
    fuse_w = grid.main_fuse_a * grid.nominal_voltage_v
    total_w, sold_w = meter.power_w, sum(bands_w.values())
    phases_w, sold_phases_w = list(meter.phase_power_w), [0.0, 0.0, 0.0]
    for device, sample in (*snapshot.storages.items(), *snapshot.evses.items()):
        wired = snapshot.devices[device].phases
        total_w -= sample.power_w if sample else 0.0
        for phase in wired:
            phases_w[phase - 1] -= sample.power_w / len(wired) if sample else 0.0
            sold_phases_w[phase - 1] += bands_w.get(device, 0.0) / len(wired)
    rows = [(total_w, sold_w, grid.import_limit_w, grid.export_limit_w)]
    rows += [(base, sold, fuse_w, fuse_w) for base, sold in zip(phases_w, sold_phases_w, strict=True)]
    return not any(
        sold > 0
        and (
            (product.down and most is not None and base + sold > most)
            or (product.up and least is not None and sold - base > least)
        )
        for base, sold, most, least in rows
    )


def _runs(sample: StorageSample | EvseSample) -> bool:
    if isinstance(sample, EvseSample):
        return sample.state is EvseState.READY
    return sample.state in {StorageState.RUNNING, StorageState.STANDBY}


def _response(code: str) -> Response:
    return FAULTS[FaultCode(code)].response if code in FaultCode else Response.DEVICE_TO_ZERO
