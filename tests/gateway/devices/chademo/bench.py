"""A charger and a car on paper: virtual time, ideal wires, every misbehaviour a switch."""

from copy import replace
from dataclasses import dataclass, field
from random import Random

from gateway.devices.chademo.car import Car
from gateway.devices.chademo.frames import (
    CarDischarge,
    CarFault,
    CarFrame,
    CarFunctions,
    CarLimits,
    CarRequest,
    CarStatus,
    CarTimes,
    EvseCapability,
    EvseDischarge,
    EvseState,
    EvseStatus,
    Function,
)
from gateway.devices.chademo.moment import RESTING, Charger, Inputs, Mode, Output, PilotLines, Progress, State
from gateway.devices.chademo.orders import Orders, orders
from gateway.devices.chademo.session import step

BATTERY_V = 375.0
STEP_S = 0.05
NO_FAULT, NO_STATUS = CarFault(0), CarStatus(0)


@dataclass
class PaperCar:
    """A 24 kWh car with V2H, as in log A. The switches make it misbehave."""

    contactor: bool = False
    permits: bool = False
    enabled: bool = False
    current_a: int = 0
    discharge_a: int = 0
    faults: CarFault = NO_FAULT
    extra: CarStatus = NO_STATUS
    silent: bool = False
    forgets: type[CarFrame] | None = None
    never_permits: bool = False
    never_closes: bool = False
    never_requests: bool = False
    never_opens: bool = False
    opens_under_current: bool = False
    wants_stop: bool = False
    clings: bool = False
    max_charge_a: int = 60
    ignores_offer: bool = False
    target_v: int = 410
    minutes: int = 60
    discharge_compatible: bool = True
    protocol: int = 2
    min_current_a: int = 0
    dynamic: bool = True
    refusals: int = 0
    asks_early: bool = False
    sends_110: bool = False
    slow: bool = False
    doubled: bool = False
    reversed: bool = False
    loss: float = 0.0
    chance: Random = field(default_factory=lambda: Random(1))
    charged: bool = False
    awake_s: float = 0.0
    said: int = 0
    closed_s: float = 0.0
    stop_s: float = 0.0
    d2_s: float = 0.0

    def live(self, told: Orders, current_a: float) -> None:
        if not told.coils.d1 and self.awake_s > 3.0:
            self.refusals = max(0, self.refusals - 1)
        self.awake_s = self.awake_s + STEP_S if told.coils.d1 else 0.0
        self.d2_s = self.d2_s + STEP_S if told.coils.d2 else 0.0
        state = next((f for f in told.frames if isinstance(f, EvseState)), None)
        offer = next((f for f in told.frames if isinstance(f, EvseCapability)), None)
        back = next((f for f in told.frames if isinstance(f, EvseDischarge)), None)
        self.charged |= state is not None and EvseStatus.CHARGING in state.status
        told_to_stop = self.charged and state is not None and EvseStatus.STOP in state.status
        self.charged = self.charged and told.coils.d1
        refuses = self.refusals > 0 and self.awake_s > 3.0
        ending = self.wants_stop or told_to_stop or refuses or not told.coils.d1
        if self.awake_s > 3.0 and not self.never_permits and not ending and not self.closed_s:
            self.permits = self.enabled = True
        if ending and not (self.clings and abs(current_a) > 1):
            self.permits = self.enabled = False
        self.stop_s = self.stop_s + STEP_S if ending and abs(current_a) < 5 else 0.0
        if self.d2_s > 1.0 and not self.never_closes and not ending:
            self.contactor = True
        if not self.never_opens and (not told.coils.d2 or self.stop_s > 1.0):
            self.contactor = False
        self.closed_s = self.closed_s + STEP_S if self.contactor else 0.0
        asks = (self.closed_s > 1.7 or (self.asks_early and self.permits)) and not ending
        asks = asks and not self.never_requests
        offered_a = 255 if self.ignores_offer else int(offer.current_a) if offer else 0
        self.current_a = min(self.current_a + 1, self.max_charge_a, offered_a) if asks else 0
        most = int(back.max_current_a) if back and self.discharge_compatible else 0
        self.discharge_a = min(self.discharge_a + 1, most) if asks else 0

    def status(self) -> CarStatus:
        status = self.extra | (CarStatus.DYNAMIC_CONTROL if self.dynamic else CarStatus(0))
        if self.refusals and self.awake_s > 3.0:
            status |= CarStatus.STOP_BEFORE_CHARGING
        if self.protocol < 2 or self.awake_s < 0.4:
            return status | (CarStatus.ENABLED if self.enabled else CarStatus(0))
        status |= CarStatus.DISCHARGE_COMPATIBLE if self.discharge_compatible else CarStatus(0)
        status |= CarStatus.ENABLED if self.enabled else CarStatus(0)
        closed = self.contactor and not self.opens_under_current
        return status if closed else status | CarStatus.CONTACTOR_OPEN

    def say(self, car: Car, now: float) -> Car:
        if self.silent or self.awake_s < 0.2:
            return car
        if self.awake_s < 0.4:  # a half-filled first set
            frames: list[CarFrame] = [CarLimits(0, 0, 0, 0, 0xF0), CarTimes(0, 0, 0), self._request(3)]
        else:
            frames = self._settled()
        if self.slow:
            self.said += 1
            frames = [frames[self.said // 2 % len(frames)]] if self.said % 2 else []
        if self.reversed:
            frames = frames[::-1]
        for frame in frames * (2 if self.doubled else 1):
            if self.forgets is not None and isinstance(frame, self.forgets):
                continue
            if self.chance.random() >= self.loss:
                car = car.heard(frame, now)
        return car

    def _request(self, soc: int) -> CarRequest:
        return CarRequest(self.protocol, self.target_v, self.current_a, self.faults, self.status(), soc)

    def _settled(self) -> list[CarFrame]:
        frames: list[CarFrame] = [
            CarLimits(self.min_current_a, 0, 0, 435, 100),
            CarTimes(self.minutes * 60, 0, 22200),
            self._request(1 if self.awake_s < 2 else 73),
        ]
        if self.sends_110:
            frames.append(CarFunctions(Function.DYNAMIC_CONTROL))
        return [*frames, CarDischarge(self.discharge_a, 250, 0x43, 0xB2)] if self.protocol >= 2 else frames


@dataclass
class Bench:
    """Session, converter and connector around a PaperCar."""

    car: PaperCar = field(default_factory=PaperCar)
    charger: Charger = field(default_factory=Charger)
    progress: Progress = field(default_factory=Progress)
    inputs: Inputs = field(default_factory=lambda: Inputs(now=100.0, engage=True))
    inserted: bool = True
    lock_stuck_open: bool = False
    emergency_stop: bool = False
    pilot_answers: bool = True
    converter_answers: bool = True
    converter_fault: int = 0
    converter_stays_off: bool = False
    voltage_held: float | None = None
    current_stuck: bool = False
    insulation_ohm: float = 1e6
    external_v: float = 0.0
    weld: bool = False
    open_circuit_v: float = BATTERY_V
    resistance_ohm: float = 0.0
    voltage_v: float = 0.0
    current_a: float = 0.0
    locked: bool = False
    permits_override: bool | None = None
    history: list[tuple[float, State]] = field(default_factory=list)

    def orders(self) -> Orders:
        return orders(self.progress, self.inputs, self.charger)

    def tick(self) -> None:
        told = self.orders()
        self._physics(told)
        self.car.live(told, self.current_a)
        now = self.inputs.now + STEP_S
        permits = self.car.permits if self.permits_override is None else self.permits_override
        lines = PilotLines(permits, self.inserted, self.locked, self.emergency_stop)
        mode = Mode.OFF if self.converter_stays_off else told.converter.mode
        output = Output(mode, self.voltage_v, self.current_a, self.insulation_ohm, self.converter_fault)
        self.inputs = replace(
            self.inputs,
            now=now,
            car=Car() if self.progress.state in RESTING else self.car.say(self.inputs.car, now),
            pilot=lines if self.pilot_answers else None,
            output=output if self.converter_answers else None,
        )
        before = self.progress
        self.progress = step(before, self.inputs, self.charger)
        if self.progress.state is not before.state:
            self.history.append((now, self.progress.state))
        check_interlocks(before, self.progress, self.inputs, self.charger)

    def _physics(self, told: Orders) -> None:
        connected = self.car.contactor or self.weld
        self.locked = told.coils.lock and not self.lock_stuck_open
        match told.converter.mode:
            case _ if connected:
                self.voltage_v = self.open_circuit_v + self.current_a * self.resistance_ohm
            case _ if self.voltage_held is not None:
                self.voltage_v = self.voltage_held
            case Mode.VOLTAGE:
                self.voltage_v = min(told.converter.voltage_v, self.voltage_v + 50)
            case _:
                self.voltage_v = max(self.external_v, self.voltage_v * 0.6 - 1)
        live = told.converter.mode is Mode.CURRENT and connected
        if not (self.current_stuck and connected):
            self.current_a = told.converter.current_a if live else 0.0

    def run(self, seconds: float) -> Bench:
        for _ in range(round(seconds / STEP_S)):
            self.tick()
        return self

    def sleep(self, seconds: float) -> Bench:
        """Let time pass, in great steps while nothing goes on."""
        ends_at = self.inputs.now + seconds
        while self.inputs.now < ends_at:
            if self.progress.state in RESTING:
                self.see(now=min(self.inputs.now + 20.0, ends_at))
            self.tick()
        return self

    def until(self, *states: State, within: float = 40.0) -> Bench:
        for _ in range(round(within / STEP_S)):
            if self.progress.state in states:
                return self
            self.tick()
        raise AssertionError(f"never reached {states}: {self.history}, {self.progress.cause!r}")

    def want(self, amperes: float) -> Bench:
        self.inputs = replace(self.inputs, wanted_a=amperes)
        return self

    def see(self, **inputs: object) -> Bench:
        self.inputs = replace(self.inputs, **inputs)
        return self

    def release(self) -> Bench:
        self.inputs = replace(self.inputs, engage=False)
        return self

    @property
    def visited(self) -> list[State]:
        return [state for _, state in self.history]

    @property
    def status(self) -> int:
        return next((int(f.status) for f in self.orders().frames if isinstance(f, EvseState)), -1)


def check_interlocks(before: Progress, progress: Progress, inputs: Inputs, charger: Charger) -> None:
    """What must hold for any progress and any inputs."""
    told = orders(progress, inputs, charger)
    permitted = inputs.pilot is not None and inputs.pilot.permitted
    isolated = inputs.output is not None and abs(inputs.output.voltage_v) <= 10
    if told.coils.d2:
        assert progress.insulated
        assert told.coils.lock
        assert told.coils.d1
    if told.converter.current_a:
        assert progress.state is State.ENERGISED
        assert permitted
        assert told.coils.d2
        assert told.converter.current_a <= min(charger.max_charge_a, inputs.car.requested_current_a)
        assert -told.converter.current_a <= min(charger.max_discharge_a, inputs.car.max_discharge_current_a)
    if inputs.pilot is not None and inputs.pilot.locked and not isolated:
        assert told.coils.lock
    if progress.state is State.CLOSING and before.state is not State.CLOSING:
        assert permitted
