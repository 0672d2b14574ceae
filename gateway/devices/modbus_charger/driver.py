"""The driver of every such charger: one connection, one task that looks, thinks and writes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from gateway.devices import Sink
from gateway.devices.clock import monotonic, signalled
from gateway.devices.following import Following
from gateway.devices.modbus_bus import ModbusBus, keep_connected
from gateway.devices.modbus_charger import report
from gateway.devices.modbus_charger.panel import POLL_MAX_S, Options, Panel
from gateway.devices.modbus_charger.steering import (
    Act,
    Look,
    Make,
    Standing,
    Wish,
    asked_anew,
    attuned,
    done,
    next_act,
    refused,
)
from gateway.devices.modbus_charger.watching import FLOWS_W, differs, seen
from gateway.faults import FaultCode, Malformed, Refused, Theirs, Unreachable
from gateway.model import DeviceId, DeviceInfo, DeviceKind, FailSafeCard, Setpoint

LOGGER = logging.getLogger(__name__)

MOVING_POLL_S = 0.5
FORGOTTEN_AFTER_S = 60.0
"""After a longer silence nobody answers for the car's state of charge: it may be another car."""
LEAVE_AFTER_S = 30.0
"""An expired setpoint means 0 W at once, and handing the charger back after this."""
LEAST_WAIT_S = 0.001
"""Timers may fire a little early; without this, the time that is left would be waited for in circles."""
MAKE_SAFE_S = 2.0
SILENCE_SLACK_S = 2.0
"""Beyond the lease, for a charger that took no end: it must see itself left alone."""
RELEASE_S = 4.5
ACTS: dict[Act, str] = {
    Act.TAKE: "taking control",
    Act.START: "starting a session",
    Act.STOP: "ending the session",
    Act.GIVE_BACK: "handing control back",
}


class _Explained:
    """Stands in for a sink towards ``keep_connected``: what a lost connection means is said with it."""

    def __init__(self, sink: Sink, explain: Callable[[str], str]) -> None:
        self.sample, self.identity, self.clear = sink.sample, sink.identity, sink.clear
        self._sink = sink
        self._explain = explain

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault with its explanation."""
        self._sink.fault(code, self._explain(detail))


class ModbusCharger:
    """``panel`` has the registers, ``make`` the habits. Only the newest setpoint is ever written."""

    stop_causes: ClassVar[frozenset[str]]

    def __init__(
        self,
        device: DeviceId,
        driver: str,
        options: Options,
        bus: ModbusBus,
        panel: Panel,
        make: Make,
        card: FailSafeCard,
    ) -> None:
        self.card = card
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.EVSE,
            name=options.name,
            driver=driver,
            phases=options.phases,
            rated=options.narrow(0.0, 0.0),
            max_age_s=3 * POLL_MAX_S,
            drops_own_guard=make.drops_own_guard,
        )
        self._options = options
        self._bus = bus
        self._panel = panel
        self._make = make
        self._look: Look | None = None
        self._standing = Standing()
        self._following = Following()
        self._setpoint: Setpoint | None = None
        self._wished_at = float("-inf")
        self._newer = asyncio.Event()
        self._at_rest = asyncio.Event()
        self._released = False
        self._unended = False
        self._begun_at: float | None = None
        self._passing_until = 0.0
        self._raised: dict[FaultCode, str] = {}

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; the writing task wakes at once."""
        if self._released:
            return
        before, self._setpoint, self._wished_at = self._setpoint, setpoint, monotonic()
        if setpoint.engage and before is not None and not before.engage:
            self._standing = asked_anew(self._standing)
        self._newer.set()

    async def release(self) -> None:
        """End what stands and hand the charger back, within 5 s; later setpoints are ignored."""
        self._released = True
        self._newer.set()
        if self._standing.remote and self._bus.connected:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RELEASE_S):
                    await self._at_rest.wait()

    async def run(self, sink: Sink) -> None:
        """Look and obey until cancelled; see ``keep_connected``."""
        await keep_connected(
            self._bus, _Explained(sink, self._loss), lambda: self._begin(sink), lambda: self._serve(sink)
        )

    def _loss(self, reason: str) -> str:
        return report.loss(reason, self._standing, self._make, self._options.lease_s)

    async def _begin(self, sink: Sink) -> None:
        """Let the panel end what is left; then nothing is known of the charger but what it now tells.

        Where nothing could be ended, reading would keep the charger's lease alive: only silence lets it run out.
        """
        if self._unended:
            await asyncio.sleep(self._options.lease_s + SILENCE_SLACK_S)
            self._unended = False
        try:
            found = await self._panel.begin()
        except Refused:
            self._unended = True
            raise
        now = monotonic()
        if found.left_w:
            LOGGER.info("%s: ending %g W that were left commanded", self.info.id, found.left_w)
        if self._begun_at is not None:
            self._passing_until = now + self._make.restart_s
        self._begun_at = now
        watched = self._look is not None and now - self._look.at <= FORGOTTEN_AFTER_S
        self._look, self._following = None, Following()
        self._stand(
            replace(
                self._standing,
                remote=found.remote,
                held=False,
                session=found.running and self._standing.session,
                order_w=0.0,
                seeking_since=None,
                endless_since=None,
                soc_known=watched and self._standing.soc_known,
            )
        )
        self.info = replace(
            self.info,
            maker=found.maker,
            model=found.model,
            serial=found.serial,
            version=found.version,
            rated=found.rated,
        )
        sink.identity(self.info)

    async def _serve(self, sink: Sink) -> None:
        try:
            look_at = monotonic()
            while True:
                self._newer.clear()
                if monotonic() >= look_at:
                    await self._take_a_look(sink)
                    look_at = monotonic() + self._poll_s
                until = await self._obey()
                if until is None:
                    look_at = min(look_at, monotonic() + self._poll_s)
                else:
                    await signalled(self._newer, max(min(until, look_at), monotonic() + LEAST_WAIT_S))
        finally:
            await self._make_safe()

    @property
    def _poll_s(self) -> float:
        """Look often while power moves; leave a charger without a car, or in other hands, in peace."""
        if self._look is None or not self._look.plugged or not self._standing.remote:
            return POLL_MAX_S
        moves = monotonic() < self._standing.written_at + self._make.settle_s
        return min(MOVING_POLL_S, self._options.poll_s) if moves else self._options.poll_s

    async def _take_a_look(self, sink: Sink) -> None:
        try:
            look = await self._panel.look(monotonic())
        except Malformed as error:
            self._tell(sink, self._raised | {FaultCode.IMPLAUSIBLE_READING: str(error)})
            if self._look is None:
                raise
            return
        now, self._look = monotonic(), look
        standing = seen(now, look, self._standing, self._make)
        self._stand(standing)
        self._following = self._following.after(now, differs=differs(now, look, standing, self._make))
        sink.sample(report.sample(now, look, standing, self._make, self.info.rated))
        passing = now < self._passing_until
        self._tell(sink, report.faults(now, look, standing, self._following, passing=passing))

    async def _obey(self) -> float | None:
        """Carry out one act; return until when there is nothing to do, None when there may be more at once."""
        now = monotonic()
        look = self._look
        assert look is not None
        wish = self._wish(now)
        self._standing = attuned(now, wish, look, self._standing)
        act, value = next_act(now, wish, look, self._standing, self._make)
        if act is Act.WAIT:
            return min(value, self._wish_ends(now))
        if act in ACTS:
            LOGGER.info("%s: %s", self.info.id, ACTS[act])
        try:
            await self._carry_out(act, value)
        except Refused as error:
            self._stand(refused(monotonic(), act, value, self._standing, str(error)))
            if self._standing.endless(monotonic()) and abs(look.power_w) >= FLOWS_W:
                self._unended = True
                raise Unreachable(f"it says no to 0 W: {error}") from None
        else:
            self._stand(done(monotonic(), act, value, self._standing))
        return None

    async def _carry_out(self, act: Act, power_w: float) -> None:
        match act:
            case Act.TAKE:
                await self._panel.take()
            case Act.START:
                await self._panel.start(power_w)
            case Act.ORDER:
                await self._panel.order(power_w)
            case Act.RENEW:
                await self._panel.renew(power_w)
            case Act.STOP:
                await self._panel.stop()
            case Act.GIVE_BACK:
                await self._panel.give_back()

    async def _make_safe(self) -> None:
        """On cancellation or loss, hand back what can still be reached; the lease does the rest."""
        if self._bus.connected and self._standing.remote:
            with contextlib.suppress(Theirs, TimeoutError):
                async with asyncio.timeout(MAKE_SAFE_S):
                    await self._panel.give_back()
                    self._stand(done(monotonic(), Act.GIVE_BACK, 0.0, self._standing))

    def _wish(self, now: float) -> Wish:
        setpoint, begun_at = self._setpoint, self._begun_at or now
        if self._released:
            return Wish(leave=True)
        if setpoint is None:
            return Wish(leave=now >= begun_at + LEAVE_AFTER_S)
        if now < setpoint.expires_at:
            return Wish(setpoint.power_w, engage=setpoint.engage, at=self._wished_at)
        lapsed = not setpoint.engage or now >= setpoint.expires_at + LEAVE_AFTER_S
        return Wish(engage=setpoint.engage, leave=lapsed)

    def _wish_ends(self, now: float) -> float:
        """Return the time at which the wish becomes another by itself."""
        setpoint = self._setpoint
        if setpoint is None:
            return (self._begun_at or now) + LEAVE_AFTER_S if not self._released else float("inf")
        ends = (setpoint.expires_at, setpoint.expires_at + LEAVE_AFTER_S)
        return min((at for at in ends if at > now), default=float("inf"))

    def _stand(self, standing: Standing) -> None:
        self._standing = standing
        if standing.remote:
            self._at_rest.clear()
        else:
            self._at_rest.set()

    def _tell(self, sink: Sink, found: dict[FaultCode, str]) -> None:
        """Raise, update and clear; log when a fault comes and when it goes."""
        for code in self._raised.keys() - found.keys():
            sink.clear(code)
            LOGGER.info("%s: %s is over", self.info.id, code)
        for code, detail in found.items():
            if code not in self._raised:
                LOGGER.warning("%s: %s: %s", self.info.id, code, detail)
            if self._raised.get(code) != detail:
                sink.fault(code, detail)
        self._raised = found
