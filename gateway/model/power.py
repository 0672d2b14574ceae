"""Power: where it may be, and why it is what it is.

What a tick makes anew for each of hundreds of devices is a ``Struct``: it is made in a tenth of the time of a dataclass. It
holds only what is older than itself, so that no ring can form for the collector to look for (``gc=False``).
"""

from enum import StrEnum

from msgspec import Struct

type DeviceId = str


class Rung(StrEnum):
    """The ladder, highest first: a rung may only shrink the interval or choose inside it."""

    CAPABILITY = "capability"
    OWNER_STOP = "owner_stop"
    GRID_CONNECTION = "grid_connection"
    PROTECTIVE_LIMIT = "protective_limit"
    BACKUP_RESERVE = "backup_reserve"
    FREQUENCY = "frequency"
    DISPATCH_CALL = "dispatch_call"
    OWNER_REQUEST = "owner_request"
    PLAN = "plan"
    SELF_CONSUMPTION = "self_consumption"
    IDLE = "idle"
    ENVELOPE = "envelope"


class Reason(Struct, frozen=True, gc=False):
    """Why a setpoint is what it is: the rung, a stable code that is translated, and whose wish it was."""

    rung: Rung
    code: str
    source: str = ""


class Interval(Struct, frozen=True, gc=False):
    """Closed power interval of one device or of the site, in W."""

    min_w: float
    max_w: float

    def clamp(self, power_w: float) -> float:
        """Return the power nearest to ``power_w`` inside the interval."""
        # Asked thousands of times a tick, and so without the calls of min and max.
        if self.min_w > power_w:  # noqa: PLR1730  # as above
            power_w = self.min_w
        return self.max_w if self.max_w < power_w else power_w  # noqa: FURB136  # as above

    def narrow(self, other: Interval) -> Interval:
        """Return the part of this interval that ``other`` allows; when they are disjoint, the nearest edge of this one."""
        return Interval(self.clamp(other.min_w), self.clamp(other.max_w))


ZERO = Interval(0.0, 0.0)
