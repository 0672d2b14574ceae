"""Every limit of time of a session, once (reference/can.md 3.8); the guards read it and docs/devices.md shows it. Pure.

The side under control has to be done by its C-time; the other side gives up at its T-time.
"""

from dataclasses import dataclass
from math import inf


@dataclass(frozen=True, slots=True)
class TimeLimit:
    """From ``since`` to ``until``: done by us within ``keep_s`` (not before it, if ``at_least``); waited for ``give_up_s``."""

    since: str
    until: str
    then: str
    source: str
    keep_s: float = inf
    give_up_s: float = inf
    at_least: bool = False


REST = TimeLimit("d1 off", "d1 on", "the car goes to sleep in between", "can.md 4", keep_s=3.0, at_least=True)
PERMISSION = TimeLimit(
    "d1 on",
    "k pulled and 102.5.0 = 1",
    "d1 off; woken again after an hour",
    "OSX, FUR; A 3.9 s, B 3.4 s",
    give_up_s=8.0,
)
PREPARATION = TimeLimit(
    "k and 102.5.0",
    "d2 on",
    "the start is ended; when the car would is not defined",
    "OSX; A 13.4 s, B 8 s",
    keep_s=20.0,
    give_up_s=20.0,
)
TEST_HOLD = TimeLimit(
    "output at 90 % of its maximum", "insulation judged", "", "ours", keep_s=0.4, at_least=True
)
TEST_END = TimeLimit(
    "insulation judged",
    "below 20 V and d2 on",
    "external voltage: the start is ended",
    "FUR: 20 s",
    keep_s=5.0,
    give_up_s=5.0,
)
CONTACTOR = TimeLimit("d2 on", "102.5.3 = 0", "d2 off, released", "OSX; A 1.3 s, B 1.2 s", give_up_s=4.0)
BATTERY = TimeLimit(
    "contactor closed",
    "more than 50 V at the connector",
    "d2 off: incompatible",
    "FUR, time ours",
    give_up_s=2.0,
)
REQUEST = TimeLimit("contactor closed", "102.3 > 0", "d2 off, released", "OSX; A and B 1.7 s", give_up_s=4.0)
START = TimeLimit(
    "102.3 > 0",
    "109.5 = 05",
    "the car faults after 0.5 s; a converter that is not ready is a charger fault",
    "OSX; A 0.52 s, B 0.09 s, a DIY car 0.4 s",
    keep_s=0.4,
    give_up_s=2.0,
)
DEVIATION = TimeLimit(
    "no current, or more than 15 A less than 102.3 and 108.3, to a car without dynamic control",
    "the car faults (102.4.2)",
    "stopped in order before it does",
    "OSX: 4 s, 20 A",
    give_up_s=3.0,
)
CURRENT_END = TimeLimit(
    "k off or 102.5.0 = 0", "at most 5 A", "the car opens after 2.5 s at most: arc", "OSX, FUR", keep_s=0.5
)
K_ALONE = TimeLimit(
    "k off while 102.5.0 = 1",
    "102.5.0 = 0",
    "emergency; the current is 0 since k fell",
    "ours: slow cars repeat 102 after 225 ms",
    give_up_s=0.5,
)
INSULATION_LOST = TimeLimit(
    "insulation too low while d2 is on",
    "good again",
    "emergency; a loss of PE, 10 s by FUR, is for the converter's monitor to tell",
    "ours",
    give_up_s=0.25,
)
CAN_SILENT = TimeLimit(
    "last frame of the car",
    "next one",
    "emergency; the car takes us for gone after 1.1 s",
    "OSX, J",
    give_up_s=1.0,
)
FRAME_STALE = TimeLimit(
    "last 102, or 200, while other frames come",
    "next one",
    "as silent; without 200 no discharge",
    "ours: slow cars repeat a frame after 225 ms, one of eight after 1.8 s",
    give_up_s=2.0,
)
DEVICE_SILENT = TimeLimit(
    "last answer of converter or pilot lines", "next one", "emergency", "ours", give_up_s=1.0
)
STOP_TOLD = TimeLimit(
    "109.5.5 = 1",
    "109.5.0 = 0",
    "longer than a cycle, so that the car is told of the stop",
    "A 0.2 s, B 0.6 s",
    keep_s=0.15,
    at_least=True,
)
STOP = TimeLimit("order of 0 A", "at most 1 A", "emergency, charger fault", "ours", give_up_s=2.0)
ABORT = TimeLimit(
    "emergency", "at most 5 A", "d2 off; the car opens by itself whatever flows", "OSX, FUR", give_up_s=2.5
)
OPENING = TimeLimit(
    "109.5.0 = 0",
    "102.5.3 = 1",
    "welding suspected: lock kept",
    "OSX: nominal 4 s; A 2.9 s, B 2.1 s",
    give_up_s=10.0,
)
QUARTER = TimeLimit(
    "car contactor open", "a quarter of the voltage", "welding suspected: lock kept", "FUR", give_up_s=1.0
)
DECAY = TimeLimit("car contactor open", "at most 10 V", "welding suspected: lock kept", "FUR", give_up_s=2.0)
OPENING_SILENT = TimeLimit(
    "last frame of a car that may have opened its contactor",
    "at most 10 V",
    "emergency",
    "ours: CAN silent, then the decay",
    give_up_s=CAN_SILENT.give_up_s + DECAY.give_up_s,
)
OPENING_UNTOLD = TimeLimit(
    "109.5.0 = 0, car before 1.0",
    "taken for open",
    "then the voltage decides",
    "OSX",
    keep_s=4.0,
    at_least=True,
)
BLEEDING = TimeLimit(
    "d2 off, converter off", "at most 10 V, unlocked", "welding suspected: lock kept", "ours", give_up_s=5.0
)
D1_OFF = TimeLimit("d2 off", "d1 off", "", "OSX", keep_s=0.5, at_least=True)
UNLOCK_TOLD = TimeLimit(
    "unlocked after an emergency",
    "silence",
    "longer than a cycle, so that the car is told: 26 → 22, 34 → 30",
    "I",
    keep_s=0.25,
    at_least=True,
)
UNPLUGGED = TimeLimit(
    "connector removed", "below 60 V", "the converter is off at once and bleeds by itself", "FUR", keep_s=1.0
)
VOLTAGE_DEVIATION = TimeLimit(
    "109.1-2 differs from the car's voltage by 10 V",
    "agrees",
    "the car faults (102.4.4); we only ever send what was measured",
    "OSX",
    keep_s=5.0,
)
AUX_BATTERY = TimeLimit(
    "12 V battery below 12.0 V in a session", "above", "stopped in order", "needs.md 2.12", give_up_s=60.0
)
RENEWAL_QUIET = TimeLimit(
    "no power is wanted, this long before the car's time (101.1-2) is over",
    "stopped in order and begun anew",
    "",
    "can.md 4: 60 and 80 min",
    keep_s=300.0,
)
RENEWAL_FORCED = TimeLimit(
    "this long before the car's time is over, whatever is wanted",
    "stopped in order and begun anew",
    "",
    "can.md 4: 60 and 80 min",
    keep_s=60.0,
)

LIMITS: tuple[TimeLimit, ...] = (
    REST,
    PERMISSION,
    PREPARATION,
    TEST_HOLD,
    TEST_END,
    CONTACTOR,
    BATTERY,
    REQUEST,
    START,
    DEVIATION,
    VOLTAGE_DEVIATION,
    CURRENT_END,
    K_ALONE,
    INSULATION_LOST,
    CAN_SILENT,
    FRAME_STALE,
    DEVICE_SILENT,
    STOP_TOLD,
    STOP,
    ABORT,
    OPENING,
    OPENING_SILENT,
    OPENING_UNTOLD,
    QUARTER,
    DECAY,
    BLEEDING,
    D1_OFF,
    UNLOCK_TOLD,
    UNPLUGGED,
    AUX_BATTERY,
    RENEWAL_QUIET,
    RENEWAL_FORCED,
)
"""In the order of a session."""
