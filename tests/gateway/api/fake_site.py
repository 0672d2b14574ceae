"""A site that lives in memory. ``python tests/gateway/api/fake_site.py --state-dir DIR`` serves it until Ctrl-C.

The house changes once a second; the pairing code and api.json (host, port, fingerprint) are in DIR.
"""

import argparse
import asyncio
import contextlib
import itertools
import logging
import math
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[3]))

from gateway.api.server import ApiServer
from gateway.api.site import (
    EquipmentFinding,
    EquipmentState,
    EquipmentVerdict,
    Limits,
    Outlook,
    Score,
    SiteIdentity,
    Utility,
    UtilityCredentials,
    View,
)
from gateway.faults import Malformed
from gateway.model import (
    ActiveFault,
    Decision,
    DeviceInfo,
    DeviceKind,
    EnergyTotals,
    EventStatus,
    EvseSample,
    EvseState,
    GridEvent,
    HistoryPoint,
    Interval,
    MeterRole,
    MeterSample,
    Plan,
    PlanSlot,
    PriceSlot,
    Reason,
    Rung,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSample,
    WindowKind,
    Wishes,
)

INFOS = {
    "grid": DeviceInfo(
        "grid", DeviceKind.METER, "Grid meter", "meter.eastron_sdm630", MeterRole.GRID, "Eastron"
    ),
    "pv": DeviceInfo("pv", DeviceKind.METER, "Roof", "meter.sunspec", MeterRole.PV),
    "battery": DeviceInfo(
        "battery",
        DeviceKind.STORAGE,
        "xStorage",
        "storage.sunspec",
        maker="Eaton",
        model="xStorage",
        serial="B1",
        rated=Interval(-5000, 5000),
        capacity_wh=10_000,
    ),
    "garage": DeviceInfo(
        "garage", DeviceKind.EVSE, "Garage", "evse.chademo", serial="G1", rated=Interval(-6000, 6000)
    ),
}


FLIPPED = EquipmentFinding(
    "wiring_proof",
    EquipmentVerdict.FAILED,
    "Steps of 1500 W showed as -1500 W: the wrong sign.",
    "Set invert = true for the grid meter.",
    "wiring_flipped",
    "invert",
    {"step_w": 1500.0, "seen_w": -1500.0},
)


class FakeSite:
    """Holds one View; every wish changes it at once."""

    def __init__(self) -> None:
        self.identity = SiteIdentity("NE-0001", "Maple Street", "0.1.0", "Europe/Amsterdam")
        self._started = time.monotonic()
        self._changed = asyncio.Condition()
        now, utc = time.monotonic(), datetime.now(UTC)
        hour = utc.replace(minute=0, second=0, microsecond=0)
        hours = [(hour + timedelta(hours=h), hour + timedelta(hours=h + 1)) for h in range(24)]
        slots = tuple(PlanSlot(a, b, 500.0, {"garage": 1000.0}, {"garage": "cheap_hours"}) for a, b in hours)
        self._view = View(
            seq=1,
            now=now,
            utc=utc,
            services_uptime_s=0.0,
            fast_path_alive=True,
            snapshot=snapshot(now, utc, 800.0),
            limits=Limits(17_250.0, 5000.0, 25.0),
            plan=Plan("p1", utc, utc + timedelta(hours=24), "prices", slots, "optimal", 1.5, 1.5),
            outlook=Outlook((500.0,) * 24, (0.0,) * 24, (Score("load", 1.0, 96, 10.0, 80.0, 450.0),)),
            prices=tuple(PriceSlot(a, b, 0.25 + 0.01 * i, 0.08) for i, (a, b) in enumerate(hours)),
            events=(
                GridEvent(
                    "e1",
                    "peak",
                    "u1",
                    "Evening peak",
                    (WindowKind.IMPORT_LIMIT,),
                    EventStatus.SCHEDULED,
                    *hours[2],
                ),
            ),
            utilities=(Utility("u1", "City Power"),),
            energy={i: EnergyTotals(1000.0, 200.0) for i in INFOS},
            equipment={"garage": EquipmentState(EquipmentVerdict.FAILED, utc, (FLIPPED,))},
        )

    def view(self) -> View:
        now = time.monotonic()
        return replace(self._view, now=now, utc=datetime.now(UTC), services_uptime_s=now - self._started)

    async def next_change(self, seq: int) -> int:
        async with self._changed:
            await self._changed.wait_for(lambda: self._view.seq > seq)
            return self._view.seq

    async def put(self, **parts: object) -> None:
        """Change parts of the view, for tests."""
        async with self._changed:
            self._view = replace(self._view, seq=self._view.seq + 1, **parts)
            self._changed.notify_all()

    async def set_owner(self, owner):
        await self.put(owner=owner)

    async def add_request(self, request):
        others = tuple(r for r in self._view.requests if r.device != request.device)
        await self.put(requests=(*others, request))

    async def cancel_request(self, device):
        await self.put(requests=tuple(r for r in self._view.requests if r.device != device))

    async def add_reserve(self, window):
        await self.put(reserves=(*self._view.reserves, window))

    async def remove_reserve(self, window_id):
        await self.put(reserves=tuple(w for w in self._view.reserves if w.id != window_id))

    async def set_need(self, need):
        others = tuple(n for n in self._view.needs if n.device != need.device)
        await self.put(needs=(*others, need))

    async def clear_need(self, device):
        await self.put(needs=tuple(n for n in self._view.needs if n.device != device))

    async def hand_in_prices(self, slots, lists):
        if lists == "rubbish":
            raise Malformed("prices: 'rubbish' is no list")
        await self.put(prices=tuple(slots) or self._view.prices)
        return len(slots) + bool(lists)

    async def hand_in(self, kind, told):
        handed = replace(self._view.outlook.handed, **{kind: tuple(told)})
        await self.put(outlook=replace(self._view.outlook, handed=handed))

    async def stop(self, on):
        await self.put(owner=replace(self._view.owner, stopped=on))

    async def opt_out(self, event_id, out):
        status = EventStatus.OPTED_OUT if out else EventStatus.SCHEDULED
        events = tuple(replace(e, status=status) if e.id == event_id else e for e in self._view.events)
        await self.put(events=events)
        return any(e.id == event_id for e in events)

    async def add_utility(self, name):
        client_id = f"u{len(self._view.utilities) + 1}"
        await self.put(utilities=(*self._view.utilities, Utility(client_id, name)))
        return UtilityCredentials(client_id, "told-once", "https://127.0.0.1:8444/openadr3/3.1.0")

    async def remove_utility(self, client_id):
        kept = tuple(u for u in self._view.utilities if u.client_id != client_id)
        found = len(kept) < len(self._view.utilities)
        await self.put(utilities=kept)
        return found

    async def decisions(self, device, limit):
        made = self._view.snapshot.decisions.values() if self._view.snapshot else ()
        return [d for d in made if device in {None, d.device}][:limit]

    async def acknowledge(self, acknowledged):
        self.acknowledged = acknowledged

    async def trips(self, charger, limit):
        return [t for t in self._view.trips.values() if charger in (None, t.charger)][:limit]

    async def history(self, device, start, end, limit):
        step = (end - start) / 10
        return [HistoryPoint(start + step * i, 100.0 * i, None, 10.0 * i, 0.0) for i in range(10)][-limit:]


def snapshot(now: float, utc: datetime, house_w: float) -> Snapshot:
    car_w = -round(house_w / 2)
    why = Reason(Rung.SELF_CONSUMPTION, "cover_house")
    vehicle = VehicleSample(62.0, 40_000.0, 91.0, discharge_compatible=True)
    return Snapshot(
        now,
        utc,
        INFOS,
        {
            "grid": MeterSample(now, house_w, (house_w, 0, 0), (230, 230, 230), (house_w / 230, 0, 0), 50.0),
            "pv": MeterSample(now, -1200.0, (-1200, 0, 0), (230, 230, 230), (-5.2, 0, 0), 50.0),
        },
        {"battery": StorageSample(now, 300.0, 55.0, StorageState.RUNNING, 5000, 5000, soh_pct=97.0)},
        {"garage": EvseSample(now, EvseState.READY, True, car_w, 6000, 6000, 360.0, car_w / 360, vehicle)},
        Wishes(),
        {"garage": Decision("garage", now, utc, -5000.0, car_w, Interval(-6000, 6000), why)},
        (ActiveFault("plan_stale", "", utc - timedelta(minutes=3), "no prices"),) if house_w > 1500 else (),
    )


async def live(site: FakeSite) -> None:
    for second in itertools.count():
        house_w = round(900.0 + 700.0 * math.sin(second / 10.0))
        await site.put(snapshot=snapshot(time.monotonic(), datetime.now(UTC), house_w))
        await asyncio.sleep(1.0)


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--state-dir", type=Path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--advertise", action="store_true")
    options = parser.parse_args()
    options.state_dir.mkdir(parents=True, exist_ok=True)
    logging.basicConfig(level=logging.INFO)
    site = FakeSite()
    server = ApiServer(site, options.state_dir, "127.0.0.1", options.port, advertise=options.advertise)
    async with asyncio.TaskGroup() as group:
        group.create_task(server.run())
        group.create_task(live(site))


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())
