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

SITE_TOML = """\
# Written anew at each start of scripts/demo: the simulated house has other ports each time. With real hardware, only the
# hosts, the unit numbers and the CAN channel in here are different.
[site]
name = "Demo house"
serial = "NE-DEMO-0001"
time_zone = "Europe/Amsterdam"
state_dir = "state"

[grid]
main_fuse_a = 25
phases = 3
import_limit_w = 17000
export_limit_w = 5000

[api]
bind = "127.0.0.1"
port = {api_port}
advertise = false

[utility]
bind = "127.0.0.1"
port = {utility_port}
advertise = false

[prices]
file = "{prices}"

[devices.grid]
driver = "meter.eastron_sdm630"
name = "Grid meter"
role = "grid"
host = "{grid_meter[host]}"
port = {grid_meter[port]}
unit = {grid_meter[unit]}

[devices.pv]
driver = "meter.sunspec"
name = "Solar panels"
role = "pv"
host = "{pv_meter[host]}"
port = {pv_meter[port]}
unit = {pv_meter[unit]}
generation_positive = true

[devices.battery]
driver = "storage.sunspec"
name = "xStorage battery"
host = "{battery[host]}"
port = {battery[port]}
unit = {battery[unit]}

[devices.garage]
driver = "evse.chademo"
name = "Garage charger"
can_interface = "{can[interface]}"
can_channel = "{can[channel]}"
converter = {{ host = "{converter[host]}", port = {converter[port]}, unit = {converter[unit]} }}
pilot_io = {{ host = "{pilot_io[host]}", port = {pilot_io[port]}, unit = {pilot_io[unit]} }}
"""


class ControlPort:
    """The simulated house's back door: its physical truths, and the mishaps that can befall it."""

    def __init__(self, host: str, port: int) -> None:
        self._address = (host, port)

    async def do(self, name: str, **arguments: Any) -> dict[str, Any]:
        """Do one thing, ``status`` for the truths. Raises DemoError when the house refuses."""
        reader, writer = await asyncio.open_connection(*self._address)
        try:
            writer.write(json.dumps({"do": name, **arguments}).encode() + b"\n")
            answer: dict[str, Any] = json.loads(await asyncio.wait_for(reader.readline(), 10))
        finally:
            writer.close()
            await writer.wait_closed()
        if not answer.get("ok"):
            raise DemoError(f"the simulated house refused {name!r}: {answer}")
        return answer


@dataclass(frozen=True, slots=True)
class ApiAddress:
    host: str
    port: int
    fingerprint: str


class House:
    """Both processes, with all they keep in ``folder``."""

    def __init__(self, folder: Path, api_port: int, utility_port: int) -> None:
        self.folder = folder
        self.site_toml = folder / "site.toml"
        self.simulator = Child("simulated house", folder / "logs/house.log")
        self.gateway = Child("gateway", folder / "logs/gateway.log", signal.SIGINT)
        self._ports = {"api_port": api_port, "utility_port": utility_port}
        self._run_dir = folder / "house"
        self._state_dir = folder / "state"

    async def start_simulator(self) -> ControlPort:
        """Start the simulated house; return its control port once all its wires are live."""
        self._run_dir.mkdir(parents=True, exist_ok=True)
        endpoints_json = self._run_dir / "endpoints.json"
        endpoints_json.unlink(missing_ok=True)
        await self.simulator.start(
            [sys.executable, "-m", "gateway.simulator", "--run-dir", str(self._run_dir)]
        )
        endpoints = await self.simulator.ready(lambda: _json(endpoints_json), 30)
        self.site_toml.write_text(SITE_TOML.format(**endpoints, **self._ports), encoding="utf8")
        return ControlPort(endpoints["control"]["host"], endpoints["control"]["port"])

    async def start_gateway(self) -> ApiAddress:
        """Start the real gateway on the simulated wires; return where its interface listens."""
        api_json = self._state_dir / "api.json"
        api_json.unlink(missing_ok=True)
        await self.gateway.start([sys.executable, "-m", "gateway", "run", str(self.site_toml)])
        api = await self.gateway.ready(lambda: _json(api_json), 30)
        return ApiAddress(api["host"], api["port"], api["fingerprint"])

    @property
    def pairing_code(self) -> str | None:
        """What the gateway shows while a client may pair with it."""
        path = self._state_dir / "pairing_code"
        return path.read_text(encoding="utf8").strip() or None if path.exists() else None


def _json(path: Path) -> Mapping[str, Any] | None:
    try:
        content: Mapping[str, Any] = json.loads(path.read_text(encoding="utf8"))
    except FileNotFoundError, json.JSONDecodeError:
        return None
    return content
