"""All active proofs of a site, device by device; each result is on disk before the next one begins."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from gateway.api.access import write_private
from gateway.commissioning.judging import Judgement
from gateway.commissioning.report import MARKS
from gateway.commissioning.rig import Ask, Rig, Say, rig
from gateway.commissioning.silence import prove_fail_safe
from gateway.commissioning.stepping import Pace, Trial, prove_steps
from gateway.commissioning.wishes import read as read_wishes
from gateway.config import SiteConfig
from gateway.fastpath import open_devices, sole_master
from gateway.faults import ConfigError, Malformed
from gateway.model import DeviceId, DeviceInfo, DeviceKind, FailSafeCard, MeterRole, VehicleSample
from gateway.supply.findings import Check, Verdict
from gateway.supply.record import FILE, Proof, Record, encode, hangs_on, identity, load
from gateway.supply.texts import CHECKS, REMEDIES, TEXTS

GUARDS = {"g": "gateway", "c": "charger", "i": "installation"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to prove: all steered devices when none is named. ``fuse_guard`` answers beforehand who guards the fuse."""

    devices: tuple[DeviceId, ...] = ()
    fuse_guard: str = ""
    pace: Pace = field(default_factory=Pace)


@dataclass(frozen=True, slots=True)
class _Seen:
    """A device as it has told of itself in its proof."""

    info: DeviceInfo
    meter: DeviceInfo | None
    card: FailSafeCard
    car: VehicleSample | None
    judgements: Mapping[Check, Judgement]


def chosen(config: SiteConfig, wanted: Wanted) -> tuple[DeviceInfo, ...]:
    """Return the devices to prove. Raises ConfigError for one that is not there or takes no orders."""
    steered = {n: d.info for n, d in open_devices(config).items() if d.info.kind.steered}
    for device in wanted.devices:
        if device not in steered:
            raise ConfigError(
                f"--device {device}: write one of: {', '.join(steered) or 'no device takes orders'}"
            )
    return tuple(info for name, info in steered.items() if not wanted.devices or name in wanted.devices)


def announcement(infos: Iterable[DeviceInfo], pace: Pace) -> str:
    """Say what will be done, before it is done."""
    lines = ["This moves power on purpose, with the gateway stopped, watched by the grid meter:"]
    for info in infos:
        kind = "the car is woken, its session opened; " if info.kind is DeviceKind.EVSE else ""
        lines.append(
            f"  {info.name} ({info.id}): {kind}{pace.repeats} steps of +{pace.step_w:.0f} W and, where it is allowed,\n"
            f"    of -{pace.step_w:.0f} W, some seconds each; then a small charge under which the gateway plays dead, twice."
        )
    lines += [
        "Two to four minutes for each. Batteries are held at 0 W meanwhile; the owner's floor and limits hold.",
        "Ctrl-C at any time brings everything back to 0 W and hands it back.",
        "Stand by the equipment; plug the car in; let nobody work on the installation.",
    ]
    return "\n".join(lines)


async def prove(config: SiteConfig, wanted: Wanted, say: Say, ask: Ask | None) -> Record:
    """Prove what is wanted and return the new record. Raises ConfigError while a gateway runs on the site."""
    infos = chosen(config, wanted)
    async with sole_master(config, patience_s=0.0):
        wishes = read_wishes(config.state_dir)
        if wishes is not None and wishes.stopped:
            raise ConfigError("the owner has stopped everything: first start the gateway and press Resume")
        record = replace(_load(config, say), site=config.site.serial)
        try:
            for info in infos:
                record = await _prove_device(config, info, wanted, record, say, ask)
        except asyncio.CancelledError:
            say("\nEnded early: everything is back at 0 W and handed back.")
            raise
    return record


async def _prove_device(
    config: SiteConfig, info: DeviceInfo, wanted: Wanted, record: Record, say: Say, ask: Ask | None
) -> Record:
    say(f"\n{info.name} ({info.id})")
    say("  sign and phase: small steps must show on the grid meter")
    async with rig(config) as bench:
        seen = await _step(bench, Trial(bench, info.id, wanted.pace, say, ask, read_wishes(config.state_dir)))
    if seen.car is not None:
        record = replace(record, cars={**record.cars, info.id: seen.car})
    record = _note(config, record, seen, seen.judgements, say)
    if seen.judgements[Check.WIRING_PROOF].verdict in {Verdict.PASS, Verdict.ATTENTION}:
        say("  fail-safe: the gateway plays dead under a small charge")
        ended = await prove_fail_safe(config, seen.info, seen.card, wanted.pace, say)
    else:
        why = "its steps must show on the grid meter first"
        ended = Judgement(Verdict.UNKNOWN, "no_room", {"why": why}, "mend_meter")
    record = _note(config, record, seen, {Check.FAIL_SAFE_PROOF: ended}, say)
    if info.kind is DeviceKind.EVSE and (guard := await _guard(config, info, wanted, ask)):
        said = Judgement(Verdict.PASS, f"guard_{guard}", {"guard": guard, "meter": _meter_name(config)})
        record = _note(config, record, seen, {Check.FUSE_GUARD: said}, say)
    return record


async def _step(bench: Rig, trial: Trial) -> _Seen:
    judgements = await prove_steps(trial)
    evse = bench.snapshot().evses.get(trial.device)
    meter = next((d for d in bench.snapshot().devices.values() if d.role is MeterRole.GRID), None)
    return _Seen(trial.info, meter, bench.card(trial.device), evse.vehicle if evse else None, judgements)


async def _guard(config: SiteConfig, info: DeviceInfo, wanted: Wanted, ask: Ask | None) -> str:
    """Ask who guards the fuse (reference/needs.md 1, row 22); empty when nobody says."""
    if wanted.fuse_guard:
        return wanted.fuse_guard
    if ask is None:
        return ""
    answer = await ask(
        f"  Who keeps the main fuse while {info.name} charges: the [g]ateway by {_meter_name(config) or 'no meter'}, "
        "the [c]harger's own load balancing, or the [i]nstallation, sized for full power? [g] "
    )
    return GUARDS.get((answer.strip().lower() or "g")[:1], "")


def _note(
    config: SiteConfig,
    record: Record,
    seen: _Seen,
    judgements: Mapping[Check, Judgement],
    say: Say,
) -> Record:
    """Put judgements on disk, and say them."""
    info = seen.info
    own = identity(info, config.devices[info.id].rest)
    meter = identity(seen.meter, config.devices[seen.meter.id].rest) if seen.meter else ""
    for check, made in judgements.items():
        at = datetime.now(UTC).replace(microsecond=0)
        on = hangs_on(check, own, meter)
        proof = Proof(info.id, check, made.verdict, made.text_key, at, on, made.figures, made.remedy_key)
        record = record.proven(proof)
        kept = record.proof(info.id, check)
        say(f"  {MARKS[made.verdict]} {CHECKS[check]}: {TEXTS[made.text_key].format_map(made.figures)}")
        if made.verdict is not Verdict.PASS and made.remedy_key:
            say(f"      → {REMEDIES[made.remedy_key]}")
        if kept is not None and kept is not proof:
            say(
                f"      What was found at {kept.at:%Y-%m-%d %H:%M} UTC still holds: {TEXTS[kept.text_key].format_map(kept.figures)}"
            )
    write_private(config.state_dir / FILE, encode(record))
    return record


def _load(config: SiteConfig, say: Say) -> Record:
    """Read what was proven before; what cannot be read is set aside."""
    try:
        return load(config.state_dir)
    except Malformed as error:
        path = config.state_dir / FILE
        path.replace(path.with_suffix(".unreadable"))
        say(f"{error}; set aside")
        return Record()


def _meter_name(config: SiteConfig) -> str:
    meters = (d.name for d in config.devices.values() if d.rest.get("role") == MeterRole.GRID)
    return next(meters, "")
