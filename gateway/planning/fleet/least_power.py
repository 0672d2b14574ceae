"""No charger runs below its least power: what an answer puts there moves to another hour of the same store."""

import numpy as np

from gateway.planning.fleet.cars import Cars, Places, Table
from gateway.planning.problem import Series

NOTHING_KW = 1e-4
CROWD_KW = 30.0
"""Moving this much of all stores' power between two hours weighs as much as the mean price."""


def change_kwh(cars: Cars, net_kw: Table) -> Table:
    """Return what each step adds to each cell."""
    efficiency = np.where(net_kw > 0, cars.charge_efficiency[:, None], 1 / cars.discharge_efficiency[:, None])
    return net_kw * efficiency * cars.hours


def levels(cars: Cars, net_kw: Table) -> Table:
    """Return the energy at each step's beginning and at the end."""
    change = change_kwh(cars, net_kw)
    held = np.empty((cars.count, net_kw.shape[1] + 1))
    held[:, 0] = cars.energy_kwh
    held[:, 1:] = cars.energy_kwh[:, None] + np.cumsum(change, 1)
    _drive(cars, held)
    return held


def _drive(cars: Cars, held: Table) -> None:
    """Take the journeys' energy out of ``held``; what would make it less than nothing later is charged on the road."""
    trips = cars.trips
    for number in np.lexsort((trips.step, trips.car)).tolist():
        car, step = int(trips.car[number]), int(trips.step[number])
        coming = trips.step[(trips.car == car) & (trips.step > step)]
        until = int(coming.min(initial=held.shape[1] - 1))
        held[car, step + 1 :] -= trips.energy_kwh[number]
        lowest = float(held[car, step + 1 : until + 1].min(initial=0.0))
        held[car, step + 1 :] += min(max(-lowest, 0.0), float(trips.energy_kwh[number]))


def relieved(cars: Cars, net_kw: Table, held: Table) -> Series:
    """Return what each journey charges on the road."""
    trips = cars.trips
    moved = change_kwh(cars, net_kw)[trips.car, trips.step]
    return held[trips.car, trips.step + 1] - moved - held[trips.car, trips.step] + trips.energy_kwh


def below_least(cars: Cars, net_kw: Table) -> np.ndarray:
    """Tell where a power is between nothing and the least."""
    charging = (net_kw > NOTHING_KW) & (net_kw < cars.charge_min_kw[:, None] - NOTHING_KW)
    return charging | ((net_kw < -NOTHING_KW) & (net_kw > -cars.discharge_min_kw[:, None] + NOTHING_KW))


def lift(cars: Cars, net_kw: Table, per_kwh: Series) -> Table:
    """Return ``net_kw`` without powers below the least, each store's energy kept where another hour can take the difference."""
    net = np.where(np.abs(net_kw) <= NOTHING_KW, 0.0, net_kw)
    car, step = np.nonzero(below_least(cars, net))
    if not len(car):
        return net
    off, crowd = np.zeros(net.shape[1]), float(np.abs(per_kwh).mean()) / CROWD_KW
    chosen = np.unique(car)
    held = dict(zip(chosen.tolist(), levels(cars.some(chosen), net[chosen]), strict=True))
    low = _lowest(cars, chosen)
    for number, at in zip(car.tolist(), step.tolist(), strict=True):
        _lift_one(cars, number, at, net[number], held[number], low[number], per_kwh, off, crowd)
    return net


def _lowest(cars: Cars, chosen: Places) -> dict[int, Series]:
    """Return the least energy at each step's beginning that keeps floor and departures."""
    low = {int(car): cars.least_kwh[car].copy() for car in chosen}
    for car, step, kwh in zip(
        cars.departures.car, cars.departures.step, cars.departures.energy_kwh, strict=True
    ):
        if int(car) in low:
            low[int(car)][step] = max(low[int(car)][step], kwh)
    return low


def _lift_one(
    cars: Cars,
    car: int,
    at: int,
    net: Series,
    held: Series,
    low: Series,
    per_kwh: Series,
    off: Series,
    crowd: float,
) -> None:
    """Put the power at ``at`` to nothing or to the least, and the difference where it costs and crowds least."""
    sign = 1.0 if net[at] > 0 else -1.0
    least, most = (
        (cars.charge_min_kw[car], cars.charge_kw[car])
        if sign > 0
        else (cars.discharge_min_kw[car], cars.discharge_kw[car])
    )
    into = cars.charge_efficiency[car] if sign > 0 else 1 / cars.discharge_efficiency[car]
    power, hours = sign * net, cars.hours
    above, below = cars.ceiling_kwh[car] - held, held - low
    best: tuple[float, float, int] | None = None
    for target in (0.0, least) if most[at] >= least else (0.0,):
        more = target - power[at]
        kwh = sign * more * into * hours[at]
        with np.errstate(divide="ignore", invalid="ignore"):
            other = power - more * hours[at] / hours
        fits = (power > 0) & (other >= least - 1e-9) & (other <= most + 1e-9)
        fits[at] = False
        fits[at + 1 :] &= _room(above if kwh > 0 else below, at + 1, 1, abs(kwh))
        fits[:at] &= _room(below if kwh > 0 else above, at, -1, abs(kwh))
        places = np.flatnonzero(fits)
        if not len(places):
            continue
        kw = sign * more
        cost = kw * hours[at] * (per_kwh[at] - per_kwh[places])
        # (off + kw)² - off² here, (off - kw)² - off² there
        cost += 2 * crowd * hours[at] * kw * (off[at] - off[places] + kw)
        pick = int(cost.argmin())
        if best is None or cost[pick] < best[0]:
            best = float(cost[pick]), more, int(places[pick])
    if best is None:
        # A little more than needed, where there is room for it; a departure would miss what is left out.
        room = sign > 0 and above[at + 1 :].min(initial=np.inf) >= (least - power[at]) * into * hours[at]
        _shift(net, held, off, at, sign * ((least if room else 0.0) - power[at]), into * hours[at])
        return
    _, more, place = best
    _shift(net, held, off, at, sign * more, into * hours[at])
    back = -sign * more * hours[at] / hours[place]
    _shift(net, held, off, place, back, into * hours[place])


def _room(margin: Series, first: int, way: int, kwh: float) -> np.ndarray:
    """Tell for each later (or earlier) step whether the energy between has ``kwh`` of margin all the way."""
    if way > 0:
        return np.minimum.accumulate(margin[first:-1]) >= kwh - 1e-9
    return np.minimum.accumulate(margin[1 : first + 1][::-1])[::-1] >= kwh - 1e-9


def _shift(net: Series, held: Series, off: Series, at: int, kw: float, kwh_per_kw: float) -> None:
    net[at] += kw
    off[at] += kw
    held[at + 1 :] += kw * kwh_per_kw
