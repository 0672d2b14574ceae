"""Pure: what the site draws besides its DERs, per phase, from the newest grid sample.

The grid sample and the device samples belong to different instants: a meter may be read seconds after what it shows was true
(meter_lag.py). So the devices' powers are taken at the instant that the sample means, and what is left is the house, whatever
the devices have done since. The sun's part is taken from its own meter, which is often faster. While a device moves only
half of what a new grid sample says is believed: with a whole step of the devices unseen,
b[k+1] = (1-g) b[k] - g (b[k] - b[k-1]) is stable for g < 2/3 alone, and best damped near one half.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from gateway.control import expectation, meter_lag
from gateway.control.expectation import Expectation
from gateway.control.known_power import NOTHING, Known, Powers
from gateway.control.meter_lag import MeterLag
from gateway.model import DeviceId, EvseSample, MeterRole, MeterSample, Snapshot, StorageSample

MOTION_S = 0.4
"""How far the instants of two samples may be apart: poll periods and the devices' own refresh."""
STANDBY_W = 150.0
STILL_W = 10.0
"""Movement that is noise."""
ACTING_S = 0.5
"""From the decision to the power, of a fast device."""
LONGEST_PERIOD_S = 60.0

type Phases = tuple[float, float, float]
type Told = tuple[DeviceId, float, float, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Balance:
    """``base_w`` is what the house should draw when a decision of now takes effect, without the devices; ``high`` and ``low``
    are the more cautious of what it draws by estimate and by the newest raw value, for limits.

    Import positive. ``house`` is the estimate without the sun, ``raw`` the same unsmoothed; ``fresh_at`` is when the grid
    meter was last heard, ``period_s`` how often it is.
    """

    at: float
    base_w: float
    base_phase_w: Phases
    high_w: float
    low_w: float
    high_phase_w: Phases
    low_phase_w: Phases
    house: Powers = NOTHING
    raw: Powers = NOTHING
    period_s: float = 1.0
    known: Known = field(default_factory=Known)
    sun: Known = field(default_factory=Known)
    lag: MeterLag = field(default_factory=MeterLag)
    expectation: Expectation = field(default_factory=Expectation)


def update(previous: Balance | None, snapshot: Snapshot) -> Balance | None:
    """Return the balance after ``snapshot``; None when the grid sample is stale."""
    grid = snapshot.grid()
    if grid is None:
        return None
    known = (previous.known if previous else Known()).noted(snapshot.at, _devices(snapshot))
    sun = (previous.sun if previous else Known()).noted(snapshot.at, _sun(snapshot))
    now = sun.at(snapshot.at)
    if previous is not None and grid.at <= previous.at:
        return _told(previous, previous.house, previous.raw, now, known, sun)
    lag = meter_lag.follow(
        previous.lag if previous else MeterLag(), grid.at, grid.power_w + sun.total_w(grid.at), known
    )
    true_at = grid.at - lag.lag_s
    ours, then = known.at(true_at), sun.at(true_at)
    raw = _sum((grid.power_w, *_phases(grid)), _sum(then, ours, -1), 1)
    period_s, trust, old = 1.0, 1.0, raw
    if previous is not None:
        period_s = previous.period_s + 0.2 * (
            min(grid.at - previous.at, LONGEST_PERIOD_S) - previous.period_s
        )
        motion_w = known.moved_w(true_at, MOTION_S) + (
            _to_go_w(snapshot) if lag.lag_s < 2 * MOTION_S else 0.0
        )
        trust, old = 0.5 + 0.5 * STILL_W / (STILL_W + motion_w), previous.house
    house = _between(old, raw, trust)
    horizon_s = max(lag.lag_s, 0.0) + period_s / 2 + ACTING_S
    expected = expectation.follow(
        previous.expectation if previous else Expectation(), grid.at, house[0], horizon_s
    )
    fresh = Balance(
        grid.at,
        0.0,
        NOTHING[1:],
        0.0,
        0.0,
        NOTHING[1:],
        NOTHING[1:],
        period_s=period_s,
        lag=lag,
        expectation=expected,
    )
    return _told(fresh, house, raw, now, known, sun)


def _told(of: Balance, house: Powers, raw: Powers, sun_now: Powers, known: Known, sun: Known) -> Balance:
    """Return the balance with the sun of now."""
    base, newest = _sum(house, sun_now, -1), _sum(raw, sun_now, -1)
    high = [max(b, n) for b, n in zip(base, newest, strict=True)]
    low = [min(b, n) for b, n in zip(base, newest, strict=True)]
    return Balance(
        at=of.at,
        base_w=of.expectation.expected_w(house[0]) - sun_now[0],
        base_phase_w=base[1:],
        high_w=high[0],
        low_w=low[0],
        high_phase_w=(high[1], high[2], high[3]),
        low_phase_w=(low[1], low[2], low[3]),
        house=house,
        raw=raw,
        period_s=of.period_s,
        known=known,
        sun=sun,
        lag=of.lag,
        expectation=of.expectation,
    )


def _devices(snapshot: Snapshot) -> Iterator[Told]:
    infos, decisions = snapshot.devices, snapshot.decisions
    samples: tuple[tuple[DeviceId, StorageSample | EvseSample | None], ...]
    samples = (*snapshot.storages.items(), *snapshot.evses.items())
    for device, sample in samples:
        if sample is None:
            continue
        power_w, decided = sample.power_w, decisions.get(device)
        if decided is not None and decided.power_w == 0.0 and abs(power_w) <= STANDBY_W:
            # At 0 W it still draws for itself, as any load of the house: the others carry it.
            power_w = 0.0
        yield device, sample.at, power_w, infos[device].phases


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
