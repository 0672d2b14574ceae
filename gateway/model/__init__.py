"""The vocabulary: frozen values that travel between rooms.

Sign: power into a device, and from the grid into the site, is positive. Units are in the names.
Monotonic seconds carry control (``at``, ``expires_at`` as float); aware UTC carries plans and calls.
"""

from gateway.model.devices import (
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    FailSafeCard,
    MeterRole,
    MeterSample,
    StorageSample,
    StorageState,
    VehicleSample,
)
from gateway.model.image import ActiveFault, Decision, EnergyTotals, HistoryPoint, Setpoint, Snapshot
from gateway.model.power import ZERO, DeviceId, Interval, Reason, Rung
from gateway.model.wishes import (
    DeviceSettings,
    EventStatus,
    GridEvent,
    GridWindow,
    OwnerSettings,
    Plan,
    PlanSlot,
    PriceSlot,
    Request,
    RequestMode,
    WindowKind,
    Wishes,
)

__all__ = [
    "ZERO",
    "ActiveFault",
    "Decision",
    "DeviceId",
    "DeviceInfo",
    "DeviceKind",
    "DeviceSettings",
    "EnergyTotals",
    "EventStatus",
    "EvseSample",
    "EvseState",
    "FailSafeCard",
    "GridEvent",
    "GridWindow",
    "HistoryPoint",
    "Interval",
    "MeterRole",
    "MeterSample",
    "OwnerSettings",
    "Plan",
    "PlanSlot",
    "PriceSlot",
    "Reason",
    "Request",
    "RequestMode",
    "Rung",
    "Setpoint",
    "Snapshot",
    "StorageSample",
    "StorageState",
    "VehicleSample",
    "WindowKind",
    "Wishes",
]
