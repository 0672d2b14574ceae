"""A gateway's API over real TLS on loopback, and a client that pins its certificate."""

import asyncio
import json
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from gateway.api.schema import Role
from gateway.api.server import ApiServer, Bounds
from gateway.api.stream import Pace
from tests.gateway.api.fake_site import FakeSite

PACE = Pace(heartbeat_s=0.2, spacing_s=0.02, patience_s=1.0)
BOUNDS = Bounds(rate=1e6, burst=1e6, pace=PACE)


class Client:
    def __init__(self, session, server, site, state_dir):
        self.session = session
        self.server = server
        self.site = site
        self.state_dir = state_dir
        self.pin = aiohttp.Fingerprint(bytes.fromhex(server.identity.fingerprint))
        self.url = f"https://127.0.0.1:{server.port}"

    def token(self, role=Role.OWNER):
        return self.server._tokens.add("test", role, self.site.view().utc)[1]

    async def ask(self, method, path, body=None, token=None, **options):
        """Return status and body; every error must be a problem."""
        headers = options.pop("headers", {}) | ({"Authorization": f"Bearer {token}"} if token else {})
        if body is not None:
            options["data"] = body if isinstance(body, bytes) else json.dumps(body)
        async with self.session.request(
            method, self.url + path, headers=headers, ssl=self.pin, **options
        ) as response:
            text = await response.text()
            answer = json.loads(text) if text else None
            if response.status >= 400:
                assert response.content_type == "application/problem+json"
                assert set(answer) == {"type", "title", "status", "code", "detail"}
                assert answer["status"] == response.status
                assert "Traceback" not in text
            return response.status, answer

    def stream(self, token):
        headers = {"Authorization": f"Bearer {token}"}
        return self.session.ws_connect(self.url + "/v1/ws", ssl=self.pin, headers=headers)


@asynccontextmanager
async def serving(state_dir: Path, site: FakeSite | None = None, bounds: Bounds = BOUNDS):
    site = site or FakeSite()
    server = ApiServer(site, state_dir, "127.0.0.1", 0, advertise=False, bounds=bounds)
    async with asyncio.TaskGroup() as group:
        running = group.create_task(server.run())
        await asyncio.wait_for(server.ready.wait(), 10)
        async with aiohttp.ClientSession() as session:
            yield Client(session, server, site, state_dir)
        running.cancel()
