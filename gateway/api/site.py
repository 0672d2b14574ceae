"""What this room needs from the services: a view of the site, and doors for the owner's wishes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Protocol

from msgspec import Meta

from gateway.model import (
    Acknowledgement,
    ActiveFault,
    Decision,
    DeviceId,
    EnergyTotals,
    GridEvent,
    HistoryPoint,
    Need,
    OwnerSettings,
    Plan,
    PriceSlot,
    Request,
    ReserveWindow,
    Snapshot,
    ToldSlot,
    ToldTrip,
    Trip,
)


@dataclass(frozen=True, slots=True)
class SiteIdentity:
    """Who this gateway is; ``serial`` never changes, ``time_zone`` is an IANA name."""

    serial: str
    name: str
    sw_version: str
    time_zone: str


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits that hold now, an active call included: positive magnitudes, None where there is none.

    ``circuits`` holds the fuse of each sub-board in A; ``peak_target_w`` is for the mean of a demand interval.
    """

    import_limit_w: float | None = None
    export_limit_w: float | None = None
    main_fuse_a: float | None = None
    imbalance_limit_w: float | None = None
    peak_target_w: float | None = None
    circuits: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Utility:
    """A utility that the owner lets call this site."""

    client_id: str
    name: str


@dataclass(frozen=True, slots=True)
class UtilityCredentials:
    """What a new utility needs; the secret is told this once."""

    client_id: str
    client_secret: str
    vtn_url: str


class EquipmentVerdict(StrEnum):
    """``ATTENTION`` works with less than it could; ``NOT_PROVEN`` has not been seen or tried yet."""

    PASSED = "passed"
    ATTENTION = "attention"
    FAILED = "failed"
    NOT_PROVEN = "not_proven"


@dataclass(frozen=True, slots=True)
class EquipmentFinding:
    """One judgement of a device: the keys are stable, ``text`` says it in English with ``detail`` filled in."""

    check: str
    verdict: EquipmentVerdict
    text: str
    remedy: str
    text_key: str
    remedy_key: str
    detail: Mapping[str, str | float | None]


@dataclass(frozen=True, slots=True)
class EquipmentState:
    """Is a device fit, wired right, and its fail-safe proven; ``proven_at`` is when something was last tried on it."""

    verdict: EquipmentVerdict
    proven_at: datetime | None
    findings: tuple[EquipmentFinding, ...]


class DrillProblem(StrEnum):
    """``SHORT``: the house would be dark before it should be. ``CAR_STAYS``: a car could not leave."""

    SHORT = "short"
    CAR_STAYS = "car_stays"


@dataclass(frozen=True, slots=True)
class Drill:
    """A blackout played on paper at ``played_at``, from the charge of then, without sun.

    Only the reserve for a restart would be left after ``reserve_h``, and it would be dark after ``dark_h``: null where that
    was not reached within four days. ``assumed`` says in words what had to be assumed.
    """

    played_at: Annotated[datetime, Meta(tz=True)]
    autonomy_h: float | None
    reserve_h: float | None
    dark_h: float | None
    should_last_h: float
    load_w: float
    can_leave: Mapping[DeviceId, bool]
    problems: tuple[DrillProblem, ...]
    assumed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Score:
    """How right the forecast of ``what`` (load or solar) was, ``lead_h`` hours ahead, over the last ``quarters`` of an hour.

    ``bias_w`` is what was expected too much, ``error_w`` the mean error either way, ``mean_w`` what came; the last four weeks
    count most. ``pinball_w`` is the mean loss of P10, P50 and P90. ``inside_pct`` is how often it came between P10 and P90, which
    80 % should; None while no forecast left any doubt.
    """

    what: str
    lead_h: float
    quarters: int
    bias_w: float
    error_w: float
    mean_w: float
    pinball_w: float = 0.0
    inside_pct: float | None = None


@dataclass(frozen=True, slots=True)
class Handed:
    """Forecasts that clients handed in."""

    solar: tuple[ToldSlot, ...] = ()
    load: tuple[ToldSlot, ...] = ()
    carbon: tuple[ToldSlot, ...] = ()
    trips: tuple[ToldTrip, ...] = ()


@dataclass(frozen=True, slots=True)
class Outlook:
    """What the plan expects of the house and the sun, one value per slot, and what is known of forecasts."""

    load_w: tuple[float, ...] = ()
    pv_w: tuple[float, ...] = ()
    scores: tuple[Score, ...] = ()
    handed: Handed = field(default_factory=Handed)


@dataclass(frozen=True, slots=True)
class View:
    """All that a client may see at one instant: ``now`` is monotonic, ``utc`` aware, ``seq`` grows with every change.

    ``snapshot`` is the last one received, however old; ``energy`` holds the guarded lifetime counters; ``faults`` are
    those of the services, beside the snapshot's own; ``trips`` is each car's newest.
    """

    seq: int
    now: float
    utc: datetime
    services_uptime_s: float
    fast_path_alive: bool
    snapshot: Snapshot | None = None
    owner: OwnerSettings = field(default_factory=OwnerSettings)
    requests: tuple[Request, ...] = ()
    reserves: tuple[ReserveWindow, ...] = ()
    needs: tuple[Need, ...] = ()
    limits: Limits = field(default_factory=Limits)
    plan: Plan | None = None
    prices: tuple[PriceSlot, ...] = ()
    events: tuple[GridEvent, ...] = ()
    utilities: tuple[Utility, ...] = ()
    energy: Mapping[DeviceId, EnergyTotals] = field(default_factory=dict)
    faults: tuple[ActiveFault, ...] = ()
    trips: Mapping[DeviceId, Trip] = field(default_factory=dict)
    equipment: Mapping[DeviceId, EquipmentState] = field(default_factory=dict)
    drill: Drill | None = None
    outlook: Outlook = field(default_factory=Outlook)


class Site(Protocol):
    """The services, as a client of the API meets them. Any wish may raise Unreachable or Refused."""

    identity: SiteIdentity

    def view(self) -> View:
        """Return what holds now."""

    async def next_change(self, seq: int) -> int:
        """Return the newest sequence number as soon as it is greater than ``seq``."""

    async def set_owner(self, owner: OwnerSettings) -> None:
        """Replace the owner's standing wishes; ``view`` shows them when this returns."""

    async def add_request(self, request: Request) -> None:
        """Put ``request`` in place of any earlier one on its device."""

    async def cancel_request(self, device: DeviceId) -> None:
        """Give ``device`` back to automatic; without a request nothing happens."""

    async def add_reserve(self, window: ReserveWindow) -> None:
        """Add a sold window; the caller has seen to it that it overlaps none."""

    async def remove_reserve(self, window_id: str) -> None:
        """Take a window back; without it nothing happens."""

    async def set_need(self, need: Need) -> None:
        """Put ``need`` in place of any earlier one of its device."""

    async def clear_need(self, device: DeviceId) -> None:
        """Forget what a car still has to take; without a need nothing happens."""

    async def hand_in_prices(self, slots: Sequence[PriceSlot], lists: object) -> int:
        """Take prices as slots or as the lists of some provider; return how many are known. Raises Malformed."""

    async def hand_in(self, kind: str, told: Sequence[ToldSlot | ToldTrip]) -> None:
        """Take a forecast of ``kind``: solar, load, carbon or trips."""

    async def acknowledge(self, acknowledged: Acknowledgement) -> None:
        """Pass on that a fault was inspected."""

    async def stop(self, on: bool) -> None:
        """Set or lift the owner's stop."""

    async def opt_out(self, event_id: str, out: bool) -> bool:
        """Leave or rejoin a utility's call; False when there is no such call."""

    async def add_utility(self, name: str) -> UtilityCredentials:
        """Make credentials for one more utility."""

    async def remove_utility(self, client_id: str) -> bool:
        """Revoke a utility; False when there is no such one."""

    async def decisions(self, device: DeviceId | None, limit: int) -> Sequence[Decision]:
        """Return the newest ``limit`` recorded decisions, newest first."""

    async def history(
        self, device: DeviceId, start: datetime, end: datetime, limit: int
    ) -> Sequence[HistoryPoint]:
        """Return thinned samples of ``[start, end)``, oldest first, at most ``limit`` (the newest ones)."""

    async def trips(self, charger: DeviceId | None, limit: int) -> Sequence[Trip]:
        """Return the newest ``limit`` trips, newest first."""
