"""The site as the services know it: the last report from the fast path, the owner's wishes on disk, plan, prices, calls.

It is what the API shows and changes, and what becomes the ``Wishes`` that go down the link.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from zoneinfo import ZoneInfo

from gateway import __version__
from gateway.api.site import Drill, Limits, Outlook, SiteIdentity, Utility, UtilityCredentials, View
from gateway.config import SiteConfig
from gateway.faults import ConfigError, Misuse, Refused
from gateway.link import Report
from gateway.model import (
    Acknowledgement,
    BackupPhase,
    BackupStatus,
    Decision,
    DeviceId,
    GridWindow,
    HistoryPoint,
    Need,
    OwnerSettings,
    Plan,
    PriceSlot,
    Request,
    RequestMode,
    ReserveWindow,
    Snapshot,
    ToldSlot,
    ToldTrip,
    Trip,
    WindowKind,
    Wishes,
)
from gateway.planning.price_lists import understood
from gateway.services.equipment import EquipmentBoard
from gateway.services.fault_board import FaultBoard
from gateway.services.forecasts import Forecasts
from gateway.services.neighbours import Calls, History
from gateway.services.prices import Prices
from gateway.services.store import Kept, OwnerStore

LOGGER = logging.getLogger(__name__)

FAST_PATH_SILENT_S = 3.0
PRICES_SHOWN = timedelta(hours=48)
MOST_SHARES = 2000
MOST_WINDOWS = 512
"""So that no utility can make a message that the link refuses, and with it the owner's stop."""


class ServicesSite:
    """Implements the API's ``Site``.

    ``wanted`` is set whenever the fast path should hear new wishes, ``known`` once it has told what it follows.
    """

    def __init__(
        self,
        config: SiteConfig,
        store: OwnerStore,
        prices: Prices,
        forecasts: Forecasts,
        journal: History,
        calls: Calls | None,
        faults: FaultBoard,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        site = config.site
        self.identity = SiteIdentity(site.serial, site.name, __version__, site.time_zone)
        self.wanted, self.known = asyncio.Event(), asyncio.Event()
        self.plan: Plan | None = None
        self.outlook = Outlook()
        self.drill: Drill | None = None
        self.snapshot: Snapshot | None = None
        self._config = config
        self._store = store
        self._prices = prices
        self._forecasts = forecasts
        self._journal = journal
        self._calls = calls
        self._equipment = EquipmentBoard(config)
        self._clock = clock
        self._monotonic = monotonic
        self._started_at = monotonic()
        self._faults = faults
        faults.changed = self.changed
        self._inspected: tuple[Acknowledgement, ...] = ()
        self._seq = 1
        self._bell = asyncio.Event()
        if calls is not None:
            calls.allow_market(store.kept.owner.grid_events_allowed)

    @property
    def owner(self) -> OwnerSettings:
        """The owner's standing wishes."""
        return self._store.kept.owner

    # ── from the fast path, the planner and the utility ──────────────────────────────────────────────────────────────

    def take(self, report: Report) -> None:
        """Take a report of the fast path; of the first one also the plan that it still follows."""
        if not self.known.is_set():
            self.plan = report.snapshot.wishes.plan
            self.known.set()
        self.snapshot = report.snapshot
        self._take_part()
        self._journal.record(report.snapshot)
        self._equipment.look(report.snapshot)
        self._end_requests(report.snapshot)
        self.changed()

    def _take_part(self) -> None:
        """Leave the market's calls while the owner wants that, and while there is no grid; the utility is told."""
        backup = self.snapshot.control.backup if self.snapshot else BackupStatus()
        if self._calls is not None:
            connected = backup.phase is BackupPhase.GRID
            self._calls.allow_market(self.owner.grid_events_allowed and connected)

    def replan(self, plan: Plan | None, outlook: Outlook | None = None) -> None:
        """Replace the plan, and what it rests on."""
        self.plan, self.outlook = plan, outlook or Outlook()
        self.changed(wishes=True)

    def drilled(self, drill: Drill | None) -> None:
        """Show the newest drill of a blackout."""
        self.drill = drill
        self.changed()

    def calls_changed(self) -> None:
        """Pass on what the utility changed, at once."""
        self.changed(wishes=True)

    def changed(self, *, wishes: bool = False) -> None:
        """Wake whoever waits for a change; with ``wishes`` also the fast path."""
        self._seq += 1
        bell, self._bell = self._bell, asyncio.Event()
        bell.set()
        if wishes:
            self.wanted.set()

    def wishes(self) -> Wishes:
        """Return all that the fast path should hold now."""
        utc = self._clock()
        kept = self._store.kept
        requests = tuple(r for r in kept.requests if r.expires_at > utc)
        return Wishes(
            kept.owner,
            requests,
            self._windows(utc),
            _in_force(self.plan) if self._config.planning.followed else None,
            self._inspected,
            self._reserves(utc),
            self._needs(utc),
        )

    # ── for the API ──────────────────────────────────────────────────────────────────────────────────────────────────

    def view(self) -> View:
        """Return what holds now."""
        now, utc = self._monotonic(), self._clock()
        midnight = utc.replace(hour=0, minute=0, second=0, microsecond=0)
        return View(
            seq=self._seq,
            now=now,
            utc=utc,
            services_uptime_s=now - self._started_at,
            fast_path_alive=self.snapshot is not None and now - self.snapshot.at < FAST_PATH_SILENT_S,
            snapshot=self.snapshot,
            owner=self._store.kept.owner,
            requests=tuple(r for r in self._store.kept.requests if r.expires_at > utc),
            reserves=self._reserves(utc),
            needs=self._needs(utc),
            limits=self._limits(utc),
            plan=self.plan,
            prices=self._prices.window(midnight, midnight + PRICES_SHOWN),
            events=self._calls.events(utc) if self._calls else (),
            utilities=tuple(Utility(c.client_id, c.name) for c in self._calls.utilities())
            if self._calls
            else (),
            energy=self._journal.totals(),
            faults=self._faults.active(),
            trips=self._journal.last_trips(),
            equipment=self._equipment.states,
            drill=self.drill,
            outlook=self.outlook,
        )

    async def next_change(self, seq: int) -> int:
        """Return the newest sequence number as soon as it is greater than ``seq``."""
        while self._seq <= seq:
            await self._bell.wait()
        return self._seq

    async def set_owner(self, owner: OwnerSettings) -> None:
        """Replace the owner's standing wishes, on disk first. Raises Refused when the disk does not take them."""
        self._keep(replace(self._store.kept, owner=owner))
        self._take_part()

    async def add_request(self, request: Request) -> None:
        """Put a request in place of any earlier one on its device."""
        kept = self._store.kept
        others = tuple(
            r for r in kept.requests if r.device != request.device and r.expires_at > self._clock()
        )
        self._keep(replace(kept, requests=(*others, request)))

    async def cancel_request(self, device: DeviceId) -> None:
        """Give a device back to automatic."""
        kept = self._store.kept
        self._keep(replace(kept, requests=tuple(r for r in kept.requests if r.device != device)))

    async def add_reserve(self, window: ReserveWindow) -> None:
        """Add a sold window, on disk first."""
        kept = self._store.kept
        self._keep(replace(kept, reserves=(*self._reserves(self._clock()), window)))

    async def remove_reserve(self, window_id: str) -> None:
        """Take a window back; that holds even where the disk refuses to forget it."""
        left = tuple(w for w in self._reserves(self._clock()) if w.id != window_id)
        self._keep(replace(self._store.kept, reserves=left), anyway=True)

    async def set_need(self, need: Need) -> None:
        """Put a need in place of any earlier one of its device."""
        others = tuple(n for n in self._needs(self._clock()) if n.device != need.device)
        self._keep(replace(self._store.kept, needs=(*others, need)))

    async def clear_need(self, device: DeviceId) -> None:
        """Forget what a car still has to take."""
        left = tuple(n for n in self._needs(self._clock()) if n.device != device)
        self._keep(replace(self._store.kept, needs=left))

    async def hand_in_prices(self, slots: Sequence[PriceSlot], lists: object) -> int:
        """Take prices, as slots or as the lists of a provider; return how many are known. Raises Malformed."""
        table = self._config.prices
        zone = ZoneInfo(self.identity.time_zone)
        found = understood(lists, zone, table.currency if table else "EUR") if lists is not None else ()
        told = (*slots, *found)
        if told and self._forecasts.put("prices", told):
            self._prices.hand_in(self._forecasts.told.prices)
            self.changed()
        return len(told)

    async def hand_in(self, kind: str, told: Sequence[ToldSlot | ToldTrip]) -> None:
        """Take a forecast of ``kind``: solar, load, carbon or trips."""
        self._forecasts.put(kind, tuple(told))

    async def acknowledge(self, acknowledged: Acknowledgement) -> None:
        """Pass on that a fault was inspected; it is not kept."""
        utc = self._clock()
        self._inspected = (*(a for a in self._inspected if a.expires_at > utc), acknowledged)
        self.changed(wishes=True)

    async def stop(self, on: bool) -> None:
        """Set or lift the owner's stop; setting it holds even where the disk refuses to remember it."""
        kept = self._store.kept
        self._keep(replace(kept, owner=replace(kept.owner, stopped=on)), anyway=on)

    async def opt_out(self, event_id: str, out: bool) -> bool:
        """Leave or rejoin a utility's call; False when there is no such call."""
        calls, utc = self._calls, self._clock()
        if calls is None or event_id not in {e.id for e in calls.events(utc)}:
            return False
        try:
            (calls.opt_out if out else calls.opt_in)(event_id)
        except Misuse as error:
            raise Refused(str(error)) from None
        self.changed(wishes=True)
        return True

    async def add_utility(self, name: str) -> UtilityCredentials:
        """Make credentials for one more utility. Raises Refused when this site has no endpoint for one."""
        if self._calls is None:
            raise Refused("this site has no [utility] table in its site.toml")
        client_id, secret = self._calls.add_utility(name)
        self.changed()
        return UtilityCredentials(client_id, secret, self._calls.vtn_url)

    async def remove_utility(self, client_id: str) -> bool:
        """Revoke a utility; False when there is no such one."""
        calls = self._calls
        if calls is None or client_id not in {c.client_id for c in calls.utilities()}:
            return False
        calls.remove_utility(client_id)
        self.changed(wishes=True)
        return True

    async def decisions(self, device: DeviceId | None, limit: int) -> Sequence[Decision]:
        """Return the newest recorded decisions, newest first."""
        return self._journal.decisions(device, limit)

    async def history(
        self, device: DeviceId, start: datetime, end: datetime, limit: int
    ) -> Sequence[HistoryPoint]:
        """Return thinned samples of ``[start, end)``, oldest first."""
        return self._journal.history(device, start, end, limit)

    async def trips(self, charger: DeviceId | None, limit: int) -> Sequence[Trip]:
        """Return the newest trips, newest first."""
        return self._journal.trips(charger, limit)

    # ── inside ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def _keep(self, kept: Kept, *, anyway: bool = False) -> None:
        """Put wishes on disk and in force; what the disk refuses is not in force, unless it must be ``anyway``."""
        try:
            self._store.save(kept)
        except ConfigError as error:
            if not anyway:
                raise Refused(f"the wish does not hold: {error}") from None
            LOGGER.error("this holds until the next restart only: %s", error)
            self._store.kept = kept
        self.changed(wishes=True)

    def _end_requests(self, snapshot: Snapshot) -> None:
        """End a boost that has reached its SoC, so that the device is automatic again."""
        done = {r.device for r in self._store.kept.requests if _reached(r, snapshot)}
        if done:
            kept = self._store.kept
            left = tuple(r for r in kept.requests if r.device not in done)
            self._keep(replace(kept, requests=left), anyway=True)

    def _windows(self, utc: datetime) -> tuple[GridWindow, ...]:
        """Return what the utility called; of very many windows the soonest, the others in their turn."""
        called = self._calls.windows(utc) if self._calls else ()
        return tuple(sorted(called, key=attrgetter("starts_at"))[:MOST_WINDOWS])

    def _reserves(self, utc: datetime) -> tuple[ReserveWindow, ...]:
        return tuple(w for w in self._store.kept.reserves if w.ends_at > utc)

    def _needs(self, utc: datetime) -> tuple[Need, ...]:
        return tuple(n for n in self._store.kept.needs if n.departs_at > utc)

    def _limits(self, utc: datetime) -> Limits:
        grid = self._config.grid
        active = [w for w in self._windows(utc) if w.active(utc)]
        imports = [w.value for w in active if w.kind is WindowKind.IMPORT_LIMIT]
        exports = [w.value for w in active if w.kind is WindowKind.EXPORT_LIMIT]
        return Limits(
            import_limit_w=min((x for x in (*imports, grid.import_limit_w) if x is not None), default=None),
            export_limit_w=min((x for x in (*exports, grid.export_limit_w) if x is not None), default=None),
            main_fuse_a=grid.main_fuse_a,
            imbalance_limit_w=grid.imbalance_limit_w,
            peak_target_w=grid.peak_target_w,
            circuits={name: circuit.fuse_a for name, circuit in self._config.circuits.items()},
        )


def _in_force(plan: Plan | None) -> Plan | None:
    """Return the part of the plan that is trusted, of very many devices the first hours alone: it is sent every few seconds."""
    if plan is None:
        return None
    slots = [s for s in plan.slots if s.starts_at < plan.expires_at]
    most = max(2, MOST_SHARES // max(1, len(plan.slots[0].device_power_w) if plan.slots else 1))
    return replace(plan, slots=tuple(slots[:most]))


def _reached(request: Request, snapshot: Snapshot) -> bool:
    if request.until_soc_pct is None:
        return False
    storage, evse = snapshot.storages.get(request.device), snapshot.evses.get(request.device)
    soc = storage.soc_pct if storage else evse.vehicle.soc_pct if evse and evse.vehicle else None
    if soc is None:
        return False
    return (
        soc <= request.until_soc_pct
        if request.mode is RequestMode.DISCHARGE
        else soc >= request.until_soc_pct
    )
