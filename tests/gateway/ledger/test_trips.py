"""What a trip took, learnt at leaving and returning."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gateway.faults import FaultCode
from gateway.ledger.journal import Journal
from gateway.ledger.trips import SHORTEST_S, TripWatch, is_one
from gateway.model import Provenance, Snapshot, VehicleSource, VehicleState, Wishes

START = datetime(2026, 11, 2, 7, 0, tzinfo=UTC)


def seen(
    at,
    plugged,
    soc_pct,
    *,
    told_at=None,
    source=VehicleSource.CHADEMO,
    km=None,
    km_at=None,
    capacity_wh=36_000.0,
):
    told = {
        "soc_pct": Provenance(source, at if told_at is None else told_at),
        "odometer_km": Provenance(VehicleSource.EV_CAN, at if km_at is None else km_at),
    }
    car = VehicleState("garage", plugged, soc_pct, capacity_wh=capacity_wh, odometer_km=km, provenance=told)
    utc = START + timedelta(seconds=at)
    return Snapshot(at, utc, {}, {}, {}, {}, Wishes(), {}, vehicles={"garage": car})


def watched(*snapshots, watch=None):
    watch, trips = watch or TripWatch(), []
    for snapshot in snapshots:
        watch, changed = watch.after(snapshot)
        trips += changed
    return watch, trips


def test_the_energy_of_a_trip_is_what_the_state_of_charge_lost():
    _, trips = watched(
        seen(0, True, 80.0, km=1000.0),
        seen(10, False, 80.0, told_at=0, km=1000.0),
        seen(7200, True, 80.0, told_at=0),
        seen(7210, True, 55.0, km=1062.0),
    )
    left, back = trips
    assert (left.left_at, left.energy_wh) == (START + timedelta(seconds=10), None)
    assert back.energy_wh == pytest.approx(9000.0)
    assert (back.returned_at, back.distance_km) == (START + timedelta(seconds=7200), 62.0)


def test_an_odometer_that_was_last_told_before_the_trip_says_nothing_of_it():
    _, trips = watched(
        seen(0, True, 80.0, km=1000.0),
        seen(10, False, 80.0, km=1000.0),
        seen(7200, True, 55.0, km=1000.0, km_at=0),
    )
    assert (trips[-1].energy_wh, trips[-1].distance_km) == (pytest.approx(9000.0), None)


def test_a_car_charged_elsewhere_comes_back_with_more():
    _, trips = watched(seen(0, True, 50.0), seen(1, False, 50.0), seen(7200, True, 70.0))
    assert trips[-1].energy_wh == pytest.approx(-7200.0)


def test_a_cable_that_was_moved_is_no_trip():
    _, trips = watched(seen(0, True, 50.0), seen(1, False, 50.0), seen(SHORTEST_S, True, 50.0))
    left, back = trips
    assert is_one(left)
    assert not is_one(back)


def test_a_count_does_not_end_a_trip():
    _, trips = watched(
        seen(0, True, 50.0), seen(1, False, 50.0), seen(7200, True, 50.0, source=VehicleSource.ENERGY_COUNT)
    )
    assert len(trips) == 1


def test_a_car_that_leaves_again_before_it_has_told_is_on_the_same_trip():
    _, trips = watched(
        seen(0, True, 50.0),
        seen(1, False, 50.0, told_at=0),
        seen(1000, True, 50.0, told_at=0),
        seen(1010, False, 50.0, told_at=0),
        seen(9000, True, 20.0),
    )
    assert [t.energy_wh for t in trips] == [None, pytest.approx(10_800.0)]


def test_a_restart_on_the_way_forgets_nothing(tmp_path):
    class Faults:
        def fault(self, code, detail):
            assert code is not FaultCode.JOURNAL_UNWRITABLE

        def clear(self, code):
            pass

    path = tmp_path / "journal.sqlite"
    journal = Journal(path, Faults())
    journal.record(seen(0, True, 80.0))
    journal.record(seen(10, False, 80.0, told_at=0))
    assert journal.last_trips()["garage"].returned_at is None
    journal.close()
    again = Journal(path, Faults())
    again.record(seen(5000, False, None))
    again.record(replace(seen(7200, True, 60.0)))
    assert again.last_trips()["garage"].energy_wh == pytest.approx(7200.0)
    assert [t.returned_soc_pct for t in again.trips("garage", 10)] == [60.0]
    again.record(seen(7300, False, 60.0, told_at=7200))
    again.record(seen(7310, True, 60.0))
    assert again.last_trips()["garage"].returned_soc_pct == 60.0  # a moved cable is forgotten
    assert len(again.trips(None, 10)) == 1
    again.close()
