"""Pure: how much CO2 the coming kWh carry, from a list that an owner's Home Assistant or a file handed in."""

from collections.abc import Mapping
from datetime import datetime, tzinfo

import numpy as np

from gateway.planning.forecast.gaps import DAYS, filled
from gateway.planning.forecast.history import DAY, onto_steps, quarter_of, quarters_of
from gateway.planning.problem import Horizon, Series

LONGEST = 4
"""A value holds until the next begins, an hour at most."""


def carbon_series(g_per_kwh: Mapping[datetime, float], horizon: Horizon, zone: tzinfo) -> Series | None:
    """Return g/kWh of each step, gaps filled by what is usual at that time of day; None where no value is known at all."""
    first = quarter_of(horizon.starts_at) - DAYS * DAY
    end = quarter_of(horizon.starts_at) + quarters_of(horizon.starts_at, horizon.hours)
    quarterly = np.full(end - first, np.nan)
    for at in sorted(g_per_kwh):
        begin = quarter_of(at) - first
        quarterly[max(0, begin) : max(0, begin + LONGEST)] = g_per_kwh[at]
    if np.isnan(quarterly).all():
        return None
    return onto_steps(filled(quarterly, first, zone, 0.0)[DAYS * DAY :], horizon.starts_at, horizon.hours)
