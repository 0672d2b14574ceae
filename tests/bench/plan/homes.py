"""Home problems by the path of `gateway plan`, beside the exact optimum."""

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from gateway.planning import plan_command

from .case import home
from .judge import judge
from .reference import least_cost


def planned(files: Sequence[Path], runs: int) -> list[dict[str, Any]]:
    """Return the figures of each file."""
    return [_planned(file, max(runs, 3)) for file in files]


def _planned(file: Path, runs: int) -> dict[str, Any]:
    case = home(file)
    arguments = argparse.Namespace(problem=file, within_s=5.0, json=True)
    answers = [json.loads(plan_command.answer(arguments)) for _ in range(runs)]
    powers = {name: np.array(device["power_w"]) / 1e3 for name, device in answers[-1]["devices"].items()}
    verdict, least = judge(case, powers), least_cost(case, exact=True)
    figures = {
        "file": file.name,
        "minutes": round(60 * float(case.hours[0])),
        "cost": verdict.cost,
        "least": least,
        "gap_pct": 100 * (verdict.cost - least) / abs(least),
        "solve_s": min(answer["seconds"] for answer in answers),
        "binaries": answers[-1]["binaries"],
        "short_kwh": verdict.short_kwh,
        "clipped_kwh": verdict.clipped_kwh,
    }
    print(f"  {json.dumps(figures)}", file=sys.stderr)
    return figures


def gap_pct(found: Sequence[dict[str, Any]]) -> float:
    """Return by how much all together are above the optimum."""
    least = sum(h["least"] for h in found)
    return round(100 * (sum(h["cost"] for h in found) - least) / abs(least), 5)
