"""The WebSocket: hello, snapshot, then changes at a bounded rate, and a heartbeat when nothing changes."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from aiohttp import WSCloseCode, web

from gateway.api.schema import Json, change, encode, hello, site_view, to_json
from gateway.api.site import Site

LOGGER = logging.getLogger(__name__)
CLOSE_UNAUTHORIZED = 4401


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds: the longest silence, the shortest time between changes, and the patience with a client that stalls."""

    heartbeat_s: float = 5.0
    spacing_s: float = 0.5
    patience_s: float = 10.0


async def serve_stream(
    socket: web.WebSocketResponse,
    site: Site,
    pace: Pace,
    allowed: Callable[[], bool],
    cut_off: Callable[[], None],
) -> None:
    """Tell the client about ``site`` until it leaves or is not ``allowed`` any more; ``cut_off`` one that stalls."""
    async with asyncio.TaskGroup() as group:
        teller = group.create_task(_tell(socket, site, pace, allowed, cut_off))
        async for _ in socket:
            pass  # a client has nothing to say here; reading answers pings and notices its leaving
        teller.cancel()


async def _tell(
    socket: web.WebSocketResponse,
    site: Site,
    pace: Pace,
    allowed: Callable[[], bool],
    cut_off: Callable[[], None],
) -> None:
    try:
        await _tell_all(socket, site, pace, allowed)
        await socket.close(code=CLOSE_UNAUTHORIZED, message=b"access was withdrawn")
    except TimeoutError:
        LOGGER.info("A WebSocket client does not keep up and is cut off")
        cut_off()  # a close frame would queue behind all that it does not read
    except ConnectionError:
        pass  # it left; the reader sees that too
    except Exception:
        LOGGER.exception("A WebSocket failed")
        await socket.close(code=WSCloseCode.INTERNAL_ERROR)


async def _tell_all(
    socket: web.WebSocketResponse, site: Site, pace: Pace, allowed: Callable[[], bool]
) -> None:
    """Changes are taken against what this client was last told, so one that is slow gets fewer and larger ones."""
    clock = asyncio.get_running_loop().time

    async def send(message: Json) -> float:
        async with asyncio.timeout(pace.patience_s):
            await socket.send_str(encode(message).decode())
        return clock()

    await send(hello(site.identity))
    view = site.view()
    told = to_json(site_view(site.identity, view))
    sent_at = await send({"type": "snapshot", "state": told})
    while allowed():
        await asyncio.sleep(pace.spacing_s)
        await _wait(site, view.seq, sent_at + pace.heartbeat_s - clock())
        view = site.view()
        state = to_json(site_view(site.identity, view))
        if message := change(told, state):
            sent_at = await send(message)
            told = state
        elif clock() >= sent_at + pace.heartbeat_s:
            sent_at = await send({"type": "heartbeat", "at": state["at"]})


async def _wait(site: Site, seq: int, longest_s: float) -> None:
    try:
        async with asyncio.timeout(max(0.0, longest_s)):
            await site.next_change(seq)
    except TimeoutError:
        pass
