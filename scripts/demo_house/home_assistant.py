"""A real Home Assistant: its configuration folder, its process, and a logged-in client of its REST and WebSocket interfaces."""

import asyncio
import contextlib
import json
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from .processes import ROOT, Child, DemoError

PYTHON = ROOT / ".venv-ha/bin/python"
DOMAIN = "nissan_energy"
RESTART_STATUS = 100
"""With this exit status Home Assistant asks to be started again."""
CONFIGURATION = """\
# Written anew at each start of scripts/demo.
homeassistant:
  name: Demo house
  country: NL
  currency: EUR
  time_zone: Europe/Amsterdam
  unit_system: metric
  latitude: 52.01
  longitude: 4.36
  elevation: 2
energy:
frontend:
history:
logbook:
recorder:
  purge_keep_days: 3
  commit_interval: 2
logger:
  default: warning
  logs:
    haffmpeg: fatal
    homeassistant.components.camera.img_util: fatal
    homeassistant.components.ffmpeg: fatal
    homeassistant.loader: error
"""


class HomeAssistant:
    """The process. ``config_dir`` keeps everything that it knows between two starts."""

    def __init__(self, config_dir: Path, port: int, log: Path) -> None:
        self.config_dir = config_dir
        self.url = f"http://127.0.0.1:{port}"
        self.child = Child("Home Assistant", log, signal.SIGTERM, patience_s=40)
        self._port = port

    async def start(self) -> None:
        """Write the configuration, link the integration into it, and start without looking for packages to install."""
        self.config_dir.mkdir(parents=True, exist_ok=True)
        (self.config_dir / "configuration.yaml").write_text(CONFIGURATION, encoding="utf8")
        components = self.config_dir / "custom_components"
        components.mkdir(exist_ok=True)
        link = components / DOMAIN
        if not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(ROOT / "custom_components" / DOMAIN)
        seed = Child("seeding of Home Assistant", self.config_dir / "seed.log")
        await seed.start(
            [
                str(PYTHON),
                str(Path(__file__).parent / "seed_storage.py"),
                str(self.config_dir),
                str(self._port),
            ]
        )
        if await seed.ended() != 0:
            raise DemoError(f"the {seed.name} failed:\n{seed.last_lines()}")
        command = [
            str(PYTHON),
            "-m",
            "homeassistant",
            "-c",
            str(self.config_dir),
            "--skip-pip",
            "--log-no-color",
        ]
        # An environment that forbids bytecode would compile the integration at each start.
        await self.child.start(command, env={"PYTHONDONTWRITEBYTECODE": ""})

    async def stay(self) -> None:
        """Start it again each time that its owner restarts it. Raises DemoError when it ends otherwise."""
        while (status := await self.child.ended()) == RESTART_STATUS:
            await self.start()
        raise DemoError(f"Home Assistant ended with {status}:\n{self.child.last_lines()}")

    async def answering(self, within_s: float = 90) -> None:
        """Wait until its web server takes connections."""
        await self.child.ready(self._listening, within_s)

    def _listening(self) -> bool | None:
        with socket.socket() as probe:
            probe.settimeout(1)
            return True if probe.connect_ex(("127.0.0.1", self._port)) == 0 else None


@dataclass(frozen=True, slots=True)
class Login:
    username: str
    password: str


class Refusal(DemoError):
    """Home Assistant said no to a request."""


class Session:
    """A logged-in owner of one Home Assistant; made by ``log_in``."""

    def __init__(self, http: aiohttp.ClientSession, url: str, token: Mapping[str, Any]) -> None:
        self.url = url
        self._http = http
        self._keep(token)
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._sent = 0

    def _keep(self, token: Mapping[str, Any]) -> None:
        self._token = token
        self._expires_at = time.time() + token["expires_in"]

    @property
    def browser_tokens(self) -> str:
        """What the frontend expects under ``hassTokens`` in the browser's storage."""
        client = {"hassUrl": self.url, "clientId": f"{self.url}/", "expires": int(self._expires_at * 1000)}
        return json.dumps({**self._token, **client})

    async def rest(self, method: str, path: str, body: Any = None) -> Any:
        """Call the REST interface. Raises Refusal for any answer but 2xx."""
        if time.time() > self._expires_at - 60:
            grant = {"grant_type": "refresh_token", "refresh_token": self._token["refresh_token"]}
            self._keep({**self._token, **await _token(self._http, self.url, grant)})
        headers = {"Authorization": f"Bearer {self._token['access_token']}"}
        async with self._http.request(method, f"{self.url}/api/{path}", json=body, headers=headers) as answer:
            if not answer.ok:
                raise Refusal(f"{method} /api/{path}: {answer.status} {(await answer.text())[:400]}")
            return await answer.json()

    async def ask(self, command: str, **fields: Any) -> Any:
        """Send one WebSocket command and return its result. Raises Refusal."""
        if self._socket is None or self._socket.closed:
            self._socket = await self._open()
        self._sent += 1
        await self._socket.send_json({"id": self._sent, "type": command, **fields})
        while (answer := await self._socket.receive_json(timeout=30)).get("id") != self._sent:
            pass
        if not answer["success"]:
            raise Refusal(f"{command}: {answer['error']}")
        return answer["result"]

    async def act(self, action: str, entity_id: str, **data: Any) -> None:
        """Perform an action, such as ``switch.turn_on``, on one entity."""
        await self.rest("POST", f"services/{action.replace('.', '/')}", {"entity_id": entity_id, **data})

    async def state(self, entity_id: str) -> str:
        """Return the state of one entity, as Home Assistant writes it."""
        return str((await self.rest("GET", f"states/{entity_id}"))["state"])

    async def until(self, entity_id: str, true: Callable[[str], bool], within_s: float) -> str:
        """Return the state of an entity once it is ``true``. Raises DemoError with the last one when it does not get there."""
        deadline = time.monotonic() + within_s
        while not true(state := await self.state(entity_id)):
            if time.monotonic() > deadline:
                raise DemoError(f"{entity_id} is {state!r} after {within_s:g} s")
            await asyncio.sleep(0.2)
        return state

    async def until_running(self, within_s: float = 60) -> None:
        """Wait until everything has been set up once. Raises DemoError."""
        deadline = time.monotonic() + within_s
        while (state := (await self.rest("GET", "config"))["state"]) != "RUNNING":
            if time.monotonic() > deadline:
                raise DemoError(f"Home Assistant is {state} after {within_s:g} s")
            await asyncio.sleep(0.1)

    async def _open(self) -> aiohttp.ClientWebSocketResponse:
        opened = await self._http.ws_connect(f"{self.url}/api/websocket", max_msg_size=0)
        await opened.receive_json(timeout=30)
        await opened.send_json({"type": "auth", "access_token": self._token["access_token"]})
        if (answer := await opened.receive_json(timeout=30))["type"] != "auth_ok":
            raise Refusal(f"WebSocket: {answer}")
        self._sent = 0
        return opened


@asynccontextmanager
async def log_in(url: str, login: Login) -> AsyncIterator[Session]:
    """Make the owner at the first start, log in as the owner at every start."""
    async with aiohttp.ClientSession() as http:
        owner = {"name": "Owner", "username": login.username, "password": login.password, "language": "en"}
        client = {"client_id": f"{url}/"}
        async with http.post(f"{url}/api/onboarding/users", json={**owner, **client}) as answer:
            code = (await answer.json())["auth_code"] if answer.ok else await _auth_code(http, url, login)
        yield Session(http, url, await _token(http, url, {"grant_type": "authorization_code", "code": code}))


async def _token(http: aiohttp.ClientSession, url: str, grant: Mapping[str, str]) -> dict[str, Any]:
    async with http.post(f"{url}/auth/token", data={**grant, "client_id": f"{url}/"}) as answer:
        token: dict[str, Any] = await answer.json()
    if "access_token" not in token:
        raise Refusal(f"login: {token}")
    return token


async def _auth_code(http: aiohttp.ClientSession, url: str, login: Login) -> str:
    client = {"client_id": f"{url}/"}
    begin = {**client, "handler": ["homeassistant", None], "redirect_uri": f"{url}/"}
    async with http.post(f"{url}/auth/login_flow", json=begin) as answer:
        flow_id = (await answer.json())["flow_id"]
    form = {**client, "username": login.username, "password": login.password}
    async with http.post(f"{url}/auth/login_flow/{flow_id}", json=form) as answer:
        step = await answer.json()
    with contextlib.suppress(KeyError):
        return str(step["result"])
    raise Refusal(
        f"Home Assistant does not know the login that is kept here; start again with --fresh ({step.get('errors')})"
    )
