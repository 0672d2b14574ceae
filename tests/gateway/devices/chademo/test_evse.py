"""The driver against the simulated house, over a real CAN adapter line and real Modbus TCP."""

import asyncio
import contextlib
import importlib.util
from itertools import pairwise

import pytest

from gateway.devices.chademo.evse import ChademoEvse
from gateway.devices.modbus_bus import ModbusBus
from gateway.faults import FaultCode
from gateway.model import EvseState, Reason, Rung, Setpoint
from tests.bench.house_and_gateway import ask_house, house

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("gateway.simulator.__main__") is None, reason="there is no simulated house"
    ),
]
BECAUSE = Reason(Rung.OWNER_REQUEST, "test")


class Slot:
    def __init__(self) -> None:
        self.samples, self.faults, self.info = [], {}, None

    def sample(self, sample) -> None:
        self.samples.append(sample)

    def identity(self, info) -> None:
        self.info = info

    def fault(self, code, detail) -> None:
        self.faults[code] = detail

    def clear(self, code) -> None:
        self.faults.pop(code, None)

    @property
    def last(self):
        return self.samples[-1] if self.samples else None


class Scene:
    """A running driver that is given the same wish ten times a second, as the control loop does."""

    def __init__(self, endpoints, evse, task) -> None:
        self.endpoints, self.evse, self.task = endpoints, evse, task
        self.slot = Slot()
        self.power_w, self.engage, self.speaks = 0.0, True, True

    async def truth(self):
        return await ask_house(self.endpoints, do="status")

    def wish(self) -> None:
        if self.speaks:
            expires_at = asyncio.get_running_loop().time() + 3
            self.evse.apply(Setpoint("garage", self.power_w, expires_at, BECAUSE, engage=self.engage))

    async def until(self, holds, within_s) -> None:
        async with asyncio.timeout(within_s):
            while not (self.slot.last and holds(self.slot.last)):
                self.wish()
                await asyncio.sleep(0.1)

    async def flows(self, power_w) -> None:
        self.power_w = power_w
        await self.until(lambda s: abs(s.power_w - power_w) < 60, 15)


def driver(endpoints) -> ChademoEvse:
    can = endpoints["can"]
    table = {
        "name": "Garage",
        "can_interface": can["interface"],
        "can_channel": can["channel"],
        "converter": endpoints["converter"],
        "pilot": endpoints["pilot_io"],
    }
    return ChademoEvse.from_table("garage", "evse.chademo", table)


@contextlib.asynccontextmanager
async def running(endpoints):
    async with asyncio.TaskGroup() as tasks:
        scene = Scene(endpoints, driver(endpoints), None)
        scene.task = tasks.create_task(scene.evse.run(scene.slot))
        yield scene
        scene.task.cancel()


@pytest.fixture
async def endpoints(tmp_path):
    async with house(tmp_path, "--port-base", "0") as endpoints:
        yield endpoints


async def test_plug_charge_discharge_and_the_owners_stop(endpoints):
    async with running(endpoints) as scene:
        await scene.until(lambda s: s.state is EvseState.READY, 30)
        assert scene.slot.info.maker
        assert scene.slot.info.rated.max_w == 6000
        vehicle = scene.slot.last.vehicle
        assert vehicle.discharge_compatible
        assert 0 < vehicle.soc_pct <= 100
        assert vehicle.min_discharge_soc_pct == pytest.approx(10)
        assert scene.slot.last.charge_max_w > 5000
        await scene.flows(2000)
        await scene.flows(-2000)
        truth = await scene.truth()
        assert truth["car"]["contactor"]
        assert truth["converter"]["ac_w"] == pytest.approx(-2000, abs=80)
        states = [sample.state for sample in scene.slot.samples]
        assert [a for a, b in pairwise(states) if a is EvseState.READY and b is not EvseState.READY] == []
        scene.engage = False
        await scene.until(lambda s: s.state is EvseState.PLUGGED, 15)
        truth = await scene.truth()
        assert truth["pilot"] == {**truth["pilot"], "d1": False, "d2": False, "lock": False}
        assert truth["converter"]["command"] == 0
        assert scene.slot.faults == {}


async def test_unplugging_and_plugging_in_again_needs_nobody(endpoints):
    async with running(endpoints) as scene:
        await scene.until(lambda s: s.state is EvseState.READY, 30)
        await ask_house(endpoints, do="unplug")
        await scene.until(lambda s: s.state is EvseState.UNPLUGGED, 10)
        assert scene.slot.last.vehicle is None
        assert scene.slot.faults == {}
        await ask_house(endpoints, do="plug")
        await scene.until(lambda s: s.state is EvseState.READY, 30)


async def test_a_silent_car_ends_discharge_and_says_so(endpoints):
    async with running(endpoints) as scene:
        await scene.until(lambda s: s.state is EvseState.READY, 30)
        await scene.flows(-3000)
        await ask_house(endpoints, do="car_silent", on=True)
        await scene.until(lambda s: s.state is EvseState.FAULT, 10)
        assert FaultCode.VEHICLE_SILENT in scene.slot.faults
        assert abs((await scene.truth())["converter"]["current_a"]) < 0.5


async def test_an_expired_setpoint_is_0_a_at_once(endpoints):
    async with running(endpoints) as scene:
        await scene.until(lambda s: s.state is EvseState.READY, 30)
        await scene.flows(-3000)
        scene.speaks = False
        await scene.until(lambda s: abs(s.current_a) < 0.1, 6)
        assert scene.slot.last.state is EvseState.READY


async def test_a_cancelled_driver_leaves_the_car_in_the_proper_order(endpoints):
    async with running(endpoints) as scene:
        await scene.until(lambda s: s.state is EvseState.READY, 30)
        await scene.flows(-3000)
        scene.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await scene.task
        truth = await scene.truth()
        assert truth["pilot"] == {**truth["pilot"], "d1": False, "d2": False, "lock": False}
        assert truth["converter"]["command"] == 0
        assert not truth["car"]["contactor"]


async def test_what_a_dead_predecessor_left_commanded_is_ended_first(endpoints):
    pilot, converter = endpoints["pilot_io"], endpoints["converter"]
    for address in (0, 1, 2):
        bus = ModbusBus(pilot["host"], pilot["port"], pilot["unit"])
        await bus.connect()
        await bus.write_coil(address, True)
        bus.close()
    bus = ModbusBus(converter["host"], converter["port"], converter["unit"])
    await bus.connect()
    await bus.write_registers(0, (1, 3000, 10))
    bus.close()
    async with running(endpoints) as scene:
        scene.engage = False
        truth = await scene.truth()
        async with asyncio.timeout(15):
            while truth["pilot"]["d1"] or truth["pilot"]["d2"] or truth["pilot"]["lock"]:
                await asyncio.sleep(0.1)
                truth = await scene.truth()
        assert truth["converter"]["command"] == 0
        assert truth["converter"]["voltage_v"] < 10
