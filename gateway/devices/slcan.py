"""A CAN adapter on a serial line (slcan) as a bus of python-can, whose own one waits for the line, for ever if need be.

Nothing here waits: what the adapter does not take at once is a failure of the bus.
"""

import os
import select
from binascii import unhexlify
from collections.abc import Mapping
from typing import override

import can
import serial

BAUD = 115_200
BITRATE_COMMANDS = {125_000: b"S4", 250_000: b"S5", 500_000: b"S6", 1_000_000: b"S8"}
LONGEST_LINE = 64
READ_BYTES = 4096
MOST_REFUSALS = 8
"""Less than half a second of a charger's frames: nobody acknowledges them, or the controller is bus-off.

Known before the car, which then is not heard either, is taken for silent. Opening anew resets the adapter.
"""
EVERY_ID = frozenset(range(0x800))

_LENGTHS = {b"%d" % length: length for length in range(9)}
_STAMP_BYTES = 2

type Frame = tuple[int, bytes]


def spelled(ids: frozenset[int]) -> dict[bytes, int]:
    """Return how the lines of data frames with these 11-bit ids begin."""
    return {(b"t%03X" % i): i for i in ids} | {(b"t%03x" % i): i for i in ids}


def decode_line(line: bytes, wanted: Mapping[bytes, int]) -> Frame | None:
    """Read ``tIIILDD..``, with a time stamp behind it or not, if it begins as one of ``wanted``; None for all else."""
    can_id = wanted.get(line[:4])
    if can_id is None or (length := _LENGTHS.get(line[4:5])) is None:
        return None
    try:
        data = unhexlify(line[5:])
    except ValueError:
        return None
    return (can_id, data[:length]) if len(data) - length in {0, _STAMP_BYTES} else None


class SlcanBus(can.BusABC):
    """Opening raises CanInitializationError, everything else CanOperationError; ``channel`` is PATH or PATH@BAUD.

    An adapter opened ``listen_only`` does not even acknowledge frames.
    """

    def __init__(self, channel: str, bitrate: int, *, listen_only: bool = False) -> None:
        path, _, baud = channel.partition("@")
        self._rest = b""
        self._refusals = 0
        self._wanted: Mapping[bytes, int] = {}
        self.look_at(EVERY_ID)
        try:
            # Two programs on one adapter would each hear half of it, and both would speak to the car.
            self._port = serial.serial_for_url(
                path, baudrate=int(baud or BAUD), timeout=0, write_timeout=0, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise can.CanInitializationError(str(error)) from error
        try:
            for command in (b"C", BITRATE_COMMANDS[bitrate], b"L" if listen_only else b"O"):
                self._say(command)
        except can.CanError:
            self._port.close()
            raise
        super().__init__(channel)

    @override
    def fileno(self) -> int:
        descriptor: int = self._port.fileno()
        return descriptor

    @override
    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self._say(b"t%03X%d%s" % (msg.arbitration_id, msg.dlc, msg.data.hex().upper().encode()))

    def frames(self) -> list[Frame] | None:
        """Return the wanted frames that are there, None where nothing at all is; never wait."""
        if (lines := self._lines()) is None:
            return None
        wanted = self._wanted
        return [frame for line in lines if (frame := decode_line(line, wanted)) is not None]

    def look_at(self, ids: frozenset[int]) -> None:
        """Pass over all other frames from now on."""
        self._wanted = spelled(ids)

    @override
    def shutdown(self) -> None:
        super().shutdown()
        try:
            self._say(b"C")
        finally:
            self._port.close()

    def _lines(self) -> list[bytes] | None:
        """Take in what is there, None where nothing is; a line that is readable and gives nothing has been pulled."""
        try:
            if not select.select((self.fileno(),), (), (), 0)[0]:
                return None
            heard = os.read(self.fileno(), READ_BYTES)
        except OSError as error:
            raise can.CanOperationError(str(error)) from error
        if not heard:
            raise can.CanOperationError("the adapter is gone")
        self._refusals = 0 if b"\r" in heard else self._refusals + heard.count(b"\a")
        if self._refusals > MOST_REFUSALS:
            raise can.CanOperationError("the adapter refuses to send: bus-off, or nobody acknowledges")
        *lines, rest = (self._rest + heard).replace(b"\a", b"\r").split(b"\r")
        self._rest = rest[-LONGEST_LINE:]
        return lines

    def _say(self, command: bytes) -> None:
        line = command + b"\r"
        try:
            taken = os.write(self.fileno(), line)
        except BlockingIOError:
            taken = 0
        except OSError as error:
            raise can.CanOperationError(str(error)) from error
        if taken < len(line):
            raise can.CanOperationError("the adapter takes nothing")
