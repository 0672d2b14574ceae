"""Pure: what an event took is put back only once the grid is well, late, slowly, and not by all sites at the same time.

In Canberra the cars all recharged ten minutes after they had helped, while the grid was still weak (reference/peers.md, REVS).
"""

import hashlib
from dataclasses import dataclass, replace

from gateway.model import DeviceId, Interval

QUIET_HZ = 0.05
"""Deviation, to the side of the event, within which the grid counts as well (it is for 97 % of the time,
reference/optimize.md 5)."""
STAGGER_S = 600.0
RAMP_S = 900.0
"""From nothing to the device's full power."""
LONGEST_S = 7200.0
"""So long after the event nobody waits any more for a grid that stays weak, or that no meter shows: full reserve is due again
two hours later (reference/optimize.md 5)."""


@dataclass(frozen=True, slots=True)
class Event:
    """An event that is not over: who answered it, and since when (monotonic s) the grid has been well, if it is.

    ``waits_s``: so long it must have been well. ``until`` (monotonic s): then it is over however the grid is.
    """

    low: bool
    devices: tuple[DeviceId, ...]
    waits_s: float
    until: float
    quiet_since: float | None = None

    def share(self, at: float) -> float:
        """Return how much of its power a device may use to put back what the event took, 0 to 1."""
        if self.quiet_since is None:
            return 0.0
        return min(1.0, max(0.0, at - self.quiet_since - self.waits_s) / RAMP_S)


def stagger_s(serial: str, window_id: str) -> float:
    """Return this site's own part of the wait: as good as random among sites, the same for one site and window."""
    drawn = int.from_bytes(hashlib.sha256(f"{serial}/{window_id}".encode()).digest()[:4], "big")
    return STAGGER_S * drawn / 2**32


def follow(event: Event | None, deviation_hz: float | None, at: float) -> Event | None:
    """Return the event after a look at the grid; None when there is none, or all of it may be put back.

    While nobody measures, nothing is known to be well, for ``LONGEST_S`` at most.
    """
    if event is None or event.share(at) >= 1.0 or at >= event.until:
        return None
    weak_hz = None if deviation_hz is None else -deviation_hz if event.low else deviation_hz
    if weak_hz is None or weak_hz > QUIET_HZ:
        return replace(event, quiet_since=None)
    return event if event.quiet_since is not None else replace(event, quiet_since=at)


def held(event: Event, rated: Interval, at: float) -> Interval:
    """Return what a device that answered may do by itself."""
    share = event.share(at)
    return Interval(-1e6, share * rated.max_w) if event.low else Interval(share * rated.min_w, 1e6)
