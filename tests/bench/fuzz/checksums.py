"""The checks of EV-CAN frames, written once more from reference/can.md 1.2 so that one mistake cannot hide on both sides."""

CRC_LENGTHS = {0x1DB: 8, 0x1DC: 8, 0x55B: 8, 0x1DA: 8, 0x11A: 8, 0x1D4: 8, 0x50C: 6, 0x1ED: 3}
NIBBLE_IDS = frozenset({0x1F2, 0x390, 0x393, 0x5BF})


def crc(data: bytes) -> int:
    """Divide ``data`` as one long polynomial, bit by bit, by x^8 + x^7 + x^2 + 1 (0x185); return the remainder."""
    rest = int.from_bytes(data) << 8
    for bit in range(rest.bit_length() - 1, 7, -1):
        if rest >> bit & 1:
            rest ^= 0x185 << (bit - 8)
    return rest


def sound(can_id: int, data: bytes) -> bool | None:
    """Tell whether a frame's check holds; None for an id that has none, or not on every car."""
    if can_id in CRC_LENGTHS:
        return len(data) == CRC_LENGTHS[can_id] and crc(data[:-1]) == data[-1]
    if can_id in NIBBLE_IDS:
        if len(data) != 8:
            return False
        nibbles = [can_id >> 8 & 15, can_id >> 4 & 15, can_id & 15]
        for byte in data:
            nibbles += [byte >> 4, byte & 15]
        return sum(nibbles[:-1]) % 16 == nibbles[-1]
    return None
