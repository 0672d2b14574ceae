"""Simulated houses as processes, each with the real CHAdeMO driver in front of it, on the wire."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from gateway.devices.chademo.evse import ChademoEvse
from gateway.faults import FaultCode
from gateway.model import EvseState, Reason, Rung, Setpoint
from tests.bench.house_and_gateway import ask_house, house
from tests.gateway.devices.slot import Slot
from tests.gateway.scenarios.hardware import PATIENCE, undisturbed
from tests.gateway.scenarios.side_by_side import side_by_side

BECAUSE = Reason(Rung.OWNER_REQUEST, "test")
WISH_S, EXPIRY_S = 0.1, 3.0


class Garage:
    """``wish`` is renewed ten times a second, as the control loop does; ``truth`` is what physics says."""

    def __init__(self, name: str, endpoints: dict[str, Any], evse: ChademoEvse) -> None:
        self.name = name
        self.endpoints = endpoints
        self.evse = evse
        self.slot = Slot()
        self.power_w = 0.0
        self.engage = True
        self.owner_asked = False

    async def wish(self) -> None:
        """Tell the driver what is wanted, until cancelled."""
        while True:
            expires_at = asyncio.get_running_loop().time() + EXPIRY_S
            wish = Setpoint(
                "garage", self.power_w, expires_at, BECAUSE, engage=self.engage, owner_asked=self.owner_asked
            )
            self.evse.apply(wish)
            await asyncio.sleep(WISH_S)

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Give the house an order."""
        answer = await ask_house(self.endpoints, do=do, **more)
        assert answer["ok"], answer
        return answer

    async def truth(self) -> dict[str, Any]:
        """What is really so."""
        return await self.ask("status")

    @property
    def last(self) -> Any:
        """The newest sample, None before the first."""
        return self.slot.samples[-1] if self.slot.samples else None

    async def until(self, holds: Callable[[Any], bool], seconds: float, what: str) -> None:
        """Wait until a sample fits."""
        try:
            async with asyncio.timeout(PATIENCE * seconds):
                while not (self.last and holds(self.last)):
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(await self._told(what, seconds)) from None

    async def really(self, holds: Callable[[dict[str, Any]], bool], seconds: float, what: str) -> None:
        """Wait until the truth fits."""
        deadline = asyncio.get_running_loop().time() + PATIENCE * seconds
        while not holds(await self.truth()):
            if asyncio.get_running_loop().time() > deadline:
                raise AssertionError(await self._told(what, seconds))
            await asyncio.sleep(0.05)

    async def _told(self, what: str, seconds: float) -> str:
        causes = [sample.stop_cause for sample in self.slot.samples if sample.stop_cause]
        faults = dict(self.slot.faults)
        return f"{what}: not within {seconds} s\n{self.last}\n{faults} {set(causes)}\n{await self.truth()}"

    async def ready(self, seconds: float = 40.0) -> None:
        """Wait until current may flow."""
        await self.until(lambda s: s.state is EvseState.READY, seconds, "ready")

    async def move(self, power_w: float, seconds: float = 20.0) -> None:
        """Move energy and see it flow."""
        self.power_w = power_w
        near_w = max(80.0, 0.05 * abs(power_w))
        await self.really(lambda t: abs(t["converter"]["ac_w"] - power_w) < near_w, seconds, f"{power_w} W")

    async def ended_by(self, cause: str, seconds: float = 20.0) -> None:
        """Wait until the driver tells why the session ended."""
        await self.until(lambda s: s.stop_cause == cause, seconds, cause)

    async def raised(self, *faults: FaultCode, seconds: float = 20.0) -> None:
        """Wait until these faults stand and no other."""
        await self.until(
            lambda _: set(self.slot.faults) == set(faults), seconds, " ".join(faults) or "no fault"
        )

    async def stop(self, seconds: float = 20.0) -> None:
        """End the session; all lines are to be off and the connector dead."""
        self.power_w, self.engage = 0.0, False
        await self.at_rest(seconds)

    async def at_rest(self, seconds: float = 20.0) -> None:
        """Wait until the connector is dead, unlocked and all lines are off."""

        def rests(truth: dict[str, Any]) -> bool:
            pilot, converter = truth["pilot"], truth["converter"]
            lines_off = not any(pilot[line] for line in ("d1", "d2", "lock"))
            return lines_off and not truth["car"]["contactor"] and converter["voltage_v"] < 10.0

        await self.really(rests, seconds, "at rest")

    async def violations(self) -> dict[str, int]:
        """What was done to the car that nobody may do."""
        return {name: count for name, count in (await self.truth())["violations"].items() if count}


@asynccontextmanager
async def garage(folder: Path, *options: str, name: str = "") -> AsyncIterator[Garage]:
    """Run a house and a driver; the driver is cancelled at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    async with house(folder, "--time-of-day", "12:00", *options) as endpoints:
        can = endpoints["can"]
        table = {
            "name": "Garage",
            "can_interface": can["interface"],
            "can_channel": can["channel"],
            "converter": endpoints["converter"],
            "pilot": endpoints["pilot_io"],
        }
        evse = ChademoEvse.from_table("garage", "evse.chademo", table)
        made = Garage(name, endpoints, evse)
        failure: AssertionError | None = None
        with undisturbed(endpoints["pid"]):
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(evse.run(made.slot)), tasks.create_task(made.wish())]
                try:
                    yield made
                except AssertionError as wrong:
                    failure = wrong
                for task in running:
                    task.cancel()
        if failure is not None:
            raise failure


async def each_garage(
    folder: Path, cars: Mapping[str, tuple[str, ...]], story: Callable[[Garage], Awaitable[None]]
) -> None:
    """Tell ``story`` of each of ``cars``, its name → the options of its house, all at once."""

    async def told(name: str, number: int) -> None:
        async with garage(folder / str(number), *cars[name], name=name) as made:
            await story(made)

    with undisturbed():
        await side_by_side({name: told(name, number) for number, name in enumerate(cars)})
