"""Process 1, composition root: devices, control and state in one TaskGroup. It opens no port to anyone.

Start order: link (so that the services find it), devices, loop. Stop order: loop, then every actuator ramps to 0 W and
hands back, then the rest.
"""

import asyncio
import contextlib
import fcntl
import gc
import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import cast

from gateway.clock import Clock
from gateway.config import SiteConfig
from gateway.control.circuits import expanded
from gateway.control.loop import Loop
from gateway.devices import Actuator, Device, HearsOfVehicle, Inspectable, open_device
from gateway.devices.recording.tap import Tap, tap_of
from gateway.devices.recording.wires import WIRES
from gateway.faults import ConfigError, FaultCode
from gateway.link import FastEnd, Report
from gateway.model import (
    GUARD_AGE_S,
    Acknowledgement,
    DeviceId,
    DeviceInfo,
    DeviceKind,
    MeterRole,
    Snapshot,
    VehicleState,
    Wishes,
)
from gateway.nonvolatile import Nonvolatile
from gateway.state import SiteState

LOGGER = logging.getLogger(__name__)

REPORT_PERIOD_S, REPORT_DEVICE_S = 0.5, 0.004
"""A report of 500 devices takes 7 ms of the loop: a large site reports less often, but at least every 2 s."""
PROOF_PER_REPORT = 240
"""Seconds of sold reserve in one report: what an hour without services has left is told within a minute and a half."""
RELEASE_TIMEOUT_S = 8.0
DISCHARGE_AT_MOST_S = 60.0
LONGEST_SOCKET_PATH = 107
HANDOVER_S = 15.0
"""A predecessor that was told to stop needs this long to ramp down and hand back."""
HANDOVER_LOOK_S = 0.2
DRIVER_PAUSE_S = 5.0
AUX_VOLTAGE_HOLDS_S = 600.0
OLDEST_GRID_SAMPLE_S = 12.0
"""Three polls. 15 s after its last word a silent grid meter must have had its effect."""


def link_path(config: SiteConfig) -> Path:
    """Return where the two processes meet. Raises ConfigError when the path is too long for a Unix socket."""
    path = config.state_dir / "link.sock"
    if (longest := LONGEST_SOCKET_PATH - len("/link.sock")) < len(os.fsencode(config.state_dir)):
        raise ConfigError(
            f"site.state_dir: {config.state_dir} is too long; write a folder of at most {longest} letters"
        )
    return path


def open_devices(config: SiteConfig) -> dict[str, Device]:
    """Build every driver of the site, touching no wire. Raises ConfigError."""
    devices = {d.id: open_device(d.id, d.driver, d.rest) for d in config.devices.values()}
    for device in devices.values():
        _check_wiring(device.info, config.grid.phases)
        _check_charger(device.info, devices)
    grid, *others = [n for n, d in devices.items() if d.info.role is MeterRole.GRID] or [""]
    if others:
        raise ConfigError(f'devices.{others[0]}.role: {grid} is the grid meter already; write "pv"')
    if grid and devices[grid].info.max_age_s > GUARD_AGE_S:
        _check_guards(grid, devices, config)
    expanded(config.circuits, {name: device.info for name, device in devices.items()})
    return devices


def _check_guards(grid: DeviceId, devices: Mapping[str, Device], config: SiteConfig) -> None:
    """Refuse a discharge that nothing but a slow meter would keep within the fuse."""
    for name, device in devices.items():
        if device.info.drops_own_guard and config.devices[name].rest.get("max_discharge_w") != 0:
            raise ConfigError(
                f"devices.{grid}.poll_s: devices.{name} guards no fuse while it is steered, so this meter must; "
                f"write {GUARD_AGE_S // 0.3 / 10:g} or less"
            )


def _check_wiring(info: DeviceInfo, phases: int) -> None:
    """Refuse what would leave a phase of the fuse unguarded, or a silent grid meter unnoticed."""
    site, wired = set(range(1, phases + 1)), set(info.phases)
    if info.role is MeterRole.GRID and not site <= wired:
        raise ConfigError(
            f"devices.{info.id}.phases: the grid meter must see every phase of the site; write {sorted(site)}"
        )
    if info.role is MeterRole.GRID and info.max_age_s > OLDEST_GRID_SAMPLE_S:
        raise ConfigError(
            f"devices.{info.id}.poll_s: too slow to notice a silent grid meter in time; "
            f"write {OLDEST_GRID_SAMPLE_S / 3:g} or less"
        )
    if info.kind.acts and not wired <= site:
        raise ConfigError(
            f"devices.{info.id}.phases: {sorted(wired)}, but [grid] has phases = {phases}; write {sorted(site)}"
        )


def _check_charger(info: DeviceInfo, devices: Mapping[str, Device]) -> None:
    """Refuse a car whose charger does not exist: nothing that it tells would reach the control."""
    charger = devices.get(info.charger)
    if info.charger and (charger is None or charger.info.kind is not DeviceKind.EVSE):
        raise ConfigError(
            f"devices.{info.id}.charger: no charger {info.charger!r} here; write the id of an evse device"
        )


class FastPath:
    """The fast path of one site."""

    def __init__(self, config: SiteConfig, devices: dict[str, Device], tap: Tap | None = None) -> None:
        self._config = config
        self._tap = tap or tap_of(config)
        self._devices = devices
        self._actuators = {i: cast(Actuator, d) for i, d in devices.items() if d.info.kind.acts}
        self._clock = Clock()
        self._state = SiteState((d.info for d in devices.values()), self._clock)
        self._lateness_s: list[float] = []
        self._heartbeat = config.lock_path
        self._nonvolatile = Nonvolatile(config.state_dir, self._clock)
        self._loop = Loop(
            self._state,
            config.control,
            self._tap.actuators(self._actuators),
            self._lateness_s.append,
            remembered=self._nonvolatile.load(),
        )
        self._link = FastEnd(link_path(config), self._take, self._services, self._loop.proof_stored)
        self._check_cards()

    async def run(self, stop: asyncio.Event) -> None:
        """Run until ``stop`` is set, then make safe: no more ticks, release every actuator, end the drivers."""
        self._state.fault(FaultCode.SERVICES_LOST, "not connected yet")
        async with asyncio.TaskGroup() as tasks:
            work = (self._link.run(), self._report(), self._remember(), self._tap.run())
            around = [tasks.create_task(task) for task in work]
            around += [tasks.create_task(self._drive(name), name=name) for name in self._devices]
            gc.collect()
            gc.freeze()  # start-up objects are never garbage: collections stay short
            control = tasks.create_task(self._loop.run())
            await stop.wait()
            control.cancel()
            await self._release(self._actuators.values())
            for task in around:
                task.cancel()
        self._nonvolatile.save(self._loop.remembered(), time.monotonic())
        LOGGER.info("fast path stopped")

    async def _drive(self, name: str) -> None:
        """Run a driver; one that fails by a mistake of ours is built anew, and no other device notices."""
        while True:
            try:
                await self._devices[name].run(self._tap.sink(name, self._state.slot(name)))
            except Exception as error:
                LOGGER.exception("%s: the driver failed; starting it again in %g s", name, DRIVER_PAUSE_S)
                self._state.fault(FaultCode.RULE_FAILED, f"driver: {error!r}", name)
            await asyncio.sleep(DRIVER_PAUSE_S)
            table = self._config.devices[name]
            device = self._devices[name] = open_device(name, table.driver, table.rest)
            if name in self._actuators:
                self._actuators[name] = cast(Actuator, device)
            for code in FaultCode:  # what the old driver raised, the new one does not know
                self._state.clear(code, name)
            self._check_card(name)

    async def _release(self, actuators: Iterable[Actuator]) -> None:
        """Let every actuator ramp down and hand back; their drivers still run."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RELEASE_TIMEOUT_S):
                await asyncio.gather(*(a.release() for a in actuators), return_exceptions=True)

    async def _report(self) -> None:
        period_s = min(max(REPORT_PERIOD_S, REPORT_DEVICE_S * len(self._devices)), 2.0)
        while True:
            await asyncio.sleep(period_s)
            late = tuple(round(s * 1000, 3) for s in self._lateness_s)
            self._lateness_s.clear()
            if late:
                with contextlib.suppress(OSError):
                    os.utime(self._heartbeat)
            cards = {name: device.card for name, device in self._devices.items()}
            snapshot = replace(self._loop.snapshot(time.monotonic()), cards=cards)
            self._tell_chargers(snapshot)
            self._tell_clock()
            self._link.report(Report(snapshot, late, self._loop.proof()[:PROOF_PER_REPORT]))

    async def _remember(self) -> None:
        """Keep what must survive a restart; in a thread, for a memory card may think about an fsync for seconds."""
        while True:
            await asyncio.sleep(REPORT_PERIOD_S)
            remembered, now = self._loop.remembered(), time.monotonic()
            if self._nonvolatile.due(remembered, now):
                problem = await asyncio.to_thread(self._nonvolatile.save, remembered, now)
                self._nonvolatile.tell(problem, self._state)

    def _tell_clock(self) -> None:
        known, moved_s = self._state.raised(FaultCode.CLOCK_STEPPED), self._clock.stepped.total_seconds()
        if moved_s:
            if not known:
                LOGGER.warning("the clock was moved by %+.0f s: time goes on as before", moved_s)
            self._state.fault(FaultCode.CLOCK_STEPPED, f"moved by {moved_s:+.0f} s")
        elif known:
            LOGGER.info("the clock is believed again")
            self._state.clear(FaultCode.CLOCK_STEPPED)

    def _tell_chargers(self, snapshot: Snapshot) -> None:
        for name, actuator in self._actuators.items():
            if isinstance(actuator, HearsOfVehicle) and name in snapshot.vehicles:
                aux_voltage_v = _aux_voltage_v(snapshot.vehicles[name], snapshot.at)
                actuator.vehicle_says(aux_voltage_v)
                self._tap.hears(name, aux_voltage_v=aux_voltage_v)

    def _take(self, wishes: Wishes) -> None:
        before = self._state.wishes.owner
        if wishes.owner.control_on != before.control_on:
            LOGGER.info("control is %s", "on" if wishes.owner.control_on else "off: observing only")
        known = {a.id for a in self._state.wishes.acknowledgements}
        self._state.wishes = wishes
        for acknowledged in wishes.acknowledgements:
            if acknowledged.id not in known and acknowledged.expires_at > self._clock():
                self._acknowledge(acknowledged)

    def _acknowledge(self, acknowledged: Acknowledgement) -> None:
        """Tell a device that its fault was inspected; whether that lifts it shows in the fault itself."""
        actuator: object = self._actuators.get(acknowledged.device)
        if isinstance(actuator, Inspectable) and acknowledged.code in FaultCode:
            refused = actuator.acknowledge(FaultCode(acknowledged.code))
        else:
            refused = "no inspection lifts it"
        LOGGER.warning(
            "%s: inspected %s: %s", acknowledged.device, acknowledged.code, refused or "the fault is lifted"
        )

    def _services(self, present: bool) -> None:
        if present:
            LOGGER.info("services connected")
            self._state.clear(FaultCode.SERVICES_LOST)
        else:
            LOGGER.warning("services lost: going on with their last wishes until those expire")
            self._state.fault(FaultCode.SERVICES_LOST, "connection lost")

    def _check_cards(self) -> None:
        for name in self._devices:
            self._check_card(name)
        roles = [d.info.role for d in self._devices.values()]
        if MeterRole.GRID not in roles:
            LOGGER.warning('no meter has role = "grid": nothing will be discharged')

    def _check_card(self, name: str) -> None:
        longest_s = self._devices[name].card.discharging_at_most_s
        if name in self._actuators and (longest_s is None or longest_s > DISCHARGE_AT_MOST_S):
            detail = "for ever" if longest_s is None else f"{longest_s:g} s"
            self._state.fault(FaultCode.FAIL_SAFE_UNPROVEN, f"may discharge {detail} after our death", name)


def _aux_voltage_v(car: VehicleState, now: float) -> float | None:
    """Return the car's 12 V unless it was told too long ago: a car that sleeps since would never be started again."""
    told = car.provenance.get("aux_voltage_v")
    return car.aux_voltage_v if told and now - told.at <= AUX_VOLTAGE_HOLDS_S else None


def take_priority() -> bool:
    """Ask for SCHED_FIFO, else for a better nice value; return whether the ticks now run in real time."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        with contextlib.suppress(PermissionError):
            os.nice(-15)
        return False
    return True


@contextlib.asynccontextmanager
async def sole_master(config: SiteConfig, patience_s: float | None = None) -> AsyncIterator[None]:
    """Hold the site's lock. Raises ConfigError when another fast path still holds it after ``HANDOVER_S``, or the patience."""
    longest_s = HANDOVER_S if patience_s is None else patience_s
    try:
        config.state_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = config.lock_path.open("w")
    except OSError as error:
        raise ConfigError(
            f"site.state_dir: {config.state_dir} cannot be written ({error.strerror})"
        ) from None
    with file as lock:
        waited_s = 0.0
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if waited_s >= longest_s:
                    raise ConfigError(
                        f"site.state_dir: another gateway runs on {config.state_dir}; stop it first"
                    ) from None
            waited_s += HANDOVER_LOOK_S
            await asyncio.sleep(HANDOVER_LOOK_S)
        yield


async def run(config: SiteConfig) -> None:
    """Run the fast path of a site until SIGTERM or SIGINT. Raises ConfigError before anything is touched."""
    tap = tap_of(config)
    WIRES.set(tap)
    devices = open_devices(config)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with sole_master(config):
        LOGGER.info("fast path: %d devices, real time: %s", len(config.devices), take_priority())
        await FastPath(config, devices, tap).run(stop)
