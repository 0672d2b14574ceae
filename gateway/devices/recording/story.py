"""A replay told in lines: what a person would want to know of it, each thing when it changes and not before. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.devices.recording.events import Exchange, Fault, Frame, Said

type Say = Callable[[str], None]

STEPS: dict[str, dict[str, float]] = {
    "EvseSample": {"state": 0, "plugged": 0, "current_a": 0.5, "applied_w": 200.0, "stop_cause": 0},
    "StorageSample": {"state": 0, "power_w": 100.0, "soc_pct": 1.0},
    "MeterSample": {"power_w": 200.0},
    "EvSample": {
        "awake": 0, "generation": 0, "dash_soc_pct": 1.0, "lbc_soc_pct": 1.0, "energy_wh": 200.0, "capacity_wh": 500.0,
        "soh_pct": 1.0, "voltage_v": 5.0, "current_a": 10.0, "charge_max_w": 5000.0, "discharge_max_w": 20000.0,
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
"""What is told of a frame that we send: the bytes that are decisions and not measurements (reference/can.md 3.3)."""
STATUS_ID, STATUS_BYTE = 0x109, 5
SETTLED_S = 0.5
"""Ours and the recorded order may differ for so long: the two clocks are not the same."""


class Story:
    """Tells ``say`` what happens; times are seconds from the first recorded event."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._told: dict[str, dict[str, Any]] = {}
        self._faults: dict[tuple[str, str], str] = {}
        self._sent: dict[tuple[str, int], bytes] = {}
        self.statuses: dict[str, list[tuple[float, int]]] = {"ours": [], "recorded": []}
        self.differences = Differences(self.line)

    def line(self, at_s: float, who: str, what: str) -> None:
        """Tell one thing."""
        self._say(f"{at_s:9.3f} s  {who}  {what}")

    def sample(self, said: Said) -> None:
        """Tell what has changed in a sample."""
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
        self._status("ours", frame)
        key = (frame.bus, frame.can_id)
        text, part = FRAMES.get(frame.can_id, ("sends", slice(None)))
        if self._sent.get(key) != frame.data[part]:
            self._sent[key] = frame.data[part]
            shown = frame.data.hex(" ").upper().split(" ")
            decided = range(*part.indices(len(shown)))
            bytes_ = " ".join(byte if n in decided else "--" for n, byte in enumerate(shown))
            self.line(frame.at_s, _bus(frame.bus), f"{text} {frame.can_id:03X} {bytes_}")

    def recorded(self, frame: Frame) -> None:
        """Note what the recorded charger sent."""
        self._status("recorded", frame)

    def end(self) -> None:
        """Compare the steps of both chargers, where both took any."""
        ours, recorded = self.statuses["ours"], self.statuses["recorded"]
        if not ours or not recorded:
            return
        self._say("\nstatus 109.5       ours   recorded   later by")
        for n in range(max(len(ours), len(recorded))):
            mine, theirs = (steps[n] if n < len(steps) else None for steps in (ours, recorded))
            same = mine is not None and theirs is not None and mine[1] == theirs[1]
            by = f"{mine[0] - theirs[0]:+8.3f} s" if same and mine and theirs else "       -"
            self._say(f"  {_step(mine)}  {_step(theirs)}  {by}")

    def _status(self, whose: str, frame: Frame) -> None:
        if frame.can_id == STATUS_ID and len(frame.data) == 8:
            steps = self.statuses[whose]
            if not steps or steps[-1][1] != frame.data[STATUS_BYTE]:
                steps.append((frame.at_s, frame.data[STATUS_BYTE]))


@dataclass
class _Both:
    """One thing that is ordered: what we order and what was recorded, and since when they differ."""

    ours: str | None = None
    recorded: str | None = None
    since_s: float = 0.0
    told: bool = False


@dataclass
class Differences:
    """Tells where our orders and the recorded ones differ for longer than ``SETTLED_S``, and when they agree again."""

    line: Callable[[float, str, str], None]
    _orders: dict[str, _Both] = field(default_factory=dict)

    def ours(self, at_s: float, key: str, value: str) -> None:
        """Take what we order."""
        both = self._orders.setdefault(key, _Both())
        self._settle(at_s, both)
        both.ours = value

    def recorded(self, at_s: float, key: str, value: str) -> None:
        """Take what was ordered when it was recorded."""
        both = self._orders.setdefault(key, _Both())
        self._settle(at_s, both)
        both.recorded = value

    def look(self, at_s: float) -> None:
        """Tell what has differed for too long, and what agrees again."""
        for key, both in self._orders.items():
            self._settle(at_s, both)
            if both.ours != both.recorded and not both.told and at_s - both.since_s > SETTLED_S:
                both.told = True
                self.line(
                    both.since_s, key, f"differs: recorded {both.recorded or '-'}, ours {both.ours or '-'}"
                )
            elif both.ours == both.recorded and both.told:
                both.told = False
                self.line(at_s, key, "agrees again")

    def _settle(self, at_s: float, both: _Both) -> None:
        if both.ours == both.recorded:
            both.since_s = at_s


def order_of(event: Frame | Exchange) -> tuple[str, str]:
    """Return what is ordered, and how, of a frame that was sent or a register that was written."""
    if isinstance(event, Frame):
        _, part = FRAMES.get(event.can_id, ("", slice(None)))
        return f"{_bus(event.bus)} {event.can_id:03X}", event.data[part].hex(" ").upper()
    return f"{event.wire} {event.function} @ {event.address}", " ".join(map(str, event.values))


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


def _step(step: tuple[float, int] | None) -> str:
    return f"{step[1]:02X} {step[0]:9.3f} s" if step else "       -      "
