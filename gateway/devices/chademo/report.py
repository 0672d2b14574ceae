"""A session as the rest of the house sees it: sample, vehicle and faults; pure."""

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import MEANINGS
from gateway.devices.chademo.converter import Reading
from gateway.devices.chademo.moment import RESTING, Moment, State
from gateway.devices.chademo.power import ac_power_w
from gateway.faults import FaultCode
from gateway.model import EvseSample, EvseState, Interval, VehicleSample

_STATES: dict[State, EvseState] = {
    State.IDLE: EvseState.PLUGGED,
    State.WAKING: EvseState.STARTING,
    State.NEGOTIATING: EvseState.STARTING,
    State.LOCKING: EvseState.STARTING,
    State.TESTING: EvseState.STARTING,
    State.BLEEDING: EvseState.STARTING,
    State.CLOSING: EvseState.STARTING,
    State.PRECHARGING: EvseState.STARTING,
    State.ENERGISED: EvseState.READY,
    State.STOPPING: EvseState.STOPPING,
    State.OPENING: EvseState.STOPPING,
    State.RELEASING: EvseState.STOPPING,
    State.UNLOCKING: EvseState.STOPPING,
    State.DONE: EvseState.PLUGGED,
    State.ABORTING: EvseState.STOPPING,
    State.ISOLATING: EvseState.STOPPING,
    State.FAULT: EvseState.FAULT,
    State.WELDED: EvseState.FAULT,
}


FOLLOW_TOLERANCE_W = 300.0
FOLLOW_TOLERANCE = 0.15


def differs(sample: EvseSample) -> bool:
    """Tell whether the measured power is not what was ordered; only while current may flow."""
    if sample.applied_w is None:
        return False
    return abs(sample.power_w - sample.applied_w) > max(
        FOLLOW_TOLERANCE_W, FOLLOW_TOLERANCE * abs(sample.applied_w)
    )


def evse_state(moment: Moment) -> EvseState:
    """Return what the owner sees; a fault without a code heals by itself and is no fault to the owner."""
    progress, pilot = moment.progress, moment.inputs.pilot
    if progress.state in RESTING and progress.state is not State.WELDED and (not pilot or not pilot.inserted):
        return EvseState.UNPLUGGED
    if progress.state is State.FAULT and MEANINGS[progress.cause].fault is None:
        return EvseState.PLUGGED
    return _STATES[progress.state]


def introduced(moment: Moment) -> Car | None:
    """Return the car; None before it has pulled k, when its values are not yet true."""
    car = moment.inputs.car
    return car if moment.permitted and car.enabled else None


def vehicle(car: Car) -> VehicleSample:
    """Return the car as it tells of itself."""
    return VehicleSample(
        soc_pct=car.soc_pct,
        capacity_wh=car.capacity_wh,
        discharge_compatible=car.discharge_compatible,
        min_discharge_soc_pct=car.min_discharge_soc_pct,
        max_charge_soc_pct=car.max_charge_soc_pct,
        protocol=car.request.protocol if car.request else None,
        v2h_sequence=car.sequence.sequence if car.sequence else None,
        max_voltage_v=car.limits.max_voltage_v if car.limits else None,
        target_voltage_v=car.request.target_voltage_v if car.request else None,
        min_discharge_voltage_v=car.discharge.min_voltage_v if car.discharge else None,
        min_charge_current_a=car.limits.min_current_a if car.limits else None,
        max_session_min=car.times.max_time_s / 60 if car.times else None,
        dynamic=car.dynamic,
    )


def sample(moment: Moment, reading: Reading, known: Car | None, rated: Interval, trim_w: float) -> EvseSample:
    """Return the sample; the two maxima are 0 unless current may flow right now. ``known`` is the car that is plugged in."""
    progress, output, pilot = moment.progress, reading.output, moment.inputs.pilot
    live = progress.state is State.ENERGISED
    charge_w = ac_power_w(moment.admitted_charge_a * output.voltage_v)
    discharge_w = -ac_power_w(-moment.discharge_limit_a * output.voltage_v)
    return EvseSample(
        at=moment.inputs.now,
        state=evse_state(moment),
        plugged=pilot is not None and pilot.inserted,
        power_w=reading.ac_power_w,
        charge_max_w=min(charge_w, rated.max_w) if live else 0.0,
        discharge_max_w=min(discharge_w, -rated.min_w) if live else 0.0,
        voltage_v=output.voltage_v,
        current_a=output.current_a,
        vehicle=vehicle(known) if known else None,
        charged_wh=reading.charged_wh,
        discharged_wh=reading.discharged_wh,
        applied_w=ac_power_w(progress.current_a * output.voltage_v, trim_w) if live else None,
        stop_cause=progress.cause,
        wakes_today=progress.wakes.today(moment.inputs.now),
    )


def faults(moment: Moment) -> dict[FaultCode, str]:
    """Return the faults that the session raises, and what stands against a new one, with their detail."""
    cause = moment.progress.cause
    code = MEANINGS[cause].fault
    raised = {code: cause.replace("_", " ")} if code and not _over(moment) else {}
    pilot, output = moment.inputs.pilot, moment.inputs.output
    if pilot is not None and pilot.emergency_stop:
        raised.setdefault(FaultCode.DEVICE_FAULT, "the emergency stop is pressed")
    elif output is not None and output.fault_bits:
        raised.setdefault(FaultCode.DEVICE_FAULT, f"converter fault bits 0x{output.fault_bits & 0xFFFF:04x}")
    return raised


def _over(moment: Moment) -> bool:
    return moment.progress.state in {State.IDLE, State.DONE} or evse_state(moment) is EvseState.UNPLUGGED
