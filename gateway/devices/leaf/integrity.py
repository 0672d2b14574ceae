"""Whether a frame is what its sender sent (reference/can.md 1.2). Pure."""

from enum import StrEnum

POLYNOMIAL = 0x85


def _remainder(value: int) -> int:
    for _ in range(8):
        value = (value << 1) ^ (POLYNOMIAL | 0x100 if value & 0x80 else 0)
    return value


_REMAINDERS = bytes(_remainder(value) for value in range(256))


class Integrity(StrEnum):
    """How a frame proves itself."""

    NONE = "none"
    CRC8 = "crc8"
    NIBBLES = "nibbles"


def crc8(data: bytes) -> int:
    """Return the CRC-8 with polynomial 0x85, initial value 0, nothing reflected."""
    crc = 0
    for byte in data:
        crc = _REMAINDERS[crc ^ byte]
    return crc


def nibble_sum(can_id: int, data: bytes) -> int:
    """Return the sum of the nibbles of the ID and of all of ``data`` but the very last nibble, modulo 16."""
    digits = f"{can_id:x}{data.hex()}"
    return sum(int(digit, 16) for digit in digits[:-1]) % 16


def intact(integrity: Integrity, can_id: int, data: bytes) -> bool:
    """Tell whether the frame passes its check; one that has none always does."""
    match integrity:
        case Integrity.CRC8:
            return bool(data) and crc8(data[:-1]) == data[-1]
        case Integrity.NIBBLES:
            return bool(data) and nibble_sum(can_id, data) == data[-1] & 0x0F
        case Integrity.NONE:
            return True
