"""Pure: how the devices of a plan keep the exchange with the grid that it means, whatever the house and the sun do.

Each starts from its planned power. What was not foreseen is taken first from the cars' own exchange, back towards 0; then by
the batteries, which are quick and wear least; then by the cars again, but none is turned round or begins to give. Beside a
battery a car follows only what lasts: it is slow, and not sent after each pan on the stove.
"""

import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from gateway.control.balance import Balance
from gateway.control.covering import worth_w
from gateway.control.ladder import Bid
from gateway.control.sharing import share
from gateway.model import DeviceId, DeviceKind, Interval, Snapshot


def towards(
    bids: Mapping[DeviceId, Bid],
    planned_w: Mapping[DeviceId, float],
    snapshot: Snapshot,
    balance: Balance,
    bound_w: float,
    wanted: Interval,
) -> dict[DeviceId, float]:
    """Return what the plan's devices should do to bring the exchange into ``wanted``; ``bound_w`` is what all others will do."""
    powers_w = {d: bids[d].interval.clamp(w) for d, w in planned_w.items()}
    cars = frozenset(d for d in powers_w if snapshot.devices[d].kind is DeviceKind.EVSE)
    reaches = {d: bids[d].interval for d in powers_w}
    house_w = balance.base_w + bound_w
    error_w = _error(wanted, house_w + sum(powers_w.values()))
    batteries = [d for d in powers_w if d not in cars]
    for_cars_w = error_w
    if batteries:
        room_w = sum(abs(_edge(reaches[d], error_w) - powers_w[d]) for d in batteries)
        lacking_w = max(0.0, abs(error_w) - room_w)
        lasting_w = _lasting(wanted, balance, house_w + sum(powers_w.values()), error_w)
        for_cars_w = math.copysign(max(lacking_w, abs(lasting_w)), error_w)
    left_w = for_cars_w - _move(powers_w, for_cars_w, {d: _back(powers_w[d]) for d in cars}, cars)
    if batteries:
        others_w = house_w + sum(balance.arriving_w.get(d, powers_w[d]) for d in cars)
        resting_w = sum(powers_w[d] for d in batteries)
        need_w = resting_w + _error(wanted, others_w + resting_w)
        if need_w != resting_w:
            running_w = sum(x.power_w for d in batteries if (x := snapshot.decisions.get(d)) is not None)
            need_w = worth_w(need_w, running_w)
        _move(powers_w, need_w - resting_w, {d: _around(powers_w[d], reaches[d]) for d in batteries}, cars)
    still_w = _error(wanted, house_w + sum(powers_w.values()))
    if still_w * left_w > 0:
        further = {d: _onward(planned_w[d], powers_w[d], reaches[d]) for d in cars}
        _move(powers_w, math.copysign(min(abs(still_w), abs(left_w)), left_w), further, cars)
    return powers_w


def _move(
    powers_w: dict[DeviceId, float],
    by_w: float,
    steps: Mapping[DeviceId, Interval],
    cars: AbstractSet[DeviceId],
) -> float:
    """Move the devices together by ``by_w``, as far as their ``steps`` allow; return how far that was."""
    shares = share(by_w, steps, dict.fromkeys(steps, 1.0), {}, cars)
    for device, moved_w in shares.items():
        powers_w[device] += moved_w
    return sum(shares.values())


def _error(wanted: Interval, exchange_w: float) -> float:
    return wanted.clamp(exchange_w) - exchange_w


def _lasting(wanted: Interval, balance: Balance, exchange_w: float, error_w: float) -> float:
    """Return the part of the error that was there all through the last minute."""
    low_w = exchange_w - balance.base_w + balance.lasting.min_w
    high_w = exchange_w - balance.base_w + balance.lasting.max_w
    least_w, most_w = _error(wanted, high_w), _error(wanted, low_w)
    return max(0.0, min(least_w, error_w)) if error_w > 0 else min(0.0, max(most_w, error_w))


def _edge(reach: Interval, error_w: float) -> float:
    return reach.max_w if error_w > 0 else reach.min_w


def _back(power_w: float) -> Interval:
    """A car's way back to 0."""
    return Interval(min(0.0, -power_w), max(0.0, -power_w))


def _around(power_w: float, reach: Interval) -> Interval:
    return Interval(reach.min_w - power_w, reach.max_w - power_w)


def _onward(planned_w: float, power_w: float, reach: Interval) -> Interval:
    """A car that gives by plan may do all it can; another may only take more."""
    return Interval(
        min(0.0, reach.min_w - power_w) if planned_w < 0 else 0.0, max(0.0, reach.max_w - power_w)
    )
