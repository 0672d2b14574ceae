"""The modes of a site in which mishaps strike it: how each is entered, and how it is told from physics."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.model import Dynamics, Remembered
from tests.gateway.scenarios.scene import Scene

type Physics = dict[str, Any]
type Deed = Callable[[Scene], Awaitable[object]]

STILL_W = 100.0
SOLD_W, FULL_HZ = 3000.0, 0.2


def powers(physics: Physics) -> tuple[float, float]:
    return physics["charger"]["ac_w"], physics["battery"]["power_w"]


def car_off(physics: Physics) -> bool:
    return abs(powers(physics)[0]) < STILL_W


@dataclass(frozen=True)
class Mode:
    """``enter`` leads there, ``wish`` is what the owner asks for, ``holds`` tells from physics that it is so."""

    name: str
    load_w: float
    enter: Deed
    wish: Deed
    holds: Callable[[Physics], bool]
    options: tuple[str, ...] = ()
    stir_w: float = 800.0
    """Somebody switches something on or off: in a house that stands still no meter is found out, and none does harm."""
    remembered: Remembered | None = None
    """What the gateway knows from before."""


async def settle(scene: Scene, **more: Any) -> None:
    """Turn control on, with nothing that the sun or the plan would add."""
    await scene.ask("set_pv", w=0.0)
    garage = {"floor_soc_pct": 20.0, "target_soc_pct": 50.0, "departure": "07:00:00", **more}
    await scene.control(devices={"garage": garage, "battery": {"floor_soc_pct": 10.0, **more}})


async def hold_back(scene: Scene) -> None:
    """Nothing may be discharged, so that nothing happens at all."""
    await settle(scene, discharge_allowed=False)


async def nothing(_: Scene) -> None:
    """It needs no deed."""


def request(mode: str) -> Deed:
    """What the owner asks of the car."""
    return lambda scene: scene.owner.ask("POST", "devices/garage/request", {"mode": mode, "power_w": 6000.0})


async def lose_grid(scene: Scene) -> None:
    """The inverter carries the house alone, and the car is held off."""
    await settle(scene)
    await scene.ask("grid_lost")


async def sell_reserve(scene: Scene) -> None:
    """The battery answers a grid that is a little slow, and the car is left alone."""
    await settle(scene)
    await scene.owner.ask("PATCH", "owner", {"devices": {"garage": {"discharge_allowed": False}}})
    await scene.ask("set_frequency", hz=50.0 - 0.4 * FULL_HZ)
    begins = datetime.now(UTC)
    times = {"starts_at": begins.isoformat(), "ends_at": (begins + timedelta(hours=1)).isoformat()}
    await scene.owner.ask(
        "POST", "reserves", {"product": "fcr", "power_w": SOLD_W, "devices": ["battery"], **times}
    )


MODES = (
    Mode("idle", 400.0, hold_back, nothing, lambda p: max(map(abs, powers(p))) < STILL_W),
    Mode("charging", 1000.0, settle, request("charge_now"), lambda p: powers(p)[0] > 3500.0),
    Mode(
        "discharging",
        8000.0,
        settle,
        request("discharge_now"),
        lambda p: powers(p)[0] < -3500.0 and powers(p)[1] < -500.0,
        stir_w=-1500.0,
    ),
    Mode(
        "islanded", 800.0, lose_grid, nothing, lambda p: p["mains"]["carried"] and car_off(p), ("--backup",)
    ),
    Mode(
        "FCR armed",
        600.0,
        sell_reserve,
        nothing,
        lambda p: -1.2 < powers(p)[1] / (0.4 * SOLD_W) < -0.8 and car_off(p),
        ("--frequency-meter",),
        remembered=Remembered(dynamics={"battery": Dynamics(dead_time_s=0.3, ramp_w_per_s=4000.0, steps=9)}),
    ),
)
