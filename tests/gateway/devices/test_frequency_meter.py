"""A meter for frequency alone: formats, what it is worth, and what is not believed."""

import asyncio
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.devices.frequency_meter import Format, FrequencyMeter, frequency_of
from gateway.faults import ConfigError, Malformed
from gateway.model import FrequencyProfile, MeterRole
from tests.gateway.devices.modbus_device import ModbusDevice
from tests.gateway.devices.slot import Slot

TABLE = {"name": "F", "host": "127.0.0.1", "register": 19050}


@given(hz=st.floats(45, 65, width=32))
def test_a_float_is_read_in_both_word_orders(hz):
    words = struct.unpack(">HH", struct.pack(">f", hz))
    assert frequency_of(words, Format.FLOAT32, 1.0) == hz
    assert frequency_of(words[::-1], Format.FLOAT32_LOW_FIRST, 1.0) == hz


@given(millihertz=st.integers(45_000, 65_000))
def test_a_count_is_scaled(millihertz):
    assert frequency_of([millihertz], Format.UINT16, 0.001) == pytest.approx(millihertz / 1000)
    assert frequency_of([0, millihertz], Format.UINT32, 0.001) == pytest.approx(millihertz / 1000)
    assert frequency_of([millihertz, 0], Format.UINT32_LOW_FIRST, 0.001) == pytest.approx(millihertz / 1000)


@given(words=st.tuples(st.integers(0, 65535), st.integers(0, 65535)), shape=st.sampled_from(Format))
def test_any_two_words_are_a_possible_frequency_or_malformed(words, shape):
    try:
        hz = frequency_of(words[: 1 if shape is Format.UINT16 else 2], shape, 1.0)
    except Malformed:
        return
    assert 40.0 <= hz <= 70.0


def test_without_a_stated_accuracy_the_frequency_is_shown_and_proves_nothing():
    told = FrequencyMeter.from_table("f", "meter.frequency", TABLE)
    proven = FrequencyMeter.from_table("f", "meter.frequency", {**TABLE, "accuracy_hz": 0.001})
    assert told.info.role is proven.info.role is MeterRole.FREQUENCY
    assert told.info.frequency is None
    assert proven.info.frequency == FrequencyProfile(0.001, 1.0, 0.001)


def test_it_is_no_meter_for_power():
    with pytest.raises(ConfigError, match="nothing but frequency"):
        FrequencyMeter.from_table("f", "meter.frequency", {**TABLE, "role": "grid"})


async def test_it_reads_its_one_register():
    words = struct.unpack(">HH", struct.pack(">f", 49.9875))
    async with ModbusDevice(holding=dict(enumerate(words, 19050))) as device:
        table = {**TABLE, "port": device.port, "poll_s": 0.02}
        slot = Slot()
        meter = FrequencyMeter.from_table("f", "meter.frequency", table)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(meter.run(slot))
            await slot.until(lambda: slot.samples)
            running.cancel()
    assert slot.samples[-1].frequency_hz == pytest.approx(49.9875, abs=1e-5)
