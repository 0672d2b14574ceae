"""Why a sold frequency reserve is not armed, or was withdrawn: codes, and what the owner reads."""

from enum import StrEnum


class Refusal(StrEnum):
    CONTROL_OFF = "control_off"
    OWNER_STOP = "owner_stop"
    ISLANDED = "islanded"
    STORM = "storm"
    RECONNECTING = "reconnecting"
    METER_UNPROVEN = "frequency_meter_unproven"
    METER_COARSE = "frequency_meter_coarse"
    METER_SILENT = "frequency_meter_silent"
    METER_FROZEN = "frequency_meter_frozen"
    GRID_METER_SILENT = "grid_meter_silent"
    CONNECTION = "connection_too_small"
    NO_DEVICE = "no_device"
    DEVICE_SILENT = "device_silent"
    DEVICE_FAULT = "device_fault"
    NO_SESSION = "no_session"
    FAIL_SAFE = "fail_safe_unproven"
    DISCHARGE_NOT_ALLOWED = "discharge_not_allowed"
    UNMEASURED = "dynamics_unmeasured"
    STARTS_LATE = "starts_late"
    FULL_LATE = "full_late"
    COARSE_POWER = "coarse_power"
    CHARGE_UNKNOWN = "charge_unknown"
    POWER_RANGE = "power_range"
    RESERVOIR = "reservoir"
    LEAVES = "leaves_inside_window"


REFUSALS: dict[Refusal, str] = {
    Refusal.CONTROL_OFF: "The gateway only observes; turn control on.",
    Refusal.OWNER_STOP: "The owner has stopped the site or paused the device.",
    Refusal.ISLANDED: "There is no grid: the house runs by itself.",
    Refusal.STORM: "Everything is kept for a blackout that is expected.",
    Refusal.RECONNECTING: "The grid came back a moment ago; the device is still held.",
    Refusal.METER_UNPROVEN: "No meter has a stated accuracy of its frequency; set accuracy_hz from its data sheet.",
    Refusal.METER_COARSE: "The meter's frequency is not good enough: it must be right within 10 mHz and new each second.",
    Refusal.METER_SILENT: "The frequency meter has told nothing for a second.",
    Refusal.METER_FROZEN: "The frequency meter repeats itself.",
    Refusal.GRID_METER_SILENT: "The grid meter is silent, so nothing may be discharged.",
    Refusal.CONNECTION: "The grid connection has no room for the sold power beside the house.",
    Refusal.NO_DEVICE: "No such device is on this site.",
    Refusal.DEVICE_SILENT: "The device is silent.",
    Refusal.DEVICE_FAULT: "The device has a fault.",
    Refusal.NO_SESSION: "No car is connected, or its session is not open.",
    Refusal.FAIL_SAFE: "The device could go on discharging after the gateway's death.",
    Refusal.DISCHARGE_NOT_ALLOWED: "The owner does not allow this device to discharge.",
    Refusal.UNMEASURED: "It is not yet measured how fast the device follows; let it work for a while.",
    Refusal.STARTS_LATE: "The device begins to answer later than the product allows.",
    Refusal.FULL_LATE: "The device cannot bring the sold power in time.",
    Refusal.COARSE_POWER: "The device cannot charge with little power, so its answer would be no line.",
    Refusal.CHARGE_UNKNOWN: "The state of charge or the size of the battery is unknown.",
    Refusal.POWER_RANGE: "The devices do not have the sold power, and a tenth more to recharge.",
    Refusal.RESERVOIR: "The energy between the owner's floor and a full battery does not last long enough.",
    Refusal.LEAVES: "The car leaves before the window ends.",
}
"""What is missing, in one sentence."""
