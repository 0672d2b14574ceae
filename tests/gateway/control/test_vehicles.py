"""One car out of all who tell of it."""

from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.control.vehicles import COUNT_AT_MOST_PCT, follow, judged
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    EvSample,
    EvseSample,
    EvseState,
    Interval,
    Snapshot,
    VehicleSample,
    VehicleSource,
    Wishes,
)
from tests.gateway.control.conftest import UTC_NOW

CAPACITY_WH = 36_000.0


@dataclass
class Drive:
    """A site with one charger and its car, tick by tick."""

    driver: str = "evse.chademo"
    now: float = 0.0
    cars: dict = field(default_factory=dict)
    ev: EvSample | None = None
    other_ev: EvSample | None = None

    def tick(self, sample, seconds=1.0):
        self.now += seconds
        infos = {
            "garage": DeviceInfo(
                "garage", DeviceKind.EVSE, "Leaf", self.driver, rated=Interval(-6000, 6000), phases=(1,)
            ),
            "leaf": DeviceInfo("leaf", DeviceKind.VEHICLE, "Leaf", "vehicle.leaf", charger="garage"),
        }
        infos["other"] = replace(infos["leaf"], id="other")
        told = {"leaf": self.ev, "other": self.other_ev}
        evs = {device: replace(ev, at=self.now) if ev else None for device, ev in told.items()}
        evses = {"garage": replace(sample, at=self.now) if sample else None}
        told = Snapshot(self.now, UTC_NOW, infos, {}, {}, evses, Wishes(), {}, evs=evs)
        self.cars = follow(self.cars, told)
        return judged(told, self.cars)

    def car(self, sample, seconds=1.0):
        return self.tick(sample, seconds).vehicles["garage"]


def charger(soc_pct=None, power_w=0.0, state=EvseState.READY, plugged=True, capacity_wh=CAPACITY_WH):
    vehicle = VehicleSample(soc_pct=soc_pct, capacity_wh=capacity_wh) if plugged else None
    return EvseSample(0.0, state, plugged, power_w, 6000.0, 6000.0, 400.0, power_w / 400.0, vehicle)


GONE = charger(state=EvseState.UNPLUGGED, plugged=False)


def test_what_the_charger_tells_in_a_session_is_the_car_and_names_its_source():
    car = Drive().car(charger(62.0))
    assert (car.soc_pct, car.soc_doubt, car.plugged) == (62.0, "", True)
    assert car.provenance["soc_pct"].source is VehicleSource.CHADEMO


def test_a_charger_of_another_make_is_named_as_such():
    car = Drive(driver="evse.quasar").car(charger(62.0))
    assert car.provenance["soc_pct"].source is VehicleSource.CHARGER


@pytest.mark.parametrize("wrong", [0.0, 1.0, 99.0])
def test_a_leap_is_held_in_the_snapshot_that_control_sees(wrong):
    drive = Drive()
    drive.tick(charger(62.0))
    snapshot = drive.tick(charger(wrong))
    assert snapshot.evses["garage"].vehicle.soc_pct == 62.0
    assert f"{wrong:g} %" in snapshot.vehicles["garage"].soc_doubt


def test_a_leap_that_stays_for_a_minute_is_believed():
    drive = Drive()
    drive.tick(charger(62.0))
    for _ in range(59):
        assert drive.car(charger(40.0)).soc_pct == pytest.approx(62.0)
    for _ in range(3):
        car = drive.car(charger(40.0))
    assert (car.soc_pct, car.soc_doubt) == (40.0, "")


def test_a_car_that_comes_back_may_have_any_state_of_charge():
    drive = Drive()
    drive.tick(charger(62.0))
    away = drive.car(GONE, 3600)
    assert (away.plugged, away.soc_pct) == (False, 62.0)
    assert drive.car(charger(31.0)).soc_pct == 31.0


def test_away_its_age_shows():
    drive = Drive()
    told_at = drive.car(charger(62.0)).provenance["soc_pct"].at
    assert drive.car(GONE, 3600).provenance["soc_pct"].at == told_at


def test_a_blind_charger_is_counted_on():
    drive = Drive(driver="evse.quasar")
    drive.tick(charger(50.0))
    for _ in range(1800):
        car = drive.car(charger(None, power_w=-3600.0))
    assert car.soc_pct == pytest.approx(50.0 - 5.0, abs=0.1)
    assert car.provenance["soc_pct"].source is VehicleSource.ENERGY_COUNT


def test_counting_alone_is_believed_only_so_far():
    drive = Drive(driver="evse.quasar")
    drive.tick(charger(80.0))
    for _ in range(int(COUNT_AT_MOST_PCT / 100 * CAPACITY_WH) + 60):
        car = drive.car(charger(None, power_w=-3600.0))
    assert car.soc_pct is None


def test_without_a_first_word_nothing_is_known():
    assert Drive().car(charger(None, power_w=3600.0)).soc_pct is None


def test_the_cars_own_bus_speaks_where_the_charger_is_silent_and_scales_are_not_mixed():
    drive = Drive(driver="evse.quasar", ev=EvSample(0.0, awake=True, dash_soc_pct=53.0, lbc_soc_pct=58.4))
    car = drive.car(charger(None))
    assert (car.soc_pct, car.provenance["soc_pct"].source) == (53.0, VehicleSource.EV_CAN)


def test_chademo_goes_before_the_cars_own_bus_but_not_while_it_lies_for_a_minute():
    drive = Drive(ev=EvSample(0.0, awake=True, dash_soc_pct=53.0))
    assert drive.car(charger(51.0)).soc_pct == 51.0
    lied_to = [drive.car(charger(0.0)) for _ in range(60)]
    assert (lied_to[0].soc_pct, lied_to[0].provenance["soc_pct"].source) == (51.0, VehicleSource.CHADEMO)
    assert (lied_to[-1].soc_pct, lied_to[-1].provenance["soc_pct"].source) == (53.0, VehicleSource.EV_CAN)
    assert lied_to[-1].soc_doubt


def test_a_charger_that_falls_silent_now_and_then_makes_no_flutter_between_scales():
    drive = Drive(ev=EvSample(0.0, awake=True, dash_soc_pct=53.0))
    told = [charger(51.0), charger(None), charger(0.0), None]
    shown = [drive.car(told[n % 4], 0.1).soc_pct for n in range(400)]
    assert set(shown) == {51.0}


@pytest.mark.parametrize("back", [charger(None), charger(62.0, state=EvseState.PLUGGED)])
def test_what_a_car_had_before_its_trip_is_not_what_it_has_after_it(back):
    drive = Drive(driver="evse.quasar")
    drive.tick(charger(62.0))
    drive.tick(GONE, 3600)
    snapshot = drive.tick(back)
    assert snapshot.vehicles["garage"].soc_pct is None
    assert snapshot.evses["garage"].vehicle.soc_pct is None
    assert drive.car(charger(None, power_w=3000.0), 60).soc_pct is None


@pytest.mark.parametrize("gap", [None, GONE])
def test_a_car_that_was_out_of_sight_for_long_may_be_another_but_not_after_a_flicker(gap):
    drive = Drive()
    drive.tick(charger(62.0))
    for _ in range(10):
        assert drive.car(gap).soc_pct == 62.0
    assert drive.car(charger(None)).soc_pct == 62.0
    for _ in range(20):
        assert drive.car(gap).soc_pct == 62.0
    assert drive.car(charger(None)).soc_pct is None
    assert drive.car(charger(31.0)).soc_pct == 31.0


def test_a_first_generation_car_is_known_by_its_energy():
    ev = EvSample(0.0, awake=True, generation="ZE0", energy_wh=8880.0, capacity_wh=24_000.0)
    assert Drive(driver="evse.quasar", ev=ev).car(None).soc_pct == pytest.approx(37.0)


def test_a_newer_car_that_falls_asleep_is_not_taken_for_its_share_of_energy():
    ev = EvSample(0.0, awake=True, generation="AZE0", energy_wh=20_400.0, capacity_wh=37_800.0)
    drive = Drive(driver="evse.quasar", ev=replace(ev, dash_soc_pct=53.0))
    drive.tick(charger(None))
    drive.ev = ev
    assert drive.car(charger(None)).soc_pct == 53.0


def test_a_car_that_is_heard_on_both_of_its_buses_is_one_car():
    drive = Drive(
        driver="evse.quasar",
        ev=EvSample(0.0, awake=True, odometer_km=48_000.0),
        other_ev=EvSample(0.0, awake=True, dash_soc_pct=53.0, capacity_wh=37_800.0),
    )
    car = drive.car(charger(None))
    assert (car.soc_pct, car.odometer_km, car.capacity_wh) == (53.0, 48_000.0, 37_800.0)


def test_the_cars_own_facts_stay_known_while_it_sleeps():
    drive = Drive(ev=EvSample(0.0, awake=True, soh_pct=94.0, aux_voltage_v=12.6, capacity_wh=37_800.0))
    drive.tick(charger(60.0))
    drive.ev = None
    car = drive.car(charger(60.0))
    assert (car.soh_pct, car.aux_voltage_v) == (94.0, 12.6)
    assert car.provenance["soh_pct"].at == 1.0


def test_a_charger_that_repeats_its_last_word_does_not_make_it_fresh():
    drive = Drive()
    told_at = drive.car(charger(62.0)).provenance["soc_pct"].at
    car = drive.car(charger(62.0, state=EvseState.PLUGGED), 10)
    assert (car.soc_pct, car.provenance["soc_pct"].at) == (62.0, told_at)


def test_a_silent_charger_leaves_the_car_as_it_was():
    drive = Drive()
    before = drive.car(charger(62.0))
    assert drive.car(None) == before


@given(
    st.lists(
        st.tuples(
            st.one_of(st.none(), st.floats(-10, 200)),
            st.sampled_from(EvseState),
            st.booleans(),
            st.floats(-7000, 7000),
            st.floats(0.01, 100),
        ),
        max_size=30,
    )
)
def test_whatever_is_told_the_car_has_a_possible_state_of_charge(told):
    drive = Drive()
    for soc_pct, state, plugged, power_w, seconds in told:
        car = drive.car(charger(soc_pct, power_w, state, plugged), seconds)
        assert car.soc_pct is None or 0.0 <= car.soc_pct <= 100.0
