"""How often a value may reach the recorder. Pure: the time is an argument.

The gateway tells of itself many times a second; a state row costs 174 bytes for ever.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from .client import Decision, DeviceView

SPACING = timedelta(seconds=5)
"""Between two publications of live data in which nothing considerable happened."""

CONSIDERABLE_W = 500.0
CONSIDERABLE_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class LiveData:
    """What moves with every reading."""

    devices: Mapping[str, DeviceView]
    decisions: Mapping[str, Decision]


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


def due(published: LiveData, latest: LiveData, since: timedelta) -> bool:
    """Tell whether ``latest`` should be shown ``since`` after ``published``: by spacing, or at once after an event."""
    return not timedelta() <= since < SPACING or _is_event(published, latest)


def _is_event(old: LiveData, new: LiveData) -> bool:
    if old.devices.keys() != new.devices.keys() or old.decisions.keys() != new.decisions.keys():
        return True
    return (
        any(_condition(old.devices[i]) != _condition(view) for i, view in new.devices.items())
        or any(
            (old.decisions[i].reason, old.decisions[i].limited_by) != (decision.reason, decision.limited_by)
            or _leaps(old.decisions[i].power_w, decision.power_w)
            for i, decision in new.decisions.items()
        )
        or any(
            _leaps(before.power_w, after.power_w)
            for i, view in new.devices.items()
            if (after := view.sample) and (before := old.devices[i].sample)
        )
    )


def _condition(view: DeviceView) -> tuple[object, ...]:
    """Return what an owner would call the state of a device."""
    sample = view.sample
    if sample is None:
        return (view.info, view.available)
    return (
        view.info,
        view.available,
        sample.state,
        sample.plugged,
        sample.stop_cause,
        sample.vehicle is None,
    )


def _leaps(old_w: float, new_w: float) -> bool:
    return abs(new_w - old_w) >= max(CONSIDERABLE_W, CONSIDERABLE_SHARE * abs(old_w))
