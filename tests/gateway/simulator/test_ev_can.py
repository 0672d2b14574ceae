"""The simulated car's own bus: who talks when, what the recorded cars say of the same frames, and the real driver on it."""

from collections import Counter, defaultdict
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from gateway.devices.leaf.vehicle import Leaf, Options
from gateway.devices.recording.loaders import load
from gateway.simulator.ev_can import AFTER_RUN_S, SLOT_S, EvCan
from gateway.simulator.ev_can_car import BREEDS, CarNow, Generation, Session
from gateway.simulator.ev_can_frames import BIG_TALK, TALK, WAKING_S, with_crc, with_nibble_sum
from gateway.simulator.ev_can_testers import BATTERY, Controller
from gateway.simulator.leaf_models import MODELS
from gateway.simulator.leaf_pack import LeafPack

LOGS = Path(__file__).resolve().parents[4] / "shared/data/can"
CRC_FRAMES = {0x11A, 0x1D4, 0x1DA, 0x1DB, 0x1DC, 0x55B, 0x50C, 0x1ED}
SUM_FRAMES = {0x1F2, 0x380, 0x390, 0x393, 0x5BF}
RECORDED = {
    "ze0-24": ("evcan-ze0-24kwh-stock-first6000.tsv", "0"),
    "env200-40": ("evcan-carcan-env200-40kwh-ac-charge-first9000.crtd", "1"),
    "ze1-62": ("evcan-ze1-62kwh-quick-charge.txt", "can0"),
}


def car_of(name, soc_pct=60.0, current_a=0.0, **more):
    pack = LeafPack(soc_pct, MODELS[name])
    session = Session.V2X if current_a else Session.NONE
    known = {
        "breed": BREEDS[name],
        "soc_pct": soc_pct,
        "stored_wh": pack.stored_wh,
        "capacity_wh": pack.capacity_wh,
        "voltage_v": pack.terminal_v(current_a),
        "current_a": current_a,
        "session": session,
        "can_discharge": True,
    }
    return CarNow(**known | more)


def heard(bus, car, seconds, *, wanted=True):
    return [frame for _ in range(round(seconds / SLOT_S)) for frame in bus.step(car, wanted=wanted)]


@pytest.fixture(params=BREEDS)
def name(request):
    return request.param


def test_every_frame_comes_in_its_own_rhythm(name):
    bus, car = EvCan(), car_of(name)
    heard(bus, car, 1.0)
    counts = Counter(can_id for can_id, _ in heard(bus, car, 10.0))
    talk = TALK[car.breed.generation] | (BIG_TALK if car.breed.big else {})
    assert counts.keys() == talk.keys()
    for can_id, (period_s, _) in talk.items():
        assert counts[can_id] == pytest.approx(10.0 / period_s, abs=1), hex(can_id)


def test_no_slot_has_more_than_a_bus_carries(name):
    bus, car = EvCan(), car_of(name)
    heard(bus, car, 1.0)
    assert max(len(bus.step(car, wanted=True)) for _ in range(1000)) <= 20


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_cars_send_these_frames_in_this_length_and_pass_these_checks(name):
    file, recorded_bus = RECORDED[name]
    if not (LOGS / file).exists():
        pytest.skip("../shared/data is not here")
    frames = load(LOGS / file).bus(recorded_bus)
    lengths = defaultdict(set)
    for frame in frames:
        lengths[frame.can_id].add(len(frame.data))
        if frame.can_id in CRC_FRAMES:
            assert with_crc(frame.data) == frame.data
        if frame.can_id in SUM_FRAMES:
            assert with_nibble_sum(frame.can_id, frame.data) == frame.data
    for can_id, data in heard(EvCan(), car_of(name), 3.0):
        if can_id in lengths:
            assert len(data) in lengths[can_id], hex(can_id)
        elif can_id not in {0x603, 0x68C, 0x679}:
            # The AC charge was recorded without its slowest frames, the quick charge without what only AC has.
            assert can_id in {0x393, 0x481, 0x56E, 0x5A9, 0x5B9, 0x50C, 0x284}, hex(can_id)


def test_checks_and_counters_are_those_of_the_reference(name):
    frames = defaultdict(list)
    for can_id, data in heard(EvCan(), car_of(name), 2.0):
        frames[can_id].append(data)
    assert with_crc(bytes.fromhex("EEC0C3EA00F76100")).hex() == "eec0c3ea00f7619b"
    for can_id in CRC_FRAMES & frames.keys():
        assert all(with_crc(data) == data for data in frames[can_id])
    for can_id in SUM_FRAMES & frames.keys():
        assert all(with_nibble_sum(can_id, data) == data for data in frames[can_id])
    counts = [data[6] & 3 for data in frames[0x1DB]]
    assert all((after - before) % 4 == 1 for before, after in pairwise(counts))


def test_just_after_wake_up_the_battery_has_no_values(name):
    bus, car = EvCan(), car_of(name)
    early = dict(heard(bus, car, WAKING_S / 2))
    assert early[0x1DB][:2] == b"\x7f\xe0"
    assert early[0x1DC][:6].hex() == "ffffffff1fff"
    assert early[0x55B][0] == 0xFF
    later = dict(heard(bus, car, 1.0))
    assert later[0x1DB][:2] != b"\x7f\xe0"
    assert later[0x1DC][:3] != b"\xff\xff\xff"


def test_a_car_that_nobody_needs_falls_asleep_and_its_bus_is_silent(name):
    bus, car = EvCan(), car_of(name)
    assert heard(bus, car, 10.0, wanted=False) == []
    assert heard(bus, car, 0.1)
    heard(bus, car, AFTER_RUN_S, wanted=False)
    assert heard(bus, car, 10.0, wanted=False) == []
    bus.hear(0x79B, bytes.fromhex("0221010000000000"))
    assert heard(bus, car, 1.0, wanted=False) == []
    assert (bus.wakes, bus.awake) == (1, False)


def test_a_car_that_drives_off_is_heard_no_more():
    bus, car = EvCan(), car_of("ze1-40")
    heard(bus, car, 1.0)
    bus.leave()
    assert heard(bus, car, 1.0, wanted=False) == []


def test_a_ze1_shows_the_chademo_frames_of_a_session_and_others_do_not():
    for model, shows in (("ze1-40", True), ("aze0-24", False)):
        bus, car = EvCan(), car_of(model)
        heard(bus, car, 1.0)
        bus.mirror(0x102, bytes(range(8)))
        bus.mirror(0x7FF, bytes(8))
        assert ((0x3BC, bytes(range(8))) in bus.step(car, wanted=True)) is shows


def answer_of(controller, car, request, flow="3000000000000000", seconds=2.0):
    """Ask as a tester does; return the whole message and the frames it came in."""
    frames = [controller.hear(bytes((len(request), *request)).ljust(8, b"\0"), car)]
    if frames[0] is None:
        return b"", []
    first = frames[0][1]
    if first[0] >> 4 == 0:
        return first[1 : 1 + first[0]], frames
    size, message = (first[0] & 0x0F) << 8 | first[1], first[2:]
    controller.hear(bytes.fromhex(flow), car)
    block = int(flow[2:4], 16)
    for _ in range(round(seconds / SLOT_S)):
        frame = controller.step(SLOT_S)
        if frame is not None:
            frames.append(frame)
            assert frame[1][0] == 0x20 | (len(frames) - 1) & 0x0F
            message += frame[1][1:]
            if block and (len(frames) - 1) % block == 0:
                controller.hear(bytes.fromhex(flow), car)
    return message[:size] if len(message) >= size else b"", frames


@pytest.mark.parametrize("flow", ["3000000000000000", "3000190000000000", "3001000000000000"])
def test_every_flow_control_that_testers_use_brings_the_whole_answer(flow):
    car = car_of("ze1-40")
    message, frames = answer_of(Controller(BATTERY), car, b"\x21\x02", flow)
    assert (len(message), message[:2], len(frames)) == (198, b"\x61\x02", 29)


@pytest.mark.parametrize("group", [0x01, 0x02, 0x04, 0x06, 0x62, 0x83, 0x84])
def test_every_group_has_its_length(name, group):
    car = car_of(name)
    lengths = {0x01: car.breed.group_01, 0x02: 196, 0x04: car.breed.group_04, 0x06: 24}
    message, _ = answer_of(Controller(BATTERY), car, bytes((0x21, group)))
    assert message[:2] == bytes((0x61, group))
    if group in lengths:
        assert len(message) - 2 == lengths[group]


def test_health_by_group_61_is_the_ze1s_alone():
    assert len(answer_of(Controller(BATTERY), car_of("ze1-40"), b"\x21\x61")[0]) == 331
    assert answer_of(Controller(BATTERY), car_of("aze0-24"), b"\x21\x61")[0] == b"\x7f\x21\x12"


def test_a_second_question_breaks_an_answer_under_way():
    controller, car = Controller(BATTERY), car_of("ze1-40")
    controller.hear(bytes.fromhex("0221020000000000"), car)
    controller.hear(bytes.fromhex("3000000000000000"), car)
    assert controller.hear(bytes.fromhex("0221010000000000"), car) is None
    assert all(controller.step(SLOT_S) is None for _ in range(200))
    assert answer_of(controller, car, b"\x21\x01")[0]


def test_an_answer_that_nobody_fetches_is_forgotten():
    controller, car = Controller(BATTERY), car_of("ze1-40")
    controller.hear(bytes.fromhex("0221020000000000"), car)
    assert all(controller.step(SLOT_S) is None for _ in range(200))
    assert answer_of(controller, car, b"\x21\x01")[0]


def test_a_ze1_answers_oddly_just_after_wake_up():
    message, _ = answer_of(Controller(BATTERY), replace(car_of("ze1-40"), awake_s=1.0), b"\x21\x01")
    assert len(message) == 44


class Wire:
    """The real driver on the simulated bus, in simulated time."""

    up, problem = True, ""

    def __init__(self, car):
        self.bus, self.car, self.now, self.samples = EvCan(), car, 1000.0, []
        self.faults, self.info = {}, None
        options = Options("Leaf", "slcan", "can1", charger="garage", polls=True)
        self.driver = Leaf("leaf", "vehicle.leaf", options, bus=self, clock=lambda: self.now)

    def send(self, can_id, data):
        self.bus.hear(can_id, data)

    def sample(self, sample):
        self.samples.append(sample)

    def identity(self, info):
        self.info = info

    def fault(self, code, detail):
        self.faults[code] = detail

    def clear(self, code):
        self.faults.pop(code, None)

    def run(self, seconds, *, wanted=True):
        for slot in range(round(seconds / SLOT_S)):
            for can_id, data in self.bus.step(self.car, wanted=wanted):
                self.driver.hear(can_id, data)
            self.now += SLOT_S
            if slot % 50 == 0:
                self.driver.beat(self)
        self.driver.beat(self)
        return self.samples[-1]


@pytest.mark.parametrize(
    ("name", "current_a"), [*((n, -14.5) for n in BREEDS), ("ze1-40", 0.0), ("ze0-24", 17.0)]
)
def test_the_real_driver_understands_every_car(name, current_a):
    wire = Wire(car_of(name, current_a=current_a, switched_on=True))
    sample, car = wire.run(200.0), wire.car
    assert sample.awake
    assert sample.generation == car.breed.generation
    assert sample.voltage_v == pytest.approx(car.voltage_v, abs=0.5)
    assert sample.current_a == pytest.approx(current_a, abs=0.26)
    assert sample.lbc_soc_pct == pytest.approx(car.lbc_soc_pct, abs=0.1)
    assert sample.energy_wh == pytest.approx(car.stored_wh, abs=110)
    assert sample.soh_pct == pytest.approx(car.soh_pct, abs=1)
    if car.breed.generation is not Generation.ZE0:
        assert sample.dash_soc_pct == pytest.approx(car.soc_pct, abs=0.6)
    else:
        assert sample.dash_soc_pct is None
    assert sample.parked is True
    assert sample.charging == ("v2x" if current_a else "none")
    assert sample.outside_c == pytest.approx(car.outside_c, abs=0.5)
    assert (sample.hx_pct, sample.capacity_ah) == (
        pytest.approx(84.5, abs=0.1),
        pytest.approx(car.capacity_ah, abs=0.1),
    )
    assert sample.cell_min_v == pytest.approx(car.voltage_v / 96, abs=0.01)
    assert sample.coldest_c == pytest.approx(car.temperature_c - 2, abs=1)
    # A car at rest is asked for its 12 V too seldom for the answer to be still believed here.
    assert sample.aux_voltage_v == (pytest.approx(car.aux_v, abs=0.1) if current_a else None)
    assert (sample.quick_charges, sample.ac_charges) == (214, 1630)
    assert sample.pack_serial == "230SIM0000000042"
    assert wire.faults == {}


def test_the_real_driver_lets_a_sleeping_car_sleep():
    wire = Wire(car_of("ze1-40"))
    wire.run(30.0)
    questions = len(wire.bus.controllers[0x79B].questions)
    sample = wire.run(120.0, wanted=False)
    assert not sample.awake
    assert sample.voltage_v is None
    assert len(wire.bus.controllers[0x79B].questions) <= questions + 1
    assert wire.bus.wakes == 1
