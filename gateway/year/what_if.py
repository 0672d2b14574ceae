"""Pure: the same year with one thing changed."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from gateway.tariff_tables import TariffTable
from gateway.year.driving import Habit
from gateway.year.record import Record
from gateway.year.study import Study
from gateway.year.tariff import TARIFFS, under


@dataclass(frozen=True, slots=True, eq=False)
class Variant:
    """One line of the list."""

    name: str
    study: Study


def variants(study: Study, market: Record, tariff: TariffTable) -> Iterator[Variant]:
    """Yield the site as it is, then with one thing changed; ``market`` is the record at the prices of the market."""
    site = study.site
    yield Variant("as it is", study)
    bigger = replace(site.car, capacity_wh=55_000.0, floor_wh=11_000.0)
    worth = replace(study.worth, car=study.worth.car * 55 / 36)
    worn = worth.wear(bigger.capacity_wh)
    yield Variant(
        "bigger car (62 kWh)", replace(study, site=replace(site, car=bigger, car_wear=worn), worth=worth)
    )
    yield Variant("no solar roof", replace(study, record=study.record.without_sun()))
    yield Variant("no battery", replace(study, site=replace(site, battery=None)))
    slow = replace(
        site.car,
        charge_max_w=min(3600.0, site.car.charge_max_w),
        discharge_max_w=min(3600.0, site.car.discharge_max_w),
    )
    yield Variant("charger of 3.6 kW", replace(study, site=replace(site, car=slow)))
    for name, other in TARIFFS.items():
        if other != tariff:
            yield Variant(f"tariff: {name}", replace(study, record=under(market, other)))
    for share in (28, 50, 75):
        yield Variant(
            f"plugged in {share} % of all hours",
            replace(study, site=replace(site, habit=plugged_in(site.habit, share))),
        )


def plugged_in(habit: Habit, share_pct: float) -> Habit:
    """Return the habit with the car plugged in about so much of all hours, and the same energy driven in a week.

    Less than it is at home, it is not always plugged in on return; more, it is away on fewer days, on longer journeys.
    """
    away_h = (habit.returns - habit.leaves) / 4
    at_home = 1 - len(habit.days) * away_h / 168
    if share_pct / 100 <= at_home:
        return replace(habit, plugs_in=max(0.05, min(1.0, share_pct / 100 / at_home)))
    days = max(1, min(len(habit.days), round((1 - share_pct / 100) * 168 / away_h)))
    trip_wh = habit.trip_wh * len(habit.days) / days
    chosen = habit.days[:: max(1, len(habit.days) // days)][:days]
    return replace(
        habit,
        plugs_in=1.0,
        days=chosen,
        trip_wh=trip_wh,
        target_wh=max(habit.target_wh, trip_wh * 1.3 + 5000.0),
    )
