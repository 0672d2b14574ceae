"""The HTTPS server: carries requests to ``answers``, and turns whatever goes wrong into a problem object."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, web

from gateway.api.access import Pairing, Token, Tokens, open_pairing, write_private
from gateway.api.answers import Answers, Call
from gateway.api.discovery import advertised
from gateway.api.identity import load_identity
from gateway.api.problems import ProblemError, problem
from gateway.api.routes import ALLOWED, ROUTES, Permission, Route
from gateway.api.schema import encode
from gateway.api.site import Site
from gateway.api.stream import Pace, serve_stream
from gateway.api.throttle import TokenBuckets
from gateway.api.wishes import parse_body, parse_query
from gateway.faults import ConfigError, Malformed, Refused, Unreachable

LOGGER = logging.getLogger(__name__)

type Endpoint = Callable[[web.Request], Awaitable[web.StreamResponse]]

ADDRESS_FILE = "api.json"
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "nissan-energy"}
# What is not HTTP gets a plain 400 from aiohttp and is no news for the log. A compressed body is not unpacked, for it may
# be a bomb; it is then no JSON.
HTTP_OPTIONS: dict[str, Any] = {
    "access_log": None,
    "logger": logging.Logger("silent", logging.CRITICAL + 1),  # noqa: LOG001 - it is nobody's child
    "auto_decompress": False,
    "keepalive_timeout": 75.0,
    "shutdown_timeout": 2.0,
}
CODES_OF_HTTP = {404: "not_found", 405: "method_not_allowed", 413: "body_too_large"}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What the server lets a client do: bytes, seconds, requests per second of one address, WebSockets of all."""

    body_bytes: int = 64 * 1024
    answer_s: float = 10.0
    rate: float = 20.0
    burst: float = 60.0
    streams: int = 16
    pace: Pace = field(default_factory=Pace)


class ApiServer:
    """Serves ``site`` on ``bind``:``port`` (0 for a free one). ``ready`` is set, and ``port`` true, once it listens.

    ``state_dir`` keeps certificate, tokens and pairing code, and tells local tools the address in api.json. Raises
    ConfigError when these cannot be used.
    """

    def __init__(
        self,
        site: Site,
        state_dir: Path,
        bind: str,
        port: int,
        *,
        advertise: bool = True,
        bounds: Bounds | None = None,
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.bind = bind
        self.port = port
        self.ready = asyncio.Event()
        self.identity = load_identity(state_dir, site.identity.serial)
        self._site = site
        self._state_dir = state_dir
        self._advertise = advertise
        self._bounds = bounds or Bounds()
        self._tokens = Tokens(state_dir / "tokens.json")
        self._pairing = Pairing(state_dir, self._tokens)
        self._answers = Answers(site, self._tokens, self._pairing, self.identity.fingerprint, utc)
        self._buckets = TokenBuckets(self._bounds.rate, self._bounds.burst)
        self._sockets: set[web.WebSocketResponse] = set()

    async def run(self) -> None:
        """Serve until cancelled. Raises ConfigError when the port cannot be had."""
        if not self._tokens:
            LOGGER.info("Nobody is paired yet; the pairing code is %s", open_pairing(self._state_dir))
        async with AsyncExitStack() as stack:
            runner = web.AppRunner(self._app(), **HTTP_OPTIONS)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            listener = web.TCPSite(runner, self.bind, self.port, ssl_context=self.identity.context)
            try:
                await listener.start()
            except OSError as error:
                raise ConfigError(f"api: cannot listen on {self.bind}:{self.port} ({error})") from error
            self.port = runner.addresses[0][1]
            self._tell_address()
            stack.callback(self._withdraw_address)
            self.ready.set()
            LOGGER.info("Listening on https://%s:%d", self.bind, self.port)
            if self._advertise:
                who = self._site.identity
                await stack.enter_async_context(
                    advertised(who, self.identity.fingerprint, self.bind, self.port)
                )
            await asyncio.Event().wait()

    def _tell_address(self) -> None:
        address = {"host": self.bind, "port": self.port, "fingerprint": self.identity.fingerprint}
        try:
            write_private(self._state_dir / ADDRESS_FILE, encode(address))
        except ConfigError as error:  # a full disk must not cost the owner the interface
            LOGGER.warning("Local tools will not find the address: %s", error)

    def _withdraw_address(self) -> None:
        (self._state_dir / ADDRESS_FILE).unlink(missing_ok=True)

    def _app(self) -> web.Application:
        app = web.Application(
            middlewares=[self._tell_problems, self._limit_rate], client_max_size=self._bounds.body_bytes
        )
        for route in ROUTES:
            endpoint = self._stream(route) if route.name == "ws" else self._endpoint(route)
            app.router.add_route(route.method, route.path, endpoint)
        app.on_shutdown.append(self._close_streams)
        return app

    # ── one request ──────────────────────────────────────────────────────────────────────────────────────────────────

    def _endpoint(self, route: Route) -> Endpoint:
        answer: Callable[[Call], Awaitable[object]] = getattr(self._answers, route.name)

        async def endpoint(request: web.Request) -> web.Response:
            client = self._authorize(request, route.permission)
            async with asyncio.timeout(self._bounds.answer_s):
                call = Call(request.match_info, await _asked(request, route), client, _key(request))
                body = await answer(call)
            if route.answer is None:
                return web.Response(status=route.status, headers=HEADERS)
            return web.Response(
                body=encode(body), status=route.status, headers=HEADERS, content_type="application/json"
            )

        return endpoint

    def _authorize(self, request: web.Request, permission: Permission) -> Token | None:
        scheme, _, secret = request.headers.get("Authorization", "").partition(" ")
        client = self._tokens.find(secret.strip()) if scheme.lower() == "bearer" else None
        if permission is Permission.PUBLIC:
            return client
        if client is None:
            raise ProblemError("unauthorized")
        if permission not in ALLOWED[client.role]:
            raise ProblemError("forbidden", f"The role {client.role} may not do this.")
        return client

    # ── streams ──────────────────────────────────────────────────────────────────────────────────────────────────────

    def _stream(self, route: Route) -> Endpoint:
        async def endpoint(request: web.Request) -> web.StreamResponse:
            client = self._authorize(request, route.permission)
            transport = request.transport
            if client is None or transport is None:
                raise ProblemError("unauthorized")
            if len(self._sockets) >= self._bounds.streams:
                raise ProblemError("too_many_streams")
            socket = web.WebSocketResponse(heartbeat=30.0, timeout=2.0, max_msg_size=4096)
            if not socket.can_prepare(request):
                raise ProblemError("bad_request", "This path speaks WebSocket only.")
            self._sockets.add(socket)
            try:
                await socket.prepare(request)
                await serve_stream(
                    socket,
                    self._site,
                    self._bounds.pace,
                    allowed=lambda: self._tokens.get(client.id) is not None,
                    cut_off=transport.abort,
                )
            finally:
                self._sockets.discard(socket)
            return socket

        return endpoint

    async def _close_streams(self, _app: web.Application) -> None:
        for socket in list(self._sockets):
            await socket.close(code=WSCloseCode.GOING_AWAY, message=b"the gateway stops")

    # ── around every request ─────────────────────────────────────────────────────────────────────────────────────────

    @web.middleware
    async def _limit_rate(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        wait_s = self._buckets.wait_s(request.remote or "", asyncio.get_running_loop().time())
        if wait_s > 0.0:
            response = _problem_response(ProblemError("too_many_requests"))
            response.headers["Retry-After"] = str(int(wait_s) + 1)
            return response
        return await handler(request)

    @web.middleware
    async def _tell_problems(self, request: web.Request, handler: Endpoint) -> web.StreamResponse:
        try:
            return await handler(request)
        except ProblemError as error:
            return _problem_response(error)
        except web.HTTPException as error:
            response = _problem_response(ProblemError(CODES_OF_HTTP.get(error.status, "bad_request")))
            if "Allow" in error.headers:
                response.headers["Allow"] = error.headers["Allow"]
            return response
        except web.RequestPayloadError:
            return _problem_response(ProblemError("bad_request"))
        except TimeoutError:
            return _problem_response(ProblemError("timed_out"))
        except Unreachable as error:
            return _problem_response(ProblemError("unavailable", str(error)))
        except Malformed as error:
            return _problem_response(ProblemError("invalid_request", str(error)))
        except Refused as error:
            return _problem_response(ProblemError("refused", str(error)))
        except ConnectionError:
            raise  # the client has left
        except Exception:
            LOGGER.exception("%s %s failed", request.method, request.path)
            return _problem_response(ProblemError("internal_error"))


async def _asked(request: web.Request, route: Route) -> object:
    if route.body is not None:
        return parse_body(await request.read(), route.body)
    return parse_query(request.query, route.query) if route.query is not None else None


def _key(request: web.Request) -> str:
    return request.headers.get("Idempotency-Key", "")[:128]


def _problem_response(error: ProblemError) -> web.Response:
    response = web.Response(
        body=encode(problem(error)),
        status=error.status,
        headers=HEADERS,
        content_type="application/problem+json",
    )
    if error.code == "unauthorized":
        response.headers["WWW-Authenticate"] = "Bearer"
    return response
