"""The clock, the physics of the connection, and the loop between them."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from itertools import count
from random import Random
from typing import Protocol

from gateway.config import ControlTables
from gateway.control.loop import Loop
from gateway.model import DeviceId, MeterRole, OwnerSettings, Remembered, Wishes
from gateway.rehearsal.metering import MeterModel
from gateway.rehearsal.plant import Plant
from gateway.rehearsal.score import Score
from gateway.rehearsal.trace import Trace
from gateway.state import SiteState

type Phases = tuple[float, float, float]
type Load = Callable[[float], float | Phases]


class Brain(Protocol):
    """What decides: the control loop, or another strategy that is to be compared with it."""

    def tick(self, now: float) -> None:
        """Decide on what the state tells, and apply to the plants."""


type MakeBrain = Callable[[SiteState, ControlTables, Mapping[DeviceId, Plant], Callable[[], float]], Brain]

START = datetime(2026, 3, 20, 6, 0, tzinfo=UTC)
BEGIN_S = 1000.0
"""The monotonic time of second 0."""
_ROUNDING_S = 1e-6


class Rehearsal:
    """One site on a virtual clock.

    ``load`` and ``pv`` are functions of the second since the start: W in all (spread over the phases) or per phase; ``pv``
    is a positive magnitude, which its own meter tells negative, as drivers do. The loop ticks every ``tick_s`` and on each
    fresh grid sample. With ``keep`` False no trace is kept, for long runs. ``brain`` makes another strategy that decides
    instead. ``state``, ``loop``, ``plants`` and the meters may be read and changed between runs and by ``at``.
    """

    def __init__(
        self,
        tables: ControlTables,
        plants: Sequence[Plant],
        load: Load,
        *,
        pv: Load | None = None,
        frequency: Callable[[float], float] = lambda second: 50.0,
        meter: MeterModel | None = None,
        more_meters: Sequence[MeterModel] = (),
        wishes: Wishes | None = None,
        start_utc: datetime = START,
        seed: int = 1,
        step_s: float = 0.1,
        tick_s: float = 0.1,
        keep: bool = True,
        remembered: Remembered | None = None,
        brain: MakeBrain | None = None,
    ) -> None:
        self.tables = tables
        self.plants = {p.id: p for p in plants}
        self.meter = meter or MeterModel()
        self.now = BEGIN_S
        self.start_utc = start_utc
        self.load, self.pv, self.frequency = load, pv, frequency
        self.phase_w: Phases = (0.0, 0.0, 0.0)
        self.chance = Random(seed)
        self.score = Score(tables.grid.main_fuse_a * tables.grid.nominal_voltage_v)
        self.trace = Trace()
        self.ticks = 0
        self._pv_meter = MeterModel(id="pv", role=MeterRole.PV) if pv else None
        self._meters = [self.meter, *more_meters]
        self._step_s, self._tick_s, self._keep = step_s, tick_s, keep
        self._steps = 0
        self._tick_at = self.now
        self._script: list[tuple[float, int, Callable[[Rehearsal], object]]] = []
        self._order = count()
        infos = [*(m.info for m in self._meters), *(p.info for p in plants)]
        if self._pv_meter:
            infos.append(self._pv_meter.info)
        self.state = SiteState(infos, lambda: self.utc)
        self.state.wishes = wishes or Wishes(OwnerSettings(control_on=True))
        self.loop = Loop(self.state, tables, self.plants, monotonic=lambda: self.now, remembered=remembered)
        self._brain: Brain = self.loop
        if brain:
            self._brain = brain(self.state, tables, self.plants, lambda: self.now)

    @property
    def second(self) -> float:
        """Return the time since the start."""
        return self.now - BEGIN_S

    @property
    def utc(self) -> datetime:
        """Return the time of the clock on the wall."""
        return self.start_utc + timedelta(seconds=self.second)

    @property
    def grid_w(self) -> float:
        """Return the true power from the grid."""
        return sum(self.phase_w)

    def at(self, second: float, action: Callable[[Rehearsal], object]) -> None:
        """Do ``action`` when the clock reaches ``second``."""
        heappush(self._script, (second, next(self._order), action))

    def run(self, seconds: float) -> Score:
        """Let ``seconds`` pass and return the score of all that passed so far."""
        for _ in range(round(seconds / self._step_s)):
            self._step()
        return self.score

    def restart(self) -> None:
        """Start the loop anew from what it would have remembered, as after a kill."""
        self.loop = Loop(
            self.state,
            self.tables,
            self.plants,
            monotonic=lambda: self.now,
            remembered=self.loop.remembered(),
        )
        self._brain = self.loop

    def _step(self) -> None:
        self._steps += 1
        self.now = round(BEGIN_S + self._steps * self._step_s, 6)
        while self._script and self._script[0][0] <= self.second + _ROUNDING_S:
            heappop(self._script)[2](self)
        self._pass()
        self._tell()
        fresh = self.state.fresh_grid.is_set()
        if fresh or self.now >= self._tick_at - _ROUNDING_S:
            if self.now >= self._tick_at - _ROUNDING_S:
                self._tick_at += self._tick_s
            self.state.fresh_grid.clear()
            self.ticks += 1
            self._brain.tick(self.now)
        if self._keep:
            self.trace.note(
                self.second,
                self.phase_w,
                ((p.id, p.power_w, p.ordered_w, p.soc_pct) for p in self.plants.values()),
            )

    def _pass(self) -> None:
        """Let the physics go one step."""
        dt_s, second = self._step_s, self.second
        phase_w = list(_by_phase(self.load(second)))
        if self.pv and self._pv_meter:
            sun = _by_phase(self.pv(second))
            phase_w = [p - s for p, s in zip(phase_w, sun, strict=True)]
            self._pv_meter.look(self.now, (-sun[0], -sun[1], -sun[2]), 50.0, self.chance)
        powers_w = {}
        for device, plant in self.plants.items():
            powers_w[device] = plant.step(self.now, dt_s)
            drawn_w = powers_w[device] if abs(powers_w[device]) >= 1.0 else plant.loss.standby_w
            for phase in plant.phases:
                phase_w[phase - 1] += drawn_w / len(plant.phases)
        self.phase_w = (phase_w[0], phase_w[1], phase_w[2])
        self.score.note(self.phase_w, powers_w, dt_s)

    def _tell(self) -> None:
        """Publish what meters and devices tell at this instant."""
        frequency_hz = self.frequency(self.second)
        for meter in self._meters:
            meter.look(self.now, self.phase_w, frequency_hz, self.chance)
            if (sample := meter.heard(self.now)) is not None:
                self.state.put(meter.id, sample)
        if self._pv_meter and (sample := self._pv_meter.heard(self.now)) is not None:
            self.state.put(self._pv_meter.id, sample)
        for device, plant in self.plants.items():
            if (told := plant.due(self.now)) is not None:
                self.state.put(device, told)


def _by_phase(power_w: float | Phases) -> Phases:
    return power_w if isinstance(power_w, tuple) else (power_w / 3,) * 3
