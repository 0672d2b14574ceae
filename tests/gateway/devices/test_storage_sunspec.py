"""A battery inverter that keeps its promises, and several that do not."""

import asyncio
from time import monotonic

import pytest

from gateway.devices.storage.readings import islanded, islands, ratings, sample_of
from gateway.devices.storage.sunspec import SunSpecStorage
from gateway.faults import ConfigError, FaultCode, Malformed
from gateway.model import (
    DeviceInfo,
    DeviceKind,
    Interval,
    Reason,
    Rung,
    Setpoint,
    StorageState,
)
from tests.gateway.devices.inverter import WSET, Inverter
from tests.gateway.devices.slot import Slot


def setpoint(power_w, expires_at=None):
    return Setpoint(
        "battery", power_w, monotonic() + 10 if expires_at is None else expires_at, Reason(Rung.PLAN, "test")
    )


# ── what it tells ────────────────────────────────────────────────────────────────────────────────────────────────────

INFO = DeviceInfo(
    "battery", DeviceKind.STORAGE, "B", "storage.sunspec", rated=Interval(-5000, 4000), capacity_wh=1e4
)


def test_charging_is_positive_although_the_device_counts_the_other_way():
    ac, pack = {"W": -1200, "InvSt": 3, "TotWhAbs": 70, "TotWhInj": 50}, {"SoC": 55.0, "SoH": 98.0, "Sta": 0}
    got = sample_of(ac, pack, INFO, 7.0, -1000.0)
    assert (got.at, got.power_w, got.applied_w, got.state) == (7.0, 1200, -1000, StorageState.RUNNING)
    assert (got.charged_wh, got.discharged_wh, got.soc_pct, got.soh_pct) == (70, 50, 55, 98)
    assert (got.charge_max_w, got.discharge_max_w, got.capacity_wh) == (4000, 5000, 1e4)


@pytest.mark.parametrize(
    ("soc", "inverter", "pack_state", "expected"),
    [
        (100, 3, 0, (0, 5000, StorageState.RUNNING)),
        (0, 7, 0, (4000, 0, StorageState.STANDBY)),
        (50, 6, 0, (0, 0, StorageState.FAULT)),
        (50, 3, 2, (0, 0, StorageState.FAULT)),
        (50, 0, 0, (4000, 5000, StorageState.OFF)),
        (50, None, None, (4000, 5000, StorageState.STANDBY)),
    ],
)
def test_full_empty_and_faulty_batteries_admit_what_they_can(soc, inverter, pack_state, expected):
    got = sample_of({"W": 0, "InvSt": inverter}, {"SoC": soc, "Sta": pack_state}, INFO, 0.0, None)
    assert (got.charge_max_w, got.discharge_max_w, got.state) == expected


@pytest.mark.parametrize(
    ("ac", "pack"),
    [
        ({"W": None}, {"SoC": 5}),
        ({"W": 0}, {"SoC": None}),
        ({"W": 0}, {"SoC": 101}),
        ({"W": 30_000}, {"SoC": 5}),
    ],
)
def test_what_cannot_be_true_is_malformed(ac, pack):
    with pytest.raises(Malformed):
        sample_of(ac, pack, INFO, 0.0, None)


def test_ratings_prefer_settings_then_nameplate_and_the_owner_narrows():
    told = {
        "WChaRteMax": None,
        "WChaRteMaxRtg": 5000,
        "WDisChaRteMax": 3000,
        "WDisChaRteMaxRtg": 5000,
        "WMax": 0,
    }
    assert ratings(told, None, None) == Interval(-3000, 5000)
    assert ratings(told, 2000, 9000) == Interval(-3000, 2000)
    assert ratings({"WMax": 0}, 2000, None) == Interval(0, 2000)


# ── on the wire ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
async def inverter():
    async with Inverter() as inverter:
        yield inverter


@pytest.fixture
def slot():
    return Slot()


def battery_on(inverter, **table):
    table = {"name": "Battery", "host": "127.0.0.1", "port": inverter.port, "poll_s": 0.05} | table
    return SunSpecStorage.from_table("battery", "storage.sunspec", table)


class Running:
    """A battery's driver that runs while the test looks."""

    def __init__(self, battery, slot):
        self.battery, self.slot = battery, slot

    async def __aenter__(self):
        self._tasks = asyncio.TaskGroup()
        await self._tasks.__aenter__()
        self.task = self._tasks.create_task(self.battery.run(self.slot))
        return self.battery

    async def __aexit__(self, *exc):
        self.task.cancel()
        await self._tasks.__aexit__(*exc)


async def test_identity_ratings_and_samples_are_published_and_nothing_is_written(inverter, slot):
    async with Running(battery_on(inverter, phases=[2]), slot):
        await slot.until(lambda: len(slot.samples) >= 3)
    info = slot.infos[0]
    assert (info.maker, info.serial, info.phases) == ("Maker", "SN-1", (2,))
    assert (info.rated, info.capacity_wh) == (Interval(-5000, 5000), 10_000)
    assert slot.samples[0].soc_pct == 55
    assert slot.samples[0].applied_w is None
    assert slot.faults == {}
    assert inverter.written == []


async def test_an_order_is_a_lease_in_the_device_s_own_sign(inverter, slot):
    async with Running(battery_on(inverter, lease_s=20), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].power_w == -3000)
        assert slot.samples[-1].applied_w == -3000
        assert inverter.point(24, 2) == 3000
        assert [inverter.point(o) for o in (22, 23, 30)] == [1, 1, 0]
        assert (inverter.point(26, 2), inverter.point(31, 2)) == (0, 20)
        battery.apply(setpoint(1500))
        await slot.until(lambda: slot.samples[-1].power_w == 1500)
    assert slot.raised == []


async def test_the_timer_is_tried_at_zero_before_the_first_order(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == -3000)
    first = next(i for i, w in enumerate(inverter.orders) if w)
    trial = inverter.written[: first - 1]
    assert (WSET + 30, (0, 0, 1)) in trial
    assert battery.card.discharging_at_most_s == 32


async def test_a_battery_whose_timer_does_nothing_is_charged_but_never_discharged(slot, monkeypatch):
    monkeypatch.setattr("gateway.devices.storage.wset.PROOF_PATIENCE_S", -1.5)
    async with Inverter(reverts=False) as inverter, Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 0)
        battery.apply(setpoint(2000))
        await slot.until(lambda: slot.samples[-1].power_w == 2000)
    assert FaultCode.FAIL_SAFE_UNPROVEN in slot.faults
    assert battery.card.discharging_at_most_s is None
    assert min(inverter.orders) == 0


@pytest.mark.parametrize("defect", ["stands still", "forgets its time"])
async def test_a_timer_that_stops_working_after_its_trial_ends_the_discharge(slot, defect, monkeypatch):
    monkeypatch.setattr("gateway.devices.storage.wset.COUNT_SLACK_S", 0.5)
    async with Inverter(haste=1.0) as inverter, Running(battery_on(inverter, lease_s=3), slot) as battery:
        battery.apply(setpoint(-3000, monotonic() + 60))
        await slot.until(lambda: slot.samples and slot.samples[-1].power_w == -3000)
        assert slot.faults == {}
        monkeypatch.setattr("gateway.devices.storage.wset.PROOF_PATIENCE_S", 0.2)
        inverter.reverts = False
        if defect == "stands still":
            inverter.counts = False
        else:
            inverter.ignored = {WSET + 31, WSET + 32}
            inverter.holding[WSET + 32] = 0
        await slot.until(lambda: FaultCode.FAIL_SAFE_UNPROVEN in slot.faults)
        await slot.until(lambda: slot.samples[-1].power_w == 0)
        assert battery.card.discharging_at_most_s is None
        battery.apply(setpoint(2000, monotonic() + 60))
        await slot.until(lambda: slot.samples[-1].power_w == 2000)
        assert FaultCode.DEVICE_REFUSED not in slot.faults


async def test_a_battery_that_refuses_0_w_is_handed_back_all_the_same(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000, monotonic() + 60))
        await slot.until(lambda: slot.samples and slot.samples[-1].power_w == -3000)
        inverter.refuses_power = True
        await battery.release()
        assert inverter.point(22) == 0


async def test_a_battery_that_is_known_not_to_revert_is_not_even_tried(inverter, slot):
    battery = battery_on(inverter, revert_proven=False)
    assert battery.card.discharging_at_most_s is None
    async with Running(battery, slot):
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 0)
    assert FaultCode.FAIL_SAFE_UNPROVEN in slot.faults
    assert set(inverter.orders) == {0}


async def test_the_same_setpoint_again_is_not_written_again(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(1000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 1000)
        before = len(inverter.written)
        for _ in range(20):
            battery.apply(setpoint(1000))
            await asyncio.sleep(0)
        seen = len(slot.samples)
        await slot.until(lambda: len(slot.samples) >= seen + 2)
        assert len(inverter.written) == before


async def test_of_many_setpoints_at_once_only_the_newest_is_written(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(1000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 1000)
        for power_w in range(1100, 2100, 100):
            battery.apply(setpoint(power_w))
        await slot.until(lambda: slot.samples[-1].applied_w == 2000)
    assert not set(inverter.orders) & set(range(1100, 2000))


async def test_an_order_is_renewed_before_its_lease_is_half_over(slot):
    async with Inverter(haste=1.0) as inverter:
        battery = battery_on(inverter, lease_s=3)
        battery._tried = ("SN-1", "")
        async with Running(battery, slot):
            battery.apply(setpoint(1000))
            await slot.until(lambda: inverter.written.count((WSET + 30, (0, 0, 3))) >= 2)
            assert inverter.power_w == 1000


async def test_an_expired_setpoint_ends_at_zero_and_hands_the_battery_back(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(1000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 1000)
        battery.apply(setpoint(1000, monotonic() + 0.1))
        await slot.until(lambda: slot.samples[-1].applied_w is None)
        assert inverter.written[-2:] == [(WSET + 23, (1, 0, 0, 0, 0)), (WSET + 22, (0,))]


async def test_more_than_the_rating_is_never_ordered(inverter, slot):
    async with Running(battery_on(inverter, max_discharge_w=2500), slot) as battery:
        battery.apply(setpoint(-9000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == -2500)
    assert min(inverter.orders) == -2500


async def test_an_order_of_a_dead_predecessor_is_ended_before_anything_else(inverter, slot):
    inverter.holding |= {WSET + 22: 1, WSET + 23: 1, WSET + 25: 4000}
    assert inverter.power_w == -4000
    async with Running(battery_on(inverter), slot):
        await slot.until(lambda: slot.infos)
        assert inverter.point(22) == 0
        assert inverter.power_w == 0
    assert inverter.written == [(WSET + 23, (1, 0, 0, 0, 0)), (WSET + 22, (0,))]


async def test_an_inverter_that_carries_the_house_is_ordered_nothing_until_the_grid_is_back(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == -3000)
        inverter.carry(alone=True)
        await slot.until(lambda: slot.samples[-1].islanded)
        written = list(inverter.written)
        for power_w in (0, 500):
            battery.apply(setpoint(power_w))
            seen = len(slot.samples)
            await slot.until(lambda: len(slot.samples) >= seen + 3)  # noqa: B023 - awaited at once
        assert inverter.written == written
        assert slot.samples[-1].applied_w is None
        inverter.carry(alone=False)
        await slot.until(lambda: slot.samples[-1].applied_w == 500)


async def test_a_driver_that_starts_in_an_outage_neither_ends_nor_tries_anything_before_the_grid_is_back(
    inverter, slot
):
    inverter.holding |= {WSET + 22: 1, WSET + 23: 1, WSET + 25: 4000}
    inverter.carry(alone=True)
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(0))
        await slot.until(lambda: len(slot.samples) >= 3)
        await battery.release()
    assert inverter.written == []


async def test_an_order_that_outlived_the_outage_is_ended_when_the_grid_is_back(inverter, slot):
    inverter.holding |= {WSET + 22: 1, WSET + 23: 1, WSET + 25: 4000}
    inverter.carry(alone=True)
    async with Running(battery_on(inverter), slot):
        await slot.until(lambda: slot.samples)
        inverter.carry(alone=False)
        await slot.until(lambda: inverter.point(22) == 0)


async def test_release_ends_the_order_and_ignores_what_comes_later(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == -3000)
        await battery.release()
        assert (inverter.power_w, inverter.point(22)) == (0, 0)
        battery.apply(setpoint(-3000))
        seen = len(slot.samples)
        await slot.until(lambda: len(slot.samples) >= seen + 2)
        assert inverter.point(22) == 0


async def test_cancellation_ends_the_order(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(-3000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == -3000)
    assert (inverter.power_w, inverter.point(22)) == (0, 0)


async def test_release_of_a_battery_that_was_never_reached_returns(inverter):
    await battery_on(inverter).release()


async def test_an_order_that_is_acknowledged_and_ignored_is_refused_and_tried_again(
    inverter, slot, monkeypatch
):
    monkeypatch.setattr("gateway.devices.storage.sunspec.REFUSED_PAUSE_S", 0.05)
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(1000))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 1000)
        inverter.ignored = {WSET + 24, WSET + 25}
        battery.apply(setpoint(2000))
        await slot.until(lambda: FaultCode.DEVICE_REFUSED in slot.faults)
        await slot.until(lambda: slot.samples[-1].applied_w is None)
        inverter.ignored = set()
        await slot.until(lambda: slot.samples[-1].applied_w == 2000 and not slot.faults)


async def test_a_faulty_inverter_is_told_with_its_alarms(inverter, slot):
    inverter.holding |= {40103 + 4: 6, 40103 + 7: 0x21}
    async with Running(battery_on(inverter), slot):
        await slot.until(lambda: "0x00000021" in slot.faults.get(FaultCode.DEVICE_FAULT, ""))
        inverter.holding |= {40103 + 4: 3}
        await slot.until(lambda: not slot.faults)


async def test_a_battery_without_state_of_charge_publishes_nothing(inverter, slot):
    at = next(a for a, w in inverter.holding.items() if w == 713)
    inverter.holding[at + 4] = 0xFFFF
    async with Running(battery_on(inverter), slot):
        await slot.until(lambda: FaultCode.IMPLAUSIBLE_READING in slot.faults)
    assert slot.samples == []


@pytest.mark.parametrize("lie", [0, 1, 99])
async def test_a_state_of_charge_that_leaps_is_held_and_told(inverter, slot, lie, monkeypatch):
    monkeypatch.setattr("gateway.devices.storage.sunspec.PACK_POLL_S", 0.0)
    async with Running(battery_on(inverter), slot):
        await slot.until(lambda: slot.samples)
        soc = next(a for a in inverter.holding if a > WSET + 66 and inverter.holding[a] == 55)
        inverter.holding[soc] = lie
        await slot.until(lambda: FaultCode.IMPLAUSIBLE_READING in slot.faults)
        assert f"{lie} %, 55 % is held" in slot.faults[FaultCode.IMPLAUSIBLE_READING]
        count = len(slot.samples)
        await slot.until(lambda: len(slot.samples) > count + 2)
        assert {s.soc_pct for s in slot.samples} == {55}
        inverter.holding[soc] = 55
        await slot.until(lambda: not slot.faults)


async def test_a_battery_that_does_something_else_is_told(inverter, slot, monkeypatch):
    monkeypatch.setattr("gateway.devices.following.FOLLOW_WITHIN_S", 0.2)
    inverter.follows = False
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(3000))
        await slot.until(lambda: FaultCode.SETPOINT_NOT_FOLLOWED in slot.faults)
        assert "3000 W" in slot.faults[FaultCode.SETPOINT_NOT_FOLLOWED]


async def test_a_battery_that_comes_back_is_ordered_anew(inverter, slot):
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(1000, monotonic() + 60))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 1000)
        port = inverter.port
        await inverter.vanish()
        await slot.until(lambda: FaultCode.DEVICE_UNREACHABLE in slot.faults)
        inverter.holding[WSET + 22] = 0
        await inverter.listen(port)
        await slot.until(lambda: not slot.faults and inverter.power_w == 1000)


@pytest.mark.parametrize(
    "change",
    [
        {"lease_s": 31},
        {"lease_s": 1},
        {"lease": 3},
        {"max_charge_w": -1},
        {"phases": [0]},
        {"capacity_wh": "10k"},
    ],
)
def test_an_impossible_table_is_refused(change):
    table = {"name": "Battery", "host": "10.0.0.1"} | change
    with pytest.raises(ConfigError, match=r"^devices\.battery\.[a-z_]+: "):
        SunSpecStorage.from_table("battery", "storage.sunspec", table)


@pytest.mark.parametrize("spoil", [{WSET + 55: 0x8000}, {WSET + 1: 10, WSET + 12: 713, WSET + 13: 53}])
async def test_a_battery_with_an_unusable_704_is_a_fault_and_never_an_end(inverter, slot, spoil):
    inverter.holding |= spoil
    battery = battery_on(inverter)
    async with Running(battery, slot) as battery:
        battery.apply(setpoint(1000, monotonic() + 60))
        await slot.until(lambda: slot.faults)
    assert inverter.power_w == 0


async def test_a_battery_that_works_while_it_should_rest_is_told(inverter, slot, monkeypatch):
    monkeypatch.setattr("gateway.devices.following.FOLLOW_WITHIN_S", 0.2)
    async with Running(battery_on(inverter), slot) as battery:
        battery.apply(setpoint(0))
        await slot.until(lambda: slot.samples and slot.samples[-1].applied_w == 0)
        inverter.holding[40103 + 10] = 800
        await slot.until(lambda: FaultCode.SETPOINT_NOT_FOLLOWED in slot.faults)


@pytest.mark.parametrize(
    ("connected", "mode", "expected"),
    [
        (1, 1, False),
        (1, 2, False),
        (0, 2, True),
        (None, 2, True),
        (0, 1, None),
        (0, 0, None),
        (None, None, None),
    ],
)
def test_it_carries_the_house_when_it_forms_a_grid_off_the_grid(connected, mode, expected):
    assert islanded({"ConnSt": connected, "DERMode": mode}) is expected


@pytest.mark.parametrize(
    ("told", "expected"), [(None, False), (0b0001, False), (0b0010, True), (0b0100, True)]
)
def test_it_says_itself_whether_it_can_carry_a_house(told, expected):
    assert islands({"IntIslandCatRtg": told}) is expected
