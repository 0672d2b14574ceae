"""A BiDiPro that keeps its habits, and what its window, its session type and its own buttons do to an order."""

import asyncio
import struct

import pytest

from gateway.devices.bidipro import STATES, BidiproPanel, Options, State, real, text, whole, words_of
from gateway.faults import FaultCode, Malformed, Refused
from gateway.model import EvseState
from tests.gateway.devices.modbus_charger.paper import PaperBus, on_paper

FALLBACK, TIMEOUT, SETPOINT = 38, 42, 286
NEGATIVE = 0x8000


# ── a session ────────────────────────────────────────────────────────────────────────────────────────────────────────


@on_paper("bidipro")
async def test_fallback_and_timeout_are_armed_before_the_first_order(house):
    house.wish = -3000.0
    await house.until(lambda: house.truth.ac_w < -2900, 20)
    assert house.writes() == [(FALLBACK, (0, 0)), (TIMEOUT, (0, 30)), (SETPOINT, words_of(-3000))]
    await house.until(lambda: house.last.power_w < -2900, 3)
    assert (house.last.applied_w, house.last.vehicle.soc_pct) == (-3000.0, 62.0)
    assert house.last.vehicle.discharge_compatible
    assert house.faults == {}


@on_paper("bidipro")
async def test_the_connector_in_use_is_found_and_the_station_says_who_it_is(house):
    (info,) = house.slot.infos
    assert (info.maker, info.model, info.serial, info.version) == (
        "EVtec",
        "crema bidipro",
        "SIM-BIDI-01",
        "2.0.7-sim",
    )


@on_paper("bidipro")
async def test_a_wish_beyond_the_window_is_clamped_and_never_refused(house):
    for wish_w, flows_w in ((50_000.0, 10_000.0), (-50_000.0, -10_000.0)):
        house.wish = wish_w
        await house.until(lambda: abs(house.truth.ac_w - flows_w) < 50, 20)  # noqa: B023 - awaited at once
    assert house.faults == {}


@on_paper("bidipro")
async def test_less_than_the_station_can_charge_is_nothing(house):
    await house.flow(2000.0)
    house.wish = 499.0
    await house.until(lambda: house.last.power_w < 20, 5)
    assert house.last.applied_w == 0.0
    await house.flow(-300.0)


@on_paper("bidipro")
async def test_ten_minutes_without_a_change_are_only_renewals_of_what_flows(house):
    await house.flow(-2000.0)
    since = house.now
    await asyncio.sleep(600)
    assert len(set(house.writes(since))) == 1
    assert len(house.writes(since)) <= 600 / 7.5
    assert house.truth.ac_w < -1900


@on_paper("bidipro")
async def test_zero_stops_and_the_state_of_charge_stays_known(house):
    await house.flow(10_000.0)
    house.wish, house.engage = 0.0, False
    assert await house.until(lambda: abs(house.truth.current_a) <= 1, 5) < 5
    await asyncio.sleep(60)
    assert house.last.vehicle.soc_pct == pytest.approx(62.0, abs=0.3)
    assert house.truth.ac_w < 20


@on_paper("bidipro")
async def test_a_station_that_offers_no_v2g_is_not_asked_for_it(house):
    house.unit.refuses_discharge = True
    house.wish = -3000.0
    await house.until(lambda: house.last.state is EvseState.READY, 20)
    await asyncio.sleep(30)
    assert (house.last.discharge_max_w, house.last.charge_max_w) == (0, 10_000)
    assert not house.last.vehicle.discharge_compatible
    assert {values for address, values in house.writes() if address == SETPOINT} <= {(0, 0)}
    assert house.faults == {}


@on_paper("bidipro")
async def test_v2g_that_is_withdrawn_under_way_is_left_at_once(house):
    await house.flow(-3000.0)
    house.unit.refuses_discharge = True
    await house.until(lambda: house.last.discharge_max_w == 0, 3)
    await house.until(lambda: house.kept(SETPOINT) == 0, 3)
    house.unit.refuses_discharge = False
    await house.flow(-3000.0)


@on_paper("bidipro")
async def test_a_discharge_that_is_answered_no_twice_is_named(house):
    house.bus.no = lambda address, values: address == SETPOINT and values[0] >= NEGATIVE
    house.wish = -3000.0
    await house.until(lambda: FaultCode.DEVICE_REFUSED in house.faults, 30)
    await house.until(lambda: house.last.discharge_max_w == 0 and house.last.state is EvseState.READY, 10)
    await house.flow(2000.0)


# ── leaving, and a predecessor ───────────────────────────────────────────────────────────────────────────────────────


@on_paper("bidipro")
async def test_release_ends_the_order_and_gives_the_stations_own_settings_back(house):
    await house.flow(-3000.0)
    async with asyncio.timeout(5):
        await house.device.release()
    assert [house.kept(n) for n in (SETPOINT, FALLBACK, TIMEOUT)] == [0, 3600, 600]


@pytest.mark.parametrize("power_w", [10_000.0, -10_000.0])
def test_death_leaves_no_current_after_the_time_on_the_card(power_w):
    @on_paper("bidipro")
    async def story(house):
        await house.flow(power_w)
        at_most_s = house.device.card.discharging_at_most_s
        await house.die()
        await house.until(lambda: abs(house.truth.current_a) < 0.5, at_most_s)
        await asyncio.sleep(300)
        assert abs(house.truth.current_a) < 0.5

    story()


@on_paper("bidipro")
async def test_what_a_dead_predecessor_ordered_is_ended_before_anything_else_is_written(house):
    await house.flow(-3000.0)
    await house.die()
    house.start()
    await house.until(house.writes, 5)
    assert house.writes() == [(SETPOINT, (0, 0))]
    await house.until(lambda: house.truth.ac_w < -2500, 30)


@on_paper("bidipro")
async def test_who_only_observes_writes_nothing(house):
    await asyncio.sleep(120)
    assert house.bus.written == []


# ── other hands, and its own troubles ────────────────────────────────────────────────────────────────────────────────


@on_paper("bidipro")
async def test_a_second_master_is_left_the_field(house):
    await house.flow(2000.0)
    for _ in range(2):
        house.unit.write_registers(SETPOINT, words_of(-4000))
        await house.until(lambda: house.kept(SETPOINT) != -4000, 3)
        await asyncio.sleep(0.2)
    await house.until(lambda: FaultCode.SECOND_MASTER in house.faults, 3)
    await house.until(lambda: house.kept(TIMEOUT) == 600, 1)
    since = house.now
    await asyncio.sleep(300)
    assert house.writes(since) == []
    assert abs(house.truth.current_a) < 1


@on_paper("bidipro")
async def test_a_session_that_is_ended_at_the_station_is_not_ours_to_begin(house):
    await house.flow(2000.0)
    house.unit.app(True)
    await house.until(lambda: house.last.state is EvseState.PLUGGED, 5)
    assert (house.last.charge_max_w, house.last.stop_cause) == (0, "stopped_at_charger")
    await asyncio.sleep(60)
    assert house.truth.ac_w < 20
    house.unit.app(False)
    await house.flow(2000.0)


@on_paper("bidipro")
async def test_a_restart_that_forgets_the_lease_is_found_and_armed_again(house):
    await house.flow(-3000.0)
    house.unit.reboot()
    await house.until(lambda: FaultCode.DEVICE_UNREACHABLE in house.faults, 10)
    await house.until(lambda: house.truth.ac_w < -2500, 60)
    assert [house.kept(n) for n in (FALLBACK, TIMEOUT)] == [0, 30]
    assert house.faults == {}


@on_paper("bidipro")
async def test_error_bits_are_named_and_nothing_flows(house):
    await house.flow(-3000.0)
    house.unit.errors = 0x8000_0001
    await house.until(lambda: FaultCode.DEVICE_FAULT in house.faults, 3)
    assert "0x0080000001" in house.faults[FaultCode.DEVICE_FAULT]
    assert house.last.state is EvseState.FAULT
    house.unit.errors = 0
    await house.until(lambda: house.truth.ac_w < -2500 and not house.faults, 30)


# ── what it says ─────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_state_has_a_meaning():
    assert set(STATES) == set(State)


@pytest.mark.parametrize("value", [0, 1, -1, 7400, -7400, 2**31 - 1, -(2**31)])
def test_numbers_are_high_word_first_and_survive_the_wire(value):
    assert words_of(value) == struct.unpack(">2H", struct.pack(">i", value))
    assert whole(words_of(value)) == value


def test_reals_and_texts_are_read_and_no_number_is_none():
    assert real(struct.unpack(">2H", struct.pack(">f", -1234.5))) == -1234.5
    for nonsense in (float("nan"), float("inf")):
        with pytest.raises(Malformed):
            real(struct.unpack(">2H", struct.pack(">f", nonsense)))
    assert text((0x6372, 0x656D, 0x6100, 0x7878)) == "crema"


class Station:
    """A station whose connector tells only what a test lets it."""

    silent = False

    def __init__(self, words):
        self.words = words

    def read_registers(self, table, address, count):
        return [self.words.get(n, 0) for n in range(address, address + count)]


@pytest.mark.parametrize("told_at", [100, 304, 1103])
async def test_a_connector_is_in_use_when_it_tells_any_of_three_things(told_at):
    bus = PaperBus(Station({told_at: 1}))
    await bus.connect()
    panel = BidiproPanel(bus, Options("Charger", "nowhere"))
    assert await panel._connector_in_use() == told_at // 100


async def test_a_station_without_connectors_is_not_driven():
    bus = PaperBus(Station({}))
    await bus.connect()
    with pytest.raises(Refused, match="connector ="):
        await BidiproPanel(bus, Options("Charger", "nowhere")).begin()
