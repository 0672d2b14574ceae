"""The API's description, made from the table of routes: OpenAPI 3.1, and docs/api.md.

``python -m gateway.api.openapi > docs/api.md`` writes the page anew.
"""

import re
import sys
from collections.abc import Iterator
from typing import Any

import msgspec

from gateway.api.problems import PROBLEMS, Problem
from gateway.api.routes import ALLOWED, ROUTES, Permission, Route
from gateway.api.schema import API_VERSION
from gateway.model import EvSample, EvseSample, LoadSample, MeterSample, StorageSample

REFERENCE = "#/components/schemas/{name}"
EVERYWHERE = ("bad_request", "too_many_requests", "internal_error", "unavailable", "timed_out")
SAMPLES = (
    MeterSample,
    StorageSample,
    EvseSample,
    EvSample,
    LoadSample,
)  # DeviceView.sample refers to them by name

type Json = dict[str, Any]


def problems_of(route: Route) -> tuple[str, ...]:
    """Return the codes of all problems that ``route`` may answer with, by status."""
    codes = {*route.problems, *EVERYWHERE}
    if route.permission is not Permission.PUBLIC:
        codes |= {"unauthorized", "forbidden"}
    if route.body is not None:
        codes |= {"malformed_json", "body_too_large"}
    if route.body is not None or route.query is not None:
        codes.add("invalid_request")
    if "{" in route.path or route.method != "GET":
        codes.add("refused")
    return tuple(sorted(codes, key=lambda code: (PROBLEMS[code][0], code)))


def document(sw_version: str) -> Json:
    """Return the OpenAPI 3.1 document."""
    schemas, components = _schemas()
    paths: Json = {}
    for route in ROUTES:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, schemas, components)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Nissan Energy gateway",
            "version": f"{API_VERSION}",
            "description": f"Served by gateway {sw_version}.",
        },
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
    }


def _schemas() -> tuple[dict[Any, Json], Json]:
    """Return the schema of every type in the table, and the components that these refer to."""
    types = list(
        dict.fromkeys([Problem, *SAMPLES, *(t for r in ROUTES for t in (r.answer, r.body, r.query) if t)])
    )
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    return dict(zip(types, schemas, strict=True)), dict(components)


def _operation(route: Route, schemas: dict[Any, Json], components: Json) -> Json:
    operation: Json = {
        "operationId": route.name,
        "summary": route.summary,
        "responses": dict(_responses(route, schemas)),
    }
    if parameters := [*_path_parameters(route), *_query_parameters(route, schemas, components)]:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {
            "required": True,
            "content": _content("application/json", schemas[route.body]),
        }
    if route.permission is not Permission.PUBLIC:
        operation["security"] = [{"token": []}]
        operation["x-roles"] = roles_of(route)
    return operation


def roles_of(route: Route) -> list[str]:
    """Return the roles that may use ``route``."""
    return [str(role) for role, allowed in ALLOWED.items() if route.permission in allowed]


def _path_parameters(route: Route) -> Iterator[Json]:
    for name in re.findall(r"{(\w+)}", route.path):
        yield {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
    if "idempotency_key_reused" in route.problems:
        yield {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string", "maxLength": 128}}


def _query_parameters(route: Route, schemas: dict[Any, Json], components: Json) -> Iterator[Json]:
    if route.query is None:
        return
    schema = components[schemas[route.query]["$ref"].rpartition("/")[2]]
    for name, part in schema["properties"].items():
        yield {"name": name, "in": "query", "required": name in schema.get("required", ()), "schema": part}


def _responses(route: Route, schemas: dict[Any, Json]) -> Iterator[tuple[str, Json]]:
    good: Json = {"description": "Done" if route.answer is None else "The answer"}
    if route.answer is not None:
        good["content"] = _content("application/json", schemas[route.answer])
    yield str(route.status), good
    by_status: dict[int, list[str]] = {}
    for code in problems_of(route):
        by_status.setdefault(PROBLEMS[code][0], []).append(code)
    for status, codes in by_status.items():
        yield (
            str(int(status)),
            {
                "description": ", ".join(codes),
                "content": _content("application/problem+json", schemas[Problem]),
            },
        )


def _content(media: str, schema: Json) -> Json:
    return {media: {"schema": schema}}


INTRODUCTION = """# The API of the gateway

<!-- Written by `python -m gateway.api.openapi`; change gateway/api/routes.py instead. -->

HTTPS on one port, all paths under `/v1`, bodies in JSON. The certificate is self-signed and made once: a client pins the
SHA-256 of it, which mDNS (`_nissan-energy._tcp.local.`), `/v1/info` and the pairing answer tell. Every other path wants
`Authorization: Bearer <token>`. Power into a device, and from the grid into the site, is positive; units are in the
names; times are RFC 3339 in UTC. Energy counters are lifetime values that never fall.

**Pairing.** While nobody is paired the gateway shows a six-digit code on its console and in `state_dir/pairing_code`;
`python -m gateway pair site.toml` shows one for ten minutes later on. The code works once. Five wrong ones close it.

**Stream.** `/v1/ws` says `hello` (with the version), then `snapshot` with the whole state, then `change` messages at
most twice a second: each key in `set` replaces that key of the state (`"plan"`) or that entry of devices, vehicles, decisions,
equipment, control, urgencies and dynamics (`"devices.garage"`, `"control.backup"`); `removed` lists entries that are gone. Ages and times of measurement alone make no change. When
nothing changes for 5 s comes a `heartbeat`: three missed ones mean that the gateway is gone. A device that does not
answer stays in the state with `"available": false`; only `removed` means that it was taken away. Close code 4401 means
that the token was withdrawn, 1001 that the gateway stops; a client that reads nothing for 10 s is cut off.

**Limits.** 64 KiB per body, 20 requests per second of one address after the first 60, 16 streams, 10 s per answer.
"""


def page() -> str:
    """Return docs/api.md."""
    lines = [
        INTRODUCTION,
        "## Paths",
        "",
        "| path | what | roles | body or query | answer |",
        "|---|---|---|---|---|",
    ]
    for route in ROUTES:
        roles = "anybody" if route.permission is Permission.PUBLIC else ", ".join(roles_of(route))
        asked = _type_name(route.body or route.query) if route.body or route.query else ""
        answer = f"{route.status} {_type_name(route.answer) if route.answer else ''}".strip()
        lines.append(f"| `{route.method} {route.path}` | {route.summary} | {roles} | {asked} | {answer} |")
    lines += ["", "## Problems", "", "Every error is `application/problem+json` with a stable `code`.", ""]
    lines += ["| status | code | meaning |", "|---|---|---|"]
    lines += [f"| {int(status)} | `{code}` | {text} |" for code, (status, text) in PROBLEMS.items()]
    lines += [
        "",
        "## Types",
        "",
        "A `?` marks what may be left out. `/v1/openapi.json` says the same for programs.",
        "",
    ]
    lines += [line for name, schema in sorted(_schemas()[1].items()) for line in _type_lines(name, schema)]
    return "\n".join(lines)


def _type_lines(name: str, schema: Json) -> Iterator[str]:
    yield f"**{name}**: {' | '.join(f'`{v}`' for v in schema['enum'])}" if "enum" in schema else f"**{name}**"
    if "enum" not in schema:
        yield ": " + " ".join(schema.get("description", "").replace("``", "`").split())
    yield ""
    for field, part in schema.get("properties", {}).items():
        yield f"- `{field}{'' if field in schema.get('required', ()) else '?'}`: {_short(part)}"
    yield ""


def _short(schema: Json) -> str:
    """Return a schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"].rpartition("/")[2])
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return " or ".join(_short(s) for s in schema[choice])
    if isinstance(schema.get("items"), dict):
        return f"list of {_short(schema['items'])}"
    if isinstance(inner := schema.get("additionalProperties"), dict):
        return f"map of id to {_short(inner)}"
    return str(schema.get("format", schema.get("type", "any")))


def _type_name(kind: Any) -> str:
    if isinstance(kind, type) and not hasattr(kind, "__args__"):
        return f"`{kind.__name__}`"
    if getattr(kind, "__origin__", None) is dict:
        return f"map of id to {_type_name(kind.__args__[1])}"
    inner = ", ".join(_type_name(k) for k in kind.__args__ if k is not type(None))
    return f"list of {inner}" if getattr(kind, "__origin__", None) is list else f"{inner} or null"


if __name__ == "__main__":
    sys.stdout.write(page())
