"""Registers of an EVtec BiDiPro 10 with one CHAdeMO connector (reference/modbus.md 3.3): functions 3 and 16.

Objects of 100 registers, the charge point in the first and a connector in each that follows; those without one read as
zeros. 32-bit values are high first and written whole. A session begins by itself when a car is plugged in, and what is
ordered outside of the window that the station tells is refused.
"""

import struct
from collections.abc import Sequence
from enum import IntEnum

from gateway.simulator.charger_registers import text_words, wide
from gateway.simulator.modbus_servers import Illegal, Registers, Table
from gateway.simulator.wall_charger import WallCharger

OBJECT_SIZE, OBJECTS = 100, 12
FALLBACK_W, TIMEOUT_S = 38, 42
CONNECTOR = 200
SETPOINT_W, SUSPEND = CONNECTOR + 86, CONNECTOR + 88
RATED_W = 10_000.0
LEAST_CHARGE_W = 500.0
LONGEST_TIMEOUT_S = 600
_CHADEMO = 2
_FACTORY = {FALLBACK_W: 3600, TIMEOUT_S: 600, SETPOINT_W: 0, SUSPEND: 0}
_BOOT_S = 10.0
_PREPARING_S = 1.0


class State(IntEnum):
    READY = 1
    AUTHORISING = 4
    PLUGGED = 5
    INITIALISING = 6
    CHARGING = 7
    DISCHARGING = 8
    STOPPED = 9
    WAITING_FOR_GRID = 10
    ERROR = 12


class SessionType(IntEnum):
    NONE = 0
    DYNAMIC = 1
    BIDIRECTIONAL = 5


class BidiproRegisters(Registers):
    """The station behind its registers; without requests for TIMEOUT_S it does FALLBACK_W until it is ordered anew."""

    def __init__(self) -> None:
        self._hangs, self._booting_s = False, 0.0
        super().__init__()
        self.charger = WallCharger(rated_w=RATED_W, share=False)
        self.refuses_discharge = False
        self.fed_by_reads = True
        """Whether reading keeps an order alive, not writing alone: no manual tells."""
        self.errors = 0
        self._kept = dict(_FACTORY)
        self._unasked_s = 0.0
        self._fallen_back = False
        self._stopped = False
        self._plugged_s = 0.0

    @property
    def silent(self) -> bool:
        """Whether requests are taken and not answered: it hangs, or it starts."""
        return self._hangs or self._booting_s > 0.0

    @silent.setter
    def silent(self, hangs: bool) -> None:
        self._hangs = hangs

    def step(self, dt_s: float) -> None:
        """Run timers, session and what is ordered."""
        device = self.charger
        self._booting_s = max(0.0, self._booting_s - dt_s)
        self._unasked_s += dt_s
        self._plugged_s = self._plugged_s + dt_s if device.plugged else 0.0
        if self._unasked_s > self._kept[TIMEOUT_S]:
            self._fallen_back = True
        self._stopped = self._stopped and device.plugged
        up = device.plugged and not (self.errors or self._stopped or self._booting_s)
        device.session_wanted = up and self._plugged_s > 2 * _PREPARING_S
        ordered_w = self._kept[FALLBACK_W if self._fallen_back else SETPOINT_W]
        device.target_w = float(ordered_w) if ordered_w >= self._floor_w else 0.0

    def reboot(self) -> None:
        """Start anew with what the factory set."""
        self._kept = dict(_FACTORY)
        self._fallen_back = False
        self._booting_s = _BOOT_S

    def app(self, on: bool) -> None:
        """Let the owner end the session at the station, or begin it again."""
        self._stopped = on and self.charger.plugged

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return live values of one object. Raises Illegal for a span that leaves it."""
        if table is not Table.HOLDING:
            raise Illegal(1)
        if self.fed_by_reads:
            self._unasked_s = 0.0
        block, first = divmod(address, OBJECT_SIZE)
        if block >= OBJECTS or first + count > OBJECT_SIZE:
            raise Illegal(2)
        words = [0] * OBJECT_SIZE
        for offset, value in self._object(block).items():
            words[offset : offset + len(value)] = value
        return words[first : first + count]

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Take one 32-bit order. Raises Illegal for a value that the station does not accept now."""
        if address not in _FACTORY or len(words) != 2:
            raise Illegal(2)
        self._unasked_s = 0.0
        (value,) = struct.unpack(">i", struct.pack(">2H", *words))
        if not self._possible(address, value):
            raise Illegal(3)
        self._kept[address] = value
        self._fallen_back = self._fallen_back and address != SETPOINT_W

    @property
    def _floor_w(self) -> float:
        return 0.0 if self.refuses_discharge or not self.charger.engaged else -RATED_W

    @property
    def _ceiling_w(self) -> float:
        return RATED_W if self.charger.engaged else 0.0

    def _possible(self, address: int, value: int) -> bool:
        match address:
            case 38:
                return abs(value) <= RATED_W
            case 42:
                return 0 < value <= LONGEST_TIMEOUT_S
            case _ if address == SETPOINT_W:
                return self._floor_w <= value <= 0 or LEAST_CHARGE_W <= value <= self._ceiling_w
            case _:
                return value in {0, 1}

    def _state(self) -> State:
        device = self.charger
        if self.errors:
            return State.ERROR
        if not device.plugged:
            return State.READY
        if self._stopped:
            return State.STOPPED
        if self._plugged_s < 2 * _PREPARING_S:
            return State.AUTHORISING if self._plugged_s < _PREPARING_S else State.PLUGGED
        if not device.engaged:
            return State.INITIALISING
        if abs(device.current_a) < 0.2:
            return State.WAITING_FOR_GRID
        return State.DISCHARGING if device.current_a < 0 else State.CHARGING

    def _object(self, block: int) -> dict[int, Sequence[int]]:
        if block == 0:
            return {
                0: text_words("2.0.7-sim", 32),
                16: text_words("SIM-BIDI-01", 20),
                26: text_words("crema bidipro", 20),
                FALLBACK_W: wide(self._kept[FALLBACK_W]),
                TIMEOUT_S: wide(self._kept[TIMEOUT_S]),
            }
        if block * OBJECT_SIZE != CONNECTOR:
            return {}
        device = self.charger
        session = SessionType.DYNAMIC if self.refuses_discharge else SessionType.BIDIRECTIONAL
        return {
            0: wide(self._state()),
            2: wide(1 if device.engaged else 0),
            4: wide(session if device.plugged else SessionType.NONE),
            10: _real(device.ac_w),
            12: wide(10 * device.soc_pct if device.engaged else 0),
            14: wide(_CHADEMO),
            22: _real(self._floor_w),
            30: _real(self._ceiling_w),
            38: _real(LEAST_CHARGE_W if device.engaged else 0.0),
            54: [0, 0, *wide(self.errors)],
            86: wide(self._kept[SETPOINT_W]),
            88: wide(self._kept[SUSPEND]),
        }


def _real(value: float) -> tuple[int, int]:
    return struct.unpack(">2H", struct.pack(">f", value))
