"""Every mishap in every mode, told on the wire by tests/gateway/scenarios/test_fault_matrix.py; its times as a page."""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .page import put_section

PAGE = Path("docs/reliability.md")
STORY = "tests/gateway/scenarios/test_fault_matrix.py"
FIGURES = "FAULT_MATRIX_FIGURES"

WORDS = """\
A simulated house and a real gateway per mode, as programs on the wire; each mishap strikes while the mode runs, somebody
switches on 800 W, and the mishap heals. A cell is *seconds until the safe state / longest time in one piece beyond a limit of
the connection* (main fuse per phase, import, export; the inverter's own on an island). The judge of the limits sits in the
simulator, reads its physics and no meter, and allows 1 %. The run fails when a limit is passed for more than 6 s, when the safe
state is not reached in time, when a loss or a return is not told by exactly one line of the log, or when the ledger is damaged
or one of its totals falls.

*Safe* is, for a grid meter that is silent or lies: no discharge, and at most 1.5 kW drawn; for a charger or an inverter: it is
off; for disk, clock, plan and a second master it is no event for the house: the time is until the fault is told. A meter that
was turned round is found by the moves of our own devices, so the time is that until it is told; the limits hold meanwhile. A
dash: nobody can notice, as nothing is asked of the device in that mode, or its power follows the frequency and not the meter;
only the limits count then. While the fast path is dead nobody switches anything on: nobody would answer, and a charger keeps what
was ordered until its own lease ends. *FCR armed*: the battery has sold 3 kW and answers a grid at 49.92 Hz. Both changes to and from summer time are proven by
`tests/gateway/test_clock.py`: the gateway counts in UTC, so they are no event.
"""


def options(group: argparse._ArgumentGroup) -> None:
    """Add what the bench can be told: nothing."""
    del group


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    """Tell the stories and return their figures; with --docs also write the page. Raises CalledProcessError."""
    with tempfile.TemporaryDirectory() as folder:
        figures = Path(folder) / "figures.json"
        command = (sys.executable, "-m", "pytest", "-q", "-p", "no:homeassistant", STORY)
        subprocess.run(command, check=True, env={**os.environ, FIGURES: str(figures)}, stdout=sys.stderr)
        told: dict[str, dict[str, list[float] | None]] = json.loads(figures.read_text(encoding="utf-8"))
    if arguments.docs:
        put_section(PAGE, "## Fault matrix", section(told))
    return {"matrix": told}


def section(told: dict[str, dict[str, list[float] | None]]) -> str:
    """Return the matrix as text; ``told`` is mode → mishap → (time to safe, longest breach) in s, None for a dash."""
    modes = list(told)
    mishaps = list(dict.fromkeys(name for results in told.values() for name in results))
    worst_s = max(cell[1] for results in told.values() for cell in results.values() if cell)
    rows = [f"| {name} | {' | '.join(_cell(told[mode].get(name)) for mode in modes)} |" for name in mishaps]
    return "\n".join(
        (
            f"Measured {datetime.now(UTC):%Y-%m-%d} on {os.cpu_count()} cores with `scripts/bench matrix --docs`.",
            f"The longest time beyond any limit was {worst_s:.1f} s.",
            "",
            WORDS,
            f"| mishap | {' | '.join(modes)} |",
            f"|---|{'---|' * len(modes)}",
            *rows,
            "",
        )
    )


def _cell(figures: list[float] | None) -> str:
    return "-" if figures is None else f"{figures[0]:.1f} / {figures[1]:.1f}"
