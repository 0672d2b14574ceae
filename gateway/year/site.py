"""Pure: the site that is simulated, and how it is run."""

from dataclasses import dataclass, field

from gateway.planning.problem import Converter, Wear
from gateway.year.driving import Habit
from gateway.year.house import Connection, Pack

BATTERY, CAR = "battery", "car"


@dataclass(frozen=True, slots=True)
class Reserve:
    """Frequency reserve, sold per kW and hour in blocks of ``block_h`` that the plugged car can be expected to serve.

    ``kept_share`` is what the aggregator leaves to the owner. The activation's statistics are those of a month of measured
    frequency (reference/optimize.md 5): ``moved_kwh_per_kw_day`` both ways together, ``hold_h`` of full power each way.
    """

    power_w: float = 4800.0
    per_mw_h: float = 15.0
    kept_share: float = 0.7
    block_h: int = 4
    hold_h: float = 0.5
    moved_kwh_per_kw_day: float = 2.0


@dataclass(frozen=True, slots=True)
class Site:
    """A home: ``battery`` and ``car`` as packs, the car's habit, what wear costs. ``pv`` and load are in the record."""

    car: Pack
    battery: Pack | None = None
    habit: Habit = field(default_factory=Habit)
    connection: Connection = field(default_factory=Connection)
    car_wear: Wear = field(default_factory=Wear)
    battery_wear: Wear = field(default_factory=Wear)
    relief_per_kwh: float = 0.6
    reserve: Reserve = field(default_factory=Reserve)
    car_start_wh: float = 18000.0
    battery_start_wh: float = 5000.0

    @property
    def start_wh(self) -> dict[str, float]:
        """What the packs hold when the simulation begins."""
        start = {CAR: self.car_start_wh}
        return {BATTERY: self.battery_start_wh, **start} if self.battery else start


def home(battery_wh: float = 10_000.0, car_w: float = 6000.0, car_wh: float = 36_000.0) -> Site:
    """Return a home with a Leaf of 40 kWh, a bidirectional charger of 6 kW and a small battery."""
    battery = (
        Pack(BATTERY, battery_wh, 5000.0, 5000.0, Converter(0.96, 0.96, idle_w=20.0)) if battery_wh else None
    )
    car = Pack(
        CAR, car_wh, car_w, car_w, Converter(0.94, 0.94, idle_w=60.0), floor_wh=0.2 * car_wh, is_car=True
    )
    return Site(car, battery)
