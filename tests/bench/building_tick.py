"""One tick with 500 chargers on nested circuits, every one of them heard anew since the last: what deciding costs."""

import gc
import json
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.config import CircuitTable, ControlTables, GridTable
from gateway.control.loop import Loop
from gateway.fastpath import take_priority
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    MeterSample,
    Need,
    OwnerSettings,
    Setpoint,
    VehicleSample,
    Wishes,
)
from gateway.state import SiteState

CHARGERS, ROWS, PER_BOARD = 500, 5, 20
START = datetime(2026, 11, 25, 9, 0, tzinfo=UTC)
PERIOD_S = 0.1
TICKS = 300
_LOAD = (sys.executable, "-m", "tests.bench.solving")


class _Charger:
    """Takes setpoints and reports that it follows them at once."""

    def __init__(self) -> None:
        self.power_w = 0.0

    def apply(self, setpoint: Setpoint) -> None:
        """Follow."""
        self.power_w = setpoint.power_w


def tables() -> ControlTables:
    """Return a building: a main fuse, five rows below it, five boards of twenty chargers in each row."""
    per_row = CHARGERS // ROWS
    circuits = {f"row{r}": CircuitTable(fuse_a=630.0, within="") for r in range(ROWS)}
    for row in range(ROWS):
        for board in range(per_row // PER_BOARD):
            first = row * per_row + board * PER_BOARD
            names = tuple(f"evse{n:03d}" for n in range(first, first + PER_BOARD))
            circuits[f"board{row}_{board}"] = CircuitTable(fuse_a=160.0, devices=names, within=f"row{row}")
    grid = GridTable(main_fuse_a=400.0, import_limit_w=250_000.0, peak_target_w=200_000.0)
    return ControlTables(grid, circuits, time_zone="Europe/Amsterdam")


def run(*, loaded: bool) -> dict[str, Any]:
    """Measure in a process with the priority that the fast path takes; ``loaded``: while another one solves plans."""
    solving = subprocess.Popen(_LOAD, stdout=subprocess.DEVNULL) if loaded else None
    try:
        told = subprocess.run([sys.executable, "-m", __name__], capture_output=True, text=True, check=True)
        return dict(json.loads(told.stdout))
    finally:
        if solving:
            solving.kill()
            solving.wait()


def measure(ticks: int) -> dict[str, Any]:
    """Return percentiles of the compute time of ``ticks`` ticks, in ms.

    They keep the loop's own rhythm: a process of real time that never rests is stopped by the kernel for 50 ms in each second.
    """
    chargers = {f"evse{n:03d}": _Charger() for n in range(CHARGERS)}
    infos = [DeviceInfo("grid", DeviceKind.METER, "Building", "meter", MeterRole.GRID)]
    infos += [
        DeviceInfo(
            name,
            DeviceKind.EVSE,
            name,
            "evse.quasar",
            phases=(number % 3 + 1,),
            rated=Interval(-7400.0, 7400.0),
            min_charge_w=1380.0,
        )
        for number, name in enumerate(chargers)
    ]
    now = 1000.0
    state = SiteState(infos, lambda: START + timedelta(seconds=now - 1000.0))
    loop = Loop(state, tables(), chargers, monotonic=lambda: now)
    owner = OwnerSettings(True, devices={name: DeviceSettings(floor_soc_pct=30.0) for name in chargers})
    needs = tuple(
        Need(name, 4000.0 + 40.0 * n, START + timedelta(hours=2 + n % 7)) for n, name in enumerate(chargers)
    )
    state.wishes = Wishes(owner, needs=needs)
    spent_ms: list[float] = []
    due = time.monotonic()
    for number in range(ticks + 20):
        now += PERIOD_S
        _hear(state, chargers, now, number)
        time.sleep(max(0.0, due + PERIOD_S * number - time.monotonic()))
        if number == 20:
            gc.collect()
            gc.freeze()
            spent_ms.clear()
        began = time.perf_counter()
        loop.tick(now)
        spent_ms.append(1000.0 * (time.perf_counter() - began))
    ordered = sorted(spent_ms)
    return {
        "tick_500_evse_p50_ms": round(ordered[len(ordered) // 2], 2),
        "tick_500_evse_p99_ms": round(ordered[int(len(ordered) * 0.99)], 2),
    }


def _hear(state: SiteState, chargers: dict[str, _Charger], now: float, number: int) -> None:
    load_w = 120_000.0 + 30_000.0 * ((number // 7) % 3)
    power_w = load_w + sum(c.power_w for c in chargers.values())
    phase = (power_w / 3,) * 3
    state.put("grid", MeterSample(now, power_w, phase, (230.0,) * 3, (power_w / 690.0,) * 3))
    for place, (name, charger) in enumerate(chargers.items()):
        car = VehicleSample(soc_pct=35.0 + place % 60, capacity_wh=36_000.0, discharge_compatible=True)
        state.put(name, EvseSample(now, EvseState.READY, True, charger.power_w, 7400.0, 7400.0, vehicle=car))


if __name__ == "__main__":
    take_priority()
    print(json.dumps(measure(TICKS)))
