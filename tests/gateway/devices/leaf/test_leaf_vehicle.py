"""The driver on a bus that only exists here, by a clock that only goes when told."""

import asyncio
from itertools import pairwise
from time import monotonic

import can
import pytest

from gateway.config import decode
from gateway.devices.leaf.isotp import FLOW_CONTROL, single
from gateway.devices.leaf.quantities import Car
from gateway.devices.leaf.vehicle import BEAT_S, Bus, Leaf, Options
from gateway.faults import ConfigError, FaultCode
from gateway.model import Charging
from tests.gateway.devices.leaf.control_units import cut, small
from tests.gateway.devices.leaf.talker import Talker
from tests.gateway.devices.leaf.wire import Wire
from tests.gateway.devices.slot import Slot
from tests.gateway.devices.test_can_bus import Adapter

QUESTION = (0x79B, single(b"\x21\x01"))
AC = 1


class Garage:
    """A car, the driver, and time."""

    def __init__(self, *, polls=True, car=Car.AZE0, aux_v=13.0):
        self.wire = Wire(not polls)
        self.talker, self.talks, self.answers, self.aux_v = Talker(car), True, True, aux_v
        self.slot = Slot()
        options = Options("Leaf", "virtual", "none", charger="garage", polls=polls)
        self.leaf = Leaf("leaf", "vehicle.leaf", options, bus=self.wire, clock=lambda: self.wire.now)
        self.beat_at, self.replies = self.wire.now, []
        self.wire.up = False
        self.leaf.beat(self.slot)
        self.wire.up = True

    def after(self, seconds):
        end = self.wire.now + seconds
        while self.wire.now < end - 1e-9:
            if self.wire.up:
                self.speak()
            if self.wire.now >= self.beat_at:
                self.beat_at += BEAT_S
                self.leaf.beat(self.slot)
            self.wire.now = round(self.wire.now + 0.01, 2)
        return self

    def speak(self):
        if self.talks:
            for frame in self.talker.says(self.wire.now):
                self.leaf.hear(*frame)
        if self.answers and self.wire.sent and self.wire.sent[-1][0] == round(self.wire.now - 0.01, 2):
            _, can_id, data = self.wire.sent[-1]
            if (can_id, data) == QUESTION:
                first, *self.replies = cut(
                    b"\x61\x01" + small(41, 368.13, self.aux_v, 900, 79.97, 56.29, 73.38)
                )
                self.leaf.hear(0x7BB, first)
                return
        if self.replies:
            self.leaf.hear(0x7BB, self.replies.pop(0))

    @property
    def sample(self):
        return self.slot.samples[-1]

    @property
    def questions(self):
        return [at for at, _, data in self.wire.sent if data != FLOW_CONTROL]


def test_who_listens_sends_nothing_and_knows_the_car():
    garage = Garage(polls=False).after(200)
    assert garage.wire.sent == []
    sample = garage.sample
    assert (sample.awake, sample.generation, sample.dash_soc_pct, sample.current_a) == (
        True,
        "AZE0",
        53,
        34.0,
    )
    assert (sample.parked, sample.charging) == (True, Charging.NONE)
    assert garage.slot.infos[-1].model == "Leaf AZE0"
    assert garage.slot.infos[-1].charger == "garage"
    assert garage.slot.faults == {}


def test_an_awake_parked_car_is_asked_and_its_answer_published():
    garage = Garage().after(5)
    assert garage.wire.sent[0][1:] == QUESTION
    assert [data for _, _, data in garage.wire.sent].count(FLOW_CONTROL) == 1
    sample = garage.sample
    assert (sample.capacity_ah, sample.hx_pct, sample.insulation_raw) == (73.38, 79.97, 900)
    assert sample.aux_voltage_v == pytest.approx(13.0)
    assert garage.slot.infos[-1].capacity_wh == 30_000


def test_questions_are_ten_seconds_apart_and_one_at_a_time():
    garage = Garage()
    garage.talker.requests(AC)
    garage.after(300)
    asked = garage.questions
    assert 20 <= len(asked) <= 30
    assert all(b - a >= 10 for a, b in pairwise(asked))


def test_a_sleeping_car_is_never_asked_nor_woken():
    garage = Garage()
    garage.talks = False
    garage.after(4000)
    assert garage.wire.sent == []
    assert garage.sample.awake is False
    garage.talks = True
    assert garage.after(2).sample.wakes_today == 1
    assert len(garage.questions) == 1
    garage.talks = False
    asked = len(garage.after(4).questions)
    assert len(garage.after(4000).questions) == asked


def test_a_moving_car_is_never_asked():
    garage = Garage()
    garage.talker.shifts(4)
    garage.after(100)
    assert (garage.wire.sent, garage.sample.parked, garage.sample.plugged) == ([], False, False)
    garage.talker.shifts(0)
    assert garage.after(2).wire.sent


def test_a_car_whose_gear_is_not_known_is_not_asked():
    garage = Garage()
    del garage.talker.due[0x11A]
    garage.after(100)
    assert (garage.wire.sent, garage.sample.parked) == ([], None)


def test_nothing_is_asked_while_another_tester_asks():
    garage = Garage()
    garage.leaf.hear(0x79B, single(b"\x21\x02"))
    assert garage.after(99).wire.sent == []
    garage.leaf.hear(0x797, single(b"\x22\x11\x03"))
    assert garage.after(99).wire.sent == []
    assert garage.after(3).wire.sent


def test_a_weak_12_v_battery_ends_the_asking():
    garage = Garage(aux_v=12.0).after(5)
    asked = len(garage.questions)
    assert garage.sample.aux_voltage_v == pytest.approx(12.0)
    assert len(garage.after(300).questions) == asked


def test_a_controller_that_does_not_answer_is_soon_left_alone():
    garage = Garage()
    garage.answers = False
    garage.after(590)
    assert len(garage.questions) == 3


def test_a_silent_car_is_asleep_and_its_values_are_gone_until_it_comes_back():
    garage = Garage(polls=False).after(5)
    garage.talks = False
    garage.after(6)
    sample = garage.sample
    assert sample.awake is False
    assert {sample.dash_soc_pct, sample.voltage_v, sample.energy_wh, sample.parked, sample.charging} == {None}
    garage.talks = True
    assert (garage.after(2).sample.dash_soc_pct, garage.sample.awake, garage.sample.wakes_today) == (
        53,
        True,
        1,
    )


def test_a_lost_bus_is_told_and_ends_with_its_return_without_a_wake():
    garage = Garage(polls=False).after(5)
    garage.wire.up, garage.wire.problem = False, "the adapter is gone"
    published = len(garage.slot.samples)
    garage.after(60)
    assert garage.slot.faults == {FaultCode.DEVICE_UNREACHABLE: "the adapter is gone"}
    assert len(garage.slot.samples) == published
    garage.wire.up, garage.wire.problem = True, ""
    garage.after(2)
    assert garage.slot.faults == {}
    assert (garage.sample.dash_soc_pct, garage.sample.wakes_today) == (53, 0)


def test_the_warning_lamp_and_broken_frames_are_told_while_they_last():
    garage = Garage(polls=False).after(2)
    garage.talker.words[0x1DB][1] |= 4
    assert FaultCode.DEVICE_FAULT in garage.after(2).slot.faults
    garage.talker.words[0x1DB][1] &= ~4
    for _ in range(20):
        garage.leaf.hear(0x1DB, bytes.fromhex("0880BC2A350000FF"))
    assert set(garage.after(2).slot.faults) == {FaultCode.IMPLAUSIBLE_READING}
    assert garage.after(130).slot.faults == {}


def test_a_pack_of_another_car_is_logged_once(caplog):
    Garage(car=Car.ZE1_40).after(40)
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_its_table_names_the_buses():
    table = {"name": "Leaf", "can_interface": "socketcan", "can_channel": "can1", "charger": "garage"}
    assert decode(Options, table, "devices.leaf").bus is Bus.EV_CAN
    assert decode(Options, table | {"bus": "car_can"}, "devices.leaf").bus is Bus.CAR_CAN
    with pytest.raises(ConfigError, match=r"devices\.leaf\.bus"):
        Leaf.from_table("leaf", "vehicle.leaf", table | {"bus": "chademo"})


@pytest.mark.parametrize(("polls", "opened"), [(False, "L"), (True, "O")])
async def test_a_serial_adapter_is_opened_for_sending_only_by_who_polls(polls, opened, tmp_path):
    adapter, slot, talker = Adapter(tmp_path / "can1"), Slot(), Talker()
    leaf = Leaf("leaf", "vehicle.leaf", Options("Leaf", "slcan", str(adapter.path), polls=polls))
    async with asyncio.timeout(10), asyncio.TaskGroup() as tasks:
        running = tasks.create_task(leaf.run(slot))
        await slot.until(lambda: slot.samples)
        while sum(sample.parked is True for sample in slot.samples) < 2:
            for can_id, data in talker.says(monotonic()):
                adapter.say(f"t{can_id:03X}{len(data)}{data.hex()}")
            await asyncio.sleep(0.05)
        running.cancel()
    told = [line for line in adapter.heard() if line]
    assert opened in told
    assert [line for line in told if line.startswith("t")] == polls * ["t79B80221015555555555"]
    adapter.unplug()


async def test_it_hears_a_real_bus():
    options = Options("Leaf", "virtual", "test_leaf_vehicle")
    leaf, slot, talker = Leaf("leaf", "vehicle.leaf", options), Slot(), Talker()
    with can.Bus(interface="virtual", channel="test_leaf_vehicle") as car:
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(leaf.run(slot))
            await slot.until(lambda: slot.samples)
            for can_id, data in talker.says(0.0):
                car.send(can.Message(arbitration_id=can_id, data=data, is_extended_id=False))
            await slot.until(lambda: slot.samples[-1].lbc_soc_pct == 58.4)
            running.cancel()
    assert slot.samples[-1].awake
