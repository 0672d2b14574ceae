"""Events: a utility's call begins, changes or ends; a fault comes or goes."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any, override

from homeassistant.components.event import EventEntity, EventEntityDescription
from homeassistant.core import HomeAssistant, callback
from homeassistant.helpers.entity_platform import AddConfigEntryEntitiesCallback

from .client import Fault, GridEvent
from .coordinator import GatewayFeed, NissanEnergyConfigEntry, SiteData
from .entity import SiteEntity

PARALLEL_UPDATES = 0

type News = tuple[str, dict[str, Any]]

GRID_EVENT = EventEntityDescription(
    key="grid_event",
    event_types=["announced", "started", "changed", "ended", "cancelled", "opted_out", "rejected"],
)
FAULT = EventEntityDescription(key="fault", event_types=["raised", "cleared"])

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
    async_add_entities([GridEventNews(entry.runtime_data), FaultNews(entry.runtime_data)])


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


def _told(event: GridEvent) -> dict[str, Any]:
    told = asdict(event)
    for edge in ("starts_at", "ends_at"):
        told[edge] = told[edge].isoformat() if told[edge] else None
    return told | {"kinds": list(event.kinds)}


def _reported(fault: Fault) -> dict[str, Any]:
    return asdict(fault) | {"since": fault.since.isoformat()}
