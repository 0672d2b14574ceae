"""How often a parked car may be woken, so that its 12 V battery lasts (reference/needs.md 1, row 25); pure."""

from dataclasses import dataclass

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
MOST_A_DAY = 12
PAYS_AFTER_S = 300.0
"""A session that the car ends sooner was one more wake for nothing."""
WAKE_AUX_V = 12.2
"""No wake below this."""


@dataclass(frozen=True, slots=True)
class Wakes:
    """When the car was woken and no session came of it; one that runs charges the 12 V battery and costs nothing."""

    at: tuple[float, ...] = ()

    def after(self, now: float) -> Wakes:
        """Return the wakes with one more, without those that are a day old."""
        return Wakes((*(at for at in self.at if now - at < DAY_S), now))

    def repaid(self) -> Wakes:
        """Return the wakes without the last one: a session came of it."""
        return Wakes(self.at[:-1])

    def today(self, now: float) -> int:
        """Count those of the last 24 h."""
        return sum(now - at < DAY_S for at in self.at)

    def allowed(self, now: float) -> bool:
        """Tell whether the budget has one left: one an hour, twelve a day."""
        return self.today(now) < MOST_A_DAY and (not self.at or now - self.at[-1] >= HOUR_S)
