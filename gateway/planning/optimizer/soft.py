"""What gives way, and in which order: the prices at which a plan falls short (docs/planning_optimizer.md)."""

from dataclasses import dataclass

import numpy as np

from gateway.planning.optimizer.program import Index
from gateway.planning.problem import Lack, Series

PENALTY = {
    Lack.SAFETY: 1000.0,
    Lack.CAP: 100.0,
    Lack.OBLIGATION: 30.0,
    Lack.RESERVE: 8.0,
    Lack.FLOOR: 4.0,
    Lack.BAND: 1.0,
}
"""Per kWh too much or too little exchanged; per kWh that lacks for an hour in a reserve, a floor or a band.

A departure costs its relief price times its probability, the end its own price: their worth is the owner's to say."""

DOUBT = 0.05
"""Per kWh that a bad day could not import, or that its reserve lacks for an hour: a plan leaves room where it is cheaper."""
BAD_DAY_H, BAD_DAY_SHARE = 1.0, 0.1
"""So long a bad day goes unnoticed until a new plan makes up for it; one day of ten is as bad."""
SOONER = 1e-5
"""Per kWh moved, rising over the horizon from half of it: of two equal hours the earlier, and no idle turning over."""


@dataclass(frozen=True, slots=True, eq=False)
class Slack:
    """Columns that say how much lacks: in kW where ``hours`` are given for them, else in kWh; at ``steps``, of ``pack``.

    ``rows`` are those which they soften.
    """

    lack: Lack
    columns: Index
    steps: Index
    rows: Index
    hours: Series | None = None
    pack: int | None = None


def sooner(hours: Series) -> Series:
    """Return what one kW moved in each step costs by ``SOONER``."""
    return SOONER * (0.5 + 0.5 * np.cumsum(hours) / max(float(hours.sum()), 1e-9)) * hours
