"""Frames of the car's own bus, by generation (reference/can.md 1.2 to 1.7): values → bytes, with checksums and counters.

A field is ``(start, width, raw)`` with its start counted in bits from the first bit of the frame. What is not decoded there stays as
it was recorded, or 0.
"""

from collections.abc import Callable

from gateway.simulator.ev_can_car import CarNow, Generation

type Field = tuple[int, int, int]

WAKING_S = 0.5
"""For so long after wake-up the battery controller has no values yet."""
NOMINAL_24_KWH = 50
"""What a ZE0 tells in 5BC: the capacity of a new pack, (raw + 250) times 80 Wh, however old it is."""
_POLYNOMIAL = 0x85


def bits(size: int, *fields: Field) -> bytes:
    """Return ``size`` bytes with the fields in place; a raw value that is too large is cut to its width."""
    word = 0
    for start, width, raw in fields:
        word |= (raw & ((1 << width) - 1)) << (8 * size - start - width)
    return word.to_bytes(size)


def _crc_table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        crc = byte
        for _ in range(8):
            crc = (crc << 1 ^ _POLYNOMIAL if crc & 0x80 else crc << 1) & 0xFF
        table.append(crc)
    return tuple(table)


_CRC = _crc_table()


def with_crc(body: bytes) -> bytes:
    """Return ``body`` with its last byte replaced by the CRC of those before."""
    crc = 0
    for byte in body[:-1]:
        crc = _CRC[crc ^ byte]
    return body[:-1] + bytes((crc,))


def with_nibble_sum(can_id: int, body: bytes) -> bytes:
    """Return ``body`` with the sum of all its nibbles and the identifier's in the low nibble of its last byte."""
    nibbles = sum((b >> 4) + (b & 15) for b in body[:-1]) + (body[-1] >> 4)
    nibbles += sum(can_id >> shift & 15 for shift in (0, 4, 8))
    return body[:-1] + bytes((body[-1] & 0xF0 | nibbles & 15,))


def _limited(kw: float, step_kw: float, offset_kw: float = 0.0) -> int:
    """Return a power of ten bits; the highest value is left to "unavailable"."""
    return max(0, min(0x3FE, round((kw + offset_kw) / step_kw)))


def pack(car: CarNow, count: int) -> bytes:
    """0x1DB: current, voltage, and on AZE0 the dash's state of charge."""
    if car.awake_s < WAKING_S:
        dash = 0x7F if car.breed.generation is Generation.AZE0 else 0
        return with_crc(
            bits(8, (0, 11, 0x3FF), (16, 10, 0x3FF), (26, 6, 0b000110), (33, 7, dash), (54, 2, count))
        )
    amperes = round(car.current_a * 2)
    dash = round(car.soc_pct) if car.breed.generation is Generation.AZE0 else 0
    fine = ((40, 12, amperes),) if car.breed.big else ()
    permitted = (26, 6, 0b101010)
    volts = (16, 10, round(car.voltage_v * 2))
    return with_crc(bits(8, (0, 11, amperes), volts, permitted, (33, 7, dash), *fine, (54, 2, count)))


def limits(car: CarNow, count: int) -> bytes:
    """0x1DC: what the pack can give and take."""
    if car.awake_s < WAKING_S:
        return with_crc(bits(8, (0, 32, 0xFFFF_FFFF), (32, 22, 0x07_FFFF), (54, 2, count)))
    most_kw = 180.0 if car.breed.big else 110.0
    discharge = _limited(most_kw if car.soc_pct > 5 else 10.0, 0.25)
    charge = _limited(max(0.0, min(70.0, (100.0 - car.soc_pct) * 2.0)), 0.25)
    charger = _limited(charger_limit_kw(car), 0.1, 10.0) if car.charging else 0x3FF
    return with_crc(
        bits(
            8, (0, 10, discharge), (10, 10, charge), (20, 10, charger), (30, 2, 1), (32, 3, 7), (54, 2, count)
        )
    )


def charger_limit_kw(car: CarNow) -> float:
    """Return the power that the pack takes from a charger."""
    return min(46.0, max(0.0, (100.0 - car.soc_pct) * 1.2))


def charger_limit_wide(car: CarNow, count: int) -> bytes:
    """0x1ED: the charger's limit with one more bit."""
    raw = round((charger_limit_kw(car) + 10.0) * 10) if car.charging and car.awake_s >= WAKING_S else 0x7FF
    return with_crc(bits(3, (0, 11, raw), (14, 2, count)))


def state_of_charge(car: CarNow, count: int) -> bytes:
    """0x55B: the controller's own state of charge and the insulation."""
    raw = round(car.lbc_soc_pct * 10) if car.awake_s >= WAKING_S else 0x3FF
    answer = 0 if car.breed.generation is Generation.ZE1 else 0xAA if count % 2 else 0x55
    insulation = round(4350 * 1024 / 5000) if car.awake_s >= WAKING_S else 0x3FF
    return with_crc(bits(8, (0, 10, raw), (16, 8, answer), (32, 10, insulation), (50, 2, 1), (54, 2, count)))


def energy(car: CarNow, count: int) -> bytes:
    """0x5BC: GIDs, health, time to full; the bigger packs tell their most GIDs in turn with the present ones."""
    old = car.breed.generation is Generation.ZE0
    most = car.breed.new_ah > 66 and count % 2 == 1
    gids = car.breed.most_gids if most else car.gids
    if car.awake_s < WAKING_S:
        return bits(8, (0, 10, 0x3FF), (46, 5, 31), (51, 13, 0x1FFF))
    share = car.soc_pct / 100.0
    middle: tuple[Field, ...]
    if old:
        middle = ((10, 10, NOMINAL_24_KWH), (20, 4, round(12 * share)))
        warmth = (24, 8, round(car.temperature_c) + 40)
    else:
        middle = ((16, 4, round(12 * share)),)
        warmth = (24, 8, round((car.temperature_c + 20) / 80 * 100 / 0.4167))
    to_full_min = round((car.capacity_wh - car.stored_wh) / 1000.0 / 3.0 * 60)
    kind = {Generation.ZE0: 9, Generation.AZE0: 8, Generation.ZE1: 12}[car.breed.generation]
    health = ((32, 7, round(car.soh_pct)), (39, 1, 0))
    return bits(
        8, (0, 10, gids), *middle, warmth, *health, (43, 1, int(most)), (46, 5, kind), (51, 13, to_full_min)
    )


def energy_in_kwh(car: CarNow, _: int) -> bytes:
    """0x59E: full and remaining energy; nine bits, so the 62 kWh pack says 50.0 for all that is more."""
    full = round(car.capacity_wh / 100)
    remaining = min(500, round(car.stored_wh / 100))
    dash = round(car.soc_pct * 2) if car.breed.generation is Generation.ZE1 else 0
    place = (18, 10, full) if car.breed.big else (19, 9, full)
    return bits(8, place, (28, 9, remaining), (56, 8, dash))


def temperatures(car: CarNow, count: int) -> bytes:
    """0x5C0: the warmest, the mean and the coldest in turn; ZE1 has another layout, which says nothing here."""
    if car.breed.generation is Generation.ZE1:
        return bytes((count % 7, 0xFE, 0xFF, 0xFF, 0xF9, 0xFF, 0xFF, 0))
    which = count % 3 + 1
    degrees = car.temperature_c + {1: 2.0, 2: 0.0, 3: -2.0}[which]
    return bits(8, (0, 2, which), (8, 8, round(car.temperature_c * 2) + 80), (16, 8, round(degrees * 2) + 80))


def vehicle_controller(car: CarNow, count: int) -> bytes:
    """0x1F2: chargeable power, what is asked of the battery controller, and whether the connector is one for V2H."""
    power = round((car.power_kw + 10.0) * 10) if car.charging and car.power_kw > 0 else 100
    asked = 2 if car.charging else 3
    body = bits(8, (6, 10, power), (17, 2, asked), (22, 1, int(car.can_discharge)), (54, 2, count))
    return with_nibble_sum(0x1F2, body)


def charger(car: CarNow, count: int) -> bytes:
    """0x390: the on-board charger of AZE0 and ZE1; idle while the car is charged by DC, and it says when it exports."""
    exports = 9 if car.charging and car.current_a < -0.5 else 0
    state = (41, 6, 1 if car.charging else 9)
    body = bits(8, (0, 4, exports), (33, 1, int(car.charging)), state, (47, 9, 66), (58, 2, count))
    return with_nibble_sum(0x390, body)


def charger_of_ze0(car: CarNow, count: int) -> bytes:
    """0x380: the ZE0's on-board charger."""
    body = bits(8, (34, 1, int(car.charging)), (45, 9, round((230.0 - 70.0) / 0.5)), (58, 2, count))
    return with_nibble_sum(0x380, body)


def plug_of_ze0(car: CarNow, count: int) -> bytes:
    """0x5BF: what is plugged into a ZE0."""
    doing = 0xB0 if car.charging else 0x28
    volts = max(0, min(255, round(car.voltage_v) - 257)) if car.charging else 0
    return with_nibble_sum(0x5BF, bits(8, (24, 8, volts), (32, 8, doing), (58, 2, count)))


def charger_status(_: CarNow, count: int) -> bytes:
    """0x393: undecoded, with its counter and sum."""
    return with_nibble_sum(0x393, bits(8, (8, 8, 0x30), (58, 2, count)))


def gear(car: CarNow, count: int) -> bytes:
    """0x11A: in park; the car switched on or off."""
    toggles = 0xAA if count % 2 else 0x55
    return with_crc(bits(8, (8, 2, 2 if car.switched_on else 1), (24, 8, toggles), (54, 2, count)))


def torque(car: CarNow, count: int) -> bytes:
    """0x1D4: high voltage supplied, main relay closed, charge status."""
    charges = 0xE0 if car.charging else 0
    return with_crc(bits(8, (32, 2, count), (37, 1, 1), (41, 1, 1), (48, 8, charges)))


def inverter(_: CarNow, count: int) -> bytes:
    """0x1DA: an inverter at rest."""
    return with_crc(bits(8, (0, 8, 0xBC), (16, 8, 0x18), (54, 2, count)))


def wake_state(car: CarNow, _: int) -> bytes:
    """0x50B: awake, and ready to drive or not."""
    size = 6 if car.breed.generation is Generation.ZE0 else 7
    return bits(size, (22, 2, 2 if car.switched_on else 0), (24, 2, 3))


def question(_: CarNow, count: int) -> bytes:
    """0x50C: the question to the battery controller."""
    return with_crc(bits(6, (30, 2, count), (32, 8, 0x5D if count % 2 else 0xB2)))


def climate(car: CarNow, _: int) -> bytes:
    """0x54C: the temperature outside."""
    return bits(8, (48, 8, round(car.outside_c * 2) + 80))


def range_left(car: CarNow, _: int) -> bytes:
    """0x5A9: range in a fifth of a km; not known while the car is charged."""
    fifths = 0xFFF if car.charging else round(car.stored_wh / 150.0 * 5)
    return bits(8 if car.breed.generation is Generation.ZE0 else 7, (12, 12, fifths))


def fuel(car: CarNow, _: int) -> bytes:
    """0x5B9: bars and minutes to full."""
    minutes = round((car.capacity_wh - car.stored_wh) / 1000.0 / 3.0 * 60)
    return bits(
        5 if car.breed.generation is Generation.ZE0 else 7,
        (0, 5, round(12 * car.soc_pct / 100)),
        (5, 11, minutes),
    )


def wheels(_: CarNow, count: int) -> bytes:
    """0x284: at a stand."""
    return bits(8, (54, 2, count))


def units(_: CarNow, __: int) -> bytes:
    """0x355: the dash is in km."""
    return bits(8, (32, 8, 0x30), (48, 8, 0x40))


def odometer(car: CarNow, _: int) -> bytes:
    """0x5C5: on the EV-CAN of the ZE1 only."""
    return bits(8, (0, 8, 0x40), (8, 24, car.odometer_km))


def _constant(text: str) -> Callable[[CarNow, int], bytes]:
    return lambda _, __: bytes.fromhex(text)


type Encoder = Callable[[CarNow, int], bytes]

_ALL: dict[int, tuple[float, Encoder]] = {
    0x11A: (0.01, gear), 0x1D4: (0.01, torque), 0x1DA: (0.01, inverter), 0x1DB: (0.01, pack), 0x1DC: (0.01, limits),
    0x1F2: (0.01, vehicle_controller), 0x50B: (0.1, wake_state), 0x50C: (0.1, question), 0x54C: (0.1, climate),
    0x55B: (0.1, state_of_charge), 0x5BC: (0.1, energy), 0x5C0: (0.5, temperatures), 0x5B9: (0.5, fuel),
}  # fmt: skip
_ZE0 = _ALL | {
    0x284: (0.02, wheels), 0x380: (0.1, charger_of_ze0), 0x5BF: (0.1, plug_of_ze0), 0x56E: (0.1, _constant("46")),
    0x5A9: (0.5, range_left), 0x5BC: (0.5, energy),
}  # fmt: skip
_AZE0 = _ALL | {
    0x390: (0.1, charger), 0x393: (0.1, charger_status), 0x481: (0.5, _constant("2c00")), 0x59E: (0.5, energy_in_kwh),
    0x5A9: (0.5, range_left),
}  # fmt: skip
_ZE1 = {can_id: entry for can_id, entry in _ALL.items() if can_id not in {0x50C, 0x5B9}} | {
    0x1C2: (0.01, _constant("5e")), 0x284: (0.02, wheels), 0x355: (0.04, units), 0x390: (0.1, charger),
    0x393: (0.1, charger_status), 0x481: (0.5, _constant("0000")), 0x56E: (0.1, _constant("46000000")),
    0x59E: (0.5, energy_in_kwh), 0x5C5: (0.1, odometer), 0x5CD: (1.0, _constant("9e583b15a0")),
    0x5EB: (0.5, _constant("e00fffffffffffff")),
}  # fmt: skip
TALK: dict[Generation, dict[int, tuple[float, Encoder]]] = {
    Generation.ZE0: _ZE0, Generation.AZE0: _AZE0, Generation.ZE1: _ZE1,
}  # fmt: skip
"""By generation: each identifier with its period in s and its encoder."""
BIG_TALK = {0x1ED: (0.01, charger_limit_wide)}
WAKE_UP: dict[Generation, tuple[int, ...]] = {
    Generation.ZE0: (0x603, 0x68C), Generation.AZE0: (0x679, 0x68C), Generation.ZE1: (0x679, 0x68C),
}  # fmt: skip
"""What is seen once at wake-up, one byte of 0 each."""
MIRROR = {
    0x100: 0x3B9, 0x101: 0x3BB, 0x102: 0x3BC, 0x200: 0x3BE, 0x108: 0x3C8, 0x109: 0x3C9,
    0x110: 0x4BA, 0x201: 0x4BB, 0x700: 0x4BC, 0x202: 0x4C0,
}  # fmt: skip
"""CHAdeMO frames as a ZE1 shows them on its own bus (reference/can.md 1.9)."""
