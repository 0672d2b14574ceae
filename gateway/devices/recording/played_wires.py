"""A recording in the place of the wires."""

from collections.abc import Callable, Mapping
from typing import Any, override

import can

from gateway.devices.clock import monotonic
from gateway.devices.recording.events import Datagram, Event, Exchange, Frame, Turn, Wire
from gateway.devices.recording.played_can import PlayedCan
from gateway.devices.recording.played_echonet import PlayedNode
from gateway.devices.recording.played_modbus import PlayedUnit, Registers
from gateway.devices.recording.wires import Wires


class PlayedWires(Wires):
    """``stand_ins`` answer as Modbus units of that name; every other one answers from the ``events``.

    ``on_told`` hears what our buses tell; ``zero`` is the loop's time of the first event.
    """

    observed = remembering = True
    zero = 0.0

    def __init__(
        self,
        events: tuple[Event, ...],
        stand_ins: Mapping[str, Registers],
        on_told: Callable[[Event], None],
    ) -> None:
        self._short = {event.name: event.wire for event in events if isinstance(event, Wire)}
        self._buses: dict[str, list[PlayedCan]] = {}
        self._down: dict[str, str] = {}
        self._units = {name: PlayedUnit(registers, self.now_s) for name, registers in stand_ins.items()}
        for wire, exchanges in _by_wire(events, Exchange).items():
            self._units[wire] = PlayedUnit.recorded(exchanges, self.now_s)
        self._nodes = {
            wire: PlayedNode(datagrams, self.now_s) for wire, datagrams in _by_wire(events, Datagram).items()
        }
        self._heard = sorted({event.bus for event in events if isinstance(event, Frame)})
        self._on_told = on_told

    def now_s(self) -> float:
        """Return the time since the first event."""
        return monotonic() - self.zero

    @override
    def name(self, kind: str, full: str) -> str:
        if full in self._short:
            return self._short[full]
        channel = full.partition(" ")[2]
        if kind == "can" and channel in self._heard:
            return channel
        return self._heard[0] if kind == "can" and len(self._heard) == 1 else full

    @override
    def tell(self, event: Event) -> None:
        self._on_told(event)

    @override
    def can(self, wire: str) -> PlayedCan:
        if why := self._down.get(wire):
            raise can.CanInitializationError(why)
        bus = PlayedCan(wire)
        self._buses.setdefault(wire, []).append(bus)
        return bus

    @override
    def modbus(self, wire: str, lost: Callable[[], None]) -> Any:
        return self._units.setdefault(wire, PlayedUnit.recorded((), self.now_s)).client(lost)

    @override
    def udp(self, wire: str, receive: Callable[[bytes, str], None]) -> Any:
        return self._nodes.setdefault(wire, PlayedNode((), self.now_s)).transport(receive)

    def play(self, event: Event) -> None:
        """Let the wires do what was recorded."""
        match event:
            case Frame(_, bus):
                for played in self._buses.get(bus, ()):
                    played.put(event)
            case Exchange(_, wire):
                self._units[wire].hear(event)
            case Datagram(_, wire):
                self._nodes[wire].hear(event)
            case Turn(_, wire, up) if wire in self._nodes:
                self._nodes[wire].reachable = up
            case Turn(_, wire, up) if wire in self._units:
                self._units[wire].turn(up=up)
            case Turn(_, wire, up, why):
                self._down.update({wire: "" if up else why or "lost"})
                for played in self._buses.get(wire, ()) if not up else ():
                    played.fail(why or "lost")
            case _:
                pass


def _by_wire[Kind: (Exchange, Datagram)](
    events: tuple[Event, ...], kind: type[Kind]
) -> dict[str, list[Kind]]:
    """Return the events of one kind, each wire's in order."""
    found: dict[str, list[Kind]] = {}
    for event in events:
        if isinstance(event, kind):
            found.setdefault(event.wire, []).append(event)
    return found
