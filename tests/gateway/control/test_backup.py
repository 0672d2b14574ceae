"""A house without a grid: who is stopped, who helps, who keeps what, and how it comes back. By monotonic time alone."""

from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import pairwise
from types import SimpleNamespace

import pytest

from gateway.config import BackupTable, CircuitTable, ControlTables
from gateway.control.circuits import expanded
from gateway.control.dispatch import dispatch
from gateway.control.envelope import admit
from gateway.control.loop import Loop
from gateway.control.memory import Memory, advance, recalled
from gateway.control.site_limits import FUSE_MARGIN
from gateway.faults import FaultCode
from gateway.model import (
    BackupPhase,
    DeviceInfo,
    DeviceKind,
    Excursions,
    GridWindow,
    Interval,
    LoadSample,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Remembered,
    Request,
    RequestMode,
    WindowKind,
    Wishes,
)
from gateway.state import SiteState
from tests.gateway.control.conftest import GRID, UTC_NOW, House

TABLE = BackupTable(continuous_w=5000.0, reconnect_s=30.0, shed_order=("boiler", "pump"))
TABLES = ControlTables(GRID, backup=TABLE, serial="S")
LOADS = {
    "boiler": DeviceInfo("boiler", DeviceKind.LOAD, "Boiler", "l", rated=Interval(0, 2000), phases=(2,)),
    "pump": DeviceInfo("pump", DeviceKind.LOAD, "Pump", "l", rated=Interval(0, 1500), phases=(3,)),
}
ROOF = DeviceInfo("roof", DeviceKind.METER, "Roof", "m", MeterRole.PV)


@dataclass
class Home:
    """A house that lives tick by tick; ``carried_w`` is what its inverter gives in the island."""

    house: House = field(default_factory=House)
    memory: Memory = field(default_factory=Memory)
    tables: ControlTables = TABLES
    islanded: bool | None = False
    voltage_v: float = 230.0
    carried_w: float = 800.0
    loads_on: bool = True
    utc_shift: timedelta = timedelta()
    silent: bool = False
    sun_w: float = 0.0
    decisions: dict = field(default_factory=dict)
    snapshot: object = None

    def tick(self, seconds=0.1):
        self.house.at += seconds
        self.house.decisions = self.decisions
        if self.islanded:
            self.house.battery_w = -self.carried_w
        told = self.house.snapshot()
        at = self.house.at
        dead = MeterSample(at, 0.0, (0.0,) * 3, (0.0,) * 3, (0.0,) * 3, 0.0)
        lives = replace(told.meters["grid"], phase_voltage_v=(self.voltage_v,) * 3)
        grid = None if self.silent else dead if self.voltage_v == 0 else lives
        battery = replace(told.storages["battery"], islanded=self.islanded)
        told = replace(
            told,
            utc=UTC_NOW + self.utc_shift + timedelta(seconds=at),
            devices={
                **told.devices,
                **LOADS,
                "roof": ROOF,
                "battery": replace(told.devices["battery"], islands=True),
            },
            meters={"grid": grid, "roof": MeterSample(at, -self.sun_w, *((0.0,) * 3,) * 3)},
            storages={"battery": battery},
            loads={d: LoadSample(at, self.loads_on) for d in LOADS},
        )
        self.memory, self.snapshot = advance(self.memory, told, self.tables)
        self.decisions = {d.device: d for d in self.dispatched().decisions}
        return self

    def dispatched(self):
        circuits = expanded(self.tables.circuits, self.snapshot.devices)
        return dispatch(self.snapshot, self.tables, self.memory.balance, circuits)

    def run(self, seconds, step=0.5):
        for _ in range(round(seconds / step)):
            self.tick(step)
        return self

    def lose(self):
        self.voltage_v, self.islanded = 0.0, True
        return self.tick()

    def restore(self):
        self.voltage_v, self.islanded = 230.0, False
        self.house.battery_w = 0.0
        return self.tick()

    @property
    def status(self):
        return self.snapshot.control.backup

    def power_w(self, device):
        return self.decisions[device].power_w

    def faults(self):
        return self.dispatched().faults


@pytest.fixture
def home():
    lived = Home()
    lived.house.settings("garage", drive_away_soc_pct=20.0)
    return lived.run(2)


def charging(home):
    later = UTC_NOW + timedelta(days=1)
    wish = Request("r", "garage", RequestMode.CHARGE, later)
    home.house.wishes = replace(home.house.wishes, requests=(wish,))
    home.run(2)
    assert home.power_w("garage") > 3000
    home.house.car_w = home.power_w("garage")
    return home


def test_the_car_and_the_loads_go_at_the_first_look_although_the_owner_asked_for_charging(home):
    charging(home).lose()
    assert home.status.phase is BackupPhase.ISLANDED
    assert home.power_w("garage") == 0.0
    assert home.decisions["garage"].limited_by.code == "island_shed"
    assert not home.decisions["boiler"].engage
    assert not home.decisions["pump"].engage
    assert set(home.status.shed) == {"garage", "boiler", "pump"}
    assert FaultCode.GRID_LOST in home.faults()


def test_nothing_is_ordered_of_the_inverter_that_carries_the_house(home):
    home.lose().run(5)
    assert home.power_w("battery") == 0.0
    assert home.decisions["battery"].reason.code == "islanded"


def test_a_silent_meter_changes_nothing_in_an_island_and_is_no_fault_of_its_own(home):
    home.silent = True
    home.lose().run(10)
    assert home.status.phase is BackupPhase.ISLANDED
    assert FaultCode.GRID_METER_STALE not in home.faults()


def test_the_car_is_charged_from_surplus_sun_alone_once_the_battery_is_nearly_full(home):
    home.house.battery_soc_pct, home.carried_w = 80.0, -3000.0
    home.lose().run(10)
    assert home.power_w("garage") == 0.0
    home.house.battery_soc_pct = 96.0
    home.tick()
    assert 2000 < home.power_w("garage") < 3000
    home.carried_w = 500.0  # a cloud
    home.tick()
    assert home.power_w("garage") == 0.0


@pytest.mark.parametrize("silent", [True, False])
def test_the_fuse_of_a_circuit_holds_in_an_island_with_no_grid_meter_to_help(home, silent):
    garage = CircuitTable(fuse_a=8.0, devices=("garage",), other_load_a=2.0)
    home.tables = replace(TABLES, circuits={"garage": garage})
    home.house.battery_soc_pct, home.carried_w, home.silent = 96.0, -3000.0, silent
    home.lose().run(10)
    assert home.power_w("garage") == pytest.approx((8.0 * FUSE_MARGIN - 2.0) * 230.0)
    limiter = home.decisions["garage"].limited_by
    assert (limiter.code, limiter.source) == ("circuit_l1", "garage")
    home.house.battery_soc_pct, home.carried_w = (
        45.0,
        4900.0,
    )  # it helps, and gives no more than the fuse bears
    home.house.car_w = 0.0
    home.run(10)
    assert -8.0 * 230.0 * FUSE_MARGIN - 1.0 <= home.power_w("garage") < -500.0


def test_loads_come_back_one_by_one_from_the_end_of_the_order_while_there_is_sun_and_go_without(home):
    home.house.battery_soc_pct, home.carried_w, home.house.plugged = 96.0, -3000.0, False
    home.lose().run(19)
    assert not home.decisions["pump"].engage
    home.run(4)
    assert home.decisions["pump"].engage
    assert not home.decisions["boiler"].engage
    home.run(21)
    assert home.decisions["boiler"].engage
    home.carried_w = 4500.0  # more than 80 % of what the inverter carries
    home.tick()
    assert not home.decisions["boiler"].engage
    assert home.decisions["pump"].engage
    home.house.battery_soc_pct = 87.0
    home.tick()
    assert not home.decisions["pump"].engage


def test_the_car_helps_a_battery_that_has_little_and_keeps_what_it_needs_to_drive_away(home):
    home.house.battery_soc_pct, home.house.car_soc_pct = 45.0, 24.0
    home.lose().run(5)
    assert home.power_w("garage") == pytest.approx(-650.0)
    assert home.decisions["garage"].reason.code == "island_support"
    admitted = admit(home.decisions["garage"], None, home.snapshot, 10.0)
    assert admitted.power_w < 0
    home.house.car_soc_pct = 20.0
    home.run(200)
    assert home.power_w("garage") == 0.0


def test_the_car_goes_below_the_owners_floor_in_a_blackout_but_not_where_he_forbids_discharge(home):
    home.house.settings("garage", floor_soc_pct=70.0)
    home.house.battery_soc_pct = 45.0
    assert home.lose().run(2).power_w("garage") < 0
    home.house.settings("garage", discharge_allowed=False)
    assert home.run(2).power_w("garage") == 0.0


def test_the_car_helps_an_inverter_that_carries_too_much(home):
    home.carried_w = 4600.0
    home.lose().run(2)
    assert home.power_w("garage") < -500
    home.house.plugged = False
    home.run(20)
    assert home.status.overloaded
    assert FaultCode.BACKUP_OVERLOADED in home.faults()


def test_a_silent_meter_admits_discharge_in_an_island_alone(home):
    home.house.battery_soc_pct = 45.0
    home.silent = True
    home.lose().run(2)
    wanted = home.decisions["garage"]
    assert admit(wanted, None, home.snapshot, 10.0).power_w < 0
    grid = replace(home.snapshot, control=replace(home.snapshot.control, backup=type(home.status)()))
    assert admit(wanted, None, grid, 10.0).power_w == 0.0


def test_at_the_reserve_everything_is_off_and_said(home):
    home.lose()
    home.house.battery_soc_pct, home.house.plugged = 5.0, False
    home.tick()
    assert home.status.phase is BackupPhase.RESERVE
    assert FaultCode.BACKUP_LOW in home.faults()
    assert {"boiler", "pump"} <= set(home.status.shed)


def test_in_the_dark_a_restart_is_tried_each_hour_for_six_minutes_and_sooner_when_the_sun_shows(home):
    home.lose()
    home.islanded = None
    home.run(2)
    assert home.status.phase is BackupPhase.DARK
    assert FaultCode.BACKUP_DARK in home.faults()
    tries = []
    for _ in range(0, 9000, 30):
        home.tick(30)
        tries.append(home.decisions["battery"].engage)
    starts = [n for n in range(1, len(tries)) if tries[n] and not tries[n - 1]]
    assert len(starts) == 2
    assert sum(tries) * 30 == pytest.approx(2 * 360, abs=90)


def test_it_comes_back_by_itself_after_a_steady_grid_and_slowly(home):
    home.lose().run(5)
    home.restore()
    assert home.status.phase is BackupPhase.RESYNC
    assert home.power_w("battery") == home.power_w("garage") == 0.0
    home.run(29)
    assert home.status.phase is BackupPhase.RESYNC
    home.run(65)
    assert home.status.phase is BackupPhase.GRID
    assert home.decisions["boiler"].engage
    assert home.decisions["battery"].interval.max_w < 1500
    assert home.run(600).status.bounds == {}


def test_the_clock_may_jump(home):
    charging(home)
    home.utc_shift = timedelta(days=-400)
    home.lose()
    assert home.power_w("garage") == 0.0
    home.utc_shift = timedelta(hours=7)
    home.restore()
    home.utc_shift = timedelta(days=-1)
    assert home.run(29).status.phase is BackupPhase.RESYNC
    assert home.run(65).status.phase is BackupPhase.GRID


def test_a_restart_in_a_blackout_goes_on_where_it_was(home):
    home.lose()
    home.memory = recalled(Remembered(backup_phase=BackupPhase.ISLANDED))
    home.restore()
    assert home.status.phase is BackupPhase.RESYNC


def test_a_utilitys_dispatch_does_nothing_while_there_is_no_grid(home):
    call = GridWindow(WindowKind.DISPATCH, -4000.0, UTC_NOW, UTC_NOW + timedelta(days=1), "e", "u")
    home.house.wishes = replace(home.house.wishes, windows=(call,))
    home.lose().run(2)
    assert home.power_w("battery") == home.power_w("garage") == 0.0


def test_before_a_storm_everything_is_charged_and_nothing_is_sold(home):
    call = GridWindow(WindowKind.DISPATCH, -4000.0, UTC_NOW, UTC_NOW + timedelta(days=1), "e", "u")
    owner = replace(home.house.wishes.owner, storm_until=UTC_NOW + timedelta(days=1))
    home.house.wishes = replace(home.house.wishes, owner=owner, windows=(call,))
    home.run(2)
    assert home.status.storm
    assert home.power_w("battery") > 0
    assert home.power_w("garage") > 0
    assert home.decisions["battery"].reason.code == "storm"
    home.house.battery_soc_pct, home.house.car_soc_pct = 100.0, 95.0
    home.run(120)
    assert home.power_w("battery") >= 0
    assert home.power_w("garage") >= 0


def test_hours_of_autonomy_count_what_may_be_used_and_the_house_without_its_loads(home):
    home.house.load_w = 4500.0  # two loads of 3500 W among it
    home.run(1200)
    battery_wh = 10_000 * (60 - 5) / 100
    car_wh = 36_000 * (60 - 20) / 100
    assert home.status.autonomy_h == pytest.approx(0.93 * (battery_wh + car_wh) / 1000.0, rel=0.1)


def test_a_leg_bears_no_more_than_its_share(home):
    home.tables = replace(TABLES, backup=replace(TABLE, leg_w=2000.0))
    home.house.battery_soc_pct, home.carried_w = 96.0, -4500.0
    home.lose().tick()
    assert 0 < home.power_w("garage") <= 1600.0


def test_a_site_without_a_backup_table_stops_its_cars_all_the_same(home):
    home.tables = ControlTables(GRID)
    charging(home).lose()
    assert home.power_w("garage") == 0.0


def test_the_owners_stop_outranks_all_of_it(home):
    home.house.wishes = replace(home.house.wishes, owner=OwnerSettings(control_on=True, stopped=True))
    home.house.battery_soc_pct = 45.0
    home.lose().run(2)
    assert home.power_w("garage") == 0.0


def test_a_car_that_relieves_the_inverter_goes_on_until_the_house_draws_less(home):
    home.house.battery_soc_pct = 90.0
    house_w, powers_w = 4600.0, []
    home.lose()
    for _ in range(300):
        home.house.car_w = home.power_w("garage")
        home.carried_w = house_w + home.house.car_w
        powers_w.append(home.tick().power_w("garage"))
    assert all(p < -500 for p in powers_w[2:])
    house_w = 3000.0
    for _ in range(20):
        home.house.car_w = home.power_w("garage")
        home.carried_w = house_w + home.house.car_w
        home.tick()
    assert home.power_w("garage") == 0.0


def test_at_the_reserve_the_sun_is_the_batterys_and_no_cars(home):
    home.house.battery_soc_pct, home.carried_w = 5.0, -2000.0
    home.lose().run(5)
    assert home.status.phase is BackupPhase.RESERVE
    assert home.power_w("garage") == 0.0
    bound = home.status.bounds["garage"]
    assert bound.interval.min_w <= bound.interval.max_w


def test_a_full_battery_gives_no_load_back_at_night(home):
    home.house.battery_soc_pct, home.carried_w, home.house.plugged = 100.0, 600.0, False
    home.lose().run(300)
    assert not home.decisions["pump"].engage
    assert not home.decisions["boiler"].engage


def test_in_the_dark_the_inverter_is_asked_anew_every_five_minutes_of_sun(home):
    home.sun_w = 400.0
    home.lose()
    home.islanded = None
    home.run(2)
    engaged = [home.tick(1).decisions["battery"].engage for _ in range(3600)]
    asked = sum(now and not before for before, now in pairwise(engaged))
    assert asked == pytest.approx(12, abs=1)


def test_an_export_that_is_locked_out_keeps_no_car_from_helping_where_there_is_no_grid(home):
    until = UTC_NOW + timedelta(hours=3)
    locked = Remembered(excursions=Excursions(locked_until=until), as_of=UTC_NOW)
    home.memory = recalled(locked)
    home.tables = replace(TABLES, grid=replace(GRID, exports_locked_out=True))
    home.house.battery_soc_pct = 45.0
    assert home.run(2).decisions["garage"].interval.min_w == 0.0
    assert home.lose().run(2).power_w("garage") < 0
    home.restore()
    assert home.power_w("garage") == 0.0


def test_an_alert_of_the_utility_is_a_storm_as_the_owners_own(home):
    alert = GridWindow(WindowKind.STORM, 1.0, UTC_NOW, UTC_NOW + timedelta(days=1), "e", "u")
    home.house.wishes = replace(home.house.wishes, windows=(alert,))
    home.run(1)
    assert home.status.storm
    assert home.decisions["battery"].reason.code == "storm"


def test_what_a_storm_wishes_is_no_more_than_the_device_can(home):
    owner = replace(home.house.wishes.owner, storm_until=UTC_NOW + timedelta(days=1))
    home.house.wishes = replace(home.house.wishes, owner=owner)
    home.run(2)
    assert home.decisions["battery"].wanted_w == 5000.0


def test_a_car_follows_the_sun_also_where_its_charger_tells_no_current(home):
    home.house.battery_soc_pct = 96.0
    home.lose()
    powers_w = []
    for _ in range(100):
        home.house.car_w = home.power_w("garage")
        home.carried_w = -2500.0 + home.house.car_w
        powers_w.append(home.tick().power_w("garage"))
    assert all(p == pytest.approx(2350.0, abs=20.0) for p in powers_w[2:])


@pytest.mark.parametrize("control_on", [False, True])
def test_while_it_observes_a_lost_grid_moves_neither_battery_nor_car_nor_load(home, control_on):
    told = home.lose().run(2).snapshot
    state, orders = SiteState(told.devices.values(), lambda: told.utc), []
    state.wishes = Wishes(OwnerSettings(control_on=control_on, storm_until=told.utc + timedelta(days=1)))
    for slot, sample in {**told.meters, **told.storages, **told.evses, **told.loads}.items():
        state.slot(slot).sample(sample)
    relay = SimpleNamespace(apply=orders.append)
    loop = Loop(state, TABLES, dict.fromkeys(told.devices, relay), monotonic=lambda: told.at)
    loop.tick(told.at)
    assert state.control.backup.phase is BackupPhase.ISLANDED
    assert bool(orders) == control_on


def follows(home, sun_w, seconds, step=1.0):
    """Let the car do what it is told 4 s later, with ``sun_w`` above what the house draws; return its powers, tick by tick."""
    told_w, powers_w = [0.0] * round(4 / step), []
    for _ in range(round(seconds / step)):
        told_w.append(home.power_w("garage"))
        home.house.car_w = told_w.pop(0)
        home.carried_w = home.house.car_w - sun_w(home.house.car_w)
        powers_w.append(home.tick(step).power_w("garage"))
    return powers_w


def test_a_car_is_offered_the_sun_that_a_full_battery_holds_back(home):
    home.house.battery_soc_pct, home.carried_w = 99.0, 0.0
    home.lose()
    powers_w = follows(home, lambda car_w: min(car_w, 2000.0), 120)
    assert powers_w[-1] == pytest.approx(2000.0, abs=400.0)


def test_without_a_sun_to_come_up_the_trial_of_it_is_short_and_rare(home):
    home.house.battery_soc_pct, home.carried_w = 99.0, 0.0
    home.lose()
    powers_w = follows(home, lambda _: 0.0, 3600)
    starts = sum(now > 0 and not before for before, now in pairwise(powers_w))
    assert starts <= 2
    assert sum(powers_w) / 3600 < 30.0  # Wh, out of the battery


def test_a_car_near_its_least_does_not_flutter_with_the_sun(home):
    home.house.battery_soc_pct = 96.0
    home.lose()
    suns_w = iter([*([900.0] * 20), *([320.0, 420.0] * 300)])
    powers_w = follows(home, lambda _: next(suns_w), 300)
    assert all(p > 0 for p in powers_w[2:])
    suns_w = iter([280.0, 620.0] * 1800)
    powers_w = follows(home, lambda _: next(suns_w), 3600)
    assert sum(now > 0 and not before for before, now in pairwise(powers_w)) <= 2


def test_a_car_that_is_plugged_in_anew_need_not_rest(home):
    home.house.battery_soc_pct, home.carried_w = 96.0, -3000.0
    assert home.lose().run(5).power_w("garage") > 2000.0
    home.carried_w = 500.0
    home.run(5).carried_w = -3000.0
    assert home.run(60).power_w("garage") == 0.0
    home.house.plugged = False
    home.run(2).house.plugged = True
    assert home.run(2).power_w("garage") > 2000.0


def test_a_load_that_was_given_back_goes_when_the_sun_does_and_rests(home):
    home.house.battery_soc_pct, home.carried_w, home.house.plugged = 96.0, -3000.0, False
    home.lose().run(22)
    assert home.decisions["pump"].engage
    home.carried_w = 1200.0
    assert home.run(50).decisions["pump"].engage
    assert not home.run(15).decisions["pump"].engage
    home.carried_w = -3000.0
    assert not home.run(1500).decisions["pump"].engage
    assert home.run(300).decisions["pump"].engage


@pytest.mark.parametrize(("voltage_v", "draws"), [(258.0, True), (190.0, False)])
def test_a_grid_that_comes_back_outside_its_window_is_told_and_only_drawn_from_when_it_is_high(
    home, voltage_v, draws
):
    charging(home).lose().run(5)
    home.restore()
    home.voltage_v = voltage_v
    home.run(20)
    assert home.power_w("garage") == 0.0
    assert FaultCode.GRID_LOST not in home.faults()
    home.run(100)
    assert home.status.phase is BackupPhase.RESYNC
    assert FaultCode.GRID_LOST in home.faults()
    assert (home.power_w("garage") > 3000.0) == draws
    assert home.decisions["boiler"].engage == draws
    assert home.decisions["battery"].interval.min_w == 0.0
    home.voltage_v = 230.0
    home.run(100)
    assert home.status.phase is BackupPhase.GRID
