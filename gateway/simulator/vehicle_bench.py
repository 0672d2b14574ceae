"""A charger's hardware in front of a vehicle program of anybody's: ``python -m gateway.simulator.vehicle_bench udp://127.0.0.1:5100``.

CAN adapter (slcan), DC converter and pilot-line module (Modbus TCP) for the charger; UDP text for the car. When all of it
listens, one line of JSON says where; later lines are notes on what comes and goes.
"""

import argparse
import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from gateway.simulator.modbus_servers import ModbusConnection, Unit
from gateway.simulator.slcan_port import SlcanPort
from gateway.simulator.vehicle_inlet import BenchBattery, VehicleInlet
from gateway.simulator.vehicle_lines import CanLine, PilotLine, frame_text, pilot_text, read_datagram
from gateway.simulator.vehicle_udp import Address, Place, VehiclePort, open_socket, read_place

HOST = "127.0.0.1"
STEP_S = 0.02
REPEAT_S, LOOK_S = 1.0, 0.2
_LONGEST_GAP_S = 0.5
_MOST_COMPLAINTS = 20


class Bench:
    """The inlet between its two sides: frames and lines of the car here, the charger's wires there."""

    def __init__(self, place: Place, battery_v: float, link: Path) -> None:
        self.inlet = VehicleInlet(BenchBattery(battery_v))
        opened, self.awaits_car = open_socket(place)
        self.address: Address = opened.getsockname()
        self._socket = opened
        self.port = VehiclePort(opened, self._hear, self._greet)
        if not self.awaits_car:
            self.port.know(place)
        self.adapter = SlcanPort(link, lambda can_id, data: self.port.tell(frame_text(can_id, data)))
        self._told: dict[str, bool] = {}
        self._repeat_in_s = 0.0
        self._asked = False
        self._complaints = 0

    async def open(self, stack: AsyncExitStack) -> dict[str, Any]:
        """Open every port; return where they are."""
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: self.port, sock=self._socket
        )
        stack.callback(transport.close)
        self.adapter.start()
        stack.callback(self.adapter.close)
        units = {"converter": self.inlet.converter_unit, "pilot": self.inlet.pilot_unit}
        ports = {name: await _listen(stack, unit) for name, unit in units.items()}
        udp = {"address": self.address[:2], "awaits_car": self.awaits_car}
        return {"can": str(self.adapter.link), **ports, "udp": udp}

    def step(self, dt_s: float) -> None:
        """Advance the hardware; tell the car what changed, and everything in a rhythm, so that a lost line is no harm."""
        self.inlet.step(dt_s)
        self._repeat_in_s -= dt_s
        repeat = self._repeat_in_s <= 0.0
        if repeat:
            self._look_for_the_car()
            self._repeat_in_s = REPEAT_S if self.inlet.present else LOOK_S
        lines = self.inlet.lines
        for name, on in lines.items():
            if repeat or on != self._told.get(name):
                self.port.tell(pilot_text(name, on=on))
        self._told = lines

    def _look_for_the_car(self) -> None:
        """A program that listens where we were told to speak counts as a car, though it has not spoken yet."""
        listens = not self.awaits_car and self._asked and not self.port.refused
        if listens and not self.inlet.present:
            self.inlet.present = True
            note("a vehicle program listens")
        self._asked, self.port.refused = True, False

    def _hear(self, datagram: bytes) -> None:
        lines, complaints = read_datagram(datagram)
        for line in lines:
            if isinstance(line, PilotLine) and line.on is None:
                self._repeat_in_s = 0.0
            if isinstance(line, CanLine):
                self.adapter.send(line.can_id, line.data)
            if complaint := self.inlet.hear(line):
                complaints.append(complaint)
        for complaint in complaints:
            self._complaints += 1
            if self._complaints <= _MOST_COMPLAINTS:
                note(f"not understood: {complaint}")

    def _greet(self, peer: Address) -> None:
        note(f"{peer[0]}:{peer[1]} speaks")
        for name, on in self.inlet.lines.items():
            self.port.tell(pilot_text(name, on=on), peer)


def note(text: str) -> None:
    """Tell whoever started the bench what happened at its far side."""
    _say({"note": text})


def _say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)  # noqa: T201 - whoever started it reads these lines


async def _listen(stack: AsyncExitStack, unit: Unit) -> dict[str, Any]:
    server = await asyncio.get_running_loop().create_server(lambda: ModbusConnection(unit), HOST, 0)
    stack.callback(server.close)
    stack.callback(server.close_clients)
    return {"host": HOST, "port": server.sockets[0].getsockname()[1], "unit": unit.unit_id}


async def serve(options: argparse.Namespace) -> None:
    """Open every port, tell where, and live until a signal, or until the standard input ends where that was asked for."""
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    if options.until_input_ends:
        loop.add_reader(0, lambda: None if os.read(0, 4096) else stopping.set())
    options.run_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        bench = Bench(read_place(options.place), options.battery_v, options.run_dir.resolve() / "can0")
        _say(await bench.open(stack))
        due = was = loop.time()
        while not stopping.is_set():
            due = max(due + STEP_S, loop.time())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stopping.wait(), due - loop.time())
            now = loop.time()
            bench.step(min(now - was, _LONGEST_GAP_S))
            was = now


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser("python -m gateway.simulator.vehicle_bench", description=__doc__)
    add = parser.add_argument
    add("place", metavar="udp://127.0.0.1:PORT[?from=PORT]", help="where the vehicle program is")
    add("--run-dir", type=Path, required=True, metavar="DIR", help="folder of the CAN adapter can0")
    add("--battery-v", type=float, default=380.0, metavar="V", help="the car's battery (default 380)")
    add("--until-input-ends", action="store_true", help="end with the standard input, as a child should")
    return parser.parse_args(arguments)


def main() -> None:
    """Run until Ctrl-C or SIGTERM."""
    options = parse(sys.argv[1:])
    try:
        asyncio.run(serve(options))
    except ValueError as error:
        sys.exit(str(error))
    except OSError as error:
        sys.exit(f"{options.place}: the port cannot be taken: {error.strerror}")


if __name__ == "__main__":
    main()
