"""The simulated house and its gateway: two programs of the product, joined by a site.toml that is written here."""

import asyncio
import json
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import Child, DemoError


class ControlPort:
    """The simulated house's back door: its physical truths, and the mishaps that can befall it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    async def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do one thing, ``status`` for the truths. Raises DemoError when the house refuses."""
        line = json.dumps({"do": name, **arguments}).encode() + b"\n"
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            try:
                writer.write(line)
                answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
            finally:
                writer.close()
        except (OSError, ValueError) as error:
            raise DemoError(f"the simulated house does not answer: {error}") from error
        if not answer.get("ok"):
            raise DemoError(f"the simulated house refused {name!r}: {answer}")
        return answer


@dataclass(frozen=True, slots=True)
class ApiAddress:
    host: str
    port: int
    fingerprint: str


class House:
    """Both processes. The simulated house writes the site.toml that lets the gateway listen on the ports given."""

    def __init__(self, folder: Path, logs: Path, api_port: int, utility_port: int) -> None:
        self.site_toml = folder / "site.toml"
        self.simulator = Child("simulated house", logs / "house.log")
        self.gateway = Child("gateway", logs / "gateway.log", signal.SIGINT, patience_s=30)
        self._folder = folder
        self._ports = ("--api-port", str(api_port), "--utility-port", str(utility_port))

    async def start_simulator(self) -> ControlPort:
        """Start the simulated house; return its control port once all its wires are live."""
        endpoints_json = self._folder / "endpoints.json"
        endpoints_json.unlink(missing_ok=True)
        options = ("--run-dir", str(self._folder), *self._ports)
        await self.simulator.start([sys.executable, "-m", "gateway.simulator", *options])
        control = (await self.simulator.ready(lambda: _json(endpoints_json), 30))["control"]
        return ControlPort(control["host"], control["port"])

    def follow_no_plan(self) -> None:
        """Let the site live of its own energy, whatever the prices are."""
        with self.site_toml.open("a", encoding="utf8") as site:
            site.write("\n[planning]\nfollowed = false\n")

    async def start_gateway(self) -> ApiAddress:
        """Start the real gateway on the simulated wires; return where its interface listens."""
        api_json = self._folder / "state/api.json"
        api_json.unlink(missing_ok=True)
        await self.gateway.start([sys.executable, "-m", "gateway", "run", str(self.site_toml)])
        api = await self.gateway.ready(lambda: _json(api_json), 30)
        return ApiAddress(api["host"], api["port"], api["fingerprint"])

    @property
    def pairing_code(self) -> str | None:
        """What the gateway shows while a client may pair with it."""
        path = self._folder / "state/pairing_code"
        return path.read_text(encoding="utf8").strip() or None if path.exists() else None


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError, json.JSONDecodeError:
        return None
    return content
