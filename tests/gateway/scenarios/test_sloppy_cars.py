"""Leafs of every generation, cars with bad manners and bad wires, at the real driver; the referee is in the simulator."""

import asyncio

import pytest

from gateway.faults import FaultCode
from gateway.model import EvseState
from tests.gateway.scenarios.garage import Garage, each_garage

pytestmark = pytest.mark.slow


def by_the_book(*generations: str) -> dict[str, tuple[str, ...]]:
    return {car: ("--car", car) for car in generations}


def sloppy(*manners: str) -> dict[str, tuple[str, ...]]:
    return {manner: ("--sloppy", manner) for manner in manners}


async def served_both_ways(garage: Garage) -> None:
    await garage.ready(60)
    await garage.move(2000)
    await garage.move(-2000)
    await garage.stop()
    assert await garage.violations() == {}
    assert garage.slot.faults == {}


async def test_each_generation_that_can_is_charged_and_discharged(tmp_path):
    async def story(garage: Garage) -> None:
        await served_both_ways(garage)
        known = [sample.vehicle for sample in garage.slot.samples if sample.vehicle]
        assert {vehicle.discharge_compatible for vehicle in known} == {True}
        assert {round(vehicle.soc_pct) for vehicle in known} == {62}

    cars = by_the_book("aze0-24", "aze0-30", "env200-40", "ze1-40", "ze1-62")
    await each_garage(tmp_path, cars, story)


async def test_the_first_generation_is_charged_and_never_discharged(tmp_path):
    async def story(garage: Garage) -> None:
        await garage.ready()
        assert garage.last.discharge_max_w == 0.0
        await garage.move(4000)
        garage.power_w = -4000.0
        await garage.at_rest()
        await garage.ended_by("pause_impossible")
        assert (await garage.truth())["car"]["faults"] == 0
        garage.owner_asked = True
        await garage.ready()
        await garage.move(2000)
        await garage.stop()
        assert await garage.violations() == {}
        assert garage.slot.faults == {}

    await each_garage(tmp_path, by_the_book("ze0-24"), story)


async def test_a_car_at_either_end_of_its_window_is_used_one_way_only(tmp_path):
    async def nothing_flows(garage: Garage, power_w: float) -> None:
        garage.power_w = power_w
        await garage.really(lambda t: abs(t["car"]["current_a"]) < 0.5, 10, "nothing flows")

    async def story(garage: Garage) -> None:
        await garage.ready()
        await garage.ask("set_soc", car=high_pct[garage.name])
        await garage.move(-2000)
        await nothing_flows(garage, 2000.0)
        await garage.ask("set_soc", car=low_pct[garage.name] - 0.1)
        await garage.move(2000)
        await nothing_flows(garage, -2000.0)
        await garage.stop()
        assert await garage.violations() == {}
        assert garage.slot.faults == {}

    high_pct = {"aze0-24": 80.0, "ze1-40": 100.0}
    low_pct = {"aze0-24": 30.0, "ze1-40": 10.0}
    await each_garage(tmp_path, by_the_book(*high_pct), story)


async def test_bad_manners_do_not_keep_a_car_from_being_served(tmp_path):
    manners = ("slow_frames", "half_filled", "early_request", "silent_once_open", "refusals=2")
    await each_garage(tmp_path, sloppy(*manners), served_both_ways)


NOT_SERVED = {
    "never_permits": ("no_permission",),
    "never_closes": ("no_contactor", FaultCode.VEHICLE_FAULT),
    "never_requests": ("no_request", FaultCode.VEHICLE_FAULT),
    "needs_700_v": ("incompatible", FaultCode.VEHICLE_INCOMPATIBLE),
}


async def test_a_car_that_cannot_be_served_is_left_in_order_and_the_reason_is_told(tmp_path):
    async def story(garage: Garage) -> None:
        cause, *faults = NOT_SERVED[garage.name]
        await garage.ended_by(cause, 60)
        await garage.at_rest()
        await garage.raised(*faults)
        assert await garage.violations() == {}

    await each_garage(tmp_path, sloppy(*NOT_SERVED), story)


async def a_fault_is_kept_under_permission(garage: Garage) -> None:
    await garage.ask("car_sloppy", clings_to_permission=True)
    await garage.ask("car_fault", bits=1)
    await garage.at_rest()
    await garage.raised(FaultCode.VEHICLE_FAULT)


async def the_car_leaves_a_discharge_without_charging_current(garage: Garage) -> None:
    await garage.ask("car_sloppy", uncharged_patience_s=2.0)
    await garage.at_rest()
    await garage.ended_by("vehicle_stop")


async def the_bus_is_off(garage: Garage) -> None:
    await garage.ask("can_bus_off", seconds=3.0)
    await garage.at_rest()


async def the_contactor_welds_at_its_opening(garage: Garage) -> None:
    await garage.ask("car_weld")
    garage.engage = False
    await garage.until(lambda s: s.state is EvseState.FAULT, 20, "welded")
    await garage.raised(FaultCode.CONTACTOR_WELDED)
    truth = await garage.truth()
    assert truth["pilot"] | {"k": False} == {"d1": False, "d2": False, "k": False, "lock": True}


async def the_insulation_is_lost(garage: Garage) -> None:
    await garage.ask("insulation", kohm=20)
    await garage.at_rest()
    await garage.raised(FaultCode.INSULATION)


MISHAPS = {
    mishap.__name__: mishap
    for mishap in (
        a_fault_is_kept_under_permission,
        the_car_leaves_a_discharge_without_charging_current,
        the_bus_is_off,
        the_contactor_welds_at_its_opening,
        the_insulation_is_lost,
    )
}


async def test_what_goes_wrong_under_current_ends_without_harm(tmp_path):
    async def story(garage: Garage) -> None:
        await garage.ready()
        await garage.move(-4000)
        await MISHAPS[garage.name](garage)
        assert await garage.violations() == {}

    await each_garage(tmp_path, dict.fromkeys(MISHAPS, ()), story)


NOISES = {
    "1 % lost": {"loss": 0.01},
    "10 % lost": {"loss": 0.1},
    "20 % twice": {"doubling": 0.2},
    "20 % late": {"reordering": 0.2},
}


async def test_a_session_begins_goes_on_and_ends_on_a_bad_wire(tmp_path):
    async def story(garage: Garage) -> None:
        await garage.ask("can_noise", **NOISES[garage.name])
        await garage.ready()
        for power_w in (3000, -3000, 2000, -2000):
            await garage.move(power_w)
            await asyncio.sleep(2)
        await garage.stop()
        assert await garage.violations() == {}
        assert garage.slot.raised == []

    await each_garage(tmp_path, dict.fromkeys(NOISES, ()), story)


OUTAGES = {
    "garbled lines": ("can_noise", {"garbling": 0.05}, ("can_noise", {})),
    "bus off": ("can_bus_off", {"seconds": 3.0}, ("can_bus_off", {"seconds": 0.0})),
    "adapter pulled": ("can_pulled", {"on": True}, ("can_pulled", {"on": False})),
}


async def test_an_outage_of_the_wire_ends_without_harm_and_is_forgotten(tmp_path):
    async def story(garage: Garage) -> None:
        do, details, (undo, back) = OUTAGES[garage.name]
        await garage.ready()
        await garage.move(-3000)
        await garage.ask(do, **details)
        await asyncio.sleep(4)
        await garage.ask(undo, **back)
        await garage.ready(60)
        await garage.move(-3000)
        assert "vehicle_silent" not in {sample.stop_cause for sample in garage.slot.samples}
        await garage.stop()
        assert await garage.violations() == {}
        assert garage.slot.faults == {}

    await each_garage(tmp_path, dict.fromkeys(OUTAGES, ()), story)
