"""The charging sequence as a table: state → rules, the first whose guard holds is taken; pure.

Facts: reference/can.md 3.7 (sequence), 3.8 (limits), 3.9 (causes), 3.10 (both directions).
"""

from collections.abc import Callable

from msgspec import Struct
from msgspec.structs import replace

from gateway.devices.chademo import guards as on
from gateway.devices.chademo import limits
from gateway.devices.chademo.causes import Cause, graver
from gateway.devices.chademo.current import flow
from gateway.devices.chademo.moment import (
    FLOOR_HYSTERESIS_V,
    NO_CURRENT_A,
    RESTING,
    Charger,
    Inputs,
    Moment,
    Progress,
    State,
)
from gateway.devices.chademo.wakes import PAYS_AFTER_S

TEST_REACHED = 0.9
DEFAULT_MAX_TIME_S = 3600
LOW_AUX_V = 12.0
"""The car's DC-DC should keep its 12 V battery above this while a session runs (reference/needs.md 2.12)."""
INSPECTED_S = 10.0
"""Without voltage for this long before an inspection may release a connector."""

type Guard = Callable[[Moment], bool]


class Rule(Struct, frozen=True):
    """When ``guard`` holds go to ``then``; ``cause`` is noted unless an earlier one stands."""

    guard: Guard
    then: State
    cause: Cause = Cause.NONE

    @property
    def label(self) -> str:
        """The guard in words."""
        return str(getattr(self.guard, "__name__", self.guard)).replace("_", " ")


_TROUBLE = (
    Rule(on.pilot_lost, State.ABORTING, Cause.PILOT_LOST),
    Rule(on.emergency_stop_pressed, State.ABORTING, Cause.EMERGENCY_STOP),
    Rule(on.unplugged, State.ABORTING, Cause.UNPLUGGED),
    Rule(on.converter_lost, State.ABORTING, Cause.CONVERTER_LOST),
    Rule(on.converter_fault, State.ABORTING, Cause.CONVERTER_FAULT),
    Rule(on.bus_lost, State.ABORTING, Cause.CAN_LOST),
)
_SILENT = Rule(on.car_silent, State.ABORTING, Cause.VEHICLE_SILENT)
_UNLOCKED = Rule(on.lock_open, State.ABORTING, Cause.LOCK_FAILED)
_PERMISSION_LOST = Rule(on.permission_lost, State.ABORTING, Cause.PERMISSION_WITHDRAWN)
_INSULATION_LOST = Rule(on.insulation_lost, State.ABORTING, Cause.INSULATION)
_LIVE_TROUBLE = (*_TROUBLE, _UNLOCKED, _SILENT)
_REFUSALS = (
    Rule(on.car_fault, State.STOPPING, Cause.VEHICLE_FAULT),
    Rule(on.not_parked, State.STOPPING, Cause.VEHICLE_NOT_PARKED),
    Rule(on.car_refuses, State.STOPPING, Cause.VEHICLE_REFUSED),
    Rule(on.wish_lapsed, State.STOPPING, Cause.SETPOINT_EXPIRED),
    Rule(on.not_wanted, State.STOPPING, Cause.OWNER_STOP),
)
_ENDS = (*_REFUSALS, Rule(on.car_stops, State.STOPPING, Cause.VEHICLE_STOP))
_NO_CONTACTOR_ON_12_V = Rule(on.aux_empty, State.RELEASING, Cause.AUX_BATTERY_LOW)


def wanted_and_ready(m: Moment) -> bool:
    """A session is wanted, the car may be woken and has had its rest, and nothing stands against it."""
    rested = m.age_s >= limits.REST.keep_s and on.may_wake(m)
    return m.inputs.engage and rested and not any(rule.guard(m) for rule in _TROUBLE)


def _via(then: State, rules: tuple[Rule, ...]) -> tuple[Rule, ...]:
    return tuple(replace(rule, then=then) for rule in rules)


TABLE: dict[State, tuple[Rule, ...]] = {
    State.IDLE: (Rule(wanted_and_ready, State.WAKING),),
    State.WAKING: (
        *_via(State.ISOLATING, _TROUBLE),
        Rule(on.wish_lapsed, State.UNLOCKING, Cause.SETPOINT_EXPIRED),
        Rule(on.not_wanted, State.UNLOCKING, Cause.OWNER_STOP),
        Rule(on.introduced, State.NEGOTIATING),
        Rule(on.no_answer, State.UNLOCKING, Cause.NO_ANSWER),
    ),
    State.NEGOTIATING: (
        *_via(State.ISOLATING, (*_TROUBLE, _SILENT)),
        *_via(State.UNLOCKING, (*_REFUSALS, _NO_CONTACTOR_ON_12_V)),
        Rule(on.permitted_but_unfit, State.UNLOCKING, Cause.INCOMPATIBLE),
        Rule(on.permitted, State.LOCKING),
        Rule(on.no_permission, State.UNLOCKING, Cause.NO_PERMISSION),
    ),
    State.LOCKING: (
        *_via(State.ISOLATING, (*_TROUBLE, _SILENT, _PERMISSION_LOST)),
        *_via(State.RELEASING, _ENDS),
        Rule(on.external_voltage, State.ISOLATING, Cause.EXTERNAL_VOLTAGE),
        Rule(on.locked, State.TESTING),
        Rule(on.too_late, State.RELEASING, Cause.LOCK_FAILED),
    ),
    State.TESTING: (
        *_via(State.ISOLATING, (*_LIVE_TROUBLE, _PERMISSION_LOST)),
        *_via(State.RELEASING, _ENDS),
        Rule(on.insulation_bad, State.ISOLATING, Cause.INSULATION),
        Rule(on.test_done, State.BLEEDING),
        Rule(on.too_late, State.ISOLATING, Cause.INSULATION),
    ),
    State.BLEEDING: (
        *_via(State.ISOLATING, (*_LIVE_TROUBLE, _PERMISSION_LOST)),
        *_via(State.RELEASING, _ENDS),
        _NO_CONTACTOR_ON_12_V,
        Rule(on.bled_and_permitted, State.CLOSING),
        Rule(on.not_bled, State.ISOLATING, Cause.EXTERNAL_VOLTAGE),
    ),
    State.CLOSING: (
        *_LIVE_TROUBLE,
        _PERMISSION_LOST,
        *_via(State.RELEASING, _ENDS),
        Rule(on.contactor_closed, State.PRECHARGING),
        Rule(on.contactor_late, State.RELEASING, Cause.NO_CONTACTOR),
    ),
    State.PRECHARGING: (
        *_LIVE_TROUBLE,
        _INSULATION_LOST,
        _PERMISSION_LOST,
        *_via(State.RELEASING, _ENDS),
        Rule(on.no_battery, State.RELEASING, Cause.NO_BATTERY),
        Rule(on.current_requested, State.ENERGISED),
        Rule(on.converter_late, State.RELEASING, Cause.NOT_READY),
        Rule(on.request_late, State.RELEASING, Cause.NO_REQUEST),
    ),
    State.ENERGISED: (
        *_LIVE_TROUBLE,
        _INSULATION_LOST,
        _PERMISSION_LOST,
        *_ENDS,
        Rule(on.contactor_reported_open, State.ABORTING, Cause.PERMISSION_WITHDRAWN),
        Rule(on.renewal_due, State.STOPPING, Cause.RENEWAL),
        Rule(on.time_over, State.STOPPING, Cause.TIME_OVER),
        Rule(on.pause_impossible, State.STOPPING, Cause.PAUSE_IMPOSSIBLE),
        Rule(on.aux_emptying, State.STOPPING, Cause.AUX_BATTERY_LOW),
    ),
    State.STOPPING: (
        *_LIVE_TROUBLE,
        Rule(on.current_ended, State.OPENING),
        Rule(on.current_remains, State.ABORTING, Cause.CURRENT_REMAINS),
    ),
    State.OPENING: (
        Rule(on.silent_but_isolated, State.RELEASING),
        *_TROUBLE,
        _UNLOCKED,
        Rule(on.silent_and_not_isolated, State.ABORTING, Cause.VEHICLE_SILENT),
        Rule(on.opened_and_isolated, State.RELEASING),
        Rule(on.voltage_stays, State.ISOLATING, Cause.WELDED),
        Rule(on.contactor_not_reported_open, State.ISOLATING, Cause.WELDED),
    ),
    State.RELEASING: (
        Rule(on.converter_lost, State.ISOLATING, Cause.CONVERTER_LOST),
        Rule(on.isolated, State.UNLOCKING),
        Rule(on.bleeding_failed, State.WELDED, Cause.WELDED),
    ),
    State.UNLOCKING: (
        Rule(on.faulty_and_d2_long_off, State.FAULT),
        Rule(on.d2_long_off, State.DONE),
    ),
    State.DONE: (
        Rule(on.unplugged, State.IDLE),
        Rule(on.not_wanted, State.IDLE),
        Rule(on.retry_due, State.IDLE),
        Rule(on.owner_asks, State.IDLE),
        Rule(on.charge_wished_again, State.IDLE),
    ),
    State.ABORTING: (Rule(on.little_current_or_late, State.ISOLATING),),
    State.ISOLATING: (
        Rule(on.weld_suspected_and_d2_long_off, State.WELDED),
        Rule(on.freed_and_told_so, State.FAULT),
        Rule(on.bleeding_failed, State.WELDED, Cause.WELDED),
    ),
    State.FAULT: (
        Rule(on.unplugged, State.IDLE),
        Rule(on.retry_due, State.IDLE),
        Rule(on.owner_asks, State.IDLE),
    ),
    State.WELDED: (Rule(on.unplugged_and_isolated, State.IDLE),),
}


def step(progress: Progress, inputs: Inputs, charger: Charger) -> Progress:
    """Return the progress after at most one transition; total, never raises. Call it on every event and every 100 ms."""
    moment = Moment(progress, inputs, charger)
    rule = next((rule for rule in TABLE[progress.state] if rule.guard(moment)), None)
    entered = progress if rule is None else _enter(moment, rule)
    return _watch(Moment(entered, inputs, charger))


def inspected(moment: Moment) -> tuple[Progress, str]:
    """Release a connector that was held for a suspected weld, after an inspection; tell what refuses, "" when released."""
    progress, output = moment.progress, moment.inputs.output
    since, now = progress.isolated_since, moment.inputs.now
    if progress.state is not State.WELDED:
        return progress, "no contactor is suspected of being welded"
    if output is None:
        return progress, "the voltage at the connector is not known"
    if since is None or now - since < INSPECTED_S:
        return progress, f"the connector has not been without voltage for {INSPECTED_S:.0f} s"
    if abs(output.current_a) > NO_CURRENT_A:
        return progress, "current flows"
    return replace(progress, state=State.DONE, since=now, cause=Cause.INSPECTED), ""


def _enter(moment: Moment, rule: Rule) -> Progress:
    """Note what the state entered, and those after it, will want to know."""
    now, progress = moment.inputs.now, moment.progress
    entered = replace(
        progress,
        state=rule.then,
        since=now,
        cause=graver(progress.cause, rule.cause),
        wakes=progress.wakes_if_ended(now, rule.cause),
    )
    match rule.then:
        case State.WAKING:
            return _woken(moment)
        case State.LOCKING:
            return replace(entered, permitted_at=now)
        case State.BLEEDING:
            return replace(entered, insulated=True)
        case State.ENERGISED:
            longest_s = moment.inputs.car.times.max_time_s if moment.inputs.car.times else 0
            ends_at = now + (longest_s or DEFAULT_MAX_TIME_S)
            return replace(entered, ends_at=ends_at, wakes=progress.wakes.repaid())
        case State.OPENING:
            return replace(entered, battery_v=moment.voltage_v or 0.0)
    return entered


def _woken(moment: Moment) -> Progress:
    """Begin anew with what outlives a session; quick retries of a start are one wake."""
    now, progress, again = moment.inputs.now, moment.progress, on.quickly_again(moment)
    return Progress(
        State.WAKING,
        since=now,
        woken_at=now,
        stepped_at=now,
        wakes=progress.wakes if again else progress.wakes.after(now),
        retries=progress.retries + 1 if again else 0,
        answered=moment.inputs.owner_asked,
    )


def _watch(moment: Moment) -> Progress:
    """Follow what matters for how long it has been so, and move the current within its limits and ramp."""
    now, progress, car = moment.inputs.now, moment.progress, moment.inputs.car
    state, aux_v = progress.state, moment.inputs.aux_voltage_v
    under_test = (moment.voltage_v or 0.0) >= TEST_REACHED * moment.charger.max_voltage_v
    asks = state is State.PRECHARGING and car.requested_current_a > 0

    def since(at: float | None, holds: bool) -> float | None:
        return (now if at is None else at) if holds else None

    watched = replace(
        progress,
        permission_lost_at=since(progress.permission_lost_at, not moment.permitted),
        insulation_low_since=since(progress.insulation_low_since, moment.insulation_low),
        tested_since=since(progress.tested_since, state is State.TESTING and under_test),
        requested_since=since(progress.requested_since, asks),
        deviating_since=since(progress.deviating_since, state is State.ENERGISED and moment.deviates),
        aux_low_since=since(progress.aux_low_since, aux_v is not None and aux_v < LOW_AUX_V),
        isolated_since=since(progress.isolated_since, moment.isolated),
        opened_at=since(progress.opened_at, progress.opened_at is not None or _opened(moment)),
        insulated=progress.insulated and state not in RESTING,
        floored=state is State.ENERGISED and _floored(moment),
        retries=0 if state is State.ENERGISED and moment.age_s >= PAYS_AFTER_S else progress.retries,
        replugged=progress.replugged or on.unplugged(moment),
        answered=(progress.answered or state is State.ENERGISED) and moment.inputs.owner_asked,
    )
    return flow(replace(moment, progress=watched))


def _opened(moment: Moment) -> bool:
    """The car has opened its contactor: it says so or, before 1.0, had the time for it."""
    if moment.progress.state is not State.OPENING:
        return False
    if moment.inputs.car.reports_contactor:
        return not moment.contactor_closed
    return moment.age_s >= limits.OPENING_UNTOLD.keep_s


def _floored(moment: Moment) -> bool:
    """The battery is at its lowest voltage, or has not yet risen well above it."""
    risen = (moment.voltage_v or 0.0) >= moment.floor_v + FLOOR_HYSTERESIS_V
    return moment.at_floor or (moment.progress.floored and not risen)
