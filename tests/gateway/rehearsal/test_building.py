"""A car park below an office, on a virtual clock: the real loop, and sessions that can be met."""

import pytest

from tests.bench.building import play
from tests.bench.car_park import SLOT_S, Session, least_peak_w

HOUR_S = 3600.0


def car_park(count: int) -> list[Session]:
    """Arrivals over twenty minutes, stays of one to two hours, 1.5 to 4 kWh each."""
    return [
        Session(
            bay=n,
            arrives_s=60.0 * (n % 20),
            leaves_s=60.0 * (n % 20) + HOUR_S * (1.0 + n * 7 % 11 / 10),
            energy_wh=1500.0 + 250.0 * (n * 3 % 11),
        )
        for n in range(count)
    ]


def test_the_peak_is_held_every_car_leaves_with_what_it_needs_and_no_board_is_overloaded():
    cars = car_park(14)
    office_w = [12_000.0 + 2_000.0 * (slot % 3) for slot in range(10)]
    target_w = 1.1 * least_peak_w(cars, office_w)
    day = play(cars, office_w, target_w)
    assert day.peak_w <= 1.005 * target_w
    assert (day.short, day.least_share) == (0, pytest.approx(1.0, abs=0.02))
    assert day.longest_over_s <= 5.0
    assert day.fairness > 0.99


def test_cars_with_time_give_what_the_office_draws_over_its_target():
    cars = [Session(n, 0.0, 4 * HOUR_S, 2000.0) for n in range(10)]
    office_w = [20_000.0] * 2 + [45_000.0] + [20_000.0] * 3
    day = play(cars, office_w, target_w=38_000.0)
    assert day.peak_w <= 1.005 * 38_000.0
    assert SLOT_S * len(office_w) < 4 * HOUR_S
