"""Every fault, its response and its text; and the exception tree.

GatewayError
├── Theirs            the other side is at fault
│   ├── Unreachable   no connection or no answer in time
│   ├── Refused       it answered, and said no
│   └── Malformed     it answered with something that cannot be true
└── Ours
    ├── Misuse        a caller broke a contract
    └── ConfigError   site.toml cannot be run; the text says where and what to write instead
"""

from dataclasses import dataclass
from enum import StrEnum


class GatewayError(Exception):
    """Root of all errors that cross a file."""


class Theirs(GatewayError):
    """The other side is at fault."""


class Unreachable(Theirs):
    """No connection, or no answer in time."""


class Refused(Theirs):
    """The other side answered and said no."""


class Malformed(Theirs):
    """The other side sent something that cannot be true."""


class Ours(GatewayError):
    """We are at fault."""


class Misuse(Ours):
    """A caller broke a contract."""


class ConfigError(Ours):
    """site.toml cannot be run; the text says where and what to write instead."""


class Response(StrEnum):
    """What a fault does to the ladder while it is raised."""

    NOTE = "note"
    DEVICE_TO_ZERO = "device_to_zero"
    NO_DISCHARGE = "no_discharge"
    SITE_TO_SAFE = "site_to_safe"


class FaultCode(StrEnum):
    DEVICE_UNREACHABLE = "device_unreachable"
    DEVICE_FAULT = "device_fault"
    DEVICE_REFUSED = "device_refused"
    SECOND_MASTER = "second_master"
    SETPOINT_NOT_FOLLOWED = "setpoint_not_followed"
    WRITE_BUDGET = "write_budget"
    IMPLAUSIBLE_READING = "implausible_reading"
    SOC_DOUBTED = "soc_doubted"
    GRID_METER_STALE = "grid_meter_stale"
    METER_SIGN_FLIPPED = "meter_sign_flipped"
    METER_IMPLAUSIBLE = "meter_implausible"
    METER_FROZEN = "meter_frozen"
    FAIL_SAFE_UNPROVEN = "fail_safe_unproven"
    CAN_BUS_LOST = "can_bus_lost"
    VEHICLE_FAULT = "vehicle_fault"
    VEHICLE_SILENT = "vehicle_silent"
    INSULATION = "insulation"
    CONTACTOR_WELDED = "contactor_welded"
    VEHICLE_INCOMPATIBLE = "vehicle_incompatible"
    AUX_BATTERY_LOW = "aux_battery_low"
    RULE_FAILED = "rule_failed"
    LIMITS_CONFLICT = "limits_conflict"
    TICK_OVERRUN = "tick_overrun"
    SERVICES_LOST = "services_lost"
    JOURNAL_UNWRITABLE = "journal_unwritable"
    NONVOLATILE_UNWRITABLE = "nonvolatile_unwritable"
    CLOCK_STEPPED = "clock_stepped"
    RESERVE_PROOF_UNWRITABLE = "reserve_proof_unwritable"
    PLAN_STALE = "plan_stale"
    GRID_LOST = "grid_lost"
    BACKUP_LOW = "backup_low"
    BACKUP_DARK = "backup_dark"
    BACKUP_OVERLOADED = "backup_overloaded"


@dataclass(frozen=True, slots=True)
class FaultText:
    """Response of the ladder, what the owner reads, and what the owner can do."""

    response: Response
    text: str
    remedy: str


FAULTS: dict[FaultCode, FaultText] = {
    FaultCode.DEVICE_UNREACHABLE: FaultText(
        Response.DEVICE_TO_ZERO,
        "The device does not answer.",
        "Check its power and its network cable; control resumes by itself when it answers.",
    ),
    FaultCode.DEVICE_FAULT: FaultText(
        Response.DEVICE_TO_ZERO,
        "The device reports a fault of its own.",
        "Read the device's display or manual for the code.",
    ),
    FaultCode.DEVICE_REFUSED: FaultText(
        Response.NOTE,
        "The device refused an order.",
        "Check that remote control is enabled in the device and that no other system commands it.",
    ),
    FaultCode.SECOND_MASTER: FaultText(
        Response.DEVICE_TO_ZERO,
        "Somebody else controls the device; the gateway has let go of it.",
        "Let one system alone control it. Control resumes when the car is plugged in anew or is paused and resumed, or after an hour.",
    ),
    FaultCode.WRITE_BUDGET: FaultText(
        Response.NOTE,
        "The device's settings are written so often that its memory wears.",
        "Look for a second controller, or for a device that keeps restarting.",
    ),
    FaultCode.SETPOINT_NOT_FOLLOWED: FaultText(
        Response.NOTE,
        "The device acknowledged an order but does something else.",
        "Look for a second controller, or a limit set in the device itself.",
    ),
    FaultCode.IMPLAUSIBLE_READING: FaultText(
        Response.NOTE,
        "A reading was impossible and was ignored.",
        "Check wiring and register map when it keeps coming back.",
    ),
    FaultCode.SOC_DOUBTED: FaultText(
        Response.NOTE,
        "The car's state of charge cannot be true; the last believable value is held.",
        "It is believed again once it has been steady for a minute.",
    ),
    FaultCode.GRID_METER_STALE: FaultText(
        Response.SITE_TO_SAFE,
        "The grid meter is silent: charging is reduced to what is safe without it, discharging has stopped.",
        "Check the grid meter and its connection.",
    ),
    FaultCode.METER_SIGN_FLIPPED: FaultText(
        Response.SITE_TO_SAFE,
        "The grid meter moves against what the site's own devices do: it is not believed.",
        "Look whether a current clamp or the meter was turned round; the device's invert setting turns the sign.",
    ),
    FaultCode.METER_IMPLAUSIBLE: FaultText(
        Response.SITE_TO_SAFE,
        "The grid meter shows what the site's fuse or its own devices make impossible: it is not believed.",
        "Check the meter's current-transformer ratio and its register map.",
    ),
    FaultCode.METER_FROZEN: FaultText(
        Response.SITE_TO_SAFE,
        "The grid meter repeats the same reading although power moves: it is not believed.",
        "Restart the meter or the gateway between it and this machine.",
    ),
    FaultCode.FAIL_SAFE_UNPROVEN: FaultText(
        Response.NO_DISCHARGE,
        "This device could go on discharging after the gateway's death, so it is not allowed to discharge.",
        "Set the device's own communication timeout to 60 s or less.",
    ),
    FaultCode.CAN_BUS_LOST: FaultText(
        Response.DEVICE_TO_ZERO,
        "The CAN bus to the car is down.",
        "Check the CAN adapter and the charging cable.",
    ),
    FaultCode.VEHICLE_FAULT: FaultText(
        Response.DEVICE_TO_ZERO,
        "The car ended the session with a fault.",
        "Unplug, wait a minute, plug in again; then look for the car's warning lamp.",
    ),
    FaultCode.VEHICLE_SILENT: FaultText(
        Response.DEVICE_TO_ZERO, "The car stopped talking during a session.", "Unplug and plug in again."
    ),
    FaultCode.INSULATION: FaultText(
        Response.DEVICE_TO_ZERO,
        "The insulation test of the cable failed.",
        "Do not use the charger; call an electrician.",
    ),
    FaultCode.CONTACTOR_WELDED: FaultText(
        Response.DEVICE_TO_ZERO,
        "The car's contactor may be welded: the connector stays locked.",
        "Do not force the connector; switch the charger off at its breaker and call service.",
    ),
    FaultCode.VEHICLE_INCOMPATIBLE: FaultText(
        Response.DEVICE_TO_ZERO,
        "Car and charger do not fit.",
        "Compare the voltage and current ranges of both.",
    ),
    FaultCode.AUX_BATTERY_LOW: FaultText(
        Response.NOTE,
        "The car's 12 V battery is low, so its contactor is not moved.",
        "Charge the 12 V battery, or drive the car for an hour.",
    ),
    FaultCode.RULE_FAILED: FaultText(
        Response.DEVICE_TO_ZERO,
        "A control rule failed; its device was set to its safe value.",
        "Please report this with the log.",
    ),
    FaultCode.LIMITS_CONFLICT: FaultText(
        Response.NOTE, "Two limits contradict each other; the higher one is kept.", "Check the site's limits."
    ),
    FaultCode.TICK_OVERRUN: FaultText(
        Response.NOTE, "The control loop is running late.", "Look for other heavy programs on this machine."
    ),
    FaultCode.SERVICES_LOST: FaultText(
        Response.NOTE,
        "Planning and interface are down; control goes on with the last wishes until they expire.",
        "They restart by themselves; look at the log when they do not.",
    ),
    FaultCode.JOURNAL_UNWRITABLE: FaultText(
        Response.NOTE,
        "The journal cannot be written; control is not affected.",
        "Free disk space or check the disk.",
    ),
    FaultCode.NONVOLATILE_UNWRITABLE: FaultText(
        Response.NOTE,
        "What control must remember over a restart cannot be written.",
        "Free disk space or check the disk.",
    ),
    FaultCode.CLOCK_STEPPED: FaultText(
        Response.NOTE,
        "The clock of this machine was moved; what was agreed goes on by the time that has really passed.",
        "Check the time synchronisation of this machine.",
    ),
    FaultCode.RESERVE_PROOF_UNWRITABLE: FaultText(
        Response.NOTE,
        "The proof of sold frequency reserve cannot be stored; it is kept in memory for two hours.",
        "Free disk space or check the disk.",
    ),
    FaultCode.PLAN_STALE: FaultText(
        Response.NOTE, "There is no valid plan; the site runs on self-consumption.", "Check the price source."
    ),
    FaultCode.GRID_LOST: FaultText(
        Response.NOTE,
        "The grid is gone: the house runs on its own batteries. Cars are not charged, and flexible loads are off.",
        "Nothing needs to be done: all of it comes back by itself when the grid has been healthy for a while.",
    ),
    FaultCode.BACKUP_LOW: FaultText(
        Response.NOTE,
        "The house battery has reached its reserve: what is left keeps a restart possible.",
        "Switch off what is not needed; the sun, the car or the grid fills it again.",
    ),
    FaultCode.BACKUP_DARK: FaultText(
        Response.NOTE,
        "The grid is gone and no inverter carries the house; a restart is tried at least once an hour.",
        "Switch off large loads, then look at the inverter's display.",
    ),
    FaultCode.BACKUP_OVERLOADED: FaultText(
        Response.NOTE,
        "The house draws more than the inverter should carry, and nothing is left that could be switched off.",
        "Switch something off by hand, or the inverter will trip.",
    ),
}
