import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulator.battery_inverter import (
    CAPACITY_WH,
    FIXED_LOSS_W,
    PROPORTIONAL_LOSS,
    RATED_W,
    BatteryInverter,
)
from gateway.simulator.converter import RATED_A, RATED_AC_W, Command, Converter, ConverterFault, Status
from gateway.simulator.house import House, Wiring, spread
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.ramp import DelayedRamp
from gateway.simulator.recorded_days import DAY_S, SEASONS, RecordedDays

DT_S = 0.02


def steps(seconds: float) -> range:
    return range(round(seconds / DT_S))


def energised(current_a: float, lease_s: int = 0) -> Converter:
    converter = Converter()
    converter.orders.command = Command.CURRENT
    converter.orders.current_a = current_a
    converter.orders.lease_s = lease_s
    converter.renew_lease()
    return converter


def test_pack_is_at_the_recorded_voltage_for_its_charge():
    assert LeafPack(72.0).open_circuit_v == pytest.approx(380.0, abs=2.0)
    assert 310.0 < LeafPack(0.0).open_circuit_v < LeafPack(100.0).open_circuit_v < 410.0


def test_pack_stores_what_it_tells_to_chargers():
    assert LeafPack(100.0).stored_wh == pytest.approx(35_400.0, rel=1e-6)
    assert LeafPack(0.0).stored_wh == 0.0


@given(soc=st.floats(5.0, 95.0), current_a=st.floats(-20.0, 20.0))
@settings(deadline=None, max_examples=40)
def test_pack_loses_only_what_its_resistance_burns(soc, current_a):
    pack = LeafPack(soc)
    before_wh, moved_wh = pack.stored_wh, 0.0
    for _ in range(200):
        moved_wh += pack.terminal_v(current_a) * current_a * 0.5 / 3600.0
        pack.step(current_a, 0.5)
    burnt_wh = current_a**2 * pack.resistance_ohm * 100.0 / 3600.0
    assert pack.stored_wh - before_wh == pytest.approx(moved_wh - burnt_wh, abs=0.02)


@given(
    soc=st.floats(0.0, 100.0), orders=st.lists(st.floats(-RATED_A, RATED_A, width=16), min_size=1, max_size=6)
)
@settings(deadline=None, max_examples=40)
def test_converter_keeps_its_ratings_and_charges_energy_once(soc, orders):
    pack, converter = LeafPack(soc), energised(0.0)
    before_wh, lost_wh = pack.stored_wh, 0.0
    for current_a in orders:
        converter.orders.current_a = current_a
        for _ in range(100):
            converter.step(pack, False, DT_S)
            lost_wh += converter.current_a**2 * pack.resistance_ohm * DT_S / 3600.0
            lost_wh += (converter.ac_w - converter.dc_w) * DT_S / 3600.0
            assert converter.ac_w - converter.dc_w > 0.0
            assert abs(converter.ac_w) <= RATED_AC_W + 1.0
            assert 0.0 <= pack.soc_pct <= 100.0
    bought_wh = converter.charged_wh - converter.discharged_wh
    assert pack.stored_wh - before_wh == pytest.approx(bought_wh - lost_wh, abs=0.05)


def test_converter_waits_its_dead_time_and_then_ramps_at_40_a_per_s():
    pack, converter = LeafPack(60.0), energised(12.0)
    for _ in steps(0.18):
        converter.step(pack, False, DT_S)
    assert converter.current_a == 0.0
    for _ in steps(0.2):
        converter.step(pack, False, DT_S)
    assert converter.current_a == pytest.approx(40.0 * 0.18, abs=1.0)
    for _ in steps(0.3):
        converter.step(pack, False, DT_S)
    assert converter.current_a == 12.0


def test_converter_falls_to_zero_and_off_when_its_lease_runs_out():
    pack, converter = LeafPack(60.0), energised(-15.0, lease_s=2)
    for _ in steps(1.9):
        converter.step(pack, False, DT_S)
    assert converter.current_a == -15.0
    for _ in steps(0.8):
        converter.step(pack, False, DT_S)
    assert converter.current_a == 0.0
    assert converter.status is Status.STANDBY
    assert converter.faults == ConverterFault.LEASE_EXPIRED
    converter.renew_lease()
    assert not converter.faults


def test_converter_trips_when_the_contactor_opens_under_current_and_is_reset_by_off():
    pack, converter = LeafPack(60.0), energised(10.0)
    for _ in steps(1.0):
        converter.step(pack, False, DT_S)
    converter.step(None, False, DT_S)
    assert converter.current_a == 0.0
    assert converter.status is Status.FAULT
    converter.orders.command = Command.OFF
    converter.step(None, False, DT_S)
    assert converter.status is Status.STANDBY


def test_converter_stops_discharging_below_its_minimum_battery_voltage():
    pack, converter = LeafPack(50.0), energised(-10.0)
    converter.orders.min_battery_v = 390.0
    for _ in steps(2.0):
        converter.step(pack, False, DT_S)
    assert converter.faults == ConverterFault.UNDER_VOLTAGE
    assert converter.current_a == 0.0


def test_emergency_stop_takes_the_current_away_at_once():
    pack, converter = LeafPack(60.0), energised(-15.0)
    for _ in steps(1.0):
        converter.step(pack, False, DT_S)
    converter.step(pack, True, DT_S)
    assert converter.current_a == 0.0
    assert converter.status is Status.OFF


def test_open_output_follows_the_voltage_order_and_decays_as_recorded():
    converter = Converter()
    converter.orders.command, converter.orders.voltage_v = Command.VOLTAGE, 500.0
    for _ in steps(1.0):
        converter.step(None, False, DT_S)
    assert converter.voltage_v == 500.0
    converter.orders.command = Command.OFF
    for _ in steps(1.0):
        converter.step(None, False, DT_S)
    assert converter.voltage_v < 10.0


@given(soc=st.floats(0.0, 100.0), targets=st.lists(st.floats(-9e3, 9e3), min_size=1, max_size=6))
@settings(deadline=None, max_examples=40)
def test_battery_keeps_ratings_and_bounds_and_loses_what_it_states(soc, targets):
    battery = BatteryInverter(soc)
    for target_w in targets:
        for _ in range(100):
            before_wh = battery.stored_wh
            battery.step(target_w, DT_S)
            assert abs(battery.power_w) <= RATED_W
            assert 0.0 <= battery.soc_pct <= 100.0
            loss_w = battery.power_w - battery.dc_w
            assert 0.0 < loss_w <= FIXED_LOSS_W + PROPORTIONAL_LOSS * RATED_W
            if 0.01 < battery.soc_pct < 99.99:
                assert battery.stored_wh - before_wh == pytest.approx(battery.dc_w * DT_S / 3600.0, abs=1e-6)


def test_battery_stops_at_both_ends():
    empty, full = BatteryInverter(6.0), BatteryInverter(99.0)
    for _ in range(3600):
        empty.step(-RATED_W, 1.0)
        full.step(RATED_W, 1.0)
    assert empty.soc_pct == pytest.approx(5.0, abs=0.5)
    assert full.soc_pct <= 100.0
    assert full.stored_wh > 0.99 * CAPACITY_WH


def test_ramp_follows_a_moving_target_after_the_dead_time():
    ramp = DelayedRamp(ramp_per_s=1e6, dead_time_s=0.1)
    seen = [ramp.step(float(n), -1e9, 1e9, DT_S) for n in range(20)]
    assert seen[10:] == [float(n - 5) for n in range(10, 20)]


def test_grid_is_the_sum_of_everything_on_the_phases(house: House):
    house.battery_target_w = -2000.0
    house.converter.orders.command, house.converter.orders.current_a = Command.CURRENT, 8.0
    for _ in steps(3.0):
        house.step(house.pack, DT_S)
    expected_w = house.load_w + house.converter.ac_w + house.battery.power_w - house.pv_w
    assert house.grid_w == pytest.approx(expected_w)
    assert house.battery.power_w == pytest.approx(-2000.0)
    assert house.phase_w[1] < house.phase_w[2] < house.phase_w[0]
    assert 49.8 < house.frequency_hz < 50.2


def test_forced_load_and_sun_rule_until_they_are_given_back(house: House):
    house.overrides.load_w, house.overrides.pv_w = 6000.0, 0.0
    house.step(None, DT_S)
    assert (house.load_w, house.pv_w) == (6000.0, 0.0)
    house.overrides.load_w = house.overrides.pv_w = None
    house.step(None, DT_S)
    assert house.load_w < 4000.0
    assert house.pv_w > 0.0


def test_the_same_seed_lives_the_same_morning():
    def morning(seed: int) -> list[float]:
        house = House(RecordedDays.of("spring"), seed=seed, start_second=DAY_S + 7 * 3600.0)
        loads = []
        for _ in range(2000):
            house.step(None, 1.0)
            loads.append(house.load_w)
        return loads

    assert morning(3) == morning(3)
    assert morning(3) != morning(4)


@pytest.mark.parametrize("season", SEASONS)
def test_a_recorded_day_is_lived_with_its_energy(season):
    days = RecordedDays.of(season)
    assert len(days.load_w) == len(days.pv_w) == 4 * 96
    lived_wh = sum(days.at(DAY_S + second)[0] for second in range(0, 86_400, 60)) / 60.0
    assert lived_wh == pytest.approx(sum(days.load_w[96:192]) / 4.0, rel=0.02)


def test_wiring_shares_among_phases():
    assert spread(900.0, Wiring().pv) == (300.0, 300.0, 300.0)
    assert spread(900.0, (2,)) == (0.0, 900.0, 0.0)
