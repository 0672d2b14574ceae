"""Our ears against the simulated car, which was written from the reference by somebody else."""

import pytest

from gateway.devices.leaf.polling import PACE_S
from gateway.devices.leaf.uds import QUERIES
from gateway.devices.leaf.vehicle import BEAT_S, Leaf, Options
from gateway.model import Charging
from gateway.simulator.ev_can import SLOT_S, EvCan
from gateway.simulator.ev_can_car import BREEDS, CarNow, Generation, Session
from tests.gateway.devices.leaf.wire import Wire
from tests.gateway.devices.slot import Slot

SOC_PCT, SOH_PCT = 60.0, 91.0


def car_of(name, **more):
    breed = BREEDS[name]
    full_wh = breed.most_gids * 80 * SOH_PCT / 100
    known = {
        "stored_wh": full_wh * SOC_PCT / 100,
        "capacity_wh": full_wh,
        "voltage_v": 376.0,
        "current_a": -4.0,
    }
    return CarNow(**{"breed": breed, "soc_pct": SOC_PCT, "soh_pct": SOH_PCT} | known | more)


class Drive:
    """The driver on the simulated car's bus."""

    def __init__(self):
        self.bus, self.wire, self.slot = EvCan(), Wire(listen_only=False), Slot()
        options = Options("Leaf", "virtual", "none", polls=True)
        self.leaf = Leaf("leaf", "vehicle.leaf", options, bus=self.wire, clock=lambda: self.wire.now)

    def after(self, seconds, car, *, wanted=True):
        sent = len(self.wire.sent)
        for slot in range(round(seconds / SLOT_S)):
            for frame in self.bus.step(car, wanted=wanted):
                self.leaf.hear(*frame)
            if slot % round(BEAT_S / SLOT_S) == 0:
                self.leaf.beat(self.slot)
            for _, can_id, data in self.wire.sent[sent:]:
                self.bus.hear(can_id, data)
            sent = len(self.wire.sent)
            self.wire.now = round(self.wire.now + SLOT_S, 2)
        return self.slot.samples[-1]


@pytest.fixture(params=BREEDS)
def name(request):
    return request.param


def test_every_simulated_car_is_understood_and_answers(name):
    car = car_of(name)
    drive = Drive()
    drive.after(2, car)
    traffic = drive.leaf._traffic
    rejected_while_waking = traffic.rejected
    for _ in QUERIES:
        drive.after(1.2, car)
        drive.wire.now += PACE_S
    sample = drive.after(3, car)
    assert (traffic.rejected, traffic.frozen) == (rejected_while_waking, 0)
    assert sample.generation == car.breed.generation
    assert (sample.voltage_v, sample.current_a) == (376.0, -4.0)
    assert sample.lbc_soc_pct == pytest.approx(car.lbc_soc_pct, abs=0.1)
    told = car.breed.generation is not Generation.ZE0
    assert sample.dash_soc_pct == (pytest.approx(SOC_PCT, abs=1) if told else None)
    assert sample.energy_wh == pytest.approx(car.stored_wh, abs=80)
    assert sample.capacity_wh == pytest.approx(car.capacity_wh, rel=0.1)
    assert (sample.soh_pct, sample.parked, sample.awake) == (SOH_PCT, True, True)
    assert sample.temperature_c == pytest.approx(car.temperature_c, abs=2)
    assert sample.outside_c == pytest.approx(car.outside_c, abs=0.5)
    assert sample.capacity_ah == pytest.approx(car.capacity_ah, abs=0.01)
    assert sample.hx_pct == pytest.approx(car.hx_pct, abs=0.1)
    assert (sample.quick_charges, sample.ac_charges) == (car.quick_charges, car.ac_charges)
    assert sample.cell_min_v < 376 / 96 < sample.cell_max_v
    assert sample.pack_serial
    assert drive.slot.infos[-1].capacity_wh == pytest.approx(car.breed.new_ah / 66 * 24_000, rel=0.06)


@pytest.mark.parametrize(
    ("session", "charging"), [(Session.QUICK, Charging.QUICK), (Session.V2X, Charging.V2X)]
)
def test_every_simulated_session_is_seen(name, session, charging):
    car = car_of(name, session=session, can_discharge=session is Session.V2X, current_a=20.0)
    sample = Drive().after(3, car)
    assert (sample.charging, sample.plugged, sample.current_a) == (charging, True, 20.0)


def test_a_simulated_car_falls_asleep_though_it_was_asked():
    drive, car = Drive(), car_of("aze0-30")
    drive.after(22, car)
    assert drive.after(12, car, wanted=False).awake is False
    sent = len(drive.wire.sent)
    assert sent > 2
    drive.after(60, car, wanted=False)
    assert len(drive.wire.sent) == sent
    assert drive.after(5, car).wakes_today == 1
