"""Process 2, composition root: planning, demand response, ledger and API over a mirror of the state. It holds no wire.

Whatever fails here is not an event for the house: the fast path goes on with the last wishes until they expire.
"""

import asyncio
import contextlib
import json
import logging
import signal
from collections import deque
from datetime import datetime
from pathlib import Path

from gateway import link
from gateway.api import access
from gateway.api.identity import load_identity
from gateway.api.server import ApiServer
from gateway.clock import Clock
from gateway.config import SiteConfig
from gateway.demand_response.room import DemandResponse
from gateway.faults import Malformed, Unreachable
from gateway.ledger import reserve_proof
from gateway.ledger.journal import Journal
from gateway.ledger.reserve_proof import ReserveProof
from gateway.model import MeterRole, PriceSlot, Snapshot, Wishes
from gateway.services.drills import Drills
from gateway.services.fault_board import FaultBoard
from gateway.services.forecasts import Forecasts
from gateway.services.planner import Planner
from gateway.services.prices import Prices
from gateway.services.site import ServicesSite
from gateway.services.store import OwnerStore

LOGGER = logging.getLogger(__name__)

RECONNECT_S = 0.5
REFRESH_S = 5.0
"""How often the wishes are sent although nothing changed: a window may have moved into the horizon."""
LATENESS_KEPT = 36_000
LATENESS_FILE = "tick_lateness.json"


def open_pairing(config: SiteConfig) -> str:
    """Open pairing for ten minutes, beside a running gateway as well, and return the code."""
    config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    return access.open_pairing(config.state_dir)


class Services:
    """The services of one site."""

    def __init__(self, config: SiteConfig) -> None:
        self._config = config
        folder = config.state_dir
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = Clock()
        faults = FaultBoard(self._clock)
        self._forecasts = Forecasts(folder / "forecasts.json", self._clock)
        self._journal = Journal(folder / "journal.sqlite", faults)
        self._proof = ReserveProof(folder / reserve_proof.FILE, faults)
        self._calls = self._demand_response(folder)
        self._prices = Prices(config.prices, self._forecasts.told.prices, self._called_prices)
        store = OwnerStore(folder / "owner.json")
        self._site = ServicesSite(
            config, store, self._prices, self._forecasts, self._journal, self._calls, faults, self._clock
        )
        self._drills = self._drills_of(config)
        self._planner = Planner(
            config,
            self._prices,
            self._forecasts,
            self._journal,
            self._known,
            self._planned,
            self._clock,
            faults,
        )
        self._api = ApiServer(
            self._site,
            folder,
            config.api.bind,
            config.api.port,
            advertise=config.api.advertise,
            utc=self._clock,
        )
        self._lateness_ms: deque[float] = deque(maxlen=LATENESS_KEPT)

    def _called_prices(self) -> tuple[PriceSlot, ...]:
        return self._calls.prices(self._clock()) if self._calls else ()

    async def run(self) -> None:
        """Run until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._api.run())
                tasks.create_task(self._planner.run())
                tasks.create_task(self._follow())
                tasks.create_task(self._tell_lateness())
                if self._calls is not None:
                    tasks.create_task(self._calls.run())
                if self._drills is not None:
                    tasks.create_task(self._drills.run())
        finally:
            self._journal.close()
            self._proof.close()
            if self._calls is not None:
                self._calls.close()

    async def _follow(self) -> None:
        """Keep the link: wishes down as soon as they change, reports up; reconnect when the fast path restarts."""
        lost = False
        while True:
            try:
                end = await link.connect(self._config.state_dir / "link.sock")
            except (Unreachable, Malformed) as error:
                if not lost:
                    LOGGER.warning("no fast path: %s", error)
                lost = True
                await asyncio.sleep(RECONNECT_S)
                continue
            LOGGER.info("joined the fast path")
            lost = False
            try:
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._tell_wishes(end))
                    tasks.create_task(self._hear(end))
            except* Unreachable, Malformed:
                LOGGER.warning("the fast path is gone")
                lost = True
            finally:
                end.close()
            await asyncio.sleep(RECONNECT_S)

    async def _tell_wishes(self, end: link.ServiceEnd) -> None:
        await self._site.known.wait()
        while True:
            self._site.wanted.clear()
            await end.send(self._site.wishes())
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._site.wanted.wait(), REFRESH_S)

    async def _hear(self, end: link.ServiceEnd) -> None:
        async for report in end.reports():
            self._lateness_ms.extend(report.tick_lateness_ms)
            self._site.take(report)
            if (until := self._proof.take(report.proof, report.snapshot.at)) is not None:
                end.stored(until)

    async def _tell_lateness(self) -> None:
        """Keep the percentiles of the control tick's lateness in a file, for `scripts/bench` and for operators."""
        while True:
            await asyncio.sleep(REFRESH_S)
            if self._lateness_ms:
                _write_lateness(self._config.state_dir / LATENESS_FILE, sorted(self._lateness_ms))

    def _demand_response(self, folder: Path) -> DemandResponse | None:
        table = self._config.utility
        if table is None:
            return None
        tls = load_identity(folder, self._config.site.serial).context
        return DemandResponse(
            folder, tls, table.bind, table.port, self._usage_wh, self._calls_changed, utc=self._clock
        )

    def _drills_of(self, config: SiteConfig) -> Drills | None:
        """Return the drills of a site that can run without the grid, and show the newest."""
        if config.backup is None:
            return None
        drills = Drills(config.backup, config.path, config.state_dir, self._site.drilled, self._clock)
        self._site.drilled(drills.newest)
        return drills

    def _usage_wh(self, start: datetime, end: datetime) -> float | None:
        """Energy that the site drew from the grid, for the utility's reports."""
        grid = next(
            (d.id for d in self._config.devices.values() if d.rest.get("role") == MeterRole.GRID), None
        )
        used = self._journal.usage_wh(grid, start, end) if grid else None
        return used.in_wh if used else None

    def _known(self) -> tuple[Snapshot | None, Wishes]:
        return self._site.snapshot, self._site.wishes()

    def _planned(self) -> None:
        self._site.replan(self._planner.plan, self._planner.outlook())

    def _calls_changed(self) -> None:
        self._site.calls_changed()


def _write_lateness(path: Path, late_ms: list[float]) -> None:
    ranks = {"p50_ms": 0.5, "p99_ms": 0.99, "p999_ms": 0.999, "max_ms": 1.0}
    summary = {k: late_ms[min(len(late_ms) - 1, int(len(late_ms) * q))] for k, q in ranks.items()}
    with contextlib.suppress(OSError):
        path.write_text(json.dumps({"ticks": len(late_ms), **summary}), encoding="utf-8")


async def run(config: SiteConfig) -> None:
    """Run the services of a site until SIGTERM or SIGINT. Raises ConfigError when they cannot listen."""
    services = Services(config)
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(services.run())
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, running.cancel)
