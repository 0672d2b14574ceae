"""Faults of the services themselves, beside those that the fast path reports."""

from collections.abc import Callable
from datetime import UTC, datetime

from gateway.faults import FaultCode
from gateway.model import ActiveFault
from gateway.state import SITE


class FaultBoard:
    """Raised and cleared by their owners, by code; ``changed`` is called each time."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._active: dict[FaultCode, ActiveFault] = {}
        self.changed: Callable[[], None] = lambda: None

    def fault(self, code: FaultCode, detail: str) -> None:
        """Raise a fault; raising it again only updates the detail."""
        known = self._active.get(code)
        self._active[code] = ActiveFault(code, SITE, known.since if known else self._clock(), detail)
        self.changed()

    def clear(self, code: FaultCode) -> None:
        """Clear a fault; clearing what is not raised is no error."""
        if self._active.pop(code, None) is not None:
            self.changed()

    def active(self) -> tuple[ActiveFault, ...]:
        """Return what is raised."""
        return tuple(self._active.values())
