"""A blackout on paper: it tells how long, what is off, and whether the car can leave."""

from types import SimpleNamespace

import pytest

from gateway.config import BackupTable, ControlTables, GridTable
from gateway.faults import ConfigError
from gateway.model import DeviceInfo, DeviceKind, DeviceSettings, Interval, MeterRole, OwnerSettings
from gateway.rehearsal.drill import Site, drill
from gateway.rehearsal.drill_command import answer, told

DEVICES = {
    "grid": DeviceInfo("grid", DeviceKind.METER, "Grid", "m", MeterRole.GRID),
    "battery": DeviceInfo(
        "battery", DeviceKind.STORAGE, "Battery", "s", rated=Interval(-5000, 5000), islands=True
    ),
    "garage": DeviceInfo("garage", DeviceKind.EVSE, "Car", "e", rated=Interval(-6000, 6000)),
    "boiler": DeviceInfo("boiler", DeviceKind.LOAD, "Boiler", "l", rated=Interval(0, 2000)),
}


def site(battery_pct=50.0, car_pct=50.0, load_w=1500.0):
    owner = OwnerSettings(control_on=True, devices={"garage": DeviceSettings(drive_away_soc_pct=25.0)})
    tables = ControlTables(GridTable(main_fuse_a=25.0), backup=BackupTable(continuous_w=5000.0))
    capacity_wh = {"battery": 10_000.0, "garage": 36_000.0}
    return Site(tables, DEVICES, owner, {"battery": battery_pct, "garage": car_pct}, capacity_wh, load_w)


def test_it_lasts_as_long_as_battery_and_car_may_give_and_the_car_can_leave():
    outcome = drill(site())
    usable_wh = 0.93 * (10_000 * 0.45 + 36_000 * 0.25)
    assert outcome.reserve_h == pytest.approx(usable_wh / 1500, rel=0.08)
    assert outcome.autonomy_h == pytest.approx(usable_wh / 1500, rel=0.08)
    assert outcome.dark_h >= outcome.reserve_h
    assert outcome.cars_pct["garage"] >= 24.0
    assert outcome.can_leave["garage"]


def test_car_and_loads_are_off_within_two_seconds():
    shed_s = drill(site()).shed_s
    assert set(shed_s) == {"garage", "boiler"}
    assert max(shed_s.values()) <= 2.0


def test_a_car_that_has_little_is_left_alone():
    outcome = drill(site(car_pct=20.0))
    assert outcome.cars_pct["garage"] == pytest.approx(20.0, abs=0.2)


def test_it_is_told_in_words():
    played = site(battery_pct=30.0, car_pct=15.0)
    lines = told(drill(played), played, ["the house draws 1500 W"])
    assert "without sun, at 1500 W" in lines[0]
    assert "  assumed: the house draws 1500 W" in lines


def test_a_site_without_backup_says_what_is_missing(tmp_path):
    file = tmp_path / "site.toml"
    file.write_text(
        '[site]\nname = "H"\nserial = "S"\ntime_zone = "UTC"\n[grid]\nmain_fuse_a = 25.0\n[devices]\n'
    )
    asked = SimpleNamespace(site=file, load_w=None, battery_pct=None, car_pct=None, json=True)
    with pytest.raises(ConfigError, match=r"^\[backup\]: missing"):
        answer(asked)
