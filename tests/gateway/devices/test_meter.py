"""Meters: recorded blocks, signs, what is refused to be believed, and a frozen meter."""

import asyncio
import struct
from dataclasses import replace
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.meter import (
    EASTRON_SDM630,
    ModbusMeter,
    Options,
    SunSpecMeter,
    by_phase,
    implausible,
    oriented,
    sample_of_block,
    sample_of_inverter,
    sample_of_meter,
)
from gateway.devices.sunspec import decode, definition, layout
from gateway.faults import ConfigError, FaultCode, Malformed
from gateway.model import MeterRole, MeterSample
from tests.gateway.devices.modbus_device import ModbusDevice, chained, load_dump, registers_of
from tests.gateway.devices.slot import Slot

THREE = (1, 2, 3)
GOOD = MeterSample(
    at=0.0,
    power_w=600.0,
    phase_power_w=(100.0, 200.0, 300.0),
    phase_voltage_v=(230.0, 231.0, 229.0),
    phase_current_a=(0.5, 0.9, 1.4),
    frequency_hz=50.0,
    import_wh=1000.0,
    export_wh=20.0,
)


def sdm630(**values):
    """Build the 76 registers of an SDM630 by float address."""
    floats = {
        0: 230.0,
        2: 230.0,
        4: 230.0,
        12: 100.0,
        14: 200.0,
        16: 300.0,
        52: 600.0,
        70: 50.0,
        72: 1.5,
        74: 0.5,
    }
    floats |= {int(name.removeprefix("r")): value for name, value in values.items()}
    words = [struct.unpack(">HH", struct.pack(">f", floats.get(a, 0.0))) for a in range(0, 76, 2)]
    return dict(enumerate(w for pair in words for w in pair))


async def run_for(meter, slot, true):
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(meter.run(slot))
        await slot.until(true)
        running.cancel()


def meter_on(device, cls=ModbusMeter, driver="meter.eastron_sdm630", **table):
    table = {"name": "Grid", "role": "grid", "host": "127.0.0.1", "port": device.port, "poll_s": 0.05} | table
    return cls.from_table("grid", driver, table)


def test_a_recorded_sdm630_reads_as_what_it_measured():
    for snapshot in load_dump("Eastron_SDM630_inputs.json")["snapshots"]:
        sample = sample_of_block(EASTRON_SDM630, snapshot[:76], 1.0, THREE)
        assert implausible(sample) == ""
        assert sample.power_w == pytest.approx(sum(sample.phase_power_w), abs=5)
        assert all(228 < v < 236 for v in sample.phase_voltage_v)
        assert sample.frequency_hz == pytest.approx(49.92, abs=0.05)
        assert 0 < sample.import_wh < 1e6


def test_a_recorded_inverter_generates_and_at_night_tells_nothing():
    def sample(name):
        image = registers_of(load_dump(name))
        start = next(a for a, w in sorted(image.items()) if w == 101 and image.get(a + 1) == 50)
        block = [image[a] for a in range(start, start + 52)]
        return sample_of_inverter(decode(layout(definition(101), block), block), 1.0, (2,))

    day = sample("SMA_SB36_20250518.json")
    assert day.power_w == -3680
    assert day.phase_power_w == (0.0, -3680.0, 0.0)
    assert (day.phase_voltage_v, day.export_wh) == ((0.0, 244.0, 0.0), 30_388_530)
    assert implausible(day) == ""
    assert sample("SMA_SB36_20250608_night.json") is None


@pytest.mark.parametrize("factor", [100, -100, 10])
def test_power_that_voltage_and_current_cannot_make_is_implausible(factor):
    watts = tuple(factor * w for w in GOOD.phase_power_w)
    sample = replace(GOOD, power_w=sum(watts), phase_power_w=watts)
    assert "V and" in implausible(sample)
    assert implausible(replace(sample, phase_current_a=(0.0, 0.0, 0.0))) == ""


def test_a_load_that_steps_between_two_registers_is_plausible():
    assert implausible(replace(GOOD, power_w=1000.0, phase_power_w=(500.0, 200.0, 300.0))) == ""


def test_a_sunspec_meter_without_phase_powers_shares_its_total_by_current():
    values = {
        "W": 1000,
        "AphA": 1.0,
        "AphB": 3.0,
        "AphC": None,
        "PhVphA": 230.0,
        "PhVphB": 230.0,
        "TotWhImp": 5,
    }
    sample = sample_of_meter(values, 1.0, THREE)
    assert sample.phase_power_w == (250.0, 750.0, 0.0)
    assert (sample.import_wh, sample.export_wh, sample.frequency_hz) == (5, None, None)


def test_import_is_positive_whichever_way_the_meter_counts():
    same = oriented(GOOD, invert=False, generation_positive=False)
    reversed_ = oriented(GOOD, invert=True, generation_positive=False)
    generator = oriented(GOOD, invert=False, generation_positive=True)
    both = oriented(GOOD, invert=True, generation_positive=True)
    assert same == GOOD
    assert (reversed_.power_w, reversed_.phase_power_w) == (-600, (-100, -200, -300))
    assert (reversed_.import_wh, reversed_.export_wh) == (20, 1000)
    assert (generator.power_w, generator.import_wh) == (-600, 1000)
    assert (both.power_w, both.import_wh) == (600, 20)


def test_a_single_phase_meter_stands_on_the_phase_that_it_measures():
    assert by_phase([7.0], (2,)) == (0.0, 7.0, 0.0)
    assert by_phase([1.0, 2.0, 3.0], (3, 1, 2)) == (2.0, 3.0, 1.0)


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"power_w": 6_000_000.0}, "power"),
        ({"phase_voltage_v": (230.0, 301.0, 230.0)}, "voltage"),
        ({"phase_voltage_v": (230.0, -1.0, 230.0)}, "voltage"),
        ({"power_w": 6000.0}, "phases"),
        ({"frequency_hz": 500.0}, "frequency"),
    ],
)
def test_what_cannot_be_true_is_named(change, word):
    assert word in implausible(replace(GOOD, **change))


def test_what_can_be_true_is_believed():
    assert implausible(GOOD) == ""
    assert implausible(replace(GOOD, phase_voltage_v=(230.0, 0.0, 0.0), frequency_hz=None)) == ""


@given(st.lists(st.integers(0, 0xFFFF), min_size=76, max_size=76))
def test_any_block_gives_a_finite_sample_or_is_malformed(block):
    try:
        sample = sample_of_block(EASTRON_SDM630, block, 0.0, THREE)
    except Malformed:
        return
    assert abs(sample.power_w) < float("inf")


async def test_a_meter_is_polled_in_one_block_and_published():
    async with ModbusDevice(inputs=sdm630()) as device:
        slot = Slot()
        await run_for(meter_on(device), slot, lambda: len(slot.samples) >= 3)
    assert set(device.asked) == {(4, 0)}
    sample = slot.samples[-1]
    assert (sample.power_w, sample.import_wh, sample.export_wh) == (600, 1500, 500)
    assert [s.at for s in slot.samples] == sorted(s.at for s in slot.samples)
    assert slot.infos[0].maker == "Eastron"
    assert slot.faults == {}


@pytest.mark.parametrize("wrong", [{"r52": float("nan")}, {"r0": 900.0}, {"r52": -6000.0}])
async def test_a_reading_that_cannot_be_true_is_dropped_until_it_is_right_again(wrong):
    async with ModbusDevice(inputs=sdm630(**wrong)) as device:
        slot = Slot()

        def heal():
            if FaultCode.IMPLAUSIBLE_READING in slot.faults:
                assert slot.samples == []
                device.inputs = sdm630()
            return bool(slot.samples) and not slot.faults

        await run_for(meter_on(device), slot, heal)


async def test_a_frozen_meter_is_no_longer_believed_until_it_moves(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("gateway.devices.meter.monotonic", lambda: float(next(now)))
    async with ModbusDevice(inputs=sdm630()) as device:
        slot = Slot()

        def thaw():
            if slot.faults.get(FaultCode.IMPLAUSIBLE_READING) == "frozen":
                assert len(slot.samples) == 6  # 0 to 5 s
                device.inputs = sdm630(r70=50.01)
            return len(slot.samples) > 6 and not slot.faults

        await run_for(meter_on(device, frozen_after_s=5), slot, thaw)


async def test_a_sleeping_generator_may_stand_still(monkeypatch):
    now = iter(range(1000))
    monkeypatch.setattr("gateway.devices.meter.monotonic", lambda: float(next(now)))
    async with ModbusDevice(inputs=sdm630(r12=0.0, r14=0.0, r16=0.0, r52=0.0)) as device:
        slot = Slot()
        await run_for(meter_on(device, role="pv", frozen_after_s=2), slot, lambda: len(slot.samples) > 5)
    assert slot.faults == {}


async def test_a_sunspec_meter_tells_its_identity_and_generation_is_negative():
    body = [0x8000] * 105
    for offset, value in {
        15: 0,
        17: 0,
        22: 0,
        54: 0,
        6: 0,
        8: 230,
        16: 50,
        18: 1500,
        19: 1500,
        39: 7,
        38: 0,
        46: 0,
        47: 0,
    }.items():
        body[offset - 2] = value
    name = list(struct.unpack(">66H", b"Maker".ljust(32, b"\0") + b"Model".ljust(100, b"\0")))
    async with ModbusDevice(holding=chained((1, name), (203, body))) as device:
        slot = Slot()
        pv = meter_on(device, SunSpecMeter, "meter.sunspec", role="pv", generation_positive=True)
        await run_for(pv, slot, lambda: slot.samples)
    sample = slot.samples[0]
    assert (sample.power_w, sample.phase_power_w) == (-1500, (-1500, 0, 0))
    assert (sample.export_wh, sample.import_wh) == (7, None)
    assert (slot.infos[0].maker, slot.infos[0].model) == ("Maker", "Model")


async def test_a_device_without_meter_is_reported_and_not_published():
    async with ModbusDevice(holding=chained((1, [0] * 66), (713, [0] * 7))) as device:
        slot = Slot()
        await run_for(meter_on(device, SunSpecMeter, "meter.sunspec"), slot, lambda: slot.faults)
    assert "no SunSpec meter" in slot.faults[FaultCode.DEVICE_UNREACHABLE]
    assert slot.samples == []


@pytest.mark.parametrize(
    "change",
    [
        {"role": "roof"},
        {"phases": [4]},
        {"phases": []},
        {"poll_s": 0},
        {"port": 0},
        {"prot": 1},
        {"frozen_after_s": 13},
    ],
)
def test_an_impossible_table_is_refused_in_one_line_that_says_where(change):
    table = {"name": "Grid", "role": "grid", "host": "10.0.0.1"} | change
    with pytest.raises(ConfigError, match=r"^devices\.grid\.[a-z_]+: ") as caught:
        ModbusMeter.from_table("grid", "meter.eastron_sdm630", table)
    assert "\n" not in str(caught.value)


def test_options_default_to_the_pace_of_control():
    assert Options(name="Grid", role=MeterRole.GRID, host="h").poll_s == 0.2


def test_how_much_a_grid_meter_may_show_is_left_to_control_that_knows_the_fuse():
    huge = replace(GOOD, power_w=9e6, phase_power_w=(3e6,) * 3, phase_current_a=(13_000.0,) * 3)
    assert implausible(huge) == "power of 9000000 W"
    assert implausible(huge, inf) == ""
