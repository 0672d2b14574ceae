"""Battery inverters on SunSpec 701, 702, 704 and 713 (reference/modbus.md 2.3).

The order is 704's WSet with its reversion timer, so that the device itself ends it. That the timer really reverts is
tried at 0 W before the first order; where it does not, the battery is never discharged.

Nothing is ordered and nothing tried of an inverter that carries the house alone: it balances by itself. What stood before
ends by its own timer, and is ended anew once the grid is back.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.config import decode, within
from gateway.devices import Sink
from gateway.devices.clock import monotonic, signalled
from gateway.devices.following import Following
from gateway.devices.modbus_bus import ModbusBus, keep_connected
from gateway.devices.storage.order import Standing, Step, differs, next_step
from gateway.devices.storage.readings import islanded, islands, ratings, sample_of
from gateway.devices.storage.wset import ENABLED, PowerOrder
from gateway.devices.sunspec import REGISTERS_PER_READ, SunSpecMap, Values, number, text
from gateway.faults import ConfigError, FaultCode, Malformed, Refused, Theirs
from gateway.model import (
    DeviceId,
    DeviceInfo,
    DeviceKind,
    FailSafeCard,
    Setpoint,
    StorageSample,
    StorageState,
)
from gateway.model.soc import HeldSoc

LOGGER = logging.getLogger(__name__)

LEASE_MAX_S = 30
WIND_DOWN_S = 2.0
"""What a device may take to notice the end of its lease and to ramp down."""
PACK_POLL_S = 1.0
REFUSED_PAUSE_S = 1.0
MAKE_SAFE_S = 2.0
RELEASE_S = 4.5


@dataclass(frozen=True, slots=True)
class Options:
    """A battery's table in site.toml. Limits narrow what the device tells, or stand in for what it does not tell.

    ``revert_proven = false`` for a device that is known to go on after its timer: it is then never discharged.
    ``islands``: it carries the house when the grid is lost; by default as the device says.
    """

    name: str
    host: str
    port: int = 502
    unit: int = 1
    phases: tuple[int, ...] = (1, 2, 3)
    poll_s: float = 0.2
    lease_s: int = LEASE_MAX_S
    max_charge_w: float | None = None
    max_discharge_w: float | None = None
    capacity_wh: float | None = None
    revert_proven: bool = True
    islands: bool | None = None

    def check(self, where: str) -> None:
        """Refuse what no battery can have."""
        within(self.port, 1, 65535, f"{where}.port")
        within(self.unit, 0, 255, f"{where}.unit")
        within(self.poll_s, 0.05, 2, f"{where}.poll_s")
        within(self.lease_s, 3, LEASE_MAX_S, f"{where}.lease_s")
        for key in ("max_charge_w", "max_discharge_w", "capacity_wh"):
            if (value := getattr(self, key)) is not None:
                within(value, 0, 1_000_000, f"{where}.{key}")
        if not self.phases or not set(self.phases) <= {1, 2, 3} or len(set(self.phases)) != len(self.phases):
            raise ConfigError(
                f"{where}.phases: {list(self.phases)} is impossible; write [1, 2, 3] or for example [2]"
            )


def card(lease_s: float, *, reverts: bool) -> FailSafeCard:
    """Tell what the device does without us; where its timer does not revert, nothing ends a discharge."""
    end = f"ends the order after {lease_s:g} s: 0 W, then its own mode" if reverts else "goes on for ever"
    return FailSafeCard(
        lease_s=lease_s if reverts else None,
        on_silence=end,
        on_tcp_close=end,
        on_our_death=f"{end}; a restarted gateway ends it at once",
        on_device_reboot="starts in its own mode; the order is written anew",
        discharging_at_most_s=lease_s + WIND_DOWN_S if reverts else None,
        proven_by="tests/gateway/scenarios/test_death_in_every_state.py",
    )


class SunSpecStorage:
    """The driver. One connection; one task polls, one writes, and only the newest setpoint is ever written."""

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        self._options = options
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.STORAGE,
            name=options.name,
            driver=driver,
            phases=options.phases,
            rated=ratings({}, options.max_charge_w, options.max_discharge_w),
            capacity_wh=options.capacity_wh,
            islands=bool(options.islands),
            max_age_s=max(3.0, 3 * options.poll_s),
        )
        self.card = card(options.lease_s, reverts=options.revert_proven)
        self._bus = ModbusBus(options.host, options.port, options.unit)
        self._map = SunSpecMap(self._bus)
        self._order = PowerOrder(self._map, options.lease_s)
        self._setpoint: Setpoint | None = None
        self._again = False
        self._alone = self._carries = False
        self._newer = asyncio.Event()
        self._standing: Standing | None = None
        self._ended = asyncio.Event()
        self._released = False
        self._tried: tuple[str, str] | None = None
        self._following = Following()
        self._soc = HeldSoc()
        self._raised: set[FaultCode] = set()

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> SunSpecStorage:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; the writing task wakes at once."""
        if not self._released:
            self._again |= setpoint.engage and self._setpoint is not None and not self._setpoint.engage
            self._setpoint = setpoint
            self._newer.set()

    async def release(self) -> None:
        """End what stands, within 5 s; later setpoints are ignored."""
        self._released = True
        self._setpoint = None
        self._newer.set()
        if self._standing is not None and not self._carries:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._ended.wait()

    async def run(self, sink: Sink) -> None:
        """Poll and obey until cancelled; see ``keep_connected``."""
        await keep_connected(self._bus, sink, lambda: self._begin(sink), lambda: self._serve(sink))

    async def _begin(self, sink: Sink) -> None:
        """End what a dead predecessor left commanded, before anything else; then read who the device is."""
        self._stand(None)
        await self._map.scan()
        self._carries = bool(islanded(await self._map.read(701, REGISTERS_PER_READ)))
        stands = await self._order.begin()
        if stands and self._carries:
            self._stand(Standing(None, monotonic()))
        elif stands:
            LOGGER.info("%s: ending an order that was left standing", self.info.id)
            await self._order.end()
        told, capacity, pack = (
            await self._map.identity(704),
            await self._map.read(702),
            await self._map.read(713),
        )
        self.info = replace(
            self.info,
            maker=text(told, "Mn"),
            model=text(told, "Md"),
            serial=text(told, "SN"),
            version=text(told, "Vr"),
            rated=ratings(capacity, self._options.max_charge_w, self._options.max_discharge_w),
            capacity_wh=self._options.capacity_wh or number(pack, "WHRtg"),
            islands=islands(capacity) if self._options.islands is None else self._options.islands,
        )
        sink.identity(self.info)

    async def _serve(self, sink: Sink) -> None:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._poll(sink))
                tasks.create_task(self._obey(sink))
        finally:
            if self._bus.connected and self._standing is not None and not self._carries:
                with contextlib.suppress(Theirs, TimeoutError):
                    async with asyncio.timeout(MAKE_SAFE_S):
                        await self._order.end()

    async def _poll(self, sink: Sink) -> None:
        """Publish a sample at each poll; the pack is read each second only."""
        clock = asyncio.get_running_loop().time
        due = pack_due = clock()
        pack: Values = {}
        while True:
            if clock() >= pack_due:
                pack, pack_due = self._believed(await self._map.read(713)), clock() + PACK_POLL_S
            ac = await self._map.read(701, REGISTERS_PER_READ)
            applied_w = self._standing.power_w if self._standing else None
            try:
                sample = sample_of(ac, pack, self.info, monotonic(), applied_w)
            except Malformed as error:
                self._judge(sink, FaultCode.IMPLAUSIBLE_READING, self._soc.doubt or str(error))
            else:
                self._alone = self.info.islands and sample.islanded is None
                self._carry(carries=bool(sample.islanded))
                sink.sample(sample)
                self._report(sink, sample, ac)
            due = max(due + self._options.poll_s, clock())
            await asyncio.sleep(due - clock())

    def _believed(self, pack: Values) -> Values:
        """Return what 713 tells, with the state of charge that can be true; what is no percentage is judged later."""
        told_pct = number(pack, "SoC")
        if told_pct is None or not 0 <= told_pct <= 100:
            return pack
        most_w = max(self.info.rated.max_w, -self.info.rated.min_w)
        self._soc = self._soc.after(monotonic(), told_pct, most_w, self.info.capacity_wh)
        return {**pack, "SoC": self._soc.pct}

    def _report(self, sink: Sink, sample: StorageSample, ac: Values) -> None:
        self._judge(sink, FaultCode.IMPLAUSIBLE_READING, self._soc.doubt)
        failed = sample.state is StorageState.FAULT
        alarms = int(number(ac, "Alrm") or 0)
        self._judge(sink, FaultCode.DEVICE_FAULT, f"alarm bits 0x{alarms:08x}" if failed else "")
        self._following = self._following.after(sample.at, differs=differs(sample))
        ignored = self._following.broken(sample.at)
        detail = f"ordered {sample.applied_w:.0f} W, measured {sample.power_w:.0f} W" if ignored else ""
        self._judge(sink, FaultCode.SETPOINT_NOT_FOLLOWED, detail)

    def _carry(self, *, carries: bool) -> None:
        """Let go of the order when the inverter forms its own grid, and take it up again afterwards."""
        if carries and not self._carries and self._standing is not None:
            self._stand(Standing(None, monotonic()))
        elif self._carries and not carries:
            self._newer.set()
        self._carries = carries

    async def _obey(self, sink: Sink) -> None:
        """Write, renew and end the order as ``next_step`` says, not in an island; after a refusal, a pause."""
        while True:
            self._newer.clear()
            if self._again:
                await self._start_again()
            if self._carries:
                await self._newer.wait()
                continue
            wanted = self._setpoint
            power_w = self._admitted_w(wanted)
            step, until = next_step(monotonic(), wanted, power_w, self._standing, self._options.lease_s)
            if step is Step.WAIT:
                await signalled(self._newer, until)
            elif step is not Step.END and self._tried != self._identity():
                await self._try_timer(sink)
            else:
                await self._write(sink, step, power_w)

    async def _start_again(self) -> None:
        """Ask an inverter that let go of everything once more to enter service; one that was forbidden to is left alone."""
        self._again = False
        if not self._alone or self._map.first(703) is None:
            return
        with contextlib.suppress(Refused):
            if (await self._map.read(703)).get("ES") == ENABLED:
                LOGGER.info("%s: asked to carry the house again", self.info.id)
                await self._map.write(703, {"ES": ENABLED})

    async def _write(self, sink: Sink, step: Step, power_w: float) -> None:
        unsure, leased = Standing(None, monotonic()), True
        self._stand(self._standing or unsure)
        try:
            match step:
                case Step.END:
                    await self._order.end()
                    self._stand(None)
                case Step.RENEW:
                    leased = await self._order.renew(power_w)
                    self._stand(replace(unsure, power_w=power_w))
                case _:
                    leased = await self._order.change(power_w)
                    self._stand(replace(self._standing or unsure, power_w=power_w))
        except Refused as error:
            self._stand(unsure)
            self._judge(sink, FaultCode.DEVICE_REFUSED, str(error))
            await asyncio.sleep(REFUSED_PAUSE_S)
        else:
            self._judge(sink, FaultCode.DEVICE_REFUSED, "")
        if not leased and self.card.discharging_at_most_s is not None:
            self._tell_proof(sink, reverts=False)
            self._tried = None

    async def _try_timer(self, sink: Sink) -> None:
        """Prove once per device and firmware that silence ends an order; otherwise discharge is refused."""
        self._stand(Standing(None, monotonic()))
        try:
            reverts = self._options.revert_proven and await self._order.reverts()
            self._stand(None)
        except Refused as error:
            LOGGER.warning("%s: the trial of its timer was refused: %s", self.info.id, error)
            reverts = False
        self._tell_proof(sink, reverts=reverts)
        self._tried = self._identity()

    def _tell_proof(self, sink: Sink, *, reverts: bool) -> None:
        self.card = card(self._options.lease_s, reverts=reverts)
        self._judge(sink, FaultCode.FAIL_SAFE_UNPROVEN, "" if reverts else "its timer does not end an order")

    def _identity(self) -> tuple[str, str]:
        return self.info.serial, self.info.version

    def _admitted_w(self, wanted: Setpoint | None) -> float:
        """Clamp to the ratings, since devices take any number; never discharge what could not be stopped."""
        power_w = self.info.rated.clamp(wanted.power_w) if wanted else 0.0
        return power_w if self.card.discharging_at_most_s is not None else max(0.0, power_w)

    def _stand(self, standing: Standing | None) -> None:
        self._standing = standing
        if standing is None:
            self._ended.set()
        else:
            self._ended.clear()

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
