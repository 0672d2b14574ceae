"""What control says of the whole site, as sensors: how well it works, grid or blackout, the reserve, the peaks."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
    SensorStateClass,
)
from homeassistant.const import EntityCategory, UnitOfPower, UnitOfRatio, UnitOfTime
from homeassistant.core import callback
from homeassistant.helpers.typing import StateType

from .client import Backup, Control, Drill, Quality, Reserve
from .coordinator import GatewayFeed, PushCoordinator
from .entity import NissanEnergyEntity
from .pace import Band, LiveData
from .paced_sensor import ANY_CHANGE, PacedSensor
from .reasons import reason_state

VERDICTS = ["stable", "hunting", "sluggish", "limited", "idle"]
BACKUP_PHASES = ["grid", "islanded", "reserve", "dark", "resync"]
RESERVE_PHASES = ["off", "refused", "armed", "recovering", "withdrawn"]

POWER_BAND = Band(width=20.0, share=0.05)
HOURS_BAND = Band(width=0.2, spacing=timedelta(seconds=30))


@dataclass(frozen=True, kw_only=True)
class ControlDescription(SensorEntityDescription):
    """A sensor of control: its value, what stands beside it, and how much of it is recorded."""

    value: Callable[[Control], StateType]
    attributes: Callable[[Control], dict[str, Any]] | None = None
    band: Band = ANY_CHANGE


@dataclass(frozen=True, kw_only=True)
class MomentDescription(SensorEntityDescription):
    """A time that control tells, and what stands beside it."""

    device_class: SensorDeviceClass = SensorDeviceClass.TIMESTAMP
    value: Callable[[Control], datetime | None]
    attributes: Callable[[Control], dict[str, Any]] | None = None


def _state(
    key: str,
    states: list[str],
    value: Callable[[Control], str],
    attributes: Callable[[Control], dict[str, Any]],
) -> ControlDescription:
    """Return the sensor of a state; one that a newer gateway knows alone is unknown."""
    return ControlDescription(
        key=key,
        device_class=SensorDeviceClass.ENUM,
        options=states,
        value=lambda control: state if (state := value(control)) in states else None,
        attributes=attributes,
    )


def _power(
    key: str, power_w: Callable[[Control], float | None], *, detail: bool = False, optional: bool = False
) -> ControlDescription:
    """Return a power; a ``detail`` is diagnostic, an ``optional`` one off until wanted."""
    return ControlDescription(
        key=key,
        device_class=SensorDeviceClass.POWER,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        entity_category=EntityCategory.DIAGNOSTIC if detail else None,
        entity_registry_enabled_default=not optional,
        value=lambda control: None if (told := power_w(control)) is None else round(told),
        band=POWER_BAND,
    )


def _held_back(quality: Quality) -> dict[str, Any]:
    return {
        "limited_by": reason_state(quality.by) if quality.by else None,
        "reversals_per_hour": quality.reversals_per_h,
    }


def _blackout(backup: Backup) -> dict[str, Any]:
    return {
        "since": backup.since.isoformat() if backup.since else None,
        "shed": list(backup.shed),
        "overloaded": backup.overloaded,
        "storm": backup.storm,
    }


def _sold(reserve: Reserve) -> dict[str, Any]:
    return {
        "product": reserve.product,
        "devices": list(reserve.devices),
        "refusals": [refusal.text or refusal.code for refusal in reserve.refusals],
    }


def _outcome(drill: Drill | None) -> dict[str, Any]:
    if drill is None:
        return {}
    return {
        "autonomy_h": None if drill.autonomy_h is None else round(drill.autonomy_h, 1),
        "reserve_after_h": drill.reserve_h,
        "dark_after_h": drill.dark_h,
        "cars_that_stay": [car for car, can in drill.can_leave.items() if not can],
        "problems": list(drill.problems),
        "assumed": list(drill.assumed),
    }


CONTROL_SENSORS = (
    _state("control_quality", VERDICTS, lambda c: c.quality.verdict, lambda c: _held_back(c.quality)),
    _power("control_error", lambda c: c.quality.rms_w, detail=True),
    _state("backup_state", BACKUP_PHASES, lambda c: c.backup.phase, lambda c: _blackout(c.backup)),
    ControlDescription(
        key="autonomy",
        device_class=SensorDeviceClass.DURATION,
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfTime.HOURS,
        suggested_display_precision=1,
        value=lambda c: c.backup.autonomy_h,
        band=HOURS_BAND,
    ),
    _state("reserve_state", RESERVE_PHASES, lambda c: c.reserve.phase, lambda c: _sold(c.reserve)),
    _power("reserve_band", lambda c: c.reserve.band_w, optional=True),
    _power("reserve_response", lambda c: 0.0 - c.reserve.response_w, optional=True),
    ControlDescription(
        key="reserve_available",
        state_class=SensorStateClass.MEASUREMENT,
        native_unit_of_measurement=UnitOfRatio.PERCENTAGE,
        suggested_display_precision=1,
        entity_registry_enabled_default=False,
        value=lambda c: c.reserve.available_pct,
        band=Band(width=0.1),
    ),
    ControlDescription(
        key="export_excursions",
        state_class=SensorStateClass.MEASUREMENT,
        entity_category=EntityCategory.DIAGNOSTIC,
        value=lambda c: c.excursions.count,
    ),
    _power("demand_peak", lambda c: c.peak.peak_w),
)

CONTROL_MOMENTS = (
    MomentDescription(
        key="export_locked_until",
        entity_category=EntityCategory.DIAGNOSTIC,
        value=lambda c: c.excursions.locked_until,
    ),
    MomentDescription(
        key="drill",
        entity_category=EntityCategory.DIAGNOSTIC,
        value=lambda c: c.drill.played_at if c.drill else None,
        attributes=lambda c: _outcome(c.drill),
    ),
)


class ControlEntity(NissanEnergyEntity[PushCoordinator[LiveData]]):
    """An entity of the gateway itself that follows what control says."""

    def __init__(self, feed: GatewayFeed, description: SensorEntityDescription) -> None:
        """Follow the live data."""
        super().__init__(feed, feed.live, description)

    @property
    def control(self) -> Control:
        """Return what control said last."""
        return self.coordinator.data.control


class ControlSensor(ControlEntity, PacedSensor):
    """A sensor of control."""

    entity_description: ControlDescription
    _unrecorded_attributes = frozenset({"refusals", "reversals_per_hour"})

    def __init__(self, feed: GatewayFeed, description: ControlDescription) -> None:
        """Show the first value as it is."""
        super().__init__(feed, description)
        self.settle(description.value(self.control), description.band)

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        attributes = self.entity_description.attributes
        return attributes(self.control) if attributes else None

    @callback
    @override
    def _handle_coordinator_update(self) -> None:
        self.settle(self.entity_description.value(self.control), self.entity_description.band)
        super()._handle_coordinator_update()


class MomentSensor(ControlEntity, SensorEntity):
    """A time that control tells."""

    entity_description: MomentDescription
    _unrecorded_attributes = frozenset({"assumed"})

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        attributes = self.entity_description.attributes
        return attributes(self.control) if attributes else None

    @property
    @override
    def native_value(self) -> datetime | None:
        return self.entity_description.value(self.control)
