"""The house with everything that is wired to it, stepped together. No sockets and no clock here."""

from gateway.simulator.battery_registers import BatteryRegisters
from gateway.simulator.can_mishaps import CanMishaps
from gateway.simulator.charger_registers import ConverterRegisters, PilotRegisters
from gateway.simulator.connection_referee import ConnectionReferee
from gateway.simulator.ev_can import EvCan
from gateway.simulator.ev_can_car import BREEDS, CarNow, Session
from gateway.simulator.frequency_meter import FREQUENCY_PERIOD_S, FrequencyMeter
from gateway.simulator.house import House, Wiring
from gateway.simulator.leaf_on_can import SLOT_S, Inlet, Leaf
from gateway.simulator.load_registers import LoadModule
from gateway.simulator.meter_registers import METER_PERIOD_S, GridMeter, PvMeter
from gateway.simulator.pilot_lines import PilotLines
from gateway.simulator.referee import Referee, Sight
from gateway.simulator.wall_units import WallUnit

PHYSICS_S = 0.02
_SLOTS_PER_PHYSICS = round(PHYSICS_S / SLOT_S)
_SLOTS_PER_MEASUREMENT = round(METER_PERIOD_S / SLOT_S)
_SLOTS_PER_FREQUENCY = round(FREQUENCY_PERIOD_S / SLOT_S)


class WiredHouse:
    """Call ``tick`` every SLOT_S; devices and car see each other with the delays of the real ones.

    With a ``wall`` unit the car hangs on that one, and converter and pilot-line module are out of use.
    """

    def __init__(self, house: House, wiring: Wiring, wall: WallUnit | None = None) -> None:
        self.house = house
        self.wall = wall
        if wall is not None:
            house.charger = wall.charger
        self.pilot = PilotLines()
        self.car = Leaf(house.pack)
        self.ev_can = EvCan()
        self.switched_on = False
        self.away = False
        self.can = CanMishaps()
        self.referee = Referee()
        self.connection = ConnectionReferee()
        self.grid_meter = GridMeter(house)
        self.pv_meter = PvMeter(house)
        self.frequency_meter = FrequencyMeter(house)
        self.battery = BatteryRegisters(house.battery, wiring.battery, house.mains)
        self.load_io = LoadModule(house.mains.loads)
        self.converter = ConverterRegisters(house.converter)
        self.pilot_io = PilotRegisters(self.pilot)
        self.battery.refresh(house)
        self._ticks = 0

    def tick(self) -> tuple[int, bytes] | None:
        """Advance by SLOT_S; return the frame that the car sends now, if any."""
        frame = self.car.step(self._inlet(), SLOT_S)
        self.pilot.permitted = self.car.pose.permits
        if frame is not None:
            self.ev_can.mirror(*frame)
        self.can.step(SLOT_S)
        self._ticks += 1
        if self._ticks % _SLOTS_PER_PHYSICS == 0:
            self._step_physics()
        if self._ticks % _SLOTS_PER_FREQUENCY == 0:
            self.frequency_meter.refresh()
        if self._ticks % _SLOTS_PER_MEASUREMENT == 0:
            self.grid_meter.live = self.house.mains.present
            self.grid_meter.refresh()
            self.pv_meter.refresh()
            self.battery.refresh(self.house)
        return frame

    def hear(self, can_id: int, data: bytes) -> None:
        """Take a frame of the charger; a ZE1 shows it on its own bus."""
        self.car.hear(can_id, data)
        self.ev_can.mirror(can_id, data)

    def ev_tick(self) -> list[tuple[int, bytes]]:
        """Return what goes over the car's own bus in this SLOT_S; called after ``tick``."""
        if self.away:
            self.ev_can.leave()
        car = self._car_now()
        wanted = not self.away and (self.switched_on or car.session is not Session.NONE)
        return self.ev_can.step(car, wanted=wanted)

    def _car_now(self) -> CarNow:
        pack, current_a = self.house.pack, self.house.charger.current_a
        return CarNow(
            breed=BREEDS[self.car.model.name],
            soc_pct=pack.soc_pct,
            stored_wh=pack.stored_wh,
            capacity_wh=pack.capacity_wh,
            voltage_v=pack.terminal_v(current_a),
            current_a=current_a,
            session=self._session(),
            can_discharge=self.wall is not None or self.car.heard.discharge_compatible,
            switched_on=self.switched_on,
        )

    def _session(self) -> Session:
        if self.wall is not None:
            charger = self.wall.charger
            return (
                Session.V2X
                if charger.engaged
                else Session.STARTING
                if charger.session_wanted
                else Session.NONE
            )
        if self.car.contactor_closed:
            return Session.V2X if self.car.heard.discharge_compatible else Session.QUICK
        return Session.STARTING if self.car.pose.talks else Session.NONE

    def _inlet(self) -> Inlet:
        pilot = self.pilot
        plugged = pilot.plugged
        return Inlet(
            plugged=plugged,
            d1=plugged and pilot.d1,
            d2=plugged and pilot.d2,
            current_a=self.house.converter.current_a,
        )

    def _sight(self) -> Sight:
        pilot, car, converter = self.pilot, self.car, self.house.converter
        return Sight(
            plugged=pilot.plugged,
            permitted=car.pose.permits,
            d1=pilot.d1,
            d2=pilot.d2,
            locked=pilot.locked,
            contactor=car.contactor_closed,
            voltage_v=converter.voltage_v,
            current_a=converter.current_a,
            request_a=car.face.request_a,
            discharge_limit_a=car.face.discharge_limit_a,
            insulation_kohm=converter.insulation_kohm,
        )

    def _step_physics(self) -> None:
        house = self.house
        house.emergency_stop = self.pilot.emergency_stop
        house.battery_target_w = self.battery.target_w
        self.battery.step(PHYSICS_S)
        self.pilot.step(PHYSICS_S)
        self.load_io.step(PHYSICS_S)
        linked = self.pilot.plugged and (self.wall is not None or self.car.contactor_closed)
        if self.wall is not None:
            self.wall.step(PHYSICS_S)
        if self.wall is None:
            self.referee.look(self._sight(), PHYSICS_S)
        house.step(house.pack if linked else None, PHYSICS_S)
        self.connection.look(house, PHYSICS_S)
