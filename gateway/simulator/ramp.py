"""A quantity that follows its target late and no faster than its ramp, as power electronics do."""

from collections import deque

_ROUNDING_S = 1e-6


class DelayedRamp:
    """Follows a target after ``dead_time_s``, at most ``ramp_per_s`` fast, never outside the limits of the step."""

    def __init__(self, ramp_per_s: float, dead_time_s: float) -> None:
        self.value = 0.0
        self._ramp_per_s = ramp_per_s
        self._dead_time_s = dead_time_s
        self._clock_s = 0.0
        self._newest = 0.0
        self._effective = 0.0
        self._coming: deque[tuple[float, float]] = deque()

    def step(self, target: float, low: float, high: float, dt_s: float) -> float:
        """Advance by ``dt_s`` and return the new value."""
        self._clock_s += dt_s
        if target != self._newest:
            self._newest = target
            self._coming.append((self._clock_s + self._dead_time_s, target))
        while self._coming and self._coming[0][0] <= self._clock_s + _ROUNDING_S:
            self._effective = self._coming.popleft()[1]
        most = self._ramp_per_s * dt_s
        self.value += min(max(self._effective - self.value, -most), most)
        self.value = min(max(self.value, low), high)
        return self.value

    def cut(self) -> None:
        """Fall to zero at once, as behind an open contactor; a target given from now on is followed as usual."""
        self.value = self._newest = self._effective = 0.0
        self._coming.clear()
