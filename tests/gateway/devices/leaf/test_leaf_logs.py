"""Recorded cars decide: checksums, counters and the reference values of reference/can.md 6.2."""

from itertools import pairwise

import pytest

from gateway.devices.leaf.frames import CAR_CAN, EV_CAN
from gateway.devices.leaf.integrity import Integrity, intact
from gateway.devices.leaf.isotp import receive
from gateway.devices.leaf.quantities import Car, Quantity
from gateway.devices.leaf.recognition import confirmed
from gateway.devices.leaf.traffic import Traffic
from gateway.devices.leaf.uds import LBC, QUERIES
from gateway.model import Charging
from tests.gateway.devices.leaf.recorded import ENV200, QUICK_62, ZE0_24, frames, heard, needs_logs

pytestmark = needs_logs

LOGS = [(QUICK_62, None, Car.ZE1_62), (ZE0_24, None, Car.ZE0), (ENV200, "1", Car.AZE0)]
EVERY_LOG = pytest.mark.parametrize(("name", "bus", "car"), LOGS)
CHECKED = {
    QUICK_62: {0x108, 0x11A, 0x120, 0x1CB, 0x1D4, 0x1DA, 0x1DB, 0x1DC, 0x1ED, 0x55B, 0x1F2, 0x390, 0x393},
    ZE0_24: {0x11A, 0x1D4, 0x1DA, 0x1DB, 0x1DC, 0x50C, 0x55B, 0x1F2, 0x380, 0x5BF},
    ENV200: {0x11A, 0x1D4, 0x1DA, 0x1DB, 0x1DC, 0x50C, 0x55B, 0x1F2, 0x390, 0x393},
}


def close(value):
    return pytest.approx(value, abs=1e-3)


@EVERY_LOG
def test_every_checksum_of_every_log_passes(name, bus, car):
    checked = [
        (can_id, EV_CAN[can_id].fits(data) and intact(EV_CAN[can_id].integrity, can_id, data))
        for _, can_id, data in frames(name, bus)
        if can_id in EV_CAN and EV_CAN[can_id].integrity is not Integrity.NONE
    ]
    assert {can_id for can_id, _ in checked} == CHECKED[name]
    assert all(passes for _, passes in checked)
    assert len(checked) > 4000


@EVERY_LOG
def test_nothing_recorded_is_rejected_and_what_stands_still_was_lost_between(name, bus, car):
    traffic, _ = heard(name, bus)
    assert traffic.rejected == 0
    assert traffic.frozen < 0.005 * len(frames(name, bus))


@EVERY_LOG
def test_every_car_is_recognised_within_three_seconds(name, bus, car):
    told = frames(name, bus)
    traffic = Traffic(EV_CAN, recognises=True)
    guesses = []
    for at, can_id, data in told:
        traffic.heard(can_id, data, at)
        if traffic.car is not None and traffic.car not in guesses:
            guesses.append(traffic.car)
            assert at < 3
    assert guesses == [car]


def test_the_quick_charge_of_a_62_kwh_ze1():
    traffic, end = heard(QUICK_62)
    sample, values = traffic.sample(end), traffic.values(end)
    assert sample.generation == "ZE1"
    assert (sample.voltage_v, sample.current_a) == (376.0, 34.0)
    assert (sample.discharge_max_w, values[Quantity.REGEN_LIMIT_W]) == (180_000, 44_750)
    assert (
        values[Quantity.CHARGER_LIMIT_W]
        == values[Quantity.CHARGER_LIMIT_WIDE_W]
        == sample.charge_max_w
        == 28_300
    )
    assert (sample.lbc_soc_pct, sample.dash_soc_pct) == (69.2, 66.0)
    assert (values[Quantity.GIDS], values[Quantity.FULL_GIDS], sample.energy_wh) == (488, 750, 39_040)
    assert (sample.soh_pct, sample.capacity_wh, values[Quantity.REMAINING_WH]) == (96, 58_400, 39_100)
    assert (values[Quantity.CHARGEABLE_W], values[Quantity.OBC_POWER_W]) == (13_200, 0)
    assert (sample.charging, sample.plugged, sample.parked) == (Charging.QUICK, True, True)
    assert sample.odometer_km == close(21_866 * 1.609344)


def test_the_copied_dc_session_agrees_with_the_pack():
    traffic, end = heard(QUICK_62)
    values = traffic.values(end)
    assert (values[Quantity.DC_VOLTAGE_V], values[Quantity.DC_CURRENT_A]) == (377, 34)
    assert (values[Quantity.DC_TARGET_V], values[Quantity.DC_REQUEST_A]) == (410, 35)
    assert (values[Quantity.DC_EVSE_STATUS], values[Quantity.DC_CAR_STATUS]) == (0x05, 0x81)
    soc_pct = 100 * values[Quantity.DC_SOC_RAW] / values[Quantity.DC_SOC_REFERENCE]
    assert soc_pct == pytest.approx(traffic.sample(end).dash_soc_pct, abs=0.5)
    assert (values[Quantity.DC_LEAST_LEVEL_RAW], values[Quantity.DC_MOST_LEVEL_RAW]) == (0x1A, 0xFF)


def test_both_copies_of_the_current_are_equal_in_every_frame():
    car = frozenset({Car.ZE1_62})
    for _, can_id, data in frames(QUICK_62):
        if can_id == 0x1DB:
            values = dict(EV_CAN[can_id].values(data, *car))
            assert values[Quantity.PACK_CURRENT_A] == values[Quantity.PACK_CURRENT_COPY_A]


def test_an_old_car_wakes_up_in_the_cold():
    traffic, end = heard(ZE0_24)
    sample, values = traffic.sample(end), traffic.values(end)
    assert (sample.voltage_v, sample.current_a, sample.lbc_soc_pct) == (386.0, 0.5, 75.1)
    assert sample.dash_soc_pct is None
    assert (sample.discharge_max_w, sample.charge_max_w) == (62_750, 4_750)
    assert Quantity.CHARGER_LIMIT_W not in values
    assert (values[Quantity.GIDS], sample.energy_wh, values[Quantity.NOMINAL_CAPACITY_WH]) == (
        111,
        8_880,
        24_000,
    )
    assert (sample.soh_pct, sample.temperature_c, sample.capacity_wh) == (51, 3, 12_240)
    assert (values[Quantity.CHARGEABLE_W], sample.charging, sample.plugged) == (0, Charging.NONE, None)


def test_nothing_is_believed_of_a_pack_that_is_not_ready():
    traffic, _ = heard(ZE0_24)
    first = next(data for _, can_id, data in frames(ZE0_24) if can_id == 0x5BC)
    start = Traffic(EV_CAN, recognises=True)
    start.heard(0x5BC, first, 0.0)
    start._sightings.car = traffic.car
    assert Quantity.GIDS not in start.values(0.0)


def test_an_e_nv200_charges_at_home():
    traffic, end = heard(ENV200, "1")
    sample, values = traffic.sample(end), traffic.values(end)
    assert (sample.voltage_v, sample.current_a) == (358.5, 5.5)
    assert (sample.dash_soc_pct, sample.lbc_soc_pct) == (53, 58.4)
    assert (sample.discharge_max_w, values[Quantity.REGEN_LIMIT_W], sample.charge_max_w) == (
        110_000,
        70_000,
        18_000,
    )
    assert (values[Quantity.GIDS], values[Quantity.FULL_GIDS]) == (255, 500)
    assert (sample.soh_pct, sample.capacity_wh, values[Quantity.REMAINING_WH]) == (94, 37_800, 20_400)
    assert (sample.coldest_c, sample.temperature_c, sample.warmest_c) == (17, 19, 21)
    assert (values[Quantity.CHARGEABLE_W], values[Quantity.OBC_POWER_W]) == (2_100, 2_100)
    assert (sample.charging, sample.plugged, sample.parked) == (Charging.AC, True, True)
    assert values[Quantity.FULL_3KW_MIN] == values[Quantity.MINUTES_TO_FULL] == 570
    # The two ranges take turns as the two energies do, and stand in the same proportion.
    assert (sample.range_km, values[Quantity.FULL_RANGE_KM]) == (113, 218)


def test_its_other_bus_tells_odometer_and_health():
    traffic, end = heard(ENV200, "2", until=2.5)
    sample = traffic.sample(end)
    assert sample.odometer_km == close(0x010679 * 1.609344)
    assert (sample.soh_pct, sample.parked, sample.generation) == (94, True, "")
    # 255 and 500 GIDs take turns in 5B3 without a mark; only where no maximum is sent is it energy.
    assert sample.energy_wh is None


def answers():
    """Yield the payloads of the battery controller in log H, with the question each belongs to."""
    partial = None
    for _, can_id, data in frames(ENV200, "1"):
        if can_id == LBC.response_id:
            partial = receive(partial, data)
            if isinstance(partial, bytes):
                yield next(q for q in QUERIES if q.unit == LBC and q.request[1] == partial[1]), partial
                partial = None


def test_the_recorded_answers_of_the_battery_controller():
    told = [(query.request, query.answer(payload)) for query, payload in answers()]
    assert [request for request, _ in told] == [b"\x21\x01", b"\x21\x02", b"\x21\x06"]
    state, cells, shunts = (answer for _, answer in told)
    assert state.group_01_bytes == 51
    assert confirmed(51, Car.AZE0)
    values = state.values
    assert (values[Quantity.LBC_VOLTAGE_V], values[Quantity.LBC_SOC_PCT]) == (close(358.4), close(58.4295))
    assert (values[Quantity.CAPACITY_AH], values[Quantity.HX_PCT]) == (close(108.7675), close(86.1914))
    assert (values[Quantity.AUX_VOLTAGE_V], values[Quantity.INSULATION_RAW]) == (close(13.7432), 1023)
    assert (cells.values[Quantity.CELL_MIN_V], cells.values[Quantity.CELL_MAX_V]) == (3.731, 3.737)
    assert shunts.values == {Quantity.SHUNTS_ACTIVE: 0}


def test_answers_join_the_sample():
    traffic, end = heard(ENV200, "1")
    for query, payload in answers():
        traffic.answered(query.answer(payload), end)
    sample = traffic.sample(end)
    assert (sample.voltage_v, sample.aux_voltage_v, sample.shunts_active) == (358.5, close(13.7432), 0)
    assert (sample.capacity_ah, sample.hx_pct, sample.insulation_raw) == (
        close(108.7675),
        close(86.1914),
        1023,
    )
    assert (sample.lbc_soc_pct, traffic.pack_kwh(traffic.values(end))) == (58.4, 40)


@EVERY_LOG
def test_counters_of_intact_frames_count(name, bus, car):
    """Of the frames with a counter nearly all step by one; the rest were lost by the recorder."""
    by_id = {}
    for _, can_id, data in frames(name, bus):
        layout = EV_CAN.get(can_id)
        if layout is not None and layout.counter is not None and car in layout.cars:
            by_id.setdefault(can_id, []).append(layout.counter.of(data))
    assert len(by_id) >= 9
    for can_id, counts in by_id.items():
        steps = [(after - before) % 4 == 1 for before, after in pairwise(counts)]
        assert sum(steps) > 0.8 * len(steps), hex(can_id)


def test_a_bus_is_read_with_its_own_table():
    assert 0x1CB not in CAR_CAN
    assert 0x5C0 not in CAR_CAN
