"""A bidirectional charger in one box: its session with the car and what it does to the current. Registers are elsewhere."""

import math

from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.ramp import DelayedRamp

RATED_W = 7400.0
FIXED_LOSS_W = 60.0
PROPORTIONAL_LOSS = 0.05
STANDBY_W = 8.0
HANDSHAKE_S = 4.0
LEAST_SHARE, MOST_SHARE = 0.81, 0.97
"""Measured power by set-point, at a little and at full power (reference/modbus.md 3.1)."""
EMPTY_PCT = 5.0
_OPENING_A = 1.0


class WallCharger:
    """Registers set ``session_wanted`` and ``target_w``. Power into the car is positive; counters are AC energy.

    ``share`` off is a charger that meets its set-point exactly; ``full_pct`` is where it ends charging by itself.
    """

    def __init__(self, *, rated_w: float = RATED_W, full_pct: float = 100.0, share: bool = True) -> None:
        self.session_wanted = False
        self.target_w = 0.0
        self.rated_w = rated_w
        self.plugged = False
        self.engaged = False
        self.ac_w = STANDBY_W
        self.current_a = 0.0
        self.voltage_v = 0.0
        self.charged_wh = 0.0
        self.discharged_wh = 0.0
        self.soc_pct = 0.0
        self.stored_wh = 0.0
        self.capacity_wh = 0.0
        self._full_pct = full_pct
        self._share = share
        self._handshake_s = 0.0
        self._power = DelayedRamp(ramp_per_s=6000.0, dead_time_s=0.8)

    def step(self, pack: LeafPack | None, emergency_stop: bool, dt_s: float) -> None:
        """Advance by ``dt_s``; ``pack`` is None while no car is plugged in."""
        self.plugged = pack is not None
        if pack is None or emergency_stop:
            self.session_wanted = self.engaged = False
        if pack is not None:
            self.soc_pct, self.stored_wh, self.capacity_wh = pack.soc_pct, pack.stored_wh, pack.capacity_wh
            self._shake_hands(dt_s)
        if pack is None or not self.engaged:
            self._power.cut()
            self.current_a = self.voltage_v = 0.0
            self.ac_w = STANDBY_W
        else:
            self._flow(pack, dt_s)
        self._account(dt_s)

    def starve(self) -> None:
        """Lose the AC side: the session ends."""
        self.session_wanted = self.engaged = False

    def _shake_hands(self, dt_s: float) -> None:
        if self.engaged:
            self.engaged = self.session_wanted or abs(self.current_a) >= _OPENING_A
            return
        self._handshake_s = self._handshake_s + dt_s if self.session_wanted else 0.0
        self.engaged = self._handshake_s >= HANDSHAKE_S

    def _flow(self, pack: LeafPack, dt_s: float) -> None:
        most_w = self.rated_w if pack.soc_pct < self._full_pct else 0.0
        least_w = -self.rated_w if pack.soc_pct > EMPTY_PCT else 0.0
        aim_w = self.target_w if self.session_wanted else 0.0
        part = LEAST_SHARE + (MOST_SHARE - LEAST_SHARE) * min(1.0, abs(aim_w) / self.rated_w)
        ac_w = self._power.step(aim_w * part if self._share else aim_w, least_w, most_w, dt_s)
        dc_w = ac_w - FIXED_LOSS_W - PROPORTIONAL_LOSS * abs(ac_w) if abs(ac_w) > FIXED_LOSS_W else 0.0
        self.current_a = _current_a(pack, dc_w)
        self.voltage_v = pack.terminal_v(self.current_a)
        self.ac_w = ac_w if dc_w else STANDBY_W
        pack.step(self.current_a, dt_s)

    def _account(self, dt_s: float) -> None:
        moved_wh = self.ac_w * dt_s / 3600.0
        if moved_wh > 0.0:
            self.charged_wh += moved_wh
        else:
            self.discharged_wh -= moved_wh


def _current_a(pack: LeafPack, dc_w: float) -> float:
    """Return the current into the pack at which its terminals take ``dc_w``."""
    rest_v, ohm = pack.open_circuit_v, pack.resistance_ohm
    return (math.sqrt(max(0.0, rest_v * rest_v + 4.0 * ohm * dc_w)) - rest_v) / (2.0 * ohm)
