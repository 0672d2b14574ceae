"""What the services ask the planner's own process, and what it answers: plain data that goes over a pipe.

Nothing here needs numpy, so that who only asks does not carry it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.config import CircuitTable, GridTable, PlanningTable, ReserveTable
from gateway.model import DeviceId, Plan, PriceSlot, Snapshot, Trip, Wishes


@dataclass(frozen=True, slots=True)
class ToldSlot:
    """A forecast that was handed in: the mean of a stretch of time, in W or g/kWh, and its quantiles where they are known."""

    starts_at: datetime
    ends_at: datetime
    value: float
    p10: float | None = None
    p90: float | None = None


@dataclass(frozen=True, slots=True)
class ToldTrip:
    """A journey that was announced. ``energy_wh`` is what it takes out of the pack."""

    device: DeviceId
    leaves_at: datetime
    returns_at: datetime | None = None
    energy_wh: float | None = None
    target_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Past:
    """Mean powers of the quarters of an hour since ``starts_at``, NaN where nobody measured; ``pv_w`` is a magnitude."""

    starts_at: datetime
    load_w: tuple[float, ...] = ()
    pv_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteFacts:
    """What site.toml says that planning must know."""

    grid: GridTable
    circuits: Mapping[str, CircuitTable] = field(default_factory=dict)
    reserve: ReserveTable = field(default_factory=ReserveTable)
    planning: PlanningTable = field(default_factory=PlanningTable)
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Question:
    """All that a plan rests on; ``wishes`` are those of the services, newer than the ones in ``snapshot``."""

    snapshot: Snapshot
    wishes: Wishes
    site: SiteFacts
    because: str
    prices: tuple[PriceSlot, ...] = ()
    solar: tuple[ToldSlot, ...] = ()
    load: tuple[ToldSlot, ...] = ()
    carbon: tuple[ToldSlot, ...] = ()
    trips: tuple[ToldTrip, ...] = ()
    past: Past | None = None
    driven: tuple[Trip, ...] = ()
    within_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Expected:
    """The forecast that the plan rests on, for the chart and for its score: one value per slot of the plan, in W."""

    load_w: tuple[float, ...] = ()
    pv_w: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """``plan`` reaches over the whole horizon; None when there is nothing to plan."""

    plan: Plan | None
    expected: Expected = field(default_factory=Expected)
