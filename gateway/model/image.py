"""The process image: setpoints, decisions, faults, and the snapshot of them all."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from gateway.model.control import ControlStatus
from gateway.model.devices import (
    DeviceInfo,
    EvSample,
    EvseSample,
    FailSafeCard,
    LoadSample,
    MeterRole,
    MeterSample,
    StorageSample,
    VehicleState,
)
from gateway.model.power import DeviceId, Interval, Reason
from gateway.model.wishes import Wishes


class Setpoint(Struct, frozen=True, gc=False):
    """A lease on a device's power: the driver falls to 0 W after ``expires_at``, with or without us.

    ``engage`` asks an EVSE to hold a charging session open (contactors closed) even at 0 W. ``owner_asked``: the owner
    wants it now, so a sleeping car may be woken beyond its budget. ``wanted_w`` is the wish behind it, which a device
    that cannot carry it out yet may prepare for.
    """

    device: DeviceId
    power_w: float
    expires_at: float
    reason: Reason
    limited_by: Reason | None = None
    engage: bool = True
    owner_asked: bool = False
    wanted_w: float = 0.0


class Decision(Struct, frozen=True, gc=False):
    """What the tick decided for one device. ``wanted_w`` is the wish before the higher rungs held it back.

    ``min_by`` and ``max_by`` tell who set the edges of the interval.
    """

    device: DeviceId
    at: float
    utc: datetime
    wanted_w: float
    power_w: float
    interval: Interval
    reason: Reason
    limited_by: Reason | None = None
    engage: bool = True
    min_by: Reason | None = None
    max_by: Reason | None = None


@dataclass(frozen=True, slots=True)
class ActiveFault:
    """A raised fault: its code (faults.py), whose it is, since when, and one line of detail."""

    code: str
    device: DeviceId
    since: datetime
    detail: str = ""


@dataclass(frozen=True, slots=True)
class EnergyTotals:
    """Lifetime energy into and out of a device (for a grid meter: imported and exported), in Wh; it never falls."""

    in_wh: float = 0.0
    out_wh: float = 0.0


@dataclass(frozen=True, slots=True)
class Trip:
    """A car's absence from its charger. ``energy_wh`` is what its SoC says was used, negative where it was charged
    elsewhere; None while it is away, and where its capacity is unknown.
    """

    charger: DeviceId
    left_at: datetime
    left_soc_pct: float
    returned_at: datetime | None = None
    returned_soc_pct: float | None = None
    energy_wh: float | None = None
    left_odometer_km: float | None = None
    distance_km: float | None = None


@dataclass(frozen=True, slots=True)
class HistoryPoint:
    """One thinned sample of a device's past, with its energy totals at that time."""

    utc: datetime
    power_w: float
    soc_pct: float | None
    in_wh: float
    out_wh: float


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The process image at one instant. A sample older than its device's ``max_age_s`` is already None."""

    at: float
    utc: datetime
    devices: Mapping[DeviceId, DeviceInfo]
    meters: Mapping[DeviceId, MeterSample | None]
    storages: Mapping[DeviceId, StorageSample | None]
    evses: Mapping[DeviceId, EvseSample | None]
    wishes: Wishes
    decisions: Mapping[DeviceId, Decision]
    faults: tuple[ActiveFault, ...] = ()
    evs: Mapping[DeviceId, EvSample | None] = field(default_factory=dict)
    vehicles: Mapping[DeviceId, VehicleState] = field(default_factory=dict)
    """Each car by the EVSE it belongs to, fused from all who know of it; empty until control has judged the samples."""
    loads: Mapping[DeviceId, LoadSample | None] = field(default_factory=dict)
    control: ControlStatus = field(default_factory=ControlStatus)
    """As control left it at its last tick."""
    cards: Mapping[DeviceId, FailSafeCard] = field(default_factory=dict)
    """What each device does without us, as its driver knows it now; told to the services alone."""

    def grid(self) -> MeterSample | None:
        """Return the fresh sample of the grid meter, None when it is stale."""
        return self._meter(MeterRole.GRID)

    def pv(self) -> MeterSample | None:
        """Return the fresh sample of the PV meter, None when it is stale or there is none."""
        return self._meter(MeterRole.PV)

    def frequency_hz(self) -> float | None:
        """Return the frequency as the best meter for it tells it, None when nothing fresh does."""
        meter = self._meter(MeterRole.FREQUENCY) or self.grid()
        return meter.frequency_hz if meter else None

    def _meter(self, role: MeterRole) -> MeterSample | None:
        for device, meter in self.meters.items():
            if self.devices[device].role is role:
                return meter
        return None
