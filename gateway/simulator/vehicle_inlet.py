"""The charger's hardware in front of a foreign car: what its words and frames mean at the connector. No socket, no clock."""

from dataclasses import dataclass
from typing import override

from gateway.simulator.charger_registers import ConverterRegisters, PilotRegisters
from gateway.simulator.converter import Converter
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.pilot_lines import PilotLines
from gateway.simulator.vehicle_lines import CanLine, PilotLine

STATUS_FRAME = 0x102
ENABLED_BIT, OPEN_BIT = 0x01, 0x08
LEAVES_AFTER_S = 2.5
SAFE_BREAK_A = 5.0
"""A car that leaves waits until no more than this flows, and at most so long (reference/can.md 3.8)."""
FORGOTTEN_S = 5.0
"""Nobody pulls k any longer when nothing at all was said for so long."""
AWAY_S = 1.5
"""A car that says nothing for longer was away; when it is back, it was plugged in anew."""
REPLUG_S = 0.5


class BenchBattery(LeafPack):
    """A battery with a chosen voltage at half charge; both move slowly with the energy that is moved."""

    resistance_ohm = 0.05
    volts_per_pct = 0.5

    def __init__(self, voltage_v: float) -> None:
        super().__init__(soc_pct=50.0)
        self._middle_v = voltage_v

    @property
    @override
    def open_circuit_v(self) -> float:
        return self._middle_v + self.volts_per_pct * (self.soc_pct - 50.0)


@dataclass(slots=True)
class Foreign:
    """What the car has said. ``k`` follows 102.5.0 until the car speaks of k itself."""

    k: bool | None = None
    enabled: bool = False
    contactor_open: bool = True
    spoke: bool = False
    spoke_under_d1: bool = False
    unheard_s: float = 0.0
    """Since anybody said anything; the next, since the car itself did."""
    silent_s: float = 0.0

    @property
    def permits(self) -> bool:
        """Whether the car pulls k."""
        return self.unheard_s < FORGOTTEN_S and (self.enabled if self.k is None else self.k)

    def speaks(self, *, d1: bool) -> bool:
        """Take note that it speaks; return whether it was away."""
        was_away = self.spoke and self.silent_s > AWAY_S and (self.spoke_under_d1 or not d1)
        self.spoke, self.silent_s = True, 0.0
        return was_away

    def take(self, frame: CanLine) -> None:
        """Take a frame in."""
        if frame.can_id == STATUS_FRAME and len(frame.data) == 8:
            self.enabled = bool(frame.data[5] & ENABLED_BIT)
            self.contactor_open = bool(frame.data[5] & OPEN_BIT)


class VehicleInlet:
    """Call ``hear`` for each line and ``step`` in a rhythm. The connector counts as inserted once a car is there."""

    def __init__(self, battery: BenchBattery) -> None:
        self.battery = battery
        self.converter = Converter()
        self.pilot = PilotLines()
        self.pilot.plugged = False
        self.converter_unit = ConverterRegisters(self.converter)
        self.pilot_unit = PilotRegisters(self.pilot)
        self.linked = False
        self.present = False
        self._car = Foreign()
        self._pulled_out = self._lock_broken = self._welded = False
        self._returned = False
        self._replug_s = 0.0
        self._leaving_s = 0.0

    @property
    def lines(self) -> dict[str, bool]:
        """What the charger shows to the car, in the order in which it is told."""
        return {"d1": self.pilot.d1, "d2": self.pilot.d2, "lock": self.pilot.locked}

    def hear(self, line: CanLine | PilotLine) -> str:
        """Take a line of the car or of a test; return a complaint where it means nothing, else nothing."""
        self.present = True
        car = self._car
        if car.unheard_s >= FORGOTTEN_S:
            car.k = None
        car.unheard_s = 0.0
        match line:
            case CanLine():
                self._returned |= car.speaks(d1=self.pilot.d1)
                car.take(line)
            case PilotLine(name="k" | "j", on=bool(on)):
                self._returned |= car.speaks(d1=self.pilot.d1)
                car.k = on
            case PilotLine(name=name, on=bool(on)):
                return self._switch(name, on)
        return ""

    def _switch(self, name: str, on: bool) -> str:
        match name:
            case "inserted":
                self._pulled_out = not on
            case "estop":
                self.pilot.emergency_stop = on
            case "lock":
                self._lock_broken = not on
            case "weld":
                self._welded = on
            case _:
                return f"!{name} is not known; a car says !k, a test !inserted, !estop, !lock, !weld"
        return ""

    def step(self, dt_s: float) -> None:
        """Advance by ``dt_s``: connector, pilot lines, contactor, converter."""
        car, pilot = self._car, self.pilot
        car.unheard_s += dt_s
        car.silent_s += dt_s
        car.spoke_under_d1 = pilot.d1 and (car.spoke_under_d1 or car.silent_s <= dt_s)
        pilot.plugged = self._inserted(dt_s)
        pilot.permitted = car.permits
        pilot.step(dt_s)
        pilot.locked = pilot.locked and not self._lock_broken
        leaving = car.contactor_open or not pilot.permitted
        self._leaving_s = self._leaving_s + dt_s if leaving else 0.0
        self.linked = self._contactor_closed()
        self.converter.step(self.battery if self.linked else None, pilot.emergency_stop, dt_s)

    def _inserted(self, dt_s: float) -> bool:
        """One that comes back is plugged in anew, once the charger is at rest."""
        self._replug_s = max(0.0, self._replug_s - dt_s)
        if self._returned and not self.pilot.d1:
            self._returned, self._replug_s = False, REPLUG_S
        return self.present and not self._pulled_out and self._replug_s == 0.0

    def _contactor_closed(self) -> bool:
        """Believe 102.5.3 under d2 and k; and that a car which leaves does not cut a current, however hasty its words."""
        car, pilot = self._car, self.pilot
        if self._welded and self.linked:
            return pilot.plugged
        if not (pilot.plugged and pilot.d2):
            return False
        if not self._leaving_s:
            return True
        waits = not car.contactor_open or abs(self.converter.current_a) > SAFE_BREAK_A
        return self.linked and waits and self._leaving_s < LEAVES_AFTER_S
