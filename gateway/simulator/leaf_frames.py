"""The CHAdeMO bytes of the car and what it reads from the charger (reference/can.md 3.2 to 3.4)."""

from dataclasses import dataclass

# One burst each 100 ms, frames 10 ms apart, in the order of a recorded 40 kWh car (reference/can.md 3.5).
BURST = (0x100, 0x101, 0x102, 0x200, 0x110, 0x201, 0x700, 0x202)

MAX_BATTERY_V = 435
TARGET_V = 410
MIN_DISCHARGE_V = 250
MIN_CHARGE_A = 6
CHARGE_TIME_MIN = 80
PROTOCOL = 2
V2H_SEQUENCE = 2
MIN_DISCHARGE_LEVEL_PCT = 10


@dataclass(slots=True)
class CarFace:
    """All that the car tells. Magnitudes in A; ``faults`` is 102.4; flags are bits of 102.5."""

    heard_version: int = 0
    awake_s: float = 0.0
    soc_pct: float = 0.0
    capacity_wh: float = 0.0
    request_a: int = 0
    discharge_limit_a: int = 0
    faults: int = 0
    enabled: bool = False
    system_fault: bool = False
    reports_open: bool = True
    stop_before_charging: bool = False
    discharge_compatible: bool = True


def _u16(value: float) -> tuple[int, int]:
    whole = round(value)
    return whole & 0xFF, whole >> 8


def _limits(car: CarFace) -> tuple[int, ...]:
    reference = {0: 0xF0, 1: 0xFF}.get(car.heard_version, 100)
    return (MIN_CHARGE_A, 0, 0, 0, *_u16(MAX_BATTERY_V), reference, 0)


def _capacity(car: CarFace) -> tuple[int, ...]:
    if not car.heard_version:
        return (0,) * 8
    capacity = _u16(car.capacity_wh / 100.0) if car.awake_s > 0.7 else (0xF4, 0x01)
    time = (0xFF, CHARGE_TIME_MIN) if car.awake_s > 2.5 else (0, 0)
    return (0, *time, 0, 0, *capacity, 0)


def _status(car: CarFace) -> int:
    # The first frames of a waking car claim a closed contactor; it corrects itself 200 ms later.
    reports_open = car.reports_open and car.awake_s > 0.2
    return (
        car.enabled
        | car.system_fault << 2
        | reports_open << 3
        | car.stop_before_charging << 4
        | car.discharge_compatible << 7
    )


def _request(car: CarFace) -> tuple[int, ...]:
    soc = round(car.soc_pct * (2.55 if car.heard_version == 1 else 1.0))
    if car.awake_s <= 2.0:
        soc = 1 if car.heard_version else 3
    return (PROTOCOL, *_u16(TARGET_V), car.request_a, car.faults, _status(car), soc, 0)


def _discharge(car: CarFace) -> tuple[int, ...]:
    levels = (MIN_DISCHARGE_LEVEL_PCT, 100) if car.heard_version >= 2 else (0x1A, 0xFF)
    return (255 - car.discharge_limit_a, 0, 0, 0, *_u16(MIN_DISCHARGE_V), *levels)


def encode(can_id: int, car: CarFace) -> bytes:
    """Return the eight bytes of one of the frames in BURST."""
    match can_id:
        case 0x100:
            return bytes(_limits(car))
        case 0x101:
            return bytes(_capacity(car))
        case 0x102:
            return bytes(_request(car))
        case 0x200:
            return bytes(_discharge(car))
        case 0x110:
            return bytes((1, 0, 0, 0, 0, 0, 0, 0))
        case 0x201:
            return bytes((V2H_SEQUENCE, 0, 0, 0, 0, 0, 0, 0))
        case 0x700:
            return bytes((1, 2, 0, 0, 6, 0, 0, 0))
        case 0x202:
            return bytes((1, 1, 1, 0, 0, 0, 0, 0))
    raise ValueError(f"the car does not send {can_id:03X}")


@dataclass(slots=True)
class ChargerHeard:
    """What the car knows of the charger; ages are seconds since the frame."""

    version: int = 0
    available_a: int = 0
    discharge_available_a: int = 0
    output_v: int = 0
    discharge_compatible: bool = False
    energised: bool = False
    stop: bool = False
    fault: bool = False
    remaining_min: float = 0.0
    age_s: float = 1e9
    discharge_age_s: float = 1e9

    def read(self, can_id: int, data: bytes) -> None:
        """Take a frame; foreign and short ones are ignored."""
        if len(data) != 8:
            return
        match can_id:
            case 0x108:
                self.available_a = data[3]
                self.age_s = 0.0
            case 0x109:
                self._read_status(data)
                self.age_s = 0.0
            case 0x208:
                self.discharge_available_a = 255 - data[3]
                self.discharge_age_s = 0.0
            case _:
                pass

    def _read_status(self, data: bytes) -> None:
        self.version = data[0]
        self.output_v = data[1] | data[2] << 8
        self.discharge_compatible = bool(data[4] & 0x01)
        self.energised = bool(data[5] & 0x01)
        self.fault = bool(data[5] & 0x1A)
        self.stop = bool(data[5] & 0x20)
        self.remaining_min = data[7] if data[6] == 0xFF else data[6] / 6.0
