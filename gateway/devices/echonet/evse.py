"""The driver of a V2H unit on ECHONET Lite (reference/modbus.md 3.4).

One task looks, decides what to write (``order``), writes it once and looks again; so each write is read back, and what
another controller did is seen before anything is written over it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from gateway.config import decode
from gateway.devices import Sink
from gateway.devices.clock import monotonic
from gateway.devices.echonet import bound, report
from gateway.devices.echonet import order as orders
from gateway.devices.echonet.frames import property_map
from gateway.devices.echonet.handshake import Handshake
from gateway.devices.echonet.node import Node
from gateway.devices.echonet.options import Options, card
from gateway.devices.echonet.order import Means, Order, Standing, Step
from gateway.devices.echonet.properties import (
    DISCHARGES,
    FAST,
    IDENTITY,
    SLOW,
    Connection,
    Contents,
    Epc,
    Reading,
    maker,
    reading,
    text,
    unsigned,
)
from gateway.devices.following import Following
from gateway.devices.modbus_bus import keep_connected
from gateway.faults import FaultCode, Malformed, Refused, Theirs, Unreachable
from gateway.model import DeviceId, DeviceInfo, DeviceKind, EvseState, Interval, Setpoint

LOGGER = logging.getLogger(__name__)

SLOW_POLL_S = 10.0
LOOK_S = 0.2
"""Between two looks while an order has not read back yet."""
BLIND_S = 3.0
"""Without one look that makes sense nothing can be decided, so the unit is set to standby."""
RELEASE_S, MAKE_SAFE_S = 4.5, 2.5
CONFIRM = bytes((0x10,))


@dataclass(frozen=True, slots=True)
class Wish:
    """What the newest setpoint asks for now. ``live``: it has not expired; ``engaged``: it asks for a session."""

    live: bool = False
    engaged: bool = False
    power_w: float = 0.0


class EchonetEvse:
    """The driver. A setpoint that asks for something else, and an inform of the unit, wake its task."""

    stop_causes = report.STOP_CAUSES

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        self._options = options
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.EVSE,
            name=options.name,
            driver=driver,
            phases=options.phases,
            rated=Interval(-(options.max_discharge_w or 0.0), options.max_charge_w or 0.0),
            max_age_s=max(5.0, 3 * options.poll_s),
        )
        self.card = card(bounded=options.bounded)
        self._wake = asyncio.Event()
        listen = (options.listen, options.listen_port)
        self._node = Node(options.host, options.port, options.instance, listen, self._heed)
        self._setpoint: Setpoint | None = None
        self._informed = False
        self._released = False
        self._found: Contents = {}
        self._rested = asyncio.Event()
        self._gettable: frozenset[int] = frozenset()
        self._settable: frozenset[int] = frozenset()
        self._raised: dict[FaultCode, str] = {}
        self._start()

    def _start(self) -> None:
        """Forget what was known of the unit: after every loss it is looked at as a whole before anything is ordered."""
        self._contents: Contents = {}
        self._slow_due = 0.0
        self._means = Means()
        self._standing = Standing()
        self._order = Order(0.0)
        self._changed_at = 0.0
        self._answered = Wish()
        self._commanded = False
        self._idles = True
        self._handshake = Handshake()
        self._following = Following()
        self._weak = bound.Weak()

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> EchonetEvse:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; the task wakes at once when it asks for something else."""
        if not self._released:
            self._setpoint = setpoint
            self._wake.set()

    async def release(self) -> None:
        """Set the unit to standby, within 5 s; later setpoints are ignored."""
        self._released = True
        self._setpoint = None
        self._wake.set()
        if self._commanded:
            self._rested.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._rested.wait()

    def _heed(self) -> None:
        """The unit told something: look."""
        self._informed = True
        self._wake.set()

    async def run(self, sink: Sink) -> None:
        """Poll and obey until cancelled; see ``keep_connected``."""
        await keep_connected(self._node, sink, lambda: self._begin(sink), lambda: self._serve(sink))

    async def _begin(self, sink: Sink) -> None:
        """Learn what the unit is and can do, and end what a dead predecessor left running."""
        self._start()
        maps = await self._node.get((Epc.SETTABLE, Epc.GETTABLE))
        self._settable = property_map(maps.get(Epc.SETTABLE, b""))
        self._gettable = property_map(maps.get(Epc.GETTABLE, b""))
        if Epc.MEASURED_POWER not in self._gettable:
            raise Refused("the unit measures no power (0xD3), so it cannot be controlled")
        told = await self._node.get(self._known(IDENTITY))
        self._introduce(sink, told)
        look = await self._look()
        self._means = orders.means(
            self._settable, self._gettable, look.contents, bounded=self._options.bounded
        )
        self.card = card(bounded=self._means.bounded)
        self._found = {**self._found, **orders.own_methods(look.contents)}
        if orders.left_by_predecessor(look.contents):
            LOGGER.warning("%s: ending an order that was left standing", self.info.id)
            self._commanded = True

    def _introduce(self, sink: Sink, told: Contents) -> None:
        options = self._options
        self.info = replace(
            self.info,
            maker=maker(told),
            model=text(told, Epc.MODEL),
            serial=text(told, Epc.SERIAL),
            rated=Interval(
                -_least(options.max_discharge_w, unsigned(told, Epc.RATED_DISCHARGE)),
                _least(options.max_charge_w, unsigned(told, Epc.RATED_CHARGE)),
            ),
        )
        sink.identity(self.info)

    async def _serve(self, sink: Sink) -> None:
        seen_at = monotonic()
        try:
            while True:
                self._informed = False
                try:
                    look = await self._look()
                except Malformed as error:
                    self._judge(sink, FaultCode.IMPLAUSIBLE_READING, str(error))
                    if monotonic() - seen_at > BLIND_S:
                        raise
                    await asyncio.sleep(min(self._options.poll_s, BLIND_S / 3))
                else:
                    seen_at = monotonic()
                    await self._serve_once(sink, monotonic(), look)
        finally:
            await self._make_safe()

    async def _serve_once(self, sink: Sink, now: float, look: Reading) -> None:
        """Decide after one look; write one thing, or wait."""
        self._standing = orders.seen(now, self._standing, look.contents)
        self._weak = self._weak.after(now, look, self._order.power_w, self._changed_at)
        wish = self._answered = self._wish(now)
        self._decide(now, look, wish)
        self._publish(sink, now, look, wish)
        step = orders.next_write(now, self._standing)
        if step is not None:
            await self._write(step)
        elif self._handshake.due(now) and Epc.CONFIRM in self._settable:
            self._handshake = self._handshake.asking(now)
            await self._send(Epc.CONFIRM, CONFIRM)
        else:
            await self._pause(now)

    def _wish(self, now: float) -> Wish:
        setpoint = self._setpoint
        if setpoint is None or now >= setpoint.expires_at:
            return Wish()
        return Wish(True, setpoint.engage, setpoint.power_w if setpoint.engage else 0.0)

    async def _look(self) -> Reading:
        """Read what changes fast, and now and then the rest. Raises Unreachable, Malformed."""
        now = monotonic()
        epcs = self._known(FAST)
        slow: Contents = {e: self._contents[e] for e in SLOW if e in self._contents}
        if now >= self._slow_due:
            self._slow_due, slow = now + SLOW_POLL_S, {}
            epcs |= self._known(SLOW)
        before, self._contents = self._contents, {**slow, **await self._node.get(epcs)}
        if before.get(Epc.CONNECTION) != self._contents.get(Epc.CONNECTION):
            self._slow_due = now
        return reading(self._contents)

    def _known(self, epcs: tuple[Epc, ...]) -> set[int]:
        return {epc for epc in epcs if epc in self._gettable}

    def _decide(self, now: float, look: Reading, wish: Wish) -> None:
        """Turn the wish into steps, unless the unit was taken out of our hands."""
        away = now < self._standing.away_until
        if self._standing.away_until and not (away and wish.engaged and report.plugged(look)):
            away, self._standing = False, Standing()
        self._handshake = self._handshake.after(now, look.connection, wanted=wish.engaged and not away)
        self._idles = self._idles and not (self._standing.steps == orders.END and self._standing.refused)
        if away or look.islanded:
            self._standing = orders.ordered(self._standing, (), look.contents)
            self._order, self._commanded = Order(0.0), False
        elif wish.live or self._commanded:
            self._order = self._next_order(now, look, self._admitted_w(look, wish.power_w))
            self._standing = orders.ordered(self._standing, self._steps(look, wish), look.contents)
        if wish.live or not self._commanded:
            self._commanded |= bool(self._standing.steps)
        elif self._standing.done:
            self._commanded = False
            self._standing = Standing()
        if not self._commanded:
            self._rested.set()

    def _steps(self, look: Reading, wish: Wish) -> tuple[Step, ...]:
        """Return what the unit shall be brought to: the order, the end of the session, or itself again."""
        if not wish.live:
            return orders.hand_back(self._means, self._found)
        if not report.plugged(look):
            return orders.QUIET
        return orders.steps(self._order, self._means) if wish.engaged or not self._idles else orders.END

    def _admitted_w(self, look: Reading, wanted_w: float) -> float:
        """Clamp to what unit and car admit; never discharge what would not end by itself."""
        power_w = report.least_w(look, self._limits(look).clamp(wanted_w))
        return power_w if self._means.bounded else max(0.0, power_w)

    def _next_order(self, now: float, look: Reading, wanted_w: float) -> Order:
        """Ease the power, and bound its energy."""
        power_w = orders.eased(now, wanted_w, self._order.power_w, self._changed_at)
        if power_w != self._order.power_w:
            self._changed_at = now
        if not self._means.bounded or not power_w:
            return Order(power_w)
        return Order(power_w, bound.bound_wh(power_w, bound.least_w(look)))

    def _limits(self, look: Reading) -> Interval:
        """Return what unit and car admit, without a discharge that was just seen not to be done."""
        limits = report.limits(look, self._means, self.info.rated)
        return limits.narrow(Interval(0.0, limits.max_w)) if self._weak.why else limits

    async def _write(self, step: Step) -> None:
        refused = await self._send(step.epc, step.edt)
        if refused is not None:
            self._standing = orders.written(monotonic(), self._standing, step, refused)

    async def _send(self, epc: int, edt: bytes) -> str | None:
        """Order a property once. Returns a refusal, "" for an acknowledgement, None when the next look must decide."""
        LOGGER.debug("%s: 0x%02X = %s", self.info.id, epc, edt.hex())
        try:
            await self._node.set(epc, edt)
        except Refused as error:
            return str(error)
        except Unreachable:
            return None
        return ""

    async def _pause(self, now: float) -> None:
        """Wait for the next poll, a new setpoint or an inform; shortly while an order has not read back."""
        pause_s = LOOK_S if self._standing.waiting and not self._standing.refused else self._options.poll_s
        if self._standing.done:
            pause_s = min(pause_s, orders.renewal_at(self._standing) - now)
        setpoint = self._setpoint
        if setpoint is not None and setpoint.expires_at > now:
            pause_s = min(pause_s, setpoint.expires_at - now)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause_s):
                while not self._informed and not self._asks_for_else(monotonic()):
                    self._wake.clear()
                    await self._wake.wait()

    def _asks_for_else(self, now: float) -> bool:
        """Tell whether the wish has changed by more than its renewal since it was last answered."""
        wish, answered = self._wish(now), self._answered
        same = (wish.live, wish.engaged) == (answered.live, answered.engaged)
        eased_w = orders.eased(now, wish.power_w, answered.power_w, self._changed_at)
        return not same or eased_w != answered.power_w

    async def _make_safe(self) -> None:
        """Leave a unit that we commanded in standby, when its loss or our end lets us."""
        if not self._commanded:
            return
        with contextlib.suppress(Theirs, TimeoutError):
            async with asyncio.timeout(MAKE_SAFE_S):
                await self._node.set(orders.REST[0].epc, orders.REST[0].edt)

    def _publish(self, sink: Sink, now: float, look: Reading, wish: Wish) -> None:
        standing = self._standing
        away = now < standing.away_until
        confirming = self._handshake.since is not None and not self._handshake.fruitless(now)
        state = report.state(look, engaged=wish.engaged and not away, confirming=confirming)
        applied_w = self._order.power_w if standing.done and state is EvseState.READY else None
        limits = self._limits(look)
        cause = report.stop_cause(look, away=away, fruitless=self._handshake.fruitless(now))
        problem = report.implausible(look, self.info.rated)
        with contextlib.suppress(Malformed):
            sample = report.sample(look, now, state, limits, applied_w, cause)
            if not problem:
                sink.sample(sample)
                self._following = self._following.after(now, differs=report.differs(sample))
        self._judge(sink, FaultCode.IMPLAUSIBLE_READING, problem or _unmeasured(look))
        ignored = self._following.broken(now) and applied_w is not None
        detail = f"ordered {applied_w:.0f} W, measured {look.power_w:.0f} W" if ignored else ""
        self._judge(sink, FaultCode.SETPOINT_NOT_FOLLOWED, detail)
        self._judge(sink, FaultCode.DEVICE_FAULT, report.device_fault(look))
        self._judge(sink, FaultCode.DEVICE_REFUSED, self._refusal(now, look))
        self._judge(sink, FaultCode.FAIL_SAFE_UNPROVEN, self._unproven(look))

    def _refusal(self, now: float, look: Reading) -> str:
        if self._handshake.fruitless(now) and look.connection is not Connection.NONE:
            return "the car did not become chargeable after the handshake (0xCD)"
        if not self._means.charges and not self._means.discharges:
            return "the unit takes no power setting (0xE0, 0xEB, 0xEC), so it is only watched"
        return self._standing.refused or self._weak.why

    def _unproven(self, look: Reading) -> str:
        if not self._means.bounded:
            return "nothing ends an order after our death"
        if look.connection in DISCHARGES and not bound.bound_wh(-1.0, bound.least_w(look)):
            return "the unit tells no least power of discharging (0xC9), so no energy bounds its time"
        return ""

    def _judge(self, sink: Sink, code: FaultCode, problem: str) -> None:
        """Raise, update or clear a fault; log when it comes and when it goes."""
        if problem == self._raised.get(code, ""):
            return
        if problem:
            sink.fault(code, problem)
            if code not in self._raised:
                LOGGER.warning("%s: %s: %s", self.info.id, code, problem)
            self._raised[code] = problem
        else:
            sink.clear(code)
            LOGGER.info("%s: %s is over", self.info.id, code)
            del self._raised[code]


def _unmeasured(look: Reading) -> str:
    return "the unit tells no power (0xD3)" if look.power_w is None else ""


def _least(option: float | None, rated: float | None) -> float:
    known = [value for value in (option, rated) if value is not None]
    return min(known) if known else 0.0
