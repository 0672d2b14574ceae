"""Pure: what a charger must be told next, and what stands when it was; what it shows is judged in ``watching``."""

from dataclasses import dataclass, replace
from enum import StrEnum

from gateway.model import EvseState

SEEK_W = 1.0
"""Too little to flow, enough for a charger to talk to the car about its state of charge."""
SEEK_S = 60.0
RETRY_S, RETRY_ZERO_S = 5.0, 1.0
ENDLESS_S = 3.0
"""A charger that says no to an end for so long is left in silence, so that its lease ends what flows."""
RENEW_S = 7.5
"""What flows is written again so often, half of the shortest lease: no manual says that reading keeps it alive."""
CHANGE_W = 10.0
"""A smaller increase is not worth a write."""
BEGIN_SHARE = 1.25
"""So much of what a charger can do at all must be wished before it begins, lest a wish at its edge start and stop it."""
LESSEN_AFTER_S = 1.5
REACT_S = 0.5
"""Whoever wishes has seen the newest sample after this, even when no new wish comes."""

WHAT_TO_DO = (
    "check the grid code in the charger's installer menu, and the car's charge; plug in anew to try again"
)


@dataclass(frozen=True, slots=True)
class Make:
    """The habits of a make. ``settle_s`` passes until a write shows; at least ``least_share`` of a set-point flows.

    ``drops_own_guard``: its own load balancing is off while it is steered.
    ``trims``: so little of it flows that the set-point is raised by what was seen to lack.
    ``seeks_soc``: the car's state of charge is told under current alone. ``restart_s``: errors in the first seconds after
    a restart pass by themselves.
    """

    settle_s: float
    least_share: float
    starts_sessions: bool
    seeks_soc: bool
    trims: bool
    restart_s: float
    silent_hint: str = ""
    drops_own_guard: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What a charger tells at one poll. The maxima are what it takes now, the leasts what it can do at all.

    ``ours``: the interface has control; ``leased``: lease and settings are as we left them. ``kept_w`` is the set-point.
    ``resting``: it says itself that no session runs.
    """

    at: float
    state: EvseState
    power_w: float
    charge_max_w: float
    discharge_max_w: float
    kept_w: float
    least_charge_w: float = 0.0
    least_discharge_w: float = 0.0
    ours: bool = True
    leased: bool = True
    resting: bool = False
    soc_pct: float | None = None
    discharge_compatible: bool = False
    error: str = ""
    waits_for: str = ""
    worn: str = ""

    @property
    def plugged(self) -> bool:
        """A car hangs on it."""
        return self.state is not EvseState.UNPLUGGED


@dataclass(frozen=True, slots=True)
class Wish:
    """What the setpoint that came ``at`` amounts to now; ``leave`` asks to hand the charger back."""

    power_w: float = 0.0
    engage: bool = False
    leave: bool = False
    at: float = float("-inf")


class Act(StrEnum):
    WAIT = "wait"
    TAKE = "take"
    START = "start"
    ORDER = "order"
    RENEW = "renew"
    STOP = "stop"
    GIVE_BACK = "give_back"


@dataclass(frozen=True, slots=True)
class Standing:
    """What we made of the charger, as far as it was verified. ``order_w`` None: what stands is not known.

    ``asked_w`` shall flow by the newest wish; the set-point for it is ``trim_w`` more, in either direction.
    ``remote``: under the interface's control, ours or a predecessor's; ``held``: taken by us, with the lease armed.
    """

    remote: bool = False
    held: bool = False
    session: bool = False
    order_w: float | None = 0.0
    asked_w: float = 0.0
    trim_w: float = 0.0
    written_at: float = float("-inf")
    renewed_at: float = float("-inf")
    seeking_since: float | None = None
    soc_known: bool = False
    soc_at: float = float("-inf")
    resting_since: float | None = None
    restarts: int = 0
    rested_w: float = 0.0
    dry_since: float | None = None
    refusal: str = ""
    refused_at: float = 0.0
    yielded: str = ""
    yielded_at: float = 0.0
    disturbed_at: tuple[float, ...] = ()
    problem: str = ""
    refused_act: tuple[Act, bool] | None = None
    endless_since: float | None = None
    retry_at: float = 0.0

    def seeking(self, now: float) -> bool:
        """Tell whether the session still waits for the car's state of charge."""
        return self.seeking_since is not None and not self.soc_known and now < self.seeking_since + SEEK_S

    def endless(self, now: float) -> bool:
        """Tell whether the charger has been saying no to an end for too long."""
        return self.endless_since is not None and now - self.endless_since >= ENDLESS_S


def next_act(now: float, wish: Wish, look: Look, standing: Standing, make: Make) -> tuple[Act, float]:
    """Return what to do, and for ORDER, RENEW and START the power, for WAIT when to think again at the latest."""
    act, power_w = _wanted(now, wish, look, standing, make)
    if act is Act.WAIT and standing.held and standing.order_w:
        due = standing.renewed_at + RENEW_S
        act, power_w = (Act.RENEW, standing.order_w) if now >= due else (Act.WAIT, min(power_w, due))
    if now < standing.retry_at and standing.refused_act == (act, power_w == 0.0):
        return Act.WAIT, standing.retry_at
    return act, power_w


def _wanted(now: float, wish: Wish, look: Look, standing: Standing, make: Make) -> tuple[Act, float]:
    idle = not standing.session and standing.order_w == 0.0
    if wish.leave or standing.yielded:
        return (Act.GIVE_BACK, 0.0) if standing.remote else (Act.WAIT, float("inf"))
    if not wish.engage or not look.plugged or look.state is EvseState.FAULT:
        return (Act.WAIT, float("inf")) if idle or not standing.remote else (Act.STOP, 0.0)
    if not standing.held:
        return Act.TAKE, 0.0
    if make.starts_sessions and not standing.session:
        begun = standing.seeking_since is not None and not standing.seeking(now)
        return Act.START, SEEK_W if make.seeks_soc and not standing.soc_known and not begun else 0.0
    return _pace(now, wish, look, standing, make)


def target_w(now: float, wish: Wish, look: Look, standing: Standing) -> float:
    """Return what shall flow for a wish: whole watts inside of what the charger takes, and 0 where it would do nothing."""
    if standing.seeking(now):
        return SEEK_W
    least_w = 0.0 if standing.refusal else -look.discharge_max_w
    power_w = float(int(min(max(wish.power_w, least_w), look.charge_max_w)))
    needed_w = look.least_charge_w if power_w > 0 else look.least_discharge_w
    most_w = look.charge_max_w if power_w > 0 else look.discharge_max_w
    if standing.asked_w * power_w <= 0:
        needed_w = max(needed_w, min(BEGIN_SHARE * needed_w, most_w))
    return power_w if abs(power_w) >= needed_w else 0.0


def _pace(now: float, wish: Wish, look: Look, standing: Standing, make: Make) -> tuple[Act, float]:
    """Between two writes let the charger settle, look at it, and let the wish react to that; zero goes out at once.

    Less goes out sooner than more: what is wished before power that was ordered has come is often its echo.
    """
    before_w = standing.order_w
    power_w = trimmed_w(target_w(now, wish, look, standing), look, standing)
    if before_w == power_w:
        return Act.WAIT, float("inf")
    if before_w is None or wish.power_w == 0.0:
        return Act.ORDER, power_w
    grows_w = abs(power_w) - abs(before_w) if before_w * power_w >= 0 else 0.0
    if before_w and 0 < grows_w < CHANGE_W:
        return Act.WAIT, float("inf")
    settles_at = standing.written_at + make.settle_s
    if grows_w <= 0 and now >= settles_at:
        return Act.ORDER, power_w
    reacts_at = look.at + REACT_S if wish.at <= look.at else now
    if look.at < (settles_at if grows_w > 0 else standing.written_at + LESSEN_AFTER_S):
        return Act.WAIT, float("inf") if grows_w > 0 else settles_at
    return (Act.ORDER, power_w) if now >= reacts_at else (Act.WAIT, reacts_at)


def trimmed_w(asked_w: float, look: Look, standing: Standing) -> float:
    """Return the set-point at which ``asked_w`` is seen to flow; never less than that, never out of the window."""
    if asked_w > SEEK_W:
        return min(asked_w + standing.trim_w, max(asked_w, look.charge_max_w))
    if asked_w < -SEEK_W:
        return max(asked_w - standing.trim_w, min(asked_w, -look.discharge_max_w))
    return asked_w


def attuned(now: float, wish: Wish, look: Look, standing: Standing) -> Standing:
    """Return what stands with the newest wish; the trim shrinks with it, lest a limit be exceeded by what more power lost.

    What was learnt in one direction does not hold in the other.
    """
    asked_w = target_w(now, wish, look, standing)
    if asked_w == standing.asked_w:
        return standing
    part = min(1.0, asked_w / standing.asked_w) if asked_w * standing.asked_w > 0 else 0.0
    return replace(standing, asked_w=asked_w, trim_w=float(int(standing.trim_w * part)))


def done(now: float, act: Act, power_w: float, standing: Standing) -> Standing:
    """Return what stands after an act was carried out and verified."""
    match act:
        case Act.TAKE:
            fresh = replace(standing, remote=True, held=True, order_w=0.0)
        case Act.START:
            since = now if standing.seeking_since is None else standing.seeking_since
            fresh = replace(
                standing,
                session=True,
                order_w=power_w,
                written_at=now,
                renewed_at=now,
                seeking_since=since,
                resting_since=None,
            )
        case Act.ORDER:
            fresh = replace(standing, order_w=power_w, written_at=now, renewed_at=now)
        case Act.RENEW:
            fresh = replace(standing, renewed_at=now)
        case Act.STOP:
            fresh = replace(standing, session=False, order_w=0.0, written_at=now, seeking_since=None)
        case Act.GIVE_BACK:
            fresh = replace(
                standing, remote=False, held=False, session=False, order_w=0.0, seeking_since=None
            )
        case _:
            fresh = standing
    return replace(fresh, problem="", refused_act=None, endless_since=None)


def refused(now: float, act: Act, power_w: float, standing: Standing, why: str) -> Standing:
    """Return what stands after the charger said no to an act: nothing is known of the set-point.

    A discharge that is refused twice is not asked for again; the first time, the charger's limits may just have moved.
    """
    again = standing.refused_act == (act, power_w == 0.0)
    if act is Act.ORDER and power_w < 0 and again:
        return replace(standing, order_w=None, refusal=f"{why}: {WHAT_TO_DO}", refused_at=now)
    stands_w = None if act in {Act.ORDER, Act.START} else standing.order_w
    ends = power_w == 0.0 and act in {Act.ORDER, Act.STOP, Act.GIVE_BACK}
    since = now if standing.endless_since is None else standing.endless_since
    return replace(
        standing,
        order_w=stands_w,
        problem=f"{act.replace('_', ' ')}: {why}",
        refused_act=(act, power_w == 0.0),
        endless_since=since if ends else standing.endless_since,
        retry_at=now + (RETRY_S if power_w else RETRY_ZERO_S),
    )


def asked_anew(standing: Standing) -> Standing:
    """Return what stands when the owner asks again: nothing is held against the charger any more."""
    return replace(standing, refusal="", yielded="", disturbed_at=(), restarts=0)
