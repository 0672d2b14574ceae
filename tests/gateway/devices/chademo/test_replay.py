"""A recorded V2H-capable session (log A of reference/can.md), its vehicle frames at their recorded times."""

import csv
from copy import replace
from itertools import groupby
from pathlib import Path

import pytest

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.frames import EvseCapability, EvseDischarge, EvseState, decode_car
from gateway.devices.chademo.moment import RESTING, Charger, Inputs, Mode, Output, PilotLines, Progress, State
from gateway.devices.chademo.orders import orders
from gateway.devices.chademo.session import step
from tests.gateway.devices.chademo.bench import check_interlocks

LOG = Path(__file__).parents[4] / "../shared/data/can/chademo-24kwh-v2h-start-stop.csv"
pytestmark = pytest.mark.skipif(not LOG.exists(), reason="recorded data of ../shared/data is not here")

LOCKED_AT_S, STOPPED_AT_S = 12.66, 46.76
EVSE_STATE = 0x109


def recorded() -> list[tuple[float, int, bytes]]:
    with LOG.open() as file:
        rows = list(csv.DictReader(file))
    start = int(rows[0]["Time Stamp"])
    return [
        (
            (int(row["Time Stamp"]) - start) / 1e6,
            int(row["ID"], 16),
            bytes.fromhex("".join(row[f"D{i}"] for i in range(1, 9))),
        )
        for row in rows
    ]


class Replay:
    """Our EVSE in the place of the recorded one: it sees the recorded car and the recorded voltage at the connector."""

    def __init__(self, wanted_a: float) -> None:
        self.charger = Charger()
        self.progress = Progress(stepped_at=-1.0)
        self.inputs = Inputs(
            -1.0, pilot=PilotLines(inserted=True), output=Output(), engage=True, wanted_a=wanted_a
        )
        self.seen: list[tuple[float, State]] = []
        self.statuses: list[int] = []
        self.told: list[tuple] = []

    def at(self, now: float, car: Car, voltage_v: float) -> None:
        told = orders(self.progress, self.inputs, self.charger)
        lines = PilotLines(car.enabled, True, now >= LOCKED_AT_S and told.coils.lock, False)
        output = Output(told.converter.mode, voltage_v, told.converter.current_a, insulation_ohm=1e6)
        self.inputs = replace(
            self.inputs, now=now, car=car, pilot=lines, output=output, engage=now < STOPPED_AT_S
        )
        before, self.progress = self.progress, step(self.progress, self.inputs, self.charger)
        check_interlocks(before, self.progress, self.inputs, self.charger)
        if self.progress.state is not before.state:
            self.seen.append((now, self.progress.state))
        told = orders(self.progress, self.inputs, self.charger)
        self.told.append((now, car, told))
        self.statuses += [frame.status for frame in told.frames if isinstance(frame, EvseState)]


def replay(wanted_a: float) -> Replay:
    run, car, voltage_v = Replay(wanted_a), Car(), 0.0
    run.at(-0.5, car, 0.0)
    for now, can_id, data in recorded():
        if can_id == EVSE_STATE:
            voltage_v = float(int.from_bytes(data[1:3], "little"))
        frame = decode_car(can_id, data)
        if frame is not None:
            car = car.heard(frame, now)
        run.at(now, car, voltage_v)
    return run


@pytest.fixture(scope="module")
def charging() -> Replay:
    return replay(wanted_a=14.0)


def test_the_status_byte_goes_through_the_recorded_steps(charging):
    assert [f"{int(status):02x}" for status, _ in groupby(charging.statuses)] == [
        "20",
        "24",
        "05",
        "25",
        "24",
        "20",
    ]


def test_every_step_comes_within_a_cycle_of_the_recorded_one(charging):
    at = {state: now for now, state in charging.seen}
    assert at[State.NEGOTIATING] == pytest.approx(0.02, abs=0.05)
    assert at[State.LOCKING] == pytest.approx(3.92, abs=0.05)
    assert at[State.TESTING] == pytest.approx(12.66, abs=0.1)
    assert 15.1 < at[State.CLOSING] < 16.1
    assert at[State.PRECHARGING] == pytest.approx(17.34, abs=0.05)
    assert at[State.ENERGISED] - 19.04 < 0.1
    assert at[State.STOPPING] == pytest.approx(46.76, abs=0.05)
    assert at[State.OPENING] < 46.96
    assert at[State.RELEASING] == pytest.approx(49.87, abs=0.1)
    assert charging.progress.state in RESTING


def test_the_thresholds_are_the_recorded_ones(charging):
    _, _, told = next(entry for entry in charging.told if len(entry[2].frames) == 4 and entry[0] > 0.2)
    assert next(f for f in told.frames if isinstance(f, EvseCapability)).threshold_v == 435
    discharge = next(f for f in told.frames if isinstance(f, EvseDischarge))
    assert discharge.encode() == bytes.fromhex("FF F4 01 F0 00 00 FA 00")


@pytest.mark.parametrize("wanted_a", [14.0, 100.0, -100.0])
def test_both_limits_of_the_car_are_obeyed_at_every_frame(wanted_a):
    run = replay(wanted_a)
    flows = [told.converter.current_a for _, _, told in run.told]
    assert max(map(abs, flows)) > 10
    for _, car, told in run.told:
        offers = [f.current_a for f in told.frames if isinstance(f, EvseCapability)]
        assert told.converter.current_a <= min([car.requested_current_a, *offers])
        assert -told.converter.current_a <= min(15, car.max_discharge_current_a)


def test_the_converter_is_off_whenever_the_cars_contactor_moves(charging):
    moments = [
        told.converter
        for (_, before, _), (_, after, told) in zip(charging.told, charging.told[1:], strict=False)
        if before.contactor_closed != after.contactor_closed
    ]
    assert len(moments) == 2
    assert all(converter.mode is Mode.OFF or converter.current_a == 0 for converter in moments)
