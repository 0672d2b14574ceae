"""The description is the table, and the page in docs is the description."""

import json
import re
from pathlib import Path

from gateway.api.answers import Answers
from gateway.api.openapi import document, page, problems_of
from gateway.api.problems import PROBLEMS
from gateway.api.routes import ROUTES

PAGE = Path(__file__).parents[3] / "docs" / "api.md"


def test_every_reference_leads_somewhere():
    described = document("0.1.0")
    named = set(re.findall(r"#/components/schemas/(\w+)", json.dumps(described)))
    assert named <= set(described["components"]["schemas"])
    assert {"MeterSample", "StorageSample", "EvseSample", "SiteView", "Problem"} <= named


def test_every_route_is_described_and_answered():
    described = document("0.1.0")
    for route in ROUTES:
        operation = described["paths"][route.path][route.method.lower()]
        assert operation["operationId"] == route.name
        assert str(route.status) in operation["responses"]
        assert route.name == "ws" or hasattr(Answers, route.name)
    assert len({route.name for route in ROUTES}) == len(ROUTES)


def test_every_problem_has_a_place_and_a_4xx_or_5xx_status():
    used = {code for route in ROUTES for code in problems_of(route)} | {"not_found", "method_not_allowed"}
    assert used == set(PROBLEMS)
    assert all(400 <= status < 600 for status, _ in PROBLEMS.values())


def test_query_parameters_carry_their_wire_names():
    history = document("0.1.0")["paths"]["/v1/history"]["get"]
    assert {p["name"]: p["required"] for p in history["parameters"]} == {
        "device": True,
        "from": False,
        "to": False,
        "limit": False,
    }


def test_docs_are_not_stale():
    assert PAGE.read_text() == page(), "run: python -m gateway.api.openapi > docs/api.md"
