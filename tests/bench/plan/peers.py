"""EMHASS on the same homes, in a virtual environment of its own: an optional guest of the bench, never of the product (MIT).

Its pins and hashes are scripts/locks/emhass.txt; its numpy wants a Python before 3.14.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from ..car_park import ENERGY
from .case import home
from .judge import judge

LOCK, SCRIPT = Path("scripts/locks/emhass.txt"), Path(__file__).with_name("emhass_home.py")
PYTHONS = ">=3.11,<3.14"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "nissan-energy"
PATIENCE_S = 1800.0
NOTHING, LEAST_KWH = 1e-6, 0.01


class Absent(Exception):
    """The peer cannot be had here; the message says why."""


def planned(files: Sequence[Path], runs: int) -> list[dict[str, Any]]:
    """Return how EMHASS does on each file, in each way to say what the car is; raises ``Absent``."""
    command = [_python(), str(SCRIPT.resolve()), str(runs), *(str(file.resolve()) for file in files)]
    print("EMHASS …", file=sys.stderr)
    try:
        done = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd=CACHE, timeout=PATIENCE_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Absent(f"it does not run: {_told(error)}") from error
    return [_judged(json.loads(line)) for line in done.stdout.splitlines() if line.startswith("{")]


def _judged(answer: dict[str, Any]) -> dict[str, Any]:
    case = home(ENERGY / "problems" / answer["file"])
    powers = answer.pop("power_kw")
    verdict = judge(case, {name: np.array(power) for name, power in powers.items()})
    figures = answer | {
        "minutes": round(60 * float(case.hours[0])),
        "cost": verdict.cost,
        "clipped_kwh": round(verdict.clipped_kwh, 3),
        "short_kwh": round(verdict.short_kwh, 3),
    }
    print(f"  {json.dumps(figures)}", file=sys.stderr)
    return figures


def never_worse(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> bool:
    """Tell whether none of their schedules costs less than ours of the same file."""
    cost = {home["file"]: home["cost"] for home in ours}
    return all(cost[peer["file"]] <= peer["cost"] + NOTHING for peer in theirs)


def _python() -> str:
    """Return the Python that has EMHASS; made at the first call (some 90 packages), kept in the cache."""
    venv = CACHE / f"emhass-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
    python, ready = venv / "bin" / "python", venv / "ready"
    if ready.exists() and python.exists():
        return str(python)
    print("Installing EMHASS into the cache, about a minute …", file=sys.stderr)
    uv, lock = _uv(), str(LOCK.resolve())
    _quietly(uv, "venv", "-q", "--clear", "--python", PYTHONS, str(venv))
    _quietly(uv, "pip", "sync", "-q", "--require-hashes", "--python", str(python), lock)
    ready.touch()
    return str(python)


def _uv() -> str:
    found = [str(path) for path in sorted(CACHE.glob("bootstrap-uv-*/bin/uv"))] or [shutil.which("uv")]
    if found[-1] is None:
        raise Absent("there is no uv; scripts/setup installs it")
    return found[-1]


def _quietly(*command: str) -> None:
    """Run uv in the cache, where no file pins another Python."""
    CACHE.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"UV_HTTP_RETRIES": "0", "UV_COMPILE_BYTECODE": "1"}
    try:
        subprocess.run(
            command,
            check=True,
            capture_output=True,
            text=True,
            cwd=CACHE,
            env=environment,
            timeout=PATIENCE_S,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Absent(f"it cannot be installed: {_told(error)}") from error


def _told(error: Exception) -> str:
    """Return the line that says what went wrong: uv's own, else the last of a traceback."""
    lines = (getattr(error, "stderr", None) or str(error)).strip().splitlines() or [repr(error)]
    return next((line for line in lines if line.startswith("error")), lines[-1]).strip()


def document(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]], command: str) -> str:
    """Return the section of docs/performance.md."""
    by_way = {way: {p["file"]: p for p in theirs if p["way"] == way} for way in ("loads", "batteries")}
    lines = [
        f"Measured {datetime.now(UTC):%Y-%m-%d} with `{command}`; each time the best of its runs, on the same files and by the same judge as above.",
        "",
        (
            "| home, 48 h | step, min | least | ours | gap, % | ours, ms | EMHASS, car as loads | gap, % | build and solve, s | "
            "again, s | EMHASS, car as a battery | kWh it cannot do | kWh short |"
        ),
        "|---|---|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for us in ours:
        loads, pack = (by_way[way][us["file"]] for way in ("loads", "batteries"))
        gap = 100 * (loads["cost"] - us["least"]) / abs(us["least"])
        lines.append(
            f"| {us['file'][5:15]} | {us['minutes']} | {us['least']:.4f} | {us['cost']:.4f} | {us['gap_pct']:.4f} | "
            f"{1000 * us['solve_s']:.1f} | {loads['cost']:.4f} | {gap:+.1f} | {loads['solve_s']:.2f} | {loads['again_s']:.2f} | "
            f"{pack['cost']:.4f} | {pack['clipped_kwh']:.1f} | {pack['short_kwh']:.1f} |"
        )
    return "\n".join([*lines, "", *_claims(ours, theirs), NOTES])


def _claims(ours: Sequence[dict[str, Any]], theirs: Sequence[dict[str, Any]]) -> list[str]:
    least, own = (sum(h[key] for h in ours) for key in ("least", "cost"))
    loads = sum(p["cost"] for p in theirs if p["way"] == "loads")
    worse = "is never worse" if never_worse(ours, theirs) else "IS WORSE ON SOME FILE"
    told = (
        f"- Over all files ours costs {own:.4f}, EMHASS with the car as loads {loads:.4f}, the least is {least:.4f}: "
        f"{100 * (own / least - 1):.3f} % and {100 * (loads / least - 1):.1f} % above it. Our schedule {worse} than EMHASS's."
    )
    broken = sum(p["clipped_kwh"] + p["short_kwh"] for p in theirs if p["way"] == "loads")
    kept = (
        "as loads its schedules break no bound"
        if broken < LEAST_KWH
        else f"as loads they break {broken:.2f} kWh"
    )
    return [
        told,
        f"- Of EMHASS's schedules {kept}; with the car as a battery the last two columns say what cannot be done.",
    ]


NOTES = """\
- EMHASS 0.18.7 (MIT), its own defaults with a MIP gap of 0, costfun `profit`, called as `Optimization.perform_dayahead_forecast_optim`. *Again*: the
  same object solved once more, as its running service does. *kWh it cannot do*: set-points that the hardware refuses; such a schedule is not a plan.
- It has no word for a car that comes, goes and feeds back. *As loads*: each stay is a deferrable load for what the next departure lacks, so the car never
  gives anything back, and what it buys is fixed. *As a battery*: one that never leaves, ends with the energy of its journeys beside what is wanted at
  the end, and knows no departure: a target in between is one time and one share for all its batteries, and its day-ahead call does not take it.
- What a battery may give it limits at the cell: its limit is set so that the inverter's is the file's. A price on what lacks at a departure
  or above the import limit has no counterpart; both are hard there.
- It runs in an environment of its own that the first run makes in the cache (Python 3.11 to 3.13); the product does not depend on it."""
