"""What the bus has said: freshness, frozen counters, sleep and wakes, generations, plug and gear."""

import pytest

from gateway.devices.leaf import sample
from gateway.devices.leaf.frames import CAR_CAN, EV_CAN
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.recognition import confirmed, pack_kwh
from gateway.devices.leaf.traffic import Traffic
from gateway.devices.leaf.uds import Answer
from gateway.model import Charging
from tests.gateway.devices.leaf.talker import Talker


class Listener:
    """A traffic with its own clock."""

    def __init__(self, car=Car.AZE0):
        self.now = 100.0
        self.talker = Talker(car)
        self.traffic = Traffic(EV_CAN, recognises=True)
        self.traffic.listening(self.now)

    def listen(self, seconds, *, garble=lambda frame: frame):
        end = self.now + seconds
        while self.now < end - 1e-9:
            for frame in self.talker.says(self.now):
                self.traffic.heard(*garble(frame), self.now)
            self.now = round(self.now + 0.01, 2)
        return self

    def wait(self, seconds):
        self.now += seconds
        return self

    @property
    def sample(self):
        return self.traffic.sample(self.now)


@pytest.mark.parametrize("car", Car)
def test_each_car_is_recognised_by_what_it_says(car):
    listener = Listener(car).listen(0.05)
    assert listener.traffic.car in {None, Car.ZE1_62}
    listener.listen(3.0)
    assert listener.traffic.car is car
    assert listener.sample.generation == car.generation


@pytest.mark.parametrize(("car", "stray"), [(Car.ZE0, 0x59E), (Car.AZE0, 0x1C2), (Car.AZE0, 0x5EB)])
def test_a_single_stray_frame_hides_no_car(car, stray):
    listener = Listener(car)
    listener.traffic.heard(stray, bytes(8), listener.now)
    assert listener.listen(3.0).traffic.car is car


def test_signs_of_a_car_count_only_with_a_right_checksum():
    broken = lambda frame: (frame[0], frame[1][:-1] + bytes((frame[1][-1] ^ 1,)))  # noqa: E731
    assert Listener(Car.ZE0).listen(5.0, garble=broken).traffic.car is None


def test_values_go_stale_by_the_rhythm_of_their_frames():
    listener = Listener().listen(3.0)
    assert (listener.sample.voltage_v, listener.sample.lbc_soc_pct, listener.sample.energy_wh) == (
        376,
        58.4,
        20_400,
    )
    listener.wait(0.55)
    assert (listener.sample.voltage_v, listener.sample.lbc_soc_pct, listener.sample.energy_wh) == (
        None,
        58.4,
        20_400,
    )
    listener.wait(0.6)
    assert (listener.sample.lbc_soc_pct, listener.sample.energy_wh) == (None, 20_400)
    listener.wait(3.0)
    assert (listener.sample.energy_wh, listener.sample.awake, listener.sample.generation) == (
        None,
        False,
        "AZE0",
    )
    listener.listen(0.6)
    assert (listener.sample.voltage_v, listener.sample.energy_wh, listener.sample.awake) == (
        376,
        20_400,
        True,
    )


def test_a_counter_that_stands_still_makes_its_value_stale_while_the_others_live():
    listener = Listener().listen(3.0)
    listener.talker.frozen.add(0x1DB)
    listener.listen(1.0)
    assert (listener.sample.voltage_v, listener.sample.lbc_soc_pct) == (None, 58.4)
    assert listener.traffic.frozen >= 9
    listener.talker.frozen.clear()
    assert listener.listen(0.1).sample.voltage_v == 376


def test_after_a_silence_the_first_frame_is_accepted_whatever_it_counts():
    listener = Listener().listen(3.0)
    listener.talker.frozen.add(0x1DB)
    assert listener.wait(20).listen(0.05).sample.voltage_v == 376


def test_a_frame_that_fails_its_check_changes_nothing():
    listener = Listener().listen(3.0)
    before = listener.traffic.values(listener.now)
    for bit in range(64):
        can_id, data = listener.talker.frame(0x1DB)
        listener.traffic.heard(can_id, (int.from_bytes(data) ^ 1 << bit).to_bytes(8), listener.now)
    for length in range(8):
        listener.traffic.heard(0x1DB, bytes(length), listener.now)
    assert listener.traffic.rejected == 72
    assert listener.traffic.values(listener.now) == before


def test_wakes_are_counted_for_a_day_but_not_what_was_not_heard():
    listener = Listener()
    listener.listen(1.0)
    assert listener.sample.wakes_today == 0, "it was awake when we came"
    for _ in range(3):
        listener.wait(600).listen(1.0)
    assert listener.sample.wakes_today == 3
    listener.wait(600)
    listener.traffic.listening(listener.now)
    assert listener.listen(1.0).sample.wakes_today == 3, "the adapter was away"
    listener.wait(86_400)
    assert (listener.sample.wakes_today, listener.sample.awake) == (0, False)


def test_a_tester_does_not_make_a_car_awake():
    listener = Listener()
    for can_id in (0x79B, 0x7BB, 0x7DF):
        listener.traffic.heard(can_id, bytes(8), listener.now)
    assert not listener.sample.awake
    listener.traffic.heard(0x679, b"\0", listener.now)
    assert listener.sample.awake


def test_what_was_asked_fills_what_is_not_broadcast_and_ages():
    listener = Listener().listen(3.0)
    told = {Quantity.LBC_SOC_PCT: 70.0, Quantity.CAPACITY_AH: 60.0, Quantity.AUX_VOLTAGE_V: 12.9}
    listener.traffic.answered(Answer(told, group_01_bytes=41, pack_serial="S1", live_s=90.0), listener.now)
    assert (listener.sample.lbc_soc_pct, listener.sample.aux_voltage_v) == (58.4, 12.9)
    listener.wait(80)
    assert (listener.sample.lbc_soc_pct, listener.sample.aux_voltage_v) == (70.0, 12.9)
    listener.wait(20)
    sample = listener.sample
    assert (sample.lbc_soc_pct, sample.aux_voltage_v, sample.capacity_ah) == (None, None, 60.0)
    assert (sample.soh_pct, sample.pack_serial) == (75.0, "S1")


@pytest.mark.parametrize(
    ("told", "charging", "plugged"),
    [
        ({}, None, None),
        ({Quantity.LBC_REQUEST: 0}, Charging.NONE, None),
        ({Quantity.LBC_REQUEST: 1}, Charging.AC, True),
        ({Quantity.LBC_REQUEST: 2}, Charging.QUICK, True),
        ({Quantity.LBC_REQUEST: 3}, Charging.NONE, None),
        ({Quantity.LBC_REQUEST: 2, Quantity.V2H_CONNECTOR: 1}, Charging.V2X, True),
        ({Quantity.LBC_REQUEST: 0, Quantity.OBC_MODE: 9}, Charging.V2X, True),
        (
            {Quantity.LBC_REQUEST: 0, Quantity.DC_EVSE_STATUS: 5, Quantity.DC_CAR_STATUS: 0xC1},
            Charging.QUICK,
            True,
        ),
        ({Quantity.LBC_REQUEST: 0, Quantity.DC_CAR_STATUS: 0x88}, Charging.NONE, True),
        ({Quantity.LBC_REQUEST: 0, Quantity.OBC_STATE: 12}, Charging.NONE, True),
        ({Quantity.LBC_REQUEST: 0, Quantity.AC_LINE: 2}, Charging.NONE, True),
        ({Quantity.OBC_STATE_ZE0: 0xB0}, Charging.QUICK, True),
        ({Quantity.OBC_STATE_ZE0: 0x60}, Charging.AC, True),
        ({Quantity.OBC_STATE_ZE0: 0x18, Quantity.LBC_REQUEST: 0}, Charging.NONE, None),
        ({Quantity.PILOT_LIMIT_A: 16}, None, True),
        ({Quantity.PLUG: 2}, None, True),
        ({Quantity.PLUG: 1}, None, None),
        ({Quantity.PLUG: 0, Quantity.LBC_REQUEST: 0}, Charging.NONE, False),
        ({Quantity.GEAR: 4, Quantity.LBC_REQUEST: 0}, Charging.NONE, False),
        ({Quantity.CHARGE_MODE: 3}, Charging.QUICK, True),
    ],
)
def test_plug_and_charging(told, charging, plugged):
    assert (sample.charging(told), sample.plugged(told)) == (charging, plugged)


@pytest.mark.parametrize(
    ("told", "parked"),
    [
        ({}, None),
        *(({Quantity.GEAR: gear}, told) for gear, told in enumerate((True, True, False, False, False, None))),
        *(
            ({Quantity.SHIFTER: n}, told)
            for n, told in enumerate((True, True, False, False, False, None, None, False))
        ),
        ({Quantity.KEY_STATE: 0}, True),
        ({Quantity.KEY_STATE: 3}, None),
        ({Quantity.GEAR: 0, Quantity.SPEED_KMH: 5.0}, False),
    ],
)
def test_parked(told, parked):
    assert sample.parked(told) is parked


@pytest.mark.parametrize(
    ("told", "charge_max_w"),
    [
        ({}, None),
        ({Quantity.REGEN_LIMIT_W: 40_000}, 40_000),
        ({Quantity.REGEN_LIMIT_W: 40_000, Quantity.CHARGER_LIMIT_W: 28_300}, 28_300),
        ({Quantity.REGEN_LIMIT_W: 40_000, Quantity.CHARGER_LIMIT_WIDE_W: 120_000}, 40_000),
        ({Quantity.REGEN_LIMIT_W: 40_000, Quantity.CHARGER_LIMIT_W: -3_000}, 0),
    ],
)
def test_the_lowest_limit_told_holds_and_no_limit_is_none(told, charge_max_w):
    values = sample.of(told, at=0, awake=True, generation="", pack_kwh=None, pack_serial="", wakes_today=0)
    assert values.charge_max_w == charge_max_w


@pytest.mark.parametrize(("unit", "km"), [(0x40, 1000.0), (0x60, 1609.344), (0x00, None), (0x20, None)])
def test_an_odometer_without_its_unit_says_nothing(unit, km):
    traffic = Traffic(CAR_CAN, recognises=False)
    traffic.heard(0x5C5, bytes.fromhex("840003E8000C0000"), 0.0)
    assert traffic.sample(0.0).odometer_km is None
    traffic.heard(0x355, bytes((0, 0, 0, 0, 0, 0, unit, 0)), 0.0)
    assert traffic.sample(0.1).odometer_km == km


def test_car_can_gids_are_energy_only_where_no_maximum_takes_turns():
    traffic = Traffic(CAR_CAN, recognises=False)
    traffic.heard(0x5B3, bytes.fromhex("64BC1E15E0FFF00A"), 0.0)
    assert traffic.sample(0.0).energy_wh is None
    traffic.answered(Answer(group_01_bytes=39), 0.0)
    assert traffic.sample(0.0).energy_wh == 255 * 80


@pytest.mark.parametrize(
    ("length", "car", "full_gids", "kwh", "fits"),
    [
        (39, Car.ZE0, None, 24, True),
        (41, Car.AZE0, None, 30, True),
        (51, Car.AZE0, 500, 40, True),
        (51, Car.ZE1_40, 500, 40, True),
        (51, Car.ZE1_62, None, 62, True),
        (51, None, 750, 62, None),
        (51, Car.ZE0, None, 40, False),
        (39, Car.ZE1_40, None, 24, False),
        (42, Car.ZE1_40, None, None, None),
    ],
)
def test_the_length_of_group_01_tells_the_pack(length, car, full_gids, kwh, fits):
    assert pack_kwh(length, car, full_gids) == kwh
    assert confirmed(length, car) is fits
