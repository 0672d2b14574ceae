"""The same hours with the same devices and the same meter, once for each strategy."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from gateway.config import ControlTables, GridTable
from gateway.model import DeviceKind, DeviceSettings, Interval, OwnerSettings, Wishes
from gateway.rehearsal import Loss, MeterModel, Plant, Rehearsal, Score
from gateway.rehearsal.rehearsal import MakeBrain

from .appliances import Refined, refine
from .strategies import PROFILES, SPLITS, Pd, Split, ZeroPoint

LAGS_S = (1.0, 5.0, 10.0)
SEEDS = (1, 2, 3, 4, 5)
FUSE_A = 25.0
METER_PERIOD_S = 1.0
SETTINGS = {
    "battery": DeviceSettings(floor_soc_pct=10.0),
    "garage": DeviceSettings(floor_soc_pct=30.0, target_soc_pct=80.0),
}
TABLES = ControlTables(GridTable(main_fuse_a=FUSE_A))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Some hours of a recorded day."""

    season: str
    day: int
    from_h: float
    hours: float


def stretches(seed: int, hours: float) -> tuple[Stretch, ...]:
    """Return a spring midday with clouds and a winter evening with cooking; the day follows the seed."""
    return (Stretch("spring", seed % 4, 11.0, hours), Stretch("winter", seed % 4, 17.0, hours))


def plants() -> tuple[Plant, Plant]:
    """Return a battery that answers within a second, and a V2H charger with 4 s of dead time (needs.md 1, row 30)."""
    battery = Plant(
        "battery",
        phases=(2,),
        soc_pct=55.0,
        dead_time_s=0.3,
        ramp_w_per_s=5000.0,
        poll_s=0.2,
        loss=Loss(45.0, 0.03),
    )
    return battery, slow_charger()


def slow_charger() -> Plant:
    """Return a V2H charger with the dead time and ramp of one that was measured (reference/needs.md 0.3), and its car."""
    return Plant(
        "garage",
        DeviceKind.EVSE,
        phases=(1,),
        rated=Interval(-6000.0, 6000.0),
        capacity_wh=38_000.0,
        soc_pct=60.0,
        dead_time_s=4.0,
        ramp_w_per_s=3300.0,
        poll_s=1.0,
        max_age_s=5.0,
        loss=Loss(70.0, 0.035),
    )


def ran(
    hours: Refined, length_h: float, lag_s: float, seed: int, brain: MakeBrain | None, *, told: bool = True
) -> Score:
    """Let one strategy (None: our loop) run the hours; ``told``: the meter declares its lag."""
    rehearsal = Rehearsal(
        TABLES,
        plants(),
        hours.load,
        pv=hours.pv,
        meter=MeterModel(METER_PERIOD_S, lag_s, told, noise_w=5.0, max_age_s=5.0),
        wishes=Wishes(OwnerSettings(control_on=True, devices=SETTINGS)),
        seed=seed,
        tick_s=1.0,
        keep=False,
        brain=brain,
    )
    return rehearsal.run(length_h * 3600)


def zero_point(period_s: float, split: Split) -> MakeBrain:
    """Return the maker of a loop that zeroes the grid every ``period_s``."""
    return lambda state, tables, devices, clock: ZeroPoint(state, tables, devices, split, period_s)


def pd(profile: str, split: Split, *, direct: bool = False) -> MakeBrain:
    """Return the maker of the PD loop in one tuning."""
    return lambda state, tables, devices, clock: Pd(
        state, tables, devices, split, profile=PROFILES[profile], direct=direct
    )


def tunings(strategy: str) -> Mapping[str, MakeBrain]:
    """Return every tuning that a strategy may choose from."""
    made: dict[str, MakeBrain] = {}
    for name, split in SPLITS.items():
        if strategy == "pd_1_s":
            made |= {f"{profile}, {name}": pd(profile, split) for profile in PROFILES}
        elif strategy == "pd_1_s_direct":
            made[name] = pd("balanced", split, direct=True)
        else:
            made[name] = zero_point(30.0 if strategy == "ev_charger_30_s" else 10.0, split)
    return made


RIVALS = ("ev_charger_30_s", "zero_point_10_s", "pd_1_s", "pd_1_s_direct")
OURS = "ours"
OURS_UNTOLD = "ours_lag_not_told"


def contest(
    lag_s: float, hours: float, seed: int, brain: MakeBrain | None, *, told: bool = True
) -> list[Score]:
    """Return the scores of one strategy on the stretches of one seed."""
    return [ran(refined(s, seed), s.hours, lag_s, seed, brain, told=told) for s in stretches(seed, hours)]


@cache
def refined(stretch: Stretch, seed: int) -> Refined:
    """Return the load and the sun of a stretch."""
    return refine(stretch.season, stretch.day, stretch.from_h, stretch.hours, seed)


def delayed_ideal_w(lag_s: float, hours: float, seed: int) -> list[float]:
    """Return the squared error of each second of an ideal that does at once what it sees, with this meter and no limits."""
    errors: list[float] = []
    delay_s = round(lag_s + METER_PERIOD_S)
    for stretch in stretches(seed, hours):
        house = refined(stretch, seed)
        net_w = [sum(house.load(n)) - house.pv_w[n] for n in range(round(stretch.hours * 3600))]
        errors += [(now - then) ** 2 for now, then in zip(net_w[delay_s:], net_w, strict=False)]
    return errors
