"""Why a session ended: what the car is told, what the owner is told, and when another try is allowed; pure."""

from dataclasses import dataclass
from enum import StrEnum

from gateway.devices.chademo.frames import EvseStatus
from gateway.devices.chademo.wakes import HOUR_S
from gateway.faults import FaultCode


class Cause(StrEnum):
    """Stable codes; the empty one means that the session has not ended."""

    NONE = ""
    OWNER_STOP = "owner_stop"
    SETPOINT_EXPIRED = "setpoint_expired"
    RENEWAL = "renewal"
    TIME_OVER = "time_over"
    PAUSE_IMPOSSIBLE = "pause_impossible"
    VEHICLE_STOP = "vehicle_stop"
    VEHICLE_REFUSED = "vehicle_refused"
    VEHICLE_FAULT = "vehicle_fault"
    VEHICLE_NOT_PARKED = "vehicle_not_parked"
    VEHICLE_SILENT = "vehicle_silent"
    PERMISSION_WITHDRAWN = "permission_withdrawn"
    NO_ANSWER = "no_answer"
    NO_PERMISSION = "no_permission"
    NO_CONTACTOR = "no_contactor"
    NO_BATTERY = "no_battery"
    NO_REQUEST = "no_request"
    NOT_READY = "not_ready"
    AUX_BATTERY_LOW = "aux_battery_low"
    INCOMPATIBLE = "incompatible"
    LOCK_FAILED = "lock_failed"
    INSULATION = "insulation"
    EXTERNAL_VOLTAGE = "external_voltage"
    WELDED = "welded"
    INSPECTED = "inspected"
    UNPLUGGED = "unplugged"
    EMERGENCY_STOP = "emergency_stop"
    CURRENT_REMAINS = "current_remains"
    CONVERTER_FAULT = "converter_fault"
    CONVERTER_LOST = "converter_lost"
    PILOT_LOST = "pilot_lost"
    CAN_LOST = "can_lost"
    PREDECESSOR = "predecessor"


NO_BIT = EvseStatus(0)


@dataclass(frozen=True, slots=True)
class Meaning:
    """``retry_after_s`` None: not before the car was unplugged, or after a mere stop, engaged anew."""

    bit: EvseStatus = NO_BIT
    fault: FaultCode | None = None
    retry_after_s: float | None = None


WAKE_AGAIN_S = HOUR_S
"""A car that does not want now is asked again after this."""
QUICK_RETRIES = 3
QUICK_RETRY_S = 5.0
"""Some cars refuse a start for no reason (102.5.4, reference/can.md 4) and take the next one, after some seconds without d1."""
RECOVERED_S = 10.0
"""Our own side was gone and is back: leave the car time to go to sleep and try again."""

_CHARGER = EvseStatus.CHARGER_FAULT
_SYSTEM = EvseStatus.SYSTEM_FAULT

MEANINGS: dict[Cause, Meaning] = {
    Cause.NONE: Meaning(),
    Cause.OWNER_STOP: Meaning(),
    Cause.SETPOINT_EXPIRED: Meaning(),
    Cause.RENEWAL: Meaning(retry_after_s=0.0),
    Cause.TIME_OVER: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.PAUSE_IMPOSSIBLE: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.VEHICLE_STOP: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.VEHICLE_REFUSED: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.VEHICLE_FAULT: Meaning(fault=FaultCode.VEHICLE_FAULT),
    Cause.VEHICLE_NOT_PARKED: Meaning(fault=FaultCode.VEHICLE_FAULT),
    Cause.VEHICLE_SILENT: Meaning(_SYSTEM, FaultCode.VEHICLE_SILENT, WAKE_AGAIN_S),
    Cause.PERMISSION_WITHDRAWN: Meaning(_SYSTEM, FaultCode.VEHICLE_FAULT),
    Cause.NO_ANSWER: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.NO_PERMISSION: Meaning(retry_after_s=WAKE_AGAIN_S),
    Cause.NO_CONTACTOR: Meaning(_SYSTEM, FaultCode.VEHICLE_FAULT),
    Cause.NO_BATTERY: Meaning(EvseStatus.INCOMPATIBLE, FaultCode.VEHICLE_INCOMPATIBLE),
    Cause.NO_REQUEST: Meaning(_SYSTEM, FaultCode.VEHICLE_FAULT),
    Cause.NOT_READY: Meaning(_CHARGER, FaultCode.DEVICE_FAULT),
    Cause.AUX_BATTERY_LOW: Meaning(fault=FaultCode.AUX_BATTERY_LOW, retry_after_s=WAKE_AGAIN_S),
    Cause.INCOMPATIBLE: Meaning(EvseStatus.INCOMPATIBLE, FaultCode.VEHICLE_INCOMPATIBLE),
    Cause.LOCK_FAILED: Meaning(_CHARGER, FaultCode.DEVICE_FAULT),
    Cause.INSULATION: Meaning(_SYSTEM, FaultCode.INSULATION),
    Cause.EXTERNAL_VOLTAGE: Meaning(_SYSTEM, FaultCode.DEVICE_FAULT),
    Cause.WELDED: Meaning(_SYSTEM, FaultCode.CONTACTOR_WELDED),
    Cause.INSPECTED: Meaning(),
    Cause.UNPLUGGED: Meaning(_SYSTEM, FaultCode.DEVICE_FAULT, RECOVERED_S),
    Cause.EMERGENCY_STOP: Meaning(_SYSTEM, FaultCode.DEVICE_FAULT),
    Cause.CURRENT_REMAINS: Meaning(_CHARGER, FaultCode.DEVICE_FAULT),
    Cause.CONVERTER_FAULT: Meaning(_CHARGER, FaultCode.DEVICE_FAULT),
    Cause.CONVERTER_LOST: Meaning(_CHARGER, retry_after_s=RECOVERED_S),
    Cause.PILOT_LOST: Meaning(_CHARGER, retry_after_s=RECOVERED_S),
    Cause.CAN_LOST: Meaning(_SYSTEM, retry_after_s=RECOVERED_S),
    Cause.PREDECESSOR: Meaning(_SYSTEM, retry_after_s=RECOVERED_S),
}


def graver(noted: Cause, new: Cause) -> Cause:
    """Return which of both stands: the first, unless trouble adds itself to a mere stop, or welding to anything.

    No trouble of ours allows another try with a car that was faulty.
    """
    was, adds = MEANINGS[noted], MEANINGS[new]
    lets_try_again = was.fault and was.retry_after_s is None and adds.retry_after_s is not None
    adds_trouble = adds.bit and not was.bit and not lets_try_again
    return new if new is Cause.WELDED or adds_trouble or not noted else noted


QUICK = frozenset({Cause.VEHICLE_REFUSED, Cause.CONVERTER_LOST, Cause.PILOT_LOST, Cause.CAN_LOST})
"""What ended so is tried again soon, a few times, as one and the same wake of the car."""
HARDLY_BEGUN = QUICK | {Cause.VEHICLE_STOP, Cause.PAUSE_IMPOSSIBLE}
"""A session that soon ended so was one more wake for nothing."""
