"""The joint of the two processes: typed, versioned messages over a Unix socket that only this user can open.

Up go reports (the process image); down go wishes, each part with its own expiry. The fast path listens, so that the
services can come and go. A frame is a 4-byte big-endian length and a MessagePack body.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec

from gateway.faults import Malformed, Unreachable
from gateway.model import ReserveSecond, Snapshot, Wishes

LOGGER = logging.getLogger(__name__)

VERSION = 1
MAX_FRAME_BYTES = 4 << 20
MAX_BACKLOG_BYTES = 1 << 20
HELLO_S = 5.0


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """First message of both sides."""

    version: int


class Report(msgspec.Struct, frozen=True, tag="report"):
    """Fast path → services. ``proof``: seconds of sold reserve that the services have not yet said to have stored."""

    snapshot: Snapshot
    tick_lateness_ms: tuple[float, ...] = ()
    proof: tuple[ReserveSecond, ...] = ()


class Order(msgspec.Struct, frozen=True, tag="order"):
    """Services → fast path."""

    wishes: Wishes


class Stored(msgspec.Struct, frozen=True, tag="stored"):
    """Services → fast path: the proof of reserve is safe up to ``until``."""

    until: datetime


type Message = Hello | Report | Order | Stored


def plain(value: Any) -> Any:
    """Return a mapping that is only a view as what MessagePack knows."""
    if isinstance(value, MappingProxyType):
        return dict(value)
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


_encoder = msgspec.msgpack.Encoder(enc_hook=plain)
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """Return the frame of a message."""
    body = _encoder.encode(message)
    return len(body).to_bytes(4, "big") + body


def decode(body: bytes) -> Message:
    """Return the message of a frame's body. Raises Malformed."""
    try:
        return _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise Malformed(f"link: {error}") from None


async def _read(reader: asyncio.StreamReader) -> Message:
    """Return the next message. Raises Unreachable at the end of the stream, Malformed for a frame that is none."""
    try:
        size = int.from_bytes(await reader.readexactly(4), "big")
        if size > MAX_FRAME_BYTES:
            raise Malformed(f"link: frame of {size} bytes")
        return decode(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError) as error:
        raise Unreachable(f"link: {error}") from None


class FastEnd:
    """The fast path's end: takes orders from the one services process that is connected, and sends it reports."""

    def __init__(
        self,
        path: Path,
        on_wishes: Callable[[Wishes], None],
        on_presence: Callable[[bool], None],
        on_stored: Callable[[datetime], None] = lambda until: None,
    ) -> None:
        self._path = path
        self._on_wishes = on_wishes
        self._on_stored = on_stored
        self._on_presence = on_presence
        self._writer: asyncio.StreamWriter | None = None

    async def run(self) -> None:
        """Serve until cancelled."""
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
        previous = os.umask(0o177)
        try:
            server = await asyncio.start_unix_server(self._serve, self._path)
        finally:
            os.umask(previous)
        async with server:
            await server.serve_forever()

    def report(self, report: Report) -> None:
        """Send a report; left out when nobody listens, the listener is far behind, or no frame can hold it."""
        writer = self._writer
        if writer is None or writer.transport.get_write_buffer_size() > MAX_BACKLOG_BYTES:
            return
        if len(frame := encode(report)) > MAX_FRAME_BYTES:
            LOGGER.error("a report of %d bytes is left out", len(frame))
            return
        writer.write(frame)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = writer
        writer.write(encode(Hello(VERSION)))
        try:
            hello = await _read(reader)
            if not isinstance(hello, Hello) or hello.version != VERSION:
                raise Malformed(f"link: the services speak {hello}, this is version {VERSION}")
            self._on_presence(True)
            while True:
                message = await _read(reader)
                if isinstance(message, Order):
                    self._on_wishes(message.wishes)
                elif isinstance(message, Stored):
                    self._on_stored(message.until)
        except Unreachable:
            pass
        except Malformed as error:
            LOGGER.error("%s", error)
        finally:
            writer.close()
            if self._writer is writer:
                self._writer = None
                self._on_presence(False)


class ServiceEnd:
    """The services' end of an open link."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, wishes: Wishes) -> None:
        """Replace the fast path's wishes. Raises Unreachable."""
        try:
            self._writer.write(encode(Order(wishes)))
            await self._writer.drain()
        except ConnectionError as error:
            raise Unreachable(f"link: {error}") from None

    def stored(self, until: datetime) -> None:
        """Tell that the proof of reserve is safe up to ``until``; when that is lost, it is only sent again."""
        self._writer.write(encode(Stored(until)))

    async def reports(self) -> AsyncIterator[Report]:
        """Yield reports until the fast path is gone: then raises Unreachable."""
        while True:
            message = await _read(self._reader)
            if isinstance(message, Report):
                yield message

    def close(self) -> None:
        """Close the link."""
        self._writer.close()


async def connect(path: Path) -> ServiceEnd:
    """Open the services' end. Raises Unreachable when the fast path is not there, Malformed for another version."""
    try:
        reader, writer = await asyncio.open_unix_connection(path)
    except OSError as error:
        raise Unreachable(f"link: {error}") from None
    try:
        writer.write(encode(Hello(VERSION)))
        async with asyncio.timeout(HELLO_S):
            hello = await _read(reader)
        if not isinstance(hello, Hello) or hello.version != VERSION:
            raise Malformed(f"link: the fast path speaks {hello}, this is version {VERSION}")
    except TimeoutError:
        writer.close()
        raise Unreachable("link: the fast path says nothing") from None
    except BaseException:
        writer.close()
        raise
    return ServiceEnd(reader, writer)
