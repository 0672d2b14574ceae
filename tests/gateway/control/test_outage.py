"""Every state of a blackout, and every event in it."""

import pytest

from gateway.config import BackupTable, GridTable
from gateway.control.outage import NEXT, Event, Look, look
from gateway.model import (
    BackupPhase,
    DeviceInfo,
    DeviceKind,
    Interval,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Snapshot,
    StorageSample,
    StorageState,
    Wishes,
)
from tests.gateway.control.conftest import UTC_NOW

GRID, ISLANDED, RESERVE, DARK, RESYNC = BackupPhase
TABLE = BackupTable(continuous_w=5000.0)
LEADS_TO = {
    GRID: "islanded islanded reserve dark grid grid grid grid grid",
    ISLANDED: "islanded islanded reserve dark dark islanded resync resync resync",
    RESERVE: "islanded reserve reserve dark dark reserve resync resync resync",
    DARK: "islanded reserve reserve dark dark dark resync resync resync",
    RESYNC: "islanded reserve reserve dark resync resync resync resync grid",
}


@pytest.mark.parametrize("phase", BackupPhase)
@pytest.mark.parametrize("event", Event)
def test_every_event_in_every_state_leads_somewhere_known(phase, event):
    expected = LEADS_TO[phase].split()[list(Event).index(event)]
    assert NEXT[phase][event] == expected


def meter(at, voltage_v=230.0, power_w=0.0, frequency_hz=50.0):
    return MeterSample(at, power_w, (power_w / 3,) * 3, (voltage_v,) * 3, (0.0,) * 3, frequency_hz)


def site(at, grid, *, islanded=False, soc_pct=60.0, answers=True, islands=True):
    battery = StorageSample(
        at, 0.0, soc_pct, StorageState.RUNNING, 5000, 5000, capacity_wh=10_000, islanded=islanded
    )
    info = DeviceInfo("battery", DeviceKind.STORAGE, "B", "s", rated=Interval(-5000, 5000), islands=islands)
    return Snapshot(
        at=at,
        utc=UTC_NOW,
        devices={"grid": DeviceInfo("grid", DeviceKind.METER, "G", "m", MeterRole.GRID), "battery": info},
        meters={"grid": grid},
        storages={"battery": battery if answers else None},
        evses={},
        wishes=Wishes(OwnerSettings(control_on=True)),
        decisions={},
    )


def seen(*snapshots, steady_s=300.0):
    known = Look()
    for snapshot in snapshots:
        known = look(known, snapshot, GridTable(main_fuse_a=25.0), TABLE, steady_s)
    return known.event


def test_an_import_of_nothing_is_no_outage():
    assert seen(site(0, meter(0, power_w=800)), site(1, meter(1, power_w=0.0))) is Event.HEALTHY


def test_a_silent_meter_alone_is_no_outage():
    assert seen(site(0, meter(0)), site(5, None)) is Event.HEALTHY
    assert seen(site(0, meter(0)), site(5, None, answers=False)) is Event.UNKNOWN


def test_a_voltage_that_is_gone_is_an_outage_within_a_second_and_a_dip_is_none():
    lost = [site(1.0 + n / 10, meter(1.0 + n / 10, voltage_v=0.0, frequency_hz=0.0)) for n in range(10)]
    assert seen(site(0, meter(0)), *lost[:3]) is Event.UNKNOWN
    assert seen(site(0, meter(0)), *lost[:6]) is Event.DEAD
    assert seen(site(0, meter(0)), *lost[:3], site(2, meter(2))) is Event.HEALTHY


def test_a_meter_that_never_told_a_voltage_or_through_which_power_flows_is_no_witness():
    mute = [site(n, meter(n, voltage_v=0.0, frequency_hz=None)) for n in range(5)]
    assert seen(*mute) is Event.HEALTHY  # the inverter says that it is on the grid
    flowing = [site(n, meter(n, voltage_v=0.0, power_w=900.0)) for n in range(1, 5)]
    assert seen(site(0, meter(0)), *flowing) is not Event.DEAD


@pytest.mark.parametrize(
    ("soc_pct", "event"), [(60, Event.AMPLE), (9, Event.LEAN), (5, Event.LOW), (3, Event.LOW)]
)
def test_an_inverter_that_forms_the_grid_is_believed_at_once_whatever_the_meter_says(soc_pct, event):
    for grid in (None, meter(1, voltage_v=0.0), meter(1)):
        assert seen(site(0, meter(0)), site(1, grid, islanded=True, soc_pct=soc_pct)) is event


def test_an_inverter_that_gave_up_beside_a_silent_meter_has_abandoned_the_house():
    assert seen(site(0, meter(0)), site(1, None, islanded=None)) is Event.ABANDONED


def test_the_grid_must_be_healthy_without_a_break():
    healthy = [site(n, meter(n)) for n in range(0, 40, 5)]
    assert seen(*healthy, steady_s=30) is Event.STEADY
    weak = site(37, meter(37, voltage_v=190.0))
    assert seen(*healthy, weak, steady_s=30) is Event.WEAK
    assert seen(*healthy, weak, site(40, meter(40)), steady_s=30) is Event.HEALTHY
    assert seen(*healthy, site(37, meter(37, frequency_hz=51.2)), steady_s=30) is Event.WEAK


@pytest.mark.parametrize(
    ("hertz", "event"), [(47.6, "healthy"), (50.2, "weak"), (60.0, "healthy"), (47.3, "weak")]
)
def test_what_may_be_connected_to_is_the_grid_codes_window(hertz, event):
    assert seen(site(0, meter(0, frequency_hz=hertz))) == event


def test_an_inverter_that_was_taken_away_is_waited_for_no_longer_than_a_grid():
    mute = [site(n, None, islanded=None, islands=False) for n in range(0, 40, 5)]
    assert seen(*mute[:3], steady_s=30) is Event.HEALTHY
    assert seen(*mute, steady_s=30) is Event.STEADY
    assert seen(site(0, None, answers=False), steady_s=30) is Event.UNKNOWN
