"""A 40 kWh Leaf at a CHAdeMO charger: session, limits and frames. No wire and no clock; the adapter is elsewhere."""

from dataclasses import dataclass

from gateway.simulator.leaf_frames import (
    BURST,
    MIN_DISCHARGE_LEVEL_PCT,
    MIN_DISCHARGE_V,
    TARGET_V,
    CarFace,
    ChargerHeard,
    encode,
)
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.leaf_session import POSES, QUIET_AFTER_S, Event, Pose, State, next_state

OVER_VOLTAGE, UNDER_VOLTAGE, CURRENT_DEVIATION, BATTERY_HOT, VOLTAGE_DEVIATION = (1 << n for n in range(5))

MAX_CHARGE_A = 100.0
MAX_DISCHARGE_A = 60.0
EVSE_SILENT_S = 1.1
BURST_PERIOD_S = 0.1
SLOT_S = 0.01
_RAMP_A_PER_BURST = 2
_SAFE_BREAK_A = 5.0
_TAPER_FROM_PCT = 90.0
_VOLTAGE_DEVIATION_V = 10.0
_ABOVE_REQUEST_A = 10.0
_BELOW_REQUEST_A = 20.0


@dataclass(frozen=True, slots=True)
class Inlet:
    """What the car sees at its inlet. Current into the car is positive."""

    plugged: bool
    d1: bool
    d2: bool
    current_a: float


class Leaf:
    """Call ``step`` every SLOT_S, ``hear`` for each frame on the bus, and send what ``step`` returns."""

    def __init__(self, pack: LeafPack) -> None:
        self.pack = pack
        self.state = State.ASLEEP
        self.face = CarFace(capacity_wh=pack.capacity_wh)
        self.heard = ChargerHeard()
        self.silent = False
        self.refuses_discharge = False
        self.wants_stop = False
        self.injected_faults = 0
        self.welded = False
        self.hot_openings = 0
        self._in_state_s = 0.0
        self._slot = 0
        self._held_s: dict[str, float] = {}

    @property
    def pose(self) -> Pose:
        """What the car does in its present state."""
        return POSES[self.state]

    @property
    def contactor_closed(self) -> bool:
        """Whether the pack is connected to the inlet."""
        return self.pose.contactor or self.welded

    def hear(self, can_id: int, data: bytes) -> None:
        """Take a frame from the bus."""
        if self.pose.talks:
            self.heard.read(can_id, data)

    def step(self, inlet: Inlet, dt_s: float) -> tuple[int, bytes] | None:
        """Advance by ``dt_s``; return the frame whose slot this is, if the car sends one now."""
        self._in_state_s += dt_s
        self.heard.age_s += dt_s
        self.heard.discharge_age_s += dt_s
        self.face.awake_s += dt_s
        self._look_for_faults(inlet, dt_s)
        moved = next_state(self.state, self._events(inlet))
        if moved is not None:
            self._enter(moved, inlet)
        if not self.pose.talks:
            return None
        return self._speak()

    def _enter(self, state: State, inlet: Inlet) -> None:
        was = self.state
        if POSES[was].contactor and not POSES[state].contactor and abs(inlet.current_a) > _SAFE_BREAK_A:
            self.hot_openings += 1
        if state is State.WAKING:
            self._wake()
        if (
            was is State.REQUESTING
            and state is State.STOPPING
            and not self.face.faults
            and not self.wants_stop
        ):
            self.face.system_fault = True
        if state is State.ENDED and was in {State.WAKING, State.PERMITTED, State.CLOSING}:
            self.face.stop_before_charging = self.wants_stop
        if state is State.STOPPING or not POSES[state].contactor:
            self.face.request_a = self.face.discharge_limit_a = 0
        if state in {State.ENDED, State.ASLEEP}:
            self.wants_stop = False
            self.injected_faults = 0
        self.state = state
        self._in_state_s = 0.0
        self._held_s.clear()

    def _wake(self) -> None:
        self.face = CarFace(capacity_wh=self.pack.capacity_wh)
        self.heard = ChargerHeard()
        self._slot = 0

    def _events(self, inlet: Inlet) -> frozenset[Event]:
        heard, pose = self.heard, self.pose
        silent = heard.age_s > EVSE_SILENT_S
        happening = {
            Event.UNPLUGGED: not inlet.plugged,
            Event.D1_ON: inlet.plugged and inlet.d1,
            Event.D1_OFF: not inlet.d1,
            Event.D2_ON: inlet.d2,
            Event.D2_OFF: not inlet.d2,
            Event.CAR_FAULT: bool(self.face.faults) or self.face.system_fault,
            Event.EVSE_FAULT: heard.fault,
            Event.EVSE_SILENT: silent,
            Event.CAR_STOP: self.wants_stop,
            Event.EVSE_ON: heard.energised and not heard.stop,
            Event.EVSE_STOP: heard.stop,
            Event.EVSE_OFF: not heard.energised,
            Event.NO_CURRENT: abs(inlet.current_a) < _SAFE_BREAK_A and self._in_state_s >= QUIET_AFTER_S,
            Event.TIME_UP: pose.time_s is not None
            and self._waited_s() >= pose.time_s
            and self._may_go_on(silent),
        }
        return frozenset(event for event, holds in happening.items() if holds)

    def _waited_s(self) -> float:
        """Return the time that counts: a car that asks for nothing yet does not wait for current."""
        if self.state is State.REQUESTING:
            return self._held_s.get("requesting", 0.0)
        return self._in_state_s

    def _may_go_on(self, silent: bool) -> bool:
        return self.state is not State.WAKING or (self.heard.version > 0 and not silent)

    def _look_for_faults(self, inlet: Inlet, dt_s: float) -> None:
        if not self.pose.talks:
            return
        face, heard, closed = self.face, self.heard, self.pose.contactor
        asked_a, limit_a, flows_a = face.request_a, face.discharge_limit_a, inlet.current_a
        charging_only = not heard.discharge_compatible
        running = self.state is State.ENERGISED
        volts = self.pack.terminal_v(flows_a)
        face.faults |= self.injected_faults
        deviates = (flows_a > asked_a + _ABOVE_REQUEST_A) or (flows_a < -(limit_a + _ABOVE_REQUEST_A))
        deviates = deviates or (charging_only and flows_a < asked_a - _BELOW_REQUEST_A)
        watched = (
            ("current", running and deviates, 2.0, CURRENT_DEVIATION),
            (
                "voltage",
                closed and abs(heard.output_v - volts) > _VOLTAGE_DEVIATION_V,
                5.0,
                VOLTAGE_DEVIATION,
            ),
            ("high", closed and volts > TARGET_V + 5.0, 0.5, OVER_VOLTAGE),
            ("low", closed and volts < MIN_DISCHARGE_V, 0.5, UNDER_VOLTAGE),
        )
        for name, holds, patience_s, bit in watched:
            if self._lasts(name, holds, dt_s) > patience_s:
                face.faults |= bit
        no_partner = heard.discharge_compatible and heard.discharge_age_s > 1.0 and face.enabled
        starved = running and charging_only and asked_a > 0 and abs(flows_a) < 0.5
        if self._lasts("no_partner", no_partner, dt_s) > 1.0 or self._lasts("starved", starved, dt_s) > 4.0:
            face.system_fault = True
        self._lasts("requesting", self.state is State.REQUESTING and asked_a > 0, dt_s)
        self._look_for_the_end(inlet, dt_s)

    def _look_for_the_end(self, inlet: Inlet, dt_s: float) -> None:
        running = self.state is State.ENERGISED
        empty = running and self.pack.soc_pct <= MIN_DISCHARGE_LEVEL_PCT and inlet.current_a < -1.0
        full = running and self.pack.soc_pct >= 100.0 and not self.heard.discharge_compatible
        over = running and self.heard.remaining_min <= 0.0
        for name, holds in (("empty", empty), ("full", full), ("over", over)):
            if self._lasts(name, holds, dt_s) > 2.0:
                self.wants_stop = True

    def _lasts(self, name: str, holds: bool, dt_s: float) -> float:
        self._held_s[name] = self._held_s.get(name, 0.0) + dt_s if holds else 0.0
        return self._held_s[name]

    def _speak(self) -> tuple[int, bytes] | None:
        slot, self._slot = self._slot, (self._slot + 1) % round(BURST_PERIOD_S / SLOT_S)
        if slot == 0:
            self._update_face()
        if slot >= len(BURST) or self.silent:
            return None
        return BURST[slot], encode(BURST[slot], self.face)

    def _update_face(self) -> None:
        face, pose = self.face, self.pose
        face.heard_version = self.heard.version if self.heard.age_s < 1e6 else 0
        face.soc_pct = self.pack.soc_pct
        face.enabled = pose.permits
        face.reports_open = pose.reports_open
        face.discharge_compatible = not self.refuses_discharge
        charge_a = self._charge_a() if pose.requests else 0.0
        face.request_a = _ramped(face.request_a, charge_a)
        discharge_a = self._discharge_a() if pose.requests else 0.0
        face.discharge_limit_a = _ramped(face.discharge_limit_a, discharge_a)

    def _charge_a(self) -> float:
        taper = min(1.0, max(0.0, (100.0 - self.pack.soc_pct) / (100.0 - _TAPER_FROM_PCT)))
        return min(self.heard.available_a, MAX_CHARGE_A * taper)

    def _discharge_a(self) -> float:
        if self.refuses_discharge or self.heard.discharge_age_s > EVSE_SILENT_S:
            return 0.0
        taper = min(1.0, max(0.0, (self.pack.soc_pct - MIN_DISCHARGE_LEVEL_PCT) / 2.0))
        return min(self.heard.discharge_available_a, MAX_DISCHARGE_A * taper)


def _ramped(now_a: int, goal_a: float) -> int:
    """Rise 2 A per burst, which is 20 A/s; fall at once (reference/can.md 3.5)."""
    return min(int(goal_a), now_a + _RAMP_A_PER_BURST)
