"""The fast path's side of recording: lines about everything that happens, to whoever listens, and never a wait.

A recorder binds a datagram socket in the site's state folder. While there is none, a CAN frame costs one comparison and
an answer of a register is remembered. What a recorder does not take at once is dropped, and told as dropped.
"""

import asyncio
import contextlib
import platform
import socket
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from time import time
from typing import Any, Protocol, override

import msgspec

from gateway import __version__
from gateway.config import SiteConfig
from gateway.devices import Sink
from gateway.devices.clock import monotonic
from gateway.devices.recording import lines
from gateway.devices.recording.events import (
    Datagram,
    Dropped,
    Event,
    Exchange,
    Fault,
    Heard,
    Said,
    Wanted,
    Wire,
)
from gateway.devices.recording.wires import Wires
from gateway.faults import FaultCode
from gateway.model import DeviceInfo, EvSample, EvseSample, LoadSample, MeterSample, Setpoint, StorageSample

SOCKET = "recorder.sock"
LOOK_S = 1.0
FLUSH_S = 0.05
DATAGRAM_BYTES = 32_000
MOST_REMEMBERED = 2000
"""A site asks a few hundred questions; a forged sender of datagrams could otherwise fill the memory."""
ECHONET_QUESTION = slice(4, 13)
"""From the objects to the first property: answers that agree in these answer the same question."""


class TakesSetpoints(Protocol):
    """What the control loop needs of a device."""

    def apply(self, setpoint: Setpoint) -> None:
        """Take the newest setpoint."""


type Sample = MeterSample | StorageSample | EvseSample | EvSample | LoadSample


class Tap(Wires):
    """``run`` looks for a recorder at ``path`` and sends; everything else only notes.

    The newest answer to each question is remembered for a recording that begins later: drivers read a nameplate once.
    """

    remembering = True

    def __init__(self, path: Path, devices: Mapping[str, Mapping[str, Any]]) -> None:
        self._path = str(path)
        self._devices = devices
        self._names: dict[str, str] = {}
        self._known: dict[object, Exchange | Datagram] = {}
        self._identities: dict[str, DeviceInfo] = {}
        self._vehicles: dict[str, dict[str, Any]] = {}
        self._socket: socket.socket | None = None
        self._lines: list[str] = []
        self._dropped = 0
        self._zero_s = 0.0

    @override
    def name(self, kind: str, full: str) -> str:
        if full not in self._names:
            taken = set(self._names.values())
            self._names[full] = next(name for n in count() if (name := f"{kind}{n}") not in taken)
        return self._names[full]

    @override
    def tell(self, event: Event) -> None:
        if isinstance(event, Exchange) and not event.error:
            self._remember((event.wire, event.function, event.address, event.count), event)
        elif isinstance(event, Datagram) and not event.sent:
            self._remember((event.wire, len(event.data), event.data[ECHONET_QUESTION]), event)
        if self.observed:
            self._lines.append(lines.encode(event, self._zero_s))

    def _remember(self, question: object, answer: Exchange | Datagram) -> None:
        if question in self._known or len(self._known) < MOST_REMEMBERED:
            self._known[question] = answer

    def sink(self, device: str, sink: Sink) -> Sink:
        """Return a sink that tells what passes through it."""
        return _TappedSink(self, device, sink)

    def actuators[A: TakesSetpoints](self, actuators: Mapping[str, A]) -> Mapping[str, TakesSetpoints]:
        """Return a view of actuators that tells their setpoints."""
        return _TappedActuators(self, actuators)

    def identity(self, device: str, info: DeviceInfo) -> None:
        """Tell who a device is, to later listeners too."""
        self._identities[device] = info
        if self.observed:
            self.tell(Said(monotonic(), device, "DeviceInfo", asdict(info)))

    def hears(self, device: str, **vehicle: Any) -> None:
        """Tell what a charger is told of its car, when it is something else."""
        if self._vehicles.get(device) != vehicle:
            self._vehicles[device] = vehicle
            self.tell(Heard(monotonic(), device, vehicle))

    async def run(self) -> None:
        """Look for a recorder, send while there is one; until cancelled."""
        try:
            while True:
                await asyncio.sleep(FLUSH_S if self.observed else LOOK_S)
                if self.observed:
                    self._flush()
                else:
                    self._look()
        finally:
            self._flush()
            self._close()

    def _look(self) -> None:
        found = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            found.connect(self._path)
        except OSError:
            found.close()
            return
        self._socket, self.observed = found, True
        self._zero_s = time() - monotonic()
        self._lines = list(self._greeting())
        self._flush()

    def _greeting(self) -> Iterator[str]:
        about = {
            "gateway": __version__,
            "python": platform.python_version(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            "devices": self._devices,
        }
        yield lines.HEADER + msgspec.json.encode(about, enc_hook=str).decode()
        now = monotonic()
        told: list[Event] = [Wire(now, short, full) for full, short in self._names.items()]
        told += [Said(now, device, "DeviceInfo", asdict(info)) for device, info in self._identities.items()]
        told += [Heard(now, device, vehicle) for device, vehicle in self._vehicles.items()]
        told += [replace(answer, at_s=now) for answer in self._known.values()]
        for event in told:
            yield lines.encode(event, self._zero_s)

    def _flush(self) -> None:
        waiting, self._lines = self._lines, []
        for chunk in _chunks(waiting):
            if self._socket is None:
                return
            if self._dropped:
                chunk.insert(0, lines.encode(Dropped(monotonic(), self._dropped), self._zero_s))
            try:
                self._socket.send("\n".join((*chunk, "")).encode())
            except BlockingIOError:
                self._dropped += len(chunk) - bool(self._dropped)
            except OSError:  # the recorder has gone
                self._close()
            else:
                self._dropped = 0

    def _close(self) -> None:
        self.observed, self._dropped = False, 0
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.close()
            self._socket = None


def tap_of(config: SiteConfig) -> Tap:
    """Return the tap of a site; its recordings carry the device tables, which hold no secrets."""
    devices = {d.id: {"driver": d.driver, "table": dict(d.rest)} for d in config.devices.values()}
    return Tap(config.state_dir / SOCKET, devices)


def _chunks(waiting: list[str]) -> Iterator[list[str]]:
    """Yield the lines in portions that fit a datagram."""
    chunk: list[str] = []
    size = 0
    for line in waiting:
        if chunk and size + len(line) > DATAGRAM_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(line)
        size += len(line) + 1
    if chunk:
        yield chunk


class _TappedSink:
    def __init__(self, tap: Tap, device: str, sink: Sink) -> None:
        self._tap = tap
        self._device = device
        self._sink = sink

    def sample(self, sample: Sample) -> None:
        self._sink.sample(sample)
        if self._tap.observed:
            kind, told = type(sample).__name__, _without_time(sample)
            self._tap.tell(Said(monotonic(), self._device, kind, told))

    def identity(self, info: DeviceInfo) -> None:
        self._sink.identity(info)
        self._tap.identity(self._device, info)

    def fault(self, code: FaultCode, detail: str) -> None:
        self._sink.fault(code, detail)
        self._tap.tell(Fault(monotonic(), self._device, code, detail))

    def clear(self, code: FaultCode) -> None:
        self._sink.clear(code)
        self._tap.tell(Fault(monotonic(), self._device, code, up=False))


class _TappedActuators(Mapping[str, TakesSetpoints]):
    def __init__(self, tap: Tap, actuators: Mapping[str, TakesSetpoints]) -> None:
        self._tap = tap
        self._actuators = actuators

    @override
    def __getitem__(self, device: str) -> TakesSetpoints:
        actuator = self._actuators[device]
        return _TappedActuator(self._tap, device, actuator) if self._tap.observed else actuator

    @override
    def __iter__(self) -> Iterator[str]:
        return iter(self._actuators)

    @override
    def __len__(self) -> int:
        return len(self._actuators)


@dataclass(frozen=True, slots=True)
class _TappedActuator:
    tap: Tap
    device: str
    actuator: TakesSetpoints

    def apply(self, setpoint: Setpoint) -> None:
        now = monotonic()
        self.tap.tell(Wanted(now, self.device, wanted(setpoint, now)))
        self.actuator.apply(setpoint)


def wanted(setpoint: Setpoint, now: float) -> dict[str, Any]:
    """Return a setpoint as a recording keeps it."""
    return {
        "power_w": setpoint.power_w,
        "engage": setpoint.engage,
        "lasts_s": round(setpoint.expires_at - now, 3),
        "reason": f"{setpoint.reason.rung}: {setpoint.reason.code}",
    }


def _without_time(sample: Sample) -> dict[str, Any]:
    """Return the fields of a sample; the line tells its time."""
    return {f.name: _plain(getattr(sample, f.name)) for f in fields(sample) if f.name != "at"}


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return tuple(map(_plain, value))
    return round(value, 4) if isinstance(value, float) else value
