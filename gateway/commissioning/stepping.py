"""Sign, phase and size: a small step of a device must show on the grid meter; three times, against the house's own noise."""

from collections.abc import Iterator
from dataclasses import dataclass

from gateway.commissioning.judging import Judgement, PhaseWatts, Step, judge_lines, judge_steps, named
from gateway.commissioning.rig import Ask, Rig, Say
from gateway.devices.clock import monotonic
from gateway.fastpath import DISCHARGE_AT_MOST_S
from gateway.faults import FaultCode
from gateway.model import DeviceId, DeviceInfo, DeviceKind, EvseState, OwnerSettings
from gateway.supply.findings import Check, Verdict

SESSION_S = 90.0
RISE_S = 20.0
STOP_PATIENCE_S = 60.0
STILL_W = 150.0
FULLEST_PCT, EMPTIEST_PCT = 95.0, 25.0
FLOOR_MARGIN_PCT = 1.0


@dataclass(frozen=True, slots=True)
class Pace:
    """How large, how long and how often: seconds to settle after a change, seconds to measure."""

    step_w: float = 1500.0
    settle_s: float = 2.5
    measure_s: float = 4.0
    repeats: int = 3


@dataclass(frozen=True, slots=True)
class Trial:
    """One device in the rig, and the person at the terminal; ``ask`` is None when nobody is there."""

    rig: Rig
    device: DeviceId
    pace: Pace
    say: Say
    ask: Ask | None = None

    wishes: OwnerSettings | None = None
    """None: they cannot be read, so what the owner may have forbidden is not done."""

    @property
    def info(self) -> DeviceInfo:
        """The device as it has told of itself."""
        return self.rig.info(self.device)

    def size_w(self, direction: int) -> float:
        """Return how large a step up (1) or down (-1) is."""
        return min(self.pace.step_w, _nameplate_w(self.info, direction))


async def prove_steps(trial: Trial) -> dict[Check, Judgement]:
    """Step the device up and, where it may, down; return what that proves. Ends at 0 W, its session closed."""
    if not await trial.rig.until(lambda: trial.rig.house_w() is not None, RISE_S):
        return {Check.WIRING_PROOF: Judgement(Verdict.UNKNOWN, "wiring_no_meter", {}, "add_meter")}
    if not await trial.rig.until(lambda: trial.rig.power_w(trial.device) is not None, RISE_S):
        return {Check.WIRING_PROOF: _no_room("it does not answer", "connect")}
    proven: dict[Check, Judgement] = {}
    try:
        if trial.info.kind is DeviceKind.EVSE and (failed := await _open_session(trial)):
            return failed
        proven[Check.WIRING_PROOF] = await _wiring(trial)
        if trial.info.kind is DeviceKind.STORAGE:
            dead = trial.rig.raised(FaultCode.FAIL_SAFE_UNPROVEN, trial.device)
            proven[Check.TIMER_PROOF] = (
                Judgement(Verdict.FAIL, "timer_dead", {}, "no_unattended")
                if dead
                else Judgement(Verdict.PASS, "timer_works")
            )
        if trial.info.driver == "evse.chademo":
            proven[Check.LINES_PROOF] = await _emergency_stop(trial)
    finally:
        trial.rig.let_go(trial.device)
    return proven


async def _wiring(trial: Trial) -> Judgement:
    """Step in each direction that there is room for."""
    steps: list[Step] = []
    refused = ""
    for direction in (1, -1):
        if why := "; ".join(_against(trial, direction)):
            refused = refused or why
            trial.say(f"    {_word(direction)}: not tried, {why}")
            continue
        before = await _measure(trial)
        for count in range(trial.pace.repeats):
            step, before = await _step(trial, direction, before)
            if step is None:
                return _no_room("the meter fell silent or a phase came over its fuse", "calm_house")
            steps.append(step)
            seen = ", ".join(f"L{p + 1} {w:+.0f}" for p, w in enumerate(step.seen_w))
            trial.say(
                f"    {_word(direction)} {count + 1}/{trial.pace.repeats}: ordered {step.ordered_w:+.0f} W, "
                f"did {step.did_w:+.0f} W, the meter saw {seen} W"
            )
    if not steps:
        return _no_room(refused, "prove")
    return judge_steps(steps, trial.info.phases)


async def _step(trial: Trial, direction: int, before: Measured | None) -> tuple[Step | None, Measured | None]:
    """Measure under one step and after it; return the step, None when it was disturbed, and what was measured after."""
    rig, device = trial.rig, trial.device
    ordered_w = direction * trial.size_w(direction)
    rig.order(device, ordered_w)
    await rig.until(lambda: abs((rig.power_w(device) or 0.0) - ordered_w) < STILL_W, RISE_S / 2)
    under = await _measure(trial)
    rig.order(device, 0.0)
    await rig.until(lambda: abs(rig.power_w(device) or 0.0) < STILL_W, RISE_S / 2)
    after = await _measure(trial)
    if before is None or under is None or after is None or rig.over_fuse:
        return None, after
    one, two, three = (
        u - (b + a) / 2 for b, u, a in zip(before.house_w, under.house_w, after.house_w, strict=True)
    )
    did_w = under.device_w - (before.device_w + after.device_w) / 2
    return Step(ordered_w, did_w, (one, two, three)), after


@dataclass(frozen=True, slots=True)
class Measured:
    """Means on the grid meter, and what the device says that it does."""

    house_w: PhaseWatts
    device_w: float


async def _measure(trial: Trial) -> Measured | None:
    await trial.rig.until(lambda: False, trial.pace.settle_s)
    mean_w = await trial.rig.mean_w(trial.pace.measure_s)
    power_w = trial.rig.power_w(trial.device)
    return None if mean_w is None or power_w is None else Measured(mean_w, power_w)


def _against(trial: Trial, direction: int) -> Iterator[str]:
    """Yield what speaks against a step in one direction now."""
    rig, info, snapshot = trial.rig, trial.info, trial.rig.snapshot()
    step_w, grid, meter = trial.size_w(direction), rig.config.grid, snapshot.grid()
    sample = snapshot.storages.get(info.id) or snapshot.evses.get(info.id)
    able_w = (sample.charge_max_w if direction > 0 else sample.discharge_max_w) if sample else 0.0
    if step_w <= 0:
        yield "it is not made for it"
        return
    if able_w < step_w / 2:
        yield f"it can do {able_w:.0f} W now"
    if not rig.fits(info, direction * step_w):
        yield f"{named(info.phases)} would come over its fuse"
    limit_w = grid.import_limit_w if direction > 0 else grid.export_limit_w
    if limit_w is not None and meter and direction * meter.power_w + step_w > limit_w:
        yield f"the {'import' if direction > 0 else 'export'} limit leaves no room"
    soc_pct = rig.soc_pct(info.id)
    if direction < 0:
        yield from _against_discharge(trial, soc_pct)
    elif soc_pct is not None and soc_pct > FULLEST_PCT:
        yield f"it is full ({soc_pct:.0f} %)"


def _against_discharge(trial: Trial, soc_pct: float | None) -> Iterator[str]:
    """Yield what the device's card, its charge and its owner say against a discharge."""
    longest_s = trial.rig.card(trial.device).discharging_at_most_s
    if longest_s is None or longest_s > DISCHARGE_AT_MOST_S:
        yield "its fail-safe does not allow discharge"
    if trial.wishes is None:
        yield "what the owner allows cannot be read"
        return
    wishes = trial.wishes.of(trial.device)
    if not wishes.discharge_allowed:
        yield "the owner does not allow it"
    evse = trial.rig.snapshot().evses.get(trial.device)
    cars_pct = (evse.vehicle.min_discharge_soc_pct if evse and evse.vehicle else None) or 0.0
    if soc_pct is None:
        yield "its charge is unknown"
    elif soc_pct < wishes.floor_soc_pct + FLOOR_MARGIN_PCT:
        yield f"it is at {soc_pct:.0f} %, the owner keeps {wishes.floor_soc_pct:.0f} %"
    elif soc_pct < max(EMPTIEST_PCT, cars_pct):
        yield f"it is nearly empty ({soc_pct:.0f} %)"


async def _open_session(trial: Trial) -> dict[Check, Judgement]:
    """Wake the car and wait until current may flow; return what is wrong, nothing when it is ready."""
    rig, device = trial.rig, trial.device

    def state() -> EvseState | None:
        sample = rig.snapshot().evses.get(device)
        return sample.state if sample else None

    if not await rig.until(lambda: state() is not EvseState.UNPLUGGED, RISE_S / 4):
        return {Check.WIRING_PROOF: _no_room("no car is plugged in", "plug_in")}
    trial.say("    waking the car …")
    rig.order(device, 0.0)
    began_at = monotonic()
    await rig.until(lambda: state() in {EvseState.READY, EvseState.FAULT}, SESSION_S)
    if state() is EvseState.READY:
        trial.say(f"    ready after {monotonic() - began_at:.0f} s")
        return {}
    sample = rig.snapshot().evses.get(device)
    cause = (sample.stop_cause if sample else "") or "it never became ready"
    wiring = Judgement(Verdict.UNKNOWN, "no_session", {"cause": cause.replace("_", " ")}, "prove")
    lines = judge_lines(cause, None, 0.0)
    return {Check.WIRING_PROOF: wiring} | (
        {Check.LINES_PROOF: lines} if trial.info.driver == "evse.chademo" else {}
    )


async def _emergency_stop(trial: Trial) -> Judgement:
    """Let the person press the emergency stop under current, and time how soon it has ended."""
    rig, device = trial.rig, trial.device
    if trial.ask is None or (await trial.ask("    Try the emergency stop now? [y/N] ")).lower() not in {
        "y",
        "yes",
    }:
        return judge_lines("", None, 0.0)
    if why := "; ".join(_against(trial, 1)):
        trial.say(f"    emergency stop: not tried, {why}")
        return judge_lines("", None, 0.0)
    step_w = trial.size_w(1)
    rig.order(device, step_w)
    flows = await rig.until(lambda: (rig.power_w(device) or 0.0) > step_w / 2, RISE_S)
    if not flows:
        return judge_lines("", None, 0.0)
    trial.say(f"    current flows: press the emergency stop within {STOP_PATIENCE_S:.0f} s")
    pressed = await rig.until(lambda: rig.raised(FaultCode.DEVICE_FAULT, device), STOP_PATIENCE_S)
    seen_at = monotonic()
    ended = pressed and await rig.until(lambda: (rig.power_w(device) or 0.0) < STILL_W, RISE_S)
    stop_s = monotonic() - seen_at if ended else None
    rig.let_go(device)
    if pressed:
        await trial.ask("    Seen. Release the emergency stop, then press Enter. ")
    return judge_lines("", stop_s, STOP_PATIENCE_S)


def _nameplate_w(info: DeviceInfo, direction: int) -> float:
    return info.rated.max_w if direction > 0 else -info.rated.min_w


def _word(direction: int) -> str:
    return "charge" if direction > 0 else "discharge"


def _no_room(why: str, remedy: str) -> Judgement:
    return Judgement(Verdict.UNKNOWN, "no_room", {"why": why}, remedy)
