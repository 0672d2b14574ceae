"""What the house draws, as it is seen through a grid meter behind devices that follow, or do not."""

from datetime import UTC, datetime

import pytest

from gateway.control.balance import House, follow
from gateway.faults import FaultCode
from gateway.model import (
    ZERO,
    ActiveFault,
    Decision,
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    MeterSample,
    Reason,
    Rung,
    Snapshot,
    Wishes,
)

UTC_NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
INFOS = {
    "grid": DeviceInfo("grid", DeviceKind.METER, "Grid", "meter", MeterRole.GRID),
    "garage": DeviceInfo("garage", DeviceKind.EVSE, "Garage", "evse", phases=(1,)),
}


def base_w(code, decided_w):
    """House of 6,500 W, and a car that discharges 6,000 W whatever it is told."""
    house = House()
    faults = (ActiveFault(code, "garage", UTC_NOW, ""),) if code else ()
    reason = Reason(Rung.OWNER_REQUEST, "pause")
    for number in range(50):
        at = 100.0 + 0.1 * number
        meter = MeterSample(at, 500.0, (500.0, 0.0, 0.0), (230.0,) * 3, (2.2, 0.0, 0.0))
        car = EvseSample(at, EvseState.READY, True, -6000.0, 6000.0, 6000.0)
        decision = Decision("garage", at, UTC_NOW, decided_w, decided_w, ZERO, reason)
        house = follow(
            house,
            Snapshot(
                at,
                UTC_NOW,
                INFOS,
                {"grid": meter},
                {},
                {"garage": car},
                Wishes(),
                {"garage": decision},
                faults=faults,
            ),
        )
    return house.balance.base_w


@pytest.mark.parametrize("code", [FaultCode.DEVICE_REFUSED, FaultCode.DEVICE_UNREACHABLE])
def test_a_charger_that_does_not_hear_of_its_end_is_a_part_of_the_house(code):
    assert base_w(code, 0.0) == pytest.approx(500.0)


@pytest.mark.parametrize(("code", "decided_w"), [(None, 0.0), (FaultCode.DEVICE_REFUSED, -6000.0)])
def test_one_that_follows_is_not(code, decided_w):
    assert base_w(code, decided_w) == pytest.approx(6500.0)


def heard(house, at, grid_w, car_w, car_at, arriving_w):
    """Return the house after a grid sample of ``at``, and a car that was heard at ``car_at``."""
    meter = MeterSample(at, grid_w, (grid_w, 0.0, 0.0), (230.0,) * 3, (abs(grid_w) / 230.0, 0.0, 0.0))
    car = EvseSample(car_at, EvseState.READY, True, car_w, 6000.0, 6000.0)
    return follow(
        house,
        Snapshot(at, UTC_NOW, INFOS, {"grid": meter}, {}, {"garage": car}, Wishes(), {}),
        {"garage": arriving_w},
        {"garage": Interval(min(car_w, arriving_w), max(car_w, arriving_w))},
    )


def rested():
    """A house of 2,200 W, and a car that charges 6,000 W."""
    house = House()
    for number in range(10):
        house = heard(house, 100.0 + number, 8200.0, 6000.0, 100.0 + number, 6000.0)
    assert house.balance.high_phase_w[0] == pytest.approx(2200.0)
    return house


def test_a_car_that_the_meter_sees_move_before_it_says_so_moves_no_limit():
    house = heard(rested(), 110.0, 6600.0, 6000.0, 109.5, 4000.0)
    assert house.balance.high_phase_w[0] == pytest.approx(2200.0)
    assert house.balance.low_phase_w[0] == pytest.approx(2200.0)


def test_a_load_beyond_what_the_car_can_have_done_counts_at_once():
    house = heard(rested(), 110.0, 9700.0, 6000.0, 109.5, 4000.0)
    assert house.balance.high_phase_w[0] == pytest.approx(3700.0)


def test_once_the_car_rests_the_newest_sample_is_the_truth():
    house = heard(rested(), 110.0, 6600.0, 6000.0, 109.5, 4000.0)
    house = heard(house, 112.0, 4500.0, 4000.0, 111.5, 4000.0)
    house = heard(house, 114.0, 4500.0, 4000.0, 113.5, 4000.0)
    assert house.balance.high_phase_w[0] == pytest.approx(500.0)
