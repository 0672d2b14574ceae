"""`scripts/bench`: measure what docs/performance.md reports; never asserted, machines are noisy."""

import argparse
import asyncio
import json
import os
import statistics
import sys
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

from . import building_tick
from .fuzz import run as fuzzing
from .loop import measure
from .page import put_section
from .soak import soak

BUDGETS = {
    "tick_lateness_p99_ms": "1 (SCHED_FIFO) / 5",
    "tick_lateness_p999_ms": "5 (SCHED_FIFO) / 25",
    "meter_to_setpoint_p50_ms": "15",
    "meter_to_setpoint_p99_ms": "60",
    "chademo_jitter_p99_ms": "3",
    "chademo_jitter_behind_pty_p99_ms": "-",
    "cpu_pct": "10",
    "rss_mib": "200",
    "start_s": "3",
    "tick_500_evse_p99_ms": "25",
}
OTHERS: dict[str, str] = {
    "building": ".building",
    "frequency": ".frequency",
    "matrix": ".matrix",
    "rivals": ".rivals",
    "starts": ".starts",
    "days": ".days",
    "closed_loop": ".closed_loop",
    "value": ".value",
    "plan": ".plan",
    "forecasts": ".forecasts",
}
"""Benches with a module of their own: ``options(parser)`` adds what they can be told, ``run(arguments)`` returns the figures
and, for --docs, writes its section with ``page.put_section``."""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    top = argparse.ArgumentParser(
        "scripts/bench", description="Measure the gateway against a simulated house on the wire."
    )
    top.add_argument(
        "what",
        nargs="?",
        default="loop",
        choices=["loop", "soak", "fuzz", *OTHERS],
        help="what to measure (default: loop); fuzz: break every parser's input",
    )
    top.add_argument("--seconds", type=float, default=120.0, help="length of one run (default: 120)")
    top.add_argument(
        "--runs", type=int, default=3, help="runs per condition; medians are reported (default: 3)"
    )
    top.add_argument("--json", type=Path, metavar="FILE", help="write the figures there as well")
    top.add_argument(
        "--docs",
        action="store_true",
        help="write docs/performance.md, or docs/reliability.md for fuzz and matrix",
    )
    fuzz = top.add_argument_group("fuzz")
    fuzz.add_argument("--minutes", type=float, default=1.0, help="for each parser (default: 1)")
    fuzz.add_argument("--only", action="append", metavar="NAME", help="this parser alone; may be repeated")
    fuzz.add_argument("--seed", type=int, default=1, help="decides the order of inputs (default: 1)")
    fuzz.add_argument("--jobs", type=int, default=1, help="parsers at a time (default: 1)")
    fuzz.add_argument("--replay", metavar="HEX", help="feed this one input to the parser of --only")
    for name, module in OTHERS.items():
        import_module(module, __package__).options(top.add_argument_group(name))
    return top


def median_of(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the median of each figure."""
    return {key: round(statistics.median(run[key] for run in runs), 3) for key in runs[0]}


def document(figures: dict[str, Any], command: str) -> str:
    """Return the section of docs/performance.md on the loop."""
    loop = figures["loop"]
    rows = [f"| {key} | {budget} | {loop['idle'][key]} | {loop[key]} |" for key, budget in BUDGETS.items()]
    return "\n".join(
        [
            (
                f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores with `{command}`: medians of "
                f"{loop['runs']} runs of {loop['seconds']:.0f} s each."
            ),
            (
                "The simulated house runs on the same machine. *Loaded* means 15 API requests a second, and one core that "
                "solves plans (48 h, two stores, HiGHS) without a pause."
            ),
            "",
            "| figure | budget | idle | loaded |",
            "|---|---|---|---|",
            *rows,
            "",
            "- `tick_lateness`: from the absolute deadline of a timed tick to its beginning.",
            (
                "- `meter_to_setpoint`: from the meter's answer that shows a jump of load to the write of the battery's new "
                "setpoint, both seen by a tap on the TCP connection."
            ),
            (
                "- `chademo_jitter`: deviation of the pause between two 0x109 frames from 100 ms, when they are handed to the CAN "
                "adapter (slcan, so without the kernel's help), measured after the rest while a recorder listens. `_behind_pty`: the "
                "same seen at the other end of the pseudo terminal that stands for the adapter's line; the kernel passes its bytes "
                "on at ordinary priority, so busy cores show in it."
            ),
            "- `cpu_pct` of one core and `rss_mib` (shared pages counted in each process): supervisor, fast path, services.",
            (
                "- `start_s`: from the start of the program until the battery really follows its first setpoint; pairing and "
                "the 1 s proof of the battery's own reversion timer included."
            ),
            (
                "- p99.9 of some 700 ticks a run is close to their maximum. The gateway had SCHED_FIFO; house and taps run with "
                "real-time priority"
            ),
            "  too, below the fast path, as they stand for hardware.",
            (
                "- `tick_500_evse`: computing one whole tick of a building with 500 chargers on three levels of circuits, each "
                "with a fresh sample since the last, each with a departure; *loaded*: while the other core solves plans."
            ),
        ]
    )


def main() -> int:
    """Run the benches; print the figures as JSON."""
    arguments = parser().parse_args()
    if arguments.what == "fuzz":
        return fuzzing.main(arguments)
    if arguments.what in OTHERS:
        return _tell(import_module(OTHERS[arguments.what], __package__).run(arguments), arguments.json)
    if arguments.what == "soak":
        return _tell({"soak": asyncio.run(soak(arguments.seconds))}, arguments.json)
    results: dict[str, list[dict[str, Any]]] = {"idle": [], "loaded": []}
    for number in range(arguments.runs):
        for condition, runs in results.items():
            print(
                f"run {number + 1} of {arguments.runs}, {condition}, {arguments.seconds:g} s …",
                file=sys.stderr,
            )
            loaded = condition == "loaded"
            runs.append(
                asyncio.run(measure(arguments.seconds, loaded=loaded)) | building_tick.run(loaded=loaded)
            )
            print(f"  {json.dumps(runs[-1])}", file=sys.stderr)
    loop = median_of(results["loaded"]) | {"idle": median_of(results["idle"]), "runs": arguments.runs}
    figures = {"loop": loop}
    if arguments.docs:
        command = f"scripts/bench loop --seconds {arguments.seconds:g} --runs {arguments.runs}"
        put_section(Path("docs/performance.md"), "## The loop", document(figures, command))
    return _tell(figures, arguments.json)


def _tell(figures: dict[str, Any], file: Path | None) -> int:
    if file:
        file.write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
