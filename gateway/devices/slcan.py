"""A CAN adapter on a serial line (slcan) as a bus of python-can, whose own one waits for the line, for ever if need be.

Nothing here waits: what the adapter does not take at once is a failure of the bus.
"""

import os
import re
import select
from collections import deque
from time import time
from typing import override

import can
import serial

BAUD = 115_200
BITRATE_COMMANDS = {125_000: b"S4", 250_000: b"S5", 500_000: b"S6", 1_000_000: b"S8"}
LONGEST_LINE = 64
READ_BYTES = 4096
MOST_REFUSALS = 80
"""Two seconds of a charger's frames: nobody acknowledges them, or the controller is bus-off. Opening anew resets it."""


_FRAME = re.compile(rb"t([0-7][0-9A-Fa-f]{2})([0-8])((?:[0-9A-Fa-f]{2})*)")
_STAMP_BYTES = 2


def decode_line(line: bytes) -> can.Message | None:
    """Read ``tIIILDD..`` of an 11-bit data frame, with a time stamp behind it or not; None for all else."""
    found = _FRAME.fullmatch(line)
    if found is None:
        return None
    length, data = int(found[2]), bytes.fromhex(found[3].decode())
    if len(data) - length not in {0, _STAMP_BYTES}:
        return None
    return can.Message(
        arbitration_id=int(found[1], 16),
        data=data[:length],
        is_extended_id=False,
        check=False,
        timestamp=time(),
    )


class SlcanBus(can.BusABC):
    """Opening raises CanInitializationError, everything else CanOperationError; ``channel`` is PATH or PATH@BAUD.

    An adapter opened ``listen_only`` does not even acknowledge frames.
    """

    def __init__(self, channel: str, bitrate: int, *, listen_only: bool = False) -> None:
        path, _, baud = channel.partition("@")
        self._rest = b""
        self._refusals = 0
        self._frames: deque[can.Message] = deque()
        try:
            self._port = serial.serial_for_url(path, baudrate=int(baud or BAUD), timeout=0, write_timeout=0)
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

    @override
    def recv(self, timeout: float | None = None) -> can.Message | None:
        """Return the next frame that is there, None when there is none; never wait."""
        if not self._frames:
            self._read()
        return self._frames.popleft() if self._frames else None

    @override
    def shutdown(self) -> None:
        super().shutdown()
        try:
            self._say(b"C")
        finally:
            self._port.close()

    def _read(self) -> None:
        """Take in what is there; a line that is readable and gives nothing has been pulled."""
        try:
            if not select.select((self.fileno(),), (), (), 0)[0]:
                return
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
        self._frames.extend(frame for line in lines if (frame := decode_line(line)) is not None)

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
