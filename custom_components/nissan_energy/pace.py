"""How often a value may reach the recorder. Pure: the time is an argument.

The gateway tells of itself many times a second; a state row costs 174 bytes for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from .client import Car, Control, Decision, DeviceView, Urgency

SPACING = timedelta(seconds=5)
"""Between two publications of live data in which nothing considerable happened."""

CONSIDERABLE_W = 500.0
CONSIDERABLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class LiveData:
    """What moves with every reading."""

    devices: Mapping[str, DeviceView]
    decisions: Mapping[str, Decision]
    vehicles: Mapping[str, Car] = field(default_factory=dict)
    control: Control = field(default_factory=Control)
    urgencies: Mapping[str, Urgency] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Band:
    """What a recorded value must do before it is written again: leave the band, and wait out ``spacing``."""

    width: float = 0.0
    share: float = 0.0
    spacing: timedelta = timedelta()

    def lets_through(self, old: float, new: float, since: timedelta) -> bool:
        """Tell whether ``new`` is worth a state row ``since`` after ``old``. Standing still at zero always is."""
        if new == old or timedelta() <= since < self.spacing:
            return False
        return new == 0.0 or abs(new - old) >= max(self.width, self.share * abs(old))


def due(shown: LiveData, latest: LiveData, since: timedelta) -> bool:
    """Tell whether ``latest`` should be shown ``since`` after ``shown``: by spacing, or at once after an event."""
    return shown != latest and (not timedelta() <= since < SPACING or _is_event(shown, latest))


def _is_event(old: LiveData, new: LiveData) -> bool:
    if old.devices.keys() != new.devices.keys() or old.decisions.keys() != new.decisions.keys():
        return True
    if _control_turned(old.control, new.control):
        return True
    if any(_car_turned(old.vehicles.get(i), car) for i, car in new.vehicles.items()):
        return True
    return any(_device_turned(old.devices[i], view) for i, view in new.devices.items()) or any(
        _decision_turned(old.decisions[i], decision) for i, decision in new.decisions.items()
    )


def _control_turned(old: Control, new: Control) -> bool:
    return _turning(old) != _turning(new)


def _turning(control: Control) -> tuple[object, ...]:
    """Return what of control is news at once."""
    backup, reserve = control.backup, control.reserve
    told = backup.phase, backup.shed, backup.storm, backup.overloaded
    return *told, control.quality.verdict, reserve.phase, reserve.refusals, control.excursions, control.drill


def _device_turned(old: DeviceView, new: DeviceView) -> bool:
    if (old.info, old.available) != (new.info, new.available):
        return True
    before, after = old.sample, new.sample
    if before is None or after is None:
        return before is not after
    state = before.on, before.state, before.plugged, before.stop_cause, before.vehicle is None
    now = after.on, after.state, after.plugged, after.stop_cause, after.vehicle is None
    return state != now or _leaps(before.power_w or 0.0, after.power_w or 0.0)


def _car_turned(old: Car | None, new: Car) -> bool:
    return old is None or (old.plugged, old.soc_doubt, old.last_trip) != (
        new.plugged,
        new.soc_doubt,
        new.last_trip,
    )


def _decision_turned(old: Decision, new: Decision) -> bool:
    why = old.reason, old.limited_by
    return why != (new.reason, new.limited_by) or _leaps(old.power_w, new.power_w)


def _leaps(old_w: float, new_w: float) -> bool:
    return abs(new_w - old_w) >= max(CONSIDERABLE_W, CONSIDERABLE_SHARE * abs(old_w))
