"""How an order ends after our death: ECHONET Lite knows no lease, but an order carries an energy bound (0xE7, 0xEA); pure.

Energy bounds a time only where the power has a least. A unit tells the least that it can discharge (0xC9), so that much for
BOUND_S is what an order may take out of the car, whatever the car gives; whoever takes more power has to renew it sooner.
"""

from dataclasses import dataclass
from math import ceil, floor

from gateway.devices.echonet.properties import Connection, Mode, Reading

BOUND_S = 55.0
"""How long a discharge bound lasts at the unit's least power; the rest of the card's minute is for its ramp."""
LASTS_S = 4.0
"""How long it has to last at the power ordered, lest a lost datagram end an order."""
RENEW_S = 1.5
CHARGE_S, RENEW_CHARGE_S = 30.0, 5.0
"""The same of a charge bound, at the power ordered."""
SETTLED_S = 10.0
WEAK_S = 15.0
REFUSAL_S = 3600.0
WEAK_SHARE = 0.9


def least_w(reading: Reading) -> float:
    """Return the least power at which the unit discharges, 0 where it does not tell."""
    return reading.discharge_range_w[0] if reading.discharge_range_w else 0.0


def bound_wh(power_w: float, least_w: float) -> int:
    """Return the energy that an order may move before it is renewed; 0 for a discharge that cannot be bounded."""
    if power_w > 0:
        return ceil(power_w * CHARGE_S / 3600)
    return floor(least_w * BOUND_S / 3600)


def most_discharge_w(least_w: float) -> float:
    """Return the most power at which the bound can be renewed in time."""
    return bound_wh(-least_w, least_w) * 3600 / LASTS_S


@dataclass(frozen=True, slots=True)
class Weak:
    """Since when less than the least power has flowed under a discharge order, and until when none is given for that."""

    since: float | None = None
    until: float = 0.0
    why: str = ""

    def after(self, now: float, reading: Reading, ordered_w: float, changed_at: float) -> Weak:
        """Return the watch after one more look; it ends with the car, or after an hour."""
        if reading.connection is Connection.NONE or (self.until and now >= self.until):
            return Weak()
        settled = reading.mode == Mode.DISCHARGE and now - changed_at >= SETTLED_S
        if self.until or ordered_w >= 0 or not settled or reading.power_w is None:
            return self if self.until else Weak()
        least = least_w(reading)
        if -reading.power_w >= WEAK_SHARE * least:
            return Weak()
        since = now if self.since is None else self.since
        if now - since < WEAK_S:
            return Weak(since)
        said = f"ordered to discharge {-ordered_w:.0f} W, the unit does {-reading.power_w:.0f} W, less than its least"
        return Weak(since, now + REFUSAL_S, f"{said} of {least:.0f} W (0xC9); plug in anew to try again")
