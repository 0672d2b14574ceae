"""Pure: what the site draws besides its DERs, per phase, from the newest grid sample.

The grid sample and the device samples belong to different instants: a meter may be read seconds after what it shows was true
(``DeviceInfo.lag_s``, which quality.py corrects). So the devices' powers are taken at the instant that the sample means, and
what is left is the house, whatever the devices have done since. The sun's part is taken from its own meter, which is often
faster. While a device moves only half of what a new grid sample says is believed: with a whole step of the devices unseen,
b[k+1] = (1-g) b[k] - g (b[k] - b[k-1]) is stable for g < 2/3 alone, and best damped near one half.
"""

from collections.abc import Iterator, Mapping, Sequence
from copy import replace

from msgspec import Struct, field

from gateway.control import expectation
from gateway.control.expectation import Expectation
from gateway.control.known_power import NOTHING, Known, Powers
from gateway.faults import FaultCode
from gateway.model import (
    ZERO,
    DeviceId,
    EvseSample,
    Interval,
    MeterRole,
    MeterSample,
    Snapshot,
    StorageSample,
)

MOTION_S = 0.4
"""How far the instants of two samples may be apart: poll periods and the devices' own refresh."""
STANDBY_W = 150.0
DEAF = frozenset({FaultCode.DEVICE_UNREACHABLE, FaultCode.DEVICE_REFUSED})
STILL_W = 10.0
"""Movement that is noise."""
ACTING_S = 0.5
"""From the decision to the power, of a fast device."""
LONGEST_PERIOD_S = 60.0
LASTING_S = 60.0
UNSURE_S, UNSURE_W = 2.0, 200.0
NOWHERE: Mapping[DeviceId, float] = {}
NO_REACH: Mapping[DeviceId, Interval] = {}

type Phases = tuple[float, float, float]
type Told = tuple[DeviceId, float, float, tuple[int, ...]]


class Balance(Struct, frozen=True):
    """``base_w`` is what the house should draw when a decision of now takes effect, without the devices; ``high`` and ``low``
    are the most and the least that it draws, for limits, as far as the newest grid sample can tell while devices move.

    Import positive. ``lasting`` is the range of the estimate over the last minute; ``arriving_w`` is where each device will
    be when a fast one could answer.
    """

    at: float
    base_w: float
    base_phase_w: Phases
    high_w: float
    low_w: float
    high_phase_w: Phases
    low_phase_w: Phases
    lasting: Interval = ZERO
    arriving_w: Mapping[DeviceId, float] = field(default_factory=dict)


class House(Struct, frozen=True):
    """What is known of the house: ``net`` is the estimate without devices and sun, ``shown`` what the newest grid sample says with the
    devices, without the sun; ``firm`` is the most and the least for limits, ``before`` the same until that sample came.

    ``period_s`` is how often the grid meter is heard, ``recent`` holds (time, least, most) base powers of the last minute.
    ``balance`` is None while the grid meter is silent; what was learned of it stays.
    """

    balance: Balance | None = None
    heard_at: float | None = None
    net: Powers = NOTHING
    shown: Powers = NOTHING
    before: tuple[Powers, Powers] | None = None
    firm: tuple[Powers, Powers] = (NOTHING, NOTHING)
    period_s: float = 1.0
    known: Known = field(default_factory=Known)
    sun: Known = field(default_factory=Known)
    lag_s: float = 0.0
    expectation: Expectation = field(default_factory=Expectation)
    recent: tuple[tuple[float, float, float], ...] = ()

    @property
    def horizon_s(self) -> float:
        """Return how long after a change of the load an answer to it takes effect."""
        return self.lag_s + self.period_s / 2 + ACTING_S


def follow(
    previous: House,
    snapshot: Snapshot,
    arriving_w: Mapping[DeviceId, float] = NOWHERE,
    reach_w: Mapping[DeviceId, Interval] = NO_REACH,
) -> House:
    """Return the house after ``snapshot``; where the devices arrive and may be by now is what dynamics.py tells."""
    known = previous.known.noted(snapshot.at, _devices(snapshot))
    sun = previous.sun.noted(snapshot.at, _sun(snapshot))
    house = House(
        None,
        previous.heard_at,
        previous.net,
        previous.shown,
        previous.before,
        previous.firm,
        previous.period_s,
        known,
        sun,
        _declared_s(snapshot),
        previous.expectation,
        previous.recent,
    )
    if (grid := snapshot.grid()) is None:
        return replace(house, heard_at=None, before=None, recent=())
    if previous.heard_at is None or grid.at > previous.heard_at:
        house = _heard(house, grid, snapshot)
    return _balanced(house, snapshot.at, arriving_w, reach_w)


def _heard(house: House, grid: MeterSample, snapshot: Snapshot) -> House:
    """Return the house after a new sample of the grid meter."""
    known, sun = house.known, house.sun
    true_at = grid.at - house.lag_s
    shown = _sum((grid.power_w, *_phases(grid)), sun.at(true_at), 1)
    raw = _sum(shown, known.at(true_at), -1)
    net, before, period_s, expected = raw, None, house.period_s, Expectation()
    if house.heard_at is not None:
        elapsed_s = min(grid.at - house.heard_at, LONGEST_PERIOD_S)
        period_s += 0.2 * (elapsed_s - period_s)
        motion_w = known.moved_w(true_at, MOTION_S) + (
            _to_go_w(snapshot) if house.lag_s < 2 * MOTION_S else 0.0
        )
        net = _between(house.net, raw, 0.5 + 0.5 * STILL_W / (STILL_W + motion_w))
        before, expected = house.firm, house.expectation
    heard = replace(house, heard_at=grid.at, net=net, shown=shown, before=before, period_s=period_s)
    return replace(heard, expectation=expectation.follow(expected, grid.at, net[0], heard.horizon_s))


def _balanced(
    house: House, now: float, arriving_w: Mapping[DeviceId, float], reach_w: Mapping[DeviceId, Interval]
) -> House:
    """Return the house with its balance by the sun of now."""
    sun_now, firm = house.sun.at(now), _firm(house, arriving_w, reach_w)
    base = _sum(house.net, sun_now, -1)
    high, low = _sum(firm[0], sun_now, -1), _sum(firm[1], sun_now, -1)
    base_w = house.expectation.expected_w(house.net[0]) - sun_now[0]
    restless = house.known.moved_w(now, UNSURE_S) > UNSURE_W
    recent = _lately(house.recent, now, base_w, restless=restless)
    balance = Balance(
        at=house.heard_at or now,
        base_w=base_w,
        base_phase_w=base[1:],
        high_w=high[0],
        low_w=low[0],
        high_phase_w=high[1:],
        low_phase_w=low[1:],
        lasting=Interval(min(r[1] for r in recent), max(r[2] for r in recent)),
        arriving_w=arriving_w,
    )
    return replace(house, firm=firm, balance=balance, recent=recent)


def _firm(
    house: House, arriving_w: Mapping[DeviceId, float], reach_w: Mapping[DeviceId, Interval]
) -> tuple[Powers, Powers]:
    """Return the most and the least before the newest grid sample, moved as little as that sample asks for.

    Where the devices were at that instant is known only within what they did around it, and may have done since they were heard.
    Taken for exact, their own moves would look like a load that comes and goes, which the limits would answer with more of them.
    What makes a limit tighter counts as soon as no likely move explains it; what makes it looser, once no possible one does.
    """
    assert house.heard_at is not None
    true_at = house.heard_at - house.lag_s
    lowest, highest = house.known.span(true_at, MOTION_S)
    least, most = list(_sum(house.shown, highest, -1)), list(_sum(house.shown, lowest, -1))
    likely_least, likely_most = least.copy(), most.copy()
    for device, reach in reach_w.items():
        if (last := house.known.last.get(device)) is None:
            continue
        at, power_w, phases = last
        if at < true_at + MOTION_S:
            way_w = arriving_w.get(device, power_w) - power_w
            _widen(likely_least if way_w > 0 else likely_most, way_w, phases)
        _widen(least, max(0.0, reach.max_w - power_w), phases)
        _widen(most, min(0.0, reach.min_w - power_w), phases)
    exact = _sum(house.shown, house.known.at(true_at), -1)
    high, low = house.before or (exact, exact)
    return _within(likely_least, high, most), _within(least, low, likely_most)


def _widen(edge_w: list[float], way_w: float, phases: tuple[int, ...]) -> None:
    """Move an edge of what the house may draw by a way that a device may have gone."""
    edge_w[0] -= way_w
    for phase in phases:
        edge_w[phase] -= way_w / len(phases)


def _within(least: Sequence[float], value: Powers, most: Sequence[float]) -> Powers:
    a, b, c, d = (min(max(w, low), high) for low, w, high in zip(least, value, most, strict=True))
    return a, b, c, d


def _lately(
    recent: tuple[tuple[float, float, float], ...], now: float, base_w: float, *, restless: bool
) -> tuple[tuple[float, float, float], ...]:
    """Return the ranges of the last minute, one for each second, with ``base_w`` in the newest.

    While the devices themselves move, samples of different instants make a dip or a peak that no load has: nothing is noted.
    """
    if restless and recent:
        return recent
    if not recent or now >= recent[-1][0] + 1.0:
        gone = next((n for n, r in enumerate(recent) if r[0] > now - LASTING_S), len(recent))
        return (*recent[gone:], (now, base_w, base_w))
    at, least, most = recent[-1]
    if least <= base_w <= most:
        return recent
    return (*recent[:-1], (at, min(least, base_w), max(most, base_w)))


def _devices(snapshot: Snapshot) -> Iterator[Told]:
    infos, decisions = snapshot.devices, snapshot.decisions
    deaf = {f.device for f in snapshot.faults if f.code in DEAF}
    samples: tuple[tuple[DeviceId, StorageSample | EvseSample | None], ...]
    samples = (*snapshot.storages.items(), *snapshot.evses.items())
    for device, sample in samples:
        if sample is None:
            continue
        power_w, decided = sample.power_w, decisions.get(device)
        if decided is not None and decided.power_w == 0.0 and (abs(power_w) <= STANDBY_W or device in deaf):
            # At 0 W it still draws for itself, or does not hear of it: as any load of the house, the others carry it.
            power_w = 0.0
        yield device, sample.at, power_w, infos[device].phases


def _declared_s(snapshot: Snapshot) -> float:
    """Return how old the grid meter says its values are."""
    infos = (snapshot.devices[device] for device in snapshot.meters)
    return next((info.lag_s for info in infos if info.role is MeterRole.GRID), 0.0)


def _sun(snapshot: Snapshot) -> Iterator[Told]:
    """What the PV meters tell, positive, whichever way round they count."""
    for device, sample in snapshot.meters.items():
        if sample is not None and snapshot.devices[device].role is MeterRole.PV:
            yield device, sample.at, abs(sample.power_w), snapshot.devices[device].phases


def _to_go_w(snapshot: Snapshot) -> float:
    """How far the devices still are from what they were told."""
    to_go_w = 0.0
    for device, decided in snapshot.decisions.items():
        sample = snapshot.storages.get(device) or snapshot.evses.get(device)
        if sample is not None:
            to_go_w += abs(decided.power_w - sample.power_w)
    return to_go_w


def _phases(grid: MeterSample) -> Phases:
    """Per-phase power, raised to what the measured current means for the fuse where reactive current flows."""
    loads = []
    for power_w, voltage_v, current_a in zip(
        grid.phase_power_w, grid.phase_voltage_v, grid.phase_current_a, strict=True
    ):
        reactive_w = max(0.0, abs(current_a) * voltage_v - abs(power_w))
        loads.append(power_w + reactive_w if power_w >= 0 else power_w - reactive_w)
    return loads[0], loads[1], loads[2]


def _sum(one: Powers, other: Powers, sign: int) -> Powers:
    a, b, c, d = (x + sign * y for x, y in zip(one, other, strict=True))
    return a, b, c, d


def _between(old: Powers, new: Powers, share: float) -> Powers:
    a, b, c, d = (x + share * (y - x) for x, y in zip(old, new, strict=True))
    return a, b, c, d
