"""The I/O module before the switched loads: coils hold off, inputs measure, a watchdog lets go."""

from collections.abc import Sequence

from gateway.simulator.mains import SwitchedLoad
from gateway.simulator.modbus_servers import Illegal, Registers, Table, window

_LONGEST_WATCHDOG_S = 600


class LoadModule(Registers):
    """Coil n holds load n off, input register n is its power in W; holding register 0 is the watchdog in s, 0 for never."""

    def __init__(self, loads: Sequence[SwitchedLoad]) -> None:
        super().__init__()
        self._loads = loads
        self._watchdog_s = 0
        self._unwritten_s = 0.0

    def step(self, dt_s: float) -> None:
        """Run the watchdog; when it has run out, all coils drop."""
        self._unwritten_s += dt_s
        if self._watchdog_s and self._unwritten_s > self._watchdog_s:
            for load in self._loads:
                load.held_off = False

    def read_bits(self, table: Table, address: int, count: int) -> Sequence[bool]:
        """Return the coils."""
        if table is not Table.COIL:
            raise Illegal(1)
        return window([load.held_off for load in self._loads], 0, address, count)

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the powers, or the watchdog."""
        words = [round(x.power_w) for x in self._loads] if table is Table.INPUT else [self._watchdog_s]
        return window(words, 0, address, count)

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Switch; any write feeds the watchdog."""
        for load, held_off in zip(window(self._loads, 0, address, len(bits)), bits, strict=True):
            load.held_off = bool(held_off)
        self._unwritten_s = 0.0

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Set the watchdog."""
        if (address, len(words)) != (0, 1):
            raise Illegal(2)
        if words[0] > _LONGEST_WATCHDOG_S:
            raise Illegal(3)
        self._watchdog_s = words[0]
        self._unwritten_s = 0.0
