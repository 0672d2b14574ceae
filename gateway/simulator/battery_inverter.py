"""The home battery and its inverter, in the shape of an xStorage: 10 kWh, 5 kW. Registers are elsewhere."""

from gateway.simulator.ramp import DelayedRamp

CAPACITY_WH = 10_000.0
RATED_W = 5000.0
FIXED_LOSS_W = 45.0
PROPORTIONAL_LOSS = 0.03
STANDBY_W = 8.0
MIN_SOC_PCT = 5.0
_EMPTYING_PCT = 3.0
_FILLING_PCT = 4.0


class BatteryInverter:
    """``power_w`` is AC power into the device; the counters are AC energy."""

    def __init__(self, soc_pct: float) -> None:
        self.soc_pct = soc_pct
        self.power_w = STANDBY_W
        self.dc_w = 0.0
        self.charged_wh = 0.0
        self.discharged_wh = 0.0
        self._power = DelayedRamp(ramp_per_s=5000.0, dead_time_s=0.15)

    @property
    def stored_wh(self) -> float:
        """Energy in the cells."""
        return CAPACITY_WH * self.soc_pct / 100.0

    @property
    def cell_v(self) -> float:
        """DC voltage."""
        return 96.0 + 0.12 * self.soc_pct

    @property
    def charge_max_w(self) -> float:
        """AC power that the cells take now."""
        return RATED_W * min(1.0, max(0.0, (100.0 - self.soc_pct) / _FILLING_PCT))

    @property
    def discharge_max_w(self) -> float:
        """AC power that the cells give now, positive."""
        return RATED_W * min(1.0, max(0.0, (self.soc_pct - MIN_SOC_PCT) / _EMPTYING_PCT))

    def step(self, target_w: float, dt_s: float) -> None:
        """Advance by ``dt_s`` towards ``target_w``."""
        self._take(self._power.step(target_w, -self.discharge_max_w, self.charge_max_w, dt_s), dt_s)

    def form(self, power_w: float, dt_s: float) -> None:
        """Advance by ``dt_s`` as the source of the house's own grid, which puts ``power_w`` into it; no target counts."""
        self._power.cut()
        self._take(power_w, dt_s)

    def _take(self, power_w: float, dt_s: float) -> None:
        if abs(power_w) < 1.0:
            self.power_w, self.dc_w = STANDBY_W, 0.0
        else:
            self.power_w = power_w
            self.dc_w = power_w - FIXED_LOSS_W - PROPORTIONAL_LOSS * abs(power_w)
        moved_pct = 100.0 * self.dc_w * dt_s / 3600.0 / CAPACITY_WH
        self.soc_pct = min(max(self.soc_pct + moved_pct, 0.0), 100.0)
        moved_wh = self.power_w * dt_s / 3600.0
        if moved_wh > 0.0:
            self.charged_wh += moved_wh
        else:
            self.discharged_wh -= moved_wh
