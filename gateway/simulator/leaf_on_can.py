"""A Leaf at a CHAdeMO charger: session, limits and frames. No wire and no clock; the adapter is elsewhere."""

from dataclasses import dataclass

from gateway.simulator.leaf_frames import (
    MAX_BATTERY_V,
    MIN_DISCHARGE_V,
    TARGET_V,
    CarFace,
    ChargerHeard,
    encode,
)
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.leaf_session import POSES, QUIET_AFTER_S, Event, Pose, State, next_state
from gateway.simulator.leaf_sloppiness import Sloppiness

OVER_VOLTAGE, UNDER_VOLTAGE, CURRENT_DEVIATION, BATTERY_HOT, VOLTAGE_DEVIATION = (1 << n for n in range(5))

MAX_CHARGE_A = 100.0
MAX_DISCHARGE_A = 60.0
EVSE_SILENT_S = 1.1
SLOT_S = 0.01
BURST_S, SLOW_BURST_S = 0.1, 0.225
RAMP_A_PER_S = 20.0
HALF_FILLED_S = 1.0
_SAFE_BREAK_A = 5.0
_TAPER_FROM_PCT = 90.0
_VOLTAGE_DEVIATION_V = 10.0
_ABOVE_REQUEST_A = 10.0
_BELOW_REQUEST_A = 20.0
_ROUNDING_S = 1e-6
_BEFORE_CURRENT = frozenset({State.WAKING, State.PERMITTED, State.CLOSING})
_ONCE_OPEN = frozenset({State.CHECKING, State.ENDED, State.FAREWELL})


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
        self.model = pack.model
        self.state = State.ASLEEP
        self.face = CarFace(self.model)
        self.heard = ChargerHeard()
        self.silent = False
        self.refuses_discharge = False
        self.wants_stop = False
        self.injected_faults = 0
        self.weak_contactor = False
        self.welded = False
        self.behave(Sloppiness())
        self._in_state_s = 0.0
        self._burst_s = 0.0
        self._place = 0
        self._most_offered_a = 0.0
        self._held_s: dict[str, float] = {}

    def behave(self, sloppy: Sloppiness) -> None:
        """Be sloppy in this way and no other from now on."""
        self.sloppy = sloppy
        self.refusals_left = sloppy.refusals

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
        """Advance by ``dt_s``; return the frame whose turn it is, if the car sends one now."""
        self._in_state_s += dt_s
        self.heard.age_s += dt_s
        self.heard.discharge_age_s += dt_s
        self.face.awake_s += dt_s
        self._look_for_faults(inlet, dt_s)
        self._look_for_the_end(inlet, dt_s)
        moved = next_state(self.state, self._events(inlet))
        if moved is not None:
            self._enter(moved)
        return self._speak(dt_s) if self.pose.talks else None

    def _enter(self, state: State) -> None:
        was = self.state
        if POSES[was].contactor and not POSES[state].contactor:
            self.welded |= self.weak_contactor
        if state is State.WAKING:
            self._wake()
        if was is State.CONNECTED:
            self._most_offered_a = self.heard.available_a
        gave_up = was is State.REQUESTING and state is State.STOPPING
        if gave_up and not self.face.faults and not self.wants_stop:
            self.face.system_fault = True
        if state is State.ENDED and was in _BEFORE_CURRENT:
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
        self.face = CarFace(self.model)
        self.heard = ChargerHeard()
        self._burst_s, self._place = 0.0, 0

    def _events(self, inlet: Inlet) -> frozenset[Event]:
        heard = self.heard
        flows = abs(inlet.current_a) > 1.0
        happening = {
            Event.UNPLUGGED: not inlet.plugged,
            Event.D1_ON: inlet.plugged and inlet.d1,
            Event.D1_OFF: not inlet.d1,
            Event.D2_ON: inlet.d2,
            Event.D2_OFF: not inlet.d2,
            Event.CAR_FAULT: self._faulty and not (self.sloppy.clings_to_permission and flows),
            Event.EVSE_FAULT: heard.fault,
            Event.EVSE_SILENT: heard.age_s > EVSE_SILENT_S,
            Event.CAR_STOP: self.wants_stop,
            Event.EVSE_ON: heard.energised and not heard.stop,
            Event.EVSE_STOP: heard.stop,
            Event.EVSE_OFF: not heard.energised,
            Event.NO_CURRENT: abs(inlet.current_a) < _SAFE_BREAK_A and self._in_state_s >= QUIET_AFTER_S,
            Event.TIME_UP: self._time_is_up() and self._may_go_on(),
        }
        return frozenset(event for event, holds in happening.items() if holds)

    @property
    def _faulty(self) -> bool:
        return bool(self.face.faults) or self.face.system_fault

    def _time_is_up(self) -> bool:
        """A car that asks for nothing yet does not wait for current."""
        waking, asking = self.state is State.WAKING, self.state is State.REQUESTING
        time_s = self.model.permits_after_s if waking else self.pose.time_s
        waited_s = self._held_s.get("requesting", 0.0) if asking else self._in_state_s
        return time_s is not None and waited_s >= time_s

    def _may_go_on(self) -> bool:
        """Tell whether the time that is up leads on."""
        if self.state is State.CLOSING:
            return not self.sloppy.never_closes
        if self.state is not State.WAKING:
            return True
        heard = self.heard.version > 0 and self.heard.age_s <= EVSE_SILENT_S
        return heard and not self.sloppy.never_permits

    @property
    def _in_v2h(self) -> bool:
        """The charger can discharge and so can the car."""
        return self.heard.discharge_compatible and self.model.discharges

    def _look_for_faults(self, inlet: Inlet, dt_s: float) -> None:
        if not self.pose.talks:
            return
        face, heard, closed = self.face, self.heard, self.pose.contactor
        asked_a, limit_a, flows_a = face.request_a, face.discharge_limit_a, inlet.current_a
        running = self.state is State.ENERGISED
        volts = self.pack.terminal_v(flows_a)
        face.faults |= self.injected_faults
        deviates = (flows_a > asked_a + _ABOVE_REQUEST_A) or (flows_a < -(limit_a + _ABOVE_REQUEST_A))
        deviates = deviates or (not self._in_v2h and flows_a < max(asked_a - _BELOW_REQUEST_A, -1.0))
        lies = closed and abs(heard.output_v - volts) > _VOLTAGE_DEVIATION_V
        watched = (
            ("current", running and deviates, 2.0, CURRENT_DEVIATION),
            ("voltage", lies, 5.0, VOLTAGE_DEVIATION),
            ("high", closed and volts > TARGET_V + 5.0, 0.5, OVER_VOLTAGE),
            ("low", closed and volts < MIN_DISCHARGE_V, 0.5, UNDER_VOLTAGE),
        )
        for name, holds, patience_s, bit in watched:
            if self._lasts(name, holds, dt_s) > patience_s:
                face.faults |= bit
        no_partner = self._in_v2h and heard.discharge_age_s > 1.0 and face.enabled
        starved = running and not self._in_v2h and asked_a > 0 and abs(flows_a) < 0.5
        if self._lasts("no_partner", no_partner, dt_s) > 1.0 or self._lasts("starved", starved, dt_s) > 4.0:
            face.system_fault = True
        self._lasts("requesting", self.state is State.REQUESTING and asked_a > 0, dt_s)

    def _look_for_the_end(self, inlet: Inlet, dt_s: float) -> None:
        running = self.state is State.ENERGISED
        empty = running and self.pack.soc_pct <= self.model.window_pct[0] and inlet.current_a < -1.0
        full = running and self.pack.soc_pct >= 100.0 and not self._in_v2h
        over = running and self.heard.remaining_min <= 0.0
        for name, holds in (("empty", empty), ("full", full), ("over", over)):
            if self._lasts(name, holds, dt_s) > 2.0:
                self.wants_stop = True
        patience_s = self.sloppy.uncharged_patience_s
        if self._lasts("uncharged", running and not self.heard.output_a, dt_s) > patience_s > 0.0:
            self.wants_stop = True
        if self.refusals_left and self.state is State.WAKING and self._time_is_up() and not self.wants_stop:
            self.refusals_left -= 1
            self.wants_stop = True

    def _lasts(self, name: str, holds: bool, dt_s: float) -> float:
        self._held_s[name] = self._held_s.get(name, 0.0) + dt_s if holds else 0.0
        return self._held_s[name]

    def _speak(self, dt_s: float) -> tuple[int, bytes] | None:
        """Send the frames of a burst one after the other; a slow car spreads them over the whole of its period."""
        burst = self.model.burst
        slow = self.sloppy.slow_frames
        period_s = SLOW_BURST_S if slow else BURST_S
        apart_s = SLOW_BURST_S / len(burst) if slow else SLOT_S
        if self._burst_s >= period_s - _ROUNDING_S:
            self._burst_s, self._place = max(0.0, self._burst_s - period_s), 0
        place, due = self._place, self._burst_s >= self._place * apart_s - _ROUNDING_S
        self._burst_s += dt_s
        if place >= len(burst) or not due:
            return None
        if place == 0:
            self._update_face(period_s)
        self._place += 1
        mute = self.sloppy.silent_once_open and self.state in _ONCE_OPEN
        return None if self.silent or mute else (burst[place], self._bytes_of(burst[place]))

    def _bytes_of(self, can_id: int) -> bytes:
        whole = encode(can_id, self.face)
        half = self.sloppy.half_filled and self.face.awake_s < HALF_FILLED_S
        return whole[:4] + bytes(4) if half else whole

    def _update_face(self, period_s: float) -> None:
        face, pose = self.face, self.pose
        face.max_battery_v, face.target_v = (
            (750, 700) if self.sloppy.needs_700_v else (MAX_BATTERY_V, TARGET_V)
        )
        face.heard_version = self.heard.version if self.heard.age_s < 1e6 else 0
        face.soc_pct = self.pack.soc_pct
        face.enabled = pose.permits
        face.reports_open = pose.reports_open
        face.discharge_compatible = not self.refuses_discharge
        early = self.sloppy.early_request and pose.permits
        asks = (pose.requests or early) and not self.sloppy.never_requests and not self._faulty
        most_a = round(RAMP_A_PER_S * period_s)
        face.request_a = min(int(self._charge_a() if asks else 0.0), face.request_a + most_a)
        discharge_a = self._discharge_a() if pose.requests and not self._faulty else 0.0
        face.discharge_limit_a = min(int(discharge_a), face.discharge_limit_a + most_a)

    def _charge_a(self) -> float:
        """Fall at once to what is available, where the car follows that at all; rise 20 A/s (reference/can.md 3.5)."""
        offered_a = float(self.heard.available_a)
        if not self.model.dynamic and self.state is State.ENERGISED:
            offered_a = self._most_offered_a
        if self._in_v2h and self.pack.soc_pct >= self.model.window_pct[1]:
            return 0.0
        taper = min(1.0, max(0.0, (100.0 - self.pack.soc_pct) / (100.0 - _TAPER_FROM_PCT)))
        return min(offered_a, MAX_CHARGE_A * taper)

    def _discharge_a(self) -> float:
        unwilling = self.refuses_discharge or not self._in_v2h
        if unwilling or self.heard.discharge_age_s > EVSE_SILENT_S:
            return 0.0
        taper = min(1.0, max(0.0, (self.pack.soc_pct - self.model.window_pct[0]) / 2.0))
        return min(self.heard.discharge_available_a, MAX_DISCHARGE_A * taper)
