"""The charging sequence as a table: state → rules, the first whose guard holds is taken; pure.

Facts: reference/can.md 3.7 (sequence), 3.8 (limits), 3.9 (causes), 3.10 (both directions).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil

from gateway.devices.chademo import guards as on
from gateway.devices.chademo.causes import MEANINGS, Cause
from gateway.devices.chademo.moment import RESTING, Charger, Inputs, Moment, Progress, State

REST_S = 3.0
"""d1 stays off for some seconds between two sessions (reference/can.md 4)."""
TEST_REACHED = 0.9
RISE_A_PER_S = 20.0
FALL_A_PER_S = 100.0
LONGEST_STEP_S = 0.2
OFFER_HEADROOM_A = 10
DEFAULT_MAX_TIME_S = 3600
CEILING_STANDS_S = 0.5
CEILING_HOLDS_S = 60.0
"""A pause offers nothing, so that the car's own limit cannot be seen; it is taken to hold this long."""

type Guard = Callable[[Moment], bool]


@dataclass(frozen=True, slots=True)
class Rule:
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


def wanted_and_ready(m: Moment) -> bool:
    """A session is wanted, the car has had its rest, and nothing stands against it."""
    return m.inputs.engage and m.age_s >= REST_S and not any(rule.guard(m) for rule in _TROUBLE)


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
        *_via(State.UNLOCKING, _REFUSALS),
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
        Rule(on.bled_and_permitted, State.CLOSING),
        Rule(on.too_late, State.ISOLATING, Cause.EXTERNAL_VOLTAGE),
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
        Rule(on.request_late, State.RELEASING, Cause.NO_REQUEST),
    ),
    State.ENERGISED: (
        *_LIVE_TROUBLE,
        _INSULATION_LOST,
        _PERMISSION_LOST,
        *_ENDS,
        Rule(on.time_over, State.STOPPING, Cause.TIME_OVER),
    ),
    State.STOPPING: (
        *_LIVE_TROUBLE,
        Rule(on.current_ended, State.OPENING),
        Rule(on.current_remains, State.ABORTING, Cause.CURRENT_REMAINS),
    ),
    State.OPENING: (
        Rule(on.silent_but_isolated, State.RELEASING),
        *_LIVE_TROUBLE,
        Rule(on.opened_and_isolated, State.RELEASING),
        Rule(on.voltage_stays, State.WELDED, Cause.WELDED),
        Rule(on.contactor_not_reported_open, State.WELDED, Cause.WELDED),
    ),
    State.RELEASING: (
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
    ),
    State.ABORTING: (Rule(on.little_current_or_late, State.ISOLATING),),
    State.ISOLATING: (
        Rule(on.isolated_and_d2_long_off, State.FAULT),
        Rule(on.bleeding_failed, State.WELDED, Cause.WELDED),
    ),
    State.FAULT: (
        Rule(on.unplugged, State.IDLE),
        Rule(on.retry_due, State.IDLE),
    ),
    State.WELDED: (Rule(on.unplugged_and_isolated, State.IDLE),),
}


def step(progress: Progress, inputs: Inputs, charger: Charger) -> Progress:
    """Return the progress after at most one transition; total, never raises. Call it on every event and every 100 ms."""
    moment = Moment(progress, inputs, charger)
    rule = next((rule for rule in TABLE[progress.state] if rule.guard(moment)), None)
    entered = progress if rule is None else _enter(moment, rule)
    return _watch(Moment(entered, inputs, charger))


def _enter(moment: Moment, rule: Rule) -> Progress:
    """Note what the state entered, and those after it, will want to know."""
    now, progress = moment.inputs.now, moment.progress
    entered = replace(progress, state=rule.then, since=now, cause=_graver(progress.cause, rule.cause))
    match rule.then:
        case State.WAKING:
            return Progress(State.WAKING, since=now, woken_at=now, stepped_at=now)
        case State.LOCKING:
            return replace(entered, permitted_at=now)
        case State.BLEEDING:
            return replace(entered, insulated=True)
        case State.ENERGISED:
            longest_s = moment.inputs.car.times.max_time_s if moment.inputs.car.times else 0
            return replace(entered, ends_at=now + (longest_s or DEFAULT_MAX_TIME_S))
        case State.OPENING:
            return replace(entered, battery_v=moment.voltage_v or 0.0)
    return entered


def _graver(noted: Cause, new: Cause) -> Cause:
    """The first cause stands, unless trouble adds itself to a mere stop, or welding to anything."""
    adds_trouble = MEANINGS[new].bit and not MEANINGS[noted].bit
    return new if new is Cause.WELDED or adds_trouble or not noted else noted


def _watch(moment: Moment) -> Progress:
    """Follow what matters for how long it has been so, and move the current within its limits and ramp."""
    now, progress, car = moment.inputs.now, moment.progress, moment.inputs.car
    under_test = (moment.voltage_v or 0.0) >= TEST_REACHED * moment.charger.max_voltage_v
    testing = progress.state is State.TESTING and under_test
    opened = progress.state is State.OPENING and not car.contactor_closed
    offered_a = _offer_a(moment)
    watched = replace(
        _learn_ceiling(moment),
        permission_lost_at=None if moment.permitted else _first(progress.permission_lost_at, now),
        insulation_low_since=_first(progress.insulation_low_since, now) if moment.insulation_low else None,
        tested_since=_first(progress.tested_since, now) if testing else None,
        opened_at=_first(progress.opened_at, now) if opened else progress.opened_at,
        insulated=progress.insulated and progress.state not in RESTING,
        offered_a=offered_a,
        offered_at=progress.offered_at if offered_a == progress.offered_a else now,
        stepped_at=now,
    )
    elapsed_s = min(now - progress.stepped_at, LONGEST_STEP_S)
    return replace(watched, current_a=_current_a(replace(moment, progress=watched), elapsed_s))


def _first(since: float | None, now: float) -> float:
    return now if since is None else since


def _learn_ceiling(moment: Moment) -> Progress:
    """Note the car's own limit: its request, once it and a higher offer have both stood for a while."""
    progress, car, now = moment.progress, moment.inputs.car, moment.inputs.now
    stand_s = now - max(progress.offered_at, car.request_at)
    asks_less = car.requested_current_a < int(progress.offered_a)
    if progress.state is State.ENERGISED and asks_less and stand_s >= CEILING_STANDS_S:
        return replace(progress, ceiling_a=car.requested_current_a, ceiling_at=now)
    return progress if now - progress.ceiling_at <= CEILING_HOLDS_S else replace(progress, ceiling_a=None)


def _offer_a(moment: Moment) -> float:
    """Return 108.3: all we have, but to a car that follows it no more than it will get (reference/can.md 3.8)."""
    most_a = moment.charger.max_charge_a
    if moment.progress.state is not State.ENERGISED or not moment.inputs.car.dynamic:
        return most_a
    wanted_a = moment.inputs.wanted_a
    return 0.0 if wanted_a <= 0 else min(most_a, ceil(wanted_a) + OFFER_HEADROOM_A)


def _current_a(moment: Moment, elapsed_s: float) -> float:
    """Return the current to order: none unless energised and permitted, else towards the wish inside ramp and limits."""
    if moment.progress.state is not State.ENERGISED or not moment.permitted:
        return 0.0
    was_a, wanted_a = moment.progress.current_a, moment.inputs.wanted_a
    charge_a, discharge_a = max(0.0, moment.charge_limit_a), max(0.0, moment.discharge_limit_a)
    up_per_s, down_per_s = (RISE_A_PER_S, FALL_A_PER_S) if was_a >= 0 else (FALL_A_PER_S, RISE_A_PER_S)
    ramped_a = min(max(wanted_a, was_a - down_per_s * elapsed_s), was_a + up_per_s * elapsed_s)
    if was_a * ramped_a < 0:
        ramped_a = 0.0
    return min(max(ramped_a, -discharge_a), charge_a)
