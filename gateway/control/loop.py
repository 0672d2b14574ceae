"""The tick: snapshot → dispatch → envelope → apply, ten times a second and at once on a fresh grid sample.

It awaits no device. Deadlines are absolute, on a timerfd: asyncio's own timers round to a millisecond
(reference/optimize.md 7).
"""

import asyncio
import gc
import logging
import os
import sys
import time
from collections.abc import Callable, Mapping
from copy import replace
from datetime import datetime
from typing import Protocol

from gateway.config import ControlTables
from gateway.control.backup import BACKUP_FAULTS
from gateway.control.circuits import expanded
from gateway.control.dispatch import NO_CLIMB, Outcome, at_rest, dispatch
from gateway.control.envelope import admit, hold_blind, hold_fuse
from gateway.control.frequency.reserve import stored
from gateway.control.memory import advance, recalled, to_remember
from gateway.control.plausibility import Trust
from gateway.control.vehicles import judged
from gateway.faults import FaultCode
from gateway.model import Decision, DeviceId, Reason, Remembered, ReserveSecond, Rung, Setpoint, Snapshot
from gateway.state import SiteState

LOGGER = logging.getLogger(__name__)

PERIOD_S = 0.1
EARLY_GAP_S = 0.005
"""An early tick comes no sooner than this after the last one, however fast the meter is."""
OVERRUN_HOLD_S = 60.0
SETTLE_S = 5.0
"""After the start a silent meter is not yet a fault."""
METER_FAULTS = (FaultCode.METER_SIGN_FLIPPED, FaultCode.METER_IMPLAUSIBLE, FaultCode.METER_FROZEN)
OWN_FAULTS = (
    FaultCode.RULE_FAILED,
    FaultCode.LIMITS_CONFLICT,
    FaultCode.GRID_METER_STALE,
    *METER_FAULTS,
    *BACKUP_FAULTS,
)


class Actuator(Protocol):
    """What the loop needs of a device."""

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; returns at once."""


class Loop:
    """The control loop of one site. ``on_tick`` is told the lateness of each timed tick, in s."""

    def __init__(
        self,
        state: SiteState,
        tables: ControlTables,
        actuators: Mapping[DeviceId, Actuator],
        on_tick: Callable[[float], None] = lambda lateness_s: None,
        monotonic: Callable[[], float] = time.monotonic,
        remembered: Remembered | None = None,
    ) -> None:
        self._state = state
        self._tables = tables
        self._circuits = expanded(tables.circuits, state.snapshot(monotonic()).devices)
        self._actuators = actuators
        self._on_tick = on_tick
        self._monotonic = monotonic
        self._memory = recalled(remembered or Remembered())
        self._setpoints: dict[DeviceId, Setpoint] = {}
        self._climb = NO_CLIMB
        self._started_at = monotonic()
        self._last_at = self._started_at - PERIOD_S
        self._late_at = -OVERRUN_HOLD_S

    def tick(self, now: float) -> None:
        """Decide once for the whole site and hand each device its setpoint."""
        gc.disable()  # nearly all that a tick makes is gone at its end: a collection waits until then, and has little to walk
        try:
            self._decide(now)
        finally:
            gc.enable()

    def _decide(self, now: float) -> None:
        told = self._state.snapshot(now)
        elapsed_s, self._last_at = now - self._last_at, now
        try:
            self._memory, snapshot = advance(self._memory, told, self._tables)
            outcome = dispatch(snapshot, self._tables, self._memory.balance, self._circuits, self._climb)
            setpoints = self._guarded(self._admitted(outcome, snapshot, elapsed_s), outcome, snapshot, told)
        except Exception as error:  # noqa: BLE001  # whatever it was: a tick that fails, fails closed
            self._explain(error)
            self._memory = replace(self._memory, balance=None)
            snapshot, outcome = told, at_rest(told, repr(error))
            setpoints = self._admitted(outcome, snapshot, elapsed_s)
        self._climb, self._state.control = outcome.climb, self._memory.status
        if snapshot.wishes.owner.control_on:
            self._setpoints = setpoints
            self._state.decide(_held(d, setpoints[d.device]) for d in outcome.decisions)
            failed = self._hand_over(setpoints)
        else:
            self._state.decide(_observed(d) for d in outcome.decisions)
            failed = self._let_go(now)
        self._report({**self._unsilenced(outcome.faults), **failed}, now)
        self._tell_doubts()

    def snapshot(self, now: float) -> Snapshot:
        """Return the process image with the cars as they were last judged."""
        return judged(self._state.snapshot(now), self._memory.cars)

    def remembered(self) -> Remembered:
        """Return what must survive a restart."""
        return to_remember(self._memory)

    def proof(self) -> tuple[ReserveSecond, ...]:
        """Return the seconds of sold reserve that are not known to be stored, oldest first."""
        return self._memory.sold.seconds

    def proof_stored(self, until: datetime) -> None:
        """Forget the seconds up to ``until``."""
        self._memory = replace(self._memory, sold=stored(self._memory.sold, until))

    def _admitted(self, outcome: Outcome, snapshot: Snapshot, elapsed_s: float) -> dict[DeviceId, Setpoint]:
        return {
            d.device: admit(d, self._setpoints.get(d.device), snapshot, elapsed_s) for d in outcome.decisions
        }

    def _guarded(
        self, setpoints: dict[DeviceId, Setpoint], outcome: Outcome, seen: Snapshot, told: Snapshot
    ) -> dict[DeviceId, Setpoint]:
        """Hold the fuse by the meter, or by what ``told`` shows of one that is not believed."""
        if seen.grid() is not None:
            return hold_fuse(setpoints, seen, self._tables.grid)
        doubted = self._memory.watch.trust is Trust.DOUBTED
        return hold_blind(setpoints, outcome.decisions, told, self._tables.grid, doubted=doubted)

    def _let_go(self, now: float) -> Mapping[FaultCode, str]:
        """Control was turned off: end the leases at once instead of letting them run out."""
        ended = {d: replace(s, power_w=0.0, expires_at=now, engage=False) for d, s in self._setpoints.items()}
        self._setpoints = {}
        return self._hand_over(ended)

    def _hand_over(self, setpoints: Mapping[DeviceId, Setpoint]) -> Mapping[FaultCode, str]:
        """Give each device its setpoint; one that cannot take it lets its last one run out, and stops no other."""
        failed: dict[FaultCode, str] = {}
        for device, setpoint in setpoints.items():
            try:
                self._actuators[device].apply(setpoint)
            except Exception as error:  # noqa: BLE001  # one driver's mistake is not the others'
                self._explain(error)
                failed[FaultCode.RULE_FAILED] = f"{device}: {error!r}"
        return failed

    def _unsilenced(self, found: Mapping[FaultCode, str]) -> Mapping[FaultCode, str]:
        """A meter that is not believed is taken for silent, but its fault is another, and a mere doubt is none."""
        watch = self._memory.watch
        if watch.believed:
            return found
        told = dict(found)
        told.pop(FaultCode.GRID_METER_STALE, None)
        if watch.code is not None:
            told[watch.code] = watch.detail
        return told

    def _tell_doubts(self) -> None:
        for device, car in self._memory.cars.items():
            raised = self._state.raised(FaultCode.SOC_DOUBTED, device)
            if car.state.soc_doubt:
                if not raised:
                    LOGGER.warning("%s: not believed: %s", device, car.state.soc_doubt)
                self._state.fault(FaultCode.SOC_DOUBTED, car.state.soc_doubt, device)
            elif raised:
                LOGGER.info("%s: the state of charge is believed again", device)
                self._state.clear(FaultCode.SOC_DOUBTED, device)

    def _explain(self, error: Exception) -> None:
        if not self._state.raised(FaultCode.RULE_FAILED):
            LOGGER.error("a control rule failed", exc_info=error)

    async def run(self) -> None:
        """Tick until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._on_time())
            tasks.create_task(self._on_sample())

    async def _on_time(self) -> None:
        timer = os.timerfd_create(time.CLOCK_MONOTONIC, flags=os.TFD_NONBLOCK | os.TFD_CLOEXEC)
        deadline = self._monotonic() + PERIOD_S
        os.timerfd_settime(timer, flags=os.TFD_TIMER_ABSTIME, initial=deadline, interval=PERIOD_S)
        loop, due = asyncio.get_running_loop(), asyncio.Queue[int]()
        loop.add_reader(timer, lambda: due.put_nowait(int.from_bytes(os.read(timer, 8), sys.byteorder)))
        try:
            while True:
                expirations = await due.get()
                now = self._monotonic()
                deadline += PERIOD_S * (expirations - 1)
                self._on_tick(now - deadline)
                self._watch(now, expirations)
                deadline += PERIOD_S
                self.tick(now)
        finally:
            loop.remove_reader(timer)
            os.close(timer)

    async def _on_sample(self) -> None:
        while True:
            await self._state.fresh_grid.wait()
            too_soon_s = self._last_at + EARLY_GAP_S - self._monotonic()
            if too_soon_s > 0:
                await asyncio.sleep(too_soon_s)
            self._state.fresh_grid.clear()
            self.tick(self._monotonic())

    def _watch(self, now: float, expirations: int) -> None:
        if expirations > 1:
            self._late_at = now
            if not self._state.raised(FaultCode.TICK_OVERRUN):
                LOGGER.warning("control tick late: %d periods of %.1f s missed", expirations - 1, PERIOD_S)
            self._state.fault(FaultCode.TICK_OVERRUN, f"{expirations - 1} periods missed")
        elif self._state.raised(FaultCode.TICK_OVERRUN) and now - self._late_at > OVERRUN_HOLD_S:
            self._state.clear(FaultCode.TICK_OVERRUN)

    def _report(self, found: Mapping[FaultCode, str], now: float) -> None:
        for code in OWN_FAULTS:
            if code in found and now - self._started_at >= SETTLE_S:
                if not self._state.raised(code):
                    LOGGER.warning("%s: %s", code, found[code])
                self._state.fault(code, found[code])
            elif code not in found and self._state.raised(code):
                LOGGER.info("%s is over", code)
                self._state.clear(code)


def _observed(decision: Decision) -> Decision:
    """Keep what would be done as the wish; nothing is commanded."""
    reason = Reason(Rung.OWNER_STOP, "observing")
    return replace(
        decision, wanted_w=decision.power_w, power_w=0.0, reason=reason, limited_by=None, engage=False
    )


def _held(decision: Decision, setpoint: Setpoint) -> Decision:
    if setpoint.power_w == decision.power_w and setpoint.limited_by is decision.limited_by:
        return decision
    return replace(decision, power_w=setpoint.power_w, limited_by=setpoint.limited_by)
