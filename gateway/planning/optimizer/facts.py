"""A problem in plain numbers: kW, kWh and hours, nothing missing, infinite or impossible. What is broken is mended, never refused."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gateway.model import DeviceId
from gateway.planning.problem import (
    Band,
    CircuitLimit,
    Converter,
    Departure,
    Problem,
    ReserveBand,
    Series,
    Store,
    Trip,
)

MOST_KW = 1e5
"""A limit without an end."""
DEAREST = 1e3
"""No price is beyond this, per kWh."""


@dataclass(frozen=True, slots=True, eq=False)
class Pack:
    """One store; kW and kWh also inside ``converter``, ``departures`` and ``trips``. ``energy_kwh`` is what it begins with; ``taper`` are (slope in kW per kWh, kW at empty) of concave limits."""

    id: DeviceId
    capacity_kwh: float
    energy_kwh: float
    charge_kw: Series
    discharge_kw: Series
    converter: Converter
    floor_kwh: float
    ceiling_kwh: float
    reserve_kwh: Series
    taper: tuple[tuple[float, float], ...]
    wear_per_kwh: float
    resting: tuple[tuple[float, float], ...]
    departures: tuple[Departure, ...]
    trips: tuple[Trip, ...]
    end_kwh: float
    end_shortfall_per_kwh: float
    worth_per_kwh: float
    is_car: bool
    circuit: str

    @property
    def runs_or_not(self) -> bool:
        """Tell whether merely running costs something, or needs a least power."""
        needs = self.converter.idle_w, self.converter.charge_min_w, self.converter.discharge_min_w
        return max(needs) > 0 and bool(self.charge_kw.any() or self.discharge_kw.any())


@dataclass(frozen=True, slots=True, eq=False)
class Circuit:
    """A board: the stores at and below it, and between which powers they stay together."""

    id: str
    packs: tuple[int, ...]
    least_kw: Series
    most_kw: Series


@dataclass(frozen=True, slots=True, eq=False)
class Sold:
    """Reserve that ``packs`` keep free both ways, with energy for ``hold_h``."""

    power_kw: Series
    hold_h: float
    packs: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """The whole problem. ``doubt_kw`` is how much more a bad day draws than the middle one;
    ``carbon`` is the part of ``buy`` that its carbon price makes."""

    hours: Series
    load_kw: Series
    pv_kw: Series
    doubt_kw: Series
    buy: Series
    carbon: Series
    sell: Series
    import_kw: Series
    export_kw: Series
    import_cap_kw: Series
    export_cap_kw: Series
    obliged_kw: Series
    peak_per_kw: float
    peak_so_far_kw: float
    peak_of: tuple[tuple[int, int], ...]
    tiers: tuple[tuple[float, float], ...]
    packs: tuple[Pack, ...]
    circuits: tuple[Circuit, ...]
    sold: tuple[Sold, ...]
    curtailable: bool
    battery_may_charge_car: bool

    @property
    def steps(self) -> int:
        """The number of steps."""
        return len(self.hours)


def facts_of(problem: Problem) -> Facts:
    """Return ``problem`` in numbers that any arithmetic may trust."""
    steps = len(problem.horizon.hours)
    hours = _series(problem.horizon.hours, steps, 0.0, 0.0, 1e3)
    load, pv = _band(problem.load_w, steps), _band(problem.pv_w, steps)
    grid, doubt = problem.grid, np.maximum(0, load[1] - load[0]) + np.maximum(0, pv[0] - pv[2])
    base, sun = load[0], np.maximum(pv[0], 0)
    carbon = (
        _series(grid.carbon_g_per_kwh, steps, 0.0, 0.0, 1e4)
        / 1e3
        * _number(grid.carbon_per_kg, 0, 0, DEAREST)
    )
    packs = _packs(problem.stores, hours)
    demand = grid.demand
    return Facts(
        hours=hours,
        load_kw=base,
        pv_kw=sun,
        doubt_kw=doubt,
        buy=_price(grid.import_per_kwh, steps) + carbon,
        carbon=carbon,
        sell=_price(grid.export_per_kwh, steps),
        import_kw=_limit(grid.import_max_w, steps),
        export_kw=_limit(grid.export_max_w, steps),
        import_cap_kw=_limit(grid.import_cap_w, steps),
        export_cap_kw=_limit(grid.export_cap_w, steps),
        obliged_kw=_obliged(grid.obliged_w, steps),
        peak_per_kw=_number(demand.per_kw, 0, 0, 1e6) if demand else 0.0,
        peak_so_far_kw=_number(demand.peak_so_far_w, 0, 0, MOST_KW * 1e3) / 1e3 if demand else 0.0,
        peak_of=_intervals(demand.interval_steps, demand.until_step, steps) if demand else (),
        tiers=tuple(
            (_number(t.from_wh, 0, 0, 1e12) / 1e3, _number(t.extra_per_kwh, 0, 0, DEAREST))
            for t in grid.tiers
        ),
        packs=packs,
        circuits=_circuits(problem.circuits, packs, steps),
        sold=tuple(_sold(r, packs, steps) for r in problem.reserves),
        curtailable=problem.pv_curtailable,
        battery_may_charge_car=problem.battery_may_charge_car,
    )


def _number(value: float, missing: float, least: float, most: float) -> float:
    return missing if value != value else min(max(float(value), least), most)  # noqa: PLR0124  # NaN alone differs


def _series(values: Series | None, steps: int, missing: float, least: float, most: float) -> Series:
    """Return one value per step: what is too short goes on with its last, what is not a number is ``missing``."""
    given = np.atleast_1d(np.asarray(missing if values is None else values, np.float64))[:steps]
    if len(given) < steps:
        given = np.concatenate([given, np.full(steps - len(given), given[-1] if len(given) else missing)])
    return np.clip(np.where(np.isnan(given), missing, given), least, most)


def _price(values: Series, steps: int) -> Series:
    """Return prices in which a gap repeats what was known before it (after it, where nothing was)."""
    given = _series(values, steps, np.inf, -np.inf, np.inf)
    known = np.flatnonzero(np.isfinite(given))
    if len(known) == 0:
        return np.zeros(steps)
    at = np.maximum(np.searchsorted(known, np.arange(steps), "right") - 1, 0)
    return np.clip(given[known[at]], -DEAREST, DEAREST)


def _limit(values: Series | None, steps: int, missing_kw: float = MOST_KW) -> Series:
    return _series(values, steps, missing_kw * 1e3, 0.0, MOST_KW * 1e3) / 1e3


def _band(band: Band, steps: int) -> tuple[Series, Series, Series]:
    """Return the middle, the high and the low course in kW."""
    most = MOST_KW * 1e3
    middle = _series(band.p50, steps, 0.0, -most, most)
    high, low = (
        np.where(np.isnan(other := _series(series, steps, np.nan, -most, most)), middle, other)
        for series in (band.p90, band.p10)
    )
    return middle / 1e3, high / 1e3, low / 1e3


def _obliged(values: Series | None, steps: int) -> Series:
    return _series(values, steps, np.nan, -MOST_KW * 1e3, MOST_KW * 1e3) / 1e3


def _intervals(length: int, until: int | None, steps: int) -> tuple[tuple[int, int], ...]:
    length, until = max(1, length), steps if until is None else min(max(until, 0), steps)
    return tuple((at, min(at + length, until)) for at in range(0, until, length))


def _packs(stores: tuple[Store, ...], hours: Series) -> tuple[Pack, ...]:
    """Return the stores; of two with one name the first counts."""
    first = {store.id: store for store in reversed(stores)}
    return tuple(_pack(store, hours) for store in stores if first[store.id] is store)


def _pack(store: Store, hours: Series) -> Pack:
    steps, capacity = len(hours), _number(store.capacity_wh, 0, 0, 1e9) / 1e3
    converter = _converter(store.converter)
    charge, discharge = _powers(store, converter, capacity, hours)

    def energy(wh: float, missing: float = 0.0) -> float:
        return _number(wh / 1e3, missing, 0.0, capacity)

    return Pack(
        id=store.id,
        capacity_kwh=capacity,
        energy_kwh=energy(store.energy_wh),
        charge_kw=charge,
        discharge_kw=discharge,
        converter=converter,
        floor_kwh=energy(store.floor_wh),
        ceiling_kwh=capacity if store.ceiling_wh is None else energy(store.ceiling_wh, capacity),
        reserve_kwh=np.minimum(_series(store.reserve_wh, steps, 0.0, 0.0, 1e12) / 1e3, capacity),
        taper=_taper(store.taper, capacity, float(charge.max(initial=0.0))),
        wear_per_kwh=_number(store.wear.per_kwh, 0, 0, DEAREST),
        resting=tuple(
            (_number(soc, 0, 0, 100) / 100 * capacity, price)
            for soc, given in store.wear.resting
            if (price := _number(given, 0, 0, DEAREST)) > 0
        ),
        departures=_departures(store, steps),
        trips=tuple(
            Trip(t.step, _number(t.energy_wh / 1e3, 0, 0, 1e9), _number(t.relief_per_kwh, 0, 0, DEAREST))
            for t in store.trips
            if 0 <= t.step <= steps
        ),
        end_kwh=energy(store.end_wh),
        end_shortfall_per_kwh=_number(store.end_shortfall_per_kwh, 0, 0, DEAREST),
        worth_per_kwh=_number(store.worth_per_kwh, 0, -DEAREST, DEAREST),
        is_car=store.is_car,
        circuit=store.circuit,
    )


def _converter(given: Converter) -> Converter:
    return Converter(
        _number(given.charge_efficiency, 1, 0.1, 1),
        _number(given.discharge_efficiency, 1, 0.1, 1),
        _number(given.idle_w, 0, 0, 1e6) / 1e3,
        _number(given.charge_min_w, 0, 0, 1e6) / 1e3,
        _number(given.discharge_min_w, 0, 0, 1e6) / 1e3,
    )


def _powers(store: Store, converter: Converter, capacity: float, hours: Series) -> tuple[Series, Series]:
    """Return the limits: none beyond what fills or empties the pack in the step, and 0 where they are below the least power."""
    fills = capacity / np.maximum(hours, 1e-3) * (hours > 0)
    drains = np.maximum(fills * converter.discharge_efficiency - converter.idle_w, 0)
    charge = np.minimum(
        _limit(store.charge_max_w, len(hours), 0.0), fills / converter.charge_efficiency + converter.idle_w
    )
    discharge = np.minimum(_limit(store.discharge_max_w, len(hours), 0.0), drains)
    charge[(charge < converter.charge_min_w) | (charge <= converter.idle_w) | (fills <= 0)] = 0.0
    discharge[(discharge < converter.discharge_min_w) | (fills <= 0)] = 0.0
    return charge, discharge


def _departures(store: Store, steps: int) -> tuple[Departure, ...]:
    return tuple(
        Departure(
            d.step,
            _number(d.energy_wh / 1e3, 0, 0, 1e9),
            _number(d.relief_per_kwh, 0, 0, DEAREST),
            _number(d.probability, 1, 0, 1),
        )
        for d in store.departures
        if 0 <= d.step <= steps
    )


def _taper(
    points: tuple[tuple[float, float], ...], capacity: float, most_kw: float
) -> tuple[tuple[float, float], ...]:
    """Return the lines of the least concave course above ``points``, those alone that ever hold back."""
    if not points or capacity <= 0:
        return ()
    known = sorted(
        (_number(s, 0, 0, 100), _number(w, MOST_KW * 1e3, 0, MOST_KW * 1e3) / 1e3) for s, w in points
    )
    corners = [
        (soc / 100 * capacity, min(kw, most_kw))
        for soc, kw in [(0.0, most_kw), *known, (100.0, known[-1][1])]
    ]
    hull: list[tuple[float, float]] = []
    for corner in sorted(corners):
        while hull and corner[0] - hull[-1][0] < 1e-9:
            corner = (hull[-1][0], max(hull.pop()[1], corner[1]))  # noqa: PLW2901  # two at one charge: the higher
        while len(hull) > 1 and _slope(hull[-2], corner) >= _slope(hull[-2], hull[-1]):
            hull.pop()
        hull.append(corner)
    lines = [(_slope(a, b), a[1] - _slope(a, b) * a[0]) for a, b in pairwise(hull)]
    return tuple((slope, at_empty) for slope, at_empty in lines if slope < -1e-9)


def _slope(a: tuple[float, float], b: tuple[float, float]) -> float:
    return (b[1] - a[1]) / (b[0] - a[0])


def _circuits(limits: tuple[CircuitLimit, ...], packs: tuple[Pack, ...], steps: int) -> tuple[Circuit, ...]:
    by_id = {limit.id: limit for limit in limits}
    circuits = []
    for limit in by_id.values():
        below = {c.id for c in by_id.values() if limit.id in _way_up(c.id, by_id)}
        others = [
            _series(by_id[c].other_w, steps, 0.0, -MOST_KW * 1e3, MOST_KW * 1e3) / 1e3 for c in sorted(below)
        ]
        other, most = sum(others, np.zeros(steps)), _limit(limit.max_w, steps)
        members = tuple(i for i, pack in enumerate(packs) if pack.circuit in below)
        if members:
            least = np.minimum(-most - other, 0.0)
            circuits.append(Circuit(limit.id, members, least, np.maximum(most - other, 0.0)))
    return tuple(circuits)


def _way_up(circuit: str, by_id: dict[str, CircuitLimit]) -> list[str]:
    """Return ``circuit`` and all that it hangs on."""
    way: list[str] = []
    while circuit in by_id and circuit not in way:
        way.append(circuit)
        circuit = by_id[circuit].within
    return way


def _sold(band: ReserveBand, packs: tuple[Pack, ...], steps: int) -> Sold:
    members = tuple(i for i, pack in enumerate(packs) if not band.stores or pack.id in band.stores)
    return Sold(
        _series(band.power_w, steps, 0.0, 0.0, MOST_KW * 1e3) / 1e3, _number(band.hold_h, 0, 0, 24), members
    )
