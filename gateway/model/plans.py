"""The plan: what is intended for the coming quarters of an hour, why, and what it cannot bring."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum

from gateway.model.power import DeviceId


@dataclass(frozen=True, slots=True)
class PriceSlot:
    starts_at: datetime
    ends_at: datetime
    import_per_kwh: float
    export_per_kwh: float


class Exchange(StrEnum):
    """How a slot's exchange with the grid is followed.

    ``HELD``: the devices keep it as it was planned, whatever the house does. ``IMPORT`` and ``EXPORT``: the grid takes what the
    forecast was wrong by, and the devices keep their planned powers, as long as the direction stays.
    """

    HELD = "held"
    IMPORT = "import"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class PlanSlot:
    """``device_power_w`` holds each planned device's share; control follows ``grid_power_w`` where it is given, as
    ``exchange`` says. ``soc_pct`` is what each is meant to hold at the slot's end.
    """

    starts_at: datetime
    ends_at: datetime
    grid_power_w: float | None
    device_power_w: Mapping[DeviceId, float]
    reasons: Mapping[DeviceId, str]
    exchange: Exchange = Exchange.HELD
    soc_pct: Mapping[DeviceId, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PlanShortfall:
    """What the plan cannot bring at ``at``: ``energy_wh``, for which ``minutes`` more of charging would be needed.

    ``code`` is one of PLAN_SHORTFALLS; ``soc_pct`` is what a car will hold when it leaves, ``target_soc_pct`` what it should.
    """

    code: str
    at: datetime
    energy_wh: float
    minutes: float
    device: DeviceId = ""
    soc_pct: float | None = None
    target_soc_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """``made`` is optimal, in_time or by_rule. ``cost`` is what it costs over its slots; no plan could cost less than ``bound``.

    ``notes`` are codes of PLAN_NOTES: what was not known, and was assumed.
    """

    id: str
    made_at: datetime
    expires_at: datetime
    because: str
    slots: tuple[PlanSlot, ...]
    made: str = "by_rule"
    cost: float | None = None
    bound: float | None = None
    seconds: float = 0.0
    shortfalls: tuple[PlanShortfall, ...] = ()
    notes: tuple[str, ...] = ()

    def slot(self, utc: datetime) -> PlanSlot | None:
        """Return the slot that covers ``utc``, None outside the plan or after its expiry."""
        if utc >= self.expires_at:
            return None
        return next((s for s in self.slots if s.starts_at <= utc < s.ends_at), None)


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


PLAN_REASONS: dict[str, str] = {
    "cheap_hours": "Energy is cheap now.",
    "clean_hours": "Energy is clean now.",
    "sell_high": "Energy sells well now.",
    "self_use": "The house uses its own energy.",
    "ready_for_departure": "The car must be ready when it leaves.",
    "sun_expected": "Room is kept for the sun.",
    "keep_reserve": "Energy is kept for later, or for a blackout.",
    "avoid_peak": "The site's peak is kept low.",
    "grid_event": "The utility has asked for it.",
    "reserve_sold": "Power is kept free for the frequency reserve that was sold.",
    "wear_too_dear": "It would wear the battery more than it brings.",
    "no_benefit": "Nothing would be gained.",
    "at_limit": "More is not possible.",
    "away": "The car is away.",
    "plan_rule": "No better plan was found in time; simple rules hold.",
}
"""Why a device does in a slot what it does."""

PLAN_SHORTFALLS: dict[str, str] = {
    "safety": "A limit of the connection or of a device would not hold.",
    "cap": "The utility's limit cannot be kept.",
    "obligation": "The promised exchange cannot be delivered.",
    "departure": "The car will hold less than wanted when it leaves.",
    "reserve": "Less than wanted is kept for a blackout.",
    "floor": "The charge falls below the floor that the owner set.",
    "band": "The sold reserve cannot be kept free.",
    "end": "Less than wanted is left at the end of the plan.",
}
"""What a plan may fall short of, the most serious first."""

PLAN_NOTES: dict[str, str] = {
    "price_unknown": "No price is known; a constant one is assumed.",
    "price_guessed": "The prices of the later hours are not published yet; the last day's are assumed.",
    "soc_unknown": "A charge is unknown; that device is not planned.",
    "no_meter": "The grid meter is silent; the house's load is assumed.",
    "no_history": "There is no history of the house's load yet; a typical one is assumed.",
    "solver_failed": "The optimiser failed; the previous plan is kept.",
}
"""What was not known when the plan was made."""
