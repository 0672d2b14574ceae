"""A blackout played through on paper: the real control against the site's present charge, on a virtual clock, without sun.

The physics is plain: what the house and its switched loads draw comes out of the battery that islands, less what a car gives.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from gateway.config import ControlTables
from gateway.control.dispatch import dispatch
from gateway.control.envelope import admit
from gateway.control.memory import Memory, advance
from gateway.model import (
    BackupPhase,
    Decision,
    DeviceId,
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    LoadSample,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSample,
    Wishes,
)

QUICK_S, QUICK_STEP_S = 10.0, 0.1
STEP_S = 30.0
LONGEST_H = 96.0
CONVERTED = 0.93
EMPTY_PCT = 2.0
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Site:
    """What the drill starts from. ``capacity_wh`` of cars and batteries; ``load_w`` is the house without switched loads."""

    tables: ControlTables
    devices: Mapping[DeviceId, DeviceInfo]
    owner: OwnerSettings
    soc_pct: Mapping[DeviceId, float]
    capacity_wh: Mapping[DeviceId, float]
    load_w: float


@dataclass(slots=True)
class Outcome:
    """``reserve_h`` and ``dark_h`` are when the reserve was reached and when it went dark, None where it did not in
    LONGEST_H; ``shed_s`` is when each load and charger went, ``cars_pct`` what each car has left at the end."""

    autonomy_h: float | None = None
    reserve_h: float | None = None
    dark_h: float | None = None
    shed_s: dict[DeviceId, float] = field(default_factory=dict)
    cars_pct: dict[DeviceId, float] = field(default_factory=dict)
    can_leave: dict[DeviceId, bool] = field(default_factory=dict)


def drill(site: Site) -> Outcome:
    """Play the blackout until the house is dark, or for LONGEST_H."""
    played, outcome = _Played(site), Outcome()
    while played.now < 5.0:
        played.tick(QUICK_STEP_S)
    lost_at, played.lost = played.now, True
    while (gone_s := played.now - lost_at) < LONGEST_H * 3600:
        played.tick(QUICK_STEP_S if gone_s < QUICK_S else STEP_S)
        _note(outcome, played, played.now - lost_at)
        if outcome.dark_h is not None:
            break
    for device, info in site.devices.items():
        if info.kind is DeviceKind.EVSE and device in site.soc_pct:
            left_pct = outcome.cars_pct[device] = round(played.soc_pct[device], 1)
            needed_pct = min(site.owner.of(device).drive_away_soc_pct, site.soc_pct[device])
            outcome.can_leave[device] = left_pct >= needed_pct - 1.0
    return outcome


def _note(outcome: Outcome, played: _Played, gone_s: float) -> None:
    backup = played.memory.status.backup
    if outcome.autonomy_h is None:
        outcome.autonomy_h = backup.autonomy_h
    for device in backup.shed:
        outcome.shed_s.setdefault(device, round(gone_s, 1))
    if backup.phase is BackupPhase.RESERVE and outcome.reserve_h is None:
        outcome.reserve_h = round(gone_s / 3600, 1)
    if gone_s > QUICK_S and backup.phase is BackupPhase.DARK:
        outcome.dark_h = round(gone_s / 3600, 1)


class _Played:
    """The site on its virtual clock."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.now = 0.0
        self.lost = False
        self.memory = Memory()
        self.soc_pct = dict(site.soc_pct)
        self.power_w = dict.fromkeys(site.soc_pct, 0.0)
        self._decisions: dict[DeviceId, Decision] = {}

    def tick(self, dt_s: float) -> None:
        """Move the energy of ``dt_s``, then look and decide."""
        self._flow(dt_s)
        self.now += dt_s
        self.memory, snapshot = advance(self.memory, self._snapshot(), self.site.tables)
        outcome = dispatch(snapshot, self.site.tables, self.memory.balance)
        self._decisions = {d.device: d for d in outcome.decisions}
        for device in self._of(DeviceKind.EVSE):
            self.power_w[device] = admit(self._decisions[device], None, snapshot, dt_s).power_w

    def _of(self, kind: DeviceKind) -> list[DeviceId]:
        fixed = kind in (DeviceKind.METER, DeviceKind.LOAD)
        return [d for d, i in self.site.devices.items() if i.kind is kind and (fixed or d in self.soc_pct)]

    def _on(self, load: DeviceId) -> bool:
        decided = self._decisions.get(load)
        return decided is None or decided.engage

    def _drawn_w(self) -> float:
        switched_w = sum(self.site.devices[d].rated.max_w for d in self._of(DeviceKind.LOAD) if self._on(d))
        return self.site.load_w + switched_w + sum(self.power_w[d] for d in self._of(DeviceKind.EVSE))

    def _carriers(self) -> list[DeviceId]:
        able = [d for d in self._of(DeviceKind.STORAGE) if self.site.devices[d].islands]
        return [d for d in able if self.soc_pct[d] > EMPTY_PCT] if self.lost else []

    def _flow(self, dt_s: float) -> None:
        carriers = self._carriers()
        for device in self._of(DeviceKind.STORAGE):
            self.power_w[device] = -self._drawn_w() / len(carriers) if device in carriers else 0.0
        for device, power_w in self.power_w.items():
            stored_w = power_w * CONVERTED if power_w > 0 else power_w / CONVERTED
            moved_pct = 100 * stored_w * dt_s / 3600 / self.site.capacity_wh[device]
            self.soc_pct[device] = min(max(self.soc_pct[device] + moved_pct, 0.0), 100.0)

    def _snapshot(self) -> Snapshot:
        now, devices, carriers = self.now, self.site.devices, self._carriers()
        grid_w = 0.0 if self.lost else self._drawn_w()
        volts = 0.0 if self.lost else self.site.tables.grid.nominal_voltage_v
        meter = MeterSample(now, grid_w, (grid_w / 3,) * 3, (volts,) * 3, (0.0,) * 3)
        meters = {d: meter if devices[d].role is MeterRole.GRID else None for d in self._of(DeviceKind.METER)}
        alone = None if self.lost else False
        storages = {
            d: StorageSample(
                now, self.power_w[d], self.soc_pct[d], StorageState.RUNNING, devices[d].rated.max_w,
                -devices[d].rated.min_w, capacity_wh=self.site.capacity_wh[d],
                islanded=True if d in carriers else alone,
            )
            for d in self._of(DeviceKind.STORAGE)
        }  # fmt: skip
        evses = {d: self._car(d) for d in self._of(DeviceKind.EVSE)}
        return Snapshot(
            at=now,
            utc=START + timedelta(seconds=now),
            devices=devices,
            meters=meters,
            storages=storages,
            evses=evses,
            wishes=Wishes(self.site.owner),
            decisions=self._decisions,
            loads={d: LoadSample(now, self._on(d)) for d in self._of(DeviceKind.LOAD)},
        )

    def _car(self, device: DeviceId) -> EvseSample:
        rated = self.site.devices[device].rated
        vehicle = VehicleSample(self.soc_pct[device], self.site.capacity_wh[device])
        return EvseSample(
            self.now, EvseState.READY, True, self.power_w[device], rated.max_w, -rated.min_w,
            current_a=self.power_w[device] / 360, voltage_v=360.0, vehicle=vehicle,
        )  # fmt: skip
