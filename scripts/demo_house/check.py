"""Uses the running demo as an owner and a utility would, and tells in figures whether the house does what it should."""

import asyncio
import json
import math
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.async_api import Error as BrowserError

from .chromium import Screen, open_screen
from .dashboard import CAR, URL_PATH
from .entities import SITE
from .home_assistant import DOMAIN
from .processes import DemoError
from .start import EXPECTED, Demo, started
from .utility import Utility

NEAR_ZERO_W = 100.0
LEAST_SHARE_W = 300.0
LOUD = ("WARNING", "ERROR", "CRITICAL")
UNTESTED = "We found a custom integration"
"""Home Assistant says this of every custom integration."""
NUMBERS = ("power", "energy", "charge", "limit", "price", "soc")
DASHBOARD = f"/{URL_PATH}/now"


@dataclass(frozen=True, slots=True)
class Bench:
    """What the checks use, and the figures that they leave."""

    demo: Demo
    screen: Screen
    seconds: float
    figures: dict[str, Any] = field(default_factory=dict)

    def note(self, **figures: float) -> None:
        """Keep figures for the last line."""
        self.figures.update(figures)

    async def truth(self) -> dict[str, Any]:
        """Return the physical truths of the simulated house."""
        return await self.demo.control_port.do("status")

    def entity(self, domain: str, key: str, device: str = SITE) -> str:
        """Return an entity id."""
        return self.demo.catalog.entity_id(domain, key, device)

    async def until_true(self, what: str, true: Callable[[dict[str, Any]], bool], within_s: float) -> float:
        """Wait until the house is so; return how long that took. Raises DemoError with what it is instead."""
        began = time.monotonic()
        while not true(truth := await self.truth()):
            if time.monotonic() - began > within_s:
                raise DemoError(f"{what}: not after {within_s:g} s; {json.dumps(truth)}")
            await asyncio.sleep(0.05)
        return round(time.monotonic() - began, 2)


def number(state: str) -> float:
    """Return the number that a state is, NaN for one that is none."""
    try:
        return float(state)
    except ValueError:
        return math.nan


async def pairing(bench: Bench) -> None:
    """Home Assistant has paired with the gateway through the config flow, and shows its devices."""
    entries = await bench.demo.session.rest("GET", f"config/config_entries/entry?domain={DOMAIN}")
    if not bench.demo.paired_now or [entry["state"] for entry in entries] != ["loaded"]:
        raise DemoError(f"config entries: {entries}")
    bench.note(**{f"{name}_after_s": round(s, 1) for name, s in bench.demo.times_s.items()})


async def entities(bench: Bench) -> None:
    """Every entity that an owner looks for is there, with a number where there should be one."""
    for domain, key, device in EXPECTED:
        plain = {"unavailable"} if domain == "button" else {"unavailable", "unknown"}
        entity_id = bench.entity(domain, key, device)
        state = await bench.demo.session.until(entity_id, lambda state, plain=plain: state not in plain, 30)  # type: ignore[misc]
        wants_number = domain == "number" or (domain == "sensor" and key.endswith(NUMBERS))
        if wants_number and math.isnan(number(state)):
            raise DemoError(f"{entity_id} is no number: {state!r}")
    bench.note(entities=len(bench.demo.catalog))


async def vehicle_to_home(bench: Bench) -> None:
    """Car and battery carry the house; what is left for the grid is near zero, also after the load has jumped."""
    ready = bench.entity("sensor", "charger_state", CAR)
    await bench.demo.session.until(ready, lambda state: state == "ready", 60)
    await bench.demo.control_port.do("set_pv", w=0)
    await bench.demo.control_port.do("set_load", w=2500)
    await asyncio.sleep(0.5)
    settled = await bench.until_true("grid near zero", lambda t: abs(t["house"]["grid_w"]) < NEAR_ZERO_W, 60)
    await bench.demo.control_port.do("set_load", w=4000)
    await asyncio.sleep(0.5)
    after = await bench.until_true("grid near zero", lambda t: abs(t["house"]["grid_w"]) < NEAR_ZERO_W, 30)
    # A battery that is quicker than the car carries a step alone, and the car its share of what lasts for a minute.
    await bench.until_true("the car gives", lambda t: t["converter"]["ac_w"] < -LEAST_SHARE_W, 90)
    await asyncio.sleep(2)
    truth = await bench.truth()
    bench.note(
        v2h_settled_s=settled,
        load_step_settled_s=after,
        v2h_car_w=-round(truth["converter"]["ac_w"]),
        v2h_battery_w=-round(truth["battery"]["power_w"]),
    )


async def grid_near_zero(bench: Bench) -> None:
    """With the recorded load and sun, the grid power stays near zero."""
    for deed in ("set_load", "set_pv"):
        await bench.demo.control_port.do(deed, w=None)
    await asyncio.sleep(3)
    grid_w = []
    for _ in range(round(bench.seconds / 0.25)):
        grid_w.append(abs((await bench.truth())["house"]["grid_w"]))
        await asyncio.sleep(0.25)
    within_pct = 100 * sum(w <= NEAR_ZERO_W for w in grid_w) / len(grid_w)
    bench.note(grid_median_w=round(statistics.median(grid_w)), grid_near_zero_pct=round(within_pct, 1))
    if within_pct < 80:
        raise DemoError(f"only {within_pct:.0f} % of the time within {NEAR_ZERO_W:g} W of zero")


async def click(bench: Bench) -> None:
    """The owner clicks "Charge now" on the dashboard: the current on the wire follows, and Home Assistant shows it."""
    await bench.screen.show(DASHBOARD, "hui-select-options-card-feature")
    await bench.screen.picture("dashboard")
    began = time.monotonic()
    await bench.screen.choose("Leaf in the garage", "Charge now")
    await bench.until_true("the car charges", lambda t: t["converter"]["current_a"] > 5, 20)
    bench.note(click_to_wire_s=round(time.monotonic() - began, 2))
    power = bench.entity("sensor", "battery_power", CAR)
    await bench.demo.session.until(power, lambda state: number(state) < -3000, 30)
    bench.note(click_to_measured_s=round(time.monotonic() - began, 2))
    bench.note(charge_now_w=round((await bench.truth())["converter"]["ac_w"]))
    await bench.demo.session.until(
        bench.entity("sensor", "reason", CAR), lambda state: state == "charge_now", 10
    )
    await bench.screen.picture("dashboard_charge_now")


async def utility_call(bench: Bench) -> None:
    """A utility limits the import: less is drawn, however much the owner wants, and Home Assistant says who asked."""
    limit_w = 3000
    before_w = (await bench.truth())["house"]["grid_w"]
    if before_w < limit_w + 500:
        raise DemoError(f"only {before_w:.0f} W are drawn before the call")
    utility = await Utility.join(bench.demo)
    began = time.monotonic()
    await utility.limit_import(limit_w, minutes=10)
    await bench.until_true(
        "import under the limit", lambda t: t["house"]["grid_w"] < limit_w + NEAR_ZERO_W, 20
    )
    bench.note(call_to_limit_s=round(time.monotonic() - began, 2))
    await bench.demo.session.until(
        bench.entity("binary_sensor", "grid_event"), lambda state: state == "on", 15
    )
    await asyncio.sleep(3)
    after_w = (await bench.truth())["house"]["grid_w"]
    bench.note(import_before_call_w=round(before_w), import_after_call_w=round(after_w))
    if after_w > limit_w + NEAR_ZERO_W:
        raise DemoError(f"{after_w:.0f} W are drawn under a limit of {limit_w} W")
    await bench.screen.picture("dashboard_utility_call")
    await utility.cancel()
    await bench.demo.session.until(
        bench.entity("binary_sensor", "grid_event"), lambda state: state == "off", 15
    )
    await bench.screen.choose("Leaf in the garage", "Automatic")


async def unplugging(bench: Bench) -> None:
    """Unplugging the car is known in Home Assistant within seconds; plugged in again, it carries the house again."""
    plugged = bench.entity("binary_sensor", "plugged", CAR)
    charger = bench.entity("sensor", "charger_state", CAR)
    began = time.monotonic()
    await bench.demo.control_port.do("unplug")
    await bench.demo.session.until(plugged, lambda state: state == "off", 15)
    bench.note(unplug_shown_s=round(time.monotonic() - began, 2))
    await bench.demo.session.until(charger, lambda state: state == "unplugged", 15)
    await bench.demo.control_port.do("plug")
    await bench.demo.session.until(plugged, lambda state: state == "on", 20)
    await bench.demo.session.until(charger, lambda state: state == "ready", 60)


async def pages(bench: Bench) -> None:
    """The pages that an owner opens are drawn."""
    car = bench.demo.catalog.find("sensor", "reason", CAR)
    assert car is not None
    for name, path, drawn in (
        ("device", f"/config/devices/device/{car.device_id}", "ha-device-entities-card"),
        ("integration", f"/config/integrations/integration/{DOMAIN}", "ha-config-entry-row"),
        ("energy", "/energy/overview", "hui-energy-distribution-card"),
    ):
        await bench.screen.show(path, drawn)
        await bench.screen.picture(name)
    if bench.screen.problems:
        raise DemoError(f"errors in the browser: {bench.screen.problems}")


async def quiet_log(bench: Bench) -> None:
    """Home Assistant's log complains about nothing of ours."""
    lines = bench.demo.home_assistant.child.log.read_text(encoding="utf8", errors="replace").splitlines()
    ours = [
        line
        for line in lines
        if DOMAIN in line and any(word in line for word in LOUD) and UNTESTED not in line
    ]
    if ours:
        raise DemoError("\n".join(ours[:5]))


CHECKS: tuple[Callable[[Bench], Awaitable[None]], ...] = (
    pairing, entities, vehicle_to_home, grid_near_zero, click, utility_call, unplugging, pages, quiet_log,
)  # fmt: skip


async def check(folder: Path, seconds: float, pictures: Path | None) -> int:
    """Run the demo and every check in it, and print one line of JSON last; return the exit status."""
    results: dict[str, str] = {}
    async with started(folder, fresh=True) as demo, open_screen(demo.session, pictures) as screen:
        bench = Bench(demo, screen, seconds)
        for one in CHECKS:
            print(f"    {(one.__doc__ or '').splitlines()[0]}", flush=True)
            try:
                await one(bench)
            except (DemoError, BrowserError) as error:
                results[one.__name__] = str(error).splitlines()[0]
                print(f"!!! {one.__name__}: {error}", flush=True)
                await screen.picture(f"failed_{one.__name__}")
            else:
                results[one.__name__] = "ok"
    ok = all(result == "ok" for result in results.values())
    print(json.dumps({"ok": ok, "checks": results, "figures": bench.figures}), flush=True)
    return 0 if ok else 1
