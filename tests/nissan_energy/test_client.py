"""The client against a session without a socket: what it sends, what it reads, and what each failure is called."""

import asyncio
import copy
import json
from collections import deque
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self, cast

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_components.nissan_energy.client import (
    AuthFailed,
    CannotConnect,
    FingerprintMismatch,
    GatewayClient,
    InvalidRequest,
    InvalidResponse,
    SiteView,
    VersionTooOld,
    changed,
    connection,
    read,
)
from tests.nissan_energy.fake_gateway import AT, FINGERPRINT, HOST, PORT, TOKEN, fault, house

INFO = {
    "serial": "NE-0001",
    "name": "House",
    "sw_version": "0.1.0",
    "api_version": 1,
    "api_min_version": 1,
    "fingerprint": FINGERPRINT,
}
HELLO = {"type": "hello", "api_version": 1, "api_min_version": 1, "serial": "NE-0001"}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


class Answer:
    """A response, or a WebSocket that sends ``frames`` and then says nothing more."""

    def __init__(self, status: int = 200, body: Any = None, frames: tuple[Any, ...] = ()) -> None:
        self.status = status
        self.body = body
        self.frames = deque(frames)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def read(self) -> bytes:
        return b"" if self.status in {202, 204} and self.body is None else b"..."

    async def json(self, content_type: str | None = "application/json") -> Any:
        if isinstance(self.body, Exception):
            raise self.body
        return self.body

    async def receive(self) -> aiohttp.WSMessage:
        if not self.frames:
            await asyncio.Event().wait()
        frame = self.frames.popleft()
        if isinstance(frame, Exception):
            raise frame
        if isinstance(frame, aiohttp.WSMessage):
            return frame
        return aiohttp.WSMessage(
            aiohttp.WSMsgType.TEXT, frame if isinstance(frame, str) else json.dumps(frame), None
        )


class Session:
    """Gives one answer to everything, or fails with it."""

    def __init__(self, answer: Answer | Exception) -> None:
        self.answer = answer
        self.sent: list[tuple[str, str, Any]] = []
        self.options: dict[str, Any] = {}

    def request(self, method: str, url: object, **options: Any) -> Answer:
        self.sent.append((method, str(url), options["json"]))
        self.options = options
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def ws_connect(self, url: object, **options: Any) -> Answer:
        self.sent.append(("WS", str(url), None))
        self.options = options
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def client(answer: Answer | Exception) -> tuple[GatewayClient, Session]:
    session = Session(answer)
    return GatewayClient(cast(aiohttp.ClientSession, session), HOST, PORT, TOKEN, FINGERPRINT), session


async def heard(*frames: Any) -> list[SiteView]:
    """Return the views that these frames yield, and raise what ends the stream, unless it is mere silence."""
    views: list[SiteView] = []
    speaker, _ = client(Answer(frames=frames))
    try:
        async with aclosing(speaker.listen()) as stream:
            async for view in stream:
                views.append(view)  # noqa: PERF401 - what was heard before the end counts
    except CannotConnect as error:
        if "silent" not in str(error):
            raise
    return views


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "SILENCE_S", 0.01)


REQUEST = cast(Any, type("R", (), {"real_url": "https://x"})())


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(401), AuthFailed),
        (Answer(500), CannotConnect),
        (Answer(302), CannotConnect),
        (Answer(422, {"code": "invalid_request", "detail": "too much"}), InvalidRequest),
        (Answer(404, ["not a problem"]), InvalidResponse),
        (Answer(404, ValueError("html")), InvalidResponse),
        (Answer(200, ValueError("html")), InvalidResponse),
        (Answer(200, {"serial": 5}), InvalidResponse),
        (Answer(200, []), InvalidResponse),
        (Answer(200, INFO | {"api_version": 0, "api_min_version": 0}), VersionTooOld),
        (Answer(200, INFO | {"api_version": 9, "api_min_version": 5}), VersionTooOld),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", HOST, PORT), FingerprintMismatch),
        (aiohttp.ServerDisconnectedError(), CannotConnect),
        (TimeoutError(), CannotConnect),
        (OSError("no route"), CannotConnect),
    ],
)
async def test_every_failure_has_its_name(answer: Answer | Exception, error: type[Exception]) -> None:
    asker, _ = client(answer)
    with pytest.raises(error):
        await asker.info()


async def test_the_older_side_is_named() -> None:
    for change, older in (
        ({"api_version": 0}, "gateway"),
        ({"api_version": 3, "api_min_version": 2}, "integration"),
    ):
        asker, _ = client(Answer(200, INFO | change))
        with pytest.raises(VersionTooOld) as told:
            await asker.info()
        assert told.value.older == older


async def test_the_certificate_is_pinned_and_the_token_is_sent() -> None:
    asker, session = client(Answer(200, INFO))
    await asker.info()
    assert session.options["ssl"].fingerprint == bytes.fromhex(FINGERPRINT)
    assert session.options["headers"] == {"Authorization": f"Bearer {TOKEN}"}
    assert session.options["allow_redirects"] is False


async def test_a_stranger_is_asked_without_a_pin_or_a_token_and_then_held_to_what_it_claims() -> None:
    session = Session(Answer(200, INFO))
    asker = GatewayClient(cast(aiohttp.ClientSession, session), HOST, PORT)
    info = await asker.info()
    assert (session.options["ssl"], session.options["headers"]) == (False, {})
    await asker.pinned(info.fingerprint).info()
    assert session.options["ssl"].fingerprint == bytes.fromhex(FINGERPRINT)


@pytest.mark.parametrize("fingerprint", ["xyz", "abcd"])
def test_a_fingerprint_that_is_no_sha_256_is_refused(fingerprint: str) -> None:
    with pytest.raises(InvalidResponse):
        GatewayClient(cast(aiohttp.ClientSession, None), HOST, PORT, None, fingerprint)


async def test_commands_are_sent_as_the_gateway_reads_them() -> None:
    request = {"id": "r", "device": "car", "mode": "boost", "expires_at": AT}
    asker, session = client(Answer(202, request))
    await asker.request("car", "boost", until_soc_pct=80.0)
    session.answer = Answer(200, {"control_on": True})
    assert (await asker.patch_owner({"control_on": True})).control_on
    session.answer = Answer(201, {"token": "t", "serial": "s", "fingerprint": "f"})
    assert (await asker.pair("123456", "HA")).token == "t"
    session.answer = Answer(200, None)
    assert await asker.plan() is None
    session.answer = Answer(200, house())
    assert (await asker.state()).seq == 1
    session.answer = Answer(204)
    await asker.clear_request("car")
    session.answer = Answer(202)
    await asker.stop()
    await asker.resume()
    await asker.opt_out("e/1")
    root = f"https://{HOST}:{PORT}/v1"
    assert session.sent == [
        ("POST", f"{root}/devices/car/request", {"mode": "boost", "until_soc_pct": 80.0}),
        ("PATCH", f"{root}/owner", {"control_on": True}),
        ("POST", f"{root}/pair", {"code": "123456", "client_name": "HA"}),
        ("GET", f"{root}/plan", None),
        ("GET", f"{root}/state", None),
        ("DELETE", f"{root}/devices/car/request", None),
        ("POST", f"{root}/stop", None),
        ("DELETE", f"{root}/stop", None),
        ("POST", f"{root}/grid-events/e%2F1/opt-out", None),
    ]


@pytest.mark.usefixtures("_impatient")
async def test_the_stream_is_a_snapshot_and_then_its_changes_with_a_view_for_each_heartbeat() -> None:
    garage = copy.deepcopy(house()["devices"]["garage"])
    garage["sample"]["power_w"] = -3000.0
    change = {
        "type": "change",
        "seq": 2,
        "at": AT,
        "set": {"devices.garage": garage, "faults": [fault("insulation")], "weather": 5, "moon.phase": 1},
        "removed": ["devices.roof", "decisions.battery", "price_now", "moon.age"],
    }
    views = await heard(
        HELLO, {"type": "snapshot", "state": house()}, change, {"type": "heartbeat", "at": AT}, {"type": "?"}
    )
    assert [v.seq for v in views] == [1, 2, 2, 2]
    first, second = views[:2]
    assert first.devices["garage"].sample.power_w == 2000.0
    assert second.devices["garage"].sample.power_w == -3000.0
    assert second.devices["battery"] is first.devices["battery"]
    assert second.devices.keys() == {"grid", "battery", "garage"}
    assert second.decisions.keys() == {"garage"}
    assert (second.faults[0].code, second.price_now) == ("insulation", None)


@pytest.mark.usefixtures("_impatient")
async def test_a_heartbeat_or_a_change_before_the_snapshot_says_nothing() -> None:
    assert await heard(HELLO, {"type": "heartbeat", "at": AT}, {"type": "change", "seq": 2, "at": AT}) == []


@pytest.mark.parametrize(
    ("frame", "error"),
    [
        ("no json", InvalidResponse),
        ([], InvalidResponse),
        ({"type": "snapshot", "state": {}}, InvalidResponse),
        ({"type": "snapshot"}, InvalidResponse),
        ({"type": "change", "seq": 2, "at": AT, "removed": ["owner"]}, InvalidResponse),
        ({"type": "change", "seq": 2, "at": AT, "set": {"devices": None}}, InvalidResponse),
        (HELLO | {"api_version": 0}, VersionTooOld),
        (HELLO | {"api_version": "1"}, InvalidResponse),
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 1001, None), CannotConnect),
        (aiohttp.WSMessage(aiohttp.WSMsgType.CLOSE, 4401, None), AuthFailed),
        (aiohttp.ClientConnectionError("reset"), CannotConnect),
    ],
)
async def test_a_stream_that_fails_says_how(frame: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        await heard(HELLO, {"type": "snapshot", "state": house()}, frame)


@pytest.mark.parametrize(
    ("refusal", "error"),
    [
        (aiohttp.WSServerHandshakeError(REQUEST, (), status=401), AuthFailed),
        (aiohttp.WSServerHandshakeError(REQUEST, (), status=503), CannotConnect),
        (aiohttp.ServerFingerprintMismatch(b"a", b"b", HOST, PORT), FingerprintMismatch),
        (OSError(), CannotConnect),
    ],
)
async def test_a_stream_that_is_refused_says_why(refusal: Exception, error: type[Exception]) -> None:
    asker, _ = client(refusal)
    with pytest.raises(error):
        await anext(asker.listen())


@pytest.mark.usefixtures("_impatient")
async def test_silence_is_a_lost_connection() -> None:
    asker, _ = client(Answer(frames=(HELLO,)))
    with pytest.raises(CannotConnect, match="silent"):
        await anext(asker.listen())


def test_missing_parts_are_never_an_empty_house() -> None:
    for part in ("devices", "owner", "site"):
        with pytest.raises(InvalidResponse):
            read(SiteView, {k: v for k, v in house().items() if k != part})


@given(JSON)
def test_whatever_comes_is_a_state_or_an_invalid_response(value: Any) -> None:
    with suppress(InvalidResponse):
        read(SiteView, value)


@given(st.sampled_from(sorted(house())), JSON)
def test_whatever_changes_is_a_state_or_an_invalid_response(part: str, value: Any) -> None:
    whole = read(SiteView, house())
    for path in (part, f"{part}.x"):
        with suppress(InvalidResponse):
            changed(whole, {"seq": 2, "at": AT, "set": {path: value}})
