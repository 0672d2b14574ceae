"""Sensors of the plan: what comes next, when and why, and the whole of it as a series for charts."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, override

from homeassistant.components.sensor import (
    SensorDeviceClass,
    SensorEntity,
    SensorEntityDescription,
)
from homeassistant.const import UnitOfPower
from homeassistant.helpers.typing import StateType
from homeassistant.util import dt as dt_util

from .client import DeviceView, Plan, PlanSlot
from .coordinator import GatewayFeed
from .entity import SiteEntity, StandingEntity, is_steered

CHARGE, DISCHARGE, NONE = "charge", "discharge", "none"
LEAST_W = 50.0
"""Less than this is no action."""


@dataclass(frozen=True, slots=True)
class Action:
    """Slots of one device that follow each other and go the same way; ``power_w`` is their mean, into the device positive."""

    starts_at: datetime
    ends_at: datetime
    power_w: float
    reason: str | None

    @property
    def kind(self) -> str:
        """Return which way it goes."""
        return CHARGE if self.power_w > 0 else DISCHARGE


def next_action(plan: Plan | None, device: str, now: datetime) -> Action | None:
    """Return what the device does by plan now, or else the next that it will do."""
    found: list[PlanSlot] = []
    for slot in plan.slots if plan else ():
        if slot.ends_at <= now:
            continue
        power_w = slot.device_power_w.get(device, 0.0)
        goes = (power_w > 0) if abs(power_w) >= LEAST_W else None
        if found and goes is not (found[0].device_power_w[device] > 0):
            break
        if goes is not None:
            found.append(slot)
    if not found:
        return None
    hours = [(s.ends_at - s.starts_at).total_seconds() / 3600 for s in found]
    mean_w = sum(s.device_power_w[device] * h for s, h in zip(found, hours, strict=True)) / sum(hours)
    return Action(found[0].starts_at, found[-1].ends_at, mean_w, found[0].reasons.get(device))


@dataclass(frozen=True, kw_only=True)
class PlanDescription(SensorEntityDescription):
    """A sensor of a device's part of the plan."""

    value: Callable[[Plan | None, str, datetime], StateType | datetime]
    attributes: Callable[[Plan | None, str, datetime], Mapping[str, Any]] = lambda plan, device, now: {}
    exists: Callable[[DeviceView], bool] = is_steered


def _kind(plan: Plan | None, device: str, now: datetime) -> str:
    action = next_action(plan, device, now)
    return action.kind if action else NONE


def _start(plan: Plan | None, device: str, now: datetime) -> datetime | None:
    action = next_action(plan, device, now)
    return action.starts_at.replace(microsecond=0) if action else None


def _about(plan: Plan | None, device: str, now: datetime) -> Mapping[str, Any]:
    action = next_action(plan, device, now)
    if action is None:
        return {}
    return {
        "start": action.starts_at.isoformat(),
        "end": action.ends_at.isoformat(),
        "power": -round(action.power_w),
        "reason": action.reason,
    }


def _now(plan: Plan | None, now: datetime) -> PlanSlot | None:
    return next((s for s in plan.slots if s.starts_at <= now < s.ends_at), None) if plan else None


def _power(plan: Plan | None, device: str, now: datetime) -> int | None:
    slot = _now(plan, now)
    return -round(slot.device_power_w[device]) if slot and device in slot.device_power_w else None


def _series(plan: Plan | None, device: str, now: datetime) -> Mapping[str, Any]:
    """Return each slot as start, power, charge at its end and reason, for charts."""
    return {
        "series": [
            {
                "start": slot.starts_at.isoformat(),
                "power": -round(slot.device_power_w.get(device, 0.0)),
                "charge": slot.soc_pct.get(device),
                "reason": slot.reasons.get(device),
            }
            for slot in (plan.slots if plan else ())
        ]
    }


PLAN_SENSORS = (
    PlanDescription(
        key="next_action",
        device_class=SensorDeviceClass.ENUM,
        options=[CHARGE, DISCHARGE, NONE],
        value=_kind,
        attributes=_about,
    ),
    PlanDescription(key="next_action_start", device_class=SensorDeviceClass.TIMESTAMP, value=_start),
    PlanDescription(
        key="planned_power",
        device_class=SensorDeviceClass.POWER,
        native_unit_of_measurement=UnitOfPower.WATT,
        suggested_display_precision=0,
        value=_power,
        attributes=_series,
    ),
)

PLANNED_GRID_POWER = SensorEntityDescription(
    key="planned_grid_power",
    device_class=SensorDeviceClass.POWER,
    native_unit_of_measurement=UnitOfPower.WATT,
    suggested_display_precision=0,
)


class PlanSensor(StandingEntity, SensorEntity):
    """A sensor of what a device will do."""

    entity_description: PlanDescription
    _unrecorded_attributes = frozenset({"series"})

    @property
    @override
    def native_value(self) -> StateType | datetime:
        return self.entity_description.value(self.coordinator.data.plan, self.device, dt_util.utcnow())

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any]:
        return self.entity_description.attributes(self.coordinator.data.plan, self.device, dt_util.utcnow())


class PlannedGridSensor(SiteEntity, SensorEntity):
    """What the site should exchange with the grid now; its series is the whole plan."""

    _unrecorded_attributes = frozenset({"series", "made_at", "cost"})

    def __init__(self, feed: GatewayFeed) -> None:
        """Follow the plan."""
        super().__init__(feed, PLANNED_GRID_POWER)

    @property
    @override
    def native_value(self) -> StateType:
        slot = _now(self.site.plan, dt_util.utcnow())
        return round(slot.grid_power_w) if slot and slot.grid_power_w is not None else None

    @property
    @override
    def extra_state_attributes(self) -> Mapping[str, Any]:
        plan = self.site.plan
        if plan is None:
            return {"series": []}
        return {
            "made_at": plan.made_at.isoformat(),
            "cost": plan.cost,
            "series": [{"start": s.starts_at.isoformat(), "power": s.grid_power_w} for s in plan.slots],
        }
