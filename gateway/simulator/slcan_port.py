"""A CAN adapter on a serial line: the device side of the slcan protocol, on a pseudo terminal.

The slave side stays open here, so clients may come, die and return.
"""

import asyncio
import logging
import os
import termios
import tty
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gateway.simulator.can_mishaps import CanMishaps

LOGGER = logging.getLogger(__name__)

OK = b"\r"
ERROR = b"\a"
_ID_DIGITS = {"t": 3, "T": 8}


def decode_frame(line: str) -> tuple[int, bytes]:
    """Read ``tIIILDD..`` or ``TIIIIIIIILDD..``. Raises ValueError for anything else."""
    known = line[:1] in _ID_DIGITS and line.isascii() and line.isalnum()
    digits = _ID_DIGITS[line[0]] if known else 0
    length = int(line[1 + digits : 2 + digits]) if digits else -1
    data = bytes.fromhex(line[2 + digits :])
    if not 0 <= length <= 8 or len(data) != length:
        raise ValueError(line)
    return int(line[1 : 1 + digits], 16), data


def encode_frame(can_id: int, data: bytes) -> bytes:
    """Write an 11-bit frame as the adapter reports it."""
    return f"t{can_id:03X}{len(data)}{data.hex().upper()}\r".encode()


@dataclass(frozen=True, slots=True)
class _Line:
    """Both ends of the pseudo terminal. Without this one nobody could write after a client's death."""

    master: int
    slave: int

    @classmethod
    def new(cls) -> _Line:
        master, slave = os.openpty()
        tty.setraw(slave)
        os.set_blocking(master, False)
        return cls(master, slave)


class SlcanPort:
    """``on_frame`` gets what clients send while the channel is open and not listening only.

    ``follow`` is called in a rhythm and lets the mishaps of pulling the adapter and putting it back happen.
    """

    def __init__(
        self, link: Path, on_frame: Callable[[int, bytes], None], mishaps: CanMishaps | None = None
    ) -> None:
        self.link = link
        self.is_open = False
        self._mishaps = mishaps or CanMishaps()
        self._to_bus = self._mishaps.way(on_frame)
        self._to_client = self._mishaps.way(self._report)
        self._listen_only = False
        self._buffer = bytearray()
        self._line: _Line | None = None

    def start(self) -> None:
        """Publish the port at ``link`` and serve it on the running loop."""
        self._line = _Line.new()
        self._buffer.clear()
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._line.slave))
        asyncio.get_running_loop().add_reader(self._line.master, self._readable, self._line)

    def close(self) -> None:
        """Take the port away."""
        line, self._line, self.is_open = self._line, None, False
        if line is None:
            return
        asyncio.get_running_loop().remove_reader(line.master)
        self.link.unlink(missing_ok=True)
        os.close(line.master)
        os.close(line.slave)

    def follow(self) -> None:
        """Be there or not, as the mishaps say."""
        if self._mishaps.pulled:
            self.close()
        elif self._line is None:
            self.start()

    def send(self, can_id: int, data: bytes) -> None:
        """Give a frame of the bus to the client; it is lost while nobody listens."""
        if self.is_open:
            self._to_client(can_id, data)

    def _report(self, can_id: int, data: bytes) -> None:
        self._write(self._mishaps.garbled(encode_frame(can_id, data)))

    def _readable(self, line: _Line) -> None:
        self._buffer += os.read(line.master, 4096)
        *lines, rest = self._buffer.split(b"\r")
        self._buffer = bytearray(rest[-64:])
        for command in lines:
            self._command(self._mishaps.garbled(bytes(command)).strip(b"\n").decode("ascii", "replace"))

    def _command(self, line: str) -> None:
        match line[:1]:
            case "":
                self._write(OK)
            case "O" | "L":
                self._open(listen_only=line[0] == "L")
            case "C":
                self.is_open = False
                self._write(OK)
            case "S":
                self._write(OK if line == "S6" else ERROR)
            case "V":
                self._write(b"V1013\r")
            case "N":
                self._write(b"NSIM1\r")
            case "t" | "T":
                self._transmit(line)
            case _:
                self._write(ERROR)

    def _open(self, *, listen_only: bool) -> None:
        # What an earlier client left unread must not reach this one.
        if self._line is not None:
            termios.tcflush(self._line.slave, termios.TCIFLUSH)
        self.is_open, self._listen_only = True, listen_only
        self._write(OK)

    def _transmit(self, line: str) -> None:
        try:
            can_id, data = decode_frame(line)
        except ValueError:
            self._write(ERROR)
            return
        if not self.is_open or self._listen_only or self._mishaps.bus_off:
            self._write(ERROR)
            return
        self._write(b"z\r" if line[0] == "t" else b"Z\r")
        self._to_bus(can_id, data)

    def _write(self, answer: bytes) -> None:
        if self._line is None:
            return
        try:
            os.write(self._line.master, answer)
        except BlockingIOError:
            LOGGER.debug("nobody reads %s, dropped %d bytes", self.link, len(answer))
