"""Taps on the wire: byte pipes between gateway and simulated house that note when what passed."""

import asyncio
import os
import pty
import struct
import time
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from math import inf
from pathlib import Path

METER_TOTAL_REGISTER = 52
FC_READ_INPUT, FC_WRITE_MANY = 4, 16
CHANGE_W = 300.0


@dataclass
class Passed:
    """What the taps saw, in monotonic seconds."""

    meter_changes: list[float] = field(default_factory=list)
    battery_writes: list[float] = field(default_factory=list)
    chademo_status: list[float] = field(default_factory=list)

    def reactions_ms(self, steps: list[float]) -> list[float]:
        """Return, for each step of the load, the time from the meter's first answer that shows it to the next write.

        Later jumps of the same step are the devices' own doing and need no answer.
        """
        found = []
        for step, following in zip(steps, [*steps[1:], inf], strict=True):
            shown_at = next((m for m in self.meter_changes if step <= m < following), None)
            if shown_at is not None:
                answered = next((w for w in self.battery_writes if shown_at <= w < following), None)
                found.append(inf if answered is None else (answered - shown_at) * 1000)
        return found


def jitter_ms(times: list[float], period_s: float = 0.1) -> list[float]:
    """Return how far each pause between two frames is from their period."""
    pauses = [b - a for a, b in pairwise(times)]
    return [abs(p - period_s) * 1000 for p in pauses if p < 5 * period_s]


type Look = Callable[[bytes], None]


async def tap_tcp(target: tuple[str, int], to_device: Look, to_gateway: Look) -> asyncio.Server:
    """Listen on a free port and pass every byte between it and ``target``, showing each piece before it goes on."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            onward, back = await asyncio.open_connection(*target)
        except OSError:
            writer.close()
            return
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(_pump(reader, back, to_device))
            tasks.create_task(_pump(onward, writer, to_gateway))

    return await asyncio.start_server(serve, "127.0.0.1", 0)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look: Look) -> None:
    try:
        while piece := await reader.read(65536):
            look(piece)
            writer.write(piece)
    except ConnectionError:
        pass
    finally:
        writer.close()


class MeterTap:
    """Notes each answer of the grid meter whose total power jumped; Modbus TCP, one block read at address 0."""

    def __init__(self, passed: Passed) -> None:
        self._passed = passed
        self._starts: dict[int, int] = {}
        self._last_w: float | None = None

    def to_device(self, piece: bytes) -> None:
        """Remember where each read begins."""
        if len(piece) >= 12 and piece[7] == FC_READ_INPUT:
            self._starts[int.from_bytes(piece[:2])] = int.from_bytes(piece[8:10])

    def to_gateway(self, piece: bytes) -> None:
        """Decode the total power of the answer."""
        start = self._starts.pop(int.from_bytes(piece[:2]), None)
        if start is None or len(piece) < 9 or piece[7] != FC_READ_INPUT:
            return
        offset = 9 + 2 * (METER_TOTAL_REGISTER - start)
        if offset < 9 or offset + 4 > len(piece):
            return
        (power_w,) = struct.unpack(">f", piece[offset : offset + 4])
        if self._last_w is not None and abs(power_w - self._last_w) > CHANGE_W:
            self._passed.meter_changes.append(time.monotonic())
        self._last_w = power_w


class WriteTap:
    """Notes each write to the battery."""

    def __init__(self, passed: Passed) -> None:
        self._passed = passed

    def to_device(self, piece: bytes) -> None:
        """Note a write request."""
        if len(piece) >= 8 and piece[7] == FC_WRITE_MANY:
            self._passed.battery_writes.append(time.monotonic())

    def to_gateway(self, _piece: bytes) -> None:
        """Answers do not matter here."""


class CanTap:
    """A pty for the gateway, joined to the house's own; notes each frame with the identifier ``identifier``."""

    def __init__(self, house: Path, passed: Passed, identifier: bytes = b"t109") -> None:
        self._passed = passed
        self._identifier = identifier
        self._house = os.open(house, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        tty.setraw(self._house)
        self._ours, self._slave = pty.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._ours, False)
        self.channel = os.ttyname(self._slave)

    def start(self) -> None:
        """Begin to pass bytes on the running loop."""
        loop = asyncio.get_running_loop()
        loop.add_reader(self._ours, self._pass, self._ours, self._house, True)
        loop.add_reader(self._house, self._pass, self._house, self._ours, False)

    def stop(self) -> None:
        """Stop passing bytes."""
        loop = asyncio.get_running_loop()
        for end in (self._ours, self._house):
            loop.remove_reader(end)
            os.close(end)
        os.close(self._slave)

    def _pass(self, source: int, target: int, from_gateway: bool) -> None:
        try:
            piece = os.read(source, 65536)
            if from_gateway and self._identifier in piece:
                self._passed.chademo_status.append(time.monotonic())
            os.write(target, piece)
        except BlockingIOError, OSError:
            return
