"""The simulated house in this process and in virtual time: the real drivers meet its units and its car without a socket.

The process that holds a device in the fail-safe proof is a task here; to freeze or kill it is to let nothing of it pass.
"""

import asyncio
import contextlib
import functools
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import can
import pytest

from gateway.commissioning.check import Request, check
from gateway.commissioning.holder import LOOK_S, hold
from gateway.commissioning.prove import Wanted
from gateway.commissioning.rig import Ask
from gateway.commissioning.stepping import Pace
from gateway.config import load
from gateway.devices.recording.events import Frame
from gateway.devices.recording.played_can import PlayedCan
from gateway.devices.recording.played_modbus import SILENT, PlayedUnit
from gateway.devices.recording.virtual_time import run_at_once
from gateway.devices.recording.wires import WIRES, Wires
from gateway.simulator.__main__ import HOST, build, parse
from gateway.simulator.control_port import DEEDS, carry_out
from gateway.simulator.leaf_on_can import SLOT_S
from gateway.simulator.modbus_servers import Illegal, Table, Unit
from gateway.simulator.site_file import SitePorts, site_toml
from gateway.simulator.wired_house import WiredHouse

UNITS = ("grid_meter", "pv_meter", "battery", "converter", "pilot_io")
"""Of the house, as site.toml knows them, at ports 1, 2, …"""
READS = {1: Table.COIL, 2: Table.DISCRETE, 3: Table.HOLDING, 4: Table.INPUT}
WRITES_COIL = 5
PACE = Pace(step_w=1500.0, settle_s=0.9, measure_s=0.8, repeats=1)


class OnPaper:
    """A simulated Modbus unit, asked without a socket."""

    def __init__(self, unit: Unit, wires: HouseWires) -> None:
        self._unit = unit
        self._wires = wires

    def read(self, function: int, address: int, count: int) -> tuple[int, ...] | str:
        ask = self._unit.read_bits if function in {1, 2} else self._unit.read_registers
        return self._ask(lambda: tuple(map(int, ask(READS[function], address, count))))

    def write(self, function: int, address: int, values: tuple[int, ...]) -> str:
        if function == WRITES_COIL:
            return self._ask(lambda: self._unit.write_bits(address, [*map(bool, values)])) or ""
        return self._ask(lambda: self._unit.write_registers(address, values)) or ""

    def _ask(self, call: Callable[[], Any]) -> Any:
        if self._unit.silent or not self._wires.alive:
            return SILENT
        try:
            return call()
        except Illegal as refusal:
            return f"exception {refusal.code}"


class HouseWires(Wires):
    """What one process reaches of the house, until it dies."""

    def __init__(self, wired: WiredHouse) -> None:
        self.alive = True
        self._wired = wired
        self._cans: list[Can] = []
        units = {f"{HOST}:{port} unit 1": getattr(wired, name) for port, name in enumerate(UNITS, 1)}
        self._units = {name: PlayedUnit(OnPaper(unit, self), lambda: 0.0) for name, unit in units.items()}

    def modbus(self, wire: str, lost: Callable[[], None]) -> Any:
        return self._units[wire].client(lost)

    def can(self, wire: str) -> Can:
        self._cans.append(bus := Can(wire, self))
        return bus

    def to_car(self, wire: str, can_id: int, data: bytes) -> None:
        if self.alive:
            (self._wired.hear if wire.endswith("can0") else self._wired.ev_can.hear)(can_id, data)

    def from_car(self, channel: str, frames: Sequence[tuple[int, bytes]]) -> None:
        for bus in self._cans if self.alive else ():
            for frame in frames if bus.channel_info.endswith(channel) else ():
                bus.put(Frame(0.0, channel, *frame))

    def die(self, *, hangs_up: bool) -> None:
        """Let nothing pass any more; the kernel closes what a killed process had open."""
        self.alive = False
        for unit in self._units.values() if hangs_up else ():
            unit.turn(up=False)


class Can(PlayedCan):
    """A CAN adapter on one of the car's buses."""

    def __init__(self, wire: str, wires: HouseWires) -> None:
        super().__init__(wire)
        self.channel_info = wire
        self._wires = wires

    def send(self, msg: can.Message, timeout: float | None = None) -> None:
        self._wires.to_car(self.channel_info, msg.arbitration_id, bytes(msg.data))


class Indoors:
    """``site`` is its site.toml; ``check`` and ``prove`` run as a person would, and ``said`` is what they said."""

    def __init__(self, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.folder, self.site, self.patch = folder, folder / "site.toml", patch
        options = parse(["--run-dir", str(folder), "--time-of-day", "02:00"])
        self.wired = build(options, datetime(2026, 4, 15, tzinfo=UTC))
        self.wires: list[HouseWires] = []
        self.said: list[str] = []
        addresses = {name: (HOST, port) for port, name in enumerate(UNITS, 1)}
        ports = SitePorts(**addresses, api_port=8443, utility_port=8444)
        text = site_toml(ports, charger="chademo", time_zone="UTC", charger_phase=1, battery_phase=2)
        self.site.write_text(text.replace("lease_s = 30", "lease_s = 3"))
        patch.setattr("gateway.commissioning.silence._holder", self.holder)

    async def live(self) -> None:
        """Let house and car go on."""
        while True:
            frame = self.wired.tick()
            for wires in self.wires:
                wires.from_car("can0", [frame] if frame else [])
                wires.from_car("can1", self.wired.ev_tick() if wires is self.wires[0] else [])
            await asyncio.sleep(SLOT_S)

    def connect(self) -> HouseWires:
        """Give whatever is built in this context wires of its own."""
        wires = HouseWires(self.wired)
        self.wires.append(wires)
        WIRES.set(wires)
        return wires

    async def do(self, deed: str, **more: Any) -> dict[str, Any]:
        """Ask the control port."""
        answer = carry_out(self.wired, json.dumps({"do": deed, **more}).encode(), DEEDS)
        assert answer["ok"], answer
        return answer

    def rewrite(self, old: str, new: str) -> None:
        """Change site.toml."""
        text = self.site.read_text()
        assert old in text
        self.site.write_text(text.replace(old, new))

    async def prove(self, *devices: str, ask: Ask | None = None, pace: Pace = PACE) -> int:
        """Run the check with proofs, with nobody at the terminal but ``ask``."""
        request = Request(listen_s=1.5, prove=Wanted(devices, pace=pace), agreed=ask is None)
        return await check(load(self.site), request, self.said.append, ask)

    def proof(self, device: str, name: str) -> tuple[str, str]:
        """What is on disk: (verdict, text key)."""
        record = json.loads((self.folder / "state/commissioning.json").read_text())
        (found,) = [p for p in record["proofs"] if (p["device"], p["check"]) == (device, name)]
        return found["verdict"], found["text_key"]

    @contextlib.asynccontextmanager
    async def holder(self, site: Path, device: str, power_w: float) -> AsyncIterator[Holder]:
        """Stand in for the process that holds a device; in the end what is cut off can release nothing."""
        held = Holder(self)
        holding = asyncio.ensure_future(held.live(site, device, power_w))  # noqa: TID251 - awaited below
        try:
            yield held
        finally:
            held.stop.set()
            await holding


class Holder:
    """The holding task, and the power that it told last."""

    def __init__(self, house: Indoors) -> None:
        self._house = house
        self._wires: HouseWires | None = None
        self._flows_w = 0.0
        self.stop = asyncio.Event()

    async def live(self, site: Path, device: str, power_w: float) -> None:
        """Hold on wires of its own."""
        self._wires = self._house.connect()
        await hold(site, device, power_w, self.stop, self._tell)

    def _tell(self, flows_w: float | None) -> None:
        self._flows_w = flows_w or 0.0

    async def reached(self, power_w: float, seconds: float, give_up: Callable[[], bool]) -> bool:
        """Wait until the device has told of this power."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self._flows_w < power_w and not give_up():
                    await asyncio.sleep(LOOK_S)
        return self._flows_w >= power_w

    def send(self, number: signal.Signals) -> None:
        """Freeze or kill it, as its wires see it."""
        assert self._wires is not None
        self._wires.die(hangs_up=number is signal.SIGKILL)


def indoors(story: Callable[[Indoors], Awaitable[None]]) -> Callable[..., None]:
    """Run a story in virtual time, in a house with 600 W of load and no sun."""

    @functools.wraps(story)
    def test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        house = Indoors(tmp_path, monkeypatch)

        async def play() -> None:
            await house.do("set_load", w=600.0)
            await house.do("set_pv", w=0.0)
            house.connect()
            living = asyncio.ensure_future(house.live())  # noqa: TID251 - ends with the story
            try:
                await story(house)
            finally:
                living.cancel()
                print(*house.said, sep="\n")

        run_at_once(play())

    del test.__wrapped__  # type: ignore[attr-defined]
    return test
