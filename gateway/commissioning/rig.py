"""The devices of a site under test: their drivers run, orders are renewed as leases, and leaving means release."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from typing import cast

from gateway.commissioning.judging import PhaseWatts
from gateway.config import SiteConfig
from gateway.devices import Actuator, Device
from gateway.devices.clock import monotonic
from gateway.fastpath import open_devices
from gateway.faults import FaultCode
from gateway.model import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    FailSafeCard,
    MeterSample,
    Reason,
    Rung,
    Setpoint,
    Snapshot,
)
from gateway.state import SiteState

LOGGER = logging.getLogger(__name__)

LEASE_S, RENEW_S = 4.0, 0.5
RELEASE_S = 8.0
LOOK_S = 0.1
WHY = Reason(Rung.OWNER_REQUEST, "commissioning")


class Rig:
    """Made by ``rig``. Batteries without an order are held at 0 W, so that none makes up for another device's step."""

    def __init__(self, config: SiteConfig, devices: dict[DeviceId, Device], *, guarded: bool) -> None:
        self.config = config
        self._guarded = guarded
        self._devices = devices
        self._state = SiteState(d.info for d in devices.values())
        self._orders: dict[DeviceId, float] = {
            i: 0.0 for i, d in devices.items() if d.info.kind is DeviceKind.STORAGE
        }
        self.over_fuse = False
        self._soc_pct: dict[DeviceId, float] = {}

    def order(self, device: DeviceId, power_w: float) -> None:
        """Order a power at once, and hold it until ordered otherwise; an EVSE holds its session open."""
        self._orders[device] = power_w
        self._renew()

    def let_go(self, device: DeviceId) -> None:
        """Order nothing more: an EVSE ends its session, a battery stays at 0 W."""
        self._orders.pop(device, None)
        self._apply(device, 0.0, engage=False)

    def snapshot(self) -> Snapshot:
        """Return what is known now."""
        return self._state.snapshot(monotonic())

    def info(self, device: DeviceId) -> DeviceInfo:
        """Return a device as it has told of itself."""
        return self.snapshot().devices[device]

    def card(self, device: DeviceId) -> FailSafeCard:
        """Return a device's card as it is now."""
        return self._devices[device].card

    def power_w(self, device: DeviceId) -> float | None:
        """Return what a device says that it does."""
        snapshot = self.snapshot()
        sample = snapshot.storages.get(device) or snapshot.evses.get(device)
        return sample.power_w if sample else None

    def soc_pct(self, device: DeviceId) -> float | None:
        """Return the state of charge as it was told last: some chargers know it only under current."""
        return self._soc_pct.get(device)

    def raised(self, code: FaultCode, device: DeviceId) -> bool:
        """Tell whether a fault is raised."""
        return self._state.raised(code, device)

    def house_w(self) -> tuple[float, PhaseWatts] | None:
        """Return instant and phase powers of the grid meter, less what other meters see; None while it is stale."""
        snapshot = self.snapshot()
        grid = snapshot.grid()
        if grid is None:
            return None
        others = [m for m in snapshot.meters.values() if m is not None and m is not grid]
        return grid.at, _less(grid, others)

    def over(self) -> bool:
        """Tell whether a phase is over its fuse, or no fresh meter is there to tell."""
        grid = self.snapshot().grid()
        fuse_a, phases = self.config.grid.main_fuse_a, self.config.grid.phases
        return grid is None or any(abs(a) > fuse_a for a in grid.phase_current_a[:phases])

    def fits(self, info: DeviceInfo, change_w: float) -> bool:
        """Tell whether a change of a device's power keeps each of its phases within the fuse, by a fresh grid meter."""
        grid, wiring = self.snapshot().grid(), self.config.grid
        if grid is None:
            return False
        change_a = change_w / len(info.phases) / wiring.nominal_voltage_v
        before_a = (grid.phase_power_w[phase - 1] / wiring.nominal_voltage_v for phase in info.phases)
        return all(abs(a + change_a) <= wiring.main_fuse_a for a in before_a)

    async def mean_w(self, seconds: float) -> PhaseWatts | None:
        """Return the mean of ``house_w`` over new samples; None when the meter fell silent or a phase came over its fuse."""
        ends_at, seen = monotonic() + seconds, dict[float, PhaseWatts]()
        while monotonic() < ends_at:
            if self.over() or (now := self.house_w()) is None:
                return None
            seen[now[0]] = now[1]
            await asyncio.sleep(LOOK_S / 2)
        count = len(seen)
        one, two, three = (sum(w[p] for w in seen.values()) / count for p in range(3))
        return one, two, three

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until ``condition`` holds, for ``seconds`` at most; tell whether it does."""
        ends_at = monotonic() + seconds
        while not condition():
            if monotonic() > ends_at:
                return False
            await asyncio.sleep(LOOK_S)
        return True

    async def run(self) -> None:
        """Run drivers and leases until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, device in self._devices.items():
                tasks.create_task(device.run(self._state.slot(name)))
            tasks.create_task(self._keep())

    async def release(self) -> None:
        """Ramp everything to 0 W and hand it back."""
        self._orders.clear()
        actuators = [cast(Actuator, d) for d in self._devices.values() if d.info.kind.steered]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_S):
                await asyncio.gather(*(a.release() for a in actuators), return_exceptions=True)

    async def _keep(self) -> None:
        while True:
            if self._guarded:
                self._guard()
            self._renew()
            self._learn()
            await asyncio.sleep(RENEW_S)

    def _guard(self) -> None:
        """A phase over its fuse, or no meter to tell, ends every power at once; what was begun is then not measured."""
        if any(self._orders.values()) and self.over():
            LOGGER.warning("a phase is over its fuse, or the grid meter is silent: back to 0 W")
            self._orders = dict.fromkeys(self._orders, 0.0)
            self.over_fuse = True

    def _learn(self) -> None:
        snapshot = self.snapshot()
        self._soc_pct |= {i: s.soc_pct for i, s in snapshot.storages.items() if s is not None}
        cars = {i: s.vehicle.soc_pct for i, s in snapshot.evses.items() if s is not None and s.vehicle}
        self._soc_pct |= {i: pct for i, pct in cars.items() if pct is not None}

    def _renew(self) -> None:
        for device, power_w in self._orders.items():
            self._apply(device, power_w, engage=True)

    def _apply(self, device: DeviceId, power_w: float, *, engage: bool) -> None:
        expires_at = monotonic() + LEASE_S
        setpoint = Setpoint(device, power_w, expires_at, WHY, engage=engage)
        cast(Actuator, self._devices[device]).apply(setpoint)


@contextlib.asynccontextmanager
async def rig(
    config: SiteConfig, wanted: Callable[[DeviceInfo], bool] = lambda _: True, *, guarded: bool = True
) -> AsyncIterator[Rig]:
    """Run the wanted devices while the context lasts; however it is left, all of them are released.

    ``guarded`` watches the fuse on the grid meter; without it somebody else does.
    """
    devices = {name: d for name, d in open_devices(config).items() if wanted(d.info)}
    built = Rig(config, devices, guarded=guarded)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(built.run())
        try:
            yield built
        finally:
            await built.release()
            running.cancel()


def _less(grid: MeterSample, others: Collection[MeterSample]) -> PhaseWatts:
    one, two, three = (
        grid.phase_power_w[p] - sum(other.phase_power_w[p] for other in others) for p in range(3)
    )
    return one, two, three


type Say = Callable[[str], None]
type Ask = Callable[[str], Awaitable[str]]
