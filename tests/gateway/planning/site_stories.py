"""A house to pose problems of: a grid meter, a roof, a battery and a car at its charger."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

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
    PriceSlot,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSample,
    Wishes,
)
from gateway.planning.question import Question, SiteFacts

NOW = datetime(2026, 3, 20, 16, 7, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = NOW.replace(hour=0, minute=0)

INFOS = {
    "grid": DeviceInfo("grid", DeviceKind.METER, "Grid", "m", role=MeterRole.GRID),
    "battery": DeviceInfo(
        "battery", DeviceKind.STORAGE, "Battery", "s", rated=Interval(-3600, 3600), capacity_wh=10_000
    ),
    "garage": DeviceInfo("garage", DeviceKind.EVSE, "Garage", "e", rated=Interval(-6000, 6000)),
}
METER = MeterSample(0.0, 500.0, (500.0, 0.0, 0.0), (230.0,) * 3, (2.0, 0.0, 0.0))
BATTERY = StorageSample(0.0, 0.0, 50.0, StorageState.RUNNING, 3600.0, 3600.0)
CAR = EvseSample(
    0.0,
    EvseState.READY,
    True,
    0.0,
    6000.0,
    6000.0,
    vehicle=VehicleSample(45.0, 36_000.0, discharge_compatible=True),
)
LEAVING = DeviceSettings(30.0, 80.0, departure=time(7, 30))
OWNER = OwnerSettings(True, devices={"garage": LEAVING, "battery": DeviceSettings(10.0, 100.0)})
PRICES = tuple(
    PriceSlot(
        DAY + h * HOUR,
        DAY + (h + 1) * HOUR,
        0.15 if h % 24 < 6 else 0.45 if h % 24 in (17, 18, 19) else 0.3,
        0.05,
    )
    for h in range(72)
)


def asked(*, car=CAR, battery=BATTERY, meter=METER, owner=OWNER, prices=PRICES, utc=NOW, **parts) -> Question:
    """Return the question of the house, some parts changed; ``wishes_`` and ``site_`` parts go to those."""
    wishes = Wishes(
        owner, **{k.removeprefix("wishes_"): parts.pop(k) for k in list(parts) if k.startswith("wishes_")}
    )
    facts = SiteFacts(GridTable(25.0))
    facts = replace(
        facts, **{k.removeprefix("site_"): parts.pop(k) for k in list(parts) if k.startswith("site_")}
    )
    seen = Snapshot(0.0, utc, INFOS, {"grid": meter}, {"battery": battery}, {"garage": car}, Wishes(), {})
    return Question(seen, wishes, facts, "test", prices, **parts)
