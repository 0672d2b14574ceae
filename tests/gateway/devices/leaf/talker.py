"""A car that says what a test wants said, with right checksums and counters."""

from gateway.devices.leaf.frames import EV_CAN
from gateway.devices.leaf.integrity import Integrity, crc8, nibble_sum
from gateway.devices.leaf.quantities import Car

WORDS = {
    0x1DB: "0880BC2A35000000",  # +34 A, 376 V, dash 53 % where it is told
    0x1DC: "6E1E20000C000000",
    0x1F2: "1064000000000000",
    0x11A: "0140000000000000",
    0x55B: "9200AA0000001000",
    0x5BC: "3FC0F064BD011FFF",
    0x284: "0000000000000000",
}
SIGNS = {
    Car.ZE0: {0x5BF: "0000000028000000", 0x380: "0204102100000000"},
    Car.AZE0: {0x59E: "00000C1798800000", 0x390: "0000000000000000"},
    Car.ZE1_40: {0x59E: "0000248C38000084", 0x1C2: "5F"},
    Car.ZE1_62: {0x59E: "0000248C38000084", 0x1C2: "5F", 0x1ED: "B40000"},
}
PERIOD_S = {0x5BC: 0.5, 0x59E: 0.5, 0x55B: 0.1, 0x5BF: 0.1, 0x380: 0.1, 0x390: 0.1}


def sealed(layout, data):
    """Return ``data`` with the check of its layout made right."""
    if layout.integrity is Integrity.CRC8:
        return data[:-1] + bytes((crc8(data[:-1]),))
    if layout.integrity is Integrity.NIBBLES:
        return data[:-1] + bytes((data[-1] & 0xF0 | nibble_sum(layout.can_id, data),))
    return data


class Talker:
    """``says`` gives the frames that are due at a time; change ``words`` to make it say something else."""

    def __init__(self, car=Car.AZE0):
        self.words = {can_id: bytearray.fromhex(text) for can_id, text in (WORDS | SIGNS[car]).items()}
        self.counts = dict.fromkeys(self.words, 0)
        self.due = dict.fromkeys(self.words, 0.0)
        self.frozen = set()

    def frame(self, can_id):
        layout, data = EV_CAN.get(can_id), bytearray(self.words[can_id])
        if layout is None:
            return can_id, bytes(data)
        self.counts[can_id] += can_id not in self.frozen
        if layout.counter:
            bits = layout.counter
            shift = bits.bit - bits.width + 1
            data[bits.byte] = data[bits.byte] & ~(3 << shift) | (self.counts[can_id] % 4) << shift
        return can_id, sealed(layout, bytes(data))

    def says(self, now):
        for can_id, due in self.due.items():
            if now >= due - 1e-9:
                self.due[can_id] = now + PERIOD_S.get(can_id, 0.05)
                yield self.frame(can_id)

    def shifts(self, gear):
        self.words[0x11A][0] = gear << 4 | 1

    def requests(self, request):
        self.words[0x1F2][2] = request << 5
