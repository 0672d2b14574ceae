"""A storage or an EVSE with its car, as control meets it: it obeys late, on a ramp, for the time of its lease, and tells late.

The figures to set are those that devices differ in; the defaults are a home battery that answers within half a second.
"""

import math
from collections import deque
from dataclasses import dataclass, field, replace

from gateway.model import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    Interval,
    Setpoint,
    StorageSample,
    StorageState,
    VehicleSample,
)

_ROUNDING_S = 1e-6
_HOME_BATTERY = Interval(-5000.0, 5000.0)


@dataclass(frozen=True, slots=True)
class Loss:
    """What a running converter loses at ``p`` W of AC power: ``fixed_w + share * |p|``; ``standby_w`` is drawn at rest."""

    fixed_w: float = 45.0
    share: float = 0.03
    standby_w: float = 0.0


@dataclass(slots=True)
class Plant:
    """One simulated device. Power is AC, into the device positive.

    An order is cut to ``step_w`` (the charger's 1 A), is 0 below ``min_w``, starts after ``dead_time_s``, is followed at
    ``ramp_w_per_s`` with a last approach of time constant ``settle_s``, and is missed by ``offset_w``. ``lease_s`` is how
    long the device itself holds an order. ``empty_pct`` and ``full_pct`` are where power begins to taper.

    Faults, settable at any time: ``silent`` (no link: no samples, no orders), ``frozen`` (tells old values as new),
    ``refusing`` (ignores orders), ``plugged`` False (an EVSE without its car).
    """

    id: DeviceId
    kind: DeviceKind = DeviceKind.STORAGE
    phases: tuple[int, ...] = (1, 2, 3)
    rated: Interval = _HOME_BATTERY
    capacity_wh: float = 10_000.0
    soc_pct: float = 50.0
    dead_time_s: float = 0.15
    ramp_w_per_s: float = 5000.0
    settle_s: float = 0.0
    offset_w: float = 0.0
    step_w: float = 0.0
    min_w: float = 0.0
    lease_s: float = 10.0
    poll_s: float = 0.2
    empty_pct: float = 8.0
    full_pct: float = 96.0
    loss: Loss = Loss()
    islands: bool = False
    max_age_s: float = 3.0
    silent: bool = False
    frozen: bool = False
    refusing: bool = False
    plugged: bool = True
    islanded: bool = False
    power_w: float = 0.0
    ordered_w: float = 0.0
    orders: int = 0
    """How many different orders it took."""
    charged_wh: float = 0.0
    discharged_wh: float = 0.0
    _now: float = 0.0
    _goal_w: float = 0.0
    _coming: deque[tuple[float, float]] = field(default_factory=deque)
    _expires_at: float = -math.inf
    _told_at: float = -math.inf
    _told: StorageSample | EvseSample | None = None

    @property
    def info(self) -> DeviceInfo:
        """Return its identity and nameplate."""
        return DeviceInfo(
            self.id,
            self.kind,
            self.id,
            "rehearsal",
            phases=self.phases,
            rated=self.rated,
            capacity_wh=self.capacity_wh,
            max_age_s=self.max_age_s,
            min_charge_w=self.min_w,
            islands=self.islands,
        )

    @property
    def charge_max_w(self) -> float:
        """Return what it takes now."""
        room = (100.0 - self.soc_pct) / max(100.0 - self.full_pct, 1e-9)
        return self.rated.max_w * min(1.0, max(0.0, room))

    @property
    def discharge_max_w(self) -> float:
        """Return what it gives now, positive."""
        room = (self.soc_pct - 5.0) / max(self.empty_pct - 5.0, 1e-9)
        return -self.rated.min_w * min(1.0, max(0.0, room))

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint, as a driver does."""
        if self.silent or self.refusing:
            return
        self._expires_at = min(setpoint.expires_at, self._now + self.lease_s)
        self._order(setpoint.power_w)

    def step(self, now: float, dt_s: float) -> float:
        """Advance by ``dt_s`` to ``now`` and return the power."""
        self._now = now
        if now > self._expires_at and self.ordered_w:
            self._order(0.0)
        while self._coming and self._coming[0][0] <= now + _ROUNDING_S:
            self._goal_w = self._coming.popleft()[1]
        self.power_w = self._moved(dt_s) if self.plugged and not self.islanded else self.power_w
        self._account(dt_s)
        return self.power_w

    def unplug(self) -> None:
        """The car leaves: nothing flows at once."""
        self.plugged = False
        self._goal_w = self.ordered_w = self.power_w = 0.0
        self._coming.clear()

    def due(self, now: float) -> StorageSample | EvseSample | None:
        """Return its sample when its poll is due and its link is up."""
        if self.silent or now < self._told_at + self.poll_s - _ROUNDING_S:
            return None
        self._told_at = now
        self._told = replace(self._told, at=now) if self.frozen and self._told else self._sample(now)
        return self._told

    def _order(self, power_w: float) -> None:
        if self.step_w:
            power_w = math.trunc(power_w / self.step_w + 1e-9 * (1 if power_w > 0 else -1)) * self.step_w
        if abs(power_w) < self.min_w:
            power_w = 0.0
        if power_w != self.ordered_w:
            self.ordered_w = power_w
            self.orders += 1
            self._coming.append((self._now + self.dead_time_s, power_w))

    def _moved(self, dt_s: float) -> float:
        goal_w = self._goal_w + self.offset_w if self._goal_w else 0.0
        goal_w = min(max(goal_w, -self.discharge_max_w), self.charge_max_w)
        way_w = goal_w - self.power_w
        if self.settle_s:
            way_w *= 1.0 - math.exp(-dt_s / self.settle_s)
        most_w = self.ramp_w_per_s * dt_s
        return self.power_w + min(max(way_w, -most_w), most_w)

    def _account(self, dt_s: float) -> None:
        power_w = self.power_w
        if abs(power_w) < 1.0:
            return
        moved_wh = power_w * dt_s / 3600.0
        if power_w > 0:
            self.charged_wh += moved_wh
        else:
            self.discharged_wh -= moved_wh
        stored_w = power_w - self.loss.fixed_w - self.loss.share * abs(power_w)
        self.soc_pct += stored_w * dt_s / 36.0 / self.capacity_wh
        self.soc_pct = min(max(self.soc_pct, 0.0), 100.0)

    def _sample(self, now: float) -> StorageSample | EvseSample:
        shown_w = self.power_w if abs(self.power_w) >= 1.0 else self.loss.standby_w
        if self.kind is DeviceKind.STORAGE:
            return StorageSample(
                now,
                shown_w,
                self.soc_pct,
                StorageState.RUNNING,
                self.charge_max_w,
                self.discharge_max_w,
                capacity_wh=self.capacity_wh,
                charged_wh=self.charged_wh,
                discharged_wh=self.discharged_wh,
                applied_w=self.ordered_w,
                islanded=self.islanded if self.islands else None,
            )
        car = VehicleSample(self.soc_pct, self.capacity_wh, discharge_compatible=self.rated.min_w < 0)
        return EvseSample(
            now,
            EvseState.READY if self.plugged else EvseState.UNPLUGGED,
            self.plugged,
            shown_w if self.plugged else 0.0,
            self.charge_max_w if self.plugged else 0.0,
            self.discharge_max_w if self.plugged else 0.0,
            vehicle=car if self.plugged else None,
            charged_wh=self.charged_wh,
            discharged_wh=self.discharged_wh,
            applied_w=self.ordered_w,
        )
