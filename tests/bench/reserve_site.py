"""A site that sells frequency reserve, on the rehearsal's clock."""

from datetime import timedelta
from random import Random

from gateway.config import ControlTables, GridTable, ReserveTable
from gateway.model import (
    DeviceKind,
    DeviceSettings,
    Dynamics,
    FrequencyProfile,
    Interval,
    MeterRole,
    OwnerSettings,
    Remembered,
    ReserveProduct,
    ReserveWindow,
    Wishes,
)
from gateway.rehearsal import MeterModel, Plant, Rehearsal
from gateway.rehearsal.rehearsal import START

FINE = FrequencyProfile(resolution_hz=0.0001, update_s=0.1, accuracy_hz=0.001)


def slow_charger(**changes):
    """The charger that DTU measured: 4 s of dead time, 3.3 kW/s (reference/needs.md 4.1)."""
    return charger(**{"dead_time_s": 4.0, "ramp_w_per_s": 3300.0, **changes})


def fast_charger(**changes):
    return charger(**{"dead_time_s": 0.2, "ramp_w_per_s": 20_000.0, **changes})


def charger(**changes):
    table = {
        "kind": DeviceKind.EVSE,
        "rated": Interval(-11_000.0, 11_000.0),
        "capacity_wh": 36_000.0,
        "soc_pct": 60.0,
        "poll_s": 0.1,
    }
    return Plant("garage", **(table | changes))


def window(power_w=10_000.0, hours=4.0, product=ReserveProduct.FCR, begins_s=0.0, **more):
    starts_at = START + timedelta(seconds=begins_s)
    return ReserveWindow("lot-1", product, power_w, starts_at, starts_at + timedelta(hours=hours), **more)


def site(
    *plants,
    frequency=lambda second: 50.0,
    reserves=None,
    settings=None,
    reserve=None,
    dynamics=None,
    load_w=500.0,
    profile=FINE,
    owner=None,
    **more,
):
    """Build a site whose 10 kW are sold for four hours; devices were measured to be what they are."""
    known = {p.id: Dynamics(p.dead_time_s, p.ramp_w_per_s, steps=9) for p in plants}
    tables = ControlTables(GridTable(main_fuse_a=63.0), reserve=reserve or ReserveTable(), serial="NE-TEST-1")
    wishes = Wishes(
        owner or OwnerSettings(control_on=True, devices=settings or {}),
        reserves=reserves if reserves is not None else (window(),),
    )
    meter = MeterModel(0.1, noise_w=0.0, id="frequency", role=MeterRole.FREQUENCY, frequency=profile)
    jitter = Random(5)
    return Rehearsal(
        tables,
        plants,
        lambda second: load_w,
        frequency=lambda second: frequency(second) + jitter.gauss(0, 0.00005),
        meter=MeterModel(),
        more_meters=(meter,),
        wishes=wishes,
        remembered=Remembered(dynamics=known if dynamics is None else dynamics),
        **more,
    )


def floor(pct, **more):
    return {"garage": DeviceSettings(floor_soc_pct=pct, **more)}
