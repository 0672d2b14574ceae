"""What the site needs of the rooms beside the services: the utility's calls and the journal."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from gateway.model import (
    Decision,
    DeviceId,
    EnergyTotals,
    GridEvent,
    GridWindow,
    HistoryPoint,
    PriceSlot,
    Snapshot,
    Trip,
)


class Caller(Protocol):
    """A utility that may call."""

    @property
    def client_id(self) -> str:
        """Its client id."""

    @property
    def name(self) -> str:
        """What the owner calls it."""


class Calls(Protocol):
    """What the site needs of the demand-response room."""

    def windows(self, utc: datetime) -> tuple[GridWindow, ...]:
        """Return the arbitrated windows of the next hours."""

    def prices(self, utc: datetime) -> tuple[PriceSlot, ...]:
        """Return the prices that utilities call."""

    def events(self, utc: datetime) -> tuple[GridEvent, ...]:
        """Return the calls as the owner sees them."""

    def allow_market(self, allowed: bool) -> None:
        """Take part in market calls, or in limits alone."""

    def opt_out(self, event_id: str) -> None:
        """Leave a call. Raises Misuse for one that is unknown or leaves no choice."""

    def opt_in(self, event_id: str) -> None:
        """Rejoin a call. Raises Misuse for one that is unknown."""

    def add_utility(self, name: str) -> tuple[str, str]:
        """Return (client id, secret) of a new utility."""

    def remove_utility(self, client_id: str) -> None:
        """Revoke a utility. Raises Misuse for one that is unknown."""

    def utilities(self) -> Iterable[Caller]:
        """Return who may call."""

    @property
    def vtn_url(self) -> str:
        """Return the base address that utilities call."""


class History(Protocol):
    """What the site needs of the journal."""

    def record(self, snapshot: Snapshot) -> None:
        """Note a report."""

    def totals(self) -> Mapping[DeviceId, EnergyTotals]:
        """Return the guarded lifetime counters."""

    def decisions(self, device: DeviceId | None, limit: int) -> Sequence[Decision]:
        """Return the newest decisions, newest first."""

    def history(self, device: DeviceId, start: datetime, end: datetime, limit: int) -> Sequence[HistoryPoint]:
        """Return thinned samples, oldest first."""

    def trips(self, charger: DeviceId | None, limit: int) -> Sequence[Trip]:
        """Return the newest trips, newest first."""

    def last_trips(self) -> Mapping[DeviceId, Trip]:
        """Return the newest trip of each car."""
