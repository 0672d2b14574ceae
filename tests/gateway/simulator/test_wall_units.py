"""The simulated chargers in one box: physics, and registers that behave as the reference says."""

import json
import struct
from types import SimpleNamespace

import pytest

from gateway.simulator.bidipro_registers import BidiproRegisters
from gateway.simulator.control_port import DEEDS, carry_out
from gateway.simulator.house import Wiring
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.modbus_servers import Illegal, Table, answer
from gateway.simulator.quasar_registers import QuasarRegisters
from gateway.simulator.wall_charger import HANDSHAKE_S, WallCharger
from gateway.simulator.wall_units import WALL_UNITS
from gateway.simulator.wired_house import WiredHouse

STEP_S = 0.02


class Bench:
    """A unit with a car, stepped by hand."""

    def __init__(self, unit, soc_pct=62.0):
        self.unit, self.device, self.pack = unit, unit.charger, LeafPack(soc_pct)
        self.live(0.1)

    def live(self, seconds, *, plugged=True):
        for _ in range(round(seconds / STEP_S)):
            self.unit.step(STEP_S)
            self.device.step(self.pack if plugged else None, False, STEP_S)

    def read(self, address, count=1):
        return list(self.unit.read_registers(Table.HOLDING, address, count))

    def write(self, *orders):
        for address, *words in orders:
            self.unit.write_registers(address, [w & 0xFFFF for w in words])


# ── physics ──────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("target_w", [7400.0, 1380.0, -1380.0, -7400.0])
def test_81_to_97_percent_of_the_target_flow_and_the_pack_gets_less_than_the_grid_gives(target_w):
    device, pack = WallCharger(), LeafPack(62.0)
    device.session_wanted, device.target_w = True, target_w
    for _ in range(round(20 / STEP_S)):
        device.step(pack, False, STEP_S)
    assert 0.81 <= device.ac_w / target_w <= 0.97
    assert device.voltage_v * device.current_a < device.ac_w
    before = pack.stored_wh
    for _ in range(round(60 / STEP_S)):
        device.step(pack, False, STEP_S)
    moved_wh = pack.stored_wh - before
    assert moved_wh * target_w > 0
    assert moved_wh == pytest.approx(device.voltage_v * device.current_a / 60, rel=0.05)


def test_nothing_flows_before_the_handshake_and_after_unplugging():
    device, pack = WallCharger(), LeafPack(62.0)
    device.session_wanted, device.target_w = True, 3000.0
    for _ in range(round((HANDSHAKE_S - 0.1) / STEP_S)):
        device.step(pack, False, STEP_S)
    assert (device.engaged, device.current_a) == (False, 0.0)
    for _ in range(round(5 / STEP_S)):
        device.step(pack, False, STEP_S)
    assert device.current_a > 5
    device.step(None, False, STEP_S)
    assert (device.engaged, device.current_a, device.session_wanted) == (False, 0.0, False)


def test_a_full_pack_takes_nothing_and_an_empty_one_gives_nothing():
    for soc_pct, target_w in ((100.0, 3000.0), (3.0, -3000.0)):
        device, pack = WallCharger(), LeafPack(soc_pct)
        device.session_wanted, device.target_w = True, target_w
        for _ in range(round(10 / STEP_S)):
            device.step(pack, False, STEP_S)
        assert device.current_a == 0.0


# ── Quasar ───────────────────────────────────────────────────────────────────────────────────────────────────────────

TAKE = ((81, 1), (82, 0), (83, 1), (88, 30))


def quasar(*, power_w=0):
    bench = Bench(QuasarRegisters())
    bench.write(*TAKE, (260, power_w), (257, 1))
    bench.live(10)
    return bench


def test_a_quasar_knows_functions_3_and_6_alone():
    unit = QuasarRegisters()
    assert answer(unit, struct.pack(">BHH", 3, 537, 1)) == struct.pack(">BBH", 3, 2, 0)
    assert answer(unit, struct.pack(">BHH", 6, 81, 1)) == struct.pack(">BHH", 6, 81, 1)
    assert answer(unit, struct.pack(">BHHBH", 16, 81, 1, 2, 1)) == bytes((0x90, 1))
    assert answer(unit, struct.pack(">BHH", 4, 537, 1)) == bytes((0x84, 1))


@pytest.mark.parametrize(("address", "count"), [(0, 1), (9, 2), (85, 3), (86, 1), (256, 2), (257, 1), (513, 1), (525, 2), (542, 2)])  # fmt: skip
def test_a_span_that_touches_an_unknown_address_is_refused_as_a_whole(address, count):
    with pytest.raises(Illegal) as refusal:
        Bench(QuasarRegisters()).read(address, count)
    assert refusal.value.code == 2


def test_nothing_but_control_is_taken_while_the_app_has_it():
    bench = Bench(QuasarRegisters())
    bench.write((260, 3000), (82, 0), (257, 1))
    assert (bench.read(260), bench.read(82), bench.read(537)) == ([0], [1], [3])
    bench.write((81, 1), (82, 0))
    assert bench.read(82) == [0]
    bench.write((81, 0))
    assert (bench.read(82), bench.read(88)) == ([1], [0])


def test_states_and_charge_are_told_as_under_current():
    bench = quasar()
    assert (bench.read(537), bench.read(538)) == ([4], [0])
    bench.write((260, 1))
    bench.live(1)
    assert (bench.read(537), bench.read(538)) == ([1], [62])
    bench.write((260, -3000))
    bench.live(5)
    assert (bench.read(537), bench.read(538)) == ([11], [62])
    assert bench.read(526)[0] > 0x8000
    bench.live(0.1, plugged=False)
    assert (bench.read(537), bench.read(538)) == ([0], [0])
    bench.write((256, 1))
    assert bench.read(537) == [6]


def test_less_than_three_amperes_is_not_used():
    bench = quasar(power_w=689)
    assert bench.device.current_a == 0.0
    bench.write((260, 690))
    bench.live(4)
    assert bench.device.current_a > 1


def test_the_idle_timeout_really_stops_and_any_request_feeds_it():
    bench = quasar(power_w=-7000)
    for _ in range(5):
        bench.live(20)
        bench.read(537)
    assert bench.device.current_a < -10
    bench.live(29)
    assert bench.device.current_a < -10
    bench.live(6)
    assert bench.device.current_a == 0.0
    assert bench.read(260) == [(-7000) & 0xFFFF], "the order outlives it"


def test_a_refused_discharge_is_kept_and_not_done():
    bench = quasar()
    bench.unit.refuses_discharge = True
    bench.write((260, -3000))
    bench.live(5)
    assert bench.read(260) == [(-3000) & 0xFFFF]
    assert bench.device.current_a == 0.0
    bench.write((260, 3000))
    bench.live(5)
    assert bench.device.current_a > 5


def test_a_restart_is_silent_then_in_error_then_as_new():
    bench = quasar(power_w=3000)
    bench.write((257, 3))
    bench.live(1)
    assert bench.unit.silent
    bench.live(10)
    assert (bench.unit.silent, bench.read(537)) == (False, [7])
    bench.live(25)
    assert (bench.read(537), bench.read(81), bench.read(260)) == ([3], [0], [0])


@pytest.mark.parametrize(
    ("address", "value"), [(81, 2), (257, 5), (260, 7401), (260, -7401), (258, 33), (80, 100)]
)
def test_impossible_values_are_refused(address, value):
    bench = quasar()
    with pytest.raises(Illegal) as refusal:
        bench.write((address, value))
    assert refusal.value.code == 3


# ── BiDiPro ──────────────────────────────────────────────────────────────────────────────────────────────────────────

SETPOINT = 286


def long(value):
    return struct.unpack(">2H", struct.pack(">i", value))


def bidipro():
    bench = Bench(BidiproRegisters())
    bench.live(8)
    return bench


def test_a_session_begins_by_itself_and_its_window_opens():
    bench = Bench(BidiproRegisters())
    assert bench.read(200, 2) == [0, 4]
    assert bench.read(222, 2) == [0, 0]
    bench.live(8)
    assert bench.read(200, 2) == [0, 10]
    assert struct.unpack(">f", struct.pack(">2H", *bench.read(222, 2))) == (-10_000.0,)
    assert bench.read(204, 2) == [0, 5]
    assert bench.read(212, 2) == [0, 620]


def test_values_outside_of_the_window_are_refused_and_zero_never_is():
    bench = bidipro()
    for value in (-10_001, 10_001, 499):
        with pytest.raises(Illegal):
            bench.write((SETPOINT, *long(value)))
    for value in (-10_000, 10_000, 500, -1, 0):
        bench.write((SETPOINT, *long(value)))
    bench.unit.refuses_discharge = True
    with pytest.raises(Illegal):
        bench.write((SETPOINT, *long(-1000)))


def test_the_suspend_register_has_no_effect():
    bench = bidipro()
    bench.write((SETPOINT, *long(3000)), (288, 0, 1))
    bench.live(5)
    assert bench.device.ac_w == pytest.approx(3000)


def test_silence_ends_in_the_fallback_power_until_the_next_order():
    bench = bidipro()
    bench.write((38, 0, 1500), (42, 0, 20), (SETPOINT, *long(-5000)))
    bench.live(19)
    assert bench.device.ac_w < -4900
    bench.live(6)
    assert bench.device.ac_w == pytest.approx(1500)
    bench.read(200)
    bench.live(5)
    assert bench.device.ac_w == pytest.approx(1500), "asking is not ordering"
    bench.write((SETPOINT, *long(-5000)))
    bench.live(5)
    assert bench.device.ac_w < -4900


@pytest.mark.parametrize("seconds", [0, 601, -1])
def test_a_timeout_has_bounds(seconds):
    with pytest.raises(Illegal):
        bidipro().write((42, *long(seconds)))


@pytest.mark.parametrize(("address", "count"), [(90, 20), (199, 2), (1200, 1)])
def test_a_read_never_crosses_an_object(address, count):
    with pytest.raises(Illegal):
        bidipro().read(address, count)


def test_a_connector_that_is_not_there_reads_as_zeros():
    assert bidipro().read(300, 58) == [0] * 58


# ── in the house ─────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(params=WALL_UNITS)
def walled(house, request):
    return WiredHouse(house, Wiring(), WALL_UNITS[request.param]())


def do(wired, **request):
    return carry_out(wired, json.dumps(request).encode(), DEEDS)


@pytest.mark.parametrize(
    ("request_", "seen"),
    [
        ({"do": "charger_silent"}, lambda unit: unit.silent),
        ({"do": "charger_error", "bits": 4}, lambda unit: unit.errors == 4),
        ({"do": "refuse_discharge"}, lambda unit: unit.refuses_discharge),
        ({"do": "charger_app"}, lambda unit: not unit.charger.session_wanted),
        ({"do": "charger_reboot"}, lambda unit: not unit.charger.session_wanted),
    ],
    ids=lambda value: value.get("do") if isinstance(value, dict) else "",
)
def test_every_deed_reaches_the_charger(walled, request_, seen):
    walled.tick()
    assert do(walled, **request_) == {"ok": True}
    assert seen(walled.wall)


def test_status_tells_the_truth_of_the_charger_that_the_car_hangs_on(walled):
    for _ in range(4):
        walled.tick()
    walled.wall.charger.ac_w, walled.wall.charger.current_a = -1234.0, -3.0
    status = do(walled, do="status")
    assert (status["charger"]["ac_w"], status["charger"]["current_a"]) == (-1234.0, -3.0)
    assert status["car"]["current_a"] == -3.0
    assert status["converter"]["current_a"] == 0.0


def test_what_the_charger_draws_the_house_draws(walled):
    for _ in range(100):
        walled.tick()
    before_w = walled.house.phase_w[0]
    walled.house.charger = SimpleNamespace(ac_w=5000.0, step=lambda *_: None)
    for _ in range(4):
        walled.tick()
    assert walled.house.phase_w[0] - before_w == pytest.approx(5000.0, abs=200.0)


def test_a_house_without_such_a_charger_says_so(wired):
    answer = do(wired, do="charger_reboot")
    assert not answer["ok"]
    assert "--charger" in answer["error"]
