"""A load behind a relay: one coil of a Modbus TCP I/O module, and a register that measures it where there is one.

The relay's rest is "load on": an energized coil opens a normally closed contact, so that a module without power, or one
whose watchdog has run out, holds nothing off.
"""

import asyncio
import contextlib
import logging
import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.config import decode, within
from gateway.devices import Sink
from gateway.devices.clock import monotonic, signalled
from gateway.devices.modbus_bus import ModbusBus, keep_connected
from gateway.faults import ConfigError, FaultCode, Refused, Theirs
from gateway.model import DeviceId, DeviceInfo, DeviceKind, FailSafeCard, Interval, LoadSample, Setpoint

LOGGER = logging.getLogger(__name__)

DAY_S = 86_400.0
WRITES_PER_DAY = 200
"""What a relay's contacts bear for years (reference/needs.md 1, row 24)."""
REFUSED_PAUSE_S = 5.0
MAKE_SAFE_S = 2.0
RELEASE_S = 4.5
ORPHANED_S = 30.0
"""So long after the start nobody need have said what becomes of a load that a dead predecessor left off; then it comes on."""
LONGEST_WATCHDOG_S = 60


@dataclass(frozen=True, slots=True)
class Options:
    """A switched load's table in site.toml. ``power_w`` is what it draws when on.

    ``on_when_energized``: the load hangs on a normally open contact, so that it is off without the module's power.
    ``watchdog_register``: where the module takes how long, in s, its coils outlive our last word; 0 s there is for ever.
    ``meter_register``: an input register that tells the load's power in W.
    """

    name: str
    host: str
    power_w: float
    coil: int
    port: int = 502
    unit: int = 1
    phases: tuple[int, ...] = (1, 2, 3)
    poll_s: float = 0.5
    on_when_energized: bool = False
    watchdog_register: int | None = None
    watchdog_s: int = 30
    meter_register: int | None = None

    def check(self, where: str) -> None:
        """Refuse what no load can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")
        within(self.power_w, 0, 100_000, f"{where}.power_w")
        within(self.poll_s, 0.05, 5, f"{where}.poll_s")
        within(self.watchdog_s, 5, LONGEST_WATCHDOG_S, f"{where}.watchdog_s")
        for key in ("coil", "watchdog_register", "meter_register"):
            if (value := getattr(self, key)) is not None:
                within(value, 0, 65535, f"{where}.{key}")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [2]"
            )


def card(options: Options) -> FailSafeCard:
    """Tell what the relay does without us."""
    rest = "off" if options.on_when_energized else "on"
    guarded = options.watchdog_register is not None
    end = f"after {options.watchdog_s} s the load is {rest}" if guarded else "the load stays as it is"
    return FailSafeCard(
        lease_s=float(options.watchdog_s) if guarded else None,
        on_silence=end,
        on_tcp_close=end,
        on_our_death=f"{end}; a restarted gateway switches it on, or holds it off where there is still no grid",
        on_device_reboot=f"the load is {rest} until it is switched anew",
        discharging_at_most_s=0.0,
        proven_by="tests/gateway/devices/test_modbus_relay.py",
    )


class ModbusRelay:
    """The driver. A setpoint with ``engage`` false holds the load off; without a living setpoint it is on."""

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        self._options = options
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.LOAD,
            name=options.name,
            driver=driver,
            phases=options.phases,
            rated=Interval(0.0, options.power_w),
            max_age_s=max(3.0, 3 * options.poll_s),
        )
        self.card = card(options)
        self._bus = ModbusBus(options.host, options.port, options.unit)
        self._setpoint: Setpoint | None = None
        self._orphaned_at = math.inf
        self._newer = asyncio.Event()
        self._released = False
        self._rested = asyncio.Event()
        self._on: bool | None = None
        self._written: deque[float] = deque()
        self._raised: set[FaultCode] = set()

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> ModbusRelay:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; the driver's task wakes when it changes anything."""
        if self._released:
            return
        before, self._setpoint = self._setpoint, setpoint
        if before is None or before.engage != setpoint.engage:
            self._newer.set()

    async def release(self) -> None:
        """Switch the load on, within 5 s; later setpoints are ignored."""
        self._released = True
        self._setpoint = None
        self._newer.set()
        if self._on is False:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._rested.wait()

    async def run(self, sink: Sink) -> None:
        """Switch and look until cancelled; see ``keep_connected``."""
        await keep_connected(self._bus, sink, lambda: self._begin(sink), lambda: self._serve(sink))

    async def _begin(self, sink: Sink) -> None:
        """Read how a dead predecessor left the relay; the first setpoint decides what becomes of it, if one comes in time."""
        await self._look(sink)
        self._orphaned_at = min(self._orphaned_at, monotonic() + ORPHANED_S)
        if self._options.watchdog_register is not None:
            await self._bus.write_and_verify(self._options.watchdog_register, (self._options.watchdog_s,))
        sink.identity(self.info)

    async def _serve(self, sink: Sink) -> None:
        """Poll; the poll also feeds a watchdog, since the coil is written again while it is not at rest."""
        fed_at = monotonic()
        try:
            while True:
                self._newer.clear()
                wanted, stale = self._wanted_on(), monotonic() - fed_at >= self._options.watchdog_s / 3
                feeds = stale and self._options.watchdog_register is not None and self._setpoint is not None
                if wanted is not None and (wanted != self._on or feeds):
                    await self._switch(sink, on=wanted)
                    fed_at = monotonic()
                await self._look(sink)
                await signalled(self._newer, monotonic() + self._options.poll_s)
        finally:
            if self._bus.connected and self._on is False:
                with contextlib.suppress(Theirs, TimeoutError):
                    async with asyncio.timeout(MAKE_SAFE_S):
                        await self._bus.write_coil(self._options.coil, self._energized(on=True))

    def _wanted_on(self) -> bool | None:
        """Return what the relay should do; None while it waits for the first setpoint."""
        if self._setpoint is None:
            return True if self._released or monotonic() >= self._orphaned_at else None
        return self._setpoint.engage or monotonic() >= self._setpoint.expires_at

    def _energized(self, *, on: bool) -> bool:
        return on is self._options.on_when_energized

    async def _switch(self, sink: Sink, *, on: bool) -> None:
        """Write once; what is read back tells whether it was obeyed. After a refusal, a pause."""
        now = monotonic()
        while self._written and now - self._written[0] >= DAY_S:
            self._written.popleft()
        if on != self._on:
            self._written.append(now)
            LOGGER.info("%s: switched %s", self.info.id, "on" if on else "off")
        worn = len(self._written) > WRITES_PER_DAY
        self._judge(
            sink, FaultCode.WRITE_BUDGET, f"switched {len(self._written)} times today" if worn else ""
        )
        try:
            await self._bus.write_coil(self._options.coil, self._energized(on=on))
            await self._look(sink)
            refused = "" if self._on is on else f"switched {'on' if on else 'off'}, the coil reads otherwise"
        except Refused as error:
            refused = str(error)
        self._judge(sink, FaultCode.DEVICE_REFUSED, refused)
        if refused:
            await asyncio.sleep(REFUSED_PAUSE_S)

    async def _look(self, sink: Sink) -> None:
        (coil,) = await self._bus.read_coils(self._options.coil, 1)
        power_w = None
        if self._options.meter_register is not None:
            (word,) = await self._bus.read_input(self._options.meter_register, 1)
            power_w = float(word)
        self._on = coil is self._options.on_when_energized
        if self._on:
            self._rested.set()
        else:
            self._rested.clear()
        sink.sample(LoadSample(monotonic(), self._on, power_w))

    def _judge(self, sink: Sink, code: FaultCode, problem: str) -> None:
        """Raise, update or clear a fault; log when it comes and when it goes."""
        if problem:
            sink.fault(code, problem)
            if code not in self._raised:
                LOGGER.warning("%s: %s: %s", self.info.id, code, problem)
            self._raised.add(code)
        elif code in self._raised:
            sink.clear(code)
            LOGGER.info("%s: %s is over", self.info.id, code)
            self._raised.discard(code)
