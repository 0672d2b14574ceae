"""What comes over a CAN bus: CHAdeMO sessions, EV-CAN traffic with polling, ISO-TP, the lines of a serial adapter."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import fields

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.frames import decode_car
from gateway.devices.chademo.moment import Charger, Inputs, Mode, Output, PilotLines, Progress, State
from gateway.devices.chademo.orders import Orders, orders
from gateway.devices.chademo.session import step
from gateway.devices.leaf.isotp import Partial, receive
from gateway.devices.leaf.vehicle import Bus, Leaf, Options
from gateway.devices.slcan import EVERY_ID, decode_line, spelled
from gateway.faults import Malformed
from gateway.model import EvSample

from .checksums import sound
from .engine import ROOT, Breach, Feed, Target

RECORD = 10
"""Two bytes of id, eight of data; the top bits of the id shorten the data and stretch the time."""
DATA = ROOT / "../shared/data/can"

type Told = tuple[int, bytes, int]


def records(given: bytes) -> Iterator[Told]:
    """Cut an input into CAN frames: id, data, and the three spare bits of the id."""
    for at in range(0, len(given) - RECORD + 1, RECORD):
        head = int.from_bytes(given[at : at + 2])
        length = 8 if head >> 11 & 1 == 0 else (head >> 12) % 8
        yield head & 0x7FF, given[at + 2 : at + 2 + length], head >> 13


def record(can_id: int, data: bytes) -> bytes:
    """Write a frame as ``records`` reads it."""
    spare = 0 if len(data) == 8 else 1 << 11 | len(data) << 12
    return (can_id | spare).to_bytes(2) + data.ljust(8, b"\0")[:8]


def recorded(name: str, ids: range, most: int) -> list[bytes]:
    """Return the frames of a recording; none where the recordings are not at hand."""
    path = DATA / name
    if not path.exists():
        return []
    found = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if frame := _any_form(line):
            found.append(record(*frame))
        if len(found) == most:
            break
    return [f for f in found if int.from_bytes(f[:2]) & 0x7FF in ids]


_FORMS = (
    re.compile(r"^\d+,0*([0-9A-F]{3}),false,Rx,0,\d,((?:[0-9A-F]{2},)+)"),
    re.compile(r"\scan\d\s+([0-9A-F]{3})\s+\[\d\]\s+((?:[0-9A-F]{2}\s?)+)"),
    re.compile(r"0x0*([0-9a-f]{3})\t\d\t0x((?:[0-9a-f]{2} ?)+)"),
)


def _any_form(line: str) -> tuple[int, bytes] | None:
    for form in _FORMS:
        if found := form.search(line):
            return int(found[1], 16), bytes.fromhex(found[2].replace(",", ""))[:8]
    return None


# ── CHAdeMO ──

TICK_S = 0.1


def _willing() -> bytes:
    """A car that goes all the way: it greets, permits, closes, asks, stops and opens."""
    session = b""
    for tick in range(140):
        status = (
            0x88 if tick < 12 else 0x89 if tick < 45 else 0x81 if tick < 100 else 0x80 if tick < 118 else 0x88
        )
        asks = min(2 * max(0, tick - 55), 30) if tick < 100 else 0
        session += record(0x100, bytes((0, 0, 0, 0, 0xB3, 1, 100, 0)))
        session += record(0x102, bytes((2, 0x9A, 1, asks, 0, status, 60, 0)))
        session += record(0x200, bytes((255 - asks, 0, 0, 0, 250, 0, 10, 100)))
        session += record(0x101, bytes((0, 255, 60, 0, 0, 0x62, 1, 0)))
    return session


def chademo_seeds() -> list[bytes]:
    log = recorded("chademo-24kwh-v2h-start-stop.csv", range(0x100, 0x300), 3000)
    parts = [b"".join(log[at : at + 600]) for at in range(0, len(log), 600)]
    return [_willing(), *(p for p in parts if p)]


def chademo() -> Feed:
    charger = Charger()

    def feed(given: bytes) -> bool:
        session = _Session(charger, wanted_a=20.0 if len(given) % 2 else -20.0)
        refused = sum(not session.hear(*told) for told in records(given))
        return refused == 0

    return feed


class _Session:
    """A charger whose converter and pilot lines do at once what they are told; the car is the input."""

    def __init__(self, charger: Charger, wanted_a: float) -> None:
        self._charger = charger
        self._car, self._progress = Car(), Progress()
        self._wanted_a = wanted_a
        self._now = 100.0
        self._frames: dict[int, bytes] = {}
        self._output = Output(insulation_ohm=2e6)

    def hear(self, can_id: int, data: bytes, spare: int) -> bool:
        try:
            frame = decode_car(can_id, data)
        except Malformed:
            return False
        if frame is not None:
            self._car = self._car.heard(frame, self._now)
            self._frames[can_id] = data
        if can_id == 0x102:
            self._advance(spare)
        return True

    def _advance(self, spare: int) -> None:
        self._now += TICK_S * (20 if spare == 7 else 1)
        coils = orders(self._progress, Inputs(self._now), self._charger).coils
        status = self._frames[0x102][5]
        k = bool(status & 1) != (spare == 6)
        lines = PilotLines(k, True, coils.lock, emergency_stop=spare == 5)
        inputs = Inputs(
            self._now,
            self._car,
            lines,
            self._output,
            engage=spare != 4,
            owner_asked=True,
            wanted_a=self._wanted_a,
        )
        self._progress = step(self._progress, inputs, self._charger)
        told = orders(self._progress, inputs, self._charger)
        self._judge(told, k)
        linked = told.coils.d2 and not status & 8
        order = told.converter
        volts = 375.0 if linked else order.voltage_v if order.mode is Mode.VOLTAGE else 0.0
        amps = order.current_a if linked and order.mode is Mode.CURRENT else 0.0
        self._output = Output(order.mode, volts, amps, 2e6)

    def _judge(self, told: Orders, k: bool) -> None:
        order, coils = told.converter, told.coils
        amps, charger = order.current_a, self._charger
        asked_a = self._frames[0x102][3]
        given_a = 255 - self._frames[0x200][0] if 0x200 in self._frames else 0
        if not -charger.max_discharge_a <= amps <= charger.max_charge_a or not math.isfinite(amps):
            raise Breach(f"{amps} A ordered, beyond the charger")
        if amps > asked_a or -amps > given_a:
            raise Breach(f"{amps} A ordered; the car asks {asked_a} A and gives {given_a} A")
        if amps < 0 and not self._frames[0x102][5] & 0x80:
            raise Breach(f"{amps} A ordered from a car that does not consent")
        if amps and not (self._progress.state is State.ENERGISED and k and coils.d2):
            raise Breach(f"{amps} A ordered in {self._progress.state}, k={k}, {coils}")
        if coils.d2 and not coils.lock:
            raise Breach("d2 without the lock")
        if any(len(frame.encode()) != 8 for frame in told.frames):
            raise Breach("a frame of ours that is not eight bytes long")


# ── EV-CAN, with questions ──


class _SilentBus:
    """A bus that is up and takes everything."""

    up, problem = True, ""

    def send(self, can_id: int, data: bytes) -> None:
        if not (0x700 <= can_id < 0x800 and len(data) == 8):
            raise Breach(f"sent {can_id:03X} {data.hex()}")


class _Slot:
    def sample(self, sample: EvSample) -> None:
        _check_sample(sample)

    def identity(self, info: object) -> None:
        pass

    def fault(self, code: object, detail: str) -> None:
        pass

    def clear(self, code: object) -> None:
        pass


_RANGES = {
    "dash_soc_pct": (0, 100),
    "lbc_soc_pct": (0, 100),
    "voltage_v": (0, 520),
    "current_a": (-1000, 1000),
}


def _check_sample(sample: EvSample) -> None:
    for field in fields(sample):
        value = getattr(sample, field.name)
        if isinstance(value, float) and not math.isfinite(value):
            raise Breach(f"{field.name} is {value}")
        low, high = _RANGES.get(field.name, (-math.inf, math.inf))
        if value is not None and field.name in _RANGES and not low <= value <= high:
            raise Breach(f"{field.name} is {value}")


def leaf_seeds() -> list[bytes]:
    seeds = []
    for name in ("evcan-ze1-62kwh-quick-charge.txt", "evcan-ze0-24kwh-stock-first6000.tsv"):
        frames = recorded(name, range(0x800), 4000)
        seeds += [b"".join(frames[at : at + 300]) for at in range(0, len(frames), 300)]
    pack = record(0x1DB, bytes.fromhex("EEC0C3EA00F7619B"))
    answer = record(0x7BB, bytes.fromhex("10296101FFFFFC4E")) + record(
        0x7BB, bytes.fromhex("2102AFFFFFFB6200")
    )
    return [*seeds, pack, pack + answer]


def leaf() -> Feed:
    options = Options("Leaf", "slcan", "nowhere", bus=Bus.EV_CAN, polls=True)
    slot = _Slot()

    def feed(given: bytes) -> bool:
        clock = [1000.0]
        driver = Leaf("leaf", "vehicle.leaf", options, bus=_SilentBus(), clock=lambda: clock[0])
        traffic = driver._traffic
        for number, (can_id, data, spare) in enumerate(records(given)):
            clock[0] += 60.0 if spare == 7 else 0.01
            kept = {key: value for key, value in traffic._kept.items() if key[0] == can_id}
            driver.hear(can_id, data)
            changed = any(
                traffic._kept.get(key) is not kept.get(key) for key in traffic._kept if key[0] == can_id
            )
            if changed and sound(can_id, data) is False:
                raise Breach(f"took {can_id:03X} {data.hex()}, whose check does not hold")
            if number % 20 == 0:
                driver.beat(slot)
        driver.beat(slot)
        return traffic.rejected == 0

    return feed


# ── ISO-TP ──


def isotp_seeds() -> list[bytes]:
    first = (
        bytes.fromhex("100E6104AABBCCDD")
        + bytes.fromhex("2101020304050607")
        + bytes.fromhex("2208090A0B0C0D0E")
    )
    return [first, bytes.fromhex("0461010203555555"), first + first, b"\x30\0\0\0\0\0\0\0"]


def isotp() -> Feed:
    def feed(given: bytes) -> bool:
        partial: Partial | None = None
        shadow = _Reassembly()
        for at in range(0, len(given), 8):
            frame = given[at : at + 8]
            expected = shadow.take(frame)
            try:
                got = receive(partial, frame)
            except Malformed:
                if expected is not None:
                    raise Breach(f"refused {frame.hex()}, which completes {expected.hex()}") from None
                partial = None
                continue
            if isinstance(got, bytes):
                if got != expected:
                    raise Breach(f"made {got.hex()} of {frame.hex()}, not {expected and expected.hex()}")
                partial = None
            else:
                partial = got
        return partial is None

    return feed


class _Reassembly:
    """ISO 15765-2 once more, by states and a list."""

    def __init__(self) -> None:
        self._wanted, self._parts, self._next = 0, bytearray(), 0

    def take(self, frame: bytes) -> bytes | None:
        if not frame:
            return None
        match frame[0] >> 4:
            case 0:
                size = frame[0] & 15
                if 0 < size < len(frame):
                    self._wanted = 0
                    return frame[1 : size + 1]
                self._wanted = 0
            case 1:
                size = (frame[0] & 15) * 256 + (frame[1] if len(frame) > 1 else 0)
                self._wanted = size if len(frame) == 8 and size >= 8 else 0
                self._parts, self._next = bytearray(frame[2:]), 1
            case 2 if self._wanted:
                return self._more(frame)
        return None

    def _more(self, frame: bytes) -> bytes | None:
        if frame[0] & 15 != self._next:
            self._wanted = 0
            return None
        self._parts += frame[1:]
        self._next = (self._next + 1) % 16
        if len(self._parts) >= self._wanted:
            whole, self._wanted = bytes(self._parts[: self._wanted]), 0
            return whole
        if len(frame) != 8:
            self._wanted = 0
        return None


# ── the serial adapter ──

_STRICT = re.compile(rb"t([0-7][0-9A-Fa-f]{2})([0-8])((?:[0-9A-Fa-f]{2})*)")


def slcan_seeds() -> list[bytes]:
    return [
        b"t1028029A010F00C13E00",
        b"t10230102AB",
        b"t7FF0",
        b"t10281122334455667788ABCD",
        b"T0000010220102",
        b"z",
        b"V1013",
    ]


def slcan() -> Feed:
    wanted = spelled(EVERY_ID)

    def feed(given: bytes) -> bool:
        frame = decode_line(given, wanted)
        if frame is None:
            return False
        strict = _STRICT.fullmatch(given)
        can_id, data = frame
        if strict is None or not len(data) == int(strict[2]) == len(strict[3]) // 2 - 2 * (
            len(strict[3]) > 2 * len(data)
        ):
            raise Breach(f"took {given!r} as {can_id:03X} {data.hex()}")
        if can_id != int(strict[1], 16) or not strict[3].lower().startswith(data.hex().encode()):
            raise Breach(f"made {can_id:03X} {data.hex()} of {given!r}")
        return True

    return feed


TARGETS: Sequence[Target] = (
    Target("chademo", ("gateway/devices/chademo/",), chademo_seeds, chademo, unit_bytes=RECORD),
    Target("leaf", ("gateway/devices/leaf/",), leaf_seeds, leaf, unit_bytes=RECORD),
    Target("isotp", ("gateway/devices/leaf/isotp",), isotp_seeds, isotp, unit_bytes=8),
    Target("slcan", ("gateway/devices/slcan",), slcan_seeds, slcan, text=True),
)
