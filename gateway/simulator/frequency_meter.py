"""Registers of a meter made for frequency: a float in holding registers, as a mains analyser has it, each 0.1 s anew."""

import struct
from collections.abc import Sequence
from random import Random

from gateway.simulator.house import House
from gateway.simulator.meter_registers import Meter
from gateway.simulator.modbus_servers import Illegal, Table, window

FREQUENCY_REGISTER = 19050
FREQUENCY_PERIOD_S = 0.1
NOISE_HZ = 0.0005


class FrequencyMeter(Meter):
    """Reads within 2 mHz of the truth."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        self._words: Sequence[int] = (0, 0)
        self._chance = Random(1)
        self._measure()

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the last measurement, high word first."""
        if table is not Table.HOLDING:
            raise Illegal(2)
        return window(self._words, FREQUENCY_REGISTER, address, count)

    def _measure(self) -> None:
        told_hz = self._house.frequency_hz * self.scale + self._chance.gauss(0.0, NOISE_HZ)
        self._words = struct.unpack(">HH", struct.pack(">f", told_hz))
