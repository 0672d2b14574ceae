"""What the services ask the planner's own process, and what it answers: plain data that goes over a pipe.

Nothing here needs numpy, so that who only asks does not carry it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gateway.config import CircuitTable, GridTable, PlanningTable, ReserveTable
from gateway.model import Plan, PriceSlot, Snapshot, ToldSlot, ToldTrip, Trip, Wishes
from gateway.tariff_tables import TariffTable


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
    tariff: TariffTable | None = None
    time_zone: str = "UTC"


@dataclass(frozen=True, slots=True)
class Question:
    """All that a plan rests on; ``wishes`` are those of the services, newer than the ones in ``snapshot``.

    ``prices`` are the market's where the tariff is a dynamic one, of the last weeks too. ``imported_wh`` is of this month.
    """

    snapshot: Snapshot
    wishes: Wishes
    site: SiteFacts
    because: str
    prices: tuple[PriceSlot, ...] = ()
    imported_wh: float = 0.0
    solar: tuple[ToldSlot, ...] = ()
    load: tuple[ToldSlot, ...] = ()
    carbon: tuple[ToldSlot, ...] = ()
    trips: tuple[ToldTrip, ...] = ()
    past: Past | None = None
    driven: tuple[Trip, ...] = ()
    within_s: float = 5.0


@dataclass(frozen=True, slots=True)
class Expected:
    """The forecast that the plan rests on, for the chart and for its score: one value per slot of the plan, in W.

    The P10 and P90 of both are there for the score alone.
    """

    load_w: tuple[float, ...] = ()
    pv_w: tuple[float, ...] = ()
    load_band_w: tuple[tuple[float, float], ...] = ()
    pv_band_w: tuple[tuple[float, float], ...] = ()

    def said(self, what: str, slot: int) -> tuple[float, float, float] | None:
        """Return P10, P50 and P90 of ``what`` (load or solar) in a slot; None where nothing was expected of it."""
        middle_w, band_w = (self.load_w, self.load_band_w) if what == "load" else (self.pv_w, self.pv_band_w)
        if slot >= len(middle_w):
            return None
        low_w, high_w = band_w[slot] if slot < len(band_w) else (middle_w[slot],) * 2
        return low_w, middle_w[slot], high_w


@dataclass(frozen=True, slots=True)
class Answer:
    """``plan`` reaches over the whole horizon; None when there is nothing to plan."""

    plan: Plan | None
    expected: Expected = field(default_factory=Expected)
