"""Pure: what the site draws besides its DERs, per phase, from the newest grid sample.

The grid sample and the device samples belong to different instants, and a device that is still on its way to its last
setpoint would be counted where it no longer is. So each device's power is taken from its history at the grid sample's
own time, and while a device moves only half of what a new grid sample says is believed: with a whole step of the
devices unseen, b[k+1] = (1-g) b[k] - g (b[k] - b[k-1]) is stable for g < 2/3 alone, and best damped near one half.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.model import DeviceId, MeterSample, Snapshot

HISTORY_S = 3.0
MOTION_S = 0.6
"""How long a movement may stay unseen: dead time, poll period and the device's own refresh."""
STANDBY_W = 150.0
STILL_W = 10.0
"""Movement that is noise."""

type Phases = tuple[float, float, float]
type Trace = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """``base_w`` is the estimate; ``high`` and ``low`` are the more cautious of it and the newest raw value, for limits.

    Import positive.
    """

    at: float
    base_w: float
    base_phase_w: Phases
    high_w: float
    low_w: float
    high_phase_w: Phases
    low_phase_w: Phases
    traces: Mapping[DeviceId, Trace] = field(default_factory=dict)


def update(previous: Balance | None, snapshot: Snapshot) -> Balance | None:
    """Return the balance after ``snapshot``; the previous one when the grid sample is not new, None when it is stale."""
    grid = snapshot.grid()
    traces = _traces(previous.traces if previous else {}, snapshot)
    if grid is None:
        return None
    if previous is not None and grid.at <= previous.at:
        return replace(previous, traces=traces)
    raw_w, phases, motion_w = grid.power_w, list(_phases(grid)), 0.0
    for device, trace in traces.items():
        power_w = _power_at(trace, grid.at)
        if _resting(snapshot, device, power_w):
            continue
        raw_w -= power_w
        wired = snapshot.devices[device].phases
        for phase in wired:
            phases[phase - 1] -= power_w / len(wired)
        motion_w += _motion_w(trace, snapshot, device)
    trust = 0.5 + 0.5 * STILL_W / (STILL_W + motion_w) if previous else 1.0
    base_w, *base = (
        old + trust * (new - old)
        for new, old in zip(
            (raw_w, *phases),
            (previous.base_w, *previous.base_phase_w) if previous else (0.0,) * 4,
            strict=True,
        )
    )
    return Balance(
        at=grid.at,
        base_w=base_w,
        base_phase_w=(base[0], base[1], base[2]),
        high_w=max(base_w, raw_w),
        low_w=min(base_w, raw_w),
        high_phase_w=(max(base[0], phases[0]), max(base[1], phases[1]), max(base[2], phases[2])),
        low_phase_w=(min(base[0], phases[0]), min(base[1], phases[1]), min(base[2], phases[2])),
        traces=traces,
    )


def _phases(grid: MeterSample) -> Phases:
    """Per-phase power, raised to what the measured current means for the fuse where reactive current flows."""
    loads = []
    for power_w, voltage_v, current_a in zip(
        grid.phase_power_w, grid.phase_voltage_v, grid.phase_current_a, strict=True
    ):
        reactive_w = max(0.0, abs(current_a) * voltage_v - abs(power_w))
        loads.append(power_w + reactive_w if power_w >= 0 else power_w - reactive_w)
    return loads[0], loads[1], loads[2]


def _traces(previous: Mapping[DeviceId, Trace], snapshot: Snapshot) -> dict[DeviceId, Trace]:
    traces: dict[DeviceId, Trace] = {}
    for device, sample in (*snapshot.storages.items(), *snapshot.evses.items()):
        trace = tuple(p for p in previous.get(device, ()) if p[0] >= snapshot.at - HISTORY_S)
        if sample is not None and (not trace or sample.at > trace[-1][0]):
            trace = (*trace, (sample.at, sample.power_w))
        if trace:
            traces[device] = trace
    return traces


def _resting(snapshot: Snapshot, device: DeviceId, power_w: float) -> bool:
    """A device at 0 W that still draws for itself is a load of the house like any other: the others carry it."""
    decided = snapshot.decisions.get(device)
    return decided is not None and decided.power_w == 0.0 and abs(power_w) <= STANDBY_W


def _motion_w(trace: Trace, snapshot: Snapshot, device: DeviceId) -> float:
    """How far the device has just moved, or still has to go to its setpoint."""
    recent = [power_w for at, power_w in trace if at >= snapshot.at - MOTION_S] or [trace[-1][1]]
    decided = snapshot.decisions.get(device)
    to_go_w = abs(decided.power_w - trace[-1][1]) if decided else 0.0
    return max(max(recent) - min(recent), to_go_w)


def _power_at(trace: Trace, at: float) -> float:
    """Linear between samples, held outside them."""
    before = trace[0]
    for point in trace:
        if point[0] > at:
            if before[0] >= at:
                return before[1]
            share = (at - before[0]) / (point[0] - before[0])
            return before[1] + share * (point[1] - before[1])
        before = point
    return before[1]
