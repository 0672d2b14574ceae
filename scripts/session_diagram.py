"""Print the CHAdeMO session table as a Mermaid state diagram, for docs/devices.md."""

import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from gateway.devices.chademo.moment import State
from gateway.devices.chademo.session import TABLE

MOST_LABELS = 3


def diagram() -> str:
    """Return the diagram; more than three ways between two states are shown as their number."""
    ways: dict[tuple[State, State], list[str]] = defaultdict(list)
    for state, rules in TABLE.items():
        for rule in rules:
            ways[state, rule.then].append(rule.label)
    lines = ["stateDiagram-v2", "    [*] --> idle"]
    for (state, then), labels in ways.items():
        shown = ", ".join(labels) if len(labels) <= MOST_LABELS else f"any of {len(labels)} causes"
        lines.append(f"    {state} --> {then}: {shown}")
    return "\n".join(lines)


if __name__ == "__main__":
    print(diagram())
