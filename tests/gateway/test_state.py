"""The process image: ages, owners, and nothing that a reader could change."""

from dataclasses import replace
from datetime import UTC, datetime
from math import inf, nan

import pytest

from gateway.faults import FaultCode, Misuse
from gateway.model import DeviceInfo, DeviceKind, MeterRole, MeterSample, StorageSample, StorageState
from gateway.state import SiteState

GRID = DeviceInfo("grid", DeviceKind.METER, "Grid", "m", MeterRole.GRID, max_age_s=3.0)
BATTERY = DeviceInfo("battery", DeviceKind.STORAGE, "B", "s")


def meter(at):
    return MeterSample(at, 100.0, (100.0, 0.0, 0.0), (230.0,) * 3, (0.4, 0.0, 0.0))


@pytest.fixture
def state():
    return SiteState([GRID, BATTERY], lambda: datetime(2026, 11, 24, tzinfo=UTC))


def test_a_sample_older_than_its_age_is_none(state):
    state.slot("grid").sample(meter(10.0))
    assert state.snapshot(13.0).grid() is not None
    assert state.snapshot(13.1).grid() is None


def test_a_snapshot_does_not_change_afterwards(state):
    state.slot("grid").sample(meter(10.0))
    before = state.snapshot(10.0)
    state.slot("grid").sample(meter(11.0))
    state.fault(FaultCode.SERVICES_LOST, "x")
    assert before.grid().at == 10.0
    assert not before.faults
    with pytest.raises(TypeError):
        before.meters["grid"] = None


def test_a_fresh_grid_sample_wakes_the_loop_and_another_devices_does_not(state):
    state.slot("battery").sample(StorageSample(1.0, 0.0, 50.0, StorageState.STANDBY, 1.0, 1.0))
    assert not state.fresh_grid.is_set()
    state.slot("grid").sample(meter(1.0))
    assert state.fresh_grid.is_set()


def test_a_device_cannot_publish_another_kind(state):
    with pytest.raises(Misuse):
        state.slot("battery").sample(meter(1.0))
    with pytest.raises(Misuse):
        state.slot("cellar")


@pytest.mark.parametrize("wrong", [{"soc_pct": nan}, {"power_w": inf}, {"discharge_max_w": nan}])
def test_a_reading_that_is_no_number_is_not_believed_and_said(state, wrong):
    sample = StorageSample(1.0, 0.0, 50.0, StorageState.RUNNING, 5000.0, 5000.0)
    state.slot("battery").sample(sample)
    state.slot("battery").sample(replace(sample, at=2.0, **wrong))
    assert state.snapshot(2.0).storages["battery"].at == 1.0
    assert state.raised(FaultCode.IMPLAUSIBLE_READING, "battery")


@pytest.mark.parametrize("wrong", [{"power_w": nan}, {"phase_current_a": (1.0, nan, 1.0)}])
def test_a_meter_that_shows_no_number_falls_silent(state, wrong):
    state.slot("grid").sample(replace(meter(10.0), **wrong))
    assert state.snapshot(10.0).grid() is None


def test_a_fault_keeps_its_beginning_while_its_detail_changes_and_clears_by_owner(state):
    state.slot("grid").fault(FaultCode.DEVICE_UNREACHABLE, "refused")
    state.slot("grid").fault(FaultCode.DEVICE_UNREACHABLE, "timeout")
    state.slot("battery").clear(FaultCode.DEVICE_UNREACHABLE)
    (fault,) = state.snapshot(0.0).faults
    assert (fault.device, fault.detail) == ("grid", "timeout")
    state.slot("grid").clear(FaultCode.DEVICE_UNREACHABLE)
    assert not state.snapshot(0.0).faults
