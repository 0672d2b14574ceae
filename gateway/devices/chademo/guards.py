"""Guards of the charging sequence, with their time limits (reference/can.md 3.8); pure."""
# ruff: noqa: D103 - a guard's name is its sentence

from gateway.devices.chademo.causes import MEANINGS
from gateway.devices.chademo.frames import CarStatus
from gateway.devices.chademo.moment import DEBOUNCE_S, Mode, Moment

PERMISSION_S = 8.0
"""d1 on → the car pulls k and enables."""
PREPARE_S = 20.0
"""k → d2."""
CONTACTOR_S = 4.0
"""d2 on → the car reports its contactor closed."""
BATTERY_SEEN_S = 2.0
"""Contactor closed → battery voltage at the connector."""
REQUEST_S = 4.0
"""Contactor closed → the car asks for current."""
STOP_S = 2.0
"""Order of 0 A → at most 1 A measured."""
ABORT_S = 2.5
"""The car opens its contactor by itself after at most this, whatever still flows."""
OPEN_S = 10.0
"""109.5.0 = 0 → the car reports its contactor open."""
QUARTER_S = 1.0
DECAY_S = 2.0
"""Contactor open → a quarter of the voltage, and a safe voltage; else welding is suspected."""
BLEED_S = 5.0
"""Converter off and car disconnected → safe voltage."""
D1_AFTER_D2_S = 0.5

TEST_HOLD_S = 0.4
BLED_V = 20.0
BATTERY_V = 50.0
NO_CURRENT_A = 1.0
LITTLE_CURRENT_A = 5.0


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


def permission_lost(m: Moment) -> bool:
    lost_at = m.progress.permission_lost_at
    return lost_at is not None and m.inputs.now - lost_at >= DEBOUNCE_S


def not_wanted(m: Moment) -> bool:
    return not m.inputs.engage


def wish_lapsed(m: Moment) -> bool:
    return m.inputs.lapsed


def introduced(m: Moment) -> bool:
    return m.inputs.car.introduced


def no_answer(m: Moment) -> bool:
    return m.age_s > PERMISSION_S


def no_permission(m: Moment) -> bool:
    return m.inputs.now - m.progress.woken_at > PERMISSION_S


def permitted_but_unfit(m: Moment) -> bool:
    return m.permitted and m.inputs.car.enabled and not m.fits


def permitted(m: Moment) -> bool:
    return m.permitted and m.inputs.car.enabled


def too_late(m: Moment) -> bool:
    return m.inputs.now - m.progress.permitted_at > PREPARE_S


def external_voltage(m: Moment) -> bool:
    return m.energised_long


def test_done(m: Moment) -> bool:
    since = m.progress.tested_since
    return since is not None and m.inputs.now - since >= TEST_HOLD_S


def insulation_bad(m: Moment) -> bool:
    return test_done(m) and m.insulation_low


def insulation_lost(m: Moment) -> bool:
    low_since = m.progress.insulation_low_since
    return low_since is not None and m.inputs.now - low_since >= DEBOUNCE_S


def bled_and_permitted(m: Moment) -> bool:
    return m.permitted and m.voltage_v is not None and abs(m.voltage_v) < BLED_V


def contactor_closed(m: Moment) -> bool:
    return m.permitted and m.inputs.car.contactor_closed


def contactor_late(m: Moment) -> bool:
    return m.age_s > CONTACTOR_S


def no_battery(m: Moment) -> bool:
    return m.age_s > BATTERY_SEEN_S and (m.voltage_v or 0.0) <= BATTERY_V


def current_requested(m: Moment) -> bool:
    output = m.inputs.output
    ready = output is not None and output.mode is Mode.CURRENT and output.voltage_v > BATTERY_V
    return ready and m.permitted and m.inputs.car.requested_current_a > 0


def request_late(m: Moment) -> bool:
    return m.age_s > REQUEST_S


def time_over(m: Moment) -> bool:
    return m.inputs.now >= m.progress.ends_at


def _current_below(m: Moment, limit_a: float) -> bool:
    return m.inputs.output is not None and abs(m.inputs.output.current_a) <= limit_a


def current_ended(m: Moment) -> bool:
    return _current_below(m, NO_CURRENT_A)


def current_remains(m: Moment) -> bool:
    return m.age_s > STOP_S


def little_current_or_late(m: Moment) -> bool:
    return _current_below(m, LITTLE_CURRENT_A) or m.age_s > ABORT_S


def opened_and_isolated(m: Moment) -> bool:
    return m.progress.opened_at is not None and m.isolated and m.age_s >= DEBOUNCE_S


def silent_but_isolated(m: Moment) -> bool:
    return car_silent(m) and m.isolated


def voltage_stays(m: Moment) -> bool:
    if m.progress.opened_at is None or m.voltage_v is None:
        return False
    open_s = m.inputs.now - m.progress.opened_at
    quarter = open_s > QUARTER_S and m.voltage_v > max(m.progress.battery_v / 4, BATTERY_V)
    return quarter or (open_s > DECAY_S and m.energised_long)


def contactor_not_reported_open(m: Moment) -> bool:
    return m.age_s > OPEN_S


def isolated(m: Moment) -> bool:
    return m.isolated and m.age_s >= DEBOUNCE_S


def bleeding_failed(m: Moment) -> bool:
    return m.age_s > BLEED_S and m.energised_long


def d2_long_off(m: Moment) -> bool:
    return m.age_s >= D1_AFTER_D2_S


def faulty_and_d2_long_off(m: Moment) -> bool:
    return MEANINGS[m.progress.cause].fault is not None and d2_long_off(m)


def isolated_and_d2_long_off(m: Moment) -> bool:
    return m.isolated and d2_long_off(m)


def retry_due(m: Moment) -> bool:
    after_s = MEANINGS[m.progress.cause].retry_after_s
    return after_s is not None and m.age_s > after_s


def unplugged_and_isolated(m: Moment) -> bool:
    return unplugged(m) and m.isolated
