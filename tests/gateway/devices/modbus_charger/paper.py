"""A charger on paper: the simulated registers behind an ideal wire, a car, and a control loop's stand-in, in virtual time."""

import asyncio
import functools

from gateway.devices import bidipro, quasar
from gateway.devices.modbus_bus import NoSuchAddress
from gateway.devices.modbus_charger.panel import Options
from gateway.devices.recording.virtual_time import run_at_once
from gateway.faults import Refused, Unreachable
from gateway.model import Reason, Rung, Setpoint
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.modbus_servers import Illegal, Table
from gateway.simulator.wall_units import WALL_UNITS
from tests.gateway.devices.slot import Slot

WIRE_S, ANSWER_S = 0.005, 1.0
BECAUSE = Reason(Rung.OWNER_REQUEST, "test")
MAKES = {
    "quasar": (quasar.Quasar, Options, quasar.QuasarPanel, quasar.MAKE, quasar.card),
    "bidipro": (bidipro.Bidipro, bidipro.Options, bidipro.BidiproPanel, bidipro.MAKE, bidipro.card),
}


class PaperBus:
    """Stands in for a ModbusBus. ``written`` keeps every write with its time; ``no`` refuses what it says yes to."""

    name = "paper"

    def __init__(self, unit):
        self.unit = unit
        self.connected = False
        self.cut = False
        self.written = []
        self.no = lambda address, values: False

    async def connect(self):
        await asyncio.sleep(WIRE_S)
        if self.cut:
            raise Unreachable("no connection")
        self.connected = True

    def close(self):
        self.connected = False

    async def _call(self, call):
        await asyncio.sleep(WIRE_S)
        if not self.connected or self.cut:
            self.connected = False
            raise Unreachable("not connected")
        if self.unit.silent:
            await asyncio.sleep(ANSWER_S)
            self.connected = False
            raise Unreachable("no answer")
        try:
            return call()
        except Illegal as refusal:
            raise (NoSuchAddress if refusal.code == 2 else Refused)(f"exception {refusal.code}") from None

    async def read_holding(self, address, count):
        return tuple(await self._call(lambda: self.unit.read_registers(Table.HOLDING, address, count)))

    async def write_registers(self, address, values):
        def write():
            self.written.append((asyncio.get_running_loop().time(), address, tuple(values)))
            if self.no(address, tuple(values)):
                raise Illegal(3)
            self.unit.write_registers(address, values)

        await self._call(write)

    async def write_register(self, address, value):
        await self.write_registers(address, (value,))

    async def write_and_verify(self, address, values):
        await self.write_registers(address, values)
        if await self.read_holding(address, len(values)) != tuple(values):
            raise Refused("kept something else")


class Paper:
    """``wish`` is what the control loop says every ``wish_s``; None: it says nothing. ``step_s`` is how fine the physics is."""

    step_s, wish_s = 0.05, 0.1

    def __init__(self, charger, soc_pct, tasks):
        self.name = charger
        self.tasks = tasks
        self.unit = WALL_UNITS[charger]()
        self.truth = self.unit.charger
        self.pack = LeafPack(soc_pct)
        self.plugged = True
        self.wish, self.engage = None, True
        self.buses = []
        self.slot = Slot()

    @property
    def now(self):
        return asyncio.get_running_loop().time()

    @property
    def bus(self):
        return self.buses[-1]

    @property
    def last(self):
        return self.slot.samples[-1]

    @property
    def faults(self):
        return self.slot.faults

    def start(self, **table):
        """Start a driver, the first or the next."""
        cls, options, panel, make, card = MAKES[self.name]
        chosen = options(**{"name": "Charger", "host": "nowhere"} | table)
        self.buses.append(bus := PaperBus(self.unit))
        self.device = cls(
            "garage", f"evse.{self.name}", chosen, bus, panel(bus, chosen), make, card(chosen.lease_s)
        )
        self.driving = self.tasks.create_task(self.device.run(self.slot))

    async def end(self):
        """Cancel the driver and wait for it."""
        self.driving.cancel()
        await asyncio.wait([self.driving])

    async def die(self):
        """Let the driver vanish without a word, as a killed process does."""
        self.bus.cut = True
        await self.end()

    async def live(self):
        while True:
            self.step()
            await asyncio.sleep(self.step_s)

    def step(self):
        self.unit.step(self.step_s)
        self.truth.step(self.pack if self.plugged else None, False, self.step_s)

    def hurry(self):
        """Live through an hour coarsely."""
        self.step_s, self.wish_s = 0.5, 1.0

    async def steer(self):
        while True:
            if self.wish is not None:
                until = self.now + 3.0
                self.device.apply(Setpoint("garage", self.wish, until, BECAUSE, engage=self.engage))
            await asyncio.sleep(self.wish_s)

    async def until(self, true, seconds):
        """Wait for what is expected; return how long it took."""
        began = self.now
        while not true():
            assert self.now - began < seconds, (
                f"not within {seconds} s: {self.slot.samples[-1:]} {self.faults} {self.bus.written[-8:]}"
            )
            await asyncio.sleep(self.step_s)
        return self.now - began

    async def flow(self, wish_w):
        """Ask for a power and wait until it flows."""
        self.wish = wish_w
        await self.until(lambda: abs(self.truth.ac_w - wish_w) < 0.2 * abs(wish_w), 40)

    def kept(self, address):
        """What the charger's register really holds; asking it feeds no timeout."""
        return self.unit._kept[address]

    def writes(self, since=0.0):
        return [(address, values) for at, address, values in self.bus.written if at >= since]


def on_paper(charger, soc_pct=62.0, **table):
    """Run an async test in virtual time, with a charger on paper and its driver running; ``table`` is its site.toml."""

    def decorate(story):
        @functools.wraps(story)
        def test():
            async def play():
                async with asyncio.TaskGroup() as tasks:
                    scene = Paper(charger, soc_pct, tasks)
                    scene.step()
                    around = [tasks.create_task(scene.live()), tasks.create_task(scene.steer())]
                    scene.start(**table)
                    await scene.until(lambda: scene.slot.samples, 5)
                    await story(scene)
                    await scene.end()
                    for task in around:
                        task.cancel()

            run_at_once(play())

        del test.__wrapped__
        return test

    return decorate
