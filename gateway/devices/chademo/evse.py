"""The CHAdeMO charger: one session between a car on CAN, a converter and a pilot-line module on Modbus."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Mapping
from copy import replace
from typing import Any

from gateway.config import decode
from gateway.devices import Sink
from gateway.devices.can_bus import CanBus
from gateway.devices.chademo import report
from gateway.devices.chademo.cadence import beats
from gateway.devices.chademo.car import Car
from gateway.devices.chademo.causes import Cause
from gateway.devices.chademo.converter import PROFILES, Converter, Nameplate, Reading
from gateway.devices.chademo.demand import Demand
from gateway.devices.chademo.frames import CAR_IDS, CarRequest, decode_car
from gateway.devices.chademo.limits import DEVICE_SILENT
from gateway.devices.chademo.link import Link
from gateway.devices.chademo.moment import (
    RESTING,
    Charger,
    Inputs,
    Moment,
    PilotLines,
    Progress,
    State,
    leftover,
    restarted,
)
from gateway.devices.chademo.options import (
    CARD,
    CONVERTER_LEASE_S,
    PILOT_WATCHDOG_S,
    ConverterTable,
    ModbusAddress,
    Options,
)
from gateway.devices.chademo.orders import Coils, ConverterOrder, Orders, orders
from gateway.devices.chademo.pilot import PilotModule
from gateway.devices.chademo.session import inspected, step
from gateway.devices.following import Following
from gateway.devices.modbus_bus import ModbusBus, keep_connected
from gateway.faults import FaultCode, Malformed
from gateway.model import (
    DcWindow,
    DeviceId,
    DeviceInfo,
    DeviceKind,
    EvseSample,
    Interval,
    Setpoint,
)

LOGGER = logging.getLogger(__name__)

FRAME_PERIOD_S = 0.1
ANSWER_S, RECONNECT_S = 0.4, 0.2
"""Short enough that one lost answer or one broken connection does not yet end a session."""
RENEW_LEASE_S = CONVERTER_LEASE_S / 4
FEED_WATCHDOG_S = PILOT_WATCHDOG_S / 5
RELEASE_S, LET_GO_S = 4.5, 0.4
DEAD_TIME_S = 0.3
"""From a setpoint to the current: the next status frame, and the converter that this driver commands itself."""


class ChademoEvse:
    """The driver. Only ``_advance`` moves the session; everything else brings events or carries orders out."""

    stop_causes = frozenset(Cause) - {Cause.NONE}

    def __init__(self, device: DeviceId, driver: str, options: Options) -> None:
        self.card = CARD
        self.info = DeviceInfo(
            id=device,
            kind=DeviceKind.EVSE,
            name=options.name,
            driver=driver,
            phases=options.phases,
            rated=Interval(-(options.max_discharge_w or 0.0), options.max_charge_w or 0.0),
            dead_time_s=DEAD_TIME_S,
        )
        self._options = options
        self._charger = Charger()
        converter, pilot = options.converter, options.pilot
        self._can = CanBus(options.can_interface, options.can_channel, ids=CAR_IDS)
        self._converter = Converter(_bus(converter), PROFILES[converter.profile])
        self._pilot = PilotModule(_bus(pilot))
        self._converter_link = Link(
            ConverterOrder(), RENEW_LEASE_S, self._converter.order, self._read_converter
        )
        self._pilot_link = Link(Coils(), FEED_WATCHDOG_S, self._pilot.order, self._read_lines)
        self._sink: Sink | None = None
        self._raised: dict[FaultCode, str] = {}
        self._progress = Progress()
        self._orders: Orders = orders(self._progress, Inputs(0.0), self._charger)
        self._car = Car()
        self._lines: tuple[float, PilotLines] | None = None
        self._reading: tuple[float, Reading] | None = None
        self._plugged: Car | None = None
        self._aux_voltage_v: float | None = None
        self._following, self._ignored = Following(), ""
        self._demand = Demand()

    @classmethod
    def from_table(cls, device: DeviceId, driver: str, table: Mapping[str, Any]) -> ChademoEvse:
        """Build from a table of site.toml. Raises ConfigError."""
        return cls(device, driver, decode(Options, table, f"devices.{device}"))

    @property
    def instant(self) -> tuple[Moment, Orders]:
        """All that is known right now, and what is ordered; for who looks on."""
        return self._moment(), self._orders

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint; it goes out at once where the ramp and the car allow."""
        moves = self._sink is not None and not self._demand.renewed_by(setpoint, _now())
        self._demand = replace(self._demand, setpoint=setpoint)
        if moves:
            self._advance()

    def vehicle_says(self, aux_voltage_v: float | None) -> None:
        """Take the car's 12 V, None while nobody knows it."""
        self._aux_voltage_v = aux_voltage_v

    def acknowledge(self, code: FaultCode) -> str:
        """Release a connector held for a suspected weld, after an inspection; return what refuses, "" when released."""
        if code is not FaultCode.CONTACTOR_WELDED:
            return "only a suspected weld can be lifted by an inspection"
        self._progress, refusal = inspected(self._moment())
        LOGGER.warning("%s: inspected: %s", self.info.id, refusal or "the connector is released")
        self._advance()
        return refusal

    async def release(self) -> None:
        """End the session in its proper order, within 5 s; later setpoints are ignored."""
        self._demand = replace(self._demand, released=True)
        try:
            async with asyncio.timeout(RELEASE_S):
                while self._sink is not None and not self._at_rest():  # noqa: ASYNC110 - three tasks decide
                    await asyncio.sleep(FRAME_PERIOD_S / 2)
        except TimeoutError:
            LOGGER.warning("%s: still %s after %g s", self.info.id, self._progress.state, RELEASE_S)
            await self._let_go()

    async def _let_go(self) -> None:
        """Leave no d2 behind: the current has ended, only the car's word that its contactor is open has not come."""
        if self._sink is None or self._progress.state is not State.OPENING:
            return
        self._progress = replace(self._progress, state=State.ISOLATING, since=_now())
        self._advance()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LET_GO_S):
                while not self._pilot_link.carried_out:  # noqa: ASYNC110 - the link's task decides
                    await asyncio.sleep(FRAME_PERIOD_S / 2)

    async def run(self, sink: Sink) -> None:
        """Hold bus and both Modbus devices until cancelled; then end the session in its proper order before leaving."""
        self._sink = sink
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._can.run(self._hear))
                tasks.create_task(self._beat())
                tasks.create_task(
                    self._hold(self._converter.bus, self._converter_link, self._begin_converter)
                )
                tasks.create_task(self._hold(self._pilot.bus, self._pilot_link, self._begin_pilot))
                try:
                    await asyncio.Event().wait()
                finally:
                    if not self._demand.released:
                        await self.release()
        finally:
            self._sink = None

    def _at_rest(self) -> bool:
        links = (self._converter_link, self._pilot_link)
        return self._progress.state in RESTING and all(link.carried_out or link.problem for link in links)

    async def _beat(self) -> None:
        """Keep the frames going, apart from everything else that happens."""
        async for _ in beats(FRAME_PERIOD_S):
            self._advance()
            frames = [(frame.CAN_ID, frame.encode()) for frame in self._orders.frames]
            self._can.publish(frames, FRAME_PERIOD_S)

    def _hear(self, can_id: int, data: bytes) -> None:
        """Take a frame from the car."""
        if self._progress.state in RESTING:
            return
        try:
            frame = decode_car(can_id, data)
        except Malformed as error:
            LOGGER.debug("%s: %s", self.info.id, error)
            return
        if frame is not None:
            self._car = self._car.heard(frame, _now())
        if isinstance(frame, CarRequest):
            self._advance()

    async def _hold[Order](
        self, bus: ModbusBus, link: Link[Order], begin: Callable[[], Awaitable[None]]
    ) -> None:
        await keep_connected(bus, link, begin, link.serve, first_pause_s=RECONNECT_S)

    async def _begin_converter(self) -> None:
        """End what a dead predecessor ordered before anything else; then learn what the converter is.

        One that has lost its lease under a session has started anew, and must not be thrown back to full current.
        """
        if self._under_way and await self._converter.lease_s() != CONVERTER_LEASE_S:
            self._abort(Cause.CONVERTER_LOST, d2=True)
        nameplate = await self._converter.begin(self._orders.converter, CONVERTER_LEASE_S)
        self._fit(nameplate)

    async def _begin_pilot(self) -> None:
        """Where coils were left on, let the session begin with ending that; where they fell off under one, end it."""
        found = await self._pilot.begin(PILOT_WATCHDOG_S)
        ordered = self._orders.coils
        if self._under_way and (ordered.d1 > found.d1 or ordered.d2 > found.d2 or ordered.lock > found.lock):
            self._abort(Cause.PILOT_LOST, d2=found.d2)
        if found != Coils() and self._progress.state in RESTING - {State.WELDED}:
            LOGGER.warning("%s: ending what was left commanded: %s", self.info.id, found)
            wakes = self._progress.wakes
            self._progress = replace(leftover(_now(), d2=found.d2), wakes=wakes)
            self._advance()

    @property
    def _under_way(self) -> bool:
        return self._progress.state not in RESTING | {State.ABORTING, State.ISOLATING}

    def _abort(self, cause: Cause, *, d2: bool) -> None:
        LOGGER.warning("%s: ending the session: %s", self.info.id, cause)
        self._progress = restarted(self._progress, _now(), cause, d2=d2)
        self._advance()

    def _fit(self, nameplate: Nameplate) -> None:
        """Let the nameplate fill in what the options leave open, and bound what they say."""
        options, rated_w = self._options, nameplate.rated_power_w
        self._charger = Charger(
            max_voltage_v=nameplate.max_voltage_v,
            min_voltage_v=nameplate.min_voltage_v,
            max_charge_a=_least(options.max_charge_a, nameplate.rated_current_a),
            max_discharge_a=_least(options.max_discharge_a, nameplate.rated_current_a),
            report_current_workaround=options.report_current_workaround,
            answer_functions=options.answer_functions,
        )
        self.info = replace(
            self.info,
            maker=nameplate.maker,
            model=nameplate.model,
            serial=nameplate.serial,
            version=nameplate.version,
            rated=Interval(-_least(options.max_discharge_w, rated_w), _least(options.max_charge_w, rated_w)),
            dc=DcWindow(
                nameplate.min_voltage_v,
                nameplate.max_voltage_v,
                self._charger.max_charge_a,
                self._charger.max_discharge_a,
            ),
        )
        if self._sink is not None:
            self._sink.identity(self.info)

    async def _read_lines(self) -> None:
        self._lines = (_now(), await self._pilot.lines())
        self._advance()

    async def _read_converter(self) -> None:
        reading = await self._converter.read()
        self._reading = (_now(), reading)
        self._demand = self._demand.learnt(_now(), self.info.rated, reading, self._progress.current_a)
        self._advance()
        moment = self._orders.moment
        if self._sink is not None and moment.inputs.pilot is not None:
            rated, trim_w = self.info.rated, self._demand.trim.offset_w
            sample = report.sample(moment, reading, self._plugged, rated, trim_w)
            self._sink.sample(sample)
            self._watch(sample)

    def _watch(self, sample: EvseSample) -> None:
        """Note a converter that acknowledges orders and does something else."""
        self._following = self._following.after(sample.at, differs=report.differs(sample))
        if not self._following.broken(sample.at):
            self._ignored = ""
        elif not self._ignored:
            self._ignored = f"ordered {sample.applied_w:.0f} W, measured {sample.power_w:.0f} W"
            LOGGER.warning("%s: order not followed: %s", self.info.id, self._ignored)

    def _advance(self) -> None:
        """Move the session by what is known now, and pass its orders on."""
        if self._progress.state in RESTING:
            self._car = Car()
        before, moment = self._progress, self._moment()
        self._progress = step(before, moment.inputs, self._charger)
        self._orders = orders(self._progress, moment.inputs, self._charger)
        self._converter_link.order(self._orders.converter)
        self._pilot_link.order(self._orders.coils)
        self._tell(before, self._orders.moment)

    def _moment(self) -> Moment:
        """Return all that is known now; an old answer is none."""
        now = _now()
        silent_s, demand = DEVICE_SILENT.give_up_s, self._demand
        lines, reading = _fresh(self._lines, now, silent_s), _fresh(self._reading, now, silent_s)
        inputs = Inputs(
            now=now,
            car=self._car,
            pilot=lines,
            output=reading.output if reading else None,
            bus_up=self._can.up,
            engage=demand.engage(now),
            lapsed=demand.lapsed(now),
            owner_asked=demand.owner_asked(now),
            charge_wished=demand.charge_wished(now),
            wanted_a=demand.current_a(now, self.info.rated, reading),
            aux_voltage_v=self._aux_voltage_v,
        )
        return Moment(self._progress, inputs, self._charger)

    def _tell(self, before: Progress, moment: Moment) -> None:
        """Log a transition, remember the car while it is plugged in, raise and clear faults."""
        progress, pilot = moment.progress, moment.inputs.pilot
        if progress.state is not before.state:
            because = f" ({progress.cause})" if progress.cause else ""
            LOGGER.info("%s: %s → %s%s", self.info.id, before.state, progress.state, because)
        if pilot is not None and not pilot.inserted:
            self._plugged = None
        if (car := report.introduced(moment)) is not None:
            self._plugged = car
        if self._sink is None:
            return
        raised = report.faults(moment) | self._own_faults()
        for code in self._raised.keys() - raised.keys():
            self._sink.clear(code)
        for code, detail in raised.items():
            if self._raised.get(code) != detail:
                self._sink.fault(code, detail)
        self._raised = raised

    def _own_faults(self) -> dict[FaultCode, str]:
        links: dict[str, Link[Any]] = {"converter": self._converter_link, "pilot lines": self._pilot_link}
        lost = "; ".join(f"{name}: {link.problem}" for name, link in links.items() if link.problem)
        refused = "; ".join(f"{name}: {link.refused}" for name, link in links.items() if link.refused)
        own = {
            FaultCode.DEVICE_UNREACHABLE: lost,
            FaultCode.DEVICE_REFUSED: refused,
            FaultCode.SETPOINT_NOT_FOLLOWED: self._ignored,
            FaultCode.CAN_BUS_LOST: self._can.problem,
        }
        return {code: detail for code, detail in own.items() if detail}


def _bus(at: ModbusAddress | ConverterTable) -> ModbusBus:
    return ModbusBus(at.host, at.port, at.unit, timeout_s=ANSWER_S)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _fresh[Seen](seen: tuple[float, Seen] | None, now: float, holds_s: float) -> Seen | None:
    return seen[1] if seen is not None and now - seen[0] <= holds_s else None


def _least(option: float | None, rated: float) -> float:
    return rated if option is None else min(option, rated)
