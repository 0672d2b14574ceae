"""Circuits within circuits: who is behind which fuse, what each leaves to its devices, and tables that cannot be."""

from dataclasses import replace

import pytest

from gateway.config import CircuitTable, GridTable
from gateway.control.circuits import circuit_limits, expanded
from gateway.control.site_limits import FUSE_MARGIN, fit
from gateway.faults import ConfigError
from gateway.model import ZERO, Interval

GRID = GridTable(main_fuse_a=100.0)


@pytest.fixture
def chargers(house):
    """Return a snapshot with six chargers, all on phase 1, that charge with 1 kW each."""
    told = house().snapshot()
    one, sample = told.devices["garage"], told.evses["garage"]
    names = [f"evse{n}" for n in range(6)]
    board = replace(told.devices["grid"], id="board_meter", role=None)
    return replace(
        told,
        devices={"board_meter": board, **{n: replace(one, id=n) for n in names}},
        evses={n: replace(sample, power_w=1000.0) for n in names},
        storages={},
        meters={"board_meter": told.meters["grid"]},
    )


def limited(tables, snapshot, wanted_w=6000.0):
    circuits = expanded(tables, snapshot.devices)
    limits = list(circuit_limits(circuits, GRID, snapshot))
    powers_w = dict.fromkeys(snapshot.evses, wanted_w)
    return fit(powers_w, dict.fromkeys(powers_w, Interval(-6000.0, 6000.0)), limits), limits


def test_a_fuse_holds_for_the_devices_of_the_circuits_within_it_too(chargers):
    tables = {
        "hall": CircuitTable(fuse_a=50.0),
        "left": CircuitTable(fuse_a=32.0, devices=("evse0", "evse1"), within="hall"),
        "right": CircuitTable(fuse_a=32.0, devices=("evse[23]",), within="hall"),
    }
    fitted, _ = limited(tables, chargers)
    powers_w = fitted.powers_w
    assert powers_w["evse0"] + powers_w["evse1"] <= 32 * 230 * FUSE_MARGIN + 1
    assert sum(powers_w[f"evse{n}"] for n in range(4)) == pytest.approx(50 * 230 * FUSE_MARGIN, abs=1)
    assert powers_w["evse5"] == 6000.0
    assert fitted.limited_by["evse0"].code == "circuit_l1"
    assert fitted.limited_by["evse0"].source == "hall"


def test_equal_chargers_get_equal_shares(chargers):
    fitted, _ = limited({"hall": CircuitTable(fuse_a=63.0, devices=("evse*",))}, chargers)
    assert len({round(p, 3) for p in fitted.powers_w.values()}) == 1


def test_the_meter_of_a_circuit_tells_what_else_it_feeds(chargers):
    table = CircuitTable(fuse_a=50.0, devices=("evse*",), meter="board_meter")
    sample = chargers.meters["board_meter"]
    busy = replace(
        chargers, meters={"board_meter": replace(sample, phase_power_w=(8000.0, 0.0, 0.0), power_w=8000.0)}
    )
    fitted, _ = limited({"board": table}, busy)
    others_w = 8000.0 - 6 * 1000.0
    assert sum(fitted.powers_w.values()) == pytest.approx(50 * 230 * FUSE_MARGIN - others_w, abs=1)


def test_without_a_meter_the_declared_load_is_taken_as_drawn(chargers):
    fitted, _ = limited({"board": CircuitTable(fuse_a=50.0, devices=("evse*",), other_load_a=10.0)}, chargers)
    assert sum(fitted.powers_w.values()) == pytest.approx((50 * FUSE_MARGIN - 10) * 230, abs=1)


def test_what_is_declared_may_also_be_off_so_it_is_no_room_for_discharge(chargers):
    tables = {"board": CircuitTable(fuse_a=50.0, devices=("evse*",), other_load_a=10.0)}
    fitted, _ = limited(tables, chargers, -6000.0)
    assert sum(fitted.powers_w.values()) == pytest.approx(-50 * 230 * FUSE_MARGIN, abs=1)


def test_a_silent_meter_of_a_circuit_closes_it_and_no_other(chargers):
    tables = {
        "board": CircuitTable(fuse_a=50.0, devices=("evse0", "evse1"), meter="board_meter"),
        "other": CircuitTable(fuse_a=50.0, devices=("evse2",)),
    }
    fitted, limits = limited(tables, replace(chargers, meters={"board_meter": None}))
    assert fitted.powers_w["evse0"] == fitted.powers_w["evse1"] == 0.0
    assert fitted.powers_w["evse2"] == 6000.0
    assert limits[0].interval == ZERO


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"a": CircuitTable(50.0, ("evse9",))}, "circuits.a.devices: no charger or battery 'evse9'"),
        ({"a": CircuitTable(50.0, ("board_meter",))}, "circuits.a.devices: no charger or battery"),
        ({"a": CircuitTable(50.0, meter="nobody")}, "circuits.a.meter: no device 'nobody'"),
        ({"a": CircuitTable(50.0, meter="evse1")}, "circuits.a.meter: evse1 is no meter"),
        ({"a": CircuitTable(50.0, within="b")}, "circuits.a.within: no circuit 'b'"),
        ({"a": CircuitTable(50.0, within="a")}, "lies within itself"),
        ({"a": CircuitTable(50.0, within="b"), "b": CircuitTable(50.0, within="a")}, "lies within itself"),
        (
            {"a": CircuitTable(50.0, ("evse0",)), "b": CircuitTable(50.0, ("evse*",))},
            "evse0 is in circuits.a",
        ),
        ({"a": CircuitTable(50.0, ("evse0",), phases=(2,))}, "evse0 is wired to phase 1"),
        ({"a": CircuitTable(50.0, phases=(1,)), "b": CircuitTable(32.0, within="a")}, "circuits.b.phases"),
        ({"a": CircuitTable(50.0), "b": CircuitTable(63.0, within="a")}, "circuits.b.fuse_a"),
    ],
)
def test_a_table_that_cannot_be_is_named(chargers, tables, said):
    with pytest.raises(ConfigError) as refused:
        expanded(tables, chargers.devices)
    assert said in str(refused.value)
