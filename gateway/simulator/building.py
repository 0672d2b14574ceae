"""A building on the wire: ``python -m gateway.simulator.building --run-dir DIR --chargers 12``.

An office load on three phases, a meter for the whole building, and bidirectional wall chargers on boards of six, each of
them a Modbus unit on a port of its own.
"""

import argparse
import asyncio
import json
import logging
import math
import signal
import sys
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any

from gateway.simulator.building_file import building_toml
from gateway.simulator.control_port import ControlConnection
from gateway.simulator.house import METER_NOISE_W, NOMINAL_HZ, NOMINAL_V, Phases, Wander
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.meter_registers import METER_PERIOD_S, GridMeter
from gateway.simulator.modbus_servers import ModbusConnection, Unit
from gateway.simulator.quasar_registers import QuasarRegisters

LOGGER = logging.getLogger(__name__)
HOST = "127.0.0.1"
STEP_S = 0.1
PER_BOARD = 6
PER_CHARGER_W = 1500.0
"""Of the office's own load: a building grows with its car park."""


class Bay:
    """One charger and the car in front of it."""

    def __init__(self, phase: int, soc_pct: float) -> None:
        self.phase = phase
        self.unit = QuasarRegisters()
        self.pack = LeafPack(soc_pct)
        self.present = True

    def step(self, dt_s: float) -> None:
        """Advance charger and car."""
        self.unit.step(dt_s)
        self.unit.charger.step(self.pack if self.present else None, False, dt_s)


class Building:
    """The physics. Attributes that a meter reads have the names of ``House``."""

    def __init__(self, chargers: int, seed: int) -> None:
        self.chance = Random(seed)
        self.bays = [Bay(n % 3 + 1, self.chance.uniform(35.0, 75.0)) for n in range(chargers)]
        self.load_w = PER_CHARGER_W * chargers
        self.phase_w: Phases = (0.0, 0.0, 0.0)
        self.phase_v: Phases = (NOMINAL_V, NOMINAL_V, NOMINAL_V)
        self.frequency_hz = NOMINAL_HZ
        self.import_wh = self.export_wh = 0.0
        self.over_board_s = 0.0
        self._murmur = Wander(self.chance, sigma=0.02 * self.load_w, settle_s=20.0)

    @property
    def grid_w(self) -> float:
        """Power from the grid."""
        return sum(self.phase_w)

    def step(self, dt_s: float) -> None:
        """Advance by ``dt_s``."""
        third = max(0.0, self.load_w + self._murmur.step(dt_s)) / 3
        watts = [third, third, third]
        for bay in self.bays:
            bay.step(dt_s)
            watts[bay.phase - 1] += bay.unit.charger.ac_w
        self.phase_w = (watts[0], watts[1], watts[2])
        moved_wh = self.grid_w * dt_s / 3600.0
        self.import_wh += max(0.0, moved_wh)
        self.export_wh += max(0.0, -moved_wh)

    def measured(self) -> Phases:
        """Return the phase powers as a meter reads them."""
        one, two, three = (w + self.chance.gauss(0, METER_NOISE_W) for w in self.phase_w)
        return one, two, three


def _status(building: Building, _: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "grid_w": building.grid_w,
        "phase_w": list(building.phase_w),
        "load_w": building.load_w,
        "import_wh": building.import_wh,
        "cars": [
            {
                "present": bay.present,
                "phase": bay.phase,
                "ac_w": bay.unit.charger.ac_w,
                "soc_pct": bay.pack.soc_pct,
                "charged_wh": bay.unit.charger.charged_wh,
                "discharged_wh": bay.unit.charger.discharged_wh,
            }
            for bay in building.bays
        ],
    }


def _set_load(building: Building, request: Mapping[str, Any]) -> None:
    load_w = float(request["w"])
    if not math.isfinite(load_w):
        raise ValueError(load_w)
    building.load_w = load_w


def _presence(present: bool) -> Callable[[Building, Mapping[str, Any]], None]:
    def deed(building: Building, request: Mapping[str, Any]) -> None:
        building.bays[int(request["n"])].present = present

    return deed


DEEDS: Mapping[str, Callable[[Building, Mapping[str, Any]], dict[str, Any] | None]] = {
    "status": _status,
    "set_load": _set_load,
    "arrive": _presence(True),
    "leave": _presence(False),
}


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.simulator.building",
        description=(
            "A building with an office load and bidirectional chargers, on Modbus TCP. DIR holds endpoints.json and the "
            'gateway\'s site.toml. The control port takes {"do": "status"}, {"do": "set_load", "w": 40000}, '
            '{"do": "leave", "n": 3} and {"do": "arrive", "n": 3}.'
        ),
    )
    parser.add_argument("--run-dir", type=Path, required=True, metavar="DIR", help="made if missing")
    parser.add_argument("--chargers", type=int, default=12, metavar="N", help="how many (default 12)")
    parser.add_argument(
        "--peak-w", type=float, help="peak_target_w of site.toml (default: load + 2 kW a charger)"
    )
    parser.add_argument("--seed", type=int, default=1, help="decides cars and noise (default 1)")
    parser.add_argument("--api-port", type=int, default=18443, help="for site.toml (default 18443)")
    return parser.parse_args(arguments)


async def serve(options: argparse.Namespace) -> None:
    """Open every port, tell where, and live until a signal."""
    building = Building(options.chargers, options.seed)
    meter = GridMeter(building)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    told = options.run_dir / "endpoints.json"
    told.unlink(missing_ok=True)
    async with AsyncExitStack() as stack:
        stack.callback(told.unlink, missing_ok=True)

        async def listen(protocol: Callable[[], asyncio.Protocol]) -> int:
            server = await asyncio.get_running_loop().create_server(protocol, HOST, 0)
            stack.callback(server.close)
            stack.callback(server.close_clients)
            return int(server.sockets[0].getsockname()[1])

        def unit(one: Unit) -> Callable[[], asyncio.Protocol]:
            return lambda: ModbusConnection(one)

        meter_port = await listen(unit(meter))
        ports = [await listen(unit(bay.unit)) for bay in building.bays]
        control = await listen(lambda: ControlConnection(building, DEEDS))
        site = building_toml(
            meter_port,
            [(port, bay.phase) for port, bay in zip(ports, building.bays, strict=True)],
            per_board=PER_BOARD,
            peak_w=options.peak_w or building.load_w + 2000.0 * options.chargers,
            api_port=options.api_port,
        )
        (options.run_dir / "site.toml").write_text(site, encoding="utf-8")
        endpoints = {
            "grid_meter": {"host": HOST, "port": meter_port},
            "control": {"host": HOST, "port": control},
        }
        unfinished = options.run_dir / "endpoints.json.new"
        unfinished.write_text(json.dumps(endpoints) + "\n", encoding="utf-8")
        unfinished.replace(told)
        print(json.dumps(endpoints), flush=True)  # noqa: T201 - whoever started it waits for this line
        await _live(building, meter)


async def _live(building: Building, meter: GridMeter) -> None:
    loop, stopping = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    deadline, steps = loop.time(), 0
    while not stopping.is_set():
        building.step(STEP_S)
        steps += 1
        if steps % round(METER_PERIOD_S / STEP_S) == 0:
            meter.refresh()
        deadline = max(deadline + STEP_S, loop.time() - 5 * STEP_S)
        await asyncio.sleep(max(0.0, deadline - loop.time()))


def main() -> None:
    """Run until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    asyncio.run(serve(parse(sys.argv[1:])))


if __name__ == "__main__":
    main()
