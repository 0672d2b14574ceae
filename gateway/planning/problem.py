"""The vocabulary of planning: what is known of the coming days (``Problem``) and what is decided for them (``Schedule``).

Series have one value per step and are read only. Powers are W, energies Wh at the cell, prices currency per kWh; power into a
device, and from the grid, is positive; ``charge_max_w`` and ``discharge_max_w`` are magnitudes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from gateway.model import DeviceId

type Series = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False)
class Horizon:
    """Steps that follow each other without a gap; ``hours`` is the length of each (tiers: short ones first)."""

    starts_at: datetime
    hours: Series

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.hours)

    def at(self, step: int) -> datetime:
        """Return when ``step`` begins, in UTC; ``steps`` itself gives the end of the horizon."""
        return self.starts_at + timedelta(hours=float(self.hours[:step].sum()))


@dataclass(frozen=True, slots=True, eq=False)
class Band:
    """A forecast: nine of ten days are below ``p90``, one of ten is below ``p10``."""

    p50: Series
    p10: Series
    p90: Series

    @classmethod
    def sure(cls, series: Series) -> Band:
        """Return a forecast without doubt."""
        return cls(series, series, series)


@dataclass(frozen=True, slots=True)
class DemandCharge:
    """What the highest mean import of a billing month costs, beyond ``peak_so_far_w``, per kW.

    ``interval_steps`` steps make one metered interval; ``from_step`` tells which steps are still of this month.
    """

    per_kw: float
    peak_so_far_w: float = 0.0
    interval_steps: int = 1
    until_step: int | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """Above ``from_wh`` of import within the horizon each kWh costs ``extra_per_kwh`` more; tiers rise."""

    from_wh: float
    extra_per_kwh: float


@dataclass(frozen=True, slots=True, eq=False)
class GridSide:
    """The connection: prices, and limits as magnitudes.

    ``import_max_w`` and ``export_max_w`` are hard where our devices decide; ``import_cap_w`` and ``export_cap_w`` are the
    utility's, in windows, infinite elsewhere. ``obliged_w`` is an exchange that was promised, NaN where none was.
    ``carbon_g_per_kwh`` times ``carbon_per_kg`` is added to what is imported.
    """

    import_per_kwh: Series
    export_per_kwh: Series
    import_max_w: Series
    export_max_w: Series
    import_cap_w: Series | None = None
    export_cap_w: Series | None = None
    obliged_w: Series | None = None
    carbon_g_per_kwh: Series | None = None
    carbon_per_kg: float = 0.0
    demand: DemandCharge | None = None
    tiers: tuple[Tier, ...] = ()


@dataclass(frozen=True, slots=True)
class Converter:
    """AC power to cell power and back: ``efficiency`` at good load, and ``idle_w`` lost whenever it runs."""

    charge_efficiency: float = 0.95
    discharge_efficiency: float = 0.95
    idle_w: float = 0.0
    charge_min_w: float = 0.0
    discharge_min_w: float = 0.0


@dataclass(frozen=True, slots=True)
class Wear:
    """What a pack's ageing costs (planning/ageing.py): ``per_kwh`` taken out of the cell, and for resting.

    ``resting`` are convex segments: above each SoC in % one kWh held for one hour costs so much more.
    """

    per_kwh: float = 0.0
    resting: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Departure:
    """At the beginning of ``step`` the pack should hold ``energy_wh``; what lacks is charged on the road at ``relief_per_kwh``.

    ``probability`` is how likely it is that this journey takes place.
    """

    step: int
    energy_wh: float
    relief_per_kwh: float
    probability: float = 1.0


@dataclass(frozen=True, slots=True)
class Trip:
    """At the beginning of ``step`` the pack is back with ``energy_wh`` less; it never falls below 0: the rest was charged away."""

    step: int
    energy_wh: float
    relief_per_kwh: float


@dataclass(frozen=True, slots=True, eq=False)
class Store:
    """A battery, or a car at its EVSE. Availability is in the limits: both are 0 while a car is away.

    ``floor_wh`` is the owner's least and ``reserve_wh`` what a blackout may need (both soft, published order); ``ceiling_wh`` the most.
    ``taper``: at each SoC in %, the most charge power in W, falling. ``end_wh`` is wanted at the end at ``end_shortfall_per_kwh``;
    ``worth_per_kwh`` is what each kWh in the cell is worth there.
    """

    id: DeviceId
    capacity_wh: float
    energy_wh: float
    charge_max_w: Series
    discharge_max_w: Series
    converter: Converter = field(default_factory=Converter)
    floor_wh: float = 0.0
    ceiling_wh: float | None = None
    reserve_wh: Series | None = None
    taper: tuple[tuple[float, float], ...] = ()
    wear: Wear = field(default_factory=Wear)
    departures: tuple[Departure, ...] = ()
    trips: tuple[Trip, ...] = ()
    end_wh: float = 0.0
    end_shortfall_per_kwh: float = 0.0
    worth_per_kwh: float = 0.0
    is_car: bool = False
    circuit: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class CircuitLimit:
    """A sub-board or group of chargers: its stores together, with ``other_w`` beside them, stay within ``max_w`` both ways."""

    id: str
    max_w: Series
    other_w: Series | None = None
    within: str = ""


@dataclass(frozen=True, slots=True, eq=False)
class ReserveBand:
    """Power sold as frequency reserve, per step 0 where none: kept free each way by ``stores`` (all where empty), with energy for ``hold_h``."""

    power_w: Series
    hold_h: float = 0.5
    stores: tuple[DeviceId, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Problem:
    """All that a plan rests on. ``pv_w`` is generation as a magnitude, before curtailment, which is free where ``pv_curtailable``."""

    horizon: Horizon
    grid: GridSide
    load_w: Band
    pv_w: Band
    stores: tuple[Store, ...] = ()
    circuits: tuple[CircuitLimit, ...] = ()
    reserves: tuple[ReserveBand, ...] = ()
    pv_curtailable: bool = False
    battery_may_charge_car: bool = False


class Made(StrEnum):
    """How a schedule came to be."""

    OPTIMAL = "optimal"
    IN_TIME = "in_time"
    BY_RULE = "by_rule"


class Lack(StrEnum):
    """What a plan falls short of; the order is the order in which it is given up, last first."""

    SAFETY = "safety"
    CAP = "cap"
    OBLIGATION = "obligation"
    DEPARTURE = "departure"
    RESERVE = "reserve"
    FLOOR = "floor"
    BAND = "band"
    END = "end"


@dataclass(frozen=True, slots=True)
class Shortfall:
    """What could not be met at ``step``: ``energy_wh``, and for how many ``minutes`` more charging it would have taken."""

    lack: Lack
    step: int
    energy_wh: float
    minutes: float
    device: DeviceId | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Schedule:
    """Per store the AC power of each step and the energy at each step's beginning (one more, for the end); the planned exchange.

    ``codes`` are reason codes per store and step. ``cost`` is the objective without penalties; ``bound`` is what no schedule undercuts.
    """

    made: Made
    power_w: Mapping[DeviceId, Series]
    energy_wh: Mapping[DeviceId, Series]
    grid_w: Series
    curtailed_w: Series
    cost: float
    bound: float | None
    codes: Mapping[DeviceId, tuple[str, ...]]
    shortfalls: tuple[Shortfall, ...] = ()
    seconds: float = 0.0
    binaries: int = 0
