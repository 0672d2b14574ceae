"""The command line of `check`; nothing that touches a wire is imported before it runs."""

import argparse
import asyncio
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config import load


def between(low: float, high: float) -> Callable[[str], float]:
    """Return what argparse reads a number of this range with."""

    def number(text: str) -> float:
        if not low <= float(text) <= high:
            raise argparse.ArgumentTypeError(f"write {low:g} to {high:g}")
        return float(text)

    return number


ABOUT = (
    "Without --connect nothing is touched. With it every device is read, none is commanded.\n"
    "--prove moves a little power on purpose, with the gateway stopped, and keeps the results: sign and\n"
    "phase of every device on the grid meter, and how soon each is at 0 W when the gateway dies.\n"
    "Exit status: 0 all is well · 1 something failed or does not answer · 2 site.toml cannot be run, or a\n"
    "gateway runs on it · 3 with --prove: nothing failed, but not all that was asked for is proven."
)
ENDED_EARLY = 130
OPTIONS: tuple[tuple[str, Mapping[str, Any]], ...] = (
    ("--connect", {"action": "store_true", "help": "connect to the devices and show what they say"}),
    (
        "--seconds",
        {"type": between(1, 3600), "default": 5.0, "metavar": "S", "help": "how long to listen (default: 5)"},
    ),
    ("--prove", {"action": "store_true", "help": "prove wiring and fail-safe; asks before it begins"}),
    (
        "--device",
        {"action": "append", "default": [], "metavar": "ID", "help": "prove this one only; may be repeated"},
    ),
    (
        "--watts",
        {
            "type": between(300, 11_000),
            "default": 1500.0,
            "metavar": "W",
            "help": "size of a step (default: 1500)",
        },
    ),
    ("--yes", {"action": "store_true", "help": "begin without asking; skips what needs a person"}),
    (
        "--fuse-guard",
        {
            "choices": ("gateway", "charger", "installation"),
            "default": "",
            "help": "who keeps the main fuse while the charger charges",
        },
    ),
    ("--json", {"action": "store_true", "help": "the report as JSON; progress goes to standard error"}),
    ("--report", {"type": Path, "metavar": "FILE", "help": "write the installer's commissioning pack"}),
)


def run(arguments: argparse.Namespace) -> int:
    """Check, and return the exit status."""
    from gateway.commissioning.check import Request, ask_at_terminal, check
    from gateway.commissioning.prove import Wanted
    from gateway.commissioning.stepping import Pace

    if not arguments.prove and (arguments.device or arguments.yes or arguments.fuse_guard):
        print("check: --device, --yes and --fuse-guard belong to --prove", file=sys.stderr)  # noqa: T201
        raise SystemExit(2)
    wanted = Wanted(tuple(arguments.device), arguments.fuse_guard, Pace(step_w=arguments.watts))
    request = Request(
        listen_s=arguments.seconds if arguments.connect else 0.0,
        prove=wanted if arguments.prove else None,
        agreed=arguments.yes,
        as_json=arguments.json,
        report=arguments.report,
    )
    work = check(load(arguments.site), request, partial(print, flush=True), ask_at_terminal)
    try:
        return asyncio.run(work)
    except asyncio.CancelledError:
        return ENDED_EARLY
