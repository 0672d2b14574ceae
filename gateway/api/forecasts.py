"""The plan as clients read it, and the forecasts that they hand in. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from gateway.api.problems import ProblemError
from gateway.api.site import Outlook, Score
from gateway.model import (
    PLAN_NOTES,
    PLAN_REASONS,
    DeviceId,
    DeviceInfo,
    DeviceKind,
    Plan,
    PlanShortfall,
    PlanSlot,
    PriceSlot,
    ToldSlot,
    ToldTrip,
)

Aware = Annotated[datetime, Meta(tz=True)]
Watts = Annotated[float, Meta(ge=0.0, le=1e8)]
Price = Annotated[float, Meta(ge=-1000.0, le=1000.0)]
MOST_SLOTS = 1000
LONGEST_SLOT = timedelta(days=1)
MOST_SHARES = 4000
"""The stream says no more of a plan than this many shares; the path of its own says all."""


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    pass


class PriceBody(_Strict):
    """The price of a stretch of time, per kWh in the site's currency."""

    starts_at: Aware
    ends_at: Aware
    import_per_kwh: Price
    export_per_kwh: Price = 0.0


class PricesBody(_Strict):
    """Prices as slots, or ``lists``: whatever an entity of Nord Pool, Octopus, Tibber, Energi Data or the like tells."""

    slots: Annotated[list[PriceBody], Meta(max_length=MOST_SLOTS)] = []
    lists: Any = None


class SeriesSlotBody(_Strict):
    """The mean of a stretch of time: W, for carbon g/kWh. Nine of ten days are below ``p90``, one of ten is below ``p10``."""

    starts_at: Aware
    ends_at: Aware
    value: Watts
    p10: Watts | None = None
    p90: Watts | None = None


class SeriesBody(_Strict):
    """A forecast; it replaces what was told before from its first slot on."""

    slots: Annotated[list[SeriesSlotBody], Meta(max_length=MOST_SLOTS)]


class TripBody(_Strict):
    """A journey: ``energy_wh`` is what it takes out of the car's pack."""

    device: DeviceId
    leaves_at: Aware
    returns_at: Aware | None = None
    energy_wh: Annotated[float, Meta(ge=0.0, le=1e6)] | None = None
    target_soc_pct: Annotated[float, Meta(ge=0.0, le=100.0)] | None = None


class TripsBody(_Strict):
    """All journeys that are known; they replace those told before."""

    trips: Annotated[list[TripBody], Meta(max_length=MOST_SLOTS)]


@dataclass(frozen=True, slots=True)
class PlanView:
    """The plan over its whole horizon. ``reasons`` says each code that its slots use in a sentence.

    ``load_w`` and ``pv_w`` are what it expects of the house and of the sun, one value per slot; ``notes`` say what was assumed.
    """

    id: str
    made_at: datetime
    expires_at: datetime
    because: str
    made: str
    cost: float | None
    bound: float | None
    seconds: float
    slots: tuple[PlanSlot, ...]
    shortfalls: tuple[PlanShortfall, ...]
    notes: Mapping[str, str]
    reasons: Mapping[str, str]
    load_w: tuple[float, ...]
    pv_w: tuple[float, ...]
    scores: tuple[Score, ...]


@dataclass(frozen=True, slots=True)
class ForecastsView:
    """What clients have handed in, the prices that hold, and how right our own forecasts were."""

    prices: tuple[PriceSlot, ...]
    solar: tuple[ToldSlot, ...]
    load: tuple[ToldSlot, ...]
    carbon: tuple[ToldSlot, ...]
    trips: tuple[ToldTrip, ...]
    scores: tuple[Score, ...]


def plan_view(plan: Plan | None, outlook: Outlook) -> PlanView | None:
    """Return the whole plan with its words."""
    if plan is None:
        return None
    used = sorted({code for slot in plan.slots for code in slot.reasons.values()})
    return PlanView(
        plan.id,
        plan.made_at,
        plan.expires_at,
        plan.because,
        plan.made,
        plan.cost,
        plan.bound,
        plan.seconds,
        plan.slots,
        plan.shortfalls,
        {code: PLAN_NOTES.get(code, code) for code in plan.notes},
        {code: PLAN_REASONS.get(code, code) for code in used},
        outlook.load_w,
        outlook.pv_w,
        outlook.scores,
    )


def brief(plan: Plan | None) -> Plan | None:
    """Return the plan as the stream tells it: of very many devices only its first slots."""
    if plan is None or not plan.slots:
        return plan
    most = max(2, MOST_SHARES // max(1, len(plan.slots[0].reasons)))
    return plan if len(plan.slots) <= most else replace(plan, slots=plan.slots[:most])


def new_prices(body: PricesBody) -> tuple[PriceSlot, ...]:
    """Return the slots of a body. Raises ProblemError invalid_request."""
    for slot in body.slots:
        _check(slot.starts_at, slot.ends_at)
    return tuple(
        PriceSlot(s.starts_at.astimezone(UTC), s.ends_at.astimezone(UTC), s.import_per_kwh, s.export_per_kwh)
        for s in body.slots
    )


def new_series(body: SeriesBody) -> tuple[ToldSlot, ...]:
    """Return the slots of a body. Raises ProblemError invalid_request."""
    for slot in body.slots:
        _check(slot.starts_at, slot.ends_at)
    return tuple(
        ToldSlot(s.starts_at.astimezone(UTC), s.ends_at.astimezone(UTC), s.value, s.p10, s.p90)
        for s in body.slots
    )


def new_trips(body: TripsBody, devices: Mapping[DeviceId, DeviceInfo]) -> tuple[ToldTrip, ...]:
    """Return the journeys of a body. Raises ProblemError unknown_device or invalid_request."""
    return tuple(_trip(t, devices) for t in body.trips)


def _trip(body: TripBody, devices: Mapping[DeviceId, DeviceInfo]) -> ToldTrip:
    if body.device not in devices:
        raise ProblemError("unknown_device", f"There is no device {body.device!r}.")
    if devices[body.device].kind is not DeviceKind.EVSE:
        raise ProblemError("invalid_request", f"{body.device} is no charger")
    if body.returns_at is not None and body.returns_at <= body.leaves_at:
        raise ProblemError("invalid_request", "returns_at must be after leaves_at")
    returns_at = body.returns_at.astimezone(UTC) if body.returns_at else None
    return ToldTrip(
        body.device, body.leaves_at.astimezone(UTC), returns_at, body.energy_wh, body.target_soc_pct
    )


def _check(starts_at: datetime, ends_at: datetime) -> None:
    if not starts_at < ends_at <= starts_at + LONGEST_SLOT:
        raise ProblemError("invalid_request", "ends_at must be after starts_at, by a day at most")


def forecasts_view(prices: Sequence[PriceSlot], outlook: Outlook) -> ForecastsView:
    """Return all forecasts."""
    told = outlook.handed
    return ForecastsView(tuple(prices), told.solar, told.load, told.carbon, told.trips, outlook.scores)
