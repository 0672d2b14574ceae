"""A replay told in lines: what a person would want to know of it, each thing when it changes and not before. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

from gateway.devices.recording import properties
from gateway.devices.recording.comparison import Differences, Followed, Steps
from gateway.devices.recording.events import Datagram, Dropped, Event, Exchange, Fault, Frame, Said, Turn

type Say = Callable[[str], None]

STEPS: dict[str, dict[str, float]] = {
    "EvseSample": {"state": 0, "plugged": 0, "current_a": 0.5, "applied_w": 200.0, "stop_cause": 0},
    "StorageSample": {"state": 0, "power_w": 100.0, "soc_pct": 1.0},
    "MeterSample": {"power_w": 200.0},
    "EvSample": {
        "awake": 0, "generation": 0, "dash_soc_pct": 1.0, "lbc_soc_pct": 1.0, "energy_wh": 200.0, "capacity_wh": 500.0,
        "soh_pct": 1.0, "voltage_v": 5.0, "current_a": 2.0, "charge_max_w": 5000.0, "discharge_max_w": 20000.0,
        "temperature_c": 1.0, "warmest_c": 1.0, "cell_min_v": 0.02, "cell_max_v": 0.02, "aux_voltage_v": 0.5, "plugged": 0,
        "charging": 0, "parked": 0, "hx_pct": 1.0, "capacity_ah": 1.0, "insulation_raw": 50.0,
    },
}  # fmt: skip
"""What is told of a sample, and how far a number has to move before it is told again."""

FRAMES: dict[int, tuple[str, slice]] = {
    0x108: ("offers", slice(0, 6)),
    0x109: ("status", slice(5, 6)),
    0x208: ("discharge", slice(1, 8)),
    0x209: ("sequence", slice(0, 8)),
}
"""A frame that we send is told when these bytes change: decisions and not measurements (reference/can.md 3.3)."""
STATUS_ID, STATUS_BYTE = 0x109, 5


class Story:
    """Tells ``say`` what happens; times are seconds from the first recorded event."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: dict[str, dict[str, Any]] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._sent: dict[tuple[str, int], bytes] = {}
        self.statuses = Steps("status 109.5")
        self.followed: dict[str, Followed] = {}
        self.differences = Differences(self.line)

    def line(self, at_s: float, who: str, what: str) -> None:
        """Tell one thing."""
        self._say(f"{at_s:9.3f} s  {who}  {what}")

    def sample(self, said: Said) -> None:
        """Tell what has changed in a sample of ours."""
        self._followed(said.device).ours(said)
        told = self._told.setdefault(said.device, {})
        news = {
            name: said.sample[name]
            for name, step in STEPS.get(said.kind, {}).items()
            if _moved(told.get(name), said.sample.get(name), step)
        }
        if news:
            told.update(news)
            self.line(said.at_s, said.device, ", ".join(_named(n, v) for n, v in news.items()))

    def fault(self, fault: Fault) -> None:
        """Tell a fault that is raised or cleared, and a new detail."""
        key = (fault.device, fault.code)
        if fault.up and self._faults.get(key) != fault.detail:
            self._faults[key] = fault.detail
            self.line(fault.at_s, fault.device, f"FAULT {fault.code}: {fault.detail}")
        elif not fault.up and self._faults.pop(key, None) is not None:
            self.line(fault.at_s, fault.device, f"fault {fault.code} is over")

    def sent(self, frame: Frame) -> None:
        """Tell a frame of ours that decides something else than the one before."""
        self._status(self.statuses.ours, frame)
        key = (frame.bus, frame.can_id)
        text, part = FRAMES.get(frame.can_id, ("sends", slice(None)))
        if self._sent.get(key) != frame.data[part]:
            self._sent[key] = frame.data[part]
            self.line(frame.at_s, _bus(frame.bus), f"{text} {frame.can_id:03X} {frame.data.hex(' ').upper()}")

    def recorded(self, event: Frame | Said) -> None:
        """Note what the recorded charger sent, or what a recorded driver published."""
        if isinstance(event, Frame):
            self._status(self.statuses.recorded, event)
        else:
            self._followed(event.device).recorded(event)

    def end(self) -> None:
        """Compare the whole with what was recorded."""
        for table in (self.statuses, *(followed.states for followed in self.followed.values())):
            if lines := list(table.table()):
                self._say("\n" + "\n".join(lines))
        if apart := [line for followed in self.followed.values() for line in followed.summary()]:
            self._say("\n" + "\n".join(apart))

    def _followed(self, device: str) -> Followed:
        return self.followed.setdefault(device, Followed(device))

    def _status(self, steps: list[tuple[float, str]], frame: Frame) -> None:
        if frame.can_id == STATUS_ID and len(frame.data) == 8:
            self.statuses.take(steps, frame.at_s, f"{frame.data[STATUS_BYTE]:02X}")


def retell(events: Iterable[Event], say: Say) -> None:
    """Tell what was decided when it was recorded, as a replay tells it, with whatever failed on the wires."""
    story = Story(say)
    for event in events:
        match event:
            case Said():
                story.sample(event)
            case Fault():
                story.fault(event)
            case Frame(sent=True):
                story.sent(event)
            case Turn(at_s, wire, up, why):
                story.line(at_s, wire, "up" if up else f"down: {why}")
            case Exchange(at_s, wire) if event.error:
                story.line(at_s, wire, f"function {event.function} @ {event.address}: {event.error}")
            case Dropped(at_s, lines):
                story.line(at_s, "recording", f"{lines} lines are missing here")
            case _:
                pass


def orders_of(event: Event) -> Iterator[tuple[str, str]]:
    """Yield what is ordered, and how: by a frame that is sent, a register that is written, a property that is set."""
    match event:
        case Frame(_, bus, can_id, data, True):
            _, part = FRAMES.get(can_id, ("", slice(None)))
            yield f"{_bus(bus)} {can_id:03X}", data[part].hex(" ").upper()
        case Exchange() if event.writes and not event.error:
            yield f"{event.wire} {event.function} @ {event.address}", " ".join(map(str, event.values))
        case Datagram(sent=True):
            yield from properties.orders_of(event)


def _moved(told: object, now: object, step: float) -> bool:
    if isinstance(told, int | float) and isinstance(now, int | float) and step:
        return abs(now - told) >= step
    return now is not None and told != now and (told is not None or now not in {"", False})


UNITS = {"w": "W", "wh": "Wh", "pct": "%", "a": "A", "v": "V", "c": "°C", "ah": "Ah"}


def _named(name: str, value: object) -> str:
    words, _, suffix = name.rpartition("_")
    unit = UNITS.get(suffix, "") if words else ""
    shown = f"{value:.5g}" if isinstance(value, float) else str(value)
    return f"{(words if unit else name).replace('_', ' ')} {shown} {unit}".rstrip()


def _bus(name: str) -> str:
    return f"bus {name}" if name.isdigit() else name
