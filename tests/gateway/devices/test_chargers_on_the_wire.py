"""The drivers on real Modbus TCP against the simulated chargers, and a foreign Modbus client in the same house."""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest

from gateway.devices import open_device
from gateway.faults import FaultCode
from gateway.model import EvseState, Reason, Rung, Setpoint
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.modbus_servers import ModbusConnection
from gateway.simulator.wall_units import WALL_UNITS
from tests.gateway.devices.slot import Slot

pytestmark = pytest.mark.slow
BECAUSE = Reason(Rung.OWNER_REQUEST, "test")
STEP_S, WISH_S = 0.02, 0.1
CHARGERS = ("quasar", "bidipro")
foreign = pytest.mark.skipif(shutil.which("mbpoll") is None, reason="mbpoll is not installed")


class Wall:
    """A simulated charger with a car, on a port of this machine."""

    def __init__(self, name, port, unit):
        self.name, self.port, self.unit = name, port, unit
        self.truth = unit.charger
        self.pack = LeafPack(62.0)
        self.slot = Slot()

    async def live(self):
        while True:
            self.unit.step(STEP_S)
            self.truth.step(self.pack, False, STEP_S)
            await asyncio.sleep(STEP_S)

    @property
    def last(self):
        return self.slot.samples[-1]

    async def until(self, true, seconds):
        async with asyncio.timeout(seconds):
            while not true():
                await asyncio.sleep(STEP_S)

    async def mbpoll(self, address, *values, count=1, kind="4"):
        """Let a foreign client read registers, or write them; return what it read."""
        order = ["mbpoll", "-m", "tcp", "-p", str(self.port), "-a", "1", "-0", "-1", "-q", "-t", kind]
        order += ["-B"] if ":" in kind else []
        order += ["-r", str(address), *([] if values else ["-c", str(count)]), "127.0.0.1"]
        order += ["--", *map(str, values)] if values else []
        process = await asyncio.create_subprocess_exec(
            *order, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return [int(line.split()[1]) for line in out.decode().splitlines() if line.startswith("[")]


@asynccontextmanager
async def wall(name):
    unit = WALL_UNITS[name]()
    server = await asyncio.get_running_loop().create_server(lambda: ModbusConnection(unit), "127.0.0.1", 0)
    try:
        async with asyncio.TaskGroup() as tasks:
            scene = Wall(name, server.sockets[0].getsockname()[1], unit)
            living = tasks.create_task(scene.live())
            await asyncio.sleep(2 * STEP_S)
            yield scene
            living.cancel()
    finally:
        server.close()
        server.close_clients()
        await server.wait_closed()


@asynccontextmanager
async def driven(scene):
    """Run the driver; yields what sets the wish."""
    table = {"name": "Charger", "host": "127.0.0.1", "port": scene.port, "poll_s": 0.2}
    device = open_device("garage", f"evse.{scene.name}", table)
    wish = {"power_w": 0.0, "engage": True}

    async def steer():
        while True:
            until = asyncio.get_running_loop().time() + 3.0
            device.apply(Setpoint("garage", wish["power_w"], until, BECAUSE, engage=wish["engage"]))
            await asyncio.sleep(WISH_S)

    async with asyncio.TaskGroup() as tasks:
        around = [tasks.create_task(device.run(scene.slot)), tasks.create_task(steer())]
        yield wish, device
        for task in around:
            task.cancel()


@pytest.mark.parametrize("name", CHARGERS)
async def test_a_session_both_ways_and_its_end(name):
    async with wall(name) as scene, driven(scene) as (wish, device):
        await scene.until(lambda: scene.slot.samples and scene.last.state is EvseState.READY, 20)
        wish["power_w"] = -3000.0
        await scene.until(lambda: scene.last.power_w < -2400, 10)
        wish["power_w"] = 3000.0
        await scene.until(lambda: scene.last.power_w > 2400, 10)
        wish["power_w"], wish["engage"] = 0.0, False
        await scene.until(lambda: abs(scene.truth.current_a) <= 1, 5)
        wish["power_w"], wish["engage"] = -3000.0, True
        await scene.until(lambda: scene.last.power_w < -2400, 30)
        async with asyncio.timeout(5):
            await device.release()
        await scene.until(lambda: abs(scene.truth.current_a) <= 1, 5)
        assert scene.slot.faults == {}


@pytest.mark.parametrize("name", CHARGERS)
async def test_a_hanging_server_is_unreachable_in_time_and_comes_back(name):
    async with wall(name) as scene, driven(scene) as (wish, _):
        wish["power_w"] = -3000.0
        await scene.until(lambda: scene.slot.samples and scene.last.power_w < -2400, 20)
        scene.unit.silent = True
        await scene.until(lambda: FaultCode.DEVICE_UNREACHABLE in scene.slot.faults, 15)
        scene.unit.silent = False
        await scene.until(lambda: FaultCode.DEVICE_UNREACHABLE not in scene.slot.faults, 30)
        await scene.until(lambda: scene.truth.ac_w < -2400, 20)


@foreign
async def test_a_foreign_client_drives_the_simulated_quasar_by_the_makers_sequence():
    async with wall("quasar") as scene:
        assert await scene.mbpoll(1) == [3400]
        assert (await scene.mbpoll(526, count=17))[11:13] == [3, 0]
        for address, value in ((81, 1), (82, 0), (83, 1), (88, 30), (260, 65536 - 3000), (257, 1)):
            await scene.mbpoll(address, value)
        await scene.until(lambda: scene.truth.ac_w < -2400, 15)
        (power, state, soc) = [(await scene.mbpoll(n))[0] for n in (526, 537, 538)]
        assert (power > 60_000, state, soc) == (True, 11, 62)
        await scene.mbpoll(260, 0)
        await scene.mbpoll(81, 0)
        await scene.until(lambda: abs(scene.truth.current_a) < 1, 5)
        assert (await scene.mbpoll(82), await scene.mbpoll(88)) == ([1], [0])


@foreign
async def test_a_foreign_client_orders_the_simulated_bidipro_inside_its_window_alone():
    async with wall("bidipro") as scene:
        await scene.until(lambda: scene.truth.engaged, 10)
        assert await scene.mbpoll(200, kind="4:int") == [10]
        await scene.mbpoll(286, -3000, kind="4:int")
        await scene.until(lambda: scene.truth.ac_w < -2900, 10)
        with pytest.raises(AssertionError, match="Illegal data value"):
            await scene.mbpoll(286, -10_001, kind="4:int")


@foreign
@pytest.mark.parametrize(("name", "address", "kind"), [("quasar", 260, "4"), ("bidipro", 286, "4:int")])
async def test_a_foreign_client_that_commands_as_well_is_left_the_field(name, address, kind):
    async with wall(name) as scene, driven(scene) as (wish, _):
        wish["power_w"] = 3000.0
        await scene.until(lambda: scene.slot.samples and scene.last.power_w > 2400, 20)
        while FaultCode.SECOND_MASTER not in scene.slot.faults:
            await scene.mbpoll(address, 1500, kind=kind)
            await asyncio.sleep(0.5)
        await scene.until(lambda: abs(scene.truth.current_a) < 1, 5)
        assert scene.last.charge_max_w == 0
