"""How good it was: sums that cost little and grow with nothing."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.model import DeviceId, Interval

type Phases = tuple[float, float, float]

MOVING_W = 50.0
"""Less than this is no direction."""


@dataclass(slots=True)
class Score:
    """``direction_changes`` counts, over all devices, turns between charging and discharging of more than 50 W.

    ``over_fuse_s`` adds up the phases' seconds above ``fuse_a``; ``longest_over_s`` is the longest stretch of one phase.
    """

    fuse_w: float
    target_w: float = 0.0
    seconds: float = 0.0
    import_wh: float = 0.0
    export_wh: float = 0.0
    direction_changes: int = 0
    over_fuse_s: float = 0.0
    longest_over_s: float = 0.0
    most_w: float = 0.0
    """The most that any phase carried, as a magnitude."""
    site: Interval | None = None
    """Import and export limit; ``longest_outside_s`` is the longest stretch outside."""
    longest_outside_s: float = 0.0
    _outside_s: float = 0.0
    _square: float = 0.0
    _over_s: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _direction: dict[DeviceId, int] = field(default_factory=dict)

    @property
    def rms_w(self) -> float:
        """Return the root mean square of grid power minus target."""
        return math.sqrt(self._square / self.seconds) if self.seconds else 0.0

    def note(self, phase_w: Phases, powers_w: Mapping[DeviceId, float], dt_s: float) -> None:
        """Add one step."""
        one, two, three = phase_w
        grid_w = one + two + three
        self.seconds += dt_s
        self._square += (grid_w - self.target_w) ** 2 * dt_s
        if grid_w > 0:
            self.import_wh += grid_w * dt_s / 3600.0
        else:
            self.export_wh -= grid_w * dt_s / 3600.0
        if self.site is not None and not self.site.min_w <= grid_w <= self.site.max_w:
            self._outside_s += dt_s
            self.longest_outside_s = max(self.longest_outside_s, self._outside_s)
        else:
            self._outside_s = 0.0
        most_w = max(one, two, three, -one, -two, -three)
        self.most_w = max(self.most_w, most_w)
        if most_w > self.fuse_w or any(self._over_s):
            self._note_fuse(phase_w, dt_s)
        for device, power_w in powers_w.items():
            if power_w > MOVING_W:
                direction = 1
            elif power_w < -MOVING_W:
                direction = -1
            else:
                continue
            if self._direction.get(device, direction) != direction:
                self.direction_changes += 1
            self._direction[device] = direction

    def _note_fuse(self, phase_w: Phases, dt_s: float) -> None:
        for phase, power_w in enumerate(phase_w):
            if abs(power_w) <= self.fuse_w:
                self._over_s[phase] = 0.0
                continue
            self._over_s[phase] += dt_s
            self.over_fuse_s += dt_s
            self.longest_over_s = max(self.longest_over_s, self._over_s[phase])
