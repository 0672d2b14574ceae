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
