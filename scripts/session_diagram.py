"""Render the CHAdeMO session's limits of time and its state diagram; with --write into docs/devices.md."""

import sys
from collections import defaultdict
from math import inf
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.devices.chademo.limits import LIMITS, TimeLimit
from gateway.devices.chademo.moment import State
from gateway.devices.chademo.session import TABLE

PAGE = Path(__file__).resolve().parent.parent / "docs" / "devices.md"
BEGIN, END = "<!-- written by scripts/session_diagram.py --write -->\n", "<!-- end -->\n"
MOST_LABELS = 3


def limits() -> str:
    """Return the table of limits in Markdown."""
    head = "| from | to | done by (C) | given up after (T) | otherwise | source |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(_row(limit) for limit in LIMITS)])


def _row(limit: TimeLimit) -> str:
    keep = f"{'≥' if limit.at_least else '≤'} {limit.keep_s:g} s" if limit.keep_s != inf else "–"
    give_up = f"{limit.give_up_s:g} s" if limit.give_up_s != inf else "–"
    return f"| {limit.since} | {limit.until} | {keep} | {give_up} | {limit.then or '–'} | {limit.source} |"


def diagram() -> str:
    """Return the diagram in Mermaid; more than three ways between two states are shown as their number."""
    ways: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, rules in TABLE.items():
        for rule in rules:
            ways[state, rule.then].append(rule.label)
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for (state, then), labels in ways.items():
        shown = ", ".join(labels) if len(labels) <= MOST_LABELS else f"any of {len(labels)} causes"
        lines.append(f"    {state} --> {then}: {shown}")
    return "\n".join(lines)


def generated() -> str:
    """Return what stands between the two marks of the page."""
    return f"{BEGIN}\n{limits()}\n\n```mermaid\n{diagram()}\n```\n\n{END}"


def main() -> None:
    """Print, or write into the page."""
    if "--write" not in sys.argv:
        print(generated())
        return
    before, _, rest = PAGE.read_text(encoding="utf8").partition(BEGIN)
    PAGE.write_text(before + generated() + rest.partition(END)[2], encoding="utf8")


if __name__ == "__main__":
    main()
