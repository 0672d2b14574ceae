"""Pure: what the site draws besides its DERs, per phase, from the newest grid sample.

The grid sample is older than the newest device samples; subtracting powers of two different instants would feed every
ramp back into the estimate. So each device's power is taken from its history at the grid sample's own time, and while
devices ramp the estimate trusts a new value only in part.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import DeviceId, MeterSample, Snapshot

HISTORY_S = 3.0
SKEW_S = 0.15
"""How far apart the instants of two devices' samples may really be: poll period plus the device's own refresh."""
NOISE_W = 150.0

type Phases = tuple[float, float, float]
type Trace = tuple[tuple[float, float], ...]


@dataclass(frozen=True, slots=True)
class Balance:
    """``base_w`` is smoothed, for setpoints; ``raw_phase_w`` is the last raw value, for limits. Import positive."""

    at: float
    base_w: float
    raw_w: float
    raw_phase_w: Phases
    traces: Mapping[DeviceId, Trace] = field(default_factory=dict)


def update(previous: Balance | None, snapshot: Snapshot) -> Balance | None:
    """Return the balance after ``snapshot``; the previous one when the grid sample is not new, None when it is stale."""
    grid = snapshot.grid()
    traces = _traces(previous.traces if previous else {}, snapshot)
    if grid is None:
        return None
    if previous is not None and grid.at <= previous.at:
        return Balance(previous.at, previous.base_w, previous.raw_w, previous.raw_phase_w, traces)
    raw_w, phases, ramp_w = grid.power_w, list(_phases(grid)), 0.0
    for device, trace in traces.items():
        power_w = _power_at(trace, grid.at)
        raw_w -= power_w
        wired = snapshot.devices[device].phases
        for phase in wired:
            phases[phase - 1] -= power_w / len(wired)
        ramp_w += abs(_power_at(trace, grid.at + SKEW_S) - _power_at(trace, grid.at - SKEW_S))
    base_w = raw_w
    if previous is not None:
        trust = NOISE_W / (NOISE_W + ramp_w)
        base_w = previous.base_w + trust * (raw_w - previous.base_w)
    return Balance(grid.at, base_w, raw_w, (phases[0], phases[1], phases[2]), traces)


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
