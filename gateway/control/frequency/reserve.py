"""Pure: the reserve from tick to tick: reading, proof, phase, response, energy, proof of delivery."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import inf

from gateway.config import ControlTables
from gateway.control.frequency import recovery, reservoir, zero_point
from gateway.control.frequency.evidence import Counted, counted, second_of
from gateway.control.frequency.phases import NEXT, Event
from gateway.control.frequency.products import (
    NOMINAL_HZ,
    PRODUCTS,
    Product,
    Trigger,
    in_dead_band,
    share_of,
    triggered,
)
from gateway.control.frequency.proof import (
    AT_ONCE,
    Proof,
    frequency_meter,
    level_hz,
    meter_refusals,
    prove,
    site_refusals,
)
from gateway.control.frequency.reservoir import Recharge, Reservoir
from gateway.control.frequency.zero_point import ZeroPoint
from gateway.model import (
    DeviceId,
    Interval,
    Refusal,
    ReservePhase,
    ReserveSecond,
    ReserveStatus,
    ReserveWindow,
    Rung,
    Snapshot,
)

PROVE_S = 1.0
"""How often devices are judged, and one that left is replaced."""
PATIENCE_S = 2.0
"""So long an armed reserve goes on with what it has before it is withdrawn."""
SOUND_S = 30.0
"""So long everything must have been proven before a withdrawn reserve is armed again."""
KEPT_SECONDS = 7200
ACTIVE = frozenset({ReservePhase.ARMED, ReservePhase.RECOVERING})


@dataclass(frozen=True, slots=True)
class Reading:
    """The newest frequency, and since when (monotonic s) the meter has told the very same."""

    hz: float | None = None
    at: float = -inf
    since: float = -inf


@dataclass(frozen=True, slots=True)
class Reserve:
    """``seconds`` is the proof that nobody has stored yet; ``proven_at`` and the two ``since`` are monotonic s."""

    phase: ReservePhase = ReservePhase.OFF
    window: ReserveWindow | None = None
    reading: Reading = field(default_factory=Reading)
    proof: Proof | None = None
    proven_at: float = -inf
    refused_since: float | None = None
    sound_since: float | None = None
    recharge: Recharge | None = None
    zeros: Mapping[DeviceId, ZeroPoint] = field(default_factory=dict)
    trigger: Trigger = field(default_factory=Trigger)
    event: recovery.Event | None = None
    counted: Counted = field(default_factory=Counted)
    seconds: tuple[ReserveSecond, ...] = ()
    status: ReserveStatus = field(default_factory=ReserveStatus)


def follow(before: Reserve, snapshot: Snapshot, tables: ControlTables) -> Reserve:
    """Return the reserve after ``snapshot``."""
    window = next((w for w in snapshot.wishes.reserves if w.active(snapshot.utc)), None)
    if window is None and before.event is None and before.phase is ReservePhase.OFF:
        return _waiting(before, snapshot, tables)
    reserve = replace(before, reading=_read(before.reading, snapshot))
    if window is not None and (before.window is None or window.id != before.window.id):
        reserve = replace(
            reserve, proof=None, proven_at=-inf, recharge=None, trigger=Trigger(), counted=Counted()
        )
    reserve = replace(reserve, window=window)
    reserve, refusals = _judged(reserve, snapshot, tables)
    reserve = _stepped(reserve, refusals, snapshot, tables)
    if window is None or reserve.phase not in ACTIVE or reserve.proof is None or not reserve.proof.bands_w:
        reserve = replace(reserve, recharge=None, zeros={}, trigger=Trigger())
        reserve = replace(reserve, status=_status(reserve, refusals, snapshot))
    else:
        reserve = _responding(reserve, refusals, snapshot, tables)
    return _witnessed(reserve, snapshot)


def stored(reserve: Reserve, until: datetime) -> Reserve:
    """Forget the seconds up to ``until``: somebody has stored them."""
    return replace(reserve, seconds=tuple(s for s in reserve.seconds if s.utc > until))


def _waiting(before: Reserve, snapshot: Snapshot, tables: ControlTables) -> Reserve:
    """Nothing is sold now; of what is sold next, say already what would be refused."""
    coming = min(
        (w for w in snapshot.wishes.reserves if w.starts_at > snapshot.utc),
        key=lambda w: w.starts_at,
        default=None,
    )
    if coming is None:
        return before if before.status == ReserveStatus() else Reserve(seconds=before.seconds)
    reading = _read(before.reading, snapshot)
    if before.window == coming and snapshot.at - before.proven_at < PROVE_S:
        return replace(before, reading=reading)
    proof = prove(snapshot, PRODUCTS[coming.product], coming, tables)
    site = site_refusals(snapshot) + meter_refusals(snapshot, snapshot.at - reading.since)
    status = ReserveStatus(
        window_id=coming.id,
        product=coming.product,
        band_w=coming.power_w,
        frequency_hz=reading.hz,
        refusals=tuple(dict.fromkeys((*site, *proof.refusals))),
    )
    return Reserve(
        window=coming, reading=reading, proven_at=snapshot.at, seconds=before.seconds, status=status
    )


def _read(before: Reading, snapshot: Snapshot) -> Reading:
    found = frequency_meter(snapshot)
    sample = found[1] if found else None
    if sample is None or sample.frequency_hz is None:
        return before
    same = sample.frequency_hz == before.hz
    return Reading(sample.frequency_hz, sample.at, before.since if same else sample.at)


def _judged(
    reserve: Reserve, snapshot: Snapshot, tables: ControlTables
) -> tuple[Reserve, tuple[Refusal, ...]]:
    """Prove the offer anew where that is due; the site and the meter are looked at each time."""
    window = reserve.window
    if window is None:
        return reserve, ()
    if snapshot.at - reserve.proven_at >= PROVE_S or reserve.proof is None:
        armed = frozenset(reserve.proof.bands_w if reserve.proof and reserve.phase in ACTIVE else ())
        proof = prove(snapshot, PRODUCTS[window.product], window, tables, armed)
        if proof.refusals and armed and reserve.proof:
            proof = replace(
                proof, bands_w=reserve.proof.bands_w, ables={**reserve.proof.ables, **proof.ables}
            )
        reserve = replace(reserve, proof=proof, proven_at=snapshot.at)
    assert reserve.proof is not None
    site = site_refusals(snapshot) + meter_refusals(snapshot, snapshot.at - reserve.reading.since)
    return reserve, tuple(dict.fromkeys((*site, *reserve.proof.refusals)))


def _stepped(
    reserve: Reserve, refusals: tuple[Refusal, ...], snapshot: Snapshot, tables: ControlTables
) -> Reserve:
    """Take one step of the table."""
    at, window = snapshot.at, reserve.window
    fresh = reserve.reading.hz is not None and at - reserve.reading.at <= PATIENCE_S
    deviation_hz = reserve.reading.hz - NOMINAL_HZ if fresh and reserve.reading.hz is not None else None
    before, event = reserve.event, recovery.follow(reserve.event, deviation_hz, at)
    refused_since = (
        None if not refusals else reserve.refused_since if reserve.refused_since is not None else at
    )
    sound_since = None if refusals else reserve.sound_since if reserve.sound_since is not None else at
    found = Event.NO_WINDOW
    if window is not None:
        patient = reserve.phase in ACTIVE and not AT_ONCE.intersection(refusals)
        lost = refused_since is not None and not (patient and at - refused_since < PATIENCE_S)
        unsound = reserve.phase is ReservePhase.WITHDRAWN and (
            sound_since is None or at - sound_since < SOUND_S
        )
        product = PRODUCTS[window.product]
        if lost or unsound:
            found = Event.UNPROVEN
        elif deviation_hz is not None and _is_event(product, deviation_hz):
            found = Event.DISTURBED
            devices = tuple(reserve.proof.bands_w) if reserve.proof else ()
            waits_s = 60 * tables.reserve.quiet_min + recovery.stagger_s(tables.serial, window.id)
            event = recovery.Event(deviation_hz < 0, devices, waits_s, at + recovery.LONGEST_S)
        else:
            found = Event.RECOVERED if event is None and before is not None else Event.PROVEN
    elif event is None and reserve.phase is ReservePhase.RECOVERING:
        found = Event.RECOVERED
    phase = NEXT[reserve.phase, found]
    if window is None and phase is ReservePhase.ARMED:
        phase = NEXT[phase, Event.NO_WINDOW]
    if phase is ReservePhase.RECOVERING and event is None:
        phase = NEXT[phase, Event.RECOVERED]
    return replace(reserve, phase=phase, event=event, refused_since=refused_since, sound_since=sound_since)


def _is_event(product: Product, deviation_hz: float) -> bool:
    return (product.up and deviation_hz <= -product.event_hz) or (
        product.down and deviation_hz >= product.event_hz
    )


def _responding(
    reserve: Reserve, refusals: tuple[Refusal, ...], snapshot: Snapshot, tables: ControlTables
) -> Reserve:
    """Answer the frequency, and keep the energy for it."""
    window, proof = reserve.window, reserve.proof
    assert window is not None
    assert proof is not None
    product, at = PRODUCTS[window.product], snapshot.at
    measured = {d: _measured(snapshot, d, tables) for d in proof.bands_w}
    delivered_w = sum(m[1] for m in measured.values() if m is not None)
    store = _together(proof, snapshot, window)
    minutes = product.reservoir_min or tables.reserve.reservoir_min
    recharge = reserve.recharge
    if recharge is None or reserve.status.devices != tuple(proof.bands_w):
        begun = reservoir.begun(store, product, window.power_w, minutes, at)
        recharge = replace(begun, offset_w=recharge.offset_w, planned=recharge.planned) if recharge else begun
    most_w = tables.reserve.recharge_share * window.power_w
    allowed = reserve.event.share(at) if reserve.event else 1.0
    recharge = reservoir.followed(recharge, store, delivered_w, most_w, at, snapshot.utc, allowed)
    trigger, share = _answer(reserve, product, proof, recharge, at)
    response_w = share * window.power_w
    total_w = response_w + recharge.offset_w
    wanted_w = {d: total_w * band_w / window.power_w for d, band_w in proof.bands_w.items()}
    zeros = {d: _corrected(reserve, snapshot, d, w, measured[d]) for d, w in wanted_w.items()}
    reserve = replace(reserve, recharge=recharge, zeros=zeros, trigger=trigger)
    status = replace(
        _status(reserve, refusals, snapshot),
        response_w=response_w,
        offset_w=recharge.offset_w,
        delivered_w=None if None in measured.values() else delivered_w,
        devices=tuple(proof.bands_w),
        asked_w={d: w + zeros[d].correction_w for d, w in wanted_w.items()},
    )
    return replace(reserve, status=status)


def _answer(
    reserve: Reserve, product: Product, proof: Proof, recharge: Recharge, at: float
) -> tuple[Trigger, float]:
    """Return the trigger, and the share of the sold power that the frequency asks for."""
    hz = reserve.reading.hz
    if hz is None:
        return reserve.trigger, 0.0
    if product.levels:
        level = level_hz(product, (proof.ables[d] for d in proof.bands_w), proof.bands_w)
        trigger = triggered(product, level, reserve.trigger, hz, at)
        return trigger, trigger.share
    share = share_of(product, hz)
    helps = reserve.event is None and share * (recharge.target_wh - recharge.stored_wh) > 0
    return reserve.trigger, 0.0 if in_dead_band(product, hz) and not helps else share


def _corrected(
    reserve: Reserve,
    snapshot: Snapshot,
    device: DeviceId,
    wanted_w: float,
    measured: tuple[float, float] | None,
) -> ZeroPoint:
    assert reserve.proof is not None
    decided = snapshot.decisions.get(device)
    free = decided is not None and decided.reason.rung is Rung.FREQUENCY and decided.limited_by is None
    dead_time_s = reserve.proof.ables[device].dead_time_s
    before = reserve.zeros.get(device, ZeroPoint())
    return zero_point.followed(before, wanted_w, measured, dead_time_s, free=free, at=snapshot.at)


def _status(reserve: Reserve, refusals: tuple[Refusal, ...], snapshot: Snapshot) -> ReserveStatus:
    window, event = reserve.window, reserve.event
    answering = frozenset(
        reserve.proof.bands_w if reserve.proof and reserve.phase in ACTIVE and window else ()
    )
    held: dict[DeviceId, Interval] = {}
    if event is not None:
        gave = (d for d in event.devices if d in snapshot.devices and d not in answering)
        held = {d: recovery.held(event, snapshot.devices[d].rated, snapshot.at) for d in gave}
    return ReserveStatus(
        phase=reserve.phase,
        window_id=window.id if window else "",
        product=window.product if window else None,
        band_w=window.power_w if window else 0.0,
        frequency_hz=reserve.reading.hz,
        available_pct=reserve.counted.pct,
        refusals=refusals,
        held=held,
    )


def _measured(snapshot: Snapshot, device: DeviceId, tables: ControlTables) -> tuple[float, float] | None:
    """What a device does, (monotonic s, W): by a meter of its own where a circuit has that, else as it says itself."""
    for circuit in tables.circuits.values():
        if circuit.devices == (device,) and (own := snapshot.meters.get(circuit.meter)) is not None:
            return own.at, own.power_w
    sample = snapshot.storages.get(device) or snapshot.evses.get(device)
    return (sample.at, sample.power_w) if sample else None


def _together(proof: Proof, snapshot: Snapshot, window: ReserveWindow) -> Reservoir:
    """Return the reservoir of all devices that carry the reserve; one that tells nothing now counts as it last did."""
    parts = [
        reservoir.reservoir_of(snapshot, d, window.ends_at) or proof.ables[d].reservoir for d in proof.bands_w
    ]
    return Reservoir(
        sum(p.stored_wh for p in parts),
        sum(p.floor_wh for p in parts),
        sum(p.ceiling_wh for p in parts),
        sum(p.capacity_wh for p in parts),
    )


def _witnessed(reserve: Reserve, snapshot: Snapshot) -> Reserve:
    """Add one second to the proof, when one has passed inside the window."""
    last = reserve.counted.last
    if reserve.window is None or snapshot.utc.replace(microsecond=0) == last:
        return reserve
    stored_in = None
    if reserve.recharge is not None and reserve.proof is not None:
        stored_in = reserve.recharge.stored_wh, _together(reserve.proof, snapshot, reserve.window).capacity_wh
    second = second_of(reserve.window, reserve.status, snapshot, stored_in, first=last is None)
    tally = counted(reserve.counted, second)
    status = replace(reserve.status, available_pct=tally.pct)
    return replace(reserve, counted=tally, seconds=(*reserve.seconds, second)[-KEPT_SECONDS:], status=status)
