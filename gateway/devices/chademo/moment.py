"""One instant of a charging session: what is remembered, what is seen, and what both say together; pure."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from math import inf

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import HARDLY_BEGUN, Cause, graver
from gateway.devices.chademo.frames import CarStatus
from gateway.devices.chademo.limits import D1_OFF
from gateway.devices.chademo.wakes import PAYS_AFTER_S, Wakes

SAFE_VOLTAGE_V = 10.0
"""The connector may be unlocked, and no battery is connected, at or below this (reference/can.md 3.8)."""

SETTLE_S = 0.25
"""What is read right after an order may still be what was before it."""

BATTERY_V = 50.0
"""More than this at the connector is a battery."""

NO_CURRENT_A = 1.0
DEVIATION_A = 15.0
"""Less than this below its request no car minds; at 20 A they fault (reference/can.md 3.8)."""

FLOOR_HYSTERESIS_V = 10.0
"""A battery's voltage rises when its discharge ends; it is not discharged again before it has risen by this much."""


class State(StrEnum):
    """Steps of reference/can.md 3.7; ABORTING, ISOLATING, FAULT and WELDED are the way out of trouble."""

    IDLE = "idle"
    WAKING = "waking"
    NEGOTIATING = "negotiating"
    LOCKING = "locking"
    TESTING = "testing"
    BLEEDING = "bleeding"
    CLOSING = "closing"
    PRECHARGING = "precharging"
    ENERGISED = "energised"
    STOPPING = "stopping"
    OPENING = "opening"
    RELEASING = "releasing"
    UNLOCKING = "unlocking"
    DONE = "done"
    ABORTING = "aborting"
    ISOLATING = "isolating"
    FAULT = "fault"
    WELDED = "welded"


RESTING = frozenset({State.IDLE, State.DONE, State.FAULT, State.WELDED})
"""No session is under way: the bus is silent and the coils d1 and d2 are off."""


class Mode(IntEnum):
    """What the converter is told, and what it reports as 0, 2 and 3 of its status (see converter.py)."""

    OFF = 0
    VOLTAGE = 1
    CURRENT = 2


@dataclass(frozen=True, slots=True)
class Charger:
    """What this charger is, whatever the car. Currents are positive magnitudes."""

    max_voltage_v: float = 500.0
    min_voltage_v: float = 150.0
    max_charge_a: float = 15.0
    max_discharge_a: float = 15.0
    min_insulation_ohm_per_v: float = 100.0
    report_current_workaround: bool = False
    answer_functions: bool = False

    @property
    def discharges(self) -> bool:
        """Whether the charger offers discharge to the car at all."""
        return self.max_discharge_a > 0


class PilotLines(Struct, frozen=True):
    """Inputs of the connector. ``permitted`` is k: the car pulls the line."""

    permitted: bool = False
    inserted: bool = False
    locked: bool = False
    emergency_stop: bool = False


class Output(Struct, frozen=True):
    """What the converter measures at the car's side; current into the car is positive."""

    mode: Mode = Mode.OFF
    voltage_v: float = 0.0
    current_a: float = 0.0
    insulation_ohm: float = 0.0
    fault_bits: int = 0


class Inputs(Struct, frozen=True):
    """All that is seen at ``now``; None where nothing fresh is known. ``wanted_a`` is DC, into the car positive.

    ``lapsed`` tells why ``engage`` is off: not by anybody's wish, but because nobody renewed it. ``owner_asked``: the wish
    is the owner's own, so the car may be woken for it. ``charge_wished``: power into the car is wished, possible or not.
    ``aux_voltage_v`` is the car's 12 V battery.
    """

    now: float
    car: Car = field(default_factory=Car)
    pilot: PilotLines | None = None
    output: Output | None = None
    bus_up: bool = True
    engage: bool = False
    lapsed: bool = False
    owner_asked: bool = False
    charge_wished: bool = False
    wanted_a: float = 0.0
    aux_voltage_v: float | None = None


class Progress(Struct, frozen=True):
    """All that a session remembers between two instants; None where it has not happened yet.

    ``ceiling_a`` is what the car asked for, at ``ceiling_at``, when it was offered more. ``floored``: the battery is at its
    lowest voltage. What outlives a session: ``wakes``, quick ``retries``, ``replugged`` since the last wake, and
    whether the owner's present asking was ``answered``.
    """

    state: State = State.IDLE
    since: float = -inf
    cause: Cause = Cause.NONE
    woken_at: float = 0.0
    permitted_at: float = 0.0
    permission_lost_at: float | None = None
    tested_since: float | None = None
    insulated: bool = False
    insulation_low_since: float | None = None
    requested_since: float | None = None
    deviating_since: float | None = None
    aux_low_since: float | None = None
    isolated_since: float | None = None
    floored: bool = False
    ends_at: float = 0.0
    battery_v: float = 0.0
    opened_at: float | None = None
    current_a: float = 0.0
    offered_a: float = 0.0
    offered_at: float = 0.0
    ceiling_a: float | None = None
    ceiling_at: float = 0.0
    stepped_at: float = 0.0
    wakes: Wakes = field(default_factory=Wakes)
    retries: int = 0
    replugged: bool = False
    answered: bool = False

    def wakes_if_ended(self, now: float, cause: Cause) -> Wakes:
        """Return the wakes after the end of the state by ``cause``."""
        for_nothing = (
            self.state is State.ENERGISED and now - self.since < PAYS_AFTER_S and cause in HARDLY_BEGUN
        )
        return self.wakes.after(now) if for_nothing else self.wakes


def leftover(now: float, *, d2: bool) -> Progress:
    """Return the progress that ends what a dead predecessor left commanded; ``d2`` as it was found."""
    return Progress(State.ABORTING, since=now, cause=Cause.PREDECESSOR, insulated=d2, stepped_at=now)


def restarted(progress: Progress, now: float, cause: Cause, *, d2: bool) -> Progress:
    """Return the progress that ends a session of which a device has lost its part; ``d2`` never comes on again."""
    return replace(
        progress,
        state=State.ABORTING,
        since=now,
        cause=graver(progress.cause, cause),
        wakes=progress.wakes_if_ended(now, cause),
        insulated=progress.insulated and d2,
        current_a=0.0,
    )


class Moment(Struct, frozen=True):
    """Progress and inputs together."""

    progress: Progress
    inputs: Inputs
    charger: Charger

    @property
    def age_s(self) -> float:
        """Time since the state was entered."""
        return self.inputs.now - self.progress.since

    @property
    def permitted(self) -> bool:
        """The car pulls k."""
        return self.inputs.pilot is not None and self.inputs.pilot.permitted

    @property
    def voltage_v(self) -> float | None:
        """Voltage at the connector, None when it is unknown."""
        return self.inputs.output.voltage_v if self.inputs.output else None

    @property
    def battery_seen(self) -> bool:
        """The voltage at the connector is that of a battery."""
        return (self.voltage_v or 0.0) > BATTERY_V

    @property
    def isolated(self) -> bool:
        """The connector is known to be without dangerous voltage."""
        return self.voltage_v is not None and abs(self.voltage_v) <= SAFE_VOLTAGE_V

    @property
    def freed_s(self) -> float:
        """For how long ISOLATING has been over: no voltage, d2 long off, no weld suspected; negative before."""
        since = self.progress.isolated_since
        if not self.isolated or since is None or self.progress.cause is Cause.WELDED:
            return -inf
        return self.inputs.now - max(since, self.progress.since + D1_OFF.keep_s)

    @property
    def energised_long(self) -> bool:
        """Voltage is known to be there."""
        return self.voltage_v is not None and abs(self.voltage_v) > SAFE_VOLTAGE_V

    @property
    def insulation_low(self) -> bool:
        """The insulation is known to be worse than allowed."""
        limit_ohm = self.charger.min_insulation_ohm_per_v * self.charger.max_voltage_v
        return self.inputs.output is not None and self.inputs.output.insulation_ohm < limit_ohm

    @property
    def charge_limit_a(self) -> float:
        """What may flow into the car now: the least of its request, our offer and our rating."""
        return min(self.inputs.car.requested_current_a, self.progress.offered_a, self.charger.max_charge_a)

    @property
    def discharge_limit_a(self) -> float:
        """What may flow out of the car now; 0 without its consent or at its lowest voltage."""
        car = self.inputs.car
        told = car.discharge is not None and self.inputs.now <= car.discharge_stale_at
        if not told or not self.charger.discharges or self.progress.floored or self.at_floor:
            return 0.0
        return min(car.max_discharge_current_a, self.charger.max_discharge_a)

    @property
    def admitted_charge_a(self) -> float:
        """What car and charger would take, were it offered; the car's part is known only where it once asked for less."""
        ceiling_a = self.progress.ceiling_a
        return self.charger.max_charge_a if ceiling_a is None else min(ceiling_a, self.charger.max_charge_a)

    @property
    def floor_v(self) -> float:
        """Lowest voltage for discharge: the car's or ours, whichever is higher."""
        discharge = self.inputs.car.discharge
        return max(self.charger.min_voltage_v, discharge.min_voltage_v if discharge else 0.0)

    @property
    def at_floor(self) -> bool:
        """The voltage is at the lowest for discharge, or unknown."""
        return (self.voltage_v or 0.0) <= self.floor_v

    @property
    def ceiling_v(self) -> float:
        """Threshold voltage of 108: the car's maximum once it is known, never above ours."""
        limits, top_v = self.inputs.car.limits, self.charger.max_voltage_v
        return min(limits.max_voltage_v, top_v) if limits and limits.max_voltage_v else top_v

    @property
    def fits(self) -> bool:
        """Car and charger have a voltage and a current in common. Meaningful after k."""
        car, charger = self.inputs.car, self.charger
        return (
            car.limits is not None
            and car.request is not None
            and car.request.target_voltage_v <= charger.max_voltage_v
            and car.limits.max_voltage_v >= charger.min_voltage_v
            and car.limits.min_current_a <= charger.max_charge_a
        )

    @property
    def contactor_closed(self) -> bool:
        """The car has closed its contactor: it says so or, before 1.0, its battery shows."""
        car = self.inputs.car
        return car.contactor_closed if car.reports_contactor else self.battery_seen

    @property
    def deviates(self) -> bool:
        """A car without dynamic control gets far less than it asks for and was offered, or nothing; a discharge it tolerates."""
        car, output = self.inputs.car, self.inputs.output
        if car.dynamic or output is None or output.current_a < -NO_CURRENT_A or not car.requested_current_a:
            return False
        promised_a = min(car.requested_current_a, self.progress.offered_a)
        return output.current_a < NO_CURRENT_A or promised_a - output.current_a > DEVIATION_A

    @property
    def car_faulty(self) -> bool:
        """The car reports a fault of its battery or its charging system."""
        return bool(self.inputs.car.faults) or CarStatus.SYSTEM_FAULT in self.inputs.car.status
