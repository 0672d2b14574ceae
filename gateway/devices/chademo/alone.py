"""The charger alone, with its real driver on simulated wires, in front of a vehicle program of anybody's."""

import asyncio
import contextlib
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from typing import Any

from gateway.devices.chademo import guards as on
from gateway.devices.chademo.alone_wish import Wish
from gateway.devices.chademo.causes import Cause
from gateway.devices.chademo.evse import ChademoEvse
from gateway.devices.chademo.moment import RESTING, Moment, State
from gateway.devices.chademo.options import ConverterTable, ModbusAddress, Options
from gateway.devices.chademo.story import Line, Summary, line_of
from gateway.faults import FaultCode, Misuse, Unreachable
from gateway.model import DeviceInfo, EvseSample, Reason, Rung, Setpoint

LOOK_S = 0.02
LEASE_S, RENEW_S = 2.0, 0.5
LINGER_S = 1.5
"""The car may still hear that d1 is off, and the state is told to it once more."""
READY_WITHIN_S = 20.0
NORMAL_ENDS = frozenset({Cause.OWNER_STOP, Cause.VEHICLE_STOP, Cause.TIME_OVER})
GOES_ON = frozenset({Cause.NO_ANSWER, Cause.RENEWAL})
"""Nobody was there yet, or the driver itself begins anew at once: the session is not over."""
NOBODY = "no vehicle"
_DEVICE = "evse"
_WISH = Reason(Rung.OWNER_REQUEST, "evse_alone")


class Ears:
    """The driver's sink: keeps the newest sample, says faults."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self.newest: EvseSample | None = None
        self._say = say

    def sample(self, sample: Any) -> None:
        """Keep it."""
        self.newest = sample

    def identity(self, info: DeviceInfo) -> None:
        """Nothing to say."""

    def fault(self, code: FaultCode, detail: str) -> None:
        """Say it."""
        self._say(f"fault {code}: {detail}")

    def clear(self, code: FaultCode) -> None:
        """Say it."""
        self._say(f"fault {code} is over")


class Alone:
    """One run of the command. ``_until_done`` looks on, steers the driver by setpoints alone, and tells."""

    def __init__(self, wish: Wish, tell: Callable[[str], None]) -> None:
        self.summary = Summary()
        self.stopping = asyncio.Event()
        self._wish = wish
        self._tell = tell
        self._started_at = _now()
        self._last: Line | None = None
        self._ears = Ears(self.note)
        self._under_way = False
        self._energised_since: float | None = None
        self._rested_at: float | None = None

    def note(self, text: str) -> None:
        """Tell something beside the session's own lines."""
        at_s = round(_now() - self._started_at, 3)
        self._say(
            json.dumps({"at_s": at_s, "note": text}) if self._wish.as_json else f"{at_s:8.2f} s  - {text}"
        )

    def _say(self, text: str) -> None:
        """Tell it; when nobody reads any longer, end the session in its proper order."""
        try:
            self._tell(text)
        except BrokenPipeError:
            self.stopping.set()

    async def run(self, evse: ChademoEvse) -> None:
        """Run the driver until the last session has ended, or the time is over."""
        async with asyncio.TaskGroup() as tasks:
            driver = tasks.create_task(evse.run(self._ears))
            try:
                await self._until_done(evse)
            finally:
                driver.cancel()

    async def _until_done(self, evse: ChademoEvse) -> None:
        renew_at, engaged = 0.0, True
        while not self._done():
            now = _now()
            moment, orders = evse.instant
            self._look(moment)
            line = line_of(moment, orders, self._started_at)
            if line.follows(self._last):
                self._say(json.dumps(line.record()) if self._wish.as_json else line.text())
                self._last = line
            wanted = not self._ending() and not self._try_again(moment)
            if now >= renew_at or wanted != engaged:
                renew_at, engaged = now + RENEW_S, wanted
                power_w = self._wish.power_w(self._energised_s()) if wanted else 0.0
                evse.apply(
                    Setpoint(_DEVICE, power_w, now + LEASE_S, _WISH, engage=wanted, owner_asked=wanted)
                )
            await asyncio.sleep(LOOK_S)

    def _look(self, moment: Moment) -> None:
        """Follow where the session stands, and what it moves."""
        now, progress = moment.inputs.now, moment.progress
        energised, resting = progress.state is State.ENERGISED, progress.state in RESTING
        if energised and self._energised_since is None:
            self._energised_since = now
        elif not energised and self._energised_since is not None:
            self.summary.energised_s = round(self.summary.energised_s + now - self._energised_since, 2)
            self._energised_since = None
        if output := moment.inputs.output:
            self.summary.most_charge_a = max(self.summary.most_charge_a, output.current_a)
            self.summary.most_discharge_a = max(self.summary.most_discharge_a, -output.current_a)
        if resting and self._under_way:
            self._rested_at = now
            self.summary.cause = progress.cause.value
            if progress.cause not in GOES_ON and not on.quickly_again(moment):
                self.summary.sessions += 1
        self._under_way = not resting

    def _energised_s(self) -> float:
        return 0.0 if self._energised_since is None else _now() - self._energised_since

    def _ending(self) -> bool:
        """Tell whether the session has to end by our wish."""
        stop_after_s, seconds = self._wish.stop_after_s, self._wish.seconds
        due = stop_after_s is not None and self._energised_s() >= stop_after_s
        over = seconds is not None and _now() - self._started_at >= seconds
        if due or over:
            self.stopping.set()
        return self.stopping.is_set()

    def _try_again(self, moment: Moment) -> bool:
        """A car that did not answer to d1 was not there yet: the wish is taken back for a moment, and made anew."""
        return moment.progress.state is State.DONE and moment.progress.cause is Cause.NO_ANSWER

    def _done(self) -> bool:
        if self._under_way:
            return False
        if self.stopping.is_set():
            rested_at = self._rested_at
            return rested_at is None or _now() - rested_at >= LINGER_S
        ended = self.summary.sessions > 0 and not self._wish.keep
        return ended and self._rested_at is not None and _now() - self._rested_at >= LINGER_S

    def finish(self) -> int:
        """Tell the summary; return the exit status: 0 when the last session ended as sessions should."""
        summary = self.summary
        if sample := self._ears.newest:
            summary.charged_wh = sample.charged_wh or 0.0
            summary.discharged_wh = sample.discharged_wh or 0.0
        normal = summary.sessions > 0 and summary.cause in NORMAL_ENDS
        summary.cause = summary.cause if summary.sessions else NOBODY
        self._say(json.dumps({"summary": asdict(summary)}) if self._wish.as_json else summary.text())
        return 0 if normal else 1


async def run(wish: Wish, tell: Callable[[str], None]) -> int:
    """Run the charger alone; return the exit status. Raises Misuse or Unreachable when its hardware does not start."""
    alone = Alone(wish, tell)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, alone.stopping.set)
    async with _bench(wish) as (wires, notes):
        way = "waits for a car at" if wires["udp"]["awaits_car"] else "speaks from"
        alone.note("the charger {} udp://{}:{}".format(way, *wires["udp"]["address"]))
        evse = ChademoEvse(_DEVICE, "evse.chademo", _options(wish, wires))
        async with asyncio.TaskGroup() as tasks:
            listening = tasks.create_task(_pass_on(notes, alone.note))
            await alone.run(evse)
            listening.cancel()
    return alone.finish()


def _options(wish: Wish, wires: dict[str, Any]) -> Options:
    options = Options(
        name="The charger alone",
        can_interface="slcan",
        can_channel=wires["can"],
        converter=ConverterTable(**wires["converter"]),
        pilot=ModbusAddress(**wires["pilot"]),
        max_charge_a=wish.max_charge_a,
        max_discharge_a=wish.max_discharge_a,
        report_current_workaround=wish.report_current_workaround,
    )
    options.check("evse")
    return options


@contextlib.asynccontextmanager
async def _bench(wish: Wish) -> AsyncIterator[tuple[dict[str, Any], asyncio.StreamReader]]:
    """Run the hardware as a process of its own; yield its wires and its further notes."""
    with tempfile.TemporaryDirectory(prefix="evse-") as folder:
        where = ("--run-dir", folder, "--battery-v", str(wish.battery_v), "--until-input-ends", wish.can)
        pipe = asyncio.subprocess.PIPE
        bench = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "gateway.simulator.vehicle_bench",
            *where,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            start_new_session=True,
        )
        assert bench.stdin is not None
        assert bench.stdout is not None
        try:
            yield await _wires(bench), bench.stdout
        finally:
            bench.stdin.close()
            await bench.wait()


async def _wires(bench: asyncio.subprocess.Process) -> dict[str, Any]:
    """Wait for the line that tells where the hardware listens. Raises Misuse, in its words, when it refuses."""
    assert bench.stdout is not None
    assert bench.stderr is not None
    try:
        async with asyncio.timeout(READY_WITHIN_S):
            told = await bench.stdout.readline()
    except TimeoutError:
        raise Unreachable("the simulated hardware did not start") from None
    if not told:
        raise Misuse((await bench.stderr.read()).decode().strip().rpartition("\n")[2])
    wires: dict[str, Any] = json.loads(told)
    return wires


async def _pass_on(notes: asyncio.StreamReader, note: Callable[[str], None]) -> None:
    while line := await notes.readline():
        note(json.loads(line)["note"])
    raise Unreachable("the simulated hardware has ended")


def _now() -> float:
    return asyncio.get_running_loop().time()
