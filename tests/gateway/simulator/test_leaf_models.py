"""Every generation on virtual time: what it says, what it allows, and two recorded ones byte by byte."""

import csv
from pathlib import Path

import pytest

from gateway.simulator.converter import Command
from gateway.simulator.house import House, Wiring
from gateway.simulator.leaf_frames import CarFace, encode
from gateway.simulator.leaf_models import MODELS
from gateway.simulator.leaf_on_can import CURRENT_DEVIATION, SLOT_S
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.pilot_lines import D1
from gateway.simulator.recorded_days import DAY_S, RecordedDays
from gateway.simulator.wired_house import WiredHouse
from tests.gateway.simulator.scripted_charger import Charger

RECORDED = Path(__file__).parents[4] / "shared/data/can"
AZE0_24 = RECORDED / "chademo-24kwh-v2h-start-stop.csv"
AZE0_30 = RECORDED / "chademo-aze0-30kwh-excerpt.candump"

type Frame = tuple[float, int, bytes]


def wired_with(model: str, soc_pct: float) -> WiredHouse:
    start = DAY_S + 9 * 3600.0
    house = House(
        RecordedDays.of("spring"), seed=1, start_second=start, car=MODELS[model], car_soc_pct=soc_pct
    )
    return WiredHouse(house, Wiring())


def awake(name: str, **said) -> CarFace:
    return CarFace(MODELS[name], heard_version=2, awake_s=5.0, soc_pct=50.0, **said)


def level_pct(frame: bytes, capacity: bytes, place: int) -> float:
    """Read 200.6 or 200.7 of a car that does not send 201 (reference/can.md 3.6)."""
    return 100.0 * frame[place] / (capacity[5] | capacity[6] << 8)


@pytest.mark.parametrize("name", MODELS)
def test_every_generation_sends_only_what_it_knows(name):
    model = MODELS[name]
    assert set(model.burst) & {0x110, 0x201} == ({0x110, 0x201} if name.startswith("ze1") else set())
    assert (0x200 in model.burst) == model.discharges
    for can_id in model.burst:
        assert len(encode(can_id, awake(name))) == 8


@pytest.mark.parametrize(
    ("name", "closed", "open_"),
    [("ze0-24", 0x01, 0x01), ("aze0-24", 0xC1, 0xC9), ("env200-40", 0xC1, 0xC9), ("ze1-40", 0x81, 0x89)],
)
def test_the_status_byte_is_that_of_the_generation(name, closed, open_):
    assert encode(0x102, awake(name, enabled=True, reports_open=False))[5] == closed
    assert encode(0x102, awake(name, enabled=True, reports_open=True))[5] == open_


@pytest.mark.parametrize("name", ["aze0-24", "aze0-30"])
def test_levels_of_an_old_car_are_thirty_and_eighty_percent_of_its_capacity(name):
    levels, capacity = encode(0x200, awake(name)), encode(0x101, awake(name))
    assert level_pct(levels, capacity, 6) == pytest.approx(30.0, abs=0.3)
    assert level_pct(levels, capacity, 7) == pytest.approx(80.0, abs=0.3)


@pytest.mark.parametrize(("name", "functions"), [("ze1-40", 1), ("ze1-62", 3)])
def test_a_new_car_tells_its_functions(name, functions):
    assert encode(0x110, awake(name))[0] == functions
    assert encode(0x200, awake(name))[6:] == bytes((10, 100))


@pytest.mark.parametrize("name", MODELS)
def test_a_pack_gives_back_what_it_stores_and_holds_what_the_car_tells(name):
    pack = LeafPack(100.0, MODELS[name])
    assert pack.stored_wh == pytest.approx(pack.capacity_wh)
    assert 320.0 * 0.98 < LeafPack(0.0, MODELS[name]).open_circuit_v < pack.open_circuit_v < 405.0


def at_charger(name: str, soc_pct: float) -> Charger:
    wired = wired_with(name, soc_pct)

    def live(seconds: float) -> list[tuple[int, bytes]]:
        frames = (wired.tick() for _ in range(round(seconds / SLOT_S)))
        return [frame for frame in frames if frame is not None]

    return Charger(wired, live)


@pytest.mark.parametrize(("name", "low_pct"), [("aze0-24", 30.0), ("env200-40", 10.0), ("ze1-62", 10.0)])
def test_a_car_ends_a_discharge_at_the_low_end_of_its_window(name, low_pct):
    charger = at_charger(name, low_pct + 5.0)
    charger.to_current(-10.0)
    assert charger.discharge_limit_a == 15
    charger.wired.house.pack.soc_pct = low_pct
    charger.run(3.0)
    assert charger.discharge_limit_a == 0
    assert not charger.flags & 1


def test_an_old_car_asks_for_nothing_at_the_high_end_while_it_could_be_discharged():
    charger = at_charger("aze0-30", 79.0)
    charger.to_current(0.0)
    assert charger.request_a == 15
    charger.wired.house.pack.soc_pct = 80.0
    charger.run(0.2)
    assert charger.request_a == 0
    charger.run(5.0)
    assert charger.flags == 0xC1
    assert charger.discharge_limit_a == 15


def test_an_old_car_is_filled_by_a_charger_that_cannot_discharge():
    charger = at_charger("aze0-30", 85.0)
    charger.v2h = False
    charger.to_current(10.0)
    assert charger.request_a == 15


def test_a_first_generation_car_faults_when_it_is_discharged():
    charger = at_charger("ze0-24", 60.0)
    charger.to_current(10.0)
    assert charger.request_a == 15
    charger.order(Command.CURRENT, volts=410.0, amperes=-4.0)
    charger.run(4.0)
    assert charger.seen[0x102][4] == CURRENT_DEVIATION


def test_a_car_without_dynamic_control_goes_on_asking_when_less_is_available():
    charger = at_charger("ze0-24", 60.0)
    charger.available_a = 40
    charger.to_current(15.0)
    charger.available_a = 15
    charger.run(4.0)
    assert charger.seen[0x102][4] == CURRENT_DEVIATION
    follower = at_charger("ze1-40", 60.0)
    follower.available_a = 40
    follower.to_current(15.0)
    follower.available_a = 15
    follower.run(4.0)
    assert (follower.request_a, follower.seen[0x102][4]) == (15, 0)


def spoken(wired: WiredHouse, heard: list[Frame], seconds: float) -> list[Frame]:
    """Wake the car, let it hear the recorded charger, and return what it said."""
    wired.pilot_io.write_bits(D1, [True])
    waiting, said = list(heard), []
    for slot in range(round(seconds / SLOT_S)):
        at = slot * SLOT_S
        while waiting and waiting[0][0] <= at:
            wired.car.hear(*waiting.pop(0)[1:])
        frame = wired.tick()
        if frame is not None:
            said.append((at, *frame))
    return said


def changes(frames: list[Frame], can_id: int) -> list[tuple[float, bytes]]:
    kept: list[tuple[float, bytes]] = []
    for at, seen_id, data in frames:
        if seen_id == can_id and (not kept or kept[-1][1] != data):
            kept.append((at, data))
    return kept


def savvycan(path: Path) -> list[Frame]:
    rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
    frames = [
        (
            int(row["Time Stamp"]) / 1e6,
            int(row["ID"], 16),
            bytes(int(row[f"D{n}"], 16) for n in range(1, 9)),
        )
        for row in rows
    ]
    return [(at - frames[0][0], can_id, data) for at, can_id, data in frames]


def candump(path: Path) -> list[Frame]:
    frames = []
    for line in path.read_text(encoding="utf-8").splitlines():
        at, _, frame = line.split()
        can_id, _, data = frame.partition("#")
        frames.append((float(at.strip("()")), int(can_id, 16), bytes.fromhex(data)))
    return [(at - frames[0][0], can_id, data) for at, can_id, data in frames]


@pytest.mark.skipif(not AZE0_24.exists(), reason="the recorded session (shared/data/can) is not here")
def test_a_24_kwh_car_says_what_the_recorded_one_said_until_it_permits():
    recorded = [frame for frame in savvycan(AZE0_24) if frame[0] < 5.0]
    wired = wired_with("aze0-24", soc_pct=73.0)
    said = spoken(wired, [f for f in recorded if f[1] in {0x108, 0x109, 0x208, 0x209}], 5.0)
    assert {can_id for _, can_id, _ in said} == {f[1] for f in recorded if f[1] < 0x108 or f[1] == 0x200}
    for can_id in (0x100, 0x101, 0x102, 0x200):
        ours, theirs = changes(said, can_id), changes(recorded, can_id)
        assert [data for _, data in ours] == [data for _, data in theirs], f"{can_id:03X}"
        assert [at for at, _ in ours] == pytest.approx([at for at, _ in theirs], abs=0.45)


@pytest.mark.skipif(not AZE0_30.exists(), reason="the recorded session (shared/data/can) is not here")
def test_a_30_kwh_car_says_what_the_recorded_one_said_until_its_charger_fell_silent():
    recorded = candump(AZE0_30)
    wired = wired_with("aze0-30", soc_pct=62.0)
    # Of the charger the excerpt has the first frame and the last, the same; it spoke every 100 ms between them.
    heard = [frame for frame in recorded if frame[1] == 0x109]
    between = [(n / 10, *heard[0][1:]) for n in range(1, 29)]
    said = spoken(wired, [*between, heard[-1]], 5.0)
    for can_id in (0x100, 0x101, 0x102):
        theirs = [data for _, data in changes(recorded, can_id)]
        assert [data for _, data in changes(said, can_id)][: len(theirs)] == theirs, f"{can_id:03X}"
