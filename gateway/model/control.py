"""What control knows beyond samples and decisions, told upwards in every snapshot; and what it keeps over a restart."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from gateway.model.power import DeviceId, Interval, Reason


class BackupPhase(StrEnum):
    """``RESERVE``: islanded, and only what keeps the restart possible is left. ``DARK``: no source; restart is tried.

    ``RESYNC``: the grid is back, and is watched before anything leans on it again.
    """

    GRID = "grid"
    ISLANDED = "islanded"
    RESERVE = "reserve"
    DARK = "dark"
    RESYNC = "resync"


@dataclass(frozen=True, slots=True)
class Bound:
    """What backup lets one device do, what it wants of it (None: nothing), and the code of why."""

    interval: Interval
    code: str
    wish_w: float | None = None
    engage: bool = True


@dataclass(frozen=True, slots=True)
class BackupStatus:
    """``autonomy_h``: how long the house would run now, without grid; None where no device of the site can island.

    ``shed`` names the loads and chargers that are held off, in the order in which they went.
    """

    phase: BackupPhase = BackupPhase.GRID
    since: datetime | None = None
    autonomy_h: float | None = None
    shed: tuple[DeviceId, ...] = ()
    storm: bool = False
    overloaded: bool = False
    """More is drawn than the inverter should carry, with nothing left to shed."""
    unfit: str = ""
    """A grid that is back is "high" or "low" for so long that the owner is told; "high", whoever only draws may."""
    bounds: Mapping[DeviceId, Bound] = field(default_factory=dict)
    """Of the devices that backup binds now; the others are free."""


class QualityVerdict(StrEnum):
    STABLE = "stable"
    HUNTING = "hunting"
    SLUGGISH = "sluggish"
    LIMITED = "limited"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ControlQuality:
    """How well the grid exchange follows its target, over the last ``window_s``; ``by`` says what limits it."""

    verdict: QualityVerdict = QualityVerdict.IDLE
    rms_w: float | None = None
    reversals_per_h: float | None = None
    window_s: float = 0.0
    by: Reason | None = None


@dataclass(frozen=True, slots=True)
class Dynamics:
    """How a device follows its setpoint, as measured from its own steps: when it starts, how fast it goes, what it misses.

    ``offset_w`` is measured minus ordered power at rest there; ``steps`` counts what the figures rest on.
    """

    dead_time_s: float
    ramp_w_per_s: float
    offset_w: float = 0.0
    steps: int = 0


class ReserveProduct(StrEnum):
    """Frequency reserves: Continental FCR; Nordic FCR-N, FCR-D up and down, FFR."""

    FCR = "fcr"
    FCR_N = "fcr_n"
    FCR_D_UP = "fcr_d_up"
    FCR_D_DOWN = "fcr_d_down"
    FFR = "ffr"


class ReservePhase(StrEnum):
    OFF = "off"
    REFUSED = "refused"
    ARMED = "armed"
    RECOVERING = "recovering"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class ReserveStatus:
    """The frequency reserve of now. Powers are into the devices positive; ``band_w`` is what was sold, a magnitude.

    ``refusals`` are codes of why an offer cannot be armed, or was withdrawn. ``offset_w`` is the energy management's part.
    """

    phase: ReservePhase = ReservePhase.OFF
    window_id: str = ""
    product: ReserveProduct | None = None
    band_w: float = 0.0
    frequency_hz: float | None = None
    response_w: float = 0.0
    offset_w: float = 0.0
    delivered_w: float | None = None
    available_pct: float | None = None
    devices: tuple[DeviceId, ...] = ()
    refusals: tuple[str, ...] = ()
    asked_w: Mapping[DeviceId, float] = field(default_factory=dict)
    """What each device that carries it should do now: its share of response and offset, its zero point corrected."""
    held: Mapping[DeviceId, Interval] = field(default_factory=dict)
    """Devices that gave in an event, and how fast they may take it back."""


@dataclass(frozen=True, slots=True)
class ReserveSecond:
    """One second of the proof that a reserve was delivered. Powers are sums over ``devices``, into them positive.

    ``asked_w`` is ``baseline_w`` (energy management) plus ``response_w``; the charge is the devices' together.
    """

    utc: datetime
    window_id: str
    product: ReserveProduct
    phase: ReservePhase
    sold_w: float
    frequency_hz: float | None
    baseline_w: float
    response_w: float
    asked_w: float
    delivered_w: float | None
    soc_pct: float | None
    available: bool
    devices: tuple[DeviceId, ...] = ()
    refusals: tuple[str, ...] = ()


LOCK_OUT = timedelta(hours=4)
"""How long the export stays locked out after its third excursion (reference/needs.md 2.3)."""


@dataclass(frozen=True, slots=True)
class Excursions:
    """Export above its limit, as G100 counts it (reference/needs.md 2.3): when each began, and the lock-out's end.

    The times follow the clock when somebody moves it, so that no step of the clock forgets or ends anything.
    """

    began: tuple[datetime, ...] = ()
    locked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class DemandPeak:
    """The highest mean import of a demand interval in the month that began at ``month`` (site time), in W.

    ``mean_w`` is what the present interval comes to if nothing more were imported; ``cap_w`` is the import that keeps it
    at the target, None without a target.
    """

    month: datetime | None = None
    peak_w: float = 0.0
    mean_w: float = 0.0
    cap_w: float | None = None


class Urgency(Struct, frozen=True, gc=False):
    """What a car still has to take before it leaves. ``need_wh`` is AC energy.

    ``must_w``: with less than this now it leaves too empty; 0 while there is slack. ``rank`` is the share of the time left
    that charging at full power would take, 0..1: who ranks higher yields later.
    """

    must_w: float
    rank: float
    need_wh: float
    departs_at: datetime


@dataclass(frozen=True, slots=True)
class Minimum:
    """A charger with less than its minimum, in monotonic s: since when it has had too little, or when it was stopped for that."""

    short_since: float | None = None
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True)
class ControlStatus:
    """All of it together; each part is written by one module of control."""

    backup: BackupStatus = field(default_factory=BackupStatus)
    quality: ControlQuality = field(default_factory=ControlQuality)
    reserve: ReserveStatus = field(default_factory=ReserveStatus)
    excursions: Excursions = field(default_factory=Excursions)
    peak: DemandPeak = field(default_factory=DemandPeak)
    dynamics: Mapping[DeviceId, Dynamics] = field(default_factory=dict)
    urgencies: Mapping[DeviceId, Urgency] = field(default_factory=dict)
    minimums: Mapping[DeviceId, Minimum] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Remembered:
    """What control keeps over its own restart and a power cut. ``as_of`` is when, by the clock that all its times are of."""

    excursions: Excursions = field(default_factory=Excursions)
    peak: DemandPeak = field(default_factory=DemandPeak)
    dynamics: Mapping[DeviceId, Dynamics] = field(default_factory=dict)
    backup_phase: BackupPhase = BackupPhase.GRID
    as_of: datetime | None = None
