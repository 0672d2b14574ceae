"""What the gateway tells of its control: grid or blackout, how well it follows, the reserve, the export's and the month's peak."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Reason:
    """The rung of the ladder that spoke, its code, and whose wish it was."""

    rung: str
    code: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Backup:
    """``phase`` is grid, islanded, reserve, dark or resync; ``autonomy_h`` None where nothing can carry the house."""

    phase: str = "grid"
    since: datetime | None = None
    autonomy_h: float | None = None
    shed: tuple[str, ...] = ()
    storm: bool = False
    overloaded: bool = False


@dataclass(frozen=True, slots=True)
class Quality:
    """How well the grid exchange follows its target: stable, hunting, sluggish, limited or idle; and limited by what."""

    verdict: str = "idle"
    rms_w: float | None = None
    reversals_per_h: float | None = None
    by: Reason | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a frequency reserve is not armed, in the gateway's own words."""

    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Reserve:
    """The frequency reserve of now; powers are into the devices positive, ``band_w`` is a magnitude."""

    phase: str = "off"
    window_id: str = ""
    product: str | None = None
    band_w: float = 0.0
    frequency_hz: float | None = None
    response_w: float = 0.0
    delivered_w: float | None = None
    available_pct: float | None = None
    devices: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Excursions:
    """How often the export was too high lately, and until when it is locked out."""

    count: int = 0
    last_at: datetime | None = None
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Peak:
    """The month's highest mean import, and what the present interval comes to."""

    peak_w: float = 0.0
    mean_w: float = 0.0
    cap_w: float | None = None


@dataclass(frozen=True, slots=True)
class Drill:
    """A blackout that the gateway played on paper, without sun. ``problems`` are short and car_stays."""

    played_at: datetime
    autonomy_h: float | None = None
    reserve_h: float | None = None
    dark_h: float | None = None
    should_last_h: float | None = None
    can_leave: Mapping[str, bool] = field(default_factory=dict)
    problems: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Control:
    """All of it; a gateway that does not tell it has the defaults. ``drill`` is None before the first."""

    backup: Backup = field(default_factory=Backup)
    quality: Quality = field(default_factory=Quality)
    reserve: Reserve = field(default_factory=Reserve)
    excursions: Excursions = field(default_factory=Excursions)
    peak: Peak = field(default_factory=Peak)
    drill: Drill | None = None


@dataclass(frozen=True, slots=True)
class ReserveWindow:
    """A sold window; ``phase`` is None until control has judged it."""

    id: str
    product: str
    power_w: float
    starts_at: datetime
    ends_at: datetime
    source: str = ""
    devices: tuple[str, ...] = ()
    phase: str | None = None
    refusals: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Need:
    """What the car at a charger still has to take before it leaves."""

    device: str
    energy_wh: float
    departs_at: datetime


@dataclass(frozen=True, slots=True)
class Urgency:
    """What the gateway reckons that a car still needs; with less than ``must_w`` now it leaves too empty."""

    must_w: float = 0.0
    rank: float = 0.0
    need_wh: float = 0.0
    departs_at: datetime | None = None
