"""What commissioning proved reaches the API, and a changed file or device is noticed."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.api.site import EquipmentVerdict
from gateway.config import parse
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    EvseSample,
    EvseState,
    Interval,
    MeterRole,
    VehicleSample,
)
from gateway.services.equipment import LOOK_S, EquipmentBoard
from gateway.state import SiteState
from gateway.supply.findings import Check, Verdict
from gateway.supply.record import FILE, Proof, Record, encode, identity

AT = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
TABLE = {"driver": "evse.quasar", "host": "192.0.2.1", "name": "Garage"}
GARAGE = DeviceInfo(
    "garage", DeviceKind.EVSE, "Garage", "evse.quasar", serial="5", version="1", rated=Interval(-7400, 7400)
)
GRID = DeviceInfo("grid", DeviceKind.METER, "Grid", "meter.sunspec", MeterRole.GRID)


@pytest.fixture
def config(tmp_path):
    (tmp_path / "state").mkdir()
    tables = {
        "site": {"name": "House", "serial": "NE-1", "time_zone": "UTC"},
        "grid": {"main_fuse_a": 40.0},
        "devices": {"garage": TABLE, "grid": {"driver": "meter.sunspec", "role": "grid"}},
    }
    return parse(tables, tmp_path / "site.toml")


def snapshot(at, info=GARAGE, vehicle=None):
    state = SiteState([info, GRID], lambda: AT)
    state.put("garage", EvseSample(at, EvseState.READY, True, 0.0, 7400.0, 7400.0, vehicle=vehicle))
    return state.snapshot(at)


def keep(config, **more):
    figures = {"silence_s": 3.0, "close_s": 1.0, "allowed_s": 32.0}
    proof = Proof(
        "garage",
        Check.FAIL_SAFE_PROOF,
        Verdict.PASS,
        "fail_safe_holds",
        AT,
        identity(GARAGE, config.devices["garage"].rest),
        figures,
    )
    record = Record(proofs=(replace(proof, **more),))
    (config.state_dir / FILE).write_bytes(encode(record))


def seen(board, check):
    return next((f for f in board.states["garage"].findings if f.check == check), None)


def test_a_proof_on_disk_is_shown_with_its_figures(config):
    board = EquipmentBoard(config)
    board.look(snapshot(1.0))
    assert board.states["garage"].verdict is EquipmentVerdict.NOT_PROVEN
    assert board.states["garage"].proven_at is None
    keep(config)
    board.look(snapshot(1.0 + LOOK_S))
    shown = seen(board, "fail_safe_proof")
    assert (shown.verdict, board.states["garage"].proven_at) == (EquipmentVerdict.PASSED, AT)
    assert "3.0 s" in shown.text
    assert shown.detail["allowed_s"] == 32.0


def test_a_proof_that_failed_fails_the_device(config):
    keep(config, verdict=Verdict.FAIL, text_key="fail_safe_late", remedy_key="set_timeout")
    board = EquipmentBoard(config)
    board.look(snapshot(1.0))
    assert board.states["garage"].verdict is EquipmentVerdict.FAILED
    assert seen(board, "fail_safe_proof").remedy


def test_another_unit_has_proven_nothing(config):
    keep(config)
    board = EquipmentBoard(config)
    board.look(snapshot(1.0, replace(GARAGE, serial="6")))
    assert seen(board, "fail_safe_proof").verdict is EquipmentVerdict.NOT_PROVEN


def test_it_is_judged_at_a_slow_pace_and_a_file_that_cannot_be_read_proves_nothing(config):
    keep(config)
    board = EquipmentBoard(config)
    board.look(snapshot(1.0))
    before = board.states
    (config.state_dir / FILE).write_text("{")
    board.look(snapshot(1.0 + LOOK_S / 2))
    assert board.states is before
    board.look(snapshot(1.0 + LOOK_S))
    assert seen(board, "fail_safe_proof").verdict is EquipmentVerdict.NOT_PROVEN


def test_a_car_that_has_left_stays_judged(config):
    board = EquipmentBoard(config)
    car = VehicleSample(
        50.0, 22_200.0, discharge_compatible=True, min_discharge_soc_pct=30.0, max_charge_soc_pct=80.0
    )
    board.look(snapshot(1.0, vehicle=car))
    board.look(snapshot(1.0 + LOOK_S))
    assert seen(board, "car") is None
    assert seen(board, "soc_window").verdict is EquipmentVerdict.ATTENTION
