"""The pilot-line module of the charger: coils to the car, inputs from it, and its output watchdog."""

D1, D2, LOCK = range(3)
_LOCK_MOVES_S = 0.3


class PilotLines:
    """Coils d1, d2 and connector lock; all drop when nothing was written for ``watchdog_s`` (0 = never)."""

    def __init__(self) -> None:
        self.coils = [False, False, False]
        self.watchdog_s = 0
        self.permitted = False
        self.plugged = True
        self.locked = False
        self.emergency_stop = False
        self._supplied = True
        self._unwritten_s = 0.0
        self._lock_moving_s = 0.0

    @property
    def d1(self) -> bool:
        """Line d1 at the car; the emergency stop cuts its supply."""
        return self.coils[D1] and self._supplied

    @property
    def d2(self) -> bool:
        """Line d2 at the car; the emergency stop cuts its supply."""
        return self.coils[D2] and self._supplied

    @property
    def inputs(self) -> list[bool]:
        """Discrete inputs: k, connector inserted, lock feedback, emergency stop pressed."""
        return [self.permitted and self.plugged, self.plugged, self.locked, self.emergency_stop]

    def written(self) -> None:
        """Take note that a coil or a register was written."""
        self._unwritten_s = 0.0

    def step(self, dt_s: float) -> None:
        """Advance watchdog, emergency chain and lock motor by ``dt_s``."""
        self._supplied = not self.emergency_stop
        self._unwritten_s += dt_s
        if self.watchdog_s and self._unwritten_s > self.watchdog_s:
            self.coils = [False, False, False]
        wanted = self.coils[LOCK] and self.plugged
        self._lock_moving_s = self._lock_moving_s + dt_s if wanted != self.locked else 0.0
        if self._lock_moving_s >= _LOCK_MOVES_S:
            self.locked = wanted
