"""The grid connection, the transfer switch of an inverter that can carry the house alone, and loads behind relays.

Without the grid the inverter balances: what is drawn comes out of its battery, surplus sun goes into it, and what it cannot
take is held back by raising the frequency. Overloaded or empty it trips, and everything is dark.
"""

from gateway.simulator.battery_inverter import RATED_W, BatteryInverter

NOMINAL_HZ = 50.0
SHIFTED_HZ = 1.5
"""By so much the frequency rises to hold the sun back."""
OVERLOAD_SHARE = 1.1
OVERLOAD_S = 1.0
REJOINS_S = 3.0
"""The grid must have been back so long before the transfer switch closes."""
SUN_WAITS_S = 60.0
"""Solar inverters stay away so long after everything was dark."""


class SwitchedLoad:
    """A load with a relay before it; it wants its power all day."""

    def __init__(self, name: str, power_w: float, phase: int) -> None:
        self.name = name
        self.rated_w = power_w
        self.phase = phase
        self.held_off = False
        self.power_w = 0.0


class Mains:
    """``present`` is the grid's; ``carried`` tells that the inverter forms the house's own, ``tripped`` that it gave up."""

    def __init__(self, battery: BatteryInverter, *, islands: bool = False) -> None:
        self.present = True
        self.carried = False
        self.tripped = False
        self.islands = islands
        self.frequency_hz = NOMINAL_HZ
        self.loads = (
            (SwitchedLoad("boiler", 2000.0, 2), SwitchedLoad("heat_pump", 1500.0, 3)) if islands else ()
        )
        self._battery = battery
        self._over_s = 0.0
        self._back_s = 0.0
        self._sun_waits_s = 0.0

    @property
    def powered(self) -> bool:
        """Tell whether there is a voltage in the house."""
        return self.carried or self.present

    def lose(self) -> None:
        """Take the grid away; who can island does so at once."""
        self.present = False
        self._back_s = 0.0
        self.carried = self.islands and self._battery.discharge_max_w > 0.0

    def restore(self) -> None:
        """Give the grid back."""
        self.present = True

    def give_up(self) -> None:
        """Let an inverter that carries the house trip."""
        self.tripped = self.tripped or self.carried
        self.carried = False

    def start_again(self) -> None:
        """Let an inverter that gave up try once more."""
        if self.islands and not self.powered and self._battery.discharge_max_w > 0.0:
            self.carried, self.tripped = True, False

    def step_loads(self) -> tuple[float, float, float]:
        """Return what the switched loads draw from each phase."""
        drawn = [0.0, 0.0, 0.0]
        for load in self.loads:
            load.power_w = 0.0 if load.held_off or not self.powered else load.rated_w
            drawn[load.phase - 1] += load.power_w
        return drawn[0], drawn[1], drawn[2]

    def sun_w(self, possible_w: float, drawn_w: float, dt_s: float) -> float:
        """Return how much of the sun gets into the house, which draws ``drawn_w``."""
        self._sun_waits_s = SUN_WAITS_S if not self.powered else max(0.0, self._sun_waits_s - dt_s)
        if self._sun_waits_s:
            return 0.0
        if not self.carried:
            return possible_w
        most_w = max(0.0, drawn_w + self._battery.charge_max_w)
        self.frequency_hz = NOMINAL_HZ + (SHIFTED_HZ if possible_w > most_w else 0.0)
        return min(possible_w, most_w)

    def balance(self, drawn_w: float, dt_s: float) -> None:
        """Let the inverter carry what the house draws, sun deducted; it trips when that is too much."""
        most_w = min(RATED_W * OVERLOAD_SHARE, self._battery.discharge_max_w)
        self._over_s = self._over_s + dt_s if drawn_w > most_w else 0.0
        if self._over_s > OVERLOAD_S:
            self.carried, self.tripped = False, True
            drawn_w = 0.0
        self._battery.form(-drawn_w, dt_s)
        self._back_s = self._back_s + dt_s if self.present else 0.0
        if self._back_s >= REJOINS_S:
            self.carried = False

    def rest(self, dt_s: float) -> None:
        """Let the time pass in the dark."""
        self._over_s = 0.0
        self._battery.form(0.0, dt_s)
        if self.present:
            self.tripped = False
