"""Pure: the recent past of powers that are measured behind the grid meter, summed over their devices, on an even grid of
time, so that it can be asked at any instant that a late grid meter may mean."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from math import floor

from gateway.model import DeviceId

STEP_S = 0.1
STEPS = 200
SPREAD_S = 3.0
"""A change is spread over the time between two samples, at most this."""

type Powers = tuple[float, float, float, float]
"""In all, and on each phase, in W."""

NOTHING: Powers = (0.0, 0.0, 0.0, 0.0)
_EMPTY: tuple[list[float], ...] = tuple([0.0] * STEPS for _ in range(4))


@dataclass(frozen=True, slots=True)
class Known:
    """``columns`` are powers at the instants ``(end - STEPS + 1 .. end) * STEP_S``; ``last`` is each device's newest sample."""

    end: int = 0
    columns: tuple[list[float], ...] = _EMPTY
    last: Mapping[DeviceId, tuple[float, float, tuple[int, ...]]] = field(default_factory=dict)

    def noted(self, now: float, samples: Iterable[tuple[DeviceId, float, float, tuple[int, ...]]]) -> Known:
        """Return the past with what was told since: (device, time, power, phases)."""
        end = floor(now / STEP_S) + 1
        columns = self._shifted(end)
        last: dict[DeviceId, tuple[float, float, tuple[int, ...]]] = {}
        for device, at, power_w, phases in samples:
            before = self.last.get(device)
            last[device] = (at, power_w, phases)
            if before is None:
                _add(columns, end, at - SPREAD_S, at - SPREAD_S, power_w, phases)
            elif at > before[0] and power_w != before[1]:
                _add(columns, end, max(before[0], at - SPREAD_S), at, power_w - before[1], phases)
            elif power_w != before[1]:
                _add(columns, end, at, now, power_w - before[1], phases)
        for device, (at, power_w, phases) in self.last.items():
            if device not in last:
                _add(columns, end, at, now, -power_w, phases)
        return Known(end, columns, last)

    def at(self, instant: float) -> Powers:
        """Return the powers at an instant; outside what is kept, the nearest."""
        place = instant / STEP_S - (self.end - STEPS + 1)
        if place <= 0:
            first = 0
            share = 0.0
        elif place >= STEPS - 1:
            first, share = STEPS - 2, 1.0
        else:
            first = int(place)
            share = place - first
        one, two, three, four = (c[first] + share * (c[first + 1] - c[first]) for c in self.columns)
        return one, two, three, four

    def total_w(self, instant: float) -> float:
        """Return the sum alone."""
        place = min(max(instant / STEP_S - (self.end - STEPS + 1), 0.0), STEPS - 1.001)
        first = int(place)
        column = self.columns[0]
        return column[first] + (place - first) * (column[first + 1] - column[first])

    def moved_w(self, instant: float, within_s: float) -> float:
        """Return how far the sum moved around ``instant``."""
        place = round(instant / STEP_S) - (self.end - STEPS + 1)
        near = self.columns[0][
            max(0, place - round(within_s / STEP_S)) : place + round(within_s / STEP_S) + 1
        ]
        return max(near) - min(near) if near else 0.0

    def span(self, instant: float, within_s: float) -> tuple[Powers, Powers]:
        """Return the least and the most powers around ``instant``."""
        place = min(max(round(instant / STEP_S) - (self.end - STEPS + 1), 0), STEPS - 1)
        steps = round(within_s / STEP_S)
        near = [column[max(0, place - steps) : place + steps + 1] for column in self.columns]
        one, two, three, four = map(min, near)
        five, six, seven, eight = map(max, near)
        return (one, two, three, four), (five, six, seven, eight)

    def _shifted(self, end: int) -> tuple[list[float], ...]:
        by = min(end - self.end, STEPS)
        if by <= 0:
            return tuple(c.copy() for c in self.columns)
        return tuple(c[by:] + [c[-1]] * by for c in self.columns)


def _add(
    columns: tuple[list[float], ...],
    end: int,
    begin_s: float,
    until_s: float,
    change_w: float,
    phases: tuple[int, ...],
) -> None:
    """Add a change that went evenly from ``begin_s`` to ``until_s`` to all that followed."""
    first = end - STEPS + 1
    place = max(0, floor(begin_s / STEP_S) + 1 - first)
    span_s = until_s - begin_s
    wired = [columns[p] for p in phases]
    total, part = columns[0], 1.0 / len(wired) if wired else 0.0
    for n in range(place, STEPS):
        share = (n + first) * STEP_S - begin_s
        added_w = change_w * (share / span_s) if share < span_s else change_w
        total[n] += added_w
        for column in wired:
            column[n] += added_w * part
