"""What each state orders of the pilot lines, the converter and the frames to the car; pure.

The interlocks stand here once more, whatever the table says: d2 only after the insulation test, current only while
energised and permitted, the lock never off above a safe voltage or under d2.
"""

from dataclasses import dataclass
from math import ceil, trunc

from msgspec import Struct

from gateway.devices.chademo.causes import MEANINGS
from gateway.devices.chademo.frames import (
    EvseCapability,
    EvseDischarge,
    EvseFrame,
    EvseFunctions,
    EvseSequence,
    EvseState,
    EvseStatus,
    Function,
)
from gateway.devices.chademo.limits import D1_OFF
from gateway.devices.chademo.moment import Charger, Inputs, Mode, Moment, Progress, State

V2H_SEQUENCE = 2
DISCHARGE_TIME_MIN = 5
"""209.1-2 while energised, never counted down (reference/can.md 3.3, log A)."""
CURRENT_STEP_A = 0.1
"""What a converter can be told; finer moves would be writes without effect."""
REMINDER_S = 60.0
REMINDER_LASTS_S = 0.1

_STOP = EvseStatus.STOP
_LOCKED = EvseStatus.STOP | EvseStatus.LOCKED
_CHARGING = EvseStatus.CHARGING | EvseStatus.LOCKED
_ENDING = _CHARGING | EvseStatus.STOP


class Coils(Struct, frozen=True):
    """Outputs of the pilot-line module."""

    d1: bool = False
    d2: bool = False
    lock: bool = False


class ConverterOrder(Struct, frozen=True):
    """Current into the car is positive."""

    mode: Mode = Mode.OFF
    voltage_v: float = 0.0
    current_a: float = 0.0


class Orders(Struct, frozen=True):
    """What to command at ``moment``."""

    coils: Coils
    converter: ConverterOrder
    moment: Moment

    @property
    def frames(self) -> tuple[EvseFrame, ...]:
        """Empty while the EVSE has to keep silent; otherwise to be sent every 100 ms, in this order."""
        moment = self.moment
        status = POSTURES[moment.progress.state].status
        if status is None:
            return ()
        if _freed(moment):
            status &= ~EvseStatus.LOCKED
        return _frames(moment, status | MEANINGS[moment.progress.cause].bit)


@dataclass(frozen=True, slots=True)
class Posture:
    """How a state stands: its coils, and 109.5, None while silent (reference/can.md 3.4)."""

    coils: Coils
    status: EvseStatus | None = None


_OFF, _WOKEN = Coils(), Coils(d1=True)
_HELD, _CLOSED = Coils(d1=True, lock=True), Coils(d1=True, d2=True, lock=True)

POSTURES: dict[State, Posture] = {
    State.IDLE: Posture(_OFF),
    State.WAKING: Posture(_WOKEN),
    State.NEGOTIATING: Posture(_WOKEN, _STOP),
    State.LOCKING: Posture(_HELD, _STOP),
    State.TESTING: Posture(_HELD, _LOCKED),
    State.BLEEDING: Posture(_HELD, _LOCKED),
    State.CLOSING: Posture(_CLOSED, _LOCKED),
    State.PRECHARGING: Posture(_CLOSED, _LOCKED),
    State.ENERGISED: Posture(_CLOSED, _CHARGING),
    State.STOPPING: Posture(_CLOSED, _ENDING),
    State.OPENING: Posture(_CLOSED, _LOCKED),
    State.RELEASING: Posture(_HELD, _LOCKED),
    State.UNLOCKING: Posture(_WOKEN, _STOP),
    State.DONE: Posture(_OFF),
    State.ABORTING: Posture(_CLOSED, _ENDING),
    State.ISOLATING: Posture(_HELD, _LOCKED),
    State.FAULT: Posture(_OFF),
    State.WELDED: Posture(Coils(lock=True)),
}


def orders(progress: Progress, inputs: Inputs, charger: Charger) -> Orders:
    """Return what to command now; total, never raises."""
    moment = Moment(progress, inputs, charger)
    return Orders(_coils(moment), _converter(moment), moment)


def _freed(moment: Moment) -> bool:
    """Nothing holds the connector any longer that an emergency has locked."""
    return moment.progress.state is State.ISOLATING and moment.freed_s >= 0


def _coils(moment: Moment) -> Coils:
    progress, pilot = moment.progress, moment.inputs.pilot
    coils = POSTURES[progress.state].coils
    d2 = coils.d2 and progress.insulated
    woken = progress.state is not State.ISOLATING or moment.age_s < D1_OFF.keep_s
    was_locked = pilot is not None and pilot.locked
    return Coils(
        d1=coils.d1 and woken,
        d2=d2,
        lock=(coils.lock and not _freed(moment)) or d2 or (was_locked and not moment.isolated),
    )


def _converter(moment: Moment) -> ConverterOrder:
    state, top_v = moment.progress.state, moment.charger.max_voltage_v
    if state is State.TESTING:
        return ConverterOrder(Mode.VOLTAGE, top_v)
    if state in {State.ENERGISED, State.STOPPING} or (state is State.PRECHARGING and moment.battery_seen):
        steps = trunc(round(moment.progress.current_a / CURRENT_STEP_A, 3))
        return ConverterOrder(Mode.CURRENT, moment.ceiling_v, round(steps * CURRENT_STEP_A, 1))
    return ConverterOrder()


def _frames(moment: Moment, status: EvseStatus) -> tuple[EvseFrame, ...]:
    charger, progress = moment.charger, moment.progress
    energised = EvseStatus.CHARGING in status and progress.state is not State.ABORTING
    current_a = moment.inputs.output.current_a if moment.inputs.output else 0.0
    charge_a, discharge_a = max(current_a, 0.0), max(-current_a, 0.0)
    if discharge_a and _reminder_due(moment):
        charge_a, discharge_a = 1.0, 0.0
    remaining_min = ceil(round((progress.ends_at - moment.inputs.now) / 60, 3)) if energised else 0
    frames: list[EvseFrame] = [
        EvseCapability(charger.max_voltage_v, progress.offered_a, moment.ceiling_v),
        EvseState(moment.voltage_v or 0.0, charge_a, status, remaining_min, charger.discharges),
    ]
    if charger.answer_functions and moment.inputs.car.functions is not None:
        frames.append(EvseFunctions(Function.DYNAMIC_CONTROL))
    if charger.discharges:
        frames += [
            EvseDischarge(discharge_a, charger.max_voltage_v, charger.max_discharge_a, moment.floor_v),
            EvseSequence(V2H_SEQUENCE, DISCHARGE_TIME_MIN if energised else 0),
        ]
    return tuple(frames)


def _reminder_due(moment: Moment) -> bool:
    """Some cars leave a long discharge unless a charging current is reported now and then (reference/can.md 3.10)."""
    return moment.charger.report_current_workaround and moment.age_s % REMINDER_S < REMINDER_LASTS_S
