"""What the rules of fitness look at: everything that is known of one site; pure."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gateway.config import GridTable
from gateway.faults import FaultCode
from gateway.model import DeviceId, DeviceInfo, DeviceKind, MeterRole, Snapshot, VehicleSample
from gateway.supply.findings import Check
from gateway.supply.record import Record, hangs_on


@dataclass(frozen=True, slots=True)
class Equipment:
    """``identities`` is what each device's proofs hang on; ``cars`` is each car as it was last seen at its charger."""

    snapshot: Snapshot
    grid: GridTable
    record: Record = field(default_factory=Record)
    identities: Mapping[DeviceId, str] = field(default_factory=dict)
    cars: Mapping[DeviceId, VehicleSample] = field(default_factory=dict)

    @property
    def grid_meter(self) -> DeviceInfo | None:
        """The meter at the grid connection."""
        return next((d for d in self.snapshot.devices.values() if d.role is MeterRole.GRID), None)

    def steered(self) -> Iterator[DeviceInfo]:
        """Yield the devices that take orders."""
        return (d for d in self.snapshot.devices.values() if d.kind.steered)

    def hangs_on(self, device: DeviceInfo, check: Check) -> str:
        """Return what a proof of a device would hang on now; empty when that is not known."""
        meter = self.grid_meter
        own = self.identities.get(device.id, "")
        return own and hangs_on(check, own, self.identities.get(meter.id, "") if meter else "")

    def car_at(self, charger: DeviceId) -> VehicleSample | None:
        """Return the car as it told of itself to its charger, now, earlier, or at commissioning."""
        sample = self.snapshot.evses.get(charger)
        now = sample.vehicle if sample else None
        return now or self.cars.get(charger) or self.record.cars.get(charger)

    def generation_at(self, charger: DeviceId) -> str:
        """Return the car's generation as its own bus, or else its frames to the charger, tell; empty where neither does."""
        state = self.snapshot.vehicles.get(charger)
        own = [
            ev.generation
            for device, ev in self.snapshot.evs.items()
            if ev is not None and self.snapshot.devices[device].charger == charger
        ]
        told = (state.generation if state else "") or next((g for g in own if g), "")
        car = self.car_at(charger)
        return told or (_by_frames(car) if car else "")


def silent(site: Equipment, info: DeviceInfo) -> bool:
    """Tell whether a device has no fresh sample; a parked car rightly says nothing while its bus can be heard."""
    snapshot = site.snapshot
    if info.kind is DeviceKind.VEHICLE:
        return any(f.device == info.id and f.code == FaultCode.DEVICE_UNREACHABLE for f in snapshot.faults)
    return all(s.get(info.id) is None for s in (snapshot.meters, snapshot.storages, snapshot.evses))


def _by_frames(car: VehicleSample) -> str:
    """Only a ZE1 sends 201, only a car made for V2X sends 200 (reference/can.md 3.2)."""
    if car.v2h_sequence is not None:
        return "ZE1"
    return "AZE0" if car.min_discharge_voltage_v is not None and car.discharge_compatible else ""
