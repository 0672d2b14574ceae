"""How long a limit of the connection was passed, and that it is the limit of site.toml."""

import tomllib
from types import SimpleNamespace

import pytest

from gateway.simulator.connection_referee import EXPORT_W, FUSE_A, IMPORT_W, ConnectionReferee, Limit
from gateway.simulator.site_file import SitePorts, site_toml

STEP_S = 0.02


def house(*phase_w, carried=False, battery_w=0.0):
    mains, battery = SimpleNamespace(carried=carried), SimpleNamespace(power_w=battery_w)
    return SimpleNamespace(
        phase_w=phase_w, phase_v=(230.0,) * 3, grid_w=sum(phase_w), mains=mains, battery=battery
    )


def watched(*stretches):
    referee = ConnectionReferee()
    for seconds, at in stretches:
        for _ in range(round(seconds / STEP_S)):
            referee.look(at, STEP_S)
    return referee.breaches


WITHIN = house(1000.0, 1000.0, 1000.0)


@pytest.mark.parametrize(
    ("limit", "beyond"),
    [
        (Limit.FUSE_L1, house(6000.0, 0.0, 0.0)),
        (Limit.FUSE_L3, house(0.0, 0.0, -6000.0)),
        (Limit.IMPORT, house(3100.0, 3100.0, 3100.0)),
        (Limit.EXPORT, house(-1500.0, -1500.0, -1500.0)),
        (Limit.INVERTER, house(0.0, 0.0, 0.0, carried=True, battery_w=-5200.0)),
    ],
)
def test_the_longest_stretch_beyond_a_limit_counts(limit, beyond):
    breaches = watched((1.0, WITHIN), (3.0, beyond), (1.0, WITHIN), (2.0, beyond), (1.0, WITHIN))
    assert breaches[limit].longest_s == pytest.approx(3.0)
    assert breaches[limit].share > 1.01


def test_within_every_limit_nothing_is_passed():
    assert not any(b.longest_s for b in watched((5.0, WITHIN)).values())


def test_the_limits_are_those_that_the_gateway_is_told():
    here = ("127.0.0.1", 502)
    text = site_toml(
        SitePorts(here, here, here, 1, 2, charger=here),
        charger="quasar",
        time_zone="UTC",
        charger_phase=1,
        battery_phase=2,
    )
    grid = tomllib.loads(text)["grid"]
    assert (grid["main_fuse_a"], grid["import_limit_w"], grid["export_limit_w"]) == (
        FUSE_A,
        IMPORT_W,
        EXPORT_W,
    )
