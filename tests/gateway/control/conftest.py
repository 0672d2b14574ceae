"""A site to decide for, built by keyword."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest

from gateway.config import GridTable
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSample,
    Wishes,
)

UTC_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INFOS = {
    "grid": DeviceInfo("grid", DeviceKind.METER, "Grid", "meter", MeterRole.GRID),
    "battery": DeviceInfo(
        "battery",
        DeviceKind.STORAGE,
        "xStorage",
        "storage",
        phases=(2,),
        rated=Interval(-5000, 5000),
        capacity_wh=10_000,
    ),
    "garage": DeviceInfo(
        "garage",
        DeviceKind.EVSE,
        "Leaf",
        "evse",
        phases=(1,),
        rated=Interval(-6000, 6000),
        capacity_wh=36_000,
    ),
}
GRID = GridTable(main_fuse_a=25.0, import_limit_w=9000.0, export_limit_w=4000.0)


@dataclass
class House:
    """A house at one instant: the load is what the grid meter sees besides battery and car."""

    load_w: float | tuple[float, float, float] = 1500.0
    battery_w: float = 0.0
    car_w: float = 0.0
    battery_soc_pct: float = 60.0
    car_soc_pct: float | None = 60.0
    plugged: bool = True
    wishes: Wishes = field(
        default_factory=lambda: Wishes(
            OwnerSettings(control_on=True, devices={"battery": DeviceSettings(floor_soc_pct=10.0)})
        )
    )
    grid: GridTable = GRID
    stale: frozenset[str] = frozenset()
    faults: tuple = ()
    decisions: dict = field(default_factory=dict)
    at: float = 100.0

    @property
    def phase_load_w(self) -> tuple[float, float, float]:
        return self.load_w if isinstance(self.load_w, tuple) else (self.load_w / 3,) * 3

    def grid_sample(self) -> MeterSample:
        phases = list(self.phase_load_w)
        phases[0] += self.car_w
        phases[1] += self.battery_w
        amps = tuple(abs(p) / 230.0 for p in phases)
        return MeterSample(self.at, sum(phases), tuple(phases), (230.0,) * 3, amps, 50.0)

    def snapshot(self) -> Snapshot:
        battery = StorageSample(
            self.at, self.battery_w, self.battery_soc_pct, StorageState.RUNNING, 5000.0, 5000.0, applied_w=0.0
        )
        car = EvseSample(
            self.at,
            EvseState.READY if self.plugged else EvseState.UNPLUGGED,
            self.plugged,
            self.car_w,
            6000.0,
            6000.0,
            vehicle=VehicleSample(self.car_soc_pct, 36_000.0) if self.plugged else None,
        )
        return Snapshot(
            at=self.at,
            utc=UTC_NOW,
            devices=INFOS,
            meters={"grid": None if "grid" in self.stale else self.grid_sample()},
            storages={"battery": None if "battery" in self.stale else battery},
            evses={"garage": None if "garage" in self.stale else car},
            wishes=self.wishes,
            decisions=self.decisions,
            faults=self.faults,
        )

    def settings(self, device: str, **changes: object) -> None:
        owner = self.wishes.owner
        devices = {**owner.devices, device: replace(owner.of(device), **changes)}
        self.wishes = replace(self.wishes, owner=replace(owner, devices=devices))


@pytest.fixture
def house() -> type[House]:
    return House
