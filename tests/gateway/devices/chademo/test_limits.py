"""The one table of limits: complete, used, and the page is in step with it."""

import importlib.util
import re
from math import inf
from pathlib import Path

from gateway.devices.chademo import limits
from gateway.devices.chademo.limits import LIMITS, TimeLimit

ROOT = Path(__file__).parents[4]
ROOM = ROOT / "gateway" / "devices" / "chademo"
OF_OTHERS = {"CURRENT_END", "VOLTAGE_DEVIATION", "UNPLUGGED"}
"""Kept by what the converter is and how it is ordered; nothing waits for them."""


def script():
    spec = importlib.util.spec_from_file_location("session_diagram", ROOT / "scripts" / "session_diagram.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_table_and_the_diagram_as_they_are():
    shown = (ROOT / "docs" / "devices.md").read_text()
    assert script().generated() in shown, "run: python scripts/session_diagram.py --write"


def test_every_limit_is_in_the_table_and_is_used():
    named = {name: value for name, value in vars(limits).items() if isinstance(value, TimeLimit)}
    assert set(LIMITS) == set(named.values())
    code = "".join(path.read_text() for path in ROOM.glob("*.py") if path.name != "limits.py")
    used = set(re.findall(r"\b([A-Z][A-Z0-9_]+)\)?\.(?:keep_s|give_up_s)|limits\.([A-Z][A-Z0-9_]+)", code))
    assert set(named) - {name for pair in used for name in pair} == OF_OTHERS


def test_no_guard_has_a_number_of_seconds_of_its_own():
    code = (ROOM / "guards.py").read_text()
    assert re.findall(r"(?:age_s|now)[^\n]*[<>]=? *\d", code) == []


def test_every_limit_says_whose_it_is_and_where_it_comes_from():
    for limit in LIMITS:
        assert min(limit.keep_s, limit.give_up_s) < inf
        assert limit.source
        assert limit.since != limit.until
