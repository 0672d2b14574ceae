"""Registers of the two meters: Eastron SDM630 at the grid, SunSpec 203 at the PV."""

import math
import struct
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

from gateway.simulator.house import House, Phases
from gateway.simulator.modbus_servers import Illegal, Registers, Table, window
from gateway.simulator.sunspec_image import BASE, SunSpecImage, Value

METER_PERIOD_S = 0.2
_SDM_REGISTERS = 384
_SDM_MOST = 80


class Metered(Protocol):
    """What hangs behind the meter of a whole site."""

    phase_v: Phases
    frequency_hz: float
    import_wh: float
    export_wh: float

    def measured(self) -> Phases:
        """Return the phase powers, with the meter's noise."""


class Meter[Site = House](Registers, ABC):
    """A meter that measures every METER_PERIOD_S; the control port may freeze it or make it read wrong."""

    def __init__(self, house: Site) -> None:
        super().__init__()
        self.frozen = False
        self.scale = 1.0
        self._house = house

    def refresh(self) -> None:
        """Measure anew, unless frozen."""
        if not self.frozen:
            self._measure()

    @abstractmethod
    def _measure(self) -> None: ...


class GridMeter(Meter[Metered]):
    """Input registers as floats, high word first, import positive; even blocks of at most 80 (modbus.md 5.1).

    ``live`` off is a grid without voltage.
    """

    def __init__(self, house: Metered) -> None:
        super().__init__(house)
        self.live = True
        self._words: Sequence[int] = (0,) * _SDM_REGISTERS
        self._measure()

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the last measurement."""
        if table is not Table.INPUT or address % 2 or count % 2:
            raise Illegal(2)
        if count > _SDM_MOST:
            raise Illegal(3)
        return window(self._words, 0, address, count)

    def _measure(self) -> None:
        house = self._house
        one, two, three = house.measured()
        watts: Phases = (one * self.scale, two * self.scale, three * self.scale)
        volts = house.phase_v if self.live else (0.0, 0.0, 0.0)
        hertz = house.frequency_hz if self.live else 0.0
        amps = [abs(w) / v if v else 0.0 for w, v in zip(watts, volts, strict=True)]
        total_w = sum(watts)
        apparent_va = sum(abs(w) for w in watts)
        imported, exported = house.import_wh / 1000.0, house.export_wh / 1000.0
        floats = [0.0] * (_SDM_REGISTERS // 2)
        floats[0:9] = [*volts, *amps, *watts]
        floats[9:12] = [abs(w) for w in watts]
        floats[15:18] = [math.copysign(1.0, w) for w in watts]
        floats[21], floats[23], floats[24] = sum(volts) / 3.0, sum(amps) / 3.0, sum(amps)
        floats[26], floats[28], floats[31] = total_w, apparent_va, math.copysign(1.0, total_w)
        floats[35], floats[36], floats[37] = hertz, imported, exported
        floats[171] = imported + exported
        self._words = struct.unpack(f">{_SDM_REGISTERS}H", struct.pack(f">{len(floats)}f", *floats))


class PvMeter(Meter):
    """Generation is positive W and counts as exported energy, as a meter looking from the roof sees it."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        scales: dict[str, Value] = {
            "A_SF": -2,
            "V_SF": -1,
            "Hz_SF": -2,
            "W_SF": 0,
            "VA_SF": 0,
            "VAR_SF": 0,
            "PF_SF": -2,
            "TotWh_SF": 0,
        }
        identity: dict[str, Value] = {
            "Mn": "Nissan Energy",
            "Md": "Simulated PV meter",
            "Vr": "1.0",
            "SN": "SIM-PV-0001",
            "DA": 1,
        }
        self._image = SunSpecImage([(1, identity), (203, scales)])
        self._measure()

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the last measurement."""
        if table is not Table.HOLDING:
            raise Illegal(2)
        return window(self._image.words, BASE, address, count)

    def _measure(self) -> None:
        house = self._house
        watts = [w * self.scale for w in house.pv_phase_w]
        amps = [w / v for w, v in zip(watts, house.phase_v, strict=True)]
        values: dict[str, Value | None] = {
            "A": sum(amps),
            "PhV": sum(house.phase_v) / 3.0,
            "Hz": house.frequency_hz,
            "W": sum(watts),
            "VA": sum(watts),
            "VAR": 0,
            "TotWhExp": house.generated_wh,
            "TotWhImp": 0,
        }
        for phase, amp, volt, watt in zip("ABC", amps, house.phase_v, watts, strict=True):
            values |= {f"Aph{phase}": amp, f"PhVph{phase}": volt, f"Wph{phase}": watt, f"VAph{phase}": watt}
        self._image.put(203, values)
