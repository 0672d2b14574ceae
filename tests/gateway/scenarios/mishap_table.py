"""What may befall a site, and how it is told: the table of mishaps of the fault matrix."""

import asyncio
import contextlib
import os
import resource
import signal
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.faults import FaultCode
from tests.gateway.scenarios.mode_table import STILL_W, Deed, Physics, car_off, nothing, powers
from tests.gateway.scenarios.scene import Scene

ISLAND = frozenset({"islanded"})
CAR_AT_REST = frozenset({"idle", "FCR armed"})
BLIND_W = 1500.0
POWER_REGISTER, FOREIGN_W = 260, 2000


# ── what is safe ─────────────────────────────────────────────────────────────────────────────────────────────────────


def blind(physics: Physics) -> bool:
    """What a site may do that does not see its grid."""
    car_w, battery_w = powers(physics)
    return min(car_w, battery_w) >= -STILL_W and car_w + battery_w <= BLIND_W


def battery_off(physics: Physics) -> bool:
    return abs(powers(physics)[1]) < STILL_W


def as_before(_: Physics) -> bool:
    """It is no event for the house: only the limits count."""
    return True


# ── faults ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def of_house(do: str, **more: Any) -> Deed:
    """An order to the simulated house."""
    return lambda scene: scene.ask(do, **more)


async def refuse_the_end(scene: Scene) -> None:
    """The charger takes no order any more, not even the owner's pause."""
    await scene.ask("charger_refuses", on=True)
    await scene.owner.ask("POST", "devices/garage/request", {"mode": "pause"})


async def take_orders_again(scene: Scene) -> None:
    await scene.ask("charger_refuses", on=False)
    await plug_in_anew(scene)


async def meddle(scene: Scene) -> None:
    """Another program writes its own order, again and again."""
    charger = scene.endpoints["charger"]
    for number in range(8):
        reader, writer = await asyncio.open_connection(charger["host"], charger["port"])
        writer.write(struct.pack(">HHHBBHH", number, 0, 6, 1, 6, POWER_REGISTER, FOREIGN_W))
        await reader.read(64)
        writer.close()
        await asyncio.sleep(1.5)


async def start_inverter(scene: Scene) -> None:
    """It is well again; where there is no grid it carries the house again by itself."""
    await scene.ask("battery_trip", on=False)
    if not (await scene.physics())["mains"]["present"]:
        await scene.ask("grid_lost")


async def plug_in_anew(scene: Scene) -> None:
    await scene.ask("unplug")

    async def unplugged() -> bool:
        return (await scene.sample("garage")).get("plugged") is False

    await scene.until(unplugged, 20)
    await scene.ask("plug")


def limit_files(scene: Scene, most: int) -> None:
    """Let no file of the gateway grow beyond ``most`` bytes: the kernel's own way to say that there is no room."""
    for name in ("fastpath", "services"):
        pid = scene.pid_of(name)
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (most, hard))


async def fill_disk(scene: Scene) -> None:
    limit_files(scene, 0)


async def empty_disk(scene: Scene) -> None:
    limit_files(scene, resource.RLIM_INFINITY)


async def protect_disk(scene: Scene) -> None:
    (scene.folder / "read_only").touch()


async def open_disk(scene: Scene) -> None:
    (scene.folder / "read_only").unlink()


async def kill_fast_path(scene: Scene) -> None:
    os.kill(scene.pid_of("fastpath"), signal.SIGKILL)


def move_clock(offset_s: float) -> Deed:
    async def moved(scene: Scene) -> None:
        (scene.folder / "clock_offset_s").write_text(f"{offset_s}")

    return moved


async def lose_prices(scene: Scene) -> None:
    """Nobody tells prices from now on; the last known hour is long ago."""
    prices = scene.folder / "prices.csv"
    (scene.folder / "prices.kept").write_bytes(prices.read_bytes())
    await asyncio.sleep(0.05)
    prices.write_text("starts_at,import_per_kwh,export_per_kwh\n2020-01-01T00:00:00Z,0.2,0.1\n")


async def find_prices(scene: Scene) -> None:
    with contextlib.suppress(FileNotFoundError):
        (scene.folder / "prices.kept").replace(scene.folder / "prices.csv")


@dataclass(frozen=True)
class Mishap:
    """``lost`` and ``back`` each match exactly one line of the log; ``codes``: one of them is raised meanwhile.

    ``safe`` is reached ``within_s``; the mode is back ``back_s`` after it healed. ``quiet_in``: modes in which nobody
    can notice, as nothing is asked of the device. ``@charger`` in a pattern is its address. ``spoils_wish``: the owner has
    to wish anew what the mode is about. ``stirred``: somebody switches something meanwhile.
    """

    name: str
    strike: Deed
    heal: Deed
    safe: Callable[[Physics], bool]
    lost: str
    back: str
    codes: frozenset[str] = frozenset()
    within_s: float = 30.0
    back_s: float = 90.0
    quiet_in: frozenset[str] = field(default_factory=frozenset)
    spoils_wish: bool = False
    stirred: bool = True

    @property
    def of_charger(self) -> bool:
        """Whether it befalls the charger: those take as long as all others, so they have a house of their own."""
        return "charger" in self.name or self.name == "two masters"


MISHAPS = (
    Mishap(
        "grid meter silent",
        of_house("meter_silent", on=True),
        of_house("meter_silent", on=False),
        blind,
        r"grid_meter_stale: ",
        r"grid_meter_stale is over",
        frozenset({FaultCode.GRID_METER_STALE}),
        quiet_in=ISLAND,
    ),
    Mishap(
        "grid meter frozen",
        of_house("meter_freeze", on=True),
        of_house("meter_freeze", on=False),
        blind,
        r"meter_frozen: |readings ignored: frozen",
        r"meter_frozen is over|readings are plausible again",
        frozenset({FaultCode.METER_FROZEN, FaultCode.GRID_METER_STALE}),
        quiet_in=ISLAND,
    ),
    Mishap(
        "grid meter turned round",
        of_house("meter_flip", on=True),
        of_house("meter_flip", on=False),
        blind,
        r"meter_sign_flipped: ",
        r"meter_sign_flipped is over",
        frozenset({FaultCode.METER_SIGN_FLIPPED}),
        within_s=60.0,
        back_s=120.0,
        quiet_in=ISLAND | {"FCR armed"},
    ),
    Mishap(
        "grid meter ×1000",
        of_house("meter_scale", factor=1000.0),
        of_house("meter_scale", factor=1.0),
        blind,
        r"meter_implausible: |readings ignored: power of",
        r"meter_implausible is over|readings are plausible again",
        frozenset({FaultCode.METER_IMPLAUSIBLE, FaultCode.GRID_METER_STALE}),
        quiet_in=ISLAND,
    ),
    Mishap(
        "charger faulty",
        of_house("charger_error", bits=4),
        of_house("charger_error", bits=0),
        car_off,
        r"garage: device_fault: ",
        r"garage: device_fault is over",
        frozenset({FaultCode.DEVICE_FAULT}),
    ),
    Mishap(
        "two masters",
        meddle,
        plug_in_anew,
        as_before,
        r"garage: second_master: ",
        r"garage: second_master is over",
        frozenset({FaultCode.SECOND_MASTER}),
        within_s=30.0,
        back_s=90.0,
        quiet_in=ISLAND,
    ),
    Mishap(
        "charger silent",
        of_house("charger_silent", on=True),
        of_house("charger_silent", on=False),
        car_off,
        r"lost @charger ",
        r"@charger .*answers again",
        frozenset({FaultCode.DEVICE_UNREACHABLE}),
        within_s=40.0,
    ),
    Mishap(
        "charger refuses",
        refuse_the_end,
        take_orders_again,
        car_off,
        r"garage: device_refused: ",
        r"garage: device_refused is over",
        frozenset({FaultCode.DEVICE_REFUSED}),
        within_s=60.0,
        quiet_in=CAR_AT_REST | ISLAND,
        spoils_wish=True,
    ),
    Mishap(
        "charger reboots",
        of_house("charger_reboot"),
        nothing,
        car_off,
        r"lost @charger ",
        r"@charger .*answers again",
        frozenset({FaultCode.DEVICE_UNREACHABLE}),
        back_s=120.0,
    ),
    Mishap(
        "inverter trips",
        of_house("battery_trip", on=True),
        start_inverter,
        battery_off,
        r"battery: device_fault: ",
        r"battery: device_fault is over",
        frozenset({FaultCode.DEVICE_FAULT}),
    ),
    Mishap(
        "disk full",
        fill_disk,
        empty_disk,
        as_before,
        r"The journal cannot be written: ",
        r"The journal is written again",
        frozenset({FaultCode.JOURNAL_UNWRITABLE}),
    ),
    Mishap(
        "disk read-only",
        protect_disk,
        open_disk,
        as_before,
        r"The journal cannot be written: ",
        r"The journal is written again",
        frozenset({FaultCode.JOURNAL_UNWRITABLE}),
    ),
    Mishap(
        "kill -9 of the fast path",
        kill_fast_path,
        nothing,
        car_off,
        r"fastpath ended with -9",
        r"joined the fast path",
        within_s=60.0,
        back_s=120.0,
        stirred=False,
    ),
    Mishap(
        "clock −2 h",
        move_clock(-7200.0),
        move_clock(0.0),
        as_before,
        r"the clock was moved by -7200 s",
        r"the clock is believed again",
        frozenset({FaultCode.CLOCK_STEPPED}),
    ),
    Mishap(
        "clock +1 day",
        move_clock(86_400.0),
        move_clock(0.0),
        as_before,
        r"the clock was moved by \+86400 s",
        r"the clock is believed again",
        frozenset({FaultCode.CLOCK_STEPPED}),
    ),
    Mishap(
        "plan stale",
        lose_prices,
        find_prices,
        as_before,
        r"no price is known for this hour",
        r"a price is known again",
        frozenset({FaultCode.PLAN_STALE}),
        within_s=60.0,
        quiet_in=ISLAND,
    ),
)
