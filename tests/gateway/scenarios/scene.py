"""A simulated house, a real gateway and its owner: two programs on the wire, and what can be asked of them."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.bench.house_and_gateway import Owner, ask_house, family, house, owner, process
from tests.gateway.scenarios.hardware import PATIENCE, undisturbed

type Says = Callable[[dict[str, Any]], object]

PUBLISHED_WITHIN_S = 5.0
"""The gateway publishes what it does twice a second."""


class Scene:
    """A house, its gateway and its owner. ``physics`` is the simulator's truth, ``state`` what the gateway says."""

    def __init__(self, endpoints: dict[str, Any], folder: Path, stack: AsyncExitStack) -> None:
        self.endpoints = endpoints
        self.folder = folder
        self.told = folder / "gateway.log"
        """Where the gateway's log is read."""
        self.gateway: asyncio.subprocess.Process
        self.owner: Owner
        self._stack = stack

    async def start_gateway(self) -> None:
        """Start the gateway and pair; a second start finds the pairing of the first."""
        command = ("-m", "gateway", "run", str(self.folder / "site.toml"))
        api = self.folder / "state/api.json"
        api.unlink(missing_ok=True)
        self.gateway = await self._stack.enter_async_context(
            process(*command, log=self.folder / "gateway.log")
        )
        if not hasattr(self, "owner"):
            self.owner = await self._stack.enter_async_context(owner(self.folder / "state"))
        else:
            await self.until(self.owner_is_back, 60)

    async def owner_is_back(self) -> bool:
        """Tell whether the API answers, at its newest address."""
        if not (self.folder / "state/api.json").exists():
            return False
        await self.owner.find(self.folder / "state")
        return await self.owner.alive()

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Give the simulated house an order."""
        answer = await ask_house(self.endpoints, do=do, **more)
        assert answer["ok"], answer
        return answer

    async def physics(self) -> dict[str, Any]:
        """What is really so."""
        return await self.ask("status")

    async def state(self) -> dict[str, Any]:
        """What the gateway says."""
        view: dict[str, Any] = await self.owner.ask("GET", "state")
        return view

    async def sample(self, device: str) -> dict[str, Any]:
        """The gateway's fresh sample of a device, empty when there is none."""
        entry = (await self.state())["devices"].get(device)
        return (entry["sample"] or {}) if entry and entry["available"] else {}

    async def faults(self) -> set[str]:
        """Codes of the raised faults."""
        return {f["code"] for f in (await self.state())["faults"]}

    async def until(self, condition: Any, seconds: float) -> float:
        """Wait until the async ``condition`` holds and return how long that took, on an idle machine ``seconds`` at most."""
        loop = asyncio.get_running_loop()
        started_at = loop.time()
        while not await condition():
            if loop.time() - started_at > PATIENCE * seconds:
                log = self.told.read_text()[-3000:]
                raise AssertionError(f"not within {seconds} s\n{log}\n{await self.physics()}")
            await asyncio.sleep(0.1)
        return loop.time() - started_at

    async def really(self, says: Says, seconds: float) -> dict[str, Any]:
        """Wait until physics is as ``says`` wants it, and return it."""
        seen: dict[str, Any] = {}

        async def holds() -> bool:
            seen.update(await self.physics())
            return bool(says(seen))

        await self.until(holds, seconds)
        return seen

    async def published(self, says: Says, seconds: float = PUBLISHED_WITHIN_S) -> dict[str, Any]:
        """Wait until the published state is as ``says`` wants it, and return it."""
        seen: dict[str, Any] = {}

        async def holds() -> bool:
            seen.clear()
            seen.update(await self.state())
            return bool(says(seen))

        await self.until(holds, seconds)
        return seen

    async def took_s(self, says: Says, seconds: float) -> float:
        """Wait until physics is as ``says`` wants it; return how long it was seen otherwise.

        By the house's own clock and at its own looks, so that no delay of who looks is taken for one of the gateway.
        """
        began_s = last_s = (await self.physics())["house"]["second"]

        async def holds() -> bool:
            nonlocal last_s
            physics = await self.physics()
            if says(physics):
                return True
            last_s = physics["house"]["second"]
            return False

        await self.until(holds, seconds)
        return float(last_s - began_s)

    async def control(self, **more: Any) -> None:
        """Turn control on and wait for a charging session."""

        async def measured() -> bool:
            return bool(
                await self.sample("grid") and await self.sample("battery") and await self.sample("garage")
            )

        await self.until(measured, 30)
        await self.owner.ask("PATCH", "owner", {"control_on": True, **more})
        await self.until(self.ready, 60)

    async def ready(self) -> bool:
        """Tell whether the car is connected and current may flow."""
        return (await self.sample("garage")).get("state") == "ready"

    async def car_current_a(self) -> float:
        """The real current of the car, into it positive."""
        return float((await self.physics())["car"]["current_a"])

    async def call_import_limit(self, kilowatts: float) -> None:
        """Let a utility limit the import, over its own endpoint."""
        known = await self.owner.ask("POST", "utilities", {"name": "Grid operator"})
        command = ("-m", "gateway.simulator.utility", "--url", known["vtn_url"], "--insecure", "--client-id")
        secret = (known["client_id"], "--client-secret", known["client_secret"])
        order = ("limit", "--import-kw", str(kilowatts), "--minutes", "30")
        async with process(*command, *secret, *order, log=self.folder / "utility.log") as utility:
            assert await utility.wait() == 0, (self.folder / "utility.log").read_text()

    def pid_of(self, name: str) -> int:
        """The pid of one of the gateway's two processes."""
        for pid in family(self.gateway.pid)[1:]:
            if name in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                return pid
        raise LookupError(name)

    def kill_all(self) -> None:
        """Kill every process of the gateway at once, without a word."""
        for pid in reversed(family(self.gateway.pid)):
            os.kill(pid, signal.SIGKILL)


@asynccontextmanager
async def scene_of(folder: Path, *options: str) -> AsyncIterator[Scene]:
    """Start a house, at noon unless ``options`` say otherwise, and its gateway."""
    async with AsyncExitStack() as stack:
        endpoints = await stack.enter_async_context(house(folder, "--time-of-day", "12:00", *options))
        stack.enter_context(undisturbed(endpoints["pid"]))
        built = Scene(endpoints, folder, stack)
        await built.start_gateway()
        yield built
