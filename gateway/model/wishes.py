"""Wishes: the owner's, the utility's, and the plan; never commands."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from enum import StrEnum

from gateway.model.control import ReserveProduct
from gateway.model.plans import Plan
from gateway.model.power import DeviceId


class RequestMode(StrEnum):
    CHARGE = "charge_now"
    DISCHARGE = "discharge_now"
    BOOST = "boost"
    PAUSE = "pause"


@dataclass(frozen=True, slots=True)
class Request:
    """An owner's lease on one device. ``power_w`` is a positive magnitude; ``until_soc_pct`` ends a boost or a discharge."""

    id: str
    device: DeviceId
    mode: RequestMode
    expires_at: datetime
    power_w: float | None = None
    until_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """The owner's standing wishes for one storage or EVSE.

    ``floor_soc_pct`` is never discharged below while there is a grid (driving for a car, backup for a battery);
    ``drive_away_soc_pct`` is what a car keeps in a blackout. ``departure`` is local time.
    """

    floor_soc_pct: float = 30.0
    target_soc_pct: float = 80.0
    departure: time | None = None
    discharge_allowed: bool = True
    drive_away_soc_pct: float = 20.0


_UNSAID = DeviceSettings()


@dataclass(frozen=True, slots=True)
class OwnerSettings:
    """The owner's standing wishes. A new site only observes: ``control_on`` is false until the owner turns it on.

    Until ``storm_until`` everything is charged and kept for a blackout. Unless ``battery_may_charge_car``, the house
    battery never feeds the car.
    """

    control_on: bool = False
    stopped: bool = False
    grid_events_allowed: bool = True
    storm_until: datetime | None = None
    battery_may_charge_car: bool = False
    devices: Mapping[DeviceId, DeviceSettings] = field(default_factory=dict)

    def of(self, device: DeviceId) -> DeviceSettings:
        """Return the wishes for ``device``, the defaults when the owner never said anything."""
        return self.devices.get(device, _UNSAID)


class WindowKind(StrEnum):
    IMPORT_LIMIT = "import_limit"
    EXPORT_LIMIT = "export_limit"
    SHED = "shed"
    DISPATCH = "dispatch"
    STORM = "storm"
    PRICE = "price"
    EXPORT_PRICE = "export_price"


@dataclass(frozen=True, slots=True)
class GridWindow:
    """One arbitrated order of the utility for one stretch of time.

    ``value`` is W for limits (positive magnitude) and dispatch (site power, import positive), the level 0..3 for SHED, 1 for STORM, a kWh's price.
    """

    kind: WindowKind
    value: float
    starts_at: datetime
    ends_at: datetime
    event_id: str
    source: str

    def active(self, utc: datetime) -> bool:
        """Tell whether the window covers ``utc``."""
        return self.starts_at <= utc < self.ends_at


@dataclass(frozen=True, slots=True)
class ReserveWindow:
    """A frequency reserve sold for one stretch of time: ``power_w`` (a magnitude) each way, of the product's shape.

    ``devices`` are those that may carry it; empty means every one that proves able.
    """

    id: str
    product: ReserveProduct
    power_w: float
    starts_at: datetime
    ends_at: datetime
    source: str = ""
    devices: tuple[DeviceId, ...] = ()

    def active(self, utc: datetime) -> bool:
        """Tell whether the window covers ``utc``."""
        return self.starts_at <= utc < self.ends_at


@dataclass(frozen=True, slots=True)
class Need:
    """What the car at an EVSE still has to take before it leaves; it wins over the cost, never over a limit."""

    device: DeviceId
    energy_wh: float
    departs_at: datetime


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Someone has inspected what a fault asks to be inspected; the device itself decides whether that lifts it."""

    id: str
    device: DeviceId
    code: str
    expires_at: datetime


class EventStatus(StrEnum):
    SCHEDULED = "scheduled"
    ACTIVE = "active"
    ENDED = "ended"
    CANCELLED = "cancelled"
    OPTED_OUT = "opted_out"
    REJECTED = "rejected"


@dataclass(frozen=True, slots=True)
class GridEvent:
    """A utility's call as the owner sees it."""

    id: str
    program: str
    utility: str
    name: str
    kinds: tuple[WindowKind, ...]
    status: EventStatus
    starts_at: datetime | None
    ends_at: datetime | None
    priority: int | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Wishes:
    """All that the services want of the fast path; replaced as a whole, each part bearing its own expiry."""

    owner: OwnerSettings = field(default_factory=OwnerSettings)
    requests: tuple[Request, ...] = ()
    windows: tuple[GridWindow, ...] = ()
    plan: Plan | None = None
    acknowledgements: tuple[Acknowledgement, ...] = ()
    reserves: tuple[ReserveWindow, ...] = ()
    needs: tuple[Need, ...] = ()

    def storm(self, utc: datetime) -> bool:
        """Tell whether the owner or an alert expects a blackout."""
        if self.owner.storm_until is not None and utc < self.owner.storm_until:
            return True
        return any(w.kind is WindowKind.STORM and w.active(utc) for w in self.windows)
