"""Sensors that are written no oftener than their value is worth."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from homeassistant.components.sensor import SensorEntity, SensorEntityDescription, SensorStateClass
from homeassistant.core import callback
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from .client import Decision, DeviceView
from .coordinator import GatewayFeed
from .entity import ReadingEntity
from .pace import Band

ANY_CHANGE = Band()
DIP = 0.9
"""A counter that falls by less than a tenth has dipped; one that falls further was replaced."""


@dataclass(frozen=True, kw_only=True)
class ReadingDescription(SensorEntityDescription):
    """A sensor of a device: who has it, its value, and how much of it is recorded."""

    exists: Callable[[DeviceView], bool]
    value: Callable[[DeviceView, Decision | None], StateType]
    attributes: Callable[[Decision], dict[str, Any]] | None = None
    band: Band = ANY_CHANGE


class PacedSensor(SensorEntity):
    """A sensor that is written no oftener than its band allows."""

    _shown_at: datetime | None = None

    def settle(self, new: StateType, band: Band) -> None:
        """Take ``new`` as the state, unless it is not worth a row in the recorder."""
        old, now = self._attr_native_value, dt_util.utcnow()
        if self._shown_at and isinstance(old, int | float) and isinstance(new, int | float):
            if self.state_class is SensorStateClass.TOTAL_INCREASING and old * DIP < new < old:
                return
            if not band.lets_through(old, new, now - self._shown_at):
                return
        self._attr_native_value = new
        self._shown_at = now


class ReadingSensor(ReadingEntity, PacedSensor):
    """A sensor of a device."""

    entity_description: ReadingDescription
    _unrecorded_attributes = frozenset({"source"})

    def __init__(self, feed: GatewayFeed, description: ReadingDescription, device: str) -> None:
        """Show the first value as it is."""
        super().__init__(feed, description, device)
        self._measure()

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        attributes = self.entity_description.attributes
        return attributes(self.decision) if attributes and self.decision else None

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        if self.device in self.coordinator.data.devices:
            self._measure()
        super()._handle_coordinator_update()

    def _measure(self) -> None:
        self.settle(self.entity_description.value(self.view, self.decision), self.entity_description.band)
