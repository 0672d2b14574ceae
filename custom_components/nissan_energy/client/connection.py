"""One gateway over HTTPS: requests, and the stream of its state."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from datetime import datetime
from typing import Any, Self
from urllib.parse import quote

import aiohttp
from yarl import URL

from .control import Need, ReserveWindow
from .errors import (
    AuthFailed,
    CannotConnect,
    FingerprintMismatch,
    InvalidRequest,
    InvalidResponse,
    VersionTooOld,
)
from .reading import changed, read
from .views import GatewayInfo, Hello, OwnerSettings, Pairing, Plan, Request, SiteView

API_VERSION = 1
"""The version of the gateway's API that this client speaks."""

DEFAULT_PORT = 8443
ANSWER_S = 10.0
CLOSE_UNAUTHORIZED = 4401
SILENCE_S = 12.0
"""The gateway sends a heartbeat every 5 s; after two missed ones it counts as dead."""


class GatewayClient:
    """Speaks to one gateway and pins its certificate by SHA-256.

    Without a ``fingerprint`` any certificate is taken, which is for the very first ``info()`` alone; without a
    ``token`` only ``info()`` and ``pair()`` are answered. A write is sent once and never retried here.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        host: str,
        port: int,
        token: str | None = None,
        fingerprint: str | None = None,
    ) -> None:
        """Use ``session``, which stays the caller's. Raises InvalidResponse when ``fingerprint`` is no SHA-256 in hex."""
        self._session = session
        self._origin = URL.build(scheme="https", host=host, port=port)
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._ssl = _pin(fingerprint) if fingerprint else False

    def pinned(self, fingerprint: str) -> Self:
        """Return the same client, which from now on takes no other certificate."""
        self._ssl = _pin(fingerprint)
        return self

    async def info(self) -> GatewayInfo:
        """Return what the gateway tells to everybody. Raises VersionTooOld."""
        info = read(GatewayInfo, await self._call("GET", "info"))
        _check_version(info.api_version, info.api_min_version)
        return info

    async def pair(self, code: str, name: str) -> Pairing:
        """Trade the code that the gateway shows for a token. Raises InvalidRequest: wrong_code, too_many_attempts, pairing_closed."""
        return read(Pairing, await self._call("POST", "pair", body={"code": code, "client_name": name}))

    async def state(self) -> SiteView:
        """Return the whole state."""
        return read(SiteView, await self._call("GET", "state"))

    async def plan(self) -> Plan | None:
        """Return the plan in force, None when there is none."""
        plan = await self._call("GET", "plan")
        return read(Plan, plan) if plan else None

    async def put_forecast(self, kind: str, body: Mapping[str, Any]) -> None:
        """Hand in prices, or a forecast of solar, load, carbon or trips, as the gateway's API names them."""
        await self._call("PUT", "forecasts", kind, body=body)

    async def patch_owner(self, changes: Mapping[str, Any]) -> OwnerSettings:
        """Change some of the owner's settings, named as in OwnerSettings."""
        return read(OwnerSettings, await self._call("PATCH", "owner", body=changes))

    async def request(
        self,
        device: str,
        mode: str,
        *,
        power_w: float | None = None,
        until_soc_pct: float | None = None,
        duration_s: float | None = None,
    ) -> Request:
        """Ask a device to do something now; ``power_w`` is a magnitude."""
        wish = {"mode": mode, "power_w": power_w, "until_soc_pct": until_soc_pct, "duration_s": duration_s}
        body = {key: value for key, value in wish.items() if value is not None}
        return read(Request, await self._call("POST", "devices", device, "request", body=body))

    async def clear_request(self, device: str) -> None:
        """Give a device back to automatic control."""
        await self._call("DELETE", "devices", device, "request")

    async def offer_reserve(
        self,
        product: str,
        power_w: float,
        starts_at: datetime,
        ends_at: datetime,
        devices: Iterable[str] = (),
    ) -> ReserveWindow:
        """Sell frequency reserve; the gateway answers with its verdict when it has one."""
        body = {
            "product": product,
            "power_w": power_w,
            "starts_at": starts_at.isoformat(),
            "ends_at": ends_at.isoformat(),
            "devices": list(devices),
        }
        return read(ReserveWindow, await self._call("POST", "reserves", body=body))

    async def withdraw_reserve(self, window: str) -> None:
        """Take a sold window back."""
        await self._call("DELETE", "reserves", window)

    async def set_need(self, device: str, energy_wh: float, departs_at: datetime) -> Need:
        """Say what the car at a charger still has to take before it leaves."""
        body = {"energy_wh": energy_wh, "departs_at": departs_at.isoformat()}
        return read(Need, await self._call("PUT", "devices", device, "need", body=body))

    async def clear_need(self, device: str) -> None:
        """Forget what the car at a charger still has to take."""
        await self._call("DELETE", "devices", device, "need")

    async def inspected(self, device: str, fault: str) -> None:
        """Say that a fault of a device was inspected on the spot; the device decides whether that lifts it."""
        await self._call("POST", "devices", device, "inspected", body={"code": fault})

    async def stop(self) -> None:
        """Bring everything to 0 W until resume()."""
        await self._call("POST", "stop")

    async def resume(self) -> None:
        """End a stop."""
        await self._call("DELETE", "stop")

    async def opt_out(self, event: str) -> None:
        """Take no part in one grid event."""
        await self._call("POST", "grid-events", event, "opt-out")

    async def listen(self) -> AsyncGenerator[SiteView]:
        """Yield the state after each frame, heartbeats included, the whole snapshot first.

        Ends only by raising: CannotConnect when the connection is lost or silent for SILENCE_S.
        """
        try:
            async with self._session.ws_connect(
                self._origin / "v1" / "ws",
                headers=self._headers,
                ssl=self._ssl,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
                max_msg_size=16 * 2**20,
            ) as socket:
                view: SiteView | None = None
                while True:
                    frame = await _next_frame(socket)
                    view = _follow(view, frame)
                    if view is not None:
                        yield view
        except aiohttp.ServerFingerprintMismatch as err:
            raise FingerprintMismatch(str(err)) from err
        except aiohttp.WSServerHandshakeError as err:
            if err.status in {401, 403}:
                raise AuthFailed(f"the token was refused: HTTP {err.status}") from err
            raise CannotConnect(f"no stream: HTTP {err.status}") from err
        except (aiohttp.ClientError, OSError) as err:
            raise CannotConnect(str(err) or type(err).__name__) from err

    async def _call(self, method: str, *path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send one request and return its JSON, None for an empty answer; ids in ``path`` may hold anything."""
        url = self._origin.with_path(
            "/".join(("/v1", *(quote(part, safe="") for part in path))), encoded=True
        )
        try:
            async with self._session.request(
                method,
                url,
                json=body,
                headers=self._headers,
                ssl=self._ssl,
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=ANSWER_S),
            ) as response:
                if response.status >= 300:
                    raise await _refusal(response)
                return await response.json() if await response.read() else None
        except aiohttp.ServerFingerprintMismatch as err:
            raise FingerprintMismatch(str(err)) from err
        except (aiohttp.ContentTypeError, ValueError) as err:
            raise InvalidResponse(f"{method} {url.path} was not answered in JSON") from err
        except (aiohttp.ClientError, OSError) as err:
            raise CannotConnect(str(err) or type(err).__name__) from err


def _pin(fingerprint: str) -> aiohttp.Fingerprint:
    try:
        return aiohttp.Fingerprint(bytes.fromhex(fingerprint.replace(":", "")))
    except ValueError as err:
        raise InvalidResponse("the fingerprint is no SHA-256 in hexadecimal") from err


def _check_version(newest: int, oldest: int) -> None:
    if newest < API_VERSION:
        raise VersionTooOld("gateway")
    if oldest > API_VERSION:
        raise VersionTooOld("integration")


async def _refusal(response: aiohttp.ClientResponse) -> Exception:
    """Return the exception that a problem object (RFC 9457) stands for."""
    if response.status == 401:
        return AuthFailed("the token was refused")
    if not 400 <= response.status < 500:
        return CannotConnect(f"HTTP {response.status}")
    try:
        problem = await response.json(content_type=None)
        return InvalidRequest(str(problem["code"]), str(problem.get("detail", "")))
    except ValueError, KeyError, TypeError, AttributeError:
        return InvalidResponse(f"HTTP {response.status} without a problem object")


async def _next_frame(socket: aiohttp.ClientWebSocketResponse) -> Mapping[str, Any]:
    try:
        async with asyncio.timeout(SILENCE_S):
            message = await socket.receive()
    except TimeoutError as err:
        raise CannotConnect(f"silent for {SILENCE_S:.0f} s") from err
    if message.type is aiohttp.WSMsgType.CLOSE and message.data == CLOSE_UNAUTHORIZED:
        raise AuthFailed("access was withdrawn")
    if message.type is not aiohttp.WSMsgType.TEXT:
        raise CannotConnect("the gateway closed the stream")
    try:
        frame = message.json()
    except (ValueError, RecursionError) as err:
        raise InvalidResponse("a frame is no JSON") from err
    if not isinstance(frame, Mapping):
        raise InvalidResponse("a frame is no object")
    return frame


def _follow(view: SiteView | None, frame: Mapping[str, Any]) -> SiteView | None:
    """Return the state after ``frame``; frames of a kind that this client does not know change nothing."""
    match frame.get("type"):
        case "hello":
            hello = read(Hello, frame)
            _check_version(hello.api_version, hello.api_min_version)
        case "snapshot":
            return read(SiteView, frame.get("state"))
        case "change" if view is not None:
            return changed(view, frame)
    return view
