"""The car's controllers that a tester can ask over ISO-TP: battery, vehicle and cluster (reference/can.md 2)."""

from collections import deque

from gateway.simulator.ev_can_car import CarNow, Generation

BATTERY, VEHICLE, CLUSTER = (0x79B, 0x7BB), (0x797, 0x79A), (0x743, 0x763)
_GAP_S = 0.011
"""Between two consecutive frames when the tester asks for no pause."""
_GIVES_UP_S = 1.0
_FILL = b"\xff"
_READ_LOCAL, _READ_COMMON, _NO = 0x21, 0x22, 0x7F
_NOT_SUPPORTED = 0x12
_SETTLED_S = 3.0
"""A ZE1 answers group 01 with another length just after wake-up."""

type Frame = tuple[int, bytes]


class Controller:
    """One controller: single-frame questions in, answers out. A new question while an answer is under way breaks that."""

    def __init__(self, ids: tuple[int, int]) -> None:
        self.asked_at, self.answers_at = ids
        self.questions: list[bytes] = []
        """Every question that came, for tests."""
        self._rest: deque[bytes] = deque()
        self._block = 0
        self._gap_s = _GAP_S
        self._due_s: float | None = None
        self._silent_s = 0.0

    def hear(self, data: bytes, car: CarNow) -> Frame | None:
        """Take a frame of a tester; return the frame that answers at once."""
        kind, low = data[0] >> 4, data[0] & 0x0F
        if kind == 3:
            self._continue(data)
            return None
        if kind != 0 or not 0 < low <= 7:
            return None
        broken, self._due_s = bool(self._rest), None
        self._rest.clear()
        if broken:
            return None
        self.questions.append(data[1 : 1 + low])
        return self._start(answer(self.asked_at, data[1 : 1 + low], car))

    def step(self, dt_s: float) -> Frame | None:
        """Return the consecutive frame that is due, if any."""
        if not self._rest:
            return None
        self._silent_s += dt_s
        if self._due_s is None:
            if self._silent_s >= _GIVES_UP_S:
                self._rest.clear()
            return None
        self._due_s -= dt_s
        if self._due_s > 0.0:
            return None
        frame = self._rest.popleft()
        self._block -= 1
        self._silent_s = 0.0
        self._due_s = self._gap_s if self._block else None
        return self.answers_at, frame

    def _start(self, message: bytes) -> Frame:
        self._silent_s = 0.0
        if len(message) <= 7:
            return self.answers_at, (bytes((len(message),)) + message).ljust(8, _FILL)
        body = message[6:]
        for number, at in enumerate(range(0, len(body), 7), start=1):
            self._rest.append((bytes((0x20 | number & 0x0F,)) + body[at : at + 7]).ljust(8, _FILL))
        return self.answers_at, bytes((0x10 | len(message) >> 8, len(message) & 0xFF)) + message[:6]

    def _continue(self, data: bytes) -> None:
        if data[0] & 0x0F == 0 and self._rest:
            self._block = data[1] or -1
            self._gap_s = max(_GAP_S, data[2] / 1000.0 if data[2] <= 0x7F else 0.0)
            self._due_s = self._gap_s


def answer(asked_at: int, question: bytes, car: CarNow) -> bytes:
    """Return the answer to a question, a refusal for what is not known."""
    service, of = question[0], question[1:]
    if asked_at == BATTERY[0] and service == _READ_LOCAL and len(of) == 1:
        content = battery_group(of[0], car)
    elif asked_at == VEHICLE[0] and service in {_READ_LOCAL, _READ_COMMON}:
        content = vehicle_value(of, car)
    elif asked_at == CLUSTER[0] and question.hex() in {"220e01", "2101"}:
        content = car.odometer_km.to_bytes(3)
    else:
        content = None
    if content is None:
        return bytes((_NO, service, _NOT_SUPPORTED))
    return bytes((service + 0x40,)) + of + content


def battery_group(group: int, car: CarNow) -> bytes | None:
    """Return what the battery controller tells of a group, after ``61 gg``."""
    modern = car.breed.generation is Generation.ZE1
    match group:
        case 0x01:
            return _overview(car)
        case 0x02:
            volts = round(car.voltage_v * 100).to_bytes(2)
            return b"".join(car.cell_mv(cell).to_bytes(2) for cell in range(96)) + volts + volts
        case 0x04:
            return _sensors(car)
        case 0x06:
            shunted = sum(
                1 << cell for cell in range(96) if car.cell_mv(cell) - car.voltage_v * 1000 / 96 > 4
            )
            return shunted.to_bytes(12) + b"\xff" * 12
        case 0x61 if modern:
            return b"\0\0" + round(car.soh_pct * 100).to_bytes(2) + bytes(325)
        case 0x62:
            return car.ac_charges.to_bytes(2) + car.quick_charges.to_bytes(2) + b"\xff" * 4
        case 0x83:
            return b"295B0-SIMUL".ljust(16, b" ")
        case 0x84:
            return b"230SIM0000000042".ljust(20, b" ")
    return None


def _overview(car: CarNow) -> bytes:
    """Group 01: the length tells the pack."""
    size = car.breed.group_01
    if car.breed.generation is Generation.ZE1 and car.awake_s < _SETTLED_S:
        return b"\xff" * 42
    told = bytearray(size)
    current = round(car.current_a * 1024).to_bytes(4, signed=True)
    told[0:4] = told[6:10] = current
    told[18:20] = round(car.voltage_v * 100).to_bytes(2)
    told[20:22] = round(car.aux_v * 1024).to_bytes(2)
    told[22:24] = (956).to_bytes(2)
    soc, ah = round(car.lbc_soc_pct * 10_000), round(car.capacity_ah * 10_000)
    if size == 51:
        told[28:30] = round(car.hx_pct * 102.4).to_bytes(2)
        told[31:34], told[35:38] = soc.to_bytes(3), ah.to_bytes(3)
    else:
        told[26:28] = round(car.hx_pct * 100).to_bytes(2)
        told[28:32], told[32:36] = soc.to_bytes(4), ah.to_bytes(4)
    return bytes(told)


def _sensors(car: CarNow) -> bytes:
    """Group 04: up to four sensors, each with its raw value and its degrees; the third is not fitted everywhere."""
    told = b""
    for number, offset in enumerate((-2.0, 0.0, 1.0, 2.0)):
        degrees = round(car.temperature_c + offset)
        absent = number == 2 and car.breed.three_sensors
        told += (
            b"\xff\xff\xff" if absent else (700 - 8 * degrees).to_bytes(2) + degrees.to_bytes(1, signed=True)
        )
    mean = round(car.temperature_c).to_bytes(1, signed=True)
    return (told + mean).ljust(car.breed.group_04, b"\xff")


def vehicle_value(of: bytes, car: CarNow) -> bytes | None:
    """Return what the vehicle controller tells of an identifier, after it."""
    match of.hex():
        case "81":
            return b"SJNFAAZE1U0000042"
        case "1203":
            return car.quick_charges.to_bytes(2)
        case "1205":
            return car.ac_charges.to_bytes(2)
        case "1103":
            return bytes((round(car.aux_v / 0.08),))
        case "1234":
            return bytes((2 if car.charging else 0,))
        case "114e":
            return bytes((3 if car.charging else 0,))
        case "115d":
            return bytes((round(car.outside_c * 2) + 80,))
    return None
