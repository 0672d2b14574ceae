"""Pure: what a charger has shown since the last look, and what that makes of what stands."""

from dataclasses import replace

from gateway.devices.modbus_charger.steering import SEEK_W, WHAT_TO_DO, Look, Make, Standing, trimmed_w
from gateway.model import EvseState

SEEK_AGAIN_S, SOC_LASTS_S = 900.0, 6 * 3600.0
"""Without a state of charge the house may not use the car, so it is sought again when it was not told, or long ago."""
REFUSED_AFTER_S = 20.0
FLOWS_W = 100.0
REFUSAL_S = YIELD_S = 3600.0
DISTURBED_WITHIN_S = 60.0
DISTURBED_TIMES = 2
RESTART_S, RESTART_DOUBLINGS = 10.0, 8
"""A charger that rests under an order is started anew, and ever more seldom when that moves nothing: its car is full."""
FOLLOW_TOLERANCE_W = 150.0
FULL_PCT = 95.0
TRIM_GAIN, TRIM_AT_MOST, TRIM_FROM_W, TRIM_NEAR_W = 0.7, 0.2, 20.0, 50.0
APP = "control was taken in the charger's own app"
SECOND_MASTER = "another controller changed what was ordered, twice within a minute"
NO_FLOW = "discharging was acknowledged and nothing flows"


def seen(now: float, look: Look, standing: Standing, make: Make) -> Standing:
    """Return what stands after one more look at the charger on an unbroken connection."""
    standing = _pardoned(now, standing)
    if not look.plugged:
        standing = replace(
            standing,
            session=False,
            seeking_since=None,
            soc_known=False,
            dry_since=None,
            refusal="",
            yielded="",
            restarts=0,
        )
    standing = _sought(now, look, standing, make)
    if standing.held:
        standing = _disturbed(now, look, standing)
    standing = _rested(now, look, standing)
    return _watched(now, look, _learnt(look, standing, make), make)


def _sought(now: float, look: Look, standing: Standing, make: Make) -> Standing:
    """Note that the state of charge is told; begin to seek it anew in a session that has long been without, at 0 W."""
    if look.soc_pct is not None:
        return replace(standing, soc_known=True, soc_at=now)
    if standing.soc_known and now >= standing.soc_at + SOC_LASTS_S:
        standing = replace(standing, soc_known=False, seeking_since=None)
    since = float("-inf") if standing.seeking_since is None else standing.seeking_since
    due = make.seeks_soc and not standing.soc_known and now >= since + SEEK_AGAIN_S
    return (
        replace(standing, seeking_since=now)
        if due and standing.session and not standing.order_w
        else standing
    )


def _pardoned(now: float, standing: Standing) -> Standing:
    """Try again after an hour what was refused or left to another."""
    if standing.refusal and now >= standing.refused_at + REFUSAL_S:
        standing = replace(standing, refusal="")
    if standing.yielded and now >= standing.yielded_at + YIELD_S:
        standing = replace(standing, yielded="", disturbed_at=())
    return standing


def _disturbed(now: float, look: Look, standing: Standing) -> Standing:
    """Let go of a charger that somebody else commands.

    Control that falls to the app while the connection holds was taken there by a person; after a restart of the charger
    the connection is a new one, and control is simply taken again.
    """
    if not look.ours:
        gone = replace(standing, remote=False, held=False, session=False, order_w=0.0, seeking_since=None)
        return replace(gone, yielded=APP, yielded_at=now) if look.plugged else gone
    foreign = standing.order_w is not None and abs(look.kept_w - standing.order_w) >= 1.0
    if not foreign and look.leased:
        return standing
    times = (*(at for at in standing.disturbed_at if now - at < DISTURBED_WITHIN_S), now)
    standing = replace(
        standing,
        disturbed_at=times,
        held=look.leased,
        order_w=None if foreign else standing.order_w,
    )
    if len(times) >= DISTURBED_TIMES:
        standing = replace(standing, yielded=SECOND_MASTER, yielded_at=now)
    return standing


def _rested(now: float, look: Look, standing: Standing) -> Standing:
    """Give up a session in which the charger rests for long under an order: it has ended it."""
    order_w = standing.order_w
    if abs(look.power_w) >= FLOWS_W:
        standing = replace(standing, restarts=0)
    if not (standing.session and look.resting and order_w):
        return replace(standing, resting_since=None)
    restarts = standing.restarts if order_w * standing.rested_w > 0 else 0
    since = now if standing.resting_since is None else standing.resting_since
    if now < since + RESTART_S * 2 ** min(restarts, RESTART_DOUBLINGS):
        return replace(standing, resting_since=since)
    return replace(standing, session=False, resting_since=None, restarts=restarts + 1, rested_w=order_w)


def _watched(now: float, look: Look, standing: Standing, make: Make) -> Standing:
    """Note since when an ordered discharge has not flowed, and name it a refusal in time, half of it after a new start."""
    ordered = standing.order_w is not None and standing.order_w < -SEEK_W
    flows = look.power_w < -FLOWS_W
    if ordered and look.state is EvseState.STARTING and standing.dry_since is not None:
        return replace(standing, dry_since=max(standing.dry_since, now - REFUSED_AFTER_S / 2))
    if not ordered or flows or look.state is not EvseState.READY:
        return replace(standing, dry_since=None)
    dry_since = now if standing.dry_since is None else standing.dry_since
    if now - dry_since >= max(REFUSED_AFTER_S, make.settle_s) and not standing.refusal:
        standing = replace(standing, refusal=f"{NO_FLOW}: {WHAT_TO_DO}", refused_at=now)
    return replace(standing, dry_since=dry_since)


def differs(now: float, look: Look, standing: Standing, make: Make) -> bool:
    """Tell whether the measured power is not what was ordered; never before the charger has settled."""
    order_w = standing.order_w
    if order_w is None or not standing.held or now < standing.written_at + make.settle_s:
        return False
    if order_w > 0 and look.soc_pct is not None and look.soc_pct >= FULL_PCT:
        return False
    part_w = make.least_share * order_w
    low_w, high_w = min(part_w, order_w), max(part_w, order_w)
    return not low_w - FOLLOW_TOLERANCE_W <= look.power_w <= high_w + FOLLOW_TOLERANCE_W


def _learnt(look: Look, standing: Standing, make: Make) -> Standing:
    """Once the charger has settled, raise the trim by most of what lacks, or take away at once what is too much."""
    order_w, most_w = standing.order_w, TRIM_AT_MOST * abs(standing.asked_w)
    settled = look.at >= standing.written_at + make.settle_s and look.state is EvseState.READY
    if not make.trims or not settled or order_w is None or look.power_w * order_w <= 0:
        return standing
    if (
        abs(order_w - trimmed_w(standing.asked_w, look, standing)) > TRIM_NEAR_W
        or abs(look.power_w) < FLOWS_W
    ):
        return standing
    lacking_w = abs(standing.asked_w) - abs(look.power_w)
    if abs(lacking_w) < TRIM_FROM_W:
        return standing
    change_w = TRIM_GAIN * lacking_w if lacking_w > 0 else lacking_w
    return replace(standing, trim_w=float(int(min(max(standing.trim_w + change_w, 0.0), most_w))))
