"""For a log of the car's bus alone: a converter and a pilot module made of what the recorded charger said of itself.

The converter speaks the registers of profile ``ne_dc_v1``. It has the recorded output voltage and the current that we
order; the pilot module sees k where the car enables charging, and the lock where the recorded charger was locked.
"""

from collections.abc import Mapping
from typing import Any

from gateway.devices.chademo.converter import PROFILES, Point
from gateway.devices.chademo.moment import Mode
from gateway.devices.chademo.power import ac_power_w
from gateway.devices.recording.events import Frame
from gateway.devices.recording.registers import COILS, HOLDING, ILLEGAL_ADDRESS, SPACES, Place

PROFILE = "ne_dc_v1"
CONVERTER, PILOT = "converter", "pilot"
RATED_V, RATED_A, MIN_V = 500, 15, 150
INSULATION_OHM = 1e6
BATTERY_V = 380.0
"""Asked for in watts before a voltage was recorded; no current flows then."""
LIVE_V = 50.0

LEAF_BUSES = {"ev_can": frozenset({0x1DB}), "car_can": frozenset({0x5B3, 0x60D})}
"""Ids that tell a Leaf's own buses from each other and from the one to the charger (reference/can.md 1)."""
CHARGER_IDS = frozenset({0x108, 0x109, 0x118, 0x208, 0x209})
STATUS_ID, REQUEST_ID = 0x109, 0x102
LOCKED, STOP, ENABLED = 0x04, 0x20, 0x01
D1, D2, LOCK = 0, 1, 2


class Session:
    """What the recording says of its charger and its car, up to now."""

    def __init__(self) -> None:
        self.voltage_v = 0.0
        self.locked = True
        self.permitted = False
        self.engage = True
        self._energised = False

    def hear(self, frame: Frame) -> bool:
        """Take in a frame; return whether our charger is to hear it too."""
        if frame.can_id == STATUS_ID and len(frame.data) == 8:
            status = frame.data[5]
            self.voltage_v = float(int.from_bytes(frame.data[1:3], "little"))
            self.locked = bool(status & LOCKED)
            self._energised |= not status & STOP
            self.engage = not (self._energised and status & STOP)
        elif frame.can_id == REQUEST_ID and len(frame.data) == 8:
            self.permitted = bool(frame.data[5] & ENABLED)
        return frame.can_id not in CHARGER_IDS

    def power_w(self, current_a: float) -> float:
        """Return the AC power for a DC current at the recorded voltage."""
        return ac_power_w(current_a * (self.voltage_v if self.voltage_v > LIVE_V else BATTERY_V))


class _Kept:
    """Coils and holding registers that keep what is written, and 0 before."""

    def __init__(self) -> None:
        self._kept: dict[Place, int] = {}

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        """Return coils and holding registers."""
        space = SPACES[function]
        if space not in {COILS, HOLDING}:
            return ILLEGAL_ADDRESS
        return tuple(self._kept.get((space, address + n), 0) for n in range(count))

    def write(self, function: int, address: int, values: tuple[int, ...]) -> str:
        """Keep what is written."""
        self._kept |= {(SPACES[function], address + n): value for n, value in enumerate(values)}
        return ""


class PilotStandIn(_Kept):
    """The I/O module of the pilot lines."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        """Return k, inserted, locked and emergency stop as discrete inputs."""
        if SPACES[function] in {COILS, HOLDING}:
            return super().read(function, address, count)
        session, lock = self._session, self._kept.get((COILS, LOCK), 0)
        inputs = (int(session.permitted), 1, int(bool(lock) and session.locked), 0)
        return (inputs + (0,) * count)[address : address + count]


class ConverterStandIn(_Kept):
    """The DC converter."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._profile = PROFILES[PROFILE]

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        """Return the state block as input registers."""
        if SPACES[function] in {COILS, HOLDING}:
            return super().read(function, address, count)
        block = self._block()
        return tuple(block.get(address + n, 0) for n in range(count))

    def _block(self) -> dict[int, int]:
        profile, session = self._profile, self._session
        modes = {command: mode for mode, command in profile.commands.items()}
        mode = modes.get(self._kept.get((HOLDING, profile.command.address), 0), Mode.OFF)
        statuses = {known: status for status, known in reversed([*profile.modes.items()])}
        ordered = [self._kept.get((HOLDING, n), 0) for n in range(profile.current.address + 1)]
        current_a = profile.current.read(ordered) if mode is Mode.CURRENT else 0.0
        values: list[tuple[Point, float]] = [
            (profile.status, statuses[mode]),
            (profile.output_voltage, session.voltage_v),
            (profile.output_current, current_a),
            (profile.ac_power, ac_power_w(current_a * session.voltage_v)),
            (profile.insulation, INSULATION_OHM),
            (profile.rated_power, RATED_V * RATED_A),
            (profile.rated_current, RATED_A),
            (profile.max_voltage, RATED_V),
            (profile.min_voltage, MIN_V),
        ]
        return {address: word for point, value in values for address, word in _words(point, value)}


def _words(point: Point, value: float) -> list[tuple[int, int]]:
    raw = round(value / point.scale) % (1 << 16 * point.words)
    return [(point.address + n, raw >> 16 * (point.words - 1 - n) & 0xFFFF) for n in range(point.words)]


def charger_table(bus: str) -> Mapping[str, Any]:
    """Return the table of site.toml for a charger between the stand-ins."""
    return {
        "name": "Charger",
        "can_interface": "recorded",
        "can_channel": bus,
        "converter": {"host": CONVERTER},
        "pilot": {"host": PILOT},
    }


def units(session: Session) -> dict[str, _Kept]:
    """Return the stand-ins by the names that a Modbus bus gives them."""
    return {
        f"{CONVERTER}:502 unit 1": ConverterStandIn(session),
        f"{PILOT}:502 unit 1": PilotStandIn(session),
    }


def leaf_table(bus: str, kind: str) -> Mapping[str, Any]:
    """Return the table of site.toml for a car that is listened to on one of ``LEAF_BUSES``."""
    return {"name": "Leaf", "can_interface": "recorded", "can_channel": bus, "bus": kind}
