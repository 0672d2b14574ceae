"""The CHAdeMO bytes of the car and what it reads from the charger (reference/can.md 3.2 to 3.4)."""

from dataclasses import dataclass

from gateway.simulator.leaf_models import ZE1_40, LeafModel

MAX_BATTERY_V = 435
TARGET_V = 410
MIN_DISCHARGE_V = 250


@dataclass(slots=True)
class CarFace:
    """All that the car tells. Magnitudes in A; ``faults`` is 102.4; flags are bits of 102.5."""

    model: LeafModel = ZE1_40
    heard_version: int = 0
    awake_s: float = 0.0
    soc_pct: float = 0.0
    max_battery_v: int = MAX_BATTERY_V
    target_v: int = TARGET_V
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
    return (car.model.min_charge_a, 0, 0, 0, *_u16(car.max_battery_v), reference, 0)


def _capacity(car: CarFace) -> tuple[int, ...]:
    if not car.heard_version:
        return (0,) * 8
    model = car.model
    known_after_s = 0.7 if model.levels_in_pct else 2.0
    capacity = model.capacity_wh / 100.0 if car.awake_s > known_after_s else model.unknown_capacity
    time = (0xFF, model.charge_time_min) if car.awake_s > 2.5 else (0, 0)
    return (0, *time, 0, 0, *_u16(capacity), 0)


def _status(car: CarFace) -> int:
    # The first frames of a waking ZE1 claim a closed contactor; it corrects itself 200 ms later.
    reports_open = car.reports_open and (car.awake_s > 0.2 or not car.model.wakes_with_a_lie)
    return (
        car.enabled
        | car.system_fault << 2
        | (reports_open and car.model.reports_contactor) << 3
        | car.stop_before_charging << 4
        | car.model.old_dynamic_bit << 6
        | (car.discharge_compatible and car.model.discharges) << 7
    )


def _request(car: CarFace) -> tuple[int, ...]:
    soc = round(car.soc_pct * (2.55 if car.heard_version == 1 else 1.0))
    if car.awake_s <= 2.0:
        soc = 1 if car.heard_version else 3
    elif car.awake_s <= car.model.claims_full_until_s:
        soc = 100
    return (car.model.protocol, *_u16(car.target_v), car.request_a, car.faults, _status(car), soc, 0)


def _levels(car: CarFace) -> tuple[int, int]:
    """Return 200.6 and 200.7 (reference/can.md 3.6)."""
    low_pct, high_pct = car.model.window_pct
    if not car.model.tells_levels:
        return 0, 0
    if car.model.levels_in_pct:
        return (round(low_pct), round(high_pct)) if car.heard_version >= 2 else (0x1A, 0xFF)
    if not car.heard_version or car.awake_s <= 0.7:
        return 0xFF, 0xFF
    tenth_of_kwh_per_pct = car.model.capacity_wh / 10_000.0
    return round(low_pct * tenth_of_kwh_per_pct), round(high_pct * tenth_of_kwh_per_pct)


def _discharge(car: CarFace) -> tuple[int, ...]:
    return (255 - car.discharge_limit_a, 0, 0, 0, *_u16(MIN_DISCHARGE_V), *_levels(car))


def encode(can_id: int, car: CarFace) -> bytes:
    """Return the eight bytes of one of the frames that a Leaf sends."""
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
            return bytes((car.model.functions, 0, 0, 0, 0, 0, 0, 0))
        case 0x201:
            return bytes((car.model.v2h_sequence, 0, 0, 0, 0, 0, 0, 0))
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
    output_a: int = 0
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
        self.output_a = data[3]
        self.discharge_compatible = bool(data[4] & 0x01)
        self.energised = bool(data[5] & 0x01)
        self.fault = bool(data[5] & 0x1A)
        self.stop = bool(data[5] & 0x20)
        self.remaining_min = data[7] if data[6] == 0xFF else data[6] / 6.0
