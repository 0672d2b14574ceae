"""What clients see of ``snapshot.control``: rounded, so that what only jitters makes no change. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from gateway.api.site import Drill
from gateway.model import (
    REFUSALS,
    BackupPhase,
    BackupStatus,
    ControlQuality,
    ControlStatus,
    DemandPeak,
    DeviceId,
    Dynamics,
    Excursions,
    QualityVerdict,
    Reason,
    Refusal,
    ReservePhase,
    ReserveProduct,
    ReserveStatus,
    ReserveWindow,
    Urgency,
)

QUALITY_W = 5.0
POWER_W = 10.0
ENERGY_WH = 100.0


@dataclass(frozen=True, slots=True)
class BackupView:
    """Is there a grid, and what is done without one. ``autonomy_h`` is null where no device can carry the house."""

    phase: BackupPhase
    since: datetime | None
    autonomy_h: float | None
    shed: tuple[DeviceId, ...]
    storm: bool
    overloaded: bool


@dataclass(frozen=True, slots=True)
class QualityView:
    """How well the grid exchange follows its target; ``by`` says what limits it."""

    verdict: QualityVerdict
    rms_w: float | None
    reversals_per_h: float | None
    by: Reason | None


@dataclass(frozen=True, slots=True)
class RefusalView:
    """Why a reserve is not armed, or was withdrawn."""

    code: str
    text: str


@dataclass(frozen=True, slots=True)
class ReserveNow:
    """The frequency reserve of now. ``band_w`` is what was sold each way; other powers are into the devices positive."""

    phase: ReservePhase
    window_id: str
    product: ReserveProduct | None
    band_w: float
    frequency_hz: float | None
    response_w: float
    delivered_w: float | None
    available_pct: float | None
    devices: tuple[DeviceId, ...]
    refusals: tuple[RefusalView, ...]


@dataclass(frozen=True, slots=True)
class ExcursionsView:
    """How often the export went above its limit lately, the newest time of it, and until when it is locked out."""

    count: int
    last_at: datetime | None
    locked_until: datetime | None


@dataclass(frozen=True, slots=True)
class ControlView:
    """What control knows beyond samples and decisions; ``drill`` is the newest, null before the first."""

    backup: BackupView
    quality: QualityView
    reserve: ReserveNow
    excursions: ExcursionsView
    peak: DemandPeak
    drill: Drill | None


@dataclass(frozen=True, slots=True)
class ReserveView:
    """A sold window; ``phase`` is null until control has judged it, which it does for the window in force or next."""

    id: str
    product: ReserveProduct
    power_w: float
    starts_at: datetime
    ends_at: datetime
    source: str
    devices: tuple[DeviceId, ...]
    phase: ReservePhase | None
    refusals: tuple[RefusalView, ...]


def control_view(status: ControlStatus, drill: Drill | None) -> ControlView:
    """Return what clients see of ``status`` and of the newest drill."""
    return ControlView(
        backup=_backup(status.backup),
        quality=_quality(status.quality),
        reserve=_reserve(status.reserve),
        excursions=_excursions(status.excursions),
        peak=_peak(status.peak),
        drill=drill,
    )


def reserve_view(window: ReserveWindow, status: ReserveStatus) -> ReserveView:
    """Return a sold window with what control says of it."""
    judged = status.window_id == window.id
    return ReserveView(
        id=window.id,
        product=window.product,
        power_w=window.power_w,
        starts_at=window.starts_at,
        ends_at=window.ends_at,
        source=window.source,
        devices=window.devices,
        phase=status.phase if judged else None,
        refusals=_refusals(status.refusals) if judged else (),
    )


def urgency_views(urgencies: Mapping[DeviceId, Urgency]) -> dict[DeviceId, Urgency]:
    """Return what each car still has to take; its rank to a twentieth."""
    return {
        device: Urgency(
            _to(u.must_w, POWER_W), round(u.rank * 20) / 20, _to(u.need_wh, ENERGY_WH), u.departs_at
        )
        for device, u in urgencies.items()
    }


def dynamics_views(dynamics: Mapping[DeviceId, Dynamics]) -> dict[DeviceId, Dynamics]:
    """Return how each device follows its setpoint."""
    return {
        device: Dynamics(
            round(d.dead_time_s, 1), _to(d.ramp_w_per_s, POWER_W), _to(d.offset_w, POWER_W), d.steps
        )
        for device, d in dynamics.items()
    }


def _backup(status: BackupStatus) -> BackupView:
    hours = status.autonomy_h
    return BackupView(
        phase=status.phase,
        since=status.since,
        autonomy_h=None if hours is None else round(hours, 1),
        shed=status.shed,
        storm=status.storm,
        overloaded=status.overloaded,
    )


def _quality(quality: ControlQuality) -> QualityView:
    per_h = quality.reversals_per_h
    return QualityView(
        verdict=quality.verdict,
        rms_w=_maybe(quality.rms_w, QUALITY_W),
        reversals_per_h=None if per_h is None else float(round(per_h)),
        by=quality.by,
    )


def _reserve(status: ReserveStatus) -> ReserveNow:
    hz, share = status.frequency_hz, status.available_pct
    return ReserveNow(
        phase=status.phase,
        window_id=status.window_id,
        product=status.product,
        band_w=status.band_w,
        frequency_hz=None if hz is None or status.product is None else round(hz, 2),
        response_w=_to(status.response_w, POWER_W),
        delivered_w=_maybe(status.delivered_w, POWER_W),
        available_pct=None if share is None else round(share, 1),
        devices=status.devices,
        refusals=_refusals(status.refusals),
    )


def _refusals(codes: tuple[str, ...]) -> tuple[RefusalView, ...]:
    return tuple(RefusalView(c, REFUSALS[Refusal(c)] if c in Refusal else c) for c in codes)


def _excursions(excursions: Excursions) -> ExcursionsView:
    return ExcursionsView(
        count=len(excursions.began),
        last_at=max(excursions.began, default=None),
        locked_until=_to_second(excursions.locked_until),
    )


def _to_second(moment: datetime | None) -> datetime | None:
    """A corrected clock moves such a time by fractions."""
    return None if moment is None else (moment + timedelta(seconds=0.5)).replace(microsecond=0)


def _peak(peak: DemandPeak) -> DemandPeak:
    return DemandPeak(
        peak.month, _to(peak.peak_w, POWER_W), _to(peak.mean_w, ENERGY_WH), _maybe(peak.cap_w, ENERGY_WH)
    )


def _to(value: float, step: float) -> float:
    return round(value / step) * step


def _maybe(value: float | None, step: float) -> float | None:
    return None if value is None else _to(value, step)
