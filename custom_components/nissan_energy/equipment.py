"""The equipment check of each device: fit for its car, wired right, and its fail-safe proven on this unit."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, override

from homeassistant.components.sensor import SensorDeviceClass, SensorEntity, SensorEntityDescription
from homeassistant.const import EntityCategory

from .client import DeviceView, Equipment, Finding
from .entity import StandingEntity, is_vehicle

VERDICTS = ["passed", "attention", "not_proven", "failed"]
"""From the best to the worst."""

CHECKS = (
    "answers",
    "car",
    "protocol",
    "discharge",
    "voltage_window",
    "current_window",
    "soc_window",
    "session_time",
    "model",
    "meter_rate",
    "fuse",
    "fuse_guard",
    "sole_master",
    "fail_safe_card",
    "wiring_proof",
    "fail_safe_proof",
    "timer_proof",
    "lines_proof",
)
"""Those that have a name; a newer gateway may know more."""


@dataclass(frozen=True, kw_only=True)
class EquipmentDescription(SensorEntityDescription):
    """The check of one device."""

    exists: Callable[[DeviceView], bool]


EQUIPMENT = (
    EquipmentDescription(
        key="equipment_check",
        device_class=SensorDeviceClass.ENUM,
        options=VERDICTS,
        entity_category=EntityCategory.DIAGNOSTIC,
        exists=lambda view: not is_vehicle(view),
    ),
)


class EquipmentSensor(StandingEntity, SensorEntity):
    """One verdict, with that of each check beside it, and the gateway's words for what has not passed."""

    entity_description: EquipmentDescription
    _unrecorded_attributes = frozenset({*CHECKS, "proven_at", "texts", "remedies"})

    @property
    def equipment(self) -> Equipment | None:
        """Return what the gateway judged last; None from a gateway that judges nothing."""
        return self.coordinator.data.equipment.get(self.device)

    @property
    @override
    def available(self) -> bool:
        return super().available and self.equipment is not None

    @property
    @override
    def native_value(self) -> str | None:
        told = self.equipment
        return told.verdict if told and told.verdict in VERDICTS else None

    @property
    @override
    def extra_state_attributes(self) -> dict[str, Any] | None:
        if (told := self.equipment) is None:
            return None
        open_ones = [f for f in told.findings if f.verdict != "passed"]
        return {
            **_worst_by_check(told.findings),
            "proven_at": told.proven_at.isoformat() if told.proven_at else None,
            "texts": list(dict.fromkeys(f.text for f in open_ones)),
            "remedies": list(dict.fromkeys(f.remedy for f in open_ones if f.remedy)),
        }


def _worst_by_check(findings: Iterable[Finding]) -> dict[str, str]:
    """Return one verdict for each check that has a name."""
    worst: dict[str, str] = {}
    for finding in findings:
        if finding.check in CHECKS and finding.verdict in VERDICTS:
            before = worst.get(finding.check, VERDICTS[0])
            worst[finding.check] = max(before, finding.verdict, key=VERDICTS.index)
    return worst
