"""Pure: the phases of a reserve, as a table.

::

    off ──► armed ◄──► recovering        any ──► off when the window ends, but an event is recovered from first
     │       │  ▲          │
     ▼       ▼  │          ▼
    refused  withdrawn ◄───┘
"""

from collections.abc import Mapping
from enum import StrEnum

from gateway.model import ReservePhase

OFF, REFUSED, ARMED = ReservePhase.OFF, ReservePhase.REFUSED, ReservePhase.ARMED
RECOVERING, WITHDRAWN = ReservePhase.RECOVERING, ReservePhase.WITHDRAWN


class Event(StrEnum):
    """What one tick finds. ``NO_WINDOW``: nothing is sold for now. ``UNPROVEN``: it is, but something is missing.

    ``DISTURBED``: proven, and the frequency is, or was just, far off. ``RECOVERED``: what that took has been put back.
    """

    NO_WINDOW = "no_window"
    UNPROVEN = "unproven"
    PROVEN = "proven"
    DISTURBED = "disturbed"
    RECOVERED = "recovered"


NEXT: Mapping[tuple[ReservePhase, Event], ReservePhase] = {
    (OFF, Event.NO_WINDOW): OFF,
    (OFF, Event.UNPROVEN): REFUSED,
    (OFF, Event.PROVEN): ARMED,
    (OFF, Event.DISTURBED): RECOVERING,
    (OFF, Event.RECOVERED): OFF,
    (REFUSED, Event.NO_WINDOW): OFF,
    (REFUSED, Event.UNPROVEN): REFUSED,
    (REFUSED, Event.PROVEN): ARMED,
    (REFUSED, Event.DISTURBED): RECOVERING,
    (REFUSED, Event.RECOVERED): REFUSED,
    (ARMED, Event.NO_WINDOW): OFF,
    (ARMED, Event.UNPROVEN): WITHDRAWN,
    (ARMED, Event.PROVEN): ARMED,
    (ARMED, Event.DISTURBED): RECOVERING,
    (ARMED, Event.RECOVERED): ARMED,
    (RECOVERING, Event.NO_WINDOW): RECOVERING,
    (RECOVERING, Event.UNPROVEN): WITHDRAWN,
    (RECOVERING, Event.PROVEN): RECOVERING,
    (RECOVERING, Event.DISTURBED): RECOVERING,
    (RECOVERING, Event.RECOVERED): ARMED,
    (WITHDRAWN, Event.NO_WINDOW): OFF,
    (WITHDRAWN, Event.UNPROVEN): WITHDRAWN,
    (WITHDRAWN, Event.PROVEN): ARMED,
    (WITHDRAWN, Event.DISTURBED): RECOVERING,
    (WITHDRAWN, Event.RECOVERED): WITHDRAWN,
}
