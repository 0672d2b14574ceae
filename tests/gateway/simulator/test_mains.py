"""A simulated house without its grid: who carries it, what is held back, when it gives up and how it starts again."""

import pytest

from gateway.simulator.house import House, Wiring
from gateway.simulator.modbus_servers import Illegal, Table
from gateway.simulator.recorded_days import RecordedDays
from gateway.simulator.wired_house import WiredHouse

DT_S = 0.02


@pytest.fixture
def house():
    built = House(
        RecordedDays.of("spring"), seed=1, start_second=100_000.0, battery_soc_pct=60.0, islands=True
    )
    built.overrides.load_w, built.overrides.pv_w = 800.0, 0.0
    for load in built.mains.loads:
        load.held_off = True
    return built


def live(house, seconds):
    for _ in range(round(seconds / DT_S)):
        house.step(None, DT_S)
    return house


def test_the_inverter_carries_the_house_and_heeds_no_order(house):
    house.mains.lose()
    house.battery_target_w = 3000.0
    live(house, 2)
    assert house.mains.carried
    assert house.battery.power_w == pytest.approx(-house.load_w - house.charger.ac_w, abs=1)
    assert house.grid_w == 0.0
    assert house.measured() == (0.0, 0.0, 0.0)


def test_loads_that_are_not_shed_count_and_too_many_of_them_end_it(house):
    house.mains.lose()
    for load in house.mains.loads:
        load.held_off = False
    live(house, 2)
    assert house.battery.power_w == pytest.approx(-4300.0, abs=20)
    house.overrides.load_w = 2500.0
    live(house, 2)
    assert house.mains.tripped
    assert house.load_w == 0.0
    assert house.battery.power_w > 0


def test_one_that_gave_up_starts_again_when_asked_or_when_the_grid_is_back(house):
    house.mains.lose()
    house.overrides.load_w = 6000.0
    live(house, 2)
    house.overrides.load_w = 500.0
    house.mains.start_again()
    live(house, 2)
    assert house.mains.carried
    house.mains.restore()
    live(house, 4)
    assert not house.mains.carried
    assert house.grid_w > 100.0


def test_an_empty_battery_leaves_the_house_dark(house):
    house.battery.soc_pct = 5.01
    house.mains.lose()
    live(house, 30)
    assert not house.mains.powered


def test_sun_that_a_full_battery_cannot_take_is_held_back_by_the_frequency(house):
    house.battery.soc_pct, house.overrides.pv_w = 100.0, 4000.0
    house.mains.lose()
    live(house, 1)
    assert house.frequency_hz > 51.0
    assert house.pv_w == pytest.approx(house.load_w + house.charger.ac_w, abs=5)


def test_a_house_without_such_an_inverter_is_dark_at_once():
    plain = House(RecordedDays.of("spring"), seed=1, start_second=100_000.0)
    plain.mains.lose()
    live(plain, 1)
    assert plain.load_w == plain.pv_w == plain.grid_w == 0.0


def test_the_registers_tell_it_and_the_relays_obey():
    built = House(RecordedDays.of("spring"), seed=1, start_second=100_000.0, islands=True)
    wired = WiredHouse(built, Wiring())
    wired.load_io.write_bits(0, [True])
    wired.load_io.write_registers(0, [10])
    assert wired.load_io.read_bits(Table.COIL, 0, 2) == [True, False]
    wired.load_io.step(10.5)
    assert wired.load_io.read_bits(Table.COIL, 0, 2) == [False, False]
    with pytest.raises(Illegal):
        wired.load_io.write_bits(1, [True, True])
    built.mains.lose()
    for _ in range(40):
        wired.tick()
    assert not wired.grid_meter.live
