"""When the gateway hands its CHAdeMO frames to the CAN adapter, as it tells a recorder."""

import asyncio
import contextlib
import re
import socket
from pathlib import Path

_STATUS = re.compile(rb"\((\d+\.\d+)\) \S+ 109#")
RECEIVE_BYTES = 1 << 17
QUEUE_BYTES = 4 << 20


async def status_times(state: Path, seconds: float) -> list[float]:
    """Listen for ``seconds`` as a recorder does; return the time of each status frame (0x109) in s, by the gateway's clock."""
    heard: list[bytes] = []
    path = state / "recorder.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as inbox:
        inbox.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, QUEUE_BYTES)
        inbox.bind(str(path))

        def take() -> None:
            with contextlib.suppress(BlockingIOError):
                while True:
                    heard.append(inbox.recv(RECEIVE_BYTES))

        loop = asyncio.get_running_loop()
        loop.add_reader(inbox, take)
        try:
            await asyncio.sleep(seconds)
        finally:
            loop.remove_reader(inbox)
            path.unlink(missing_ok=True)
    return [float(at) for at in _STATUS.findall(b"".join(heard))]
