"""Starts everything in the right order, each part as soon as it can, and ends it in the opposite one."""

import asyncio
import fcntl
import json
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .dashboard import BATTERY, CAR, GRID, SUN, Key
from .entities import SITE, Catalog
from .home_assistant import HomeAssistant, Login, Session, log_in
from .house import ApiAddress, ControlPort, House
from .processes import DemoError, free_port
from .provisioning import furnish, keep_login, pair, turn_control_on

PORTS_FILE, LOGIN_FILE = "ports.json", "login.json"
PORTS = {"home_assistant": 18123, "api": 18443, "utility": 18444}

EXPECTED: tuple[Key, ...] = (
    ("sensor", "grid_power", GRID),
    ("sensor", "import_energy", GRID),
    ("sensor", "export_energy", GRID),
    ("sensor", "solar_power", SUN),
    ("sensor", "solar_energy", SUN),
    *(
        ("sensor", key, device)
        for device in (BATTERY, CAR)
        for key in ("battery_power", "reason", "limiter", "charged_energy", "discharged_energy")
    ),
    ("sensor", "state_of_charge", BATTERY),
    ("sensor", "car_state_of_charge", CAR),
    ("sensor", "charger_state", CAR),
    ("binary_sensor", "plugged", CAR),
    *(("number", "floor_soc", device) for device in (BATTERY, CAR)),
    *(("select", "charge_mode", device) for device in (BATTERY, CAR)),
    ("sensor", "import_limit", SITE),
    ("sensor", "import_price", SITE),
    ("binary_sensor", "grid_event", SITE),
    ("switch", "control", SITE),
    ("button", "stop", SITE),
)
"""Entities without which the demo shows too little; by domain, key and device."""


@dataclass(frozen=True, slots=True)
class Demo:
    """All that runs. ``paired_now`` tells a first start from a later one; times are seconds since the beginning."""

    house: House
    control_port: ControlPort
    api: ApiAddress
    home_assistant: HomeAssistant
    session: Session
    catalog: Catalog
    login: Login
    paired_now: bool
    times_s: dict[str, float]


@contextmanager
def step(text: str) -> Iterator[None]:
    """Tell a person what is going on, and how long it took."""
    began = time.monotonic()
    print(f"    {text} …", flush=True)
    yield
    print(f"    {text}: {time.monotonic() - began:.1f} s", flush=True)


@asynccontextmanager
async def started(folder: Path, *, fresh: bool) -> AsyncIterator[Demo]:
    """Run the whole demo, keeping its state in ``folder``. Raises DemoError. Ends only what it started.

    ``fresh``: without any state, and following no plan, so that what happens does not depend on the prices of the hour.
    """
    began = time.monotonic()
    times_s: dict[str, float] = {}
    async with AsyncExitStack() as stack:
        stack.enter_context(_alone(folder))
        if fresh:
            _forget(folder)
        ports = keep_ports(folder / PORTS_FILE)
        house = House(folder / "house", folder / "logs", ports["api"], ports["utility"])
        home_assistant = HomeAssistant(
            folder / "home_assistant", ports["home_assistant"], folder / "logs/home_assistant.log"
        )
        for child in (house.simulator, house.gateway, home_assistant.child):
            stack.push_async_callback(child.stop)
        async with asyncio.TaskGroup() as starts:
            shown = starts.create_task(_start_home_assistant(home_assistant))
            with step("Simulated house: car on CAN, meters, battery and charger on Modbus TCP"):
                control_port = await house.start_simulator()
                if fresh:
                    house.follow_no_plan()
            with step("Gateway"):
                api = await house.start_gateway()
            times_s["gateway"] = time.monotonic() - began
            await shown
        times_s["home_assistant"] = time.monotonic() - began
        login = keep_login(folder / LOGIN_FILE)
        session = await stack.enter_async_context(log_in(home_assistant.url, login))
        with step("Pairing, entities, dashboard"):
            await session.until_running()
            paired_now = await pair(session, house, api)
            catalog = await expected_entities(session)
            await furnish(session, catalog)
        with step("Turning control on, as the owner would (a new gateway only observes)"):
            await turn_control_on(session, catalog)
        times_s["ready"] = time.monotonic() - began
        yield Demo(house, control_port, api, home_assistant, session, catalog, login, paired_now, times_s)


async def _start_home_assistant(home_assistant: HomeAssistant) -> None:
    with step("Home Assistant"):
        await home_assistant.start()
        await home_assistant.answering()


async def expected_entities(session: Session, within_s: float = 30) -> Catalog:
    """Return the catalog once every expected entity is in it. Raises DemoError that names the missing ones."""
    deadline = time.monotonic() + within_s
    while True:
        catalog = await Catalog.read(session)
        missing = [key for key in EXPECTED if catalog.find(*key) is None]
        if not missing:
            return catalog
        if time.monotonic() > deadline:
            raise DemoError("Home Assistant lacks " + ", ".join(f"{d} {k} of {of}" for d, k, of in missing))
        await asyncio.sleep(0.25)


def keep_ports(path: Path) -> dict[str, int]:
    """Return the ports kept in ``path``; the gateway's own must stay, as Home Assistant is paired with it there."""
    kept: dict[str, int] = json.loads(path.read_text(encoding="utf8")) if path.exists() else {}
    ports = {name: free_port(kept.get(name, preferred)) for name, preferred in PORTS.items()}
    if kept and ports["api"] != kept["api"]:
        raise DemoError(f"port {kept['api']} is taken: end what listens there, or begin anew with --fresh")
    path.write_text(json.dumps(ports), encoding="utf8")
    return ports


def _forget(folder: Path) -> None:
    for kept in ("home_assistant", "house", "logs"):
        shutil.rmtree(folder / kept, ignore_errors=True)
    for kept in (PORTS_FILE, LOGIN_FILE):
        (folder / kept).unlink(missing_ok=True)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w", encoding="utf8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoError(f"another demo runs in {folder}") from None
        yield
