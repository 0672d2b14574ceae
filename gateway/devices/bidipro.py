"""EVtec BiDiPro 10 on Modbus TCP (reference/modbus.md 3.3): functions 3 and 16, 32-bit values high first.

The charge point is at 0, a connector at each hundred. The session begins by itself; only a set-point of 0 stops. The lease
is the station's communication timeout, after which it does its fallback power, which is set to 0 W.
"""

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import isfinite
from typing import Any

from gateway.config import decode, within
from gateway.devices.clock import monotonic
from gateway.devices.modbus_bus import ModbusBus
from gateway.devices.modbus_charger import panel
from gateway.devices.modbus_charger.driver import ModbusCharger
from gateway.devices.modbus_charger.panel import Found, Registers, WriteBudget
from gateway.devices.modbus_charger.steering import Look, Make
from gateway.faults import Malformed, Refused
from gateway.model import DeviceId, EvseState, FailSafeCard, Interval

PORT = 5020
VERSION, SERIAL, MODEL, STRINGS_END = 0, 16, 26, 35
FALLBACK_W, TIMEOUT_S = 38, 42
CONNECTORS = range(1, 12)
_STATE, _SESSION_STATE, _SESSION_TYPE = 0, 2, 4
_POWER_W, _SOC, _FLOOR_W, _CEILING_W, _LEAST_CHARGE_W, _ERRORS, _LAST = 10, 12, 22, 30, 38, 54, 57
_SETPOINT_W = 86
BIDIRECTIONAL = frozenset({3, 5})
"""Session types under which a car may be discharged: dynamic V2X, bidirectional."""
RATED_W = 10_000.0
MOST_PLAUSIBLE_W = 20_000.0
RAMP_DOWN_S = 5.0

MAKE = Make(
    settle_s=2.5, least_share=0.9, starts_sessions=False, seeks_soc=False, trims=False, restart_s=60.0
)


class State(IntEnum):
    BOOT = 0
    READY = 1
    UNAVAILABLE = 2
    RESERVED = 3
    AUTHORISING = 4
    PLUGGED = 5
    INITIALISING = 6
    CHARGING = 7
    DISCHARGING = 8
    STOPPED = 9
    WAITING_FOR_GRID = 10
    ENDED = 11
    ERROR = 12


STATES: dict[State, EvseState] = {
    State.BOOT: EvseState.UNPLUGGED,
    State.READY: EvseState.UNPLUGGED,
    State.UNAVAILABLE: EvseState.FAULT,
    State.RESERVED: EvseState.PLUGGED,
    State.AUTHORISING: EvseState.PLUGGED,
    State.PLUGGED: EvseState.STARTING,
    State.INITIALISING: EvseState.STARTING,
    State.CHARGING: EvseState.READY,
    State.DISCHARGING: EvseState.READY,
    State.STOPPED: EvseState.PLUGGED,
    State.WAITING_FOR_GRID: EvseState.READY,
    State.ENDED: EvseState.PLUGGED,
    State.ERROR: EvseState.FAULT,
}
_WAITS_FOR = {
    State.RESERVED: "reserved",
    State.AUTHORISING: "authorisation",
    State.STOPPED: "stopped_at_charger",
    State.ENDED: "ended_by_charger",
}
_ERROR_TEXT = {
    State.UNAVAILABLE: "the charger says that it is unavailable",
    State.ERROR: "the charger is in its error state",
}


@dataclass(frozen=True, slots=True)
class Options(panel.Options):
    """A BiDiPro's table in site.toml; ``connector`` 1 to 11 where the first one that is in use is not the right one."""

    port: int = PORT
    connector: int | None = None

    def check(self, where: str) -> None:
        """Refuse what no BiDiPro can have."""
        panel.Options.check(self, where)
        if self.connector is not None:
            within(self.connector, CONNECTORS[0], CONNECTORS[-1], f"{where}.connector")


def card(lease_s: float) -> FailSafeCard:
    """Tell what the station does without us."""
    end = f"does its fallback power, 0 W, {lease_s:g} s after the last request"
    return FailSafeCard(
        lease_s=lease_s,
        on_silence=end,
        on_tcp_close=end,
        on_our_death=f"{end}; a restarted gateway ends at once what is left",
        on_device_reboot="starts without an order; fallback power and timeout are verified and the order is written anew",
        discharging_at_most_s=lease_s + RAMP_DOWN_S,
        proven_by="tests/gateway/scenarios/test_death_in_every_state.py",
    )


def whole(words: Sequence[int]) -> int:
    """Read two words as a signed 32-bit number, high first."""
    return int.from_bytes(b"".join(w.to_bytes(2) for w in words[:2]), signed=True)


def real(words: Sequence[int]) -> float:
    """Read two words as a float, high first. Raises Malformed for what is no number."""
    value = float(struct.unpack(">f", struct.pack(">2H", *words[:2]))[0])
    if not isfinite(value):
        raise Malformed(f"{value} is no number")
    return value


def text(words: Sequence[int]) -> str:
    """Read two ASCII letters per word."""
    return b"".join(w.to_bytes(2) for w in words).split(b"\0")[0].decode("ascii", "replace").strip()


def words_of(value: int) -> tuple[int, int]:
    """Return a signed 32-bit number as two words, high first."""
    return value >> 16 & 0xFFFF, value & 0xFFFF


class BidiproPanel:
    """The registers of the charge point and of one connector."""

    def __init__(self, bus: ModbusBus, options: Options) -> None:
        self._bus = bus
        self._options = options
        self._registers = Registers(bus)
        self._budget = WriteBudget(monotonic)
        self._base = 100 * (options.connector or CONNECTORS[0])
        self._rated = options.narrow(RATED_W, RATED_W)
        self._found: dict[int, int] = {}

    async def begin(self) -> Found:
        """Find the connector, end a standing order; then read who the station is."""
        strings = await self._bus.read_holding(VERSION, STRINGS_END - VERSION + 1)
        self._base = 100 * (self._options.connector or await self._connector_in_use())
        left_w = await self._long(self._base + _SETPOINT_W)
        if left_w:
            await self.order(0.0)
        return Found(
            maker="EVtec",
            model=text(strings[MODEL:]),
            serial=text(strings[SERIAL:MODEL]),
            version=text(strings[VERSION:SERIAL]),
            rated=self._rated,
            left_w=float(left_w),
        )

    async def _connector_in_use(self) -> int:
        """Return the lowest connector that tells a state, a session or its type; a free one tells nothing but zeros."""
        for connector in CONNECTORS:
            first, last = 100 * connector, 100 * connector + _SESSION_TYPE + 1
            if any((await self._registers.read(first, last)).values()):
                return connector
        raise Refused("no connector tells anything; write its number as connector = ")

    async def look(self, now: float) -> Look:
        """Read the connector's block, the set-point that stands and the lease."""
        words = await self._bus.read_holding(self._base, _LAST + 1)
        lease = await self._bus.read_holding(FALLBACK_W, TIMEOUT_S + 2 - FALLBACK_W)
        kept_w = await self._long(self._base + _SETPOINT_W)
        told, power_w = whole(words[_STATE:]), real(words[_POWER_W:])
        if told not in set(State) or abs(power_w) > MOST_PLAUSIBLE_W:
            raise Malformed(f"power of {power_w:g} W in state {told}")
        state = State(told)
        window = self._window(words)
        live = STATES[state] is EvseState.READY
        return Look(
            at=monotonic(),
            state=STATES[state],
            power_w=power_w,
            charge_max_w=window.max_w if live else 0.0,
            discharge_max_w=-window.min_w if live else 0.0,
            kept_w=float(kept_w),
            least_charge_w=max(0.0, real(words[_LEAST_CHARGE_W:])),
            leased=(whole(lease), whole(lease[TIMEOUT_S - FALLBACK_W :])) == (0, self._options.lease_s),
            soc_pct=_soc_pct(state, whole(words[_SOC:])),
            discharge_compatible=whole(words[_SESSION_TYPE:]) in BIDIRECTIONAL,
            error=_error_text(state, words[_ERRORS : _ERRORS + 4]),
            waits_for=_WAITS_FOR.get(state, ""),
            worn=self._budget.worn,
        )

    def _window(self, words: Sequence[int]) -> Interval:
        """Return what the station accepts now; it does not itself look at the kind of session."""
        offered_w = -real(words[_FLOOR_W:]) if whole(words[_SESSION_TYPE:]) in BIDIRECTIONAL else 0.0
        allowed = self._options.narrow(real(words[_CEILING_W:]), offered_w)
        return Interval(max(allowed.min_w, self._rated.min_w), min(allowed.max_w, self._rated.max_w))

    async def take(self) -> None:
        """Arm the lease: after it 0 W; remember what was there."""
        await self._keep(FALLBACK_W, 0)
        await self._keep(TIMEOUT_S, self._options.lease_s)
        await self.order(0.0)

    async def start(self, power_w: float) -> None:
        """The session begins by itself."""
        await self.order(power_w)

    async def order(self, power_w: float) -> None:
        """Write the set-point when it is not the one that stands."""
        at, wanted = self._base + _SETPOINT_W, round(power_w)
        if await self._long(at) != wanted:
            await self._bus.write_and_verify(at, words_of(wanted))

    async def renew(self, power_w: float) -> None:
        """Write the set-point that stands once more."""
        at, standing = self._base + _SETPOINT_W, round(power_w)
        if await self._long(at) == standing:
            await self._bus.write_and_verify(at, words_of(standing))

    async def stop(self) -> None:
        """Order 0 W: nothing else stops."""
        await self.order(0.0)

    async def give_back(self) -> None:
        """Order 0 W, and give fallback power and timeout back as they were found."""
        await self.order(0.0)
        for address, value in self._found.items():
            if await self._long(address) != value:
                await self._bus.write_and_verify(address, words_of(value))
        self._found.clear()

    async def _keep(self, address: int, value: int) -> None:
        """Write a setting only when it differs, and no more often than its memory bears."""
        found = await self._long(address)
        if found != value:
            self._budget.spend(address)
            self._found.setdefault(address, found)
            await self._bus.write_and_verify(address, words_of(value))

    async def _long(self, address: int) -> int:
        return whole(await self._bus.read_holding(address, 2))


class Bidipro(ModbusCharger):
    """The driver."""

    stop_causes = frozenset(_WAITS_FOR.values())

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> Bidipro:
        """Build from a table of site.toml. Raises ConfigError."""
        options = decode(Options, table, f"devices.{device}")
        bus = ModbusBus(options.host, options.port, options.unit)
        return cls(device, driver, options, bus, BidiproPanel(bus, options), MAKE, card(options.lease_s))


def _soc_pct(state: State, per_mille: int) -> float | None:
    """Return the state of charge of a car whose session is up; 0 is what the station says when it does not know."""
    return per_mille / 10 if STATES[state] is EvseState.READY and 0 < per_mille <= 1000 else None


def _error_text(state: State, words: Sequence[int]) -> str:
    bits = int.from_bytes(b"".join(w.to_bytes(2) for w in words))
    named = f"error bits 0x{bits:010x}" if bits else ""
    return "; ".join(filter(None, (_ERROR_TEXT.get(state, ""), named)))
