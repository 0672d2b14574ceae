"""A simulated house and a gateway as processes, with taps on the wires between them."""

import asyncio
import contextlib
import json
import os
import signal
import ssl
import sys
import time
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

from .wire_taps import CanTap, MeterTap, Passed, WriteTap, tap_tcp

STARTED_WITHIN_S = 300
"""A busy machine may take so long to start a program; what is promised is measured by `scripts/bench loop`."""
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


async def until(condition: Any, seconds: float, what: str) -> Any:
    """Return what ``condition`` gives as soon as it is true. Raises TimeoutError naming ``what``."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        await asyncio.sleep(0.02)
    raise TimeoutError(what)


@contextlib.asynccontextmanager
async def process(*command: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a Python program in its own group while the context lasts."""
    with log.open("ab") as file:
        started = await asyncio.create_subprocess_exec(
            sys.executable, *command, stdout=file, stderr=file, process_group=0
        )
    try:
        yield started
    finally:
        with contextlib.suppress(ProcessLookupError):
            started.send_signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(started.wait(), 25)
        except TimeoutError:
            os.killpg(started.pid, signal.SIGKILL)
            await started.wait()


@contextlib.asynccontextmanager
async def house(folder: Path, *options: str, planned: bool = False) -> AsyncIterator[dict[str, Any]]:
    """Run a simulated house on free ports; yield its endpoints. Unless ``planned``, its site follows no plan: prices decide nothing."""
    free = ("--port-base", "0", "--api-port", "0", "--utility-port", "0")
    command = ("-m", "gateway.simulator", "--run-dir", str(folder), *free, *options)
    async with process(*command, log=folder / "house.log") as running:
        endpoints = folder / "endpoints.json"
        await until(endpoints.exists, STARTED_WITHIN_S, "the simulated house did not start; see house.log")
        if not planned:
            with (folder / "site.toml").open("a", encoding="utf-8") as site:
                site.write("\n[planning]\nfollowed = false\n")
        yield {**json.loads(endpoints.read_text(encoding="utf-8")), "pid": running.pid}


async def ask_house(endpoints: dict[str, Any], **request: Any) -> dict[str, Any]:
    """Send one order to the house's control port and return its answer."""
    control = endpoints["control"]
    reader, writer = await asyncio.open_connection(control["host"], control["port"])
    writer.write(json.dumps(request).encode() + b"\n")
    answer: dict[str, Any] = json.loads(await reader.readline())
    writer.close()
    return answer


def be_an_instrument(house_pid: int) -> None:
    """Let house and taps run before anything but the fast path: they stand for hardware, which is never short of CPU."""
    for pid in (0, house_pid):
        with contextlib.suppress(PermissionError):
            os.sched_setscheduler(pid, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(5))


@contextlib.asynccontextmanager
async def tapped(endpoints: dict[str, Any], folder: Path) -> AsyncIterator[tuple[Passed, Path]]:
    """Put taps between house and gateway; yield what they see and the site.toml that leads through them."""
    passed = Passed()
    meter, writes = MeterTap(passed), WriteTap(passed)
    grid, battery = endpoints["grid_meter"], endpoints["battery"]
    meter_tap = await tap_tcp((grid["host"], grid["port"]), meter.to_device, meter.to_gateway)
    battery_tap = await tap_tcp((battery["host"], battery["port"]), writes.to_device, writes.to_gateway)
    can = CanTap(Path(endpoints["can"]["channel"]), passed)
    can.start()
    text = (folder / "site.toml").read_text(encoding="utf-8")
    ports = {
        grid["port"]: meter_tap.sockets[0].getsockname()[1],
        battery["port"]: battery_tap.sockets[0].getsockname()[1],
    }
    for old, new in ports.items():
        text = text.replace(f"port = {old}\n", f"port = {new}\n")
    channel = tomllib.loads(text)["devices"]["garage"]["can_channel"]
    text = text.replace(f'"{channel}"', f'"{can.channel}"')
    site = folder / "tapped.toml"
    site.write_text(text, encoding="utf-8")
    try:
        yield passed, site
    finally:
        can.stop()
        meter_tap.close()
        battery_tap.close()


class Owner:
    """A paired owner's client of the gateway's API."""

    def __init__(self, session: aiohttp.ClientSession, address: str, fingerprint: str) -> None:
        self._session = session
        self._address = address
        self._tls = aiohttp.Fingerprint(bytes.fromhex(fingerprint))
        self._token = ""

    async def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request; return the JSON of the answer. Raises on a status of 400 and above."""
        headers = {"Authorization": f"Bearer {self._token}"} if self._token else {}
        url = f"{self._address}/v1/{path}"
        async with self._session.request(method, url, json=body, headers=headers, ssl=self._tls) as answer:
            answer.raise_for_status()
            return await answer.json() if answer.content_length else None

    def door(self) -> tuple[str, str]:
        """Return address and token, for another client."""
        return self._address, self._token or ""

    async def follow(self) -> None:
        """Read the stream of changes until cancelled, as Home Assistant does."""
        headers = {"Authorization": f"Bearer {self._token}"}
        async with self._session.ws_connect(
            f"{self._address}/v1/ws", headers=headers, ssl=self._tls
        ) as stream:
            async for _message in stream:
                pass

    async def find(self, state: Path) -> None:
        """Read the gateway's address again: it may have started anew."""
        address = json.loads((state / "api.json").read_text(encoding="utf-8"))
        self._address = f"https://{address['host']}:{address['port']}"

    async def alive(self) -> bool:
        """Tell whether the API answers."""
        try:
            await self.ask("GET", "info")
        except aiohttp.ClientConnectionError, TimeoutError:
            return False
        return True

    async def pair(self, code: str) -> None:
        """Redeem the pairing code."""
        self._token = (await self.ask("POST", "pair", {"code": code, "client_name": "bench"}))["token"]


@contextlib.asynccontextmanager
async def owner(state: Path) -> AsyncIterator[Owner]:
    """Pair with the gateway that keeps its state in ``state``."""
    address_file, code_file = state / "api.json", state / "pairing_code"
    await until(
        lambda: address_file.exists() and code_file.exists(),
        STARTED_WITHIN_S,
        "the gateway's API did not start",
    )
    address = json.loads(address_file.read_text(encoding="utf-8"))
    async with aiohttp.ClientSession() as session:
        client = Owner(session, f"https://{address['host']}:{address['port']}", address["fingerprint"])
        for _ in range(100):
            with contextlib.suppress(aiohttp.ClientConnectionError, ssl.SSLError):
                await client.ask("GET", "info")
                break
            await asyncio.sleep(0.1)
        await client.pair(code_file.read_text(encoding="utf-8").strip())
        while not (await client.ask("GET", "state"))["devices"]:
            await asyncio.sleep(0.05)
        yield client


def family(pid: int) -> list[int]:
    """Return a process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
    return [pid, *(p for child in children for p in family(int(child)))]


def cpu_s(pids: list[int]) -> float:
    """Return the CPU time that processes have used, and those of their children that have ended."""
    total = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
        total += sum(map(int, fields[11:15]))
    return total / TICKS_PER_S


def rss_mib(pids: list[int]) -> float:
    """Return the resident memory of processes, shared pages counted once per process."""
    pages = sum(int(Path(f"/proc/{p}/statm").read_text(encoding="ascii").split()[1]) for p in pids)
    return pages * PAGE_BYTES / 2**20
