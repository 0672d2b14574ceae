"""How much current the car is offered in 108.3, and how much the converter is told to drive; pure."""

from math import ceil

from msgspec.structs import replace

from gateway.devices.chademo.moment import Moment, Progress, State

RISE_A_PER_S = 20.0
FALL_A_PER_S = 100.0
LONGEST_STEP_S = 0.2
OFFER_HEADROOM_A = 10
CEILING_STANDS_S = 0.5
CEILING_HOLDS_S = 60.0
"""A pause offers nothing, so that the car's own limit cannot be seen; it is taken to hold this long."""


def flow(moment: Moment) -> Progress:
    """Return the progress with offer and current moved as far as time, ramp and limits allow."""
    now, progress = moment.inputs.now, moment.progress
    offered_a = _offer_a(moment)
    offering = replace(
        _learn_ceiling(moment),
        offered_a=offered_a,
        offered_at=progress.offered_at if offered_a == progress.offered_a else now,
        stepped_at=now,
    )
    elapsed_s = min(now - progress.stepped_at, LONGEST_STEP_S)
    return replace(offering, current_a=_current_a(replace(moment, progress=offering), elapsed_s))


def _learn_ceiling(moment: Moment) -> Progress:
    """Note the car's own limit: its request, once it and a higher offer have both stood for a while."""
    progress, car, now = moment.progress, moment.inputs.car, moment.inputs.now
    stand_s = now - max(progress.offered_at, car.request_at)
    asks_less = car.requested_current_a < int(progress.offered_a)
    if progress.state is State.ENERGISED and asks_less and stand_s >= CEILING_STANDS_S:
        return replace(progress, ceiling_a=car.requested_current_a, ceiling_at=now)
    return progress if now - progress.ceiling_at <= CEILING_HOLDS_S else replace(progress, ceiling_a=None)


def _offer_a(moment: Moment) -> float:
    """Return 108.3 (reference/can.md 3.8, current deviation).

    A car that follows it is offered no more than it will get, and all we have before it may draw; what another car was
    once offered is never taken back, so it is offered little to begin with.
    """
    progress, wanted_a, most_a = moment.progress, moment.inputs.wanted_a, moment.charger.max_charge_a
    needed_a = min(most_a, ceil(max(0.0, wanted_a)) + OFFER_HEADROOM_A)
    if not moment.inputs.car.dynamic:
        return min(most_a, max(progress.offered_a, needed_a))
    if progress.state is not State.ENERGISED:
        return most_a
    return needed_a if wanted_a > 0 else 0.0


def _current_a(moment: Moment, elapsed_s: float) -> float:
    """Return the current to order: none unless energised and permitted, else towards the wish inside ramp and limits."""
    if moment.progress.state is not State.ENERGISED or not moment.permitted:
        return 0.0
    was_a, wanted_a = moment.progress.current_a, moment.inputs.wanted_a
    charge_a, discharge_a = max(0.0, moment.charge_limit_a), max(0.0, moment.discharge_limit_a)
    up_per_s, down_per_s = (RISE_A_PER_S, FALL_A_PER_S) if was_a >= 0 else (FALL_A_PER_S, RISE_A_PER_S)
    ramped_a = min(max(wanted_a, was_a - down_per_s * elapsed_s), was_a + up_per_s * elapsed_s)
    if was_a * ramped_a < 0:
        ramped_a = 0.0
    return min(max(ramped_a, -discharge_a), charge_a)
