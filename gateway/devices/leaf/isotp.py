"""ISO 15765-2 as far as one asks for little and is answered at length: 11-bit, normal addressing, one message at a time. Pure."""

from dataclasses import dataclass

from gateway.faults import Malformed, Misuse

FRAME_BYTES = 8
PADDING = 0x55
FLOW_CONTROL = bytes((0x30, 0, 0, 0, 0, 0, 0, 0))
"""Send the rest at once: the battery controller then takes 10 to 12 ms a frame (reference/can.md 2.1)."""
SINGLE, FIRST, CONSECUTIVE = 0, 1, 2
TURN = 16


@dataclass(frozen=True, slots=True)
class Partial:
    """A message of ``length`` bytes of which ``data`` has come."""

    length: int
    data: bytes
    index: int = 1


def single(payload: bytes) -> bytes:
    """Return the one frame of a request of at most seven bytes."""
    if not 0 < len(payload) < FRAME_BYTES:
        raise Misuse(f"{len(payload)} bytes do not fit into one frame")
    return (bytes((len(payload),)) + payload).ljust(FRAME_BYTES, bytes((PADDING,)))


def receive(partial: Partial | None, frame: bytes) -> Partial | bytes | None:
    """Return the whole message, what there is of it so far, or None when none has begun.

    A first frame begins anew, whatever went before; it is to be answered with FLOW_CONTROL. Raises Malformed when the
    message is lost: a frame is missing, doubled, out of its order, too short.
    """
    kind, low = divmod(frame[0], TURN) if frame else (CONSECUTIVE, 0)
    if kind == SINGLE:
        if not 0 < low < len(frame):
            raise Malformed(f"a single frame of {len(frame)} bytes with {low} of data")
        return frame[1 : 1 + low]
    if kind == FIRST:
        length = int.from_bytes(frame[:2]) & 0xFFF
        if len(frame) != FRAME_BYTES or length < FRAME_BYTES:
            raise Malformed(f"a first frame of {len(frame)} bytes for {length}")
        return Partial(length, frame[2:])
    if kind != CONSECUTIVE or partial is None:
        return partial
    if low != partial.index:
        raise Malformed(f"frame {low} came instead of {partial.index}")
    data = partial.data + frame[1:]
    missing = partial.length - len(data)
    if missing <= 0:
        return data[: partial.length]
    if len(frame) != FRAME_BYTES:
        raise Malformed(f"a frame of {len(frame)} bytes with {missing} still to come")
    return Partial(partial.length, data, (low + 1) % TURN)
