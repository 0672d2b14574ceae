"""Pure: when the car is away, what it uses, and what a planner that knows the habit alone expects of that."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from gateway.year.record import DAY, Record


@dataclass(frozen=True, slots=True)
class Habit:
    """The usual day, in quarters of the local day; ``days`` are weekdays, Monday is 0.

    ``caution`` quarters before the usual time the car should be ready already. ``spread`` is the standard deviation of both
    times in quarters, ``energy_spread`` that of the energy as a share. ``plugs_in`` is how often it is plugged in on return.
    """

    leaves: int = 30
    returns: int = 70
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)
    trip_wh: float = 8000.0
    target_wh: float = 21600.0
    caution: int = 0
    spread: float = 0.0
    energy_spread: float = 0.0
    plugs_in: float = 1.0


@dataclass(frozen=True, slots=True)
class Journey:
    """Away from quarter ``leaves`` to ``returns`` of the simulation; ``plugged`` tells whether it is plugged in afterwards."""

    leaves: int
    returns: int
    energy_wh: float
    plugged: bool


@dataclass(frozen=True)
class Driving:
    """A year of journeys, in order; before the first the car is plugged in."""

    habit: Habit
    usual: tuple[tuple[int, int], ...]
    journeys: tuple[Journey, ...]
    steps: int

    @cached_property
    def away(self) -> NDArray[np.bool_]:
        """Tell per quarter whether it is on the road."""
        away = np.zeros(self.steps, bool)
        for journey in self.journeys:
            away[journey.leaves : journey.returns] = True
        return away

    @cached_property
    def plugged(self) -> NDArray[np.bool_]:
        """Tell per quarter whether it is at its charger and plugged in."""
        plugged = ~self.away
        for journey, following in zip(self.journeys, (*self.journeys[1:], None), strict=True):
            if not journey.plugged:
                plugged[journey.returns : following.leaves if following else self.steps] = False
        return plugged

    @property
    def plugged_pct(self) -> float:
        """Share of all hours that it is plugged in."""
        return float(self.plugged.mean() * 100)

    def expected(self, now: int, steps: int) -> Iterator[tuple[int, int]]:
        """Yield (departure, return) that the habit lets expect from ``now`` on, in quarters after ``now``.

        A car that is away already has departure 0, and returns in the next quarter where it is overdue.
        """
        for (leaves, returns), journey in zip(self.usual, self.journeys, strict=True):
            if journey.returns <= now:
                continue
            if journey.leaves <= now:
                yield 0, max(returns - now, 1)
            elif leaves - self.habit.caution - now >= steps:
                return
            else:
                ready = max(leaves - self.habit.caution - now, 1)
                yield ready, max(returns - now, ready + 1)


def driven(record: Record, habit: Habit, seed: int = 1) -> Driving:
    """Return the journeys of the simulated time: the habit with its spread, the same for the same seed."""
    chance = np.random.default_rng(seed)
    usual: list[tuple[int, int]] = []
    journeys: list[Journey] = []
    first = record.slot_of_day(0)
    for midnight in range(-first, record.steps, DAY):
        noon = record.at(midnight + DAY // 2).astimezone(record.zone)
        late, back, more, luck = chance.normal(), chance.normal(), chance.normal(), chance.random()
        if noon.weekday() not in habit.days:
            continue
        shift = _clock_shift(record, midnight)
        leaves, returns = midnight + habit.leaves + shift, midnight + habit.returns + shift
        begins = round(leaves + habit.spread * np.clip(late, -2, 2))
        ends = max(begins + 1, round(returns + habit.spread * np.clip(back, -2, 2)))
        if begins <= (journeys[-1].returns if journeys else 0) or ends >= record.steps:
            continue
        energy_wh = habit.trip_wh * max(0.2, 1 + habit.energy_spread * more)
        usual.append((leaves, returns))
        journeys.append(Journey(begins, ends, float(energy_wh), luck < habit.plugs_in))
    return Driving(habit, tuple(usual), tuple(journeys), record.steps)


def _clock_shift(record: Record, midnight: int) -> int:
    """Return how many quarters later the local day begins than quarter ``midnight``, which counts days of 24 hours."""
    local = record.at(midnight + DAY // 2).astimezone(record.zone)
    off_min = (local - timedelta(hours=12)).hour * 60 + local.minute
    return -((off_min + 720) % 1440 - 720) // 15
