"""A Japanese V2H unit: class 0x027E of ECHONET Lite over UDP, in front of a charger in one box (reference/modbus.md 3.4).

Frames in, frames out; the socket is ``EchonetPort``. The unit keeps the standard's habits that are hard on a controller:
an order that does not fit the method is acknowledged and ignored, and what the car has not told yet is "not possible".
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from random import Random

from gateway.simulator.wall_charger import WallCharger

RATED_W, LEAST_W = 6000, 500
NODE_PROFILE, CHARGER = bytes((0x0E, 0xF0, 0x01)), bytes((0x02, 0x7E, 0x01))
CHARGE, DISCHARGE, STANDBY, IDLE = 0x42, 0x43, 0x44, 0x47
V2G, POWER = 6, 3
SET_NO_ANSWER, SET, GET, INFORM = 0x60, 0x61, 0x62, 0x73
_DONE, _NOT_POSSIBLE = {SET: 0x71, GET: 0x72}, {SET: 0x51, GET: 0x52}
_GETTABLE = {
    0x80,
    0x82,
    0x88,
    0x89,
    0x8A,
    0x8C,
    0x8D,
    0x9D,
    0x9E,
    0x9F,
    *range(0xC5, 0xCA),
    0xCC,
    0xD0,
    0xD3,
    0xD4,
    0xD5,
}
_GETTABLE |= {0xD6, 0xD8, 0xDA, 0xDB, 0xE2, 0xE4, 0xE7, 0xEA, 0xEB, 0xEC}
_SETTABLE = {0xCD, 0xDA, 0xE7, 0xEA, 0xEB, 0xEC}
_SINCE: Mapping[str, set[int]] = {"J": set(), "N": {0xDC, 0xDD}, "P": {0xDC, 0xDD, 0xE0}}
"""By release of the object's definition: the methods came with N, the V2G set-point with P."""
_FROM_CAR = {0xD0, 0xE2, 0xE4}


class EchonetUnit:
    """The unit. The switches below are what is wrong with it."""

    def __init__(self, release: str = "P") -> None:
        self.charger = WallCharger(rated_w=RATED_W, share=False)
        self.silent = False
        self.refuses_discharge = False
        self.errors = 0
        self.ignores: set[int] = set()
        """Properties whose orders are acknowledged and not taken."""
        self.says_no: set[int] = set()
        """Properties whose orders are answered "not possible"."""
        self.refused_values: set[tuple[int, int]] = set()
        """Single values that it does not know."""
        self.loss = 0.0
        """The share of datagrams that get lost, in and out."""
        self.bound_works = True
        self.bound_counts_down = False
        self.orders: list[tuple[int, bytes]] = []
        """Every order that came, taken or not."""
        self.on_change: Callable[[], None] = lambda: None
        self._extra = _SINCE[release]
        self._kept: dict[int, int] = {}
        self._left_wh = math.inf
        self._knows_car = False
        self._told: tuple[int, int] | None = None
        self._chance = Random(1)
        self._inform_tid = 0
        self.reboot()

    def reboot(self) -> None:
        """Forget what was ordered."""
        self._kept = {0xDA: STANDBY, 0xDC: 1, 0xDD: 2, 0xE0: 0, 0xE7: 0, 0xEA: 0, 0xEB: 0, 0xEC: 0}
        self._left_wh = math.inf
        self.charger.session_wanted = False

    def app(self, on: bool) -> None:
        """Let a person stop it on its own panel, or leave it to the interface."""
        if on:
            self._kept[0xDA] = STANDBY

    def meddle(self, epc: int, value: int) -> None:
        """Let another controller order something."""
        self._take(epc, value)

    @property
    def mode(self) -> int:
        """The mode of operation (0xDA)."""
        return self._kept[0xDA]

    def step(self, dt_s: float) -> None:
        """Run the energy bound and pass on what is ordered."""
        charger, mode = self.charger, self.mode
        if not charger.plugged:
            self._knows_car = False
            if mode in {CHARGE, DISCHARGE}:
                self._kept[0xDA] = STANDBY
        self._knows_car |= charger.engaged
        if mode in {CHARGE, DISCHARGE} and charger.engaged:
            self._left_wh -= abs(charger.ac_w) * dt_s / 3600.0
            if self._left_wh <= 0.0 and self.bound_works:
                self._kept[0xDA], self._left_wh = STANDBY, math.inf
        charger.session_wanted = (
            charger.plugged
            and not self.errors
            and (self.mode in {CHARGE, DISCHARGE} or (charger.session_wanted and self.mode != IDLE))
        )
        charger.target_w = self._target_w()
        if (tell := (self.mode, self._connection())) != self._told:
            self._told = tell
            self.on_change()

    def inform(self) -> bytes:
        """Return what the unit tells everybody when its mode or the state of the car's connection changed."""
        self._inform_tid = self._inform_tid % 0xFFFF + 1
        changed = [(0xDA, bytes((self.mode,))), (0xC7, bytes((self._connection(),)))]
        return _frame(self._inform_tid, CHARGER, NODE_PROFILE, INFORM, changed)

    def answer(self, datagram: bytes) -> bytes | None:
        """Take a datagram; return the answer, None where there is none."""
        if self._lost() or len(datagram) < 14 or datagram[:2] != b"\x10\x81":
            return None
        tid, asker, service = int.from_bytes(datagram[2:4]), datagram[4:7], datagram[10]
        if datagram[7:10] not in {CHARGER, CHARGER[:2] + b"\0"} or service not in {SET_NO_ANSWER, SET, GET}:
            return None
        done, answers = True, []
        for epc, edt in _properties(datagram[11:]):
            content = self._read(epc) if service == GET else self._write(epc, edt)
            done &= content is not None
            refused = b"" if service == GET else edt
            answers.append((epc, refused if content is None else content))
        if service == SET_NO_ANSWER or self._lost():
            return None
        return _frame(tid, CHARGER, asker, (_DONE if done else _NOT_POSSIBLE)[service], answers)

    def _lost(self) -> bool:
        return self.silent or self._chance.random() < self.loss

    def _write(self, epc: int, edt: bytes) -> bytes | None:
        self.orders.append((epc, edt))
        known = epc in _SETTABLE | self._extra and (epc, int.from_bytes(edt)) not in self.refused_values
        if not known or epc in self.says_no:
            return None
        if epc not in self.ignores:
            self._take(epc, int.from_bytes(edt, signed=epc == 0xE0))
        return b""

    def _take(self, epc: int, value: int) -> None:
        match epc:
            case 0xCD:
                self.charger.session_wanted = self.charger.plugged
            case 0xE0:
                method = self._kept[0xDC if value > 0 else 0xDD]
                if method == V2G or (value == 0 and self._kept[0xDC] == V2G):
                    self._kept[0xE0] = value
                    self._kept[0xDA] = CHARGE if value > 0 else DISCHARGE if value < 0 else STANDBY
            case 0xE7 | 0xEA:
                self._kept[epc] = value
                self._left_wh = float(value) or math.inf
            case _:
                self._kept[epc] = value

    def _target_w(self) -> float:
        charging = self.mode == CHARGE
        if self.mode not in {CHARGE, DISCHARGE} or (self.refuses_discharge and not charging):
            return 0.0
        method = self._kept[0xDC if charging else 0xDD] if self._extra else POWER
        power_w = {POWER: self._kept[0xEB if charging else 0xEC], V2G: abs(self._kept[0xE0])}.get(
            method, RATED_W
        )
        power_w = min(power_w, RATED_W)
        return 0.0 if power_w < LEAST_W else float(power_w if charging else -power_w)

    def _connection(self) -> int:
        if not self.charger.plugged:
            return 0x30
        if not self.charger.engaged:
            return 0x44
        return 0x41 if self.refuses_discharge else 0x43

    def _read(self, epc: int) -> bytes | None:
        if epc not in _GETTABLE | self._extra or (epc in _FROM_CAR and not self._knows_car):
            return None
        if epc in self._kept:
            kept = self._kept[epc]
            if self.bound_counts_down and epc in {0xE7, 0xEA} and kept and self._left_wh < math.inf:
                kept = max(1, round(self._left_wh))
            return kept.to_bytes(1 if epc in {0xDA, 0xDC, 0xDD} else 4, signed=epc == 0xE0)
        return self._measured()[epc]()

    def _measured(self) -> dict[int, Callable[[], bytes]]:
        device = self.charger
        return {
            0x80: lambda: b"\x30",
            0x82: lambda: b"\x00\x00P\x00",
            0x88: lambda: b"\x41" if self.errors else b"\x42",
            0x89: lambda: self.errors.to_bytes(2),
            0x8A: lambda: b"\x00\x00\x6c",
            0x8C: lambda: b"SIM-V2H-6".ljust(12, b"\0"),
            0x8D: lambda: b"SIM-EL-0001".ljust(12, b"\0"),
            0x9D: lambda: _map({0x80, 0x88, 0xC7, 0xDA}),
            0x9E: lambda: _map(_SETTABLE | self._extra),
            0x9F: lambda: _map(_GETTABLE | self._extra),
            0xC5: lambda: _u32(RATED_W),
            0xC6: lambda: _u32(RATED_W),
            0xC7: lambda: bytes((self._connection(),)),
            0xC8: lambda: _u32(LEAST_W) + _u32(RATED_W),
            0xC9: lambda: _u32(LEAST_W) + _u32(RATED_W),
            0xCC: lambda: b"\x22",
            0xD0: lambda: _u32(device.capacity_wh),
            0xD3: lambda: round(device.ac_w).to_bytes(4, signed=True),
            0xD4: lambda: round(device.current_a * 10).to_bytes(2, signed=True),
            0xD5: lambda: round(device.voltage_v).to_bytes(2, signed=True),
            0xD6: lambda: _u32(device.discharged_wh),
            0xD8: lambda: _u32(device.charged_wh),
            0xDB: lambda: b"\x02",
            0xE2: lambda: _u32(device.stored_wh),
            0xE4: lambda: bytes((round(device.soc_pct),)),
        }


class EchonetPort(asyncio.DatagramProtocol):
    """The unit's socket. What it tells everybody goes to who asked last: there is no multicast on the loopback."""

    def __init__(self, unit: EchonetUnit) -> None:
        self._unit = unit
        unit.on_change = self._tell
        self._transport: asyncio.DatagramTransport | None = None
        self._asker: tuple[str, int] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way out."""
        assert isinstance(transport, asyncio.DatagramTransport)
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Answer."""
        assert self._transport is not None
        self._asker = addr
        if (answer := self._unit.answer(data)) is not None:
            self._transport.sendto(answer, addr)

    def _tell(self) -> None:
        if self._transport is not None and self._asker is not None and not self._unit.silent:
            self._transport.sendto(self._unit.inform(), self._asker)


def _frame(tid: int, source: bytes, to: bytes, service: int, properties: list[tuple[int, bytes]]) -> bytes:
    body = b"".join(bytes((epc, len(edt))) + edt for epc, edt in properties)
    return b"\x10\x81" + tid.to_bytes(2) + source + to + bytes((service, len(properties))) + body


def _properties(body: bytes) -> list[tuple[int, bytes]]:
    found, at = [], 1
    for _ in range(body[0]):
        epc, size = body[at], body[at + 1]
        found.append((epc, body[at + 2 : at + 2 + size]))
        at += 2 + size
    return found


def _map(epcs: set[int]) -> bytes:
    """Return a property map: a list of up to 15, else a bitmap whose columns are the high digits."""
    if len(epcs) < 16:
        return bytes((len(epcs), *sorted(epcs)))
    rows = [0] * 16
    for epc in epcs:
        rows[epc & 0x0F] |= 1 << ((epc >> 4) - 8)
    return bytes((len(epcs), *rows))


def _u32(value: float) -> bytes:
    return round(value).to_bytes(4)
