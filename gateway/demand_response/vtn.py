"""The endpoint that a utility calls: an embedded OpenADR 3.1 VTN, in which each utility sees its own objects alone.

What is stored is answered, and what is answered is on disk. Every refusal is a problem object; nothing of our insides is told.
"""

import asyncio
import base64
import binascii
import logging
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from urllib.parse import unquote_plus

from aiohttp import hdrs, web

from gateway.demand_response.access import (
    TOKEN_LIFE_S,
    Grant,
    TokenBucket,
    make_token,
    read_token,
    scopes_granted,
)
from gateway.demand_response.arbiter import Call, read
from gateway.demand_response.openadr3.objects import (
    Problem,
    Program,
    decode,
    parse_event,
    parse_program,
)
from gateway.demand_response.openadr3.times import instant_text
from gateway.demand_response.store import Full, Kind, Store, StoredObject, Unstorable
from gateway.faults import Malformed

LOGGER = logging.getLogger(__name__)

BASE_PATH = "/openadr3/3.1.0"
MOST_BODY_BYTES = 1 << 20
REQUEST_TIMEOUT_S = 15.0
MOST_PER_PAGE = 50

type Body = Mapping[str, object]
type Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class _Refusal(Exception):
    """Ends a request with a problem object."""

    def __init__(self, status: HTTPStatus, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Vtn:
    """Serves ``store`` to utilities; ``changed`` is called after every change of a program or an event."""

    def __init__(
        self,
        store: Store,
        changed: Callable[[], None],
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._changed = changed
        self._utc = utc
        self._key = store.signing_key()
        self._token_calls = TokenBucket(burst=20, period_s=3.0)

    def application(self) -> web.Application:
        """Return the web application with all its paths."""
        app = web.Application(middlewares=[_answer_problems], client_max_size=MOST_BODY_BYTES)
        route = app.router.add_route
        route("GET", f"{BASE_PATH}/auth/server", self._auth_server)
        route("POST", f"{BASE_PATH}/auth/token", self._token)
        route("GET", f"{BASE_PATH}/notifiers", self._notifiers)
        for path, kind in (("programs", Kind.PROGRAM), ("events", Kind.EVENT), ("reports", Kind.REPORT)):
            route("GET", f"{BASE_PATH}/{path}", self._bound(self._search, kind))
            route("GET", f"{BASE_PATH}/{path}/{{id}}", self._bound(self._show, kind))
            route("POST", f"{BASE_PATH}/{path}", self._bound(self._create, kind))
            route("PUT", f"{BASE_PATH}/{path}/{{id}}", self._bound(self._replace, kind))
            route("DELETE", f"{BASE_PATH}/{path}/{{id}}", self._bound(self._delete, kind))
        for path in ("vens", "resources", "subscriptions"):
            route("GET", f"{BASE_PATH}/{path}", self._nothing)
            route("POST", f"{BASE_PATH}/{path}", self._not_offered)
        return app

    def _bound(self, method: Callable[[web.Request, Kind], Awaitable[web.Response]], kind: Kind) -> Handler:
        async def handler(request: web.Request) -> web.Response:
            return await method(request, kind)

        return handler

    # ── who ──────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _auth_server(self, request: web.Request) -> web.Response:
        return web.json_response({"tokenURL": f"{request.scheme}://{request.host}{BASE_PATH}/auth/token"})

    async def _token(self, request: web.Request) -> web.Response:
        if not self._token_calls.admits(request.remote or ""):
            raise _Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too many token requests; wait a minute")
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return _auth_error(HTTPStatus.BAD_REQUEST, "unsupported_grant_type")
        client_id, secret = _credentials(request, form)
        if not self._store.authentic(client_id, secret):
            LOGGER.warning("a token was refused to %s", request.remote)
            return _auth_error(HTTPStatus.UNAUTHORIZED, "invalid_client")
        scopes = scopes_granted(str(form.get("scope", "")))
        if not scopes:
            return _auth_error(HTTPStatus.BAD_REQUEST, "invalid_scope")
        answer = {
            "access_token": make_token(self._key, client_id, scopes),
            "token_type": "Bearer",
            "expires_in": TOKEN_LIFE_S,
            "scope": " ".join(scopes),
        }
        return web.json_response(answer, headers={hdrs.CACHE_CONTROL: "no-store"})

    def _client(self, request: web.Request, scope: str) -> str:
        """Return who calls; refuses without a good token (401) or without the scope (403)."""
        scheme, _, token = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
        grant: Grant | None = read_token(self._key, token.strip()) if scheme.lower() == "bearer" else None
        if grant is None or all(grant.client_id != known.client_id for known in self._store.utilities()):
            raise _Refusal(HTTPStatus.UNAUTHORIZED, "a valid bearer token is needed")
        if scope not in grant.scopes:
            raise _Refusal(HTTPStatus.FORBIDDEN, f"the token lacks the scope {scope}")
        return grant.client_id

    # ── what ─────────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _notifiers(self, request: web.Request) -> web.Response:
        self._client(request, "read_all")
        return web.json_response({"WEBHOOK": False})

    async def _nothing(self, request: web.Request) -> web.Response:
        self._client(request, "read_all")
        return web.json_response([])

    async def _not_offered(self, request: web.Request) -> web.Response:
        self._client(request, "read_all")
        raise _Refusal(HTTPStatus.FORBIDDEN, "a utility may not write this here")

    async def _search(self, request: web.Request, kind: Kind) -> web.Response:
        client_id = self._client(request, "read_all")
        skip, limit = _count(request, "skip", 0), _count(request, "limit", MOST_PER_PAGE)
        if limit > MOST_PER_PAGE:
            raise _Refusal(HTTPStatus.BAD_REQUEST, f"limit: at most {MOST_PER_PAGE}")
        matches = self._filter(request, kind)
        found = [stored for stored in self._store.owned(kind, client_id) if matches(stored)]
        return web.json_response([_shown(stored) for stored in found[skip : skip + limit]])

    def _filter(self, request: web.Request, kind: Kind) -> Callable[[StoredObject], bool]:
        query = request.query
        active = query.get("active")
        if active not in (None, "true", "false"):
            raise _Refusal(HTTPStatus.BAD_REQUEST, "active: true or false")
        targets = set(query.getall("targets", []))
        utc = self._utc()

        def matches(stored: StoredObject) -> bool:
            if kind is Kind.EVENT and active is not None and _over(stored, utc) is (active == "true"):
                return False
            if kind is Kind.EVENT and stored.parent != query.get("programID", stored.parent):
                return False
            if kind is Kind.REPORT and stored.parent != query.get("eventID", stored.parent):
                return False
            for key in ("clientName", "programID") if kind is Kind.REPORT else ():
                if key in query and stored.body.get(key) != query[key]:
                    return False
            return targets <= _targets(stored)

        return matches

    async def _show(self, request: web.Request, kind: Kind) -> web.Response:
        return web.json_response(_shown(self._find(request, kind, self._client(request, "read_all"))))

    async def _create(self, request: web.Request, kind: Kind) -> web.Response:
        client_id = self._client(request, _WRITE[kind])
        parent, body = await self._content(request, kind, client_id, None)
        stored = self._store.create(kind, client_id, parent, body, self._utc())
        LOGGER.info("%s %s came from %s", kind, stored.id, client_id)
        self._changed()
        return web.json_response(_shown(stored), status=HTTPStatus.CREATED)

    async def _replace(self, request: web.Request, kind: Kind) -> web.Response:
        client_id = self._client(request, _WRITE[kind])
        parent, body = await self._content(request, kind, client_id, request.match_info["id"])
        old = self._find(request, kind, client_id)
        stored = self._store.replace(old, parent, body, self._utc())
        LOGGER.info("%s %s was changed by %s", kind, stored.id, client_id)
        self._changed()
        return web.json_response(_shown(stored))

    async def _delete(self, request: web.Request, kind: Kind) -> web.Response:
        client_id = self._client(request, _WRITE[kind])
        stored = self._find(request, kind, client_id)
        if kind is Kind.PROGRAM and any(
            e.parent == stored.id for e in self._store.owned(Kind.EVENT, client_id)
        ):
            raise _Refusal(HTTPStatus.CONFLICT, "the program has events; delete them first")
        self._store.delete(stored, self._utc())
        LOGGER.info("%s %s was withdrawn by %s", kind, stored.id, client_id)
        self._changed()
        return web.json_response(_shown(stored))

    def _find(self, request: web.Request, kind: Kind, client_id: str) -> StoredObject:
        stored = self._store.find(kind, client_id, request.match_info["id"])
        if stored is None:
            raise _Refusal(HTTPStatus.NOT_FOUND, f"no such {kind.lower()}")
        return stored

    async def _content(
        self, request: web.Request, kind: Kind, client_id: str, own_id: str | None
    ) -> tuple[str, Body]:
        """Return what a checked body hangs on, and its fields; nothing is awaited afterwards, so that what was checked still holds when it is stored."""
        raw = decode(await request.read())
        parsed = parse_program(raw) if kind is Kind.PROGRAM else parse_event(raw)
        if isinstance(parsed, Problem) or not isinstance(raw, dict):
            raise _Refusal(
                HTTPStatus.BAD_REQUEST, parsed.reason if isinstance(parsed, Problem) else "no object"
            )
        body = {key: value for key, value in raw.items() if key not in _OURS}
        if isinstance(parsed, Program):
            for other in self._store.owned(Kind.PROGRAM, client_id):
                if other.id != own_id and other.body.get("programName") == parsed.name:
                    raise _Refusal(HTTPStatus.CONFLICT, f"programName: {other.id} has this name already")
            return "", body
        if self._store.find(Kind.PROGRAM, client_id, parsed.program_id) is None:
            raise _Refusal(HTTPStatus.NOT_FOUND, "programID: no such program")
        return parsed.program_id, body


_OURS = ("id", "createdDateTime", "modificationDateTime", "objectType", "clientID")
_WRITE = {Kind.PROGRAM: "write_programs", Kind.EVENT: "write_events", Kind.REPORT: "write_reports"}


@web.middleware
async def _answer_problems(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn every failure into a problem object, and let no request take for ever."""
    try:
        async with asyncio.timeout(REQUEST_TIMEOUT_S):
            return await handler(request)
    except _Refusal as refusal:
        return _problem(refusal.status, refusal.detail)
    except Malformed as bad:
        return _problem(HTTPStatus.BAD_REQUEST, str(bad))
    except Full as full:
        return _problem(HTTPStatus.CONFLICT, str(full))
    except Unstorable:
        LOGGER.exception("a request could not be stored")
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request could not be stored")
    except TimeoutError:
        return _problem(HTTPStatus.REQUEST_TIMEOUT, "the request took too long")
    except web.HTTPException as answer:
        return _problem(HTTPStatus(answer.status), answer.reason)
    except Exception:
        LOGGER.exception("a request failed: %s %s", request.method, request.path)
        return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the request failed here")


def _problem(status: HTTPStatus, detail: str) -> web.Response:
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    response = web.json_response(body, status=status, content_type="application/problem+json")
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers[hdrs.WWW_AUTHENTICATE] = "Bearer"
    if status is HTTPStatus.TOO_MANY_REQUESTS:
        response.headers[hdrs.RETRY_AFTER] = "60"
    return response


def _auth_error(status: HTTPStatus, error: str) -> web.Response:
    """RFC 6749, 5.2."""
    return web.json_response({"error": error}, status=status, headers={hdrs.CACHE_CONTROL: "no-store"})


def _credentials(request: web.Request, form: Mapping[str, object]) -> tuple[str, str]:
    """Return client id and secret from the form or the Basic header (RFC 6749, 2.3.1)."""
    scheme, _, encoded = request.headers.get(hdrs.AUTHORIZATION, "").partition(" ")
    if scheme.lower() == "basic":
        try:
            client_id, _, secret = base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        except binascii.Error, UnicodeDecodeError:
            return "", ""
        return unquote_plus(client_id), unquote_plus(secret)
    return str(form.get("client_id", "")), str(form.get("client_secret", ""))


def _count(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise _Refusal(HTTPStatus.BAD_REQUEST, f"{name}: a whole number from 0 on")
    return int(text)


def _shown(stored: StoredObject) -> Body:
    return {
        **stored.body,
        "id": stored.id,
        "objectType": stored.kind,
        "createdDateTime": instant_text(stored.created_at),
        "modificationDateTime": instant_text(stored.modified_at),
        **({"clientID": stored.client_id} if stored.kind is Kind.REPORT else {}),
    }


def _targets(stored: StoredObject) -> set[str]:
    targets = stored.body.get("targets")
    return {str(target) for target in targets} if isinstance(targets, list) else set()


def _over(stored: StoredObject, utc: datetime) -> bool:
    content = parse_event(stored.body)
    return read(
        Call(stored.id, stored.client_id, "", "", content, stored.created_at, stored.modified_at)
    ).over(utc)
