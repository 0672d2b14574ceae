"""Which Leaf this is, by what it says on EV-CAN (reference/can.md 1.7). Pure.

Only the presence of a frame tells; its absence does after a time in which it must have come many times.
"""

from collections import Counter

from gateway.devices.leaf.quantities import Car

SURE = 2
"""A single stray frame decides nothing."""
FAST_SIGNS, SLOW_SIGNS, TENTHS = 20, 3, 20
"""0.2 s of 10 ms frames, 1 s of 500 ms frames, 2 s of 100 ms frames: what has not come by then is not sent."""

NOT_ZE0 = 0x59E
ZE1_FAST, ZE1_SLOW, ZE1_62 = 0x1C2, 0x5EB, 0x1ED
ZE0_PAIR = (0x5BF, 0x380)
SIGNS = frozenset({NOT_ZE0, ZE1_FAST, ZE1_SLOW, ZE1_62, *ZE0_PAIR})

PACK_KWH = {39: 24, 41: 30, 51: 40}
"""By the length of group 01 (reference/can.md 2.2); 51 bytes are 62 kWh as well."""
LARGE_PACK_KWH, LARGE_PACK_GIDS = 62, 700
GROUP_01_OF = {Car.ZE0: {39}, Car.AZE0: {39, 41, 51}, Car.ZE1_40: {51}, Car.ZE1_62: {51}}
NEW_AH = {24: 66.0, 30: 80.0, 40: 115.0, 62: 176.0}


class Sightings:
    """What was seen of the frames that tell the cars apart."""

    def __init__(self) -> None:
        self.car: Car | None = None
        self._seen: Counter[int] = Counter()

    def saw(self, can_id: int) -> None:
        """Take note of an intact frame of SIGNS; ``car`` is what follows from all of them."""
        self._seen[can_id] += 1
        self.car = self._conclusion() or self.car

    def _conclusion(self) -> Car | None:
        seen = self._seen
        if seen[ZE1_62] >= SURE:
            return Car.ZE1_62
        if seen[ZE1_FAST] >= FAST_SIGNS or seen[ZE1_SLOW] >= SLOW_SIGNS:
            return Car.ZE1_40
        if seen[NOT_ZE0] >= SLOW_SIGNS and seen[ZE1_FAST] < SURE:
            return Car.AZE0
        if seen[NOT_ZE0] < SURE and all(seen[can_id] >= TENTHS for can_id in ZE0_PAIR):
            return Car.ZE0
        return None


def pack_kwh(group_01_bytes: int, car: Car | None, full_gids: float | None) -> int | None:
    """Return the nominal size of the pack, None while nobody has told."""
    if car is Car.ZE1_62 or (full_gids or 0) >= LARGE_PACK_GIDS:
        return LARGE_PACK_KWH
    return PACK_KWH.get(group_01_bytes)


def confirmed(group_01_bytes: int, car: Car | None) -> bool | None:
    """Tell whether the battery controller fits the car; a pack of another car does not. None while one is unknown."""
    if car is None or group_01_bytes not in PACK_KWH:
        return None
    return group_01_bytes in GROUP_01_OF[car]
