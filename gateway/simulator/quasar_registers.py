"""Registers of a Wallbox Quasar 1 (reference/modbus.md 3.1): functions 3 and 6, and no address that is not listed there.

What is not told there is simulated in the way that is hardest for a controller: nothing is taken while the app has
control, an order outlives the idle timeout in its register, and a refused discharge is acknowledged, kept and not done.
"""

from collections.abc import Sequence
from enum import IntEnum

from gateway.simulator.charger_registers import signed, text_words
from gateway.simulator.modbus_servers import Illegal, Registers, Table
from gateway.simulator.wall_charger import RATED_W, WallCharger

CONTROL, AUTO_START, SETPOINT_TYPE, IDLE_TIMEOUT = 81, 82, 83, 88
LOCK, ACTION, CURRENT_A, POWER_W = 256, 257, 258, 260
LEAST_W = 690
"""3 A: a smaller set-point is not used, but lets the charger talk to the car."""
FULL_PCT = 97.0
_WORD = 0xFFFF
_SERIAL = 0x0005_4CCB
_PART_NUMBER = "QSX3-DEMO01"
_BY_USER = {AUTO_START: 1, SETPOINT_TYPE: 0, 84: 0, 85: 0, 87: 0, IDLE_TIMEOUT: 0, CURRENT_A: 0, POWER_W: 0}
_FACTORY = {80: 502, CONTROL: 0, LOCK: 0, **_BY_USER}
_BOOT_S = 10.0
"""Its server is silent for so long while it starts; then it reports an error, in truth for minutes."""
_BOOT_ERROR_S = 20.0
_BOOT_ERROR = 1 << 8


class Action(IntEnum):
    START = 1
    STOP = 2
    REBOOT = 3
    FIRMWARE_UPDATE = 4


class State(IntEnum):
    NO_CAR = 0
    CHARGING = 1
    WAITING_FOR_CAR = 2
    CONTROLLED_BY_APP = 3
    PAUSED = 4
    NO_CAR_AND_LOCKED = 6
    ERROR = 7
    DISCHARGING = 11


class QuasarRegisters(Registers):
    """The charger behind its registers."""

    writes_many = False

    def __init__(self) -> None:
        self._hangs, self._booting_s = False, 0.0
        super().__init__()
        self.charger = WallCharger(full_pct=FULL_PCT)
        self.refuses_discharge = False
        self.fed_by_reads = True
        """Whether reading keeps an order alive, not writing alone: no manual tells."""
        self.errors = 0
        self._kept = dict(_FACTORY)
        self._unasked_s = 0.0

    @property
    def silent(self) -> bool:
        """Whether requests are taken and not answered: it hangs, or it starts."""
        return self._hangs or self._booting_s > _BOOT_ERROR_S

    @silent.setter
    def silent(self, hangs: bool) -> None:
        self._hangs = hangs

    @property
    def remote(self) -> bool:
        """Whether the interface has control, not the app."""
        return self._kept[CONTROL] == 1

    def step(self, dt_s: float) -> None:
        """Run idle timeout and start-up, and pass on what is ordered."""
        self._booting_s = max(0.0, self._booting_s - dt_s)
        self._unasked_s += dt_s
        timeout_s = self._kept[IDLE_TIMEOUT]
        if self.remote and timeout_s and self._unasked_s > timeout_s:
            self.charger.session_wanted = False
        self.charger.target_w = self._target_w()
        if self._error:
            self.charger.session_wanted = False

    def reboot(self) -> None:
        """Start anew, under the app's control, with an error that goes by itself."""
        self._kept = dict(_FACTORY)
        self.charger.session_wanted = False
        self._booting_s = _BOOT_S + _BOOT_ERROR_S

    def app(self, on: bool) -> None:
        """Let the app take control; it gives nothing back by itself."""
        if on:
            self._kept[CONTROL] = 0
            self._to_user()

    def read_registers(self, table: Table, address: int, count: int) -> Sequence[int]:
        """Return live values. Raises Illegal for a span that touches an unknown address."""
        if table is not Table.HOLDING:
            raise Illegal(1)
        if self.fed_by_reads:
            self._unasked_s = 0.0
        image = self._image()
        try:
            return [image[n] for n in range(address, address + count)]
        except KeyError:
            raise Illegal(2) from None

    def write_registers(self, address: int, words: Sequence[int]) -> None:
        """Take one order; while the app has control only CONTROL and LOCK are taken, the rest is acknowledged."""
        if len(words) != 1 or address not in {*_FACTORY, ACTION}:
            raise Illegal(2)
        value = words[0]
        if not _possible(address, value):
            raise Illegal(3)
        self._unasked_s = 0.0
        if address == CONTROL:
            self._kept[CONTROL] = value
            if value == 0:
                self._to_user()
        elif address == LOCK or (self.remote and address in self._kept):
            self._kept[address] = value
        elif self.remote:
            self._act(Action(value))

    def _to_user(self) -> None:
        self._kept |= _BY_USER
        self.charger.session_wanted = False

    def _act(self, action: Action) -> None:
        match action:
            case Action.START:
                self.charger.session_wanted = self.charger.plugged and not self._error
            case Action.STOP:
                self.charger.session_wanted = False
            case Action.REBOOT:
                self.reboot()

    @property
    def _error(self) -> int:
        return self.errors or (_BOOT_ERROR if self._booting_s else 0)

    def _target_w(self) -> float:
        by_power = self._kept[SETPOINT_TYPE] == 1
        wanted_w = signed(self._kept[POWER_W]) if by_power else 230 * signed(self._kept[CURRENT_A])
        if abs(wanted_w) < LEAST_W or (wanted_w < 0 and self.refuses_discharge):
            return 0.0
        return float(wanted_w)

    def _state(self) -> State:
        device = self.charger
        if self._error:
            return State.ERROR
        if not device.plugged:
            return State.NO_CAR_AND_LOCKED if self._kept[LOCK] else State.NO_CAR
        if not self.remote:
            return State.CONTROLLED_BY_APP
        if device.session_wanted and not device.engaged:
            return State.WAITING_FOR_CAR
        ordered_w = signed(self._kept[POWER_W])
        if not device.engaged or (ordered_w == 0 and abs(device.current_a) < 0.5):
            return State.PAUSED
        return State.DISCHARGING if device.ac_w < 0 else State.CHARGING

    def _image(self) -> dict[int, int]:
        device, state = self.charger, self._state()
        under_current = state in {State.CHARGING, State.DISCHARGING}
        measured = dict.fromkeys(range(526, 543), 0) | {
            526: round(device.ac_w) & _WORD,
            537: state,
            538: round(device.soc_pct) if under_current else 0,
            539: self._error & _WORD,
        }
        told = [3400, _SERIAL >> 16, _SERIAL & _WORD, *text_words(_PART_NUMBER, 12)]
        return {
            **dict(enumerate(told, start=1)),
            **self._kept,
            512: 32,
            514: round(RATED_W),
            519: round(abs(device.ac_w) / 230),
            522: 230,
            **measured,
        }


def _possible(address: int, value: int) -> bool:
    match address:
        case 80:
            return value == 502 or value >= 1024
        case 81 | 82 | 83 | 84 | 256:
            return value in {0, 1}
        case 257:
            return value in set(Action)
        case 258 | 85:
            return abs(signed(value)) <= 32
        case 260 | 87:
            return abs(signed(value)) <= RATED_W
        case _:
            return True
