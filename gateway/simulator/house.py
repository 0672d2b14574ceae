"""The physics of the house: load, PV, battery, charger and car on three phases of one grid. No wire, no clock."""

import math
from dataclasses import dataclass
from random import Random

from gateway.simulator.battery_inverter import BatteryInverter
from gateway.simulator.converter import Converter
from gateway.simulator.leaf_models import ZE1_40, LeafModel
from gateway.simulator.leaf_pack import LeafPack
from gateway.simulator.mains import Mains
from gateway.simulator.recorded_days import Appliances, RecordedDays
from gateway.simulator.wall_charger import WallCharger

type Phases = tuple[float, float, float]

LOAD_SHARE: Phases = (0.40, 0.35, 0.25)
NOMINAL_V = 230.0
NOMINAL_HZ = 50.0
GRID_RESISTANCE_OHM = 0.15
METER_NOISE_W = 3.0


@dataclass(frozen=True, slots=True)
class Wiring:
    """Which of the phases 1 to 3 each device hangs on."""

    charger: tuple[int, ...] = (1,)
    battery: tuple[int, ...] = (2,)
    pv: tuple[int, ...] = (1, 2, 3)


@dataclass(slots=True)
class Overrides:
    """What the control port forces; None leaves it to the record."""

    load_w: float | None = None
    pv_w: float | None = None
    frequency_hz: float | None = None


def spread(power_w: float, phases: tuple[int, ...]) -> Phases:
    """Share ``power_w`` evenly among ``phases``."""
    share = power_w / len(phases)
    return (share * (1 in phases), share * (2 in phases), share * (3 in phases))


class Wander:
    """Noise that returns to zero within ``settle_s``, with standard deviation ``sigma``."""

    def __init__(self, chance: Random, sigma: float, settle_s: float) -> None:
        self.value = 0.0
        self._chance = chance
        self._sigma = sigma
        self._settle_s = settle_s

    def step(self, dt_s: float) -> float:
        """Advance by ``dt_s`` and return the new value."""
        keep = math.exp(-dt_s / self._settle_s)
        self.value = keep * self.value + self._sigma * math.sqrt(1.0 - keep * keep) * self._chance.gauss()
        return self.value


class House:
    """Steps all physics together. ``second`` counts from the first recorded midnight."""

    def __init__(
        self,
        days: RecordedDays,
        *,
        seed: int,
        start_second: float,
        wiring: Wiring | None = None,
        car: LeafModel = ZE1_40,
        car_soc_pct: float = 62.0,
        battery_soc_pct: float = 45.0,
        islands: bool = False,
    ) -> None:
        self.second = start_second
        self.chance = Random(seed)
        self.pack = LeafPack(car_soc_pct, car)
        self.converter = Converter()
        self.charger: Converter | WallCharger = self.converter
        self.battery = BatteryInverter(battery_soc_pct)
        self.battery_target_w = 0.0
        self.mains = Mains(self.battery, islands=islands)
        self.emergency_stop = False
        self.overrides = Overrides()
        self.load_w = 0.0
        self.pv_w = 0.0
        self.pv_phase_w: Phases = (0.0, 0.0, 0.0)
        self.phase_w: Phases = (0.0, 0.0, 0.0)
        self.phase_v: Phases = (NOMINAL_V, NOMINAL_V, NOMINAL_V)
        self.frequency_hz = NOMINAL_HZ
        self.import_wh = 0.0
        self.export_wh = 0.0
        self.generated_wh = 0.0
        self._days = days
        self._appliances = Appliances(seed)
        self._wiring = wiring or Wiring()
        self._murmur = Wander(self.chance, sigma=12.0, settle_s=8.0)
        self._clouds = Wander(self.chance, sigma=0.03, settle_s=40.0)
        self._frequency = Wander(self.chance, sigma=0.02, settle_s=60.0)

    @property
    def grid_w(self) -> float:
        """Power from the grid."""
        return sum(self.phase_w)

    def step(self, linked_pack: LeafPack | None, dt_s: float) -> None:
        """Advance by ``dt_s``; ``linked_pack`` is the pack that the charger can reach."""
        self.second += dt_s
        if not self.mains.powered:
            self.charger.starve()
        self.charger.step(linked_pack, self.emergency_stop, dt_s)
        load = self._step_load(dt_s)
        self._step_battery(dt_s)
        self.pv_phase_w = spread(self.pv_w, self._wiring.pv)
        charger = spread(self.charger.ac_w, self._wiring.charger)
        battery = spread(self.battery.power_w, self._wiring.battery)
        if self.mains.carried or not self.mains.present:
            self.phase_w = (0.0, 0.0, 0.0)
            self._step_grid(dt_s)
            return
        self.phase_w = (
            load[0] + charger[0] + battery[0] - self.pv_phase_w[0],
            load[1] + charger[1] + battery[1] - self.pv_phase_w[1],
            load[2] + charger[2] + battery[2] - self.pv_phase_w[2],
        )
        self._step_grid(dt_s)

    def measured(self) -> Phases:
        """Return the phase powers as a meter reads them, with its noise; without a voltage it reads nothing."""
        if not self.mains.present:
            return (0.0, 0.0, 0.0)
        noise = self.chance.gauss
        one, two, three = self.phase_w
        return (one + noise(0, METER_NOISE_W), two + noise(0, METER_NOISE_W), three + noise(0, METER_NOISE_W))

    def _step_load(self, dt_s: float) -> Phases:
        recorded_w, sun_w = self._days.at(self.second)
        fridge_w, kettle_w = self._appliances.at(self.second)
        steady_w = max(40.0, recorded_w + fridge_w + self._murmur.step(dt_s))
        if self.overrides.load_w is not None:
            steady_w, kettle_w = self.overrides.load_w, 0.0
        if not self.mains.powered:
            steady_w = kettle_w = 0.0
        switched = self.mains.step_loads()
        self.load_w = steady_w + kettle_w + sum(switched)
        sun_w *= max(0.0, 1.0 + self._clouds.step(dt_s))
        sun_w = sun_w if self.overrides.pv_w is None else self.overrides.pv_w
        self.pv_w = self.mains.sun_w(sun_w, self.load_w + self.charger.ac_w, dt_s)
        return (
            steady_w * LOAD_SHARE[0] + kettle_w + switched[0],
            steady_w * LOAD_SHARE[1] + switched[1],
            steady_w * LOAD_SHARE[2] + switched[2],
        )

    def _step_battery(self, dt_s: float) -> None:
        """Without the grid the inverter follows the house and no order."""
        mains = self.mains
        if mains.carried:
            mains.balance(self.load_w + self.charger.ac_w - self.pv_w, dt_s)
        elif mains.present:
            self.battery.step(self.battery_target_w, dt_s)
        else:
            mains.rest(dt_s)

    def _step_grid(self, dt_s: float) -> None:
        wander_hz = self._frequency.step(dt_s)
        forced_hz = self.overrides.frequency_hz
        self.frequency_hz = NOMINAL_HZ + wander_hz if forced_hz is None else forced_hz
        if self.mains.carried:
            self.frequency_hz = self.mains.frequency_hz
        drop = GRID_RESISTANCE_OHM / NOMINAL_V
        one, two, three = self.phase_w
        self.phase_v = (NOMINAL_V - one * drop, NOMINAL_V - two * drop, NOMINAL_V - three * drop)
        moved_wh = self.grid_w * dt_s / 3600.0
        if moved_wh > 0.0:
            self.import_wh += moved_wh
        else:
            self.export_wh -= moved_wh
        self.generated_wh += self.pv_w * dt_s / 3600.0
