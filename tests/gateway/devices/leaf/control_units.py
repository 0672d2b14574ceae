"""How a control unit would say it: answers of group 01, cut into frames."""

import struct

from gateway.devices.leaf.isotp import single


def small(length, volts, aux_v, insulation, hx, soc, ah):
    head = struct.pack(
        ">i2si8sHHHH", 0, b"", -512, b"", round(volts * 100), round(aux_v * 1024), insulation, 0
    )
    return (head + struct.pack(">HII", round(hx * 100), round(soc * 1e4), round(ah * 1e4))).ljust(
        length, b"\0"
    )


def large(volts, aux_v, insulation, hx, soc, ah):
    head = struct.pack(
        ">i2si8sHHH4s", 0, b"", -512, b"", round(volts * 100), round(aux_v * 1024), insulation, b""
    )
    wide = round(soc * 1e4).to_bytes(3) + b"\0" + round(ah * 1e4).to_bytes(3)
    return (head + struct.pack(">HB", round(hx * 102.4), 0) + wide).ljust(51, b"\0")


def cut(payload):
    """Return the frames of a sender."""
    if len(payload) < 8:
        return [single(payload)]
    rest = [payload[at : at + 7] for at in range(6, len(payload), 7)]
    return [
        (0x1000 | len(payload)).to_bytes(2) + payload[:6],
        *(bytes((0x20 | n % 16,)) + part.ljust(7, b"\xff") for n, part in enumerate(rest, 1)),
    ]
