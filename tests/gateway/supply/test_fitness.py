"""Cars × chargers × wiring: what the equipment check says of each."""

import string
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from gateway.config import GridTable
from gateway.faults import FaultCode
from gateway.model import (
    ActiveFault,
    DcWindow,
    DeviceInfo,
    DeviceKind,
    DeviceSettings,
    EvSample,
    EvseSample,
    EvseState,
    FailSafeCard,
    Interval,
    MeterRole,
    MeterSample,
    OwnerSettings,
    Snapshot,
    StorageSample,
    StorageState,
    VehicleSample,
    Wishes,
)
from gateway.supply.findings import WORST_FIRST, Check, Verdict, worst
from gateway.supply.fitness import assess
from gateway.supply.record import Proof, Record, hangs_on, identity
from gateway.supply.site import Equipment
from gateway.supply.texts import CHECKS, REMEDIES, TEXTS, remedy, text

UTC_NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
GRID = DeviceInfo("grid", DeviceKind.METER, "Grid meter", "meter.eastron_sdm630", MeterRole.GRID)
BATTERY = DeviceInfo(
    "battery", DeviceKind.STORAGE, "Battery", "storage.sunspec", phases=(2,), rated=Interval(-4000.0, 4000.0)
)
CONVERTER = DcWindow(50.0, 500.0, 20.0, 20.0)
GARAGE = DeviceInfo(
    "garage",
    DeviceKind.EVSE,
    "Leaf charger",
    "evse.chademo",
    serial="C1",
    version="1.0",
    phases=(1,),
    rated=Interval(-5000.0, 5000.0),
    dc=CONVERTER,
)
CARD = FailSafeCard(2.0, "", "", "", "", 3.0, "")
ENDLESS = FailSafeCard(None, "", "", "", "", None, "")

# As told on the wire (reference/can.md 3.2, 3.6).
ZE0 = VehicleSample(
    soc_pct=50.0, capacity_wh=22_000.0, protocol=1, max_voltage_v=435.0, target_voltage_v=410.0,
    min_charge_current_a=0.0, max_session_min=60.0, dynamic=False,
)  # fmt: skip
AZE0_24 = VehicleSample(
    soc_pct=50.0, capacity_wh=22_200.0, discharge_compatible=True, min_discharge_soc_pct=30.2,
    max_charge_soc_pct=80.2, protocol=2, max_voltage_v=435.0, target_voltage_v=410.0,
    min_discharge_voltage_v=250.0, min_charge_current_a=0.0, max_session_min=60.0, dynamic=True,
)  # fmt: skip
AZE0_30 = replace(AZE0_24, capacity_wh=17_800.0)
ENV200_40 = replace(AZE0_24, capacity_wh=37_800.0)
ZE1_40 = replace(
    AZE0_24, capacity_wh=35_400.0, min_discharge_soc_pct=10.0, max_charge_soc_pct=100.0, v2h_sequence=2,
    min_charge_current_a=6.0, max_session_min=80.0,
)  # fmt: skip


def site(car=None, charger=GARAGE, *, generation="", record=None, faults=(), **more):
    evse = EvseSample(1.0, EvseState.READY, True, 0.0, 5000.0, 5000.0, vehicle=car)
    leaf = DeviceInfo("leaf", DeviceKind.VEHICLE, "Leaf", "vehicle.leaf", charger="garage")
    devices = more.pop("devices", (GRID, BATTERY, charger))
    owner = OwnerSettings(devices={"garage": DeviceSettings(target_soc_pct=more.pop("target_pct", 80.0))})
    snapshot = Snapshot(
        at=1.0,
        utc=UTC_NOW,
        devices={d.id: d for d in (*devices, *((leaf,) if generation else ()))},
        meters={"grid": MeterSample(1.0, 500.0, (500.0, 0, 0), (230.0,) * 3, (2.0, 0, 0))},
        storages={"battery": StorageSample(1.0, 0.0, 50.0, StorageState.STANDBY, 4000.0, 4000.0)},
        evses={"garage": evse},
        wishes=Wishes(owner),
        decisions={},
        faults=faults,
        evs={"leaf": EvSample(1.0, awake=True, generation=generation)} if generation else {},
        cards=more.pop("cards", {"battery": CARD, "garage": CARD, "grid": CARD}),
    )
    grid = GridTable(main_fuse_a=more.pop("fuse_a", 25.0))
    return Equipment(snapshot, grid, record or Record(), **more)


def found(equipment, check, device="garage"):
    return [f for f in assess(equipment) if (f.check, f.device) == (check, device)]


def verdict(equipment, check, device="garage"):
    return {(f.verdict.value, f.text_key) for f in found(equipment, check, device)}


@pytest.mark.parametrize(
    ("car", "generation", "expected"),
    [
        (
            ZE0,
            "ZE0",
            {
                Check.PROTOCOL: ("attention", "protocol_old"),
                Check.DISCHARGE: ("attention", "car_charges_only"),
                Check.VOLTAGE_WINDOW: ("pass", "voltage_fits"),
                Check.CURRENT_WINDOW: ("pass", "current_fits"),
                Check.SESSION_TIME: ("pass", "session_renewed"),
                Check.MODEL: ("attention", "ze0_discharge"),
            },
        ),
        (
            AZE0_24,
            "",
            {
                Check.PROTOCOL: ("pass", "protocol_fits"),
                Check.DISCHARGE: ("pass", "discharge_fits_older"),
                Check.SOC_WINDOW: ("attention", "soc_window_narrow"),
                Check.SESSION_TIME: ("pass", "session_renewed"),
                Check.MODEL: ("pass", "aze0_refuses"),
            },
        ),
        (AZE0_30, "AZE0", {Check.SOC_WINDOW: ("attention", "soc_window_narrow")}),
        (
            ZE1_40,
            "",
            {
                Check.DISCHARGE: ("pass", "discharge_fits_sequence"),
                Check.SOC_WINDOW: ("pass", "soc_window_wide"),
                Check.CURRENT_WINDOW: ("pass", "current_fits"),
                Check.MODEL: ("pass", "ze1_best"),
            },
        ),
    ],
    ids=["ZE0", "AZE0 24", "AZE0 30", "ZE1 40"],
)
def test_each_car_at_the_bidirectional_charger(car, generation, expected):
    equipment = site(car, generation=generation)
    assert {check: verdict(equipment, check) for check in expected} == {c: {v} for c, v in expected.items()}


CHARGE_ONLY = replace(GARAGE, rated=Interval(0.0, 5000.0), dc=replace(CONVERTER, max_discharge_a=0.0))


@pytest.mark.parametrize(
    ("charger", "car", "check", "expected"),
    [
        (CHARGE_ONLY, ZE0, Check.DISCHARGE, ("pass", "charger_charges_only")),
        (CHARGE_ONLY, ZE0, Check.MODEL, None),
        (replace(GARAGE, dc=DcWindow(50, 400, 20, 20)), ZE1_40, Check.VOLTAGE_WINDOW, ("fail", "voltage_apart")),
        (replace(GARAGE, dc=DcWindow(500, 900, 20, 20)), ZE1_40, Check.VOLTAGE_WINDOW, ("fail", "voltage_apart")),
        (
            replace(GARAGE, dc=DcWindow(50, 420, 20, 20)),
            ZE1_40,
            Check.VOLTAGE_WINDOW,
            ("attention", "voltage_clipped"),
        ),
        (
            replace(GARAGE, dc=DcWindow(340, 500, 20, 20)),
            ZE1_40,
            Check.VOLTAGE_WINDOW,
            ("attention", "voltage_floor_high"),
        ),
        (replace(GARAGE, dc=DcWindow(50, 500, 5, 5)), ZE1_40, Check.CURRENT_WINDOW, ("fail", "current_too_small")),
        (
            replace(GARAGE, dc=DcWindow(50, 500, 60, 0)),
            ZE0,
            Check.CURRENT_WINDOW,
            ("attention", "current_not_dynamic"),
        ),
        (
            replace(GARAGE, driver="evse.quasar", dc=None),
            VehicleSample(soc_pct=50.0, discharge_compatible=True),
            Check.DISCHARGE,
            ("pass", "discharge_fits"),
        ),
        (replace(GARAGE, driver="evse.quasar", dc=None), VehicleSample(), Check.VOLTAGE_WINDOW, None),
    ],
)  # fmt: skip
def test_windows_of_charger_and_car_are_compared(charger, car, check, expected):
    generation = "ZE0" if car is ZE0 else ""
    if check is Check.MODEL and expected is None:
        assert verdict(site(car, charger, generation=generation), check) == {("pass", "ze0_charge")}
        return
    assert verdict(site(car, charger), check) == ({expected} if expected else set())


def test_an_aze0_with_forty_kwh_has_a_swapped_pack_or_is_an_env200():
    assert ("attention", "pack_swapped") in verdict(site(ENV200_40), Check.MODEL)


def test_the_bus_of_the_car_knows_its_generation_better_than_its_frames():
    assert verdict(site(AZE0_24, generation="ZE1"), Check.MODEL) == {("pass", "ze1_best")}


def test_a_target_above_what_the_car_allows_is_told():
    assert verdict(site(AZE0_24, target_pct=95.0), Check.SOC_WINDOW) == {("attention", "target_above_window")}


def test_a_car_that_has_left_is_judged_as_it_was_last_seen():
    assert verdict(site(), Check.CAR) == {("unknown", "no_car_yet")}
    assert verdict(site(cars={"garage": ZE1_40}), Check.MODEL) == {("pass", "ze1_best")}
    record = Record(cars={"garage": AZE0_24})
    assert verdict(site(record=record), Check.MODEL) == {("pass", "aze0_refuses")}


@pytest.mark.parametrize(
    ("power_w", "phases", "fuse_a", "meter", "expected"),
    [
        (22_000.0, (1, 2, 3), 16.0, True, ("attention", "fuse_throttles")),
        (22_000.0, (1, 2, 3), 16.0, False, ("fail", "fuse_too_small")),
        (22_000.0, (1, 2, 3), 35.0, True, ("pass", "fuse_fits")),
        (7_400.0, (1,), 25.0, True, ("attention", "fuse_throttles")),
        (7_400.0, (1,), 35.0, True, ("pass", "fuse_fits")),
        (0.0, (1,), 25.0, True, ("unknown", "rating_unknown")),
    ],
)
def test_the_nameplate_is_compared_with_the_fuse(power_w, phases, fuse_a, meter, expected):
    charger = replace(GARAGE, rated=Interval(0.0, power_w), phases=phases)
    devices = (GRID, charger) if meter else (charger,)
    assert verdict(site(charger=charger, fuse_a=fuse_a, devices=devices), Check.FUSE) == {expected}


def guard(said):
    figures = {"guard": said}
    return Proof("garage", Check.FUSE_GUARD, Verdict.PASS, f"guard_{said}", UTC_NOW, "", figures)


def wired(info=GARAGE, seen=Verdict.PASS, device_identity="now"):
    figures = {"steps": 6, "step_w": 1500.0, "seen_w": 1498.0, "seen_phases": "L1"}
    return Proof(info.id, Check.WIRING_PROOF, seen, "wiring_right", UTC_NOW, device_identity, figures)


QUASAR = replace(GARAGE, driver="evse.quasar", drops_own_guard=True)
SLOW = replace(GRID, max_age_s=12.0)


@pytest.mark.parametrize(
    ("charger", "meter", "proofs", "expected"),
    [
        (GARAGE, GRID, (), ("pass", "guard_gateway")),
        (GARAGE, SLOW, (), ("attention", "guard_slow")),
        (GARAGE, None, (), ("attention", "guard_missing")),
        (GARAGE, None, (guard("installation"),), ("pass", "guard_installation")),
        (GARAGE, GRID, (guard("charger"),), ("pass", "guard_charger")),
        (QUASAR, GRID, (), ("unknown", "guard_unproven")),
        (QUASAR, GRID, (wired(),), ("pass", "guard_gateway")),
        (QUASAR, SLOW, (wired(),), ("fail", "guard_slow")),
        (QUASAR, None, (), ("fail", "guard_missing")),
        (QUASAR, GRID, (guard("charger"), wired()), ("fail", "guard_dropped")),
    ],
)
def test_somebody_must_guard_the_fuse(charger, meter, proofs, expected):
    devices = tuple(d for d in (meter, charger) if d)
    equipment = site(charger=charger, devices=devices, record=Record(proofs=proofs))
    assert verdict(equipment, Check.FUSE_GUARD) == {expected}


@pytest.mark.parametrize(
    ("rated", "card", "expected"),
    [
        (Interval(-5000, 5000), CARD, ("pass", "card_good")),
        (Interval(-5000, 5000), replace(CARD, discharging_at_most_s=61.0), ("fail", "card_endless")),
        (Interval(-5000, 5000), ENDLESS, ("fail", "card_endless")),
        (Interval(0, 5000), ENDLESS, ("attention", "card_holds_charge")),
        (Interval(0, 5000), replace(CARD, discharging_at_most_s=None), ("pass", "card_good_charging")),
    ],
)
def test_the_card_must_end_a_discharge_within_a_minute(rated, card, expected):
    equipment = site(charger=replace(GARAGE, rated=rated), cards={"garage": card})
    assert verdict(equipment, Check.FAIL_SAFE_CARD) == {expected}


def test_a_proof_counts_for_the_unit_and_the_wiring_that_it_was_made_on():
    table = {
        "driver": "evse.chademo",
        "host": "192.0.2.1",
        "phases": [1],
        "converter": {"port": 502, "profile": "a"},
    }
    now = identity(GARAGE, table)
    record = Record(proofs=(wired(device_identity=now),))
    for after, expected in (
        (identity(GARAGE, {**table, "host": "192.0.2.9", "name": "x"}), ("pass", "wiring_right")),
        (identity(GARAGE, {**table, "phases": [2]}), ("unknown", "device_changed")),
        (identity(replace(GARAGE, serial="C2"), table), ("unknown", "device_changed")),
        (identity(replace(GARAGE, version="1.1"), table), ("unknown", "device_changed")),
        (identity(replace(GARAGE, serial="", version=""), table), ("pass", "wiring_right")),
    ):
        equipment = site(record=record, identities={"garage": after})
        assert verdict(equipment, Check.WIRING_PROOF) == {expected}


def test_a_proof_of_wiring_counts_for_the_meter_that_saw_it_and_the_others_for_any():
    meter, turned = identity(GRID, {"invert": False}), identity(GRID, {"invert": True})
    seen = replace(wired(device_identity="it"), identity=hangs_on(Check.WIRING_PROOF, "it", meter))
    card = replace(seen, check=Check.FAIL_SAFE_PROOF, identity=hangs_on(Check.FAIL_SAFE_PROOF, "it", meter))
    record = Record(proofs=(seen, card))
    for now, expected in ((meter, "wiring_right"), (turned, "device_changed")):
        equipment = site(record=record, identities={"garage": "it", "grid": now})
        assert {key for _, key in verdict(equipment, Check.WIRING_PROOF)} == {expected}
        assert {key for _, key in verdict(equipment, Check.FAIL_SAFE_PROOF)} == {"wiring_right"}


def test_the_meter_is_as_good_as_the_steps_that_it_showed():
    assert verdict(site(), Check.WIRING_PROOF, "grid") == {("unknown", "never_proven")}
    good = Record(proofs=(wired(),))
    assert verdict(site(record=good), Check.WIRING_PROOF, "grid") == {("pass", "meter_agrees")}
    bad = good.proven(wired(BATTERY, Verdict.FAIL))
    assert verdict(site(record=bad), Check.WIRING_PROOF, "grid") == {("attention", "meter_disagrees")}


def test_orders_that_are_not_kept_are_a_sign_of_a_second_master():
    fault = ActiveFault(FaultCode.SETPOINT_NOT_FOLLOWED, "garage", UTC_NOW, "ordered 5 W")
    assert verdict(site(faults=(fault,)), Check.SOLE_MASTER) == {("attention", "second_master")}
    assert verdict(site(), Check.SOLE_MASTER) == {("pass", "sole_master")}


def test_what_is_not_proven_comes_before_what_deserves_attention():
    assert [worst(f for f in assess(site(AZE0_24)) if f.device == d) for d in ("grid", "garage")] == [
        Verdict.UNKNOWN
    ] * 2
    assert set(WORST_FIRST) == set(Verdict)


@pytest.mark.parametrize("car", [None, ZE0, AZE0_24, AZE0_30, ENV200_40, ZE1_40, VehicleSample()])
@pytest.mark.parametrize("charger", [GARAGE, CHARGE_ONLY, QUASAR, replace(GARAGE, dc=None)])
@pytest.mark.parametrize("cards", [{}, {"garage": CARD, "battery": ENDLESS}])
def test_every_finding_can_be_said(car, charger, cards):
    for finding in assess(site(car, charger, cards=cards, record=Record(proofs=(wired(),)))):
        assert text(finding)
        assert isinstance(remedy(finding), str)
        assert finding.verdict is Verdict.PASS or finding.remedy_key or finding.verdict is Verdict.ATTENTION


def test_every_check_has_a_name_and_no_sentence_is_dead():
    assert set(CHECKS) == set(Check)
    for sentence in TEXTS.values():
        assert all(
            name is None or name.isidentifier() for _, name, _, _ in string.Formatter().parse(sentence)
        )
    assert all(REMEDIES[key] for key in REMEDIES if key)


LEAF = DeviceInfo("leaf", DeviceKind.VEHICLE, "Leaf", "vehicle.leaf", charger="garage")


def test_a_sleeping_car_says_nothing_and_a_bus_that_cannot_be_heard_is_named():
    parked = site(devices=(GRID, GARAGE, LEAF))
    assert verdict(parked, Check.ANSWERS, "leaf") == {("pass", "asleep")}
    lost = ActiveFault(FaultCode.DEVICE_UNREACHABLE, "leaf", UTC_NOW, "no such adapter")
    unheard = site(devices=(GRID, GARAGE, LEAF), faults=(lost,))
    assert verdict(unheard, Check.ANSWERS, "leaf") == {("unknown", "silent")}
