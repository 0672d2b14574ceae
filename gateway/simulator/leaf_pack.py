"""The car's battery: open-circuit voltage by state of charge, behind a resistance."""

from bisect import bisect_right
from itertools import pairwise

from gateway.simulator.leaf_models import ZE1_40, LeafModel

CELLS_IN_SERIES = 96

# A lithium manganese-nickel cell at rest, every 10 % of the dash scale; 72 % gives the 380 V that a 40 kWh car
# showed at the start of a recorded session (reference/can.md 3.7).
CELL_OCV_V = (3.33, 3.52, 3.60, 3.66, 3.71, 3.77, 3.86, 3.94, 4.01, 4.09, 4.17)

_STEP_PCT = 100.0 / (len(CELL_OCV_V) - 1)
_MEAN_V = CELLS_IN_SERIES * sum(a + b for a, b in pairwise(CELL_OCV_V)) / 2 / (len(CELL_OCV_V) - 1)


class LeafPack:
    """The pack of ``model``, with the usable capacity that the car tells. Current into the pack is positive."""

    def __init__(self, soc_pct: float, model: LeafModel = ZE1_40) -> None:
        self.model = model
        self.soc_pct = soc_pct
        self.capacity_wh = model.capacity_wh
        self.resistance_ohm = model.resistance_ohm
        self._scale = CELLS_IN_SERIES * model.voltage_scale
        self._capacity_ah = model.capacity_wh / (_MEAN_V * model.voltage_scale)

    @property
    def open_circuit_v(self) -> float:
        """Voltage at rest."""
        below = min(int(self.soc_pct / _STEP_PCT), len(CELL_OCV_V) - 2)
        part = self.soc_pct / _STEP_PCT - below
        return self._scale * (CELL_OCV_V[below] + part * (CELL_OCV_V[below + 1] - CELL_OCV_V[below]))

    @property
    def stored_wh(self) -> float:
        """Energy that could be taken out at rest voltage."""
        whole = bisect_right([n * _STEP_PCT for n in range(1, len(CELL_OCV_V))], self.soc_pct)
        cells = sum((a + b) / 2 * _STEP_PCT for a, b in pairwise(CELL_OCV_V[: whole + 1]))
        rest_pct = self.soc_pct - whole * _STEP_PCT
        cells += rest_pct * (CELL_OCV_V[whole] + self.open_circuit_v / self._scale) / 2
        return self._scale * cells / 100.0 * self._capacity_ah

    def terminal_v(self, current_a: float) -> float:
        """Voltage at the inlet while ``current_a`` flows into the pack."""
        return self.open_circuit_v + current_a * self.resistance_ohm

    def step(self, current_a: float, dt_s: float) -> None:
        """Move the charge of ``current_a`` for ``dt_s``."""
        moved_pct = 100.0 * current_a * dt_s / 3600.0 / self._capacity_ah
        self.soc_pct = min(max(self.soc_pct + moved_pct, 0.0), 100.0)
