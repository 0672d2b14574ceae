"""The fail-safe on this unit: order a small charge, fall silent, and measure on the grid meter how long it goes on.

A process of its own holds the device by its real driver. It is frozen (silence, the connection still open), and another
one is killed (the connection closes): both are what a dying gateway does.
"""

import asyncio
import contextlib
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from gateway.commissioning.converter import still_ordered
from gateway.commissioning.judging import (
    ANSWER_S,
    FOLLOWED,
    Fall,
    Judgement,
    PhaseWatts,
    judge_fall,
    judge_lease,
)
from gateway.commissioning.rig import Rig, Say, rig
from gateway.commissioning.stepping import Pace
from gateway.config import SiteConfig
from gateway.devices.clock import monotonic
from gateway.model import DeviceId, DeviceInfo, FailSafeCard
from gateway.supply.findings import Verdict

RISE_S = 120.0
GRACE_S = 12.0
"""How much longer than the card allows is waited before the device is given up."""
NO_CARD_S = 60.0
END_S = 12.0


async def prove_fail_safe(
    config: SiteConfig, info: DeviceInfo, card: FailSafeCard, pace: Pace, say: Say
) -> Judgement:
    """Freeze and kill the process that holds the device; return what that proves. The device is released afterwards."""
    card_s = next((s for s in (card.discharging_at_most_s, card.lease_s) if s is not None), NO_CARD_S)
    try:
        async with rig(config, lambda other: other.id != info.id) as bench:
            trial = _Trial(bench, config.path, info, min(pace.step_w, info.rated.max_w), pace, say)
            return await _play_dead(trial, config, info, card_s)
    finally:
        await _take_back(config, info.id)


async def _play_dead(trial: _Trial, config: SiteConfig, info: DeviceInfo, card_s: float) -> Judgement:
    try:
        silence_s = await trial.fall_after(signal.SIGSTOP, card_s)
        if silence_s is not None and await _lease_dead(config, info, card_s - silence_s):
            return judge_lease(silence_s)
        close_s = None if silence_s is None else await trial.fall_after(signal.SIGKILL, card_s)
    except _DisturbedError as disturbed:
        return Judgement(Verdict.UNKNOWN, "no_room", {"why": str(disturbed)}, "calm_house")
    return judge_fall(silence_s, close_s, card_s, card_s + GRACE_S)


async def _lease_dead(config: SiteConfig, info: DeviceInfo, rest_s: float) -> bool:
    """The car has left, or the converter has let go: look which, once the lease must have ended."""
    if info.driver != "evse.chademo":
        return False
    await asyncio.sleep(max(0.0, rest_s))
    return await still_ordered(config.devices[info.id].rest, info.id)


class _DisturbedError(Exception):
    """The step could not be seen, so nothing can be said of its end."""


class _Trial:
    """One device, watched on the grid meter alone."""

    def __init__(self, bench: Rig, site: Path, info: DeviceInfo, step_w: float, pace: Pace, say: Say) -> None:
        self._bench = bench
        self._site = site
        self._info = info
        self._step_w = step_w
        self._pace = pace
        self._say = say

    async def fall_after(self, number: signal.Signals, card_s: float) -> float | None:
        """Return the seconds from the signal until the device's power had left the meter; None for not in time."""
        if not await self._bench.until(lambda: self._bench.house_w() is not None, RISE_S / 4):
            raise _DisturbedError("the grid meter is silent")
        if not self._bench.fits(self._info, self._step_w):
            raise _DisturbedError("its phase would come over its fuse")
        base_w = self._mine(await self._mean())
        self._say("    ordering a small charge …")
        async with _holder(self._site, self._info.id, self._step_w) as holder:
            if not await holder.reached(FOLLOWED * self._step_w, RISE_S, self._bench.over):
                self._stop_if_over()
                raise _DisturbedError("it did not begin to charge")
            risen_w = self._mine(await self._mean()) - base_w
            if risen_w < FOLLOWED * self._step_w:
                raise _DisturbedError(f"its {self._step_w:.0f} W showed as {risen_w:.0f} W")
            holder.send(number)
            fell_s = await self._watch(base_w + risen_w / 2, card_s + GRACE_S)
        how = "silent" if number is signal.SIGSTOP else "connection closed"
        told = f"at 0 W after {fell_s:.1f} s" if fell_s is not None else "went on"
        self._say(f"    {how}: {told} (card: {card_s:g} s, up to {ANSWER_S:g} s more for the meter)")
        return fell_s

    def _stop_if_over(self) -> None:
        """End it all, the holder with it, while a phase is over its fuse or nobody can tell."""
        if self._bench.over():
            raise _DisturbedError("a phase came over its fuse, or the grid meter fell silent")

    async def _watch(self, threshold_w: float, longest_s: float) -> float | None:
        began_at, fall = monotonic(), Fall(threshold_w)
        while monotonic() - began_at < longest_s:
            self._stop_if_over()
            if (now := self._bench.house_w()) is not None:
                fall = fall.after(now[0], self._mine(now[1]))
                if fall.settled(now[0]) and fall.below_since is not None:
                    return max(0.0, fall.below_since - began_at)
            await asyncio.sleep(0.05)
        return None

    async def _mean(self) -> PhaseWatts:
        await self._bench.until(self._bench.over, self._pace.settle_s)
        mean_w = await self._bench.mean_w(self._pace.measure_s)
        if mean_w is None:
            raise _DisturbedError("a phase came over its fuse, or the grid meter fell silent")
        return mean_w

    def _mine(self, house_w: PhaseWatts) -> float:
        """Return the power on the phases of the device."""
        return sum(house_w[phase - 1] for phase in self._info.phases)


class _Holder:
    """The process that holds the device, and the power that it told last."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._power_w = 0.0

    async def reached(self, power_w: float, seconds: float, give_up: Callable[[], bool]) -> bool:
        """Wait until the device has told of this power; tell whether it did before it was time to ``give_up``."""
        assert self._process.stdout is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while line := await self._process.stdout.readline():
                    self._power_w = json.loads(line)["power_w"] or 0.0
                    if self._power_w >= power_w or give_up():
                        return self._power_w >= power_w
        return False

    def send(self, number: signal.Signals) -> None:
        """Freeze or kill it."""
        self._process.send_signal(number)


@contextlib.asynccontextmanager
async def _holder(site: Path, device: DeviceId, power_w: float) -> AsyncIterator[_Holder]:
    """Run a holder in its own process group; a frozen one is killed, any other released."""
    command = (sys.executable, "-m", "gateway.commissioning.holder", str(site), device, str(power_w))
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, process_group=0)
    try:
        yield _Holder(process)
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Let it release the device; one that is frozen would begin anew if it woke, so it is killed."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL if _frozen(process.pid) else signal.SIGTERM)
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def _frozen(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return os.name != "posix"
    return stat.rpartition(")")[2].split()[0] == "T"


async def _take_back(config: SiteConfig, device: DeviceId) -> None:
    """End what the dead holder left commanded, as a restarted gateway does."""
    async with rig(config, lambda info: info.id == device, guarded=False) as bench:
        await bench.until(lambda: bench.power_w(device) is not None, END_S)
