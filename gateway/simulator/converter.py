"""The charger's bidirectional DC converter: what it does to the current, and its lease. Registers are elsewhere."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag

from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.ramp import DelayedRamp


class Command(IntEnum):
    OFF = 0
    VOLTAGE = 1
    CURRENT = 2


class Status(IntEnum):
    OFF = 0
    STANDBY = 1
    VOLTAGE = 2
    CURRENT = 3
    FAULT = 4


class ConverterFault(IntFlag):
    """UNDER_VOLTAGE and LOAD_LOST hold until the command is OFF; LEASE_EXPIRED until the next order."""

    UNDER_VOLTAGE = 1
    LOAD_LOST = 2
    LEASE_EXPIRED = 4
    EMERGENCY_STOP = 8


RATED_AC_W = 6000.0
RATED_A = 20.0
MAX_V = 500.0
MIN_V = 50.0
FIXED_LOSS_W = 70.0
PROPORTIONAL_LOSS = 0.035
STANDBY_W = 6.0
_LATCHED = ConverterFault.UNDER_VOLTAGE | ConverterFault.LOAD_LOST
_LOAD_LOST_A = 5.0
_VOLTAGE_RISE_V_PER_S = 1000.0
_VOLTAGE_FALL_S = 0.2  # time constant of the output discharge, as seen in a recorded session


@dataclass(slots=True)
class Orders:
    """What was written to the converter."""

    command: Command = Command.OFF
    voltage_v: float = 0.0
    current_a: float = 0.0
    lease_s: int = 0
    min_battery_v: float = 0.0


class Converter:
    """Current into the car and power from the site are positive; the counters are AC energy."""

    def __init__(self) -> None:
        self.orders = Orders()
        self.faults = ConverterFault(0)
        self.voltage_v = 0.0
        self.dc_w = 0.0
        self.ac_w = STANDBY_W
        self.temperature_c = 24.0
        self.insulation_kohm = 2000
        self.charged_wh = 0.0
        self.discharged_wh = 0.0
        self.lease_left_s = 0.0
        self.lease_works = True
        self._current = DelayedRamp(ramp_per_s=40.0, dead_time_s=0.2)
        self._was_linked = False

    @property
    def current_a(self) -> float:
        """DC current into the car."""
        return self._current.value

    @property
    def status(self) -> Status:
        """What the status register says."""
        if self.faults & ConverterFault.EMERGENCY_STOP:
            return Status.OFF
        if self.faults & _LATCHED:
            return Status.FAULT
        return Status(self.orders.command + 1)

    def renew_lease(self) -> None:
        """Take note that a holding register was written."""
        self.lease_left_s = float(self.orders.lease_s)
        self.faults &= ~ConverterFault.LEASE_EXPIRED

    def step(self, pack: LeafPack | None, emergency_stop: bool, dt_s: float) -> None:
        """Advance by ``dt_s``; ``pack`` is None while the car's contactor is open."""
        self._run_lease(dt_s)
        self._trip(pack, emergency_stop)
        if pack is None:
            self._current.cut()
            self.dc_w = 0.0
            self._follow_open_output(dt_s)
        else:
            self._follow_battery(pack, dt_s)
        self._was_linked = pack is not None
        self._account(dt_s)

    def starve(self) -> None:
        """Lose the AC side: no current, and off until it is ordered anew."""
        self.orders.command = Command.OFF
        self._current.cut()

    def _run_lease(self, dt_s: float) -> None:
        if not self.orders.lease_s or self.orders.command is Command.OFF:
            return
        self.lease_left_s = max(0.0, self.lease_left_s - dt_s)
        if self.lease_left_s or not self.lease_works:
            return
        self.orders.current_a = 0.0
        if abs(self.current_a) < 0.1:
            self.orders.command = Command.OFF
            self.faults |= ConverterFault.LEASE_EXPIRED

    def _trip(self, pack: LeafPack | None, emergency_stop: bool) -> None:
        if emergency_stop:
            self.faults |= ConverterFault.EMERGENCY_STOP
            self.orders.command = Command.OFF
            self._current.cut()
        else:
            self.faults &= ~ConverterFault.EMERGENCY_STOP
        if self.orders.command is Command.OFF:
            self.faults &= ~_LATCHED
        elif pack is None and self._was_linked and abs(self.current_a) > _LOAD_LOST_A:
            self.faults |= ConverterFault.LOAD_LOST
        elif self.current_a < 0.0 and self.voltage_v < self.orders.min_battery_v:
            self.faults |= ConverterFault.UNDER_VOLTAGE

    def _follow_open_output(self, dt_s: float) -> None:
        wanted_v = self.orders.voltage_v if self.status is Status.VOLTAGE else 0.0
        if wanted_v > self.voltage_v:
            self.voltage_v = min(wanted_v, self.voltage_v + _VOLTAGE_RISE_V_PER_S * dt_s)
        else:
            self.voltage_v -= (self.voltage_v - wanted_v) * min(1.0, dt_s / _VOLTAGE_FALL_S)

    def _follow_battery(self, pack: LeafPack, dt_s: float) -> None:
        charge_a = 0.0 if pack.soc_pct >= 100.0 else self._limit_a(pack, charging=True)
        discharge_a = 0.0 if pack.soc_pct <= 0.0 else self._limit_a(pack, charging=False)
        self._current.step(self._wanted_a(pack), -discharge_a, charge_a, dt_s)
        battery_v = pack.terminal_v(self.current_a)
        self.voltage_v += (battery_v - self.voltage_v) * min(1.0, dt_s / _VOLTAGE_FALL_S)
        self.dc_w = battery_v * self.current_a
        pack.step(self.current_a, dt_s)

    def _wanted_a(self, pack: LeafPack) -> float:
        match self.status:
            case Status.CURRENT:
                return self.orders.current_a
            case Status.VOLTAGE:
                difference_v = self.orders.voltage_v - pack.open_circuit_v
                most_a = abs(self.orders.current_a)
                return min(max(difference_v / pack.resistance_ohm, 0.0), most_a)
            case _:
                return 0.0

    @staticmethod
    def _limit_a(pack: LeafPack, *, charging: bool) -> float:
        """Return the current of the AC rating, at the highest voltage that the direction can see."""
        if charging:
            dc_w = (RATED_AC_W - FIXED_LOSS_W) / (1.0 + PROPORTIONAL_LOSS)
            return min(RATED_A, dc_w / pack.terminal_v(RATED_A))
        dc_w = (RATED_AC_W + FIXED_LOSS_W) / (1.0 - PROPORTIONAL_LOSS)
        return min(RATED_A, dc_w / pack.open_circuit_v)

    def _account(self, dt_s: float) -> None:
        running = self.orders.command is not Command.OFF or self.current_a != 0.0
        loss_w = FIXED_LOSS_W + PROPORTIONAL_LOSS * abs(self.dc_w) if running else STANDBY_W
        self.ac_w = self.dc_w + loss_w
        moved_wh = self.ac_w * dt_s / 3600.0
        if moved_wh > 0.0:
            self.charged_wh += moved_wh
        else:
            self.discharged_wh -= moved_wh
        self.temperature_c += (24.0 + 0.08 * loss_w - self.temperature_c) * dt_s / 300.0
