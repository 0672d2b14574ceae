"""The room as the services see it: what holds, what the owner sees, who may call; and the task that serves and reports."""

import asyncio
import logging
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from aiohttp import web

from gateway.demand_response.arbiter import REMEMBERED, Call, Consent, Reading, events, prices, read, windows
from gateway.demand_response.openadr3.objects import Program, parse_event, parse_program
from gateway.demand_response.reports import (
    OPERATING_STATE,
    USAGE,
    Body,
    UsageWh,
    refusal_report,
    usage_due,
    usage_report,
)
from gateway.demand_response.store import Kind, Store, StoredObject, Unstorable, Utility
from gateway.demand_response.vtn import BASE_PATH, Vtn
from gateway.faults import ConfigError, Misuse
from gateway.model import GridEvent, GridWindow, PriceSlot

LOGGER = logging.getLogger(__name__)

_WATCH_PERIOD_S = 1.0
_ANY_ADDRESS = ("", "0.0.0.0", "::")  # noqa: S104 - recognised, not bound


class DemandResponse:
    """Utilities' calls from the wire to windows. ``changed`` is called when ``windows`` or ``events`` would answer anew.

    ``usage_wh`` gives the site's imported energy between two instants, None while it is not known. ``host`` is the name under
    which utilities reach us: by default ``bind``, or this machine's name when that is any address.
    """

    def __init__(
        self,
        state_dir: Path,
        tls: ssl.SSLContext | None,
        bind: str,
        port: int,
        usage_wh: UsageWh,
        changed: Callable[[], None],
        *,
        host: str = "",
        utc: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = Store(state_dir)
        self._tls = tls
        self._bind = bind
        self._port = port
        self._host = host or (socket.gethostname() if bind in _ANY_ADDRESS else bind)
        self._usage_wh = usage_wh
        self._changed = changed
        self._utc = utc
        self._market_allowed = True
        self._readings: dict[str, Reading] = {}
        self._reports = {
            (stored.parent, str(stored.body.get("reportName"))): stored
            for stored in self._store.all_of(Kind.REPORT, utc())
        }
        self._finished: dict[str, Reading] = {}
        self._consent = Consent()
        self._seen: object = None
        self._load()

    @property
    def vtn_url(self) -> str:
        """The base address to hand to a utility; the port is known once ``run`` serves."""
        scheme = "http" if self._tls is None else "https"
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{scheme}://{host}:{self._port}{BASE_PATH}"

    async def run(self) -> None:
        """Serve utilities and write reports until cancelled. Raises ConfigError when the port cannot be had."""
        app = Vtn(self._store, self._stored, self._utc).application()
        runner = web.AppRunner(app, access_log=None, handle_signals=False)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._bind, self._port, ssl_context=self._tls, shutdown_timeout=1.0)
            try:
                await site.start()
            except OSError as error:
                raise ConfigError(
                    f"demand_response.port: cannot listen on {self._bind}:{self._port}: {error}"
                ) from None
            self._port = runner.addresses[0][1]
            LOGGER.info("utilities are served at %s", self.vtn_url)
            while True:
                self.watch()
                await asyncio.sleep(_WATCH_PERIOD_S)
        finally:
            await runner.cleanup()

    def close(self) -> None:
        """Close the file, after ``run`` has ended."""
        self._store.close()

    def windows(self, utc: datetime) -> tuple[GridWindow, ...]:
        """Return what holds at ``utc`` and in the 48 h after; ask again at least every few minutes."""
        return windows(self._readings.values(), self._consent, utc)

    def prices(self, utc: datetime) -> tuple[PriceSlot, ...]:
        """Return the prices that are called, now and in the next 48 h."""
        return prices(self._readings.values(), self._consent, utc)

    def events(self, utc: datetime) -> tuple[GridEvent, ...]:
        """Return the calls that the owner sees, with their status at ``utc``."""
        return events(self._readings.values(), self._consent, utc)

    def utilities(self) -> tuple[Utility, ...]:
        """Return who may call."""
        return self._store.utilities()

    def add_utility(self, name: str) -> tuple[str, str]:
        """Let a utility call; return its client id and its secret, which is told this once."""
        return self._store.add_utility(name, self._utc())

    def remove_utility(self, client_id: str) -> None:
        """Lock a utility out and withdraw its calls. Raises Misuse for an unknown id."""
        if not self._store.remove_utility(client_id, self._utc()):
            raise Misuse(f"no utility {client_id}")
        self._stored()

    def opt_out(self, event_id: str) -> None:
        """Refuse a call's market classes. Raises Misuse for an unknown call and for one that only limits capacity."""
        reading = self._readings.get(event_id)
        if reading is None:
            raise Misuse(f"no call {event_id}")
        if not reading.market:
            raise Misuse(f"call {event_id} leaves the owner no choice")
        self._store.set_opt_out(event_id, True, self._utc())
        self._stored()

    def opt_in(self, event_id: str) -> None:
        """Take part in a call again. Raises Misuse for an unknown call."""
        if event_id not in self._readings:
            raise Misuse(f"no call {event_id}")
        self._store.set_opt_out(event_id, False, self._utc())
        self._stored()

    def allow_market(self, allowed: bool) -> None:
        """Take part in market calls, or in none."""
        if allowed != self._market_allowed:
            self._market_allowed = allowed
            self._stored()

    def watch(self) -> None:
        """Write the reports that are due and tell of what time alone has changed; called every second by ``run``."""
        utc = self._utc()
        try:
            for call_id, reading in self._readings.items():
                if self._finished.get(call_id) is not reading and self._report(reading, utc):
                    self._finished[call_id] = reading
        except Unstorable as error:
            LOGGER.error("reports cannot be stored: %s", error)
        seen = (self.windows(utc), self.prices(utc), self.events(utc))
        if seen != self._seen:
            self._seen = seen
            self._changed()

    def _stored(self) -> None:
        self._load()
        self.watch()

    def _load(self) -> None:
        """Read what is stored; what has not changed is not parsed again."""
        names = {utility.client_id: utility.name for utility in self._store.utilities()}
        since = self._utc() - REMEMBERED
        programs = {program.id: program for program in self._store.all_of(Kind.PROGRAM, since)}
        readings = {}
        for stored in self._store.all_of(Kind.EVENT, since):
            program = programs.get(stored.parent)
            known = self._readings.get(stored.id)
            if known is None or not _same(known.call, stored, program):
                known = read(_call(stored, program, names.get(stored.client_id, stored.client_id)))
            readings[stored.id] = known
        self._readings = readings
        self._finished = {call_id: known for call_id, known in self._finished.items() if call_id in readings}
        self._consent = Consent(self._market_allowed, self._store.opt_outs())

    def _report(self, reading: Reading, utc: datetime) -> bool:
        """Write what is due on one call; True when nothing can follow."""
        told = self._told(reading, USAGE)
        if due := usage_due(reading, told, utc):
            self._tell(reading, USAGE, usage_report(reading, told, due, self._usage_wh, utc), utc)
        told = self._told(reading, OPERATING_STATE)
        self._tell(reading, OPERATING_STATE, refusal_report(reading, told, self._consent, utc), utc)
        return not due and reading.over(utc)

    def _told(self, reading: Reading, name: str) -> Body | None:
        stored = self._reports.get((reading.call.id, name))
        return stored.body if stored else None

    def _tell(self, reading: Reading, name: str, body: Body | None, utc: datetime) -> None:
        if body is None:
            return
        call, key = reading.call, (reading.call.id, name)
        if old := self._reports.get(key):
            self._reports[key] = self._store.replace(old, call.id, body, utc)
        else:
            self._reports[key] = self._store.create(Kind.REPORT, call.client_id, call.id, body, utc)


def _call(stored: StoredObject, program: StoredObject | None, utility: str) -> Call:
    parsed = parse_program(program.body) if program else None
    known = parsed if isinstance(parsed, Program) else Program(stored.parent)
    return Call(
        id=stored.id,
        client_id=stored.client_id,
        utility=utility,
        program=known.name,
        content=parse_event(stored.body),
        created_at=stored.created_at,
        modified_at=stored.modified_at,
        program_modified_at=program.modified_at if program else None,
        withdrawn_at=stored.deleted_at,
        descriptors=known.descriptors,
    )


def _same(call: Call, stored: StoredObject, program: StoredObject | None) -> bool:
    told = (stored.modified_at, stored.deleted_at, program.modified_at if program else None)
    return (call.modified_at, call.withdrawn_at, call.program_modified_at) == told
