import json

import pytest

from gateway.simulator.can_mishaps import Noise
from gateway.simulator.control_port import DEEDS, carry_out
from gateway.simulator.leaf_sloppiness import Sloppiness
from gateway.simulator.modbus_servers import Table


@pytest.fixture
def do(wired):
    def ask(**request):
        return carry_out(wired, json.dumps(request).encode(), DEEDS)

    return ask


def test_status_tells_every_physical_truth(do, live):
    live(0.1)
    status = do(do="status")
    json.dumps(status)
    assert status["ok"]
    assert set(status["house"]) >= {"load_w", "pv_w", "grid_w", "phase_w"}
    assert set(status["car"]) >= {"plugged", "soc_pct", "contactor", "current_a", "can_silent"}
    assert set(status["battery"]) == {"soc_pct", "power_w"}
    assert set(status["converter"]) >= {"current_a", "voltage_v", "ac_w", "command"}
    assert status["pilot"] == {"d1": False, "d2": False, "k": False, "lock": False}


@pytest.mark.parametrize(
    ("request_", "seen"),
    [
        ({"do": "unplug"}, lambda w: not w.pilot.plugged),
        ({"do": "away"}, lambda w: not w.pilot.plugged),
        ({"do": "car_silent", "on": True}, lambda w: w.car.silent),
        ({"do": "car_fault", "bits": 5}, lambda w: w.car.injected_faults == 5),
        ({"do": "car_weld"}, lambda w: w.car.weak_contactor and not w.car.contactor_closed),
        ({"do": "car_weld", "now": True}, lambda w: w.car.contactor_closed),
        ({"do": "car_sloppy", "refusals": 2, "early_request": True}, lambda w: w.car.sloppy == Sloppiness(refusals=2, early_request=True)),
        ({"do": "can_noise", "loss": 0.1, "seed": 7}, lambda w: w.can.noise == Noise(loss=0.1, seed=7)),
        ({"do": "can_bus_off", "seconds": 2}, lambda w: w.can.bus_off),
        ({"do": "can_pulled"}, lambda w: w.can.pulled),
        ({"do": "refuse_discharge", "on": True}, lambda w: w.car.refuses_discharge),
        ({"do": "insulation", "kohm": 20}, lambda w: w.house.converter.insulation_kohm == 20),
        ({"do": "meter_silent", "on": True}, lambda w: w.grid_meter.silent and not w.pv_meter.silent),
        ({"do": "meter_freeze", "on": True}, lambda w: w.grid_meter.frozen),
        ({"do": "meter_scale", "factor": -1}, lambda w: w.grid_meter.scale == -1.0),
        ({"do": "pv_silent"}, lambda w: w.pv_meter.silent),
        ({"do": "battery_silent"}, lambda w: w.battery.silent),
        ({"do": "battery_trip"}, lambda w: w.battery.tripped and w.battery.target_w == 0.0),
        ({"do": "breaches_clear"}, lambda w: not any(b.longest_s for b in w.connection.breaches.values())),
        ({"do": "converter_silent"}, lambda w: w.converter.silent),
        ({"do": "pilot_silent"}, lambda w: w.pilot_io.silent),
        ({"do": "revert_works", "on": False}, lambda w: not w.battery.reverts),
        ({"do": "set_load", "w": 6000}, lambda w: w.house.overrides.load_w == 6000.0),
        ({"do": "set_pv", "w": 0}, lambda w: w.house.overrides.pv_w == 0.0),
        ({"do": "set_frequency", "hz": 49.8}, lambda w: w.house.overrides.frequency_hz == 49.8),
        ({"do": "set_soc", "car": 30, "battery": 120}, lambda w: (w.house.pack.soc_pct, w.house.battery.soc_pct) == (30, 100)),
        ({"do": "e_stop", "on": True}, lambda w: w.pilot_io.read_bits(Table.DISCRETE, 3, 1) == [True]),
    ],
    ids=lambda value: value.get("do") if isinstance(value, dict) else "",
)  # fmt: skip
def test_every_deed_reaches_the_house(do, wired, live, request_, seen):
    assert do(**request_) == {"ok": True}
    assert seen(wired)
    live(1.0)


def test_what_was_forced_can_be_given_back(do, wired):
    do(do="set_load", w=6000)
    do(do="set_load", w=None)
    assert wired.house.overrides.load_w is None


def test_a_stop_wish_needs_a_waking_car(do, wired, live):
    do(do="car_stop")
    assert not wired.car.wants_stop
    wired.pilot_io.write_bits(0, [True])
    live(0.1)
    do(do="car_stop")
    assert wired.car.wants_stop


def test_coming_home_costs_the_trip(do, wired):
    do(do="away", on=True)
    do(do="away", on=False, trip_pct=12.0)
    assert wired.pilot.plugged
    assert wired.house.pack.soc_pct == pytest.approx(50.0)


def test_an_absurd_sun_does_not_break_the_meters(do, live, wired):
    do(do="set_pv", w=1e12)
    do(do="set_load", w=-1e12)
    live(1.0)


@pytest.mark.parametrize(
    "line",
    [
        b"", b"nonsense", b"[]", b"{}", b"5", b'{"do": "explode"}', b'{"do": []}', b"\xff",
        b'{"do": "set_load"}', b'{"do": "set_load", "w": NaN}', b'{"do": "meter_silent", "on": 1}',
        b'{"do": "car_sloppy", "lazy": true}', b'{"do": "car_sloppy", "refusals": -1}',
        b'{"do": "car_sloppy", "never_closes": 1}', b'{"do": "can_noise", "loss": 2}', b'{"do": "can_noise", "lost": 0}',
        b'{"do": "can_bus_off"}', b'{"do": "car_fault", "bits": "x"}', b'{"do": "set_soc", "car": null}', b'{"do": "set_pv", "w": 1e999}',
    ],
)  # fmt: skip
def test_nonsense_is_answered_and_changes_nothing(wired, live, line):
    answer = carry_out(wired, line, DEEDS)
    assert not answer["ok"]
    assert answer["error"]
    assert wired.house.overrides.load_w is None
    live(0.1)


def test_an_unknown_name_is_answered_with_all_names(do):
    assert all(name in do(do="?")["error"] for name in DEEDS)
