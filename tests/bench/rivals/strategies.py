"""Other strategies for the same house, written from their published descriptions; the code is ours.

Each steers the sum of both devices and is told what its original would be told: the grid meter's newest value and the
devices' own power. What differs is when it looks, and by what law it moves.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.config import ControlTables
from gateway.model import DeviceId, DeviceKind, Interval, Reason, Rung, Setpoint, Snapshot
from gateway.rehearsal import Plant
from gateway.state import SiteState

_WHY = Reason(Rung.SELF_CONSUMPTION, "self_consumption")
FLOORS_PCT = {DeviceKind.STORAGE: 10.0, DeviceKind.EVSE: 30.0}
CEILINGS_PCT = {DeviceKind.STORAGE: 100.0, DeviceKind.EVSE: 80.0}

type Split = Callable[[float, Mapping[DeviceId, Interval], Mapping[DeviceId, float]], dict[DeviceId, float]]


def battery_first(
    need_w: float, room: Mapping[DeviceId, Interval], soc_pct: Mapping[DeviceId, float]
) -> dict[DeviceId, float]:
    """The first device, which is the fast one, takes all that it can; the next takes the rest."""
    shares = {}
    for device, interval in room.items():
        shares[device] = interval.clamp(need_w)
        need_w -= shares[device]
    return shares


def by_rating(
    need_w: float, room: Mapping[DeviceId, Interval], soc_pct: Mapping[DeviceId, float]
) -> dict[DeviceId, float]:
    """Each takes its part of what all can do."""
    able = {d: i.max_w if need_w > 0 else -i.min_w for d, i in room.items()}
    total_w = sum(able.values())
    return {d: room[d].clamp(need_w * able[d] / total_w) if total_w else 0.0 for d in room}


SPLITS: dict[str, Split] = {"battery first": battery_first, "by rating": by_rating}


@dataclass
class Rival:
    """A strategy that looks every ``period_s``. ``law`` gives the new total power into the devices."""

    state: SiteState
    tables: ControlTables
    plants: Mapping[DeviceId, Plant]
    split: Split
    period_s: float = 1.0
    ordered_w: dict[DeviceId, float] = field(default_factory=dict)
    due_at: float = 0.0
    sent_at: float = 0.0
    seen_at: float = -1.0

    def tick(self, now: float) -> None:
        """Look when it is time, and renew the orders every second."""
        if now >= self.due_at - 1e-6:
            snapshot = self.state.snapshot(now)
            grid = snapshot.grid()
            if grid is not None and self._wants(grid.at, now):
                self.due_at = now + self.period_s
                self._look(snapshot, grid.power_w, grid.at, now)
        if now >= self.sent_at + 1.0 - 1e-6:
            self._send(now)

    def _wants(self, sample_at: float, now: float) -> bool:
        return True

    def _look(self, snapshot: Snapshot, grid_w: float, at: float, now: float) -> None:
        room = {d: self._room(snapshot, d) for d in self.plants}
        measured_w = sum(_power_w(snapshot, d) for d in self.plants)
        total_w = self.law(grid_w, measured_w, at)
        low_w, high_w = sum(i.min_w for i in room.values()), sum(i.max_w for i in room.values())
        self.took(min(max(total_w, low_w), high_w))
        shares = self.split(min(max(total_w, low_w), high_w), room, {})
        self.ordered_w = {d: self._inside_fuse(snapshot, d, p) for d, p in shares.items()}
        self._send(now)

    def law(self, grid_w: float, measured_w: float, at: float) -> float:
        """Return the power that all devices should take together."""
        raise NotImplementedError

    def took(self, total_w: float) -> None:
        """Take note of what was ordered after the devices' limits."""

    def _room(self, snapshot: Snapshot, device: DeviceId) -> Interval:
        sample = snapshot.storages.get(device) or snapshot.evses.get(device)
        kind = snapshot.devices[device].kind
        if sample is None:
            return Interval(0.0, 0.0)
        soc_pct = self.plants[device].soc_pct
        return Interval(
            -sample.discharge_max_w if soc_pct > FLOORS_PCT[kind] else 0.0,
            sample.charge_max_w if soc_pct < CEILINGS_PCT[kind] else 0.0,
        )

    def _inside_fuse(self, snapshot: Snapshot, device: DeviceId, power_w: float) -> float:
        """No device's change takes a phase over its fuse, as the meter shows it now."""
        meter = snapshot.grid()
        if meter is None:
            return 0.0
        fuse_w = self.tables.grid.main_fuse_a * self.tables.grid.nominal_voltage_v
        wired = snapshot.devices[device].phases
        now_w = _power_w(snapshot, device)
        for phase in wired:
            rest_w = meter.phase_power_w[phase - 1] - now_w / len(wired)
            power_w = Interval((-fuse_w - rest_w) * len(wired), (fuse_w - rest_w) * len(wired)).clamp(power_w)
        return power_w

    def _send(self, now: float) -> None:
        self.sent_at = now
        for device, power_w in self.ordered_w.items():
            self.plants[device].apply(Setpoint(device, power_w, now + 10.0, _WHY))


def _power_w(snapshot: Snapshot, device: DeviceId) -> float:
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return sample.power_w if sample else 0.0


@dataclass
class ZeroPoint(Rival):
    """Every ``period_s`` the devices take the measured surplus at once: what they do now, minus the grid's power.

    At 30 s the EV-charger loop of evcc, at 10 s the zero point adjustment of openWB's bidirectional mode.
    """

    def law(self, grid_w: float, measured_w: float, at: float) -> float:
        return measured_w - grid_w


@dataclass(frozen=True)
class Profile:
    """One tuning of the PD loop, as its documentation tables it."""

    kp: float
    kd: float
    step_w: float


PROFILES = {
    "very smooth": Profile(0.22, 0.15, 400.0),
    "smooth": Profile(0.30, 0.25, 600.0),
    "balanced": Profile(0.35, 0.30, 800.0),
    "aggressive": Profile(0.55, 0.45, 1200.0),
    "very aggressive": Profile(0.75, 0.45, 2000.0),
}
DEAD_BAND_W = 40.0
HYSTERESIS_W = 60.0
ZERO_CROSS_S = 5.0
FEED_FORWARD_W = 600.0


@dataclass
class Pd(Rival):
    """The event-driven PD loop of Omnibattery: incremental, with dead band, rate limit, anti-windup at the
    devices' limits, feed-forward on a step that lasts for two samples, hysteresis and a hold when the direction is to change."""

    profile: Profile = PROFILES["balanced"]
    direct: bool = False
    power_w: float = 0.0
    last_error_w: float | None = None
    slope_w: float = 0.0
    last_at: float = 0.0
    step_seen: bool = False
    crossing_at: float | None = None
    direction: int = 0

    def _wants(self, sample_at: float, now: float) -> bool:
        return sample_at > self.seen_at

    def law(self, grid_w: float, measured_w: float, at: float) -> float:
        elapsed_s = min(at - self.last_at, 10.0) if self.last_error_w is not None else 1.0
        change_w = grid_w - self.last_error_w if self.last_error_w is not None else 0.0
        self.seen_at = self.last_at = at
        self.slope_w = 0.5 * self.slope_w + 0.5 * change_w / elapsed_s
        stepped, self.step_seen = self.step_seen, abs(change_w) > FEED_FORWARD_W
        self.last_error_w = grid_w
        if abs(grid_w) <= DEAD_BAND_W:
            return self._turned(self.power_w, at)
        if self.direct or (stepped and abs(change_w) < FEED_FORWARD_W / 2):
            return self._turned(measured_w - grid_w, at)
        move_w = min(self.profile.kp * elapsed_s, 1.0) * grid_w + self.profile.kd * self.slope_w
        most_w = self.profile.step_w * elapsed_s
        return self._turned(self.power_w - min(max(move_w, -most_w), most_w), at)

    def _turned(self, wanted_w: float, at: float) -> float:
        sign = (wanted_w > 0) - (wanted_w < 0)
        if not sign or sign == self.direction or not self.direction:
            self.crossing_at = None
            self.direction = sign or self.direction
            return wanted_w
        if abs(wanted_w) < HYSTERESIS_W and not self.direct:
            return 0.0
        if self.crossing_at is None:
            self.crossing_at = at
        if at - self.crossing_at < ZERO_CROSS_S:
            return 0.0
        self.crossing_at, self.direction = None, sign
        return wanted_w

    def took(self, total_w: float) -> None:
        self.power_w = total_w
