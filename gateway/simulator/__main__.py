"""Run the simulated house: ``python -m gateway.simulator --run-dir DIR``."""

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import datetime, time
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway.simulator.control_port import DEEDS, ControlConnection
from gateway.simulator.echonet_unit import EchonetPort, EchonetUnit
from gateway.simulator.house import House, Wiring
from gateway.simulator.leaf_models import MODELS
from gateway.simulator.leaf_on_can import SLOT_S
from gateway.simulator.leaf_sloppiness import NAMES, Sloppiness, sloppiness_in_words
from gateway.simulator.modbus_servers import ModbusConnection, Registers, Unit
from gateway.simulator.recorded_days import DAY_S, SEASONS, RecordedDays, price_table
from gateway.simulator.site_file import SitePorts, site_toml
from gateway.simulator.slcan_port import SlcanPort
from gateway.simulator.wall_units import WALL_UNITS
from gateway.simulator.wired_house import WiredHouse

LOGGER = logging.getLogger(__name__)
HOST = "127.0.0.1"
_LATE_S = 0.5

DESCRIPTION = """\
A house in a box, on the wire. Load, PV and prices are recorded; a car, its charger, a home battery and two meters are
simulated and speak CAN (slcan on a pseudo terminal) and Modbus TCP on loopback, as the real ones do.

When all of it listens, one line of JSON says where, and DIR holds:
  endpoints.json   the same
  site.toml        the gateway's configuration for this house: python -m gateway run DIR/site.toml
  prices.csv       hourly prices, yesterday to the day after tomorrow
  can0             the CAN adapter of a chademo charger
  can1             the CAN adapter on the car's own bus
"""

EPILOG = """\
To do something to the house, send a line to the control port and read one back:
  {"do": "status"}                    every physical truth
  {"do": "unplug"} {"do": "plug"}     the car's connector
  {"do": "set_load", "w": 6000}       null goes back to the record
  {"do": "meter_silent", "on": true}  the grid meter takes requests and answers none
  {"do": "grid_lost"} {"do": "grid_back"}  a blackout; with --backup the inverter carries the house
  {"do": "car_sloppy", "refusals": 2} the car's manners, named as for --sloppy; without a name it has good ones
  {"do": "can_noise", "loss": 0.1}    also doubling, reordering, garbling and the seed of it all
An unknown name is answered with all the names. Ctrl-C ends it.
"""


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m gateway.simulator",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    _add_options(parser.add_argument)
    _add_car_options(parser.add_argument)
    options = parser.parse_args(arguments)
    try:
        ZoneInfo(options.time_zone)
        start_second(options.time_of_day, datetime.now(ZoneInfo(options.time_zone)))
    except (ValueError, LookupError) as error:
        parser.error(str(error))
    return options


def _add_options(add: Callable[..., object]) -> None:
    add(
        "--run-dir",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder for the files above; made if missing",
    )
    add("--seed", type=int, default=1, help="the same seed gives the same appliances and noise (default 1)")
    add(
        "--port-base",
        type=int,
        default=0,
        metavar="P",
        help="ports P to P+5; 0, the default, takes free ones",
    )
    add(
        "--season",
        choices=SEASONS,
        default="spring",
        help="which recorded days to live through (default spring)",
    )
    add(
        "--time-of-day",
        default="08:50",
        metavar="HH:MM",
        help='where in the day the house begins, or "now" (default 08:50: breakfast against the rising sun)',
    )
    add("--time-zone", default="Europe/Amsterdam", help="time zone of the house (default Europe/Amsterdam)")
    add("--battery-soc", type=float, default=45.0, metavar="PCT", help="the battery's charge (default 45)")
    add(
        "--charger",
        choices=("chademo", *WALL_UNITS),
        default="chademo",
        help="which charger the car hangs on (default chademo: a converter that speaks to the car on can0)",
    )
    add("--charger-phase", type=int, choices=(1, 2, 3), default=1, help="phase of the charger (default 1)")
    add("--battery-phase", type=int, choices=(1, 2, 3), default=2, help="phase of the battery (default 2)")
    add(
        "--frequency-meter",
        action="store_true",
        help="with a meter for frequency alone, fit for frequency reserve",
    )
    add(
        "--backup",
        action="store_true",
        help="with a battery inverter that carries the house when the grid is lost, and two switched loads",
    )
    add("--api-port", type=int, default=18443, help="where site.toml lets the gateway listen (default 18443)")
    add("--utility-port", type=int, default=18444, help="the same for the utility (default 18444)")


def _add_car_options(add: Callable[..., object]) -> None:
    add("--car", choices=MODELS, default="ze1-40", help="which Leaf it is (default ze1-40)")
    add(
        "--car-soc",
        type=float,
        default=62.0,
        metavar="PCT",
        help="the car's charge at the start (default 62)",
    )
    add(
        "--sloppy",
        type=sloppiness_in_words,
        default=Sloppiness(),
        metavar="NAME[=N],..",
        help=f"what the car does beside the book, of: {', '.join(NAMES)}",
    )


def start_second(time_of_day: str, now: datetime) -> float:
    """Return the second of the record at which the house begins: its day 1 is today. Raises ValueError."""
    at = now.time() if time_of_day == "now" else time.fromisoformat(time_of_day)
    return DAY_S + at.hour * 3600.0 + at.minute * 60.0 + at.second


def build(options: argparse.Namespace, now: datetime) -> WiredHouse:
    """Make the house that the options ask for."""
    wiring = Wiring(charger=(options.charger_phase,), battery=(options.battery_phase,))
    house = House(
        RecordedDays.of(options.season),
        seed=options.seed,
        start_second=start_second(options.time_of_day, now),
        wiring=wiring,
        car=MODELS[options.car],
        car_soc_pct=options.car_soc,
        battery_soc_pct=options.battery_soc,
        islands=options.backup,
    )
    wall = WALL_UNITS[options.charger]() if options.charger in WALL_UNITS else None
    wired = WiredHouse(house, wiring, wall)
    wired.car.behave(options.sloppy)
    return wired


async def serve(options: argparse.Namespace) -> None:
    """Open every port, tell where, and live until a signal."""
    now = datetime.now(ZoneInfo(options.time_zone))
    wired = build(options, now)
    options.run_dir.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as stack:
        # Whoever waits for this file must not find that of an earlier house.
        told = options.run_dir / "endpoints.json"
        told.unlink(missing_ok=True)
        stack.callback(told.unlink, missing_ok=True)
        endpoints = await _listen(stack, wired, options)
        adapter = None
        if wired.wall is None:
            adapter = SlcanPort(options.run_dir.resolve() / "can0", wired.hear, wired.can)
            adapter.start()
            stack.callback(adapter.close)
            endpoints["can"] = {"interface": "slcan", "channel": str(adapter.link)}
        ev_adapter = SlcanPort(options.run_dir.resolve() / "can1", wired.ev_can.hear)
        ev_adapter.start()
        stack.callback(ev_adapter.close)
        endpoints["ev_can"] = {"interface": "slcan", "channel": str(ev_adapter.link)}
        _write_files(options, now, endpoints)
        print(json.dumps(endpoints), flush=True)  # noqa: T201 - whoever started it waits for this line
        await _live(wired, adapter, ev_adapter)


async def _listen(stack: AsyncExitStack, wired: WiredHouse, options: argparse.Namespace) -> dict[str, Any]:
    units: dict[str, Unit] = {
        "grid_meter": wired.grid_meter,
        "pv_meter": wired.pv_meter,
        "battery": wired.battery,
    }
    if wired.wall is None:
        units |= {"converter": wired.converter, "pilot_io": wired.pilot_io}
    elif isinstance(wired.wall, Registers):
        units["charger"] = wired.wall
    if options.frequency_meter:
        units["frequency_meter"] = wired.frequency_meter
    if options.backup:
        units["load_io"] = wired.load_io
    endpoints: dict[str, Any] = {}
    base = options.port_base

    async def listen(name: str, protocol: Callable[[], asyncio.Protocol]) -> None:
        port = base + len(endpoints) if base else 0
        server = await asyncio.get_running_loop().create_server(protocol, HOST, port)
        stack.callback(server.close)
        stack.callback(server.close_clients)
        endpoints[name] = {"host": HOST, "port": server.sockets[0].getsockname()[1]}

    for name, unit in units.items():
        await listen(name, lambda unit=unit: ModbusConnection(unit))  # type: ignore[misc]
        endpoints[name]["unit"] = unit.unit_id
    await listen("control", lambda: ControlConnection(wired, DEEDS))
    if isinstance(wired.wall, EchonetUnit):
        v2h = wired.wall
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: EchonetPort(v2h), local_addr=(HOST, base + len(endpoints) if base else 0)
        )
        stack.callback(transport.close)
        endpoints["charger"] = {"host": HOST, "port": transport.get_extra_info("sockname")[1], "unit": 1}
    return endpoints


def _write_files(options: argparse.Namespace, now: datetime, endpoints: dict[str, Any]) -> None:
    folder: Path = options.run_dir.resolve()
    prices = folder / "prices.csv"
    prices.write_text(price_table(options.season, now), encoding="utf-8")
    endpoints |= {"prices": str(prices), "utility": None}
    meters = ("grid_meter", "pv_meter", "frequency_meter")
    addresses = {
        name: (endpoints[name]["host"], endpoints[name]["port"])
        for name in (*meters, "battery", "converter", "pilot_io", "charger", "load_io")
        if name in endpoints
    }
    ports = SitePorts(**addresses, api_port=options.api_port, utility_port=options.utility_port)
    site = site_toml(
        ports,
        charger=options.charger,
        time_zone=options.time_zone,
        charger_phase=options.charger_phase,
        battery_phase=options.battery_phase,
    )
    (folder / "site.toml").write_text(site, encoding="utf-8")
    unfinished = folder / "endpoints.json.new"
    unfinished.write_text(json.dumps(endpoints, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / "endpoints.json")


async def _live(wired: WiredHouse, adapter: SlcanPort | None, ev_adapter: SlcanPort) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopping.set)
    deadline = loop.time()
    while not stopping.is_set():
        frame = wired.tick()
        if adapter is not None:
            adapter.follow()
            if frame is not None:
                adapter.send(*frame)
        for frame in wired.ev_tick():
            ev_adapter.send(*frame)
        deadline += SLOT_S
        late_s = loop.time() - deadline
        if late_s > _LATE_S:
            LOGGER.warning("this machine stood still for %.1f s; so did the house", late_s)
            deadline = loop.time()
        await asyncio.sleep(max(0.0, -late_s))


def main() -> None:
    """Run until Ctrl-C or SIGTERM."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s: %(message)s")
    asyncio.run(serve(parse(sys.argv[1:])))


if __name__ == "__main__":
    main()
