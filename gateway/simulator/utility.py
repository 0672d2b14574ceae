"""A utility that sends calls and collects reports, over OpenADR 3.1; it speaks from its own tables.

python -m gateway.simulator.utility --url https://house:8444/openadr3/3.1.0 --client-id … --client-secret … --fingerprint …
    limit --import-kw 3 --minutes 5
"""

import argparse
import asyncio
import json
import ssl
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

import aiohttp

PROGRAM_NAME = "simulated-utility"


class Declined(Exception):
    """The gateway was not reached, or refused; the text is its answer."""


class Utility:
    """One session with a VTN; an async context manager. Methods raise Declined."""

    def __init__(
        self, url: str, client_id: str, client_secret: str, trust: ssl.SSLContext | aiohttp.Fingerprint | bool
    ) -> None:
        self._url = url.rstrip("/")
        self._credentials = {"client_id": client_id, "client_secret": client_secret}
        self._trust = trust
        self._headers: dict[str, str] = {}

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10))
        try:
            await self._log_in()
        except BaseException:
            await self._session.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._session.close()

    async def call(
        self, payloads: Mapping[str, float], start: datetime, length: timedelta, **more: Any
    ) -> str:
        """Send a call of one interval and ask for a USAGE report; return its id. ``more`` are further fields of the event."""
        event = {
            "programID": await self._program(),
            "intervalPeriod": {
                "start": start.astimezone(UTC).isoformat(),
                "duration": f"PT{length.total_seconds():.0f}S",
            },
            "intervals": [
                {"id": 0, "payloads": [{"type": t, "values": [value]} for t, value in payloads.items()]}
            ],
            "payloadDescriptors": [_kilowatts(t) for t in payloads if t != "SIMPLE"],
            "reportDescriptors": [{"payloadType": "USAGE", "units": "KWH"}],
            **more,
        }
        return str((await self._ask("POST", "/events", json=event))["id"])

    async def cancel(self, event_id: str) -> None:
        """Withdraw a call."""
        await self._ask("DELETE", f"/events/{event_id}")

    async def events(self) -> list[dict[str, Any]]:
        """Return this utility's calls as they are stored."""
        return list(await self._ask("GET", "/events"))

    async def reports(self, event_id: str | None = None) -> list[dict[str, Any]]:
        """Return the reports on one call, or on all."""
        return list(await self._ask("GET", "/reports", params={"eventID": event_id} if event_id else {}))

    async def _log_in(self) -> None:
        token_url = (await self._ask("GET", "/auth/server"))["tokenURL"]
        grant = {"grant_type": "client_credentials", **self._credentials}
        token = await self._ask("POST", token_url, data=grant)
        self._headers = {"Authorization": f"Bearer {token['access_token']}"}

    async def _program(self) -> str:
        for program in await self._ask("GET", "/programs"):
            if program["programName"] == PROGRAM_NAME:
                return str(program["id"])
        return str((await self._ask("POST", "/programs", json={"programName": PROGRAM_NAME}))["id"])

    async def _ask(self, method: str, path: str, **more: Any) -> Any:
        url = path if path.startswith("http") else self._url + path
        try:
            async with self._session.request(
                method, url, ssl=self._trust, headers=self._headers, **more
            ) as answer:
                body = await answer.json(content_type=None)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise Declined(f"{method} {url}: {error}") from error
        if answer.status >= 400:
            raise Declined(f"{method} {url}: {answer.status} {body}")
        return body


def _kilowatts(payload_type: str) -> dict[str, str]:
    return {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": payload_type, "units": "KW"}


def _payloads(arguments: argparse.Namespace) -> dict[str, float]:
    match arguments.do:
        case "limit":
            asked = {
                "IMPORT_CAPACITY_LIMIT": arguments.import_kw,
                "EXPORT_CAPACITY_LIMIT": arguments.export_kw,
            }
            return {kind: kw for kind, kw in asked.items() if kw is not None}
        case "dispatch":
            return {"DISPATCH_SETPOINT": arguments.kw}
        case _:
            return {"SIMPLE": arguments.level}


def _arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m gateway.simulator.utility", description="A utility that calls a gateway."
    )
    parser.add_argument("--url", required=True, help="base address of the VTN, with /openadr3/3.1.0")
    parser.add_argument("--client-id", required=True)
    parser.add_argument("--client-secret", required=True)
    trust = parser.add_mutually_exclusive_group()
    trust.add_argument("--fingerprint", help="SHA-256 of the gateway's certificate, in hex")
    trust.add_argument("--insecure", action="store_true", help="trust any certificate")
    todo = parser.add_subparsers(dest="do", required=True)
    limit = todo.add_parser("limit", help="limit what the site draws or feeds")
    limit.add_argument("--import-kw", type=float)
    limit.add_argument("--export-kw", type=float)
    dispatch = todo.add_parser("dispatch", help="ask for a site power; negative feeds the grid")
    dispatch.add_argument("--kw", type=float, required=True)
    shed = todo.add_parser("shed", help="ask for less load, level 0 to 3")
    shed.add_argument("--level", type=int, required=True)
    for call in (limit, dispatch, shed):
        call.add_argument("--minutes", type=float, default=15.0)
        call.add_argument("--start-in", type=float, default=0.0, help="seconds from now")
        call.add_argument("--priority", type=int)
        call.add_argument("--name", default="")
    todo.add_parser("cancel", help="withdraw a call").add_argument("event_id")
    todo.add_parser("reports", help="print the reports").add_argument("event_id", nargs="?")
    todo.add_parser("events", help="print the calls")
    arguments = parser.parse_args(argv)
    if arguments.do == "limit" and arguments.import_kw is None and arguments.export_kw is None:
        parser.error("limit: give --import-kw or --export-kw")
    return arguments


def _trust(arguments: argparse.Namespace) -> aiohttp.Fingerprint | bool:
    if arguments.fingerprint:
        return aiohttp.Fingerprint(bytes.fromhex(arguments.fingerprint.replace(":", "")))
    return not arguments.insecure


async def _do(arguments: argparse.Namespace) -> Any:
    trust = _trust(arguments)
    async with Utility(arguments.url, arguments.client_id, arguments.client_secret, trust) as utility:
        match arguments.do:
            case "cancel":
                await utility.cancel(arguments.event_id)
                return {"cancelled": arguments.event_id}
            case "reports":
                return await utility.reports(arguments.event_id)
            case "events":
                return await utility.events()
        start = datetime.now(UTC) + timedelta(seconds=arguments.start_in)
        length = timedelta(minutes=arguments.minutes)
        more = {"eventName": arguments.name or None, "priority": arguments.priority}
        return {"event_id": await utility.call(_payloads(arguments), start, length, **more)}


def main(argv: list[str] | None = None) -> int:
    """Do one thing, print the answer as JSON; 1 when the gateway declined."""
    arguments = _arguments(sys.argv[1:] if argv is None else argv)
    try:
        answer = asyncio.run(_do(arguments))
    except Declined as declined:
        sys.stderr.write(f"{declined}\n")
        return 1
    sys.stdout.write(f"{json.dumps(answer)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
