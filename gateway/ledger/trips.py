"""Pure: what a trip took, learnt from the car's SoC at leaving and at returning."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from gateway.model import DeviceId, Snapshot, Trip, VehicleSource, VehicleState

SHORTEST_S = 300.0
"""Unplugged for less than this is no trip, but a cable that was moved."""


@dataclass(frozen=True, slots=True)
class TripWatch:
    """The trips that are under way, and those whose car is back but has not told its SoC yet."""

    open: Mapping[DeviceId, Trip] = field(default_factory=dict)
    plugged: Mapping[DeviceId, bool] = field(default_factory=dict)
    back_at: Mapping[DeviceId, float] = field(default_factory=dict)

    @classmethod
    def resumed(cls, trips: Iterable[Trip]) -> TripWatch:
        """Go on after a restart with the trips that were open."""
        return cls(open={t.charger: t for t in trips}, plugged={t.charger: False for t in trips})

    def after(self, snapshot: Snapshot) -> tuple[TripWatch, tuple[Trip, ...]]:
        """Return the watch after ``snapshot``, and each trip that began or ended in it."""
        watch, changed = self, list[Trip]()
        for charger, car in snapshot.vehicles.items():
            if car.plugged is not None:
                watch, trip = watch._one(charger, car, snapshot)
                changed += [trip] if trip else []
        return watch, tuple(changed)

    def _one(self, charger: DeviceId, car: VehicleState, snapshot: Snapshot) -> tuple[TripWatch, Trip | None]:
        was_plugged, plugged = self.plugged.get(charger), bool(car.plugged)
        watch = replace(self, plugged={**self.plugged, charger: plugged})
        trip = self.open.get(charger)
        if not plugged:
            if was_plugged and trip is None and car.soc_pct is not None:
                trip = Trip(charger, snapshot.utc, car.soc_pct, left_odometer_km=car.odometer_km)
                return watch.noting(trip, None), trip
            return (watch.noting(replace(trip, returned_at=None), None) if trip else watch), None
        if trip is None:
            return watch, None
        back_at = self.back_at.get(charger, snapshot.at)
        trip = replace(trip, returned_at=trip.returned_at or snapshot.utc)
        if (ended := _ended(trip, car, back_at)) is None:
            return watch.noting(trip, back_at), None
        left = {k: v for k, v in watch.open.items() if k != charger}
        return replace(watch.noting(ended, None), open=left), ended

    def noting(self, trip: Trip, back_at: float | None) -> TripWatch:
        """Return the watch with a trip under way, and since when (monotonic) its car is back."""
        back = {k: v for k, v in self.back_at.items() if k != trip.charger}
        if back_at is not None:
            back[trip.charger] = back_at
        return replace(self, open={**self.open, trip.charger: trip}, back_at=back)


def is_one(trip: Trip) -> bool:
    """Tell a trip, under way or ended, from a cable that was moved."""
    return trip.returned_at is None or (trip.returned_at - trip.left_at).total_seconds() >= SHORTEST_S


def _ended(trip: Trip, car: VehicleState, back_at: float) -> Trip | None:
    """Return the ended trip once the car has told its SoC after coming back; a count is no word of its own."""
    told = car.provenance.get("soc_pct")
    counted = told is not None and told.source is VehicleSource.ENERGY_COUNT
    if car.soc_pct is None or counted or not _told_since(car, "soc_pct", back_at):
        return None
    used_pct = trip.left_soc_pct - car.soc_pct
    left_km = trip.left_odometer_km
    back_km = car.odometer_km if _told_since(car, "odometer_km", back_at) else None
    return replace(
        trip,
        returned_soc_pct=car.soc_pct,
        energy_wh=used_pct / 100.0 * car.capacity_wh if car.capacity_wh else None,
        distance_km=None if left_km is None or back_km is None else back_km - left_km,
    )


def _told_since(car: VehicleState, name: str, at: float) -> bool:
    told = car.provenance.get(name)
    return told is not None and told.at >= at
