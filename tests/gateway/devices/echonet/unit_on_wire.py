"""The simulated unit on a loopback port, with its physics running, and the real driver beside it."""

import asyncio
import contextlib
from time import monotonic

from gateway.devices import open_device
from gateway.model import Reason, Rung, Setpoint
from gateway.simulator.echonet_unit import EchonetPort, EchonetUnit
from gateway.simulator.leaf_pack import LeafPack
from tests.gateway.devices.slot import Slot

STEP_S = 0.05


class UnitOnWire:
    """A unit that answers, as the driver contract wants it; ``written`` is every order that came."""

    def __init__(self, unit=None, host="127.0.0.1"):
        self.unit = unit or EchonetUnit()
        self.host = host

    async def __aenter__(self):
        self._transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: EchonetPort(self.unit), local_addr=(self.host, 0)
        )
        self.port = self._transport.get_extra_info("sockname")[1]
        return self

    async def __aexit__(self, *failure):
        self._transport.close()

    @property
    def written(self):
        return [(epc, tuple(edt)) for epc, edt in self.unit.orders]


class Scene:
    """A unit with a car on it, and the driver. ``hurry`` lets the unit's physics run that much faster than the clock."""

    def __init__(self, unit, *, hurry=10.0):
        self.unit, self.pack, self.hurry = unit, LeafPack(60.0), hurry
        self.slot, self.plugged = Slot(), True
        self.setpoint, self._feeding = None, True

    async def __aenter__(self):
        self._stack = contextlib.AsyncExitStack()
        self.wire = await self._stack.enter_async_context(UnitOnWire(self.unit))
        self.tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        self._live = [self.tasks.create_task(self._physics()), self.tasks.create_task(self._feed())]
        return self

    async def __aexit__(self, *failure):
        for task in self._live:
            task.cancel()
        await self._stack.__aexit__(*failure)

    def start(self, **options):
        table = {"name": "V2H", "host": "127.0.0.1", "port": self.wire.port, "listen": "127.0.0.1"}
        table |= {"listen_port": 0, "poll_s": 0.2, "bounded": True} | options
        self.driver = open_device("garage", "evse.echonet", table)
        self.running = self.tasks.create_task(self.driver.run(self.slot))
        self._live.append(self.running)

    async def _physics(self):
        while True:
            self.unit.charger.step(self.pack if self.plugged else None, False, STEP_S)
            self.unit.step(STEP_S)
            await asyncio.sleep(STEP_S / self.hurry)

    async def _feed(self):
        """Renew the setpoint as the control loop does."""
        while True:
            if self.setpoint is not None:
                power_w, engage = self.setpoint
                self.driver.apply(
                    Setpoint("garage", power_w, monotonic() + 10, Reason(Rung.PLAN, "test"), engage=engage)
                )
            await asyncio.sleep(0.1)

    def wish(self, power_w, *, engage=True):
        self.setpoint = (power_w, engage)

    @property
    def last(self):
        return self.slot.samples[-1] if self.slot.samples else None

    async def until(self, true, seconds=10):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(0.01)
