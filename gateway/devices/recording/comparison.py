"""What we decide in a replay against what was decided when it was recorded. Pure."""

from bisect import bisect, bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gateway.devices.recording.events import Said

SETTLED_S = 0.5
"""Ours and the recorded order may differ for so long: their moments are not quite the same."""
MEASURES = ("current_a", "power_w")

type Line = Callable[[float, str, str], None]


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

    line: Line
    count: int = 0
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
        """Tell what has differed for too long since the recording began, and what agrees again."""
        for key, both in self._orders.items():
            self._settle(at_s, both)
            since_s = max(both.since_s, 0.0)
            if both.ours != both.recorded and not both.told and at_s - since_s > SETTLED_S:
                both.told = True
                self.count += 1
                self.line(
                    at_s,
                    key,
                    f"differs since {since_s:.3f} s: recorded {both.recorded or '-'}, ours {both.ours or '-'}",
                )
            elif both.ours == both.recorded and both.told:
                both.told = False
                self.line(at_s, key, "agrees again")

    def _settle(self, at_s: float, both: _Both) -> None:
        if both.ours == both.recorded:
            both.since_s = at_s


class Steps:
    """The moments at which something took another value, ours beside the recorded ones."""

    def __init__(self, title: str) -> None:
        self.title = title
        self.ours: list[tuple[float, str]] = []
        self.recorded: list[tuple[float, str]] = []

    def take(self, steps: list[tuple[float, str]], at_s: float, value: str) -> None:
        """Add a step to one of the two, where it is one."""
        if not steps or steps[-1][1] != value:
            steps.append((at_s, value))

    def table(self) -> Iterator[str]:
        """Yield both as lines, empty where one of them has none."""
        if not self.ours or not self.recorded:
            return
        wide = max(len(value) for _, value in (*self.ours, *self.recorded))
        yield f"{self.title}: ours, recorded, later by"
        for n in range(max(len(self.ours), len(self.recorded))):
            mine, theirs = (steps[n] if n < len(steps) else None for steps in (self.ours, self.recorded))
            by = f"{mine[0] - theirs[0]:+8.3f} s" if mine and theirs and mine[1] == theirs[1] else "differs"
            yield f"  {_step(mine, wide)}  {_step(theirs, wide)}  {by}"


class Followed:
    """One device's samples, ours beside the recorded ones: its states, and what it measures."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.states = Steps(f"{device}, state")
        self._ours: dict[str, list[tuple[float, float]]] = {}
        self._recorded: dict[str, list[tuple[float, float]]] = {}

    def ours(self, said: Said) -> None:
        """Take a sample that we publish."""
        self._take(said, self.states.ours, self._ours)

    def recorded(self, said: Said) -> None:
        """Take a recorded sample."""
        self._take(said, self.states.recorded, self._recorded)

    def _take(
        self, said: Said, states: list[tuple[float, str]], measured: dict[str, list[tuple[float, float]]]
    ) -> None:
        if "state" in said.sample:
            self.states.take(states, said.at_s, str(said.sample["state"]))
        for name in MEASURES:
            if isinstance(value := said.sample.get(name), int | float):
                measured.setdefault(name, []).append((said.at_s, float(value)))

    def apart(self, measure: str, phase_s: float = 0.0) -> list[float]:
        """Return how far each recorded value is from ours that is nearest in time.

        Polls may be out of step by ``phase_s``: a value that ours takes or passes in that time is not apart.
        """
        ours = self._ours.get(measure, [])
        times = [at_s for at_s, _ in ours]
        found = []
        for at_s, value in self._recorded.get(measure, ()) if ours else ():
            after = bisect(times, at_s)
            nearest = min(ours[max(after - 1, 0) : after + 1], key=lambda told: abs(told[0] - at_s))
            near = ours[bisect_left(times, at_s - phase_s) : bisect(times, at_s + phase_s)]
            values = [told for _, told in (nearest, *near)]
            found.append(max(min(values) - value, value - max(values), 0.0))
        return found

    def summary(self) -> Iterator[str]:
        """Yield how far they are apart in words, nothing where nothing was recorded."""
        for measure in MEASURES:
            if apart := self.apart(measure):
                quantity, _, unit = measure.rpartition("_")
                mean, most = sum(apart) / len(apart), max(apart)
                yield (
                    f"{self.device}, {quantity}: {mean:.2f} {unit.upper()} apart on average, "
                    f"{most:.2f} {unit.upper()} at most"
                )


def _step(step: tuple[float, str] | None, wide: int) -> str:
    return f"{step[1]:{wide}} {step[0]:9.3f} s" if step else " " * (wide + 12)
