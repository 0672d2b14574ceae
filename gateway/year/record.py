"""Pure: what came in a year, in quarter hours: load, sun, prices, carbon."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from gateway.planning.problem import Series

QUARTER_H = 0.25
DAY = 96
PAST_DAYS = 42
"""So much of a record, before what is simulated, teaches the forecasts."""


@dataclass(frozen=True, slots=True, eq=False)
class Record:
    """Means of the quarter hours since ``starts_at`` (UTC); what is simulated begins with quarter ``begin``.

    Power in W, generation as a magnitude; prices per kWh. ``carbon_g_per_kwh`` is NaN where nobody knows it.
    """

    starts_at: datetime
    zone: ZoneInfo
    load_w: Series
    pv_w: Series
    import_per_kwh: Series
    export_per_kwh: Series
    carbon_g_per_kwh: Series | None = None
    begin: int = PAST_DAYS * DAY

    @property
    def steps(self) -> int:
        """How many quarters are simulated."""
        return len(self.load_w) - self.begin

    def at(self, step: int) -> datetime:
        """Return when the simulated quarter ``step`` begins."""
        return self.starts_at + timedelta(minutes=15 * (self.begin + step))

    def simulated(self, series: Series) -> Series:
        """Return the part of ``series`` that is simulated."""
        return series[self.begin :]

    def slot_of_day(self, step: int) -> int:
        """Return the quarter of the day by the local clock."""
        local = self.at(step).astimezone(self.zone)
        return local.hour * 4 + local.minute // 15

    def without_sun(self) -> Record:
        """Return the same year without the solar roof."""
        return replace(self, pv_w=np.zeros_like(self.pv_w))
