"""A meter as control meets it: it looks now and then, is heard later, and is neither exact nor without noise."""

from collections import deque
from dataclasses import dataclass, field
from random import Random

from gateway.model import DeviceId, DeviceInfo, DeviceKind, FrequencyProfile, MeterRole, MeterSample

type Phases = tuple[float, float, float]

NOMINAL_V = 230.0
_ROUNDING_S = 1e-6


@dataclass(slots=True)
class MeterModel:
    """Looks every ``period_s`` and is heard ``lag_s`` later; the sample bears the time at which it was heard, as drivers do.

    The lag is declared in the meter's identity, unless ``declared`` is False.
    ``max_age_s`` None: three periods, 3 s at least. Faults: ``silent``, ``frozen`` (old values as new), ``factor``.
    """

    period_s: float = 0.2
    lag_s: float = 0.0
    declared: bool = True
    noise_w: float = 3.0
    resolution_w: float = 1.0
    id: DeviceId = "grid"
    role: MeterRole = MeterRole.GRID
    max_age_s: float | None = None
    silent: bool = False
    frozen: bool = False
    factor: float = 1.0
    frequency: FrequencyProfile | None = None
    _looked_at: float = -1e9
    _on_the_way: deque[tuple[float, Phases, float]] = field(default_factory=deque)
    _shown: tuple[Phases, float] = ((0.0, 0.0, 0.0), 50.0)

    @property
    def info(self) -> DeviceInfo:
        """Return its identity."""
        age_s = self.max_age_s if self.max_age_s is not None else max(3.0, 3 * self.period_s)
        return DeviceInfo(
            self.id,
            DeviceKind.METER,
            self.id,
            "rehearsal",
            self.role,
            max_age_s=age_s,
            lag_s=self.lag_s if self.declared else 0.0,
            frequency=self.frequency,
        )

    def look(self, now: float, phase_w: Phases, frequency_hz: float, chance: Random) -> None:
        """Take note of the phase powers when the period is over."""
        if now < self._looked_at + self.period_s - _ROUNDING_S:
            return
        self._looked_at = now
        if not self.frozen:
            one, two, three = (self._read(p, chance) for p in phase_w)
            self._shown = ((one, two, three), frequency_hz)
        if not self.silent:
            self._on_the_way.append((now + self.lag_s, *self._shown))

    def heard(self, now: float) -> MeterSample | None:
        """Return the sample that arrives now, if any."""
        sample = None
        while self._on_the_way and self._on_the_way[0][0] <= now + _ROUNDING_S:
            _, phase_w, frequency_hz = self._on_the_way.popleft()
            one, two, three = phase_w
            amps = (abs(one) / NOMINAL_V, abs(two) / NOMINAL_V, abs(three) / NOMINAL_V)
            volts = (NOMINAL_V, NOMINAL_V, NOMINAL_V)
            sample = MeterSample(now, one + two + three, phase_w, volts, amps, frequency_hz)
        return sample

    def _read(self, power_w: float, chance: Random) -> float:
        seen_w = power_w + chance.gauss(0.0, self.noise_w / 3**0.5) if self.noise_w else power_w
        return round(seen_w * self.factor / self.resolution_w) * self.resolution_w
