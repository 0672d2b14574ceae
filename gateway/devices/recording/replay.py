"""A recording through the real drivers, in virtual time: as fast as it computes, and the same at every run."""

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from time import perf_counter
from typing import Any, cast

from gateway.devices import Actuator, Device, HearsOfVehicle, open_device
from gateway.devices.clock import monotonic
from gateway.devices.recording import stand_ins
from gateway.devices.recording.comparison import Followed, Steps
from gateway.devices.recording.events import Dropped, Event, Fault, Frame, Heard, Said, Wanted
from gateway.devices.recording.loaders import Form, Recording
from gateway.devices.recording.played_wires import PlayedWires
from gateway.devices.recording.story import Say, Story, orders_of
from gateway.devices.recording.virtual_time import run_at_once
from gateway.devices.recording.wires import WIRES
from gateway.faults import FaultCode, Malformed, Misuse
from gateway.model import DeviceInfo, Reason, Rung, Setpoint

LEAD_S = 1.0
"""The drivers have this long to connect before the first event."""
TAIL_S = 1.0
RENEW_S, LEASE_S = 0.1, 2.0
REPLAYED = Reason(Rung.OWNER_REQUEST, "replay")

type Tables = Mapping[str, tuple[str, Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Cast:
    """Who plays: the devices by id, and what stands in for devices that are not in the recording."""

    devices: Tables
    session: stand_ins.Session | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a replay ended beside the recording, and how fast it was; ``followed`` by device id."""

    statuses: Steps
    followed: Mapping[str, Followed]
    differing_orders: int
    events: int
    lasts_s: float
    took_s: float

    def __str__(self) -> str:
        """Return the pace in words, and how many orders differed."""
        differing = f"{self.differing_orders} orders differed from the recorded ones\n"
        return (
            f"{differing if self.differing_orders else ''}"
            f"{self.events} events, {self.lasts_s:.1f} s, replayed in {self.took_s:.2f} s: "
            f"{self.events / self.took_s:.0f} events/s, {self.lasts_s / self.took_s:.0f} × real time"
        )


def cast_of(recording: Recording, site: Tables | None = None) -> Cast:
    """Return who plays a recording: the devices of a site, else those it was made with, else those its frames call for.

    Raises Misuse when there is nobody, Malformed when the recording's own list is damaged.
    """
    if site:
        return Cast(site)
    if recording.form is Form.OWN:
        return Cast(_recorded_devices(recording.header.get("devices")))
    cars: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for bus in recording.buses:
        seen = {frame.can_id for frame in recording.bus(bus)}
        kind = next((kind for kind, signs in stand_ins.LEAF_BUSES.items() if signs & seen), None)
        if kind is not None:
            cars[kind] = ("vehicle.leaf", stand_ins.leaf_table(bus, kind))
        elif stand_ins.REQUEST_ID in seen:
            return Cast({"charger": ("evse.chademo", stand_ins.charger_table(bus))}, stand_ins.Session())
    if not cars:
        raise Misuse("no driver here can make anything of these frames; name the devices with --site")
    return Cast(cars)


def _recorded_devices(told: Any) -> Tables:
    try:
        return {device: (str(entry["driver"]), dict(entry["table"])) for device, entry in told.items()}
    except AttributeError, KeyError, TypeError, ValueError:
        raise Malformed("the header names no devices; name them with --site") from None


def replay(recording: Recording, cast_: Cast, current_a: float, say: Say) -> Outcome:
    """Tell ``say`` what the drivers decide; ``current_a`` is asked of a car whose charger has a stand-in, into it positive.

    Not to be called on a running loop.
    """
    began = perf_counter()
    stage = _Stage(recording, cast_, current_a, say)
    run_at_once(stage.run())
    story, took_s = stage.story, perf_counter() - began
    counted = (story.differences.count, len(recording.events), recording.lasts_s, took_s)
    return Outcome(story.statuses, story.followed, *counted)


class _Stage:
    def __init__(self, recording: Recording, cast_: Cast, current_a: float, say: Say) -> None:
        self._recording = recording
        self._cast = cast_
        self._current_a = current_a
        self.story = Story(say)
        self.over = False
        self._zero = 0.0
        self._devices: dict[str, Device] = {}
        self._actuators: dict[str, Actuator] = {}
        session = cast_.session
        self._wires = PlayedWires(recording.events, stand_ins.units(session) if session else {}, self._told)

    async def run(self) -> None:
        """Open the drivers on the played wires, play, and end them."""
        self._zero = self._wires.zero = monotonic() + LEAD_S
        WIRES.set(self._wires)
        for name, (driver, table) in self._cast.devices.items():
            device = self._devices[name] = open_device(name, driver, table)
            if device.info.kind.acts:
                self._actuators[name] = cast(Actuator, device)
        with _heard(self):
            async with asyncio.TaskGroup() as tasks:
                running = [tasks.create_task(d.run(_Sink(self, n))) for n, d in self._devices.items()]
                if self._cast.session:
                    running.append(tasks.create_task(self._ask(self._cast.session)))
                running.append(tasks.create_task(self._look()))
                await self._play()
                await asyncio.sleep(TAIL_S)
                self.over = True
                for task in running:
                    task.cancel()
        self.story.end()

    @property
    def now_s(self) -> float:
        """Seconds from the first event."""
        return monotonic() - self._zero

    async def _play(self) -> None:
        for event in self._recording.events:
            if (wait_s := event.at_s - self.now_s) > 0:
                await asyncio.sleep(wait_s)
            self._happens(event)

    def _happens(self, event: Event) -> None:
        ours = self._recording.form is Form.OWN
        match event:
            case Frame() if self._cast.session and not self._cast.session.hear(event):
                self.story.recorded(event)
            case Frame(sent=True) if ours:
                self.story.recorded(event)
            case Said():
                self.story.recorded(event)
            case Wanted(_, device, told) if (actuator := self._actuators.get(device)) is not None:
                actuator.apply(_setpoint(device, told))
            case Dropped(at_s, lines):
                self.story.line(at_s, "recording", f"{lines} lines are missing here")
            case Heard(_, device, vehicle):
                _let_hear(self._devices.get(device), vehicle)
            case _:
                self._wires.play(event)
        for order in orders_of(event) if ours else ():
            self.story.differences.recorded(event.at_s, *order)

    async def _ask(self, session: stand_ins.Session) -> None:
        """Ask for the current as the control loop does."""
        charger = self._actuators["charger"]
        while True:
            wish = {
                "power_w": session.power_w(self._current_a),
                "lasts_s": LEASE_S,
                "engage": session.engage,
            }
            charger.apply(_setpoint("charger", wish))
            await asyncio.sleep(RENEW_S)

    async def _look(self) -> None:
        while self._recording.form is Form.OWN:
            await asyncio.sleep(RENEW_S)
            self.story.differences.look(self.now_s)

    def _told(self, event: Event) -> None:
        """Hear what our own buses do."""
        if self.over:
            return
        if isinstance(event, Frame) and event.sent:
            self.story.sent(replace(event, at_s=self.now_s))
        for order in orders_of(event):
            self.story.differences.ours(self.now_s, *order)

    def say(self, who: str, what: str) -> None:
        """Tell what a driver logs."""
        if not self.over:
            self.story.line(self.now_s, who, what)

    def sample(self, device: str, sample: Any) -> None:
        """Tell what a driver publishes."""
        if not self.over:
            told = {f.name: getattr(sample, f.name) for f in fields(sample)}
            self.story.sample(Said(self.now_s, device, type(sample).__name__, told))

    def fault(self, device: str, code: FaultCode, detail: str, *, up: bool) -> None:
        """Tell what a driver raises or clears."""
        if not self.over:
            self.story.fault(Fault(self.now_s, device, code, detail, up))


@dataclass(frozen=True, slots=True)
class _Sink:
    stage: _Stage
    device: str

    def sample(self, sample: object) -> None:
        self.stage.sample(self.device, sample)

    def identity(self, info: DeviceInfo) -> None:
        rated, name = info.rated, f"{info.maker} {info.model} {info.version}".strip() or "unnamed"
        self.stage.say(self.device, f"is {name}, rated {rated.min_w:.0f} to {rated.max_w:.0f} W")

    def fault(self, code: FaultCode, detail: str) -> None:
        self.stage.fault(self.device, code, detail, up=True)

    def clear(self, code: FaultCode) -> None:
        self.stage.fault(self.device, code, "", up=False)


@contextlib.contextmanager
def _heard(stage: _Stage) -> Iterator[None]:
    """Let the story tell what the drivers log, in place of every other way."""

    class Ear(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            who, found, what = record.getMessage().partition(": ")
            stage.say(who, what) if found else stage.say("gateway", who)

    logger, ear = logging.getLogger("gateway.devices"), Ear(logging.INFO)
    before = logger.level, logger.propagate
    logger.addHandler(ear)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.setLevel(before[0])
        logger.propagate = before[1]


def _setpoint(device: str, told: Mapping[str, Any]) -> Setpoint:
    try:
        power_w, lasts_s, engage = float(told["power_w"]), float(told["lasts_s"]), bool(told["engage"])
    except KeyError, TypeError, ValueError:
        raise Malformed(f"{device} wants {dict(told)}: that is no setpoint") from None
    return Setpoint(device, power_w, monotonic() + lasts_s, REPLAYED, engage=engage)


def _let_hear(charger: object, vehicle: Mapping[str, Any]) -> None:
    aux_voltage_v = vehicle.get("aux_voltage_v")
    if isinstance(charger, HearsOfVehicle) and isinstance(aux_voltage_v, float | None):
        charger.vehicle_says(aux_voltage_v)
