"""What is asked of the charger right now, as AC power and as DC current; pure."""

from msgspec import Struct, field
from msgspec.structs import replace

from gateway.devices.chademo.converter import Reading
from gateway.devices.chademo.orders import CURRENT_STEP_A
from gateway.devices.chademo.power import Trim, dc_power_w
from gateway.model import Interval, Setpoint

END_AFTER_S = 30.0
"""An expired setpoint means 0 A at once, and the end of the session after this."""
LIVE_V = 50.0


class Demand(Struct, frozen=True):
    """The newest setpoint, and the trim that makes AC power of it. ``released``: nothing is asked any more."""

    setpoint: Setpoint | None = None
    trim: Trim = field(default_factory=Trim)
    released: bool = False

    @property
    def _standing(self) -> Setpoint | None:
        return None if self.released else self.setpoint

    def renewed_by(self, setpoint: Setpoint, now: float) -> bool:
        """Tell whether ``setpoint`` asks for nothing else than what still holds, only for longer."""
        before = self.setpoint
        return before is not None and now < before.expires_at and _asked(before) == _asked(setpoint)

    def engage(self, now: float) -> bool:
        """A session is wanted."""
        wanted = self._standing
        return wanted is not None and wanted.engage and not self._old(wanted, now)

    def lapsed(self, now: float) -> bool:
        """A session was wanted, and nobody has said so again for long."""
        wanted = self._standing
        return wanted is not None and wanted.engage and self._old(wanted, now)

    def owner_asked(self, now: float) -> bool:
        """The owner wants it now."""
        wanted = self._standing
        return wanted is not None and wanted.owner_asked and now < wanted.expires_at

    def charge_wished(self, now: float) -> bool:
        """Charging is wished, whether or not it is possible yet."""
        wanted = self._standing
        return wanted is not None and wanted.wanted_w > 0 and now < wanted.expires_at

    def power_w(self, now: float, rated: Interval) -> float:
        """Return the AC power that is asked for; nothing once the setpoint has expired."""
        wanted = self._standing
        return 0.0 if wanted is None or now >= wanted.expires_at else rated.clamp(wanted.power_w)

    def current_a(self, now: float, rated: Interval, reading: Reading | None) -> float:
        """Return the DC current for it; none without a battery voltage."""
        if reading is None or reading.output.voltage_v < LIVE_V:
            return 0.0
        wanted_w = self.power_w(now, rated)
        wanted_a = dc_power_w(wanted_w, self.trim.offset_w) / reading.output.voltage_v
        return max(0.0, wanted_a) if wanted_w > 0 else min(0.0, wanted_a)

    def learnt(self, now: float, rated: Interval, reading: Reading, ordered_a: float) -> Demand:
        """Return the demand with the losses learnt from what came of ``ordered_a``."""
        held_back_a = abs(ordered_a - self.current_a(now, rated, reading))
        free = bool(ordered_a) and held_back_a < 2 * CURRENT_STEP_A
        trim = self.trim.follow(now, self.power_w(now, rated), reading.ac_power_w, free=free)
        return replace(self, trim=trim)

    @staticmethod
    def _old(wanted: Setpoint, now: float) -> bool:
        return now >= wanted.expires_at + END_AFTER_S


def _asked(of: Setpoint) -> tuple[float, bool, bool, bool]:
    return of.power_w, of.engage, of.owner_asked, of.wanted_w > 0
