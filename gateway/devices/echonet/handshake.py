"""When to ask the unit to confirm its car (0xCD), which wakes it; pure."""

from dataclasses import dataclass

from gateway.devices.echonet.properties import Connection

ASK_AGAIN_S = 20.0
ASK_SELDOM_S = 3600.0
"""A parked car is woken less and less often, else its 12 V battery empties (reference/needs.md 1, row 25)."""
PATIENCE_S = 25.0
_SHY = frozenset({Connection.NEITHER, Connection.UNKNOWN, Connection.UNDEFINED})


@dataclass(frozen=True, slots=True)
class Handshake:
    """Since when a session is wanted from a car that is not ready for it, and the confirmations asked for."""

    since: float | None = None
    asked: int = 0
    asked_at: float = 0.0

    def after(self, now: float, connection: Connection, *, wanted: bool) -> Handshake:
        """Return the handshake after one more look; it starts anew with every plug and every wish."""
        if not wanted or connection not in _SHY:
            return Handshake()
        return self if self.since is not None else Handshake(since=now)

    def due(self, now: float) -> bool:
        """Tell whether to ask now: at once, then after growing pauses."""
        pause_s = min(ASK_AGAIN_S * 2 ** max(0, self.asked - 1), ASK_SELDOM_S)
        return self.since is not None and (not self.asked or now - self.asked_at >= pause_s)

    def asking(self, now: float) -> Handshake:
        """Note that the unit was asked."""
        return Handshake(self.since, self.asked + 1, now)

    def fruitless(self, now: float) -> bool:
        """Tell whether the car has had its time."""
        return self.since is not None and now - self.since >= PATIENCE_S
