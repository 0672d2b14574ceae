"""Guards of the charging sequence, with their time limits (reference/can.md 3.8); pure."""
# ruff: noqa: D103 - a guard's name is its sentence

from gateway.devices.chademo import limits
from gateway.devices.chademo.causes import MEANINGS, QUICK, QUICK_RETRIES, QUICK_RETRY_S, Cause
from gateway.devices.chademo.frames import CarStatus
from gateway.devices.chademo.moment import BATTERY_V, NO_CURRENT_A, SETTLE_S, Mode, Moment
from gateway.devices.chademo.wakes import WAKE_AUX_V

BLED_V = 20.0
LITTLE_CURRENT_A = 5.0
CONTACTOR_AUX_V = 11.8
"""No contactor is moved below this (reference/needs.md 2.12)."""
RENEWABLE_S = 600.0
"""A car that gives less time than this has had enough and is not asked for more."""


def pilot_lost(m: Moment) -> bool:
    return m.inputs.pilot is None


def converter_lost(m: Moment) -> bool:
    return m.inputs.output is None


def bus_lost(m: Moment) -> bool:
    return not m.inputs.bus_up


def emergency_stop_pressed(m: Moment) -> bool:
    return m.inputs.pilot is not None and m.inputs.pilot.emergency_stop


def unplugged(m: Moment) -> bool:
    return m.inputs.pilot is not None and not m.inputs.pilot.inserted


def lock_open(m: Moment) -> bool:
    return m.inputs.pilot is not None and not m.inputs.pilot.locked


def locked(m: Moment) -> bool:
    return not lock_open(m)


def converter_fault(m: Moment) -> bool:
    return m.inputs.output is not None and m.inputs.output.fault_bits != 0


def car_silent(m: Moment) -> bool:
    return m.inputs.car.silent(m.inputs.now)


def car_fault(m: Moment) -> bool:
    return m.car_faulty


def not_parked(m: Moment) -> bool:
    return CarStatus.NOT_PARKED in m.inputs.car.status


def car_refuses(m: Moment) -> bool:
    return CarStatus.STOP_BEFORE_CHARGING in m.inputs.car.status


def car_stops(m: Moment) -> bool:
    return not m.inputs.car.enabled


def contactor_reported_open(m: Moment) -> bool:
    return m.inputs.car.reports_contactor and not m.inputs.car.contactor_closed


def permission_lost(m: Moment) -> bool:
    return _stood(m, m.progress.permission_lost_at, limits.K_ALONE.give_up_s)


def _stood(m: Moment, since: float | None, for_s: float) -> bool:
    return since is not None and m.inputs.now - since >= for_s


def not_wanted(m: Moment) -> bool:
    return not m.inputs.engage


def wish_lapsed(m: Moment) -> bool:
    return m.inputs.lapsed


def introduced(m: Moment) -> bool:
    return m.inputs.car.introduced


def no_answer(m: Moment) -> bool:
    return m.age_s > limits.PERMISSION.give_up_s


def no_permission(m: Moment) -> bool:
    return m.inputs.now - m.progress.woken_at > limits.PERMISSION.give_up_s


def permitted_but_unfit(m: Moment) -> bool:
    return m.permitted and m.inputs.car.enabled and not m.fits


def permitted(m: Moment) -> bool:
    return m.permitted and m.inputs.car.enabled


def too_late(m: Moment) -> bool:
    return m.inputs.now - m.progress.permitted_at > limits.PREPARATION.give_up_s


def external_voltage(m: Moment) -> bool:
    return m.energised_long


def aux_empty(m: Moment) -> bool:
    return m.inputs.aux_voltage_v is not None and m.inputs.aux_voltage_v < CONTACTOR_AUX_V


def aux_emptying(m: Moment) -> bool:
    return _stood(m, m.progress.aux_low_since, limits.AUX_BATTERY.give_up_s)


def test_done(m: Moment) -> bool:
    return _stood(m, m.progress.tested_since, limits.TEST_HOLD.keep_s)


def insulation_bad(m: Moment) -> bool:
    return test_done(m) and m.insulation_low


def insulation_lost(m: Moment) -> bool:
    return _stood(m, m.progress.insulation_low_since, limits.INSULATION_LOST.give_up_s)


def bled_and_permitted(m: Moment) -> bool:
    return m.permitted and m.voltage_v is not None and abs(m.voltage_v) < BLED_V


def not_bled(m: Moment) -> bool:
    return m.age_s > limits.TEST_END.give_up_s or too_late(m)


def contactor_closed(m: Moment) -> bool:
    return m.permitted and m.contactor_closed


def contactor_late(m: Moment) -> bool:
    return m.age_s > limits.CONTACTOR.give_up_s


def no_battery(m: Moment) -> bool:
    return m.age_s > limits.BATTERY.give_up_s and not m.battery_seen


def current_requested(m: Moment) -> bool:
    output = m.inputs.output
    ready = output is not None and output.mode is Mode.CURRENT and m.battery_seen
    return ready and m.permitted and m.inputs.car.requested_current_a > 0


def converter_late(m: Moment) -> bool:
    return _stood(m, m.progress.requested_since, limits.START.give_up_s)


def request_late(m: Moment) -> bool:
    return m.age_s > limits.REQUEST.give_up_s and m.progress.requested_since is None


def time_over(m: Moment) -> bool:
    return m.inputs.now >= m.progress.ends_at


def renewal_due(m: Moment) -> bool:
    left_s = m.progress.ends_at - m.inputs.now
    if m.progress.ends_at - m.progress.since < RENEWABLE_S:
        return False
    quiet = max(abs(m.inputs.wanted_a), abs(m.progress.current_a)) < NO_CURRENT_A
    return left_s <= (limits.RENEWAL_QUIET if quiet else limits.RENEWAL_FORCED).keep_s


def pause_impossible(m: Moment) -> bool:
    return _stood(m, m.progress.deviating_since, limits.DEVIATION.give_up_s)


def _current_below(m: Moment, limit_a: float) -> bool:
    return m.inputs.output is not None and abs(m.inputs.output.current_a) <= limit_a


def current_ended(m: Moment) -> bool:
    return m.age_s >= limits.STOP_TOLD.keep_s and _current_below(m, NO_CURRENT_A)


def current_remains(m: Moment) -> bool:
    return m.age_s > limits.STOP.give_up_s


def little_current_or_late(m: Moment) -> bool:
    return _current_below(m, LITTLE_CURRENT_A) or m.age_s > limits.ABORT.give_up_s


def opened_and_isolated(m: Moment) -> bool:
    return m.progress.opened_at is not None and m.isolated and m.age_s >= SETTLE_S


def silent_but_isolated(m: Moment) -> bool:
    return car_silent(m) and m.isolated


def silent_and_not_isolated(m: Moment) -> bool:
    return _stood(m, m.inputs.car.heard_at, limits.OPENING_SILENT.give_up_s)


def voltage_stays(m: Moment) -> bool:
    if m.voltage_v is None:
        return False
    quarter = m.voltage_v > max(m.progress.battery_v / 4, BATTERY_V)
    opened_at = m.progress.opened_at
    return (quarter and _stood(m, opened_at, limits.QUARTER.give_up_s)) or (
        m.energised_long and _stood(m, opened_at, limits.DECAY.give_up_s)
    )


def contactor_not_reported_open(m: Moment) -> bool:
    return m.age_s > limits.OPENING.give_up_s


def isolated(m: Moment) -> bool:
    return m.isolated and m.age_s >= SETTLE_S


def bleeding_failed(m: Moment) -> bool:
    return m.age_s > limits.BLEEDING.give_up_s and m.energised_long


def d2_long_off(m: Moment) -> bool:
    return m.age_s >= limits.D1_OFF.keep_s


def faulty_and_d2_long_off(m: Moment) -> bool:
    return MEANINGS[m.progress.cause].fault is not None and d2_long_off(m)


def freed_and_told_so(m: Moment) -> bool:
    return m.freed_s >= limits.UNLOCK_TOLD.keep_s


def weld_suspected_and_d2_long_off(m: Moment) -> bool:
    return m.progress.cause is Cause.WELDED and d2_long_off(m)


def quickly_again(m: Moment) -> bool:
    return m.progress.cause in QUICK and m.progress.retries < QUICK_RETRIES


def retry_due(m: Moment) -> bool:
    refused = m.progress.cause is Cause.VEHICLE_REFUSED
    after_s = QUICK_RETRY_S if refused and quickly_again(m) else MEANINGS[m.progress.cause].retry_after_s
    return after_s is not None and m.age_s >= after_s


def owner_asks(m: Moment) -> bool:
    may_try = MEANINGS[m.progress.cause].retry_after_s is not None
    return may_try and m.inputs.owner_asked and not m.progress.answered


def charge_wished_again(m: Moment) -> bool:
    return m.progress.cause is Cause.PAUSE_IMPOSSIBLE and m.inputs.charge_wished


def may_wake(m: Moment) -> bool:
    """Somebody is there, the session merely goes on, or the wake budget allows it."""
    progress, aux_v = m.progress, m.inputs.aux_voltage_v
    if progress.replugged or (m.inputs.owner_asked and not progress.answered):
        return True
    if progress.cause is Cause.RENEWAL or quickly_again(m):
        return True
    return (aux_v is None or aux_v >= WAKE_AUX_V) and progress.wakes.allowed(m.inputs.now)


def unplugged_and_isolated(m: Moment) -> bool:
    return unplugged(m) and m.isolated
