"""Events: a utility's call begins, changes or ends; a fault comes or goes; the grid is lost or comes back."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import Backup, Fault, GridEvent
from .coordinator import GatewayFeed, NissanEnergyConfigEntry, PushCoordinator, SiteData
from .entity import NissanEnergyEntity, SiteEntity
from .pace import LiveData

PARALLEL_UPDATES = 0

type News = tuple[str, dict[str, Any]]

GRID_EVENT = EventEntityDescription(
    key="grid_event",
    event_types=["announced", "started", "changed", "ended", "cancelled", "opted_out", "rejected"],
)
FAULT = EventEntityDescription(key="fault", event_types=["raised", "cleared"])
GRID_SUPPLY = EventEntityDescription(
    key="grid_supply", event_types=["lost", "reserve", "dark", "running_again", "seen_again", "back"]
)

PHASE_NEWS = {
    "islanded": "lost",
    "reserve": "reserve",
    "dark": "dark",
    "resync": "seen_again",
    "grid": "back",
}

BECAME = {
    "scheduled": "announced",
    "active": "started",
    "ended": "ended",
    "cancelled": "cancelled",
    "opted_out": "opted_out",
    "rejected": "rejected",
}


async def async_setup_entry(
    hass: HomeAssistant, entry: NissanEnergyConfigEntry, async_add_entities: AddConfigEntryEntitiesCallback
) -> None:
    """Add the events of the site."""
    feed = entry.runtime_data
    async_add_entities([GridEventNews(feed), FaultNews(feed), SupplyNews(feed)])


class SiteNews(SiteEntity, EventEntity):
    """Tells what changed since it looked last; what was so before it looked is no news."""

    def __init__(self, feed: GatewayFeed, description: EventEntityDescription) -> None:
        """Take the present as known."""
        super().__init__(feed, description)
        self._seen = self.site

    def news(self, before: SiteData, now: SiteData) -> Iterator[News]:
        """Yield the type and the attributes of what happened between two looks."""
        raise NotImplementedError

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        before, self._seen = self._seen, self.site
        for kind, attributes in self.news(before, self._seen):
            self._trigger_event(kind, attributes)
            self.async_write_ha_state()
        super()._handle_coordinator_update()


class GridEventNews(SiteNews):
    """A utility's call."""

    def __init__(self, feed: GatewayFeed) -> None:
        """Take the calls in force as known."""
        super().__init__(feed, GRID_EVENT)

    @override
    def news(self, before: SiteData, now: SiteData) -> Iterator[News]:
        old = {event.id: event for event in before.grid_events}
        for event in now.grid_events:
            was = old.pop(event.id, None)
            if was is None or was.status != event.status:
                if event.status in BECAME:
                    yield BECAME[event.status], _told(event)
            elif was != event:
                yield "changed", _told(event)
        for event in old.values():
            if event.status == "active":
                yield "ended", _told(event)


class FaultNews(SiteNews):
    """A fault."""

    def __init__(self, feed: GatewayFeed) -> None:
        """Take the raised faults as known."""
        super().__init__(feed, FAULT)

    @override
    def news(self, before: SiteData, now: SiteData) -> Iterator[News]:
        old = {(fault.code, fault.device): fault for fault in before.faults}
        new = {(fault.code, fault.device): fault for fault in now.faults}
        for key in new.keys() - old.keys():
            yield "raised", _reported(new[key])
        for key in old.keys() - new.keys():
            yield "cleared", _reported(old[key])


class SupplyNews(NissanEnergyEntity[PushCoordinator[LiveData]], EventEntity):
    """A blackout, and its end."""

    def __init__(self, feed: GatewayFeed) -> None:
        """Take the present as known."""
        super().__init__(feed, feed.live, GRID_SUPPLY)
        self._seen = self.coordinator.data.control.backup

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        before, self._seen = self._seen, self.coordinator.data.control.backup
        if kind := _supply_news(before, self._seen):
            shown = {"autonomy_h": self._seen.autonomy_h, "shed": list(self._seen.shed)}
            self._trigger_event(kind, shown)
            self.async_write_ha_state()
        super()._handle_coordinator_update()


def _supply_news(before: Backup, now: Backup) -> str | None:
    if before.phase == now.phase:
        return None
    if now.phase == "islanded" and before.phase != "grid":
        return "running_again" if before.phase in {"dark", "reserve"} else "lost"
    return PHASE_NEWS.get(now.phase)


def _told(event: GridEvent) -> dict[str, Any]:
    told = asdict(event)
    for edge in ("starts_at", "ends_at"):
        told[edge] = told[edge].isoformat() if told[edge] else None
    return told | {"kinds": list(event.kinds)}


def _reported(fault: Fault) -> dict[str, Any]:
    return asdict(fault) | {"since": fault.since.isoformat()}
