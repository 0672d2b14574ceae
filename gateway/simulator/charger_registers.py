"""Registers of the charger: the converter (profile ne_dc_v1) and the pilot-line module."""

from collections.abc import Sequence

from gateway.simulator.converter import MAX_V, MIN_V, RATED_A, RATED_AC_W, Command, Converter
from gateway.simulator.modbus_servers import Illegal, Registers, Table, window
from gateway.simulator.pilot_lines import PilotLines

_WORD = 0xFFFF
_LONGEST_LEASE_S = 600
_NAMEPLATE = (("Nissan Energy", 16), ("Bidirectional DC 6", 16), ("SIM-DC-0001", 16), ("1.0", 8))


def signed(word: int) -> int:
    """Read a word as two's complement."""
    return word - 0x10000 if word & 0x8000 else word


def wide(value: float) -> tuple[int, int]:
    """Return a 32-bit number as two words, high first."""
    whole = round(value)
    return whole >> 16 & _WORD, whole & _WORD


def text_words(text: str, size: int) -> list[int]:
    """Return ``size`` bytes of ASCII as words, padded with NUL."""
    padded = text.encode().ljust(size, b"\0")
    return [padded[n] << 8 | padded[n + 1] for n in range(0, size, 2)]


class ConverterRegisters(Registers):
    """Holding 0 to 5 are the orders, input 0 to 47 the state; every holding write renews the lease."""

    def __init__(self, converter: Converter) -> None:
        super().__init__()
        self._converter = converter
        self._reserved = 0
        self._nameplate = [word for text, size in _NAMEPLATE for word in text_words(text, size)]

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return live values."""
        return window(self._holding() if table is Table.HOLDING else self._input(), 0, address, count)

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Take orders, all or none."""
        fresh = list(self._holding())
        window(fresh, 0, address, len(words))
        fresh[address : address + len(words)] = words
        command, decivolts, deciamperes, reserved, lease_s, min_decivolts = fresh
        current_a = signed(deciamperes) / 10.0
        possible = (
            command in set(Command)
            and decivolts <= MAX_V * 10
            and abs(current_a) <= RATED_A
            and lease_s <= _LONGEST_LEASE_S
            and min_decivolts <= MAX_V * 10
        )
        if not possible:
            raise Illegal(3)
        orders = self._converter.orders
        orders.command = Command(command)
        orders.voltage_v, orders.current_a = decivolts / 10.0, current_a
        orders.lease_s, orders.min_battery_v = lease_s, min_decivolts / 10.0
        self._reserved = reserved
        self._converter.renew_lease()

    def _holding(self) -> list[int]:
        orders = self._converter.orders
        return [
            orders.command,
            round(orders.voltage_v * 10),
            round(orders.current_a * 10) & _WORD,
            self._reserved,
            orders.lease_s,
            round(orders.min_battery_v * 10),
        ]

    def _input(self) -> list[int]:
        device = self._converter
        return [
            device.status,
            device.faults,
            round(device.voltage_v * 10),
            round(device.current_a * 10) & _WORD,
            *wide(device.ac_w),
            round(device.temperature_c * 10) & _WORD,
            round(device.lease_left_s),
            *wide(device.charged_wh),
            *wide(device.discharged_wh),
            device.insulation_kohm,
            round(RATED_AC_W),
            round(RATED_A * 10),
            round(MAX_V),
            round(MIN_V),
            0,
            0,
            0,
            *self._nameplate,
        ]


class PilotRegisters(Registers):
    """Coils 0 to 2, discrete inputs 0 to 3, holding 0: the output watchdog in s."""

    def __init__(self, lines: PilotLines) -> None:
        super().__init__()
        self._lines = lines

    def read_bits(self, table: Table, address: int, count: int) -> Sequence[bool]:
        """Return live bits."""
        return window(self._lines.coils if table is Table.COIL else self._lines.inputs, 0, address, count)

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return the watchdog time."""
        if table is not Table.HOLDING:
            raise Illegal(1)
        return window([self._lines.watchdog_s], 0, address, count)

    def write_bits(self, address: int, bits: Sequence[bool]) -> None:
        """Switch outputs."""
        window(self._lines.coils, 0, address, len(bits))
        self._lines.coils[address : address + len(bits)] = bits
        self._lines.written()

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Set the watchdog time."""
        window([0], 0, address, len(words))
        self._lines.watchdog_s = words[0]
        self._lines.written()
