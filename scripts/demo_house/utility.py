"""A utility that the owner lets in, and its calls: real OpenADR over HTTPS, by the product's own simulated utility."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import aiohttp

from .processes import ROOT, DemoError
from .start import Demo


@dataclass(slots=True)
class Utility:
    """A utility with credentials at one gateway; ``join`` makes it."""

    arguments: tuple[str, ...]
    event_id: str = ""

    @classmethod
    async def join(cls, demo: Demo) -> Self:
        """Pair with the gateway as one more client of the owner, and make credentials for a utility with it."""
        await _run("gateway", "pair", str(demo.house.site_toml))
        pin = aiohttp.Fingerprint(bytes.fromhex(demo.api.fingerprint))
        url = f"https://{demo.api.host}:{demo.api.port}/v1"
        async with aiohttp.ClientSession() as http:
            pairing = {"code": demo.house.pairing_code, "client_name": "scripts/demo"}
            token = (await _post(http, f"{url}/pair", pairing, pin))["token"]
            made = await _post(http, f"{url}/utilities", {"name": "Demo utility"}, pin, token)
        return cls((
            "--url", made["vtn_url"], "--fingerprint", demo.api.fingerprint,
            "--client-id", made["client_id"], "--client-secret", made["client_secret"],
        ))  # fmt: skip

    async def limit_import(self, limit_w: float, minutes: float) -> None:
        """Call for an import of at most ``limit_w``, from now on."""
        limit = (
            "limit",
            "--import-kw",
            str(limit_w / 1000),
            "--minutes",
            str(minutes),
            "--name",
            "Evening peak",
        )
        self.event_id = json.loads(await _run("gateway.simulator.utility", *self.arguments, *limit))[
            "event_id"
        ]

    async def cancel(self) -> None:
        """Withdraw the call."""
        await _run("gateway.simulator.utility", *self.arguments, "cancel", self.event_id)


async def _post(
    http: aiohttp.ClientSession, url: str, body: Mapping[str, Any], pin: aiohttp.Fingerprint, token: str = ""
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with http.post(url, json=body, ssl=pin, headers=headers) as answer:
        told: dict[str, Any] = await answer.json(content_type=None)
        if not answer.ok:
            raise DemoError(f"POST {url}: {answer.status} {told}")
    return told


async def _run(module: str, *arguments: str) -> str:
    """Run a program of the product to its end and return what it printed. Raises DemoError."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, complaints = await process.communicate()
    if process.returncode != 0:
        raise DemoError(f"{module} {arguments[0]}: {complaints.decode().strip()}")
    return out.decode()
