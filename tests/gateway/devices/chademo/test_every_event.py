"""Every state and every event, one at a time, against what was written down; and any story of events, always safe.

What a change of the sequence does shows as a difference of every_event.txt:
``python -m tests.gateway.devices.chademo.test_every_event`` writes it anew.
"""

from collections.abc import Callable
from copy import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import Cause
from gateway.devices.chademo.frames import CarFault, CarLimits, CarRequest, CarStatus, CarTimes, EvseState
from gateway.devices.chademo.limits import TEST_HOLD
from gateway.devices.chademo.moment import (
    RESTING,
    Charger,
    Inputs,
    Mode,
    Moment,
    Output,
    PilotLines,
    Progress,
    State,
)
from gateway.devices.chademo.orders import orders
from gateway.devices.chademo.session import TABLE, step
from tests.gateway.devices.chademo.bench import Bench, PaperCar

GOLDEN = Path(__file__).with_name("every_event.txt")
NOW = 10_000.0
ago = NOW - 100
CHARGER = Charger()
NO_BIT = CarStatus(0)

type Scene = tuple[Progress, Inputs]
type Event = Callable[[Progress, Inputs], Scene]

WITH_BATTERY = {State.PRECHARGING, State.ENERGISED, State.STOPPING, State.OPENING, State.ABORTING}
LIVE = {
    State.TESTING: 300.0,
    State.BLEEDING: 200.0,
    State.RELEASING: 200.0,
    State.ISOLATING: 200.0,
    State.WELDED: 200.0,
}
FLOWING = {State.ENERGISED, State.STOPPING, State.ABORTING}
MODES = {State.TESTING: Mode.VOLTAGE, State.ENERGISED: Mode.CURRENT, State.STOPPING: Mode.CURRENT}


def at_peace(state: State) -> Scene:
    """The state one second after it was entered, with nothing that would end it."""
    status = CarStatus.ENABLED | CarStatus.DYNAMIC_CONTROL
    if state not in WITH_BATTERY:
        status |= CarStatus.CONTACTOR_OPEN
    if state is State.NEGOTIATING:
        status &= ~CarStatus.ENABLED
    request = CarRequest(2, 410, 20 if state is State.ENERGISED else 0, CarFault(0), status, 50)
    car = Car(
        NOW, CarLimits(0, 0, 0, 435, 100), CarTimes(3600, 0, 22200), request, NOW, reports_contactor=True
    )
    volts = 375.0 if state in WITH_BATTERY else LIVE.get(state, 0.0)
    amperes = 10.0 if state in FLOWING else 0.0
    inputs = Inputs(
        NOW,
        car=Car() if state is State.WAKING else car,
        pilot=PilotLines(
            permitted=state is not State.NEGOTIATING, inserted=True, locked=state is not State.LOCKING
        ),
        output=Output(MODES.get(state, Mode.OFF), volts, amperes, 1e6),
        engage=True,
        wanted_a=10.0,
    )
    progress = Progress(
        state,
        since=NOW - (0.2 if state in {State.RELEASING, State.UNLOCKING, State.ISOLATING} else 1.0),
        woken_at=NOW - 4,
        permitted_at=NOW - 5,
        insulated=True,
        ends_at=NOW + 3000,
        battery_v=375.0,
        stepped_at=NOW - 0.1,
    )
    return progress, inputs


def request(**changes: object) -> Event:
    def event(progress: Progress, inputs: Inputs) -> Scene:
        told = inputs.car.request or CarRequest(2, 410, 0, CarFault(0), CarStatus.CONTACTOR_OPEN, 0)
        return progress, replace(
            inputs, car=replace(inputs.car, heard_at=NOW, request=replace(told, **changes))
        )

    return event


def status(*, on: CarStatus = NO_BIT, off: CarStatus = NO_BIT) -> Event:
    def event(progress: Progress, inputs: Inputs) -> Scene:
        return request(status=(inputs.car.status | on) & ~off)(progress, inputs)

    return event


def introduced(progress: Progress, inputs: Inputs) -> Scene:
    return request()(progress, replace(inputs, car=replace(inputs.car, limits=CarLimits(0, 0, 0, 435, 100))))


def silent(progress: Progress, inputs: Inputs) -> Scene:
    return progress, replace(inputs, car=replace(inputs.car, heard_at=ago))


def lines(**changes: bool) -> Event:
    return lambda progress, inputs: (progress, replace(inputs, pilot=replace(inputs.pilot, **changes)))


def output(**changes: object) -> Event:
    return lambda progress, inputs: (progress, replace(inputs, output=replace(inputs.output, **changes)))


def seen(**changes: object) -> Event:
    return lambda progress, inputs: (progress, replace(inputs, **changes))


def remembered(**changes: object) -> Event:
    return lambda progress, inputs: (replace(progress, **changes), inputs)


def both(*events: Event) -> Event:
    def event(progress: Progress, inputs: Inputs) -> Scene:
        for one in events:
            progress, inputs = one(progress, inputs)
        return progress, inputs

    return event


PERMITS = both(lines(permitted=True), status(on=CarStatus.ENABLED))
EVENTS: dict[str, Event] = {
    "nothing": both(),
    "time passes": remembered(since=ago),
    "an hour passes": remembered(since=NOW - 4000, cause=Cause.VEHICLE_STOP),
    "8 s since d1": remembered(woken_at=NOW - 9, since=NOW - 9),
    "20 s since k": remembered(permitted_at=NOW - 21),
    "the car is introduced": introduced,
    "the car permits": PERMITS,
    "the car permits and does not fit": both(PERMITS, request(target_voltage_v=600)),
    "k falls": lines(permitted=False),
    "k has fallen": both(lines(permitted=False), remembered(permission_lost_at=ago)),
    "the car stops": status(off=CarStatus.ENABLED),
    "the car has a fault": request(faults=CarFault.BATTERY_HOT),
    "the car's system has a fault": status(on=CarStatus.SYSTEM_FAULT),
    "the car is not parked": status(on=CarStatus.NOT_PARKED),
    "the car refuses": status(on=CarStatus.STOP_BEFORE_CHARGING),
    "the car is silent": silent,
    "the car is silent at 0 V": both(silent, output(voltage_v=0.0)),
    "the car says its contactor is closed": status(off=CarStatus.CONTACTOR_OPEN),
    "the car says its contactor is open": both(
        status(on=CarStatus.CONTACTOR_OPEN), remembered(opened_at=NOW), output(voltage_v=0.0)
    ),
    "open for 1.5 s with half the voltage": remembered(opened_at=NOW - 1.5),
    "the car asks for current": both(request(current_a=5), output(mode=Mode.CURRENT)),
    "the car asks, the converter sleeps": both(request(current_a=5), remembered(requested_since=ago)),
    "the owner stops": seen(engage=False),
    "the wish lapses": seen(engage=False, lapsed=True),
    "the owner asks": both(seen(owner_asked=True), remembered(cause=Cause.NO_ANSWER)),
    "charging is wished again": both(seen(charge_wished=True), remembered(cause=Cause.PAUSE_IMPOSSIBLE)),
    "the pilot lines are lost": seen(pilot=None),
    "the emergency stop is pressed": lines(emergency_stop=True),
    "unplugged": lines(inserted=False),
    "unplugged at 0 V": both(lines(inserted=False), output(voltage_v=0.0)),
    "the lock is open": lines(locked=False),
    "the lock is closed": lines(locked=True),
    "the converter is lost": seen(output=None),
    "the converter has a fault": output(fault_bits=1),
    "the bus is lost": seen(bus_up=False),
    "voltage at the connector": output(voltage_v=375.0),
    "no voltage at the connector": output(voltage_v=0.0),
    "no voltage for long": both(output(voltage_v=0.0), remembered(since=ago, isolated_since=ago)),
    "insulation good": remembered(tested_since=NOW - 1),
    "insulation bad": both(
        remembered(tested_since=NOW - 1, insulation_low_since=NOW), output(insulation_ohm=10.0)
    ),
    "insulation lost": both(output(insulation_ohm=10.0), remembered(insulation_low_since=ago)),
    "the current ends": output(current_a=0.0),
    "the car's time is over": remembered(ends_at=NOW - 1, since=NOW - 200),
    "the car's time is nearly over": remembered(ends_at=NOW + 30, since=NOW - 3500),
    "a car without dynamic control gets too little": remembered(deviating_since=ago),
    "12 V below 11.8": seen(aux_voltage_v=11.0),
    "12 V low for a minute": both(seen(aux_voltage_v=11.9), remembered(aux_low_since=ago)),
    "refused once": remembered(cause=Cause.VEHICLE_REFUSED, since=NOW - 6),
    "renewed": remembered(cause=Cause.RENEWAL, since=NOW - 3.5),
    "a weld is suspected": remembered(cause=Cause.WELDED, since=NOW - 0.6),
    "faulty": remembered(cause=Cause.VEHICLE_FAULT),
    "faulty for long": remembered(cause=Cause.VEHICLE_FAULT, since=ago),
}


def after(state: State, event: Event) -> Progress:
    return step(*event(*at_peace(state)), CHARGER)


def matrix() -> str:
    """One line for each state and event that moves it or ends its session."""
    rows = []
    for state in State:
        rows.append(f"{state}")
        for name, event in EVENTS.items():
            progress = after(state, event)
            if progress.state is not state:
                because = f"  ({progress.cause})" if progress.cause else ""
                rows.append(f"    {name} → {progress.state}{because}")
    return "\n".join(rows) + "\n"


def test_every_state_answers_every_event_as_written_down():
    assert matrix() == GOLDEN.read_text()


@pytest.mark.parametrize("state", State)
def test_every_rule_of_a_state_has_an_event_that_takes_it(state):
    taken = set()
    for event in EVENTS.values():
        moment = Moment(*event(*at_peace(state)), CHARGER)
        taken.add(next((number for number, rule in enumerate(TABLE[state]) if rule.guard(moment)), None))
    missed = [rule.label for number, rule in enumerate(TABLE[state]) if number not in taken]
    assert missed == []


# ── any story ───────────────────────────────────────────────────────────────────────────────────────────────────────

LEGAL = {
    State.NEGOTIATING: {0x20},
    State.LOCKING: {0x20},
    State.TESTING: {0x24},
    State.BLEEDING: {0x24},
    State.CLOSING: {0x24},
    State.PRECHARGING: {0x24},
    State.ENERGISED: {0x05},
    State.STOPPING: {0x25},
    State.OPENING: {0x24},
    State.RELEASING: {0x24},
    State.UNLOCKING: {0x20},
    State.ABORTING: {0x25},
    State.ISOLATING: {0x24, 0x20},
}
FAULT_BITS = 0x02 | 0x08 | 0x10

mishaps = st.one_of(
    st.tuples(
        st.sampled_from(
            [
                "inserted",
                "lock_stuck_open",
                "emergency_stop",
                "pilot_answers",
                "converter_answers",
                "current_stuck",
                "weld",
                "converter_stays_off",
            ]
        ),
        st.booleans(),
    ),
    st.tuples(st.just("converter_fault"), st.sampled_from([0, 4])),
    st.tuples(st.just("insulation_ohm"), st.sampled_from([10.0, 1e6])),
    st.tuples(st.just("external_v"), st.sampled_from([0.0, 60.0])),
    st.tuples(st.just("permits_override"), st.sampled_from([None, False, True])),
    st.tuples(st.just("open_circuit_v"), st.sampled_from([245.0, 300.0, 420.0])),
)
whims = st.one_of(
    st.tuples(
        st.sampled_from(["silent", "wants_stop", "never_opens", "never_closes", "clings", "dynamic"]),
        st.booleans(),
    ),
    st.tuples(st.just("faults"), st.sampled_from([CarFault(0), CarFault.BATTERY_HOT])),
    st.tuples(st.just("extra"), st.sampled_from([CarStatus(0), CarStatus.NOT_PARKED])),
    st.tuples(st.just("loss"), st.sampled_from([0.0, 0.5])),
    st.tuples(st.just("max_charge_a"), st.integers(0, 60)),
)
sights = st.one_of(
    st.tuples(st.sampled_from(["engage", "lapsed", "owner_asked", "charge_wished", "bus_up"]), st.booleans()),
    st.tuples(st.just("wanted_a"), st.floats(-200, 200)),
    st.tuples(st.just("aux_voltage_v"), st.sampled_from([None, 11.0, 11.9, 12.6])),
)
happenings = st.one_of(
    st.tuples(st.just("bench"), mishaps),
    st.tuples(st.just("car"), whims),
    st.tuples(st.just("inputs"), sights),
)


class Witness:
    """What must hold in any story, told from what was seen and ordered alone."""

    def __init__(self) -> None:
        self.tested_since: float | None = None
        self.tested = False

    def look(self, bench: Bench) -> None:
        told, now, state = bench.orders(), bench.inputs.now, bench.progress.state
        seen = bench.inputs.output
        under_test = (
            state is State.TESTING
            and seen is not None
            and seen.voltage_v >= 450
            and seen.insulation_ohm > 5e4
        )
        self.tested_since = (self.tested_since or now) if under_test else None
        self.tested |= self.tested_since is not None and now - self.tested_since >= TEST_HOLD.keep_s - 0.1
        if state in RESTING:
            self.tested = False
        assert self.tested or not told.coils.d2
        for frame in told.frames:
            if isinstance(frame, EvseState):
                assert frame.status & ~FAULT_BITS in LEGAL[state]
                assert frame.status & 0x20 or not frame.status & FAULT_BITS
                assert frame.status & 0x04 or state is not State.ISOLATING or not told.coils.lock
        assert abs(told.converter.current_a) <= 15
        assert told.converter.voltage_v <= 500


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 160), happenings), max_size=12))
def test_no_story_switches_d2_on_untested_unlocks_under_voltage_or_orders_what_is_not_allowed(story):
    bench, witness = Bench(car=PaperCar()).want(12), Witness()
    for ticks, (whose, (name, value)) in [*story, (200, ("inputs", ("engage", False)))]:
        for _ in range(ticks):
            bench.tick()  # checks the interlocks
            witness.look(bench)
        match whose:
            case "bench":
                setattr(bench, name, value)
            case "car":
                setattr(bench.car, name, value)
            case _:
                bench.see(**{name: value})
        told = orders(bench.progress, bench.inputs, bench.charger)
        assert not told.coils.d2 or told.coils.lock


if __name__ == "__main__":
    GOLDEN.write_text(matrix())
