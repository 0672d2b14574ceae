"""A SunSpec battery inverter in a few registers, with a clock of its own."""

import asyncio
import math
import struct

from tests.gateway.devices.modbus_device import ModbusDevice, chained

AC = 40002 + 68 + 33
"""Address of model 701's header in this inverter."""
WSET = 40002 + 68 + 33 + 155 + 52
"""Address of model 704's header in this inverter."""


class Inverter(ModbusDevice):
    """10 kWh, 5 kW, at 55 %; follows 704 at once. Its clock runs ``haste`` times too fast."""

    def __init__(self, *, reverts=True, haste=20.0):
        name = list(struct.unpack(">66H", b"Maker".ljust(96, b"\0") + b"SN-1".ljust(36, b"\0")))
        ac = [0] * 153
        ac[2] = 3
        capacity = [0xFFFF] * 43 + [0] * 7
        capacity[8], capacity[9] = 5000, 5000
        super().__init__(
            holding=chained(
                (1, name),
                (64204, [0] * 31),
                (701, ac),
                (702, capacity),
                (704, [0] * 65),
                (713, [10_000, 5_500, 55, 98, 0, 0, 0]),
            )
        )
        self.reverts, self.haste, self.follows = reverts, haste, True
        self.counts, self.refuses_power, self._armed_at = True, False, 0.0
        self.orders = []
        self._timer = None
        self.on_write = self._obey

    def point(self, offset, size=1):
        words = [self.holding[WSET + offset + i] for i in range(size)]
        return int.from_bytes(struct.pack(f">{size}H", *words), signed=size == 2 and offset < 28)

    def _answer(self, pdu):
        """Show what is left of the timer; one that does not count stands still."""
        gone_s = (asyncio.get_running_loop().time() - self._armed_at) * self.haste if self.counts else 0.0
        left_s = max(0.0, self.point(31, 2) - gone_s) if self.point(22) else 0.0
        self.holding |= {WSET + 33: 0, WSET + 34: math.ceil(left_s)}
        if self.refuses_power and pdu[:3] == struct.pack(">BH", 16, WSET + 23):
            return bytes([0x90, 3])
        return super()._answer(pdu)

    def carry(self, *, alone):
        """Form the house's own grid, off the public one, or join that again."""
        self.holding |= {AC + 5: 0 if alone else 1, AC + 9: 2 if alone else 1}

    @property
    def power_w(self):
        """Power into the battery."""
        return -self.point(24, 2) if self.point(22) else 0

    def _obey(self, address, values):
        if self._timer:
            self._timer.cancel()
        self._armed_at = asyncio.get_running_loop().time()
        if self.reverts and self.point(31, 2):
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self.point(31, 2) / self.haste, self._revert)
        self._measure()
        self.orders.append(self.power_w)

    def _revert(self):
        self.holding[WSET + 22] = self.point(30)
        self.holding |= {WSET + 24 + i: self.holding[WSET + 26 + i] for i in range(2)}
        self._measure()

    def _measure(self):
        self.holding[40002 + 68 + 33 + 10] = -self.power_w & 0xFFFF if self.follows else 0
