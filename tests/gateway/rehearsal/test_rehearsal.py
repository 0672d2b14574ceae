"""The rehearsal itself: what its clock, meters and plants do."""

import pytest

from gateway.config import ControlTables, GridTable
from gateway.model import DeviceKind, Interval, Reason, Rung, Setpoint
from gateway.rehearsal import MeterModel, Plant, Rehearsal

TABLES = ControlTables(GridTable(main_fuse_a=25.0))


def order(device: str, power_w: float, expires_at: float = 1e9) -> Setpoint:
    return Setpoint(device, power_w, expires_at, Reason(Rung.PLAN, "plan"))


def ran(plant: Plant, seconds: float, start: float = 0.0, dt_s: float = 0.1) -> list[float]:
    return [plant.step(round(start + n * dt_s, 6), dt_s) for n in range(1, round(seconds / dt_s) + 1)]


def test_the_battery_follows_the_load():
    rehearsal = Rehearsal(TABLES, [Plant("battery", phases=(2,))], lambda second: 1500.0)
    rehearsal.run(10)
    assert rehearsal.trace.grid_w[-1] == pytest.approx(0.0, abs=30.0)
    assert rehearsal.trace.power_w["battery"][-1] == pytest.approx(-1500.0, abs=30.0)


def test_the_same_seed_gives_the_same_trace():
    def grid() -> list[float]:
        rehearsal = Rehearsal(TABLES, [Plant("battery")], lambda second: 500.0 + 900.0 * (second > 5), seed=3)
        rehearsal.run(20)
        return list(rehearsal.trace.grid_w)

    assert grid() == grid()


def test_an_order_is_followed_after_the_dead_time_on_the_ramp():
    plant = Plant("battery", dead_time_s=1.0, ramp_w_per_s=1000.0)
    plant.apply(order("battery", 2000.0))
    powers = ran(plant, 4.0)
    assert powers[8] == 0.0
    assert powers[18] == pytest.approx(1000.0)
    assert powers[-1] == pytest.approx(2000.0)


def test_an_order_ends_with_its_lease():
    plant = Plant("battery", lease_s=2.0)
    plant.apply(order("battery", 2000.0))
    ran(plant, 2.0)
    assert plant.power_w == 2000.0
    ran(plant, 1.0, start=2.0)
    assert plant.power_w == 0.0


def test_an_order_is_cut_to_whole_steps_and_is_nothing_below_the_least():
    plant = Plant("wall", DeviceKind.EVSE, rated=Interval(0.0, 7360.0), step_w=230.0, min_w=1380.0)
    plant.apply(order("wall", 2000.0))
    assert plant.ordered_w == 1840.0
    plant.apply(order("wall", 1300.0))
    assert plant.ordered_w == 0.0


def test_a_meter_is_heard_later_than_it_looked():
    rehearsal = Rehearsal(
        TABLES,
        [],
        lambda second: 300.0 if second < 5 else 900.0,
        meter=MeterModel(1.0, lag_s=2.0, noise_w=0.0),
    )
    rehearsal.run(6.0)
    assert rehearsal.state.snapshot(rehearsal.now).grid().power_w == 300.0
    rehearsal.run(2.0)
    assert rehearsal.state.snapshot(rehearsal.now).grid().power_w == 900.0


def test_a_silent_device_falls_to_nothing_and_a_refusing_one_stays():
    plants = [Plant("battery"), Plant("other")]
    rehearsal = Rehearsal(TABLES, plants, lambda second: 4000.0)
    rehearsal.at(10.0, lambda r: setattr(r.plants["battery"], "silent", True))
    rehearsal.run(9.0)
    assert plants[0].power_w < -1000.0
    rehearsal.run(15.0)
    assert plants[0].power_w == 0.0
    assert rehearsal.state.snapshot(rehearsal.now).storages["battery"] is None


def test_the_score_counts_turns_and_seconds_over_the_fuse():
    rehearsal = Rehearsal(
        ControlTables(GridTable(main_fuse_a=10.0)),
        [],
        lambda second: (3000.0 if second < 4.05 else 100.0, 0.0, 0.0),
    )
    score = rehearsal.run(10.0)
    assert score.over_fuse_s == pytest.approx(4.0, abs=0.11)
    assert score.longest_over_s == pytest.approx(4.0, abs=0.11)
    assert score.import_wh == pytest.approx((3000 * 4 + 100 * 6) / 3600, rel=0.05)
