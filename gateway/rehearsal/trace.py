"""What happened, step by step, in columns of plain numbers."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field

from gateway.model import DeviceId

type Phases = tuple[float, float, float]


def _column() -> array[float]:
    return array("d")


@dataclass(slots=True)
class Trace:
    """One entry a step: ``second`` since the start, true powers at its end, ``setpoint_w`` as last handed over."""

    second: array[float] = field(default_factory=_column)
    grid_w: array[float] = field(default_factory=_column)
    phase_w: tuple[array[float], array[float], array[float]] = field(
        default_factory=lambda: (_column(), _column(), _column())
    )
    power_w: dict[DeviceId, array[float]] = field(default_factory=dict)
    setpoint_w: dict[DeviceId, array[float]] = field(default_factory=dict)
    soc_pct: dict[DeviceId, array[float]] = field(default_factory=dict)

    def note(
        self, second: float, phase_w: Phases, devices: Iterable[tuple[DeviceId, float, float, float]]
    ) -> None:
        """Append a step; a device is (id, power, setpoint, SoC)."""
        self.second.append(second)
        self.grid_w.append(sum(phase_w))
        for column, power_w in zip(self.phase_w, phase_w, strict=True):
            column.append(power_w)
        for device, power_w, setpoint_w, soc_pct in devices:
            if device not in self.power_w:
                self.power_w[device], self.setpoint_w[device] = _column(), _column()
                self.soc_pct[device] = _column()
            self.power_w[device].append(power_w)
            self.setpoint_w[device].append(setpoint_w)
            self.soc_pct[device].append(soc_pct)
